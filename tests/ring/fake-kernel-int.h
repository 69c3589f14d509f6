/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of fake-kernel.c, fake-serve.c, fake-configfs.c and fake-target.c. */
#ifndef TESTS_RING_FAKE_KERNEL_INT_H
#define TESTS_RING_FAKE_KERNEL_INT_H

#include <pthread.h>
#include <sys/types.h>

#include "fake-kernel.h"
#include "util/list.h"
#include "wire.h"

#define FAKE_MAX_DEVS    1024
#define FAKE_MAX_CLIENTS 256

struct fake_attr {
	struct fake_attr *next;
	bool link;
	char *name;
	char *val; /* of a link: where it leads */
};

/* A netlink command that a configfs writer waits for (struct tcmu_nl_cmd). */
struct fake_pending {
	int type; /* enum tcmu_event_type; 0: none */
	bool done;
	bool delivered; /* to a listener that is still there */
	int status;
};

struct fake_dev {
	struct fake_kernel *k;
	int refs; /* the kernel's own, and one for each look of the service thread */
	bool enabled, gone;
	uint32_t minor, id;
	char name[128];
	char uio_name[TCMU_UIO_NAME_MAX];
	bool no_reply;
	uint64_t size;
	uint32_t block_size;
	char cfg[TCMU_CFG_MAX];
	struct fake_ring *ring;
	int sock, peer; /* the event source: our end, and a second descriptor of theirs */
	ino_t peer_ino;
	pid_t opener; /* who has it open; 0: nobody */
	struct fake_pending pending;
	struct fake_attr *attrs;
	uint64_t owed_since;  /* published without a doorbell */
	unsigned int unheard; /* doorbells; the thread's own, like owed_since */
};

struct fake_event_node {
	struct fake_event_node *next;
	struct fake_wire_event msg;
};

struct fake_client {
	int fd;
	pid_t pid;
	bool listener;
	bool overflow; /* to be told */
	struct fake_event_node *queue, **queue_end;
	bool held; /* sleeps in the kernel: the request is tried again */
	struct fake_wire_req req;
};

struct fake_kernel {
	pthread_mutex_t lock;
	pthread_cond_t cond; /* some pending changed */
	pthread_t thread;
	struct fake_verdicts v;
	char dir[64], path[100];
	int listen_fd, wake_fd;
	bool stop, replies, losing, late_lookups, late_doorbells;
	int doorbell_ms, reply_ms, answer_ms;
	uint32_t next_id;
	struct fake_dev *devs[FAKE_MAX_DEVS]; /* by minor */
	struct fake_attr *target;             /* below target/, but for what is the devices' own */
	struct fake_client *clients[FAKE_MAX_CLIENTS];
};

/* fake-kernel.c; all with the lock held */
void fake_wake(struct fake_kernel *k);
void fake_dev_put(struct fake_dev *dev);
bool fake_dev_open_now(struct fake_dev *dev);
void fake_notify(void *dev);

/* fake-configfs.c; with the lock held */
void fake_attrs_init(struct fake_dev *dev, const struct fake_dev_cfg *cfg);
void fake_attrs_free(struct fake_dev *dev);
struct fake_attr *fake_attr_find(struct fake_dev *dev, const char *name);
void fake_attr_set(struct fake_dev *dev, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* path: user_0/NAME/FILE. -EAGAIN: the caller sleeps in the kernel, try again. */
int64_t fake_configfs_read(struct fake_kernel *k, const char *path, char *val, size_t size);
int64_t fake_configfs_write(struct fake_kernel *k, const char *path, const char *val);
/* The device of user_0/NAME/FILE and FILE, or NULL. */
struct fake_dev *fake_configfs_find(struct fake_kernel *k, const char *path, const char **file);

/* fake-target.c; with the lock held. path: below target/. */
struct fake_attr *fake_attr_in(struct fake_attr *list, const char *name);
void fake_attr_put(struct fake_attr **list, const char *name, bool link, const char *val);
void fake_attr_free_all(struct fake_attr **list);
int64_t fake_target_op(struct fake_kernel *k, uint32_t op, const char *path, char *val,
		       size_t size);
/* alua/GROUP/members as the kernel writes it (target_core_configfs.c): a NUL behind each line. */
size_t fake_members(const char *lines, char *val, size_t size);

/* fake-serve.c */
void *fake_serve(void *k);
/* With the lock held. */
void fake_send_event(struct fake_kernel *k, struct fake_dev *dev, const struct tcmu_event *ev);
void fake_client_free(struct fake_kernel *k, int i);

#endif
