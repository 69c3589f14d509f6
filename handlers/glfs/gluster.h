/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The glfs handler's own: a file of a GlusterFS volume as a logical unit, through libgfapi. What begins with
 * glfs_ is that library's, what begins with gluster_ is ours.
 */
#ifndef GLFS_GLUSTER_H
#define GLFS_GLUSTER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glusterfs/api/glfs.h>

#include "tcmu-runner.h"

#define GLUSTER_SUBTYPE "glfs"

/* ---- clock.c ---- */

/* Milliseconds, good enough for waiting. */
uint64_t gluster_now_ms(void);
void gluster_cond_init(pthread_cond_t *cond);
/* As pthread_cond_timedwait(), until gluster_now_ms() is ms. */
int gluster_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t ms);

/* ---- options.c: glfs/VOLUME@HOST/PATH[;OPTION]... ---- */

#define GLUSTER_SERVERS_MAX 8

struct gluster_server {
	const char *transport; /* "tcp" or "unix" */
	char *host;            /* or the path of the socket */
	int port;              /* 0 for unix */
};

struct gluster_options {
	char *volume;
	char *path; /* within the volume, from its root: begins with '/' */
	struct gluster_server servers[GLUSTER_SERVERS_MAX];
	size_t server_count;
	char *log;     /* libgfapi's log file */
	int log_level; /* 1 to 9, as libgfapi counts */
	unsigned int
		timeout; /* seconds until a brick that says nothing is given up; 0: as the volume says */
	uint32_t phys_size; /* bytes of a physical block */
	bool create;
	bool read_only;
	bool removable;
};

/* 0 or -errno with *reason a malloc'ed sentence (NULL: no memory). On 0 free with the next one. */
int gluster_options_parse(const char *cfgstring, struct gluster_options *opts, char **reason);
void gluster_options_free(struct gluster_options *opts);

