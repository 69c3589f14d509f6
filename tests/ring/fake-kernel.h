/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel for tests: TCM-User devices with rings (fake-ring.h), their configfs attributes, netlink
 * events with replies that somebody waits for, and an initiator. Serves programs linked with
 * kernel-fake.c, in other processes or in this one.
 */
#ifndef TESTS_RING_FAKE_KERNEL_H
#define TESTS_RING_FAKE_KERNEL_H

#include "fake-ring.h"
#include "lib/kernel.h"

struct fake_kernel;
struct fake_dev;

/* With a socket of its own in a fresh directory below TMPDIR. Sets TCMU_FAKE_KERNEL for this process
 * and its children. NULL with errno. */
struct fake_kernel *fake_kernel_new(void);
/* Removes what devices are left, without asking anybody. */
void fake_kernel_free(struct fake_kernel *k);
const char *fake_kernel_path(struct fake_kernel *k);
struct fake_verdicts *fake_kernel_verdicts(struct fake_kernel *k);
bool fake_kernel_replies(struct fake_kernel *k); /* what SET_FEATURES said last */
/* Events are lost from now on (the receive buffer is full); off: the listeners are told so. */
void fake_kernel_lose_events(struct fake_kernel *k, bool on);

/* From now on who looks up attrib/tmr_notification comes just in time for a removal: sleeps until one has
 * begun, and, as always, until that is answered. */
void fake_kernel_late_lookups(struct fake_kernel *k, bool on);
/* From now on some doorbells are heard late, together with those after them. */
void fake_kernel_late_doorbells(struct fake_kernel *k, bool on);
/* How long a doorbell may be missing and a configfs writer waits; default 3 s and 20 s. */
void fake_kernel_set_patience(struct fake_kernel *k, int doorbell_ms, int reply_ms);
/* How long fake_ring_check_patience() waits while a program has the device open; default 20 s. */
void fake_kernel_set_answer_patience(struct fake_kernel *k, int answer_ms);

struct fake_dev_cfg {
	const char *name;   /* user_0/NAME */
	const char *config; /* subtype/... */
	uint64_t size;
	uint32_t block_size; /* hw_block_size; 0: 512 */
	bool no_reply;       /* nl_reply_supported=-1 */
	struct fake_ring_cfg ring;
};

/* The writer of 'enable': waits for ADDED_DONE if the kernel waits. 0 or -errno; *dev is set only
 * with 0. */
int fake_dev_create(struct fake_kernel *k, const struct fake_dev_cfg *cfg, struct fake_dev **dev);
/* Takes the LUN away (its commands end first), then rmdir. *dev is gone afterwards. 0, or
 * -ETIMEDOUT if nobody replied (it is gone all the same). */
int fake_dev_remove(struct fake_dev *dev);
/* Writes to attrib/dev_config, dev_size or emulate_write_cache of a running device. */
int fake_dev_reconfig(struct fake_dev *dev, const char *attr, const char *val);

struct fake_ring *fake_dev_ring(struct fake_dev *dev);
uint32_t fake_dev_minor(struct fake_dev *dev);
/* Has a program this device open? */
bool fake_dev_is_open(struct fake_dev *dev);
/* A copy in buf; false if there is no such file. name: "attrib/cmd_time_out". */
bool fake_dev_attr(struct fake_dev *dev, const char *name, char *buf, size_t size);
void fake_dev_set_attr(struct fake_dev *dev, const char *name, const char *val);

/* ---- what else is below target/ (fake-target.c) ---- */

/* path: "iscsi/iqn.x/tpgt_1/attrib/generate_node_acls". Directories are there while something is in
 * them; a path that ends with '/' is a directory with nothing in it. */
void fake_target_set(struct fake_kernel *k, const char *path, const char *val);
void fake_target_set_link(struct fake_kernel *k, const char *path, const char *to);
/* path and all that is below it. */
void fake_target_remove(struct fake_kernel *k, const char *path);
/* Maps the device as this LUN, "iscsi/iqn.x/tpgt_1", "lun_0", in its default_tg_pt_gp: the link, the
 * relative target port identifier, the line in members. fabric: as the kernel spells it in members. */
void fake_target_map(struct fake_dev *dev, const char *fabric, const char *tpg, const char *lun,
		     unsigned int port);

/* ---- the initiator (initiator.c) ---- */

void fake_cmd_init(struct fake_cmd *cmd, const uint8_t *cdb, size_t cdb_len, enum fake_dir dir,
		   void *data, size_t len);
/* One command and its answer. 0, or -ETIMEDOUT: verdict 7, and the command has expired. */
int fake_exec(struct fake_ring *r, struct fake_cmd *cmd, int timeout_ms);
/* Waits until everything that was submitted is answered and tail == head. 0 or -ETIMEDOUT, with the
 * verdicts of fake_ring_check_idle() in both cases. */
int fake_wait_idle(struct fake_ring *r, int timeout_ms);

#endif
