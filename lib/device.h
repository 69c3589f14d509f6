/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TCM-User device: what it is, what the program says about it, and its ring.
 *
 * Threads: the identity does not change while the device lives. Properties may be read and written
 * by any thread (relaxed atomic accesses; api.c has the accessors). The ring and its mapping belong
 * to the thread that makes the ring calls. node and pending are under the lock of the context.
 */
#ifndef LIB_DEVICE_H
#define LIB_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libtcmu.h"
#include "lib/kernel.h"
#include "lib/ring.h"
#include "util/list.h"

struct tcmu_pending; /* lib/pending.h */

struct tcmu_device {
	/* identity */
	struct tcmulib_context *ctx;
	struct tcmu_kernel *kernel;
	struct tcmulib_handler *handler;
	char uio_name[TCMU_UIO_NAME_MAX]; /* tcm-user/HBA/NAME/subtype/config, without a newline */
	char name[TCMU_UIO_NAME_MAX];     /* user_HBA/NAME */
	uint32_t device_id;
	uint32_t minor;
	int fd; /* -1: closed */

	/* subtype/config. A reconfig replaces it; the text before it stays valid until the next one,
	 * for a thread that has just read the pointer. */
	char *cfgstring;
	char *old_cfgstring;

	/* properties */
	void *priv;           /* the program's own */
	uint64_t config_size; /* bytes: dev_size of configfs */
	uint64_t num_lbas;
	uint32_t block_size; /* bytes */
	uint32_t phys_exponent;
	uint32_t max_xfer_len; /* blocks, as the following */
	uint32_t max_unmap_len;
	uint32_t opt_unmap_gran;
	uint32_t unmap_gran_align;
	bool write_cache;
	bool solid_state;
	bool unmap;
	bool unmap_zeroes;
	bool write_protect;
	bool removable;
	uint32_t max_atomic_len; /* blocks */

	/* the ring */
	void *map; /* NULL: not mapped */
	size_t map_len;
	int start_error; /* of the last tcmu_device_start(): 0 or -errno */
	bool park_said;  /* the reason for parking was logged */
	bool removed;    /* REMOVED was delivered, or ADDED refused; any thread may read */
	uint64_t log_windows[TCMU_LOG_DEBUG + 1]; /* lib/log.c; any thread, atomic */
	struct tcmu_ring ring;

	/* under ctx->lock */
	struct list node;             /* ctx->devices; in no list once REMOVED was delivered */
	struct tcmu_pending *pending; /* the event that the program works on */

	/* the master thread's */
	struct tcmu_pending *removal; /* for its end, which must not fail for want of memory */
	bool added_early; /* ADDED of a scan was answered before the kernel waited for it */
};

#define TCMU_DEFAULT_BLOCK_SIZE 512

/*
 * Splits "tcm-user/HBA/NAME/CONFIG" (target_core_user.c: tcmu_update_uio_info()). NAME holds no '/';
 * CONFIG may hold anything, be empty, or be missing together with its '/'; a newline at its end
 * (left by echo) is dropped. name gets "user_HBA/NAME", at most name_size bytes; *config points into
 * uio_name and *config_len is its length. 0, or -EINVAL for anything else. Pure.
 */
int tcmu_device_parse_name(const char *uio_name, char *name, size_t name_size, const char **config,
			   size_t *config_len);

/* Length of the subtype at the front of config: up to the first '/', or all of it. Pure. */
size_t tcmu_device_subtype_len(const char *config);

/* Is the device at ev's minor still that which ev is about? */
bool tcmu_device_is(struct tcmu_kernel *kernel, const struct tcmu_event *ev);

/*
 * The device that ev (ADDED) is about, with its descriptor open, its ring not mapped, and config_size,
 * block_size and num_lbas from ev or else from configfs (0, 512 and 0 where they cannot be read).
 * Blocks for some file reads in the latter case, which is safe only while the kernel waits for ADDED.
 * NULL with errno: EINVAL (the name), EBUSY (another process has /dev/uioN), ENODEV, ENOMEM.
 */
struct tcmu_device *tcmu_device_new(struct tcmu_kernel *kernel, const struct tcmu_event *ev);

/* Unmaps the ring and closes the descriptor. No thread may use them any more. Idempotent. */
void tcmu_device_close(struct tcmu_device *dev);

/* tcmu_device_close(), then frees dev. NULL is ignored. */
void tcmu_device_free(struct tcmu_device *dev);

/* Does the kernel still have the device that the descriptor was opened for? No event is consumed. */
bool tcmu_device_alive(const struct tcmu_device *dev);

/* Takes over cfg as a reconfig gave it: the new config string or size. 0 or -ENOMEM. */
int tcmu_device_apply(struct tcmu_device *dev, const struct tcmulib_cfg_info *cfg);
/* See libtcmu.h. */
void tcmu_device_exchange_config(struct tcmu_device *dev, char **cfgstring, uint64_t *size);
int tcmu_device_store_config(struct tcmu_device *dev, const char *cfgstring, uint64_t size);

/* Maps the ring and attaches to it; see tcmulib_device_start(). Tries again after a failure. 0 or
 * -errno. */
int tcmu_device_start(struct tcmu_device *dev);

/* The same for a ring call that finds the ring not started: what failed before is not tried again. */
int tcmu_device_start_once(struct tcmu_device *dev);

/* Leaves the ring in order; see tcmulib_device_stop(). */
int tcmu_device_stop(struct tcmu_device *dev);

#endif