/* *reason becomes the sentence. Returns -err. */
int gluster_refuse(char **reason, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- volume.c: connections, shared by all logical units that want the same one ---- */

struct gluster_volume;

/*
 * A connection to the volume: one that is there, or a new one. Waits for it, at most timeout_ms. Any thread.
 * 0 or -errno with *reason. Give it back with the next one.
 */
int gluster_volume_get(const char *cfgstring, const struct gluster_options *opts,
		       unsigned int timeout_ms, struct gluster_volume **volume, char **reason);
/* bad: it was of no use; if nobody else uses it, it is ended now, and whoever comes next makes another one. Never
 * blocks. */
void gluster_volume_put(struct gluster_volume *volume, bool bad);
glfs_t *gluster_volume_fs(struct gluster_volume *volume);

/* The end of the process is near: nothing is shut down in good order any more. */
void gluster_volume_stop(void);

/* ---- target.c: the file ---- */

/* A logical unit's claim on a file, in a table of this process. Its owner's memory. */
struct gluster_claim {
	struct gluster_claim *next;
	struct tcmu_device *dev;
	char volume_id[16];
	ino_t node;
	bool shared;
};

struct gluster_target {
	struct gluster_volume *volume;
	struct gluster_claim claim;
	glfs_fd_t *fd;
	uint64_t size; /* bytes */
	bool unmap;    /* the bricks can deallocate */
};

/*
 * Connects, opens, claims and measures. dev NULL: only looks, and opens for reading. size is the dev_size of
 * configfs, for ;create. May block. 0 or -errno with *reason.
 */
int gluster_target_open(const char *cfgstring, const struct gluster_options *opts,
			struct tcmu_device *dev, uint64_t size, struct gluster_target *target,
			char **reason);
void gluster_target_close(struct gluster_target *target);

/* The size now, or -errno. */
int64_t gluster_target_size(glfs_fd_t *fd);

/* ---- check.c ---- */

/* Answers within two seconds, whatever the servers do. */
bool gluster_check_config(const char *cfgstring, char **reason);
/* Waits a little for checks that nobody waits for any more. */
void gluster_check_stop(void);

/* ---- lock.c: one gateway writes at a time ---- */

struct gluster_cmd;
struct gluster_lun;

struct gluster_lock {
	pthread_mutex_t mutex; /* a leaf: nothing is called under it */
	pthread_cond_t cond;   /* the keeper waits for it */
	pthread_t keeper;      /* asks for it, and looks whether the volume is back */
	bool running;          /* there is a keeper */
	bool stop;
	bool none;   /* no lock is needed, or none can be had */
	bool fenced; /* the bricks refuse who does not have it, and give it to whoever asks */
	bool held;
	bool told; /* that another one has it */
	unsigned int inside;
	struct gluster_cmd *first, **last; /* these wait for it */
	uint64_t used_ms, renewed_ms, lost_ms;
};

/* With the target open. 0 or -errno with *reason. */
int gluster_lock_init(struct gluster_lock *lock, struct tcmu_device *dev, bool read_only,
		      char **reason);
/* Nobody is inside. May block. */
void gluster_lock_fini(struct gluster_lock *lock, glfs_fd_t *fd);

/* Calls gc->start(gc) once this gateway has the lock: now, or later on the keeper. Or ends the command. Any thread. */
void gluster_lock_enter(struct gluster_cmd *gc);
/* It goes on with gc->start(gc), on a thread that may. Any thread. */
void gluster_lock_again(struct gluster_cmd *gc);
/* Whoever was started is done. */
void gluster_lock_leave(struct gluster_lock *lock);
/* The bricks may have forgotten it. */
void gluster_lock_doubt(struct gluster_lock *lock);
/* A brick has said that another gateway has taken it. */
void gluster_lock_lost(struct gluster_lock *lock);
/* The initiator does not want this command any more: true if it was waiting, and does no more. */
bool gluster_lock_cancel(struct gluster_cmd *gc);

/* ---- outage.c: the volume is out of reach ---- */

struct gluster_outage {
	_Atomic bool on;
	/* Looks have succeeded since then; 0: the last one has not. The keeper's. */
	uint64_t good_since_ms;
};

/* Would this error of an operation go away on another gateway, or by itself? */
bool gluster_is_out_of_reach(int err);
/* It has been met. Any thread. */
void gluster_outage_begin(struct gluster_lun *lun);
/* Looks, and may take as long as the bricks do. True: commands may go on. The keeper. */
bool gluster_outage_is_over(struct gluster_lun *lun);

/* ---- io.c, provision.c, status.c, saved.c: commands ---- */

/* An open logical unit. */
struct gluster_lun {
	struct tcmu_device *dev;
	struct gluster_target target;
	struct gluster_lock lock;
	bool read_only;

	/* What was answered and what is durable of it, under flush_mutex: a leaf. */
	pthread_mutex_t flush_mutex;
	uint64_t written; /* so many writes were answered that nobody has flushed when they were */
	uint64_t flushed; /* so many of them are durable, or were told to be lost */
	bool doubt;       /* a brick was out of reach meanwhile */

	struct gluster_outage outage;
	_Atomic int errno_said;
	_Atomic bool shrunk_said;
};

/* tcmur_cmd_priv() */
struct gluster_cmd {
	struct tcmur_io io; /* first: a step on a worker gets back from it */
	struct tcmu_device *dev;
	struct tcmur_cmd *cmd;
	struct gluster_lun *lun;
	const char *what; /* it does, for messages */
	int medium_sts;   /* TCMU_STS_RD_ERR or TCMU_STS_WR_ERR */
	union {
		struct iovec *iov;
		struct tcmur_extent *extents; /* gluster_lba_status() */
		const void *saved;            /* gluster_store_saved() */
	};
	size_t iov_cnt; /* or how many extents */
	uint64_t off, len;
	uint64_t step;   /* bytes that provision.c has asked for */
	uint64_t number; /* of the last write before this flush */

	/* lock.c */
	struct gluster_cmd *next;
	void (*start)(struct gluster_cmd *gc);
	uint64_t since_ms;
	bool waits;
	bool inside;
};

/* The command's memory, filled in. */
struct gluster_cmd *gluster_cmd_begin(struct tcmu_device *dev, struct tcmur_cmd *cmd,
				      const char *what, int medium_sts);
/* It was a success, or something that needs no words. Any thread, once. */
void gluster_cmd_end(struct gluster_cmd *gc, int sts);
/* Ends it with what errno err at byte gc->off means. */
void gluster_cmd_fail(struct gluster_cmd *gc, int err);
/* NOT READY, since another gateway has the lock. */
void gluster_cmd_standby(struct gluster_cmd *gc);
/* True: the volume is out of reach, and the command was told so. */
bool gluster_cmd_is_in_vain(struct gluster_cmd *gc);
/* It has changed something, and is not durable yet. */
void gluster_cmd_written(struct gluster_cmd *gc);

int gluster_handle_cmd(struct tcmu_device *dev, struct tcmur_cmd *cmd);
void gluster_cancel(struct tcmu_device *dev, struct tcmur_cmd *cmd);
int gluster_read(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		 size_t len, off_t off);
int gluster_write(struct tcmu_device *dev, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		  size_t len, off_t off);
int gluster_flush(struct tcmu_device *dev, struct tcmur_cmd *cmd);
int gluster_unmap(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len);
int gluster_writesame(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		      struct iovec *iov, size_t iov_cnt);
int gluster_lba_status(struct tcmu_device *dev, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
		       struct tcmur_extent *extents, size_t max);

/* Saved mode pages are an extended attribute of the file. */
ssize_t gluster_load_saved(struct tcmu_device *dev, void *data, size_t size);
int gluster_store_saved(struct tcmu_device *dev, struct tcmur_cmd *cmd, const void *data,
			size_t len);

/* On any thread of the device. */
int gluster_provisioning(struct tcmu_device *dev, uint64_t *used, uint64_t *available);

#endif
