/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qcow handler on an engine that does one operation at a time, in an order that a seed decides: any of
 * those that have been asked for may be the next to be done.
 */
#ifndef QCOW_RIG_H
#define QCOW_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcmu-runner.h"

#define RIG_COMMANDS 64

struct rig_cmd {
	struct tcmur_cmd pub; /* first */
	_Alignas(16) uint8_t priv[1024];
	bool busy;
	bool held;   /* by who began it, who has not looked at sts yet: no new one gets this */
	bool fua;    /* of a write; set by who begins it */
	bool atomic; /* as above */
	int sts;     /* once it is not busy */
	bool error_off_valid;
	uint64_t error_off;
};

extern struct rig_cmd rig_cmds[RIG_COMMANDS];
extern char rig_error[2048];     /* the last thing said at level error */
extern uint64_t rig_size;        /* bytes, of the open device */
extern unsigned int rig_fail_in; /* n: the nth operation from now on fails with EIO; 0: none */

void rig_seed(uint64_t seed);
uint64_t rig_random(uint64_t below);

/* size: dev_size, or 0. 0 or -errno. */
int rig_open(const char *cfgstring, uint64_t size);
/* Every command is done. False: operations of the handler's own were not, and the runner does not wait for
 * those. */
bool rig_close(void);

/* A command that is not busy; marks it as busy. NULL: all are. */
struct rig_cmd *rig_begin(void);
/* What a callback of the handler has returned for rc. */
void rig_returned(struct rig_cmd *rc, int sts);
/* Does one of the operations. False: there is none. */
bool rig_step(void);
extern unsigned long rig_steps; /* so many it has done */
/* Until rc is not busy. */
int rig_finish(struct rig_cmd *rc);

/* len bytes at buf in pieces, as the data area has them; how many, at most max. */
size_t rig_cut(struct iovec *iov, size_t max, void *buf, size_t len);

/* One command, alone. The outcome. */
int rig_read(void *buf, size_t len, uint64_t off);
int rig_write(void *buf, size_t len, uint64_t off, bool fua);
int rig_flush(void);
int rig_unmap(uint64_t off, uint64_t len);
/* A new size, in bytes, as the runner hands it on. 0 or -errno. */
int rig_resize(uint64_t size);

extern struct tcmur_handler *rig_handler;
extern struct tcmu_device *const rig_dev;

#endif
