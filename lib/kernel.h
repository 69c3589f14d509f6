/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel seam: everything libtcmu asks of the kernel. lib/kernel-tcmu.c is the only
 * implementation in the product; the tests link tests/ring/kernel-fake.c in its place.
 *
 * Threads: one connection belongs to the master thread, but dev_open .. dev_kick and attr_* may be
 * called from any thread at any time, also while the master is in another call; target_* also when
 * there is no connection any more.
 * Results: 0 (or a count, or a descriptor) or -errno.
 */
#ifndef LIB_KERNEL_H
#define LIB_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "libtcmu.h"

#define TCMU_UIO_NAME_MAX 1024 /* "tcm-user/HBA/NAME/CONFIG": 255 + 255 and some */
#define TCMU_CFG_MAX      256

struct tcmu_kernel; /* one connection; each implementation has its own */

/* Values of the netlink commands (target_core_user.h: TCMU_CMD_*). */
enum tcmu_event_type {
	TCMU_EVENT_ADDED = 1,
	TCMU_EVENT_REMOVED = 2,
	TCMU_EVENT_RECONFIG = 3,
};

struct tcmu_event {
	enum tcmu_event_type type;
	uint32_t device_id;
	uint32_t minor;                   /* of /dev/uioN */
	char uio_name[TCMU_UIO_NAME_MAX]; /* as in sysfs, from the message itself */
	enum tcmulib_cfg_type cfg_type;   /* RECONFIG: which of the following */
	uint64_t dev_size;
	uint32_t block_size; /* ADDED: 0, or both this and dev_size are known already */
	bool write_cache;
	bool found; /* ADDED: not received, but made by a scan */
	char dev_cfg[TCMU_CFG_MAX];
};

/* A device found by scan(). */
struct tcmu_found {
	uint32_t device_id; /* 0 if it could not be read */
	uint32_t minor;
	bool enabled; /* false: a writer of 'enable' still waits for ADDED_DONE, or soon will */
	bool awaits_replies; /* the kernel waits for the answers to its events */
	uint32_t block_size; /* hw_block_size, with dev_size; 0: not read */
	uint64_t dev_size;   /* bytes */
	int err;             /* inspect()'s */
	/* attrib/dev_config; empty: not read. uio_name has the config string that the device was
	 * enabled with, or the last one that came in an event. */
	char config[TCMU_CFG_MAX];
	char uio_name[TCMU_UIO_NAME_MAX];
};

struct tcmu_kernel_ops {
	/* Joins the event group with a receive buffer sized for a storm. NULL with errno. */
	struct tcmu_kernel *(*open)(void);
	void (*close)(struct tcmu_kernel *k);
	/* SET_FEATURES: does the kernel wait for replies? */
	int (*set_reply)(struct tcmu_kernel *k, bool on);
	/* No event is received from here on; next_event has those that came before. */
	void (*leave)(struct tcmu_kernel *k);
	int (*event_fd)(struct tcmu_kernel *k); /* readable when next_event has something */
	/* 1: *ev is filled, 0: none now, -ENOBUFS: events were lost, scan again. Never blocks. */
	int (*next_event)(struct tcmu_kernel *k, struct tcmu_event *ev);
	/* The *_DONE that belongs to type. status 0 or -errno. */
	int (*reply)(struct tcmu_kernel *k, enum tcmu_event_type type, uint32_t device_id,
		     int status);
	/* Calls found() for every TCMU device that exists. With inspect set, all but minor and
	 * uio_name is left to it. */
	int (*scan)(struct tcmu_kernel *k, void (*found)(const struct tcmu_found *dev, void *arg),
		    void *arg);
	/* Fills in all but minor and uio_name of n devices, waiting a second at most for all of them:
	 * configfs blocks for a device whose REMOVED is still to be answered. What err says of one is
	 * 0 or -errno (-ETIMEDOUT: then waiter_stuck() is true). NULL: scan() has filled them in. */
	void (*inspect)(struct tcmu_kernel *k, struct tcmu_found *dev, size_t n);
	/* Has a look of inspect()'s not come back yet? NULL: never. */
	bool (*look_stuck)(struct tcmu_kernel *k);
	/* Is a configfs writer in the kernel, waiting for a reply? After true only those count that
	 * were waiting then too: true twice is one that waits since the first look. */
	bool (*waiter_stuck)(struct tcmu_kernel *k);
	/* Does another program receive the kernel's events too? 1: yes, and *port is its netlink port
	 * (mostly its pid); 0: no, or not in this network namespace; or -errno: it cannot be known.
	 * NULL: never. */
	int (*other_listener)(struct tcmu_kernel *k, uint32_t *port);
	/* block_netlink, reset_netlink, unblock, back to back: ends every wait with -EINTR. */
	int (*release_waiters)(struct tcmu_kernel *k);

	/* Does the device at this minor have this name now? Of a found one its HBA and NAME alone count.
	 * NULL: always. */
	bool (*dev_is)(struct tcmu_kernel *k, const struct tcmu_event *ev);
	/* A descriptor on the device's event source, non-blocking, close-on-exec, closed by
	 * close(2). -EBUSY: another process has it. */
	int (*dev_open)(struct tcmu_kernel *k, uint32_t minor);
	int (*dev_map)(struct tcmu_kernel *k, uint32_t minor, int fd, void **map, size_t *len);
	/* Acknowledges pending events. 0, -EIO: the device is gone. */
	int (*dev_ack)(int fd);
	/* The doorbell. 0 or -errno (-EIO, -EINVAL: the device is gone). */
	int (*dev_kick)(int fd);

	/* path: below the configfs directory target/core, "user_0/name/attrib/cmd_time_out". The
	 * last newline is removed, the text NUL-terminated; bytes or -errno. */
	/* Gives up, with -ENODEV, when *over becomes true: it may be asleep until a removal is answered. */
	ssize_t (*attr_read)(struct tcmu_kernel *k, const char *path, char *buf, size_t size,
			     const bool *over);
	int (*attr_write)(struct tcmu_kernel *k, const char *path, const char *val);

	/* Anything below the configfs directory target/, without a connection: see tcmu_target_read(),
	 * tcmu_target_link() and tcmu_target_list() in libtcmu.h. */
	ssize_t (*target_read)(const char *path, char *buf, size_t size);
	ssize_t (*target_link)(const char *path, char *buf, size_t size);
	ssize_t (*target_list)(const char *path, char *buf, size_t size);
};

extern const struct tcmu_kernel_ops tcmu_kernel_ops;

#endif
