/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks into devices' configfs directories, each on a thread of its own: while a REMOVED waits for its
 * answer the lookup sleeps uninterruptibly (configfs_rmdir() holds the directory's lock). One thread
 * calls these.
 */
#ifndef LIB_LOOKS_H
#define LIB_LOOKS_H

#include "lib/kernel.h"

struct tcmu_look;

/* Those that have not come back, newest first. All zero at first. */
struct tcmu_looks {
	const char *root; /* the configfs directory target/core */
	struct tcmu_look *stuck;
};

/* See inspect() of struct tcmu_kernel_ops. Who could not be looked at is not looked at by a second thread
 * before the first has come back. */
void tcmu_looks_at(struct tcmu_looks *looks, struct tcmu_found *dev, size_t n);

/* Has one not come back? Ends those that have. */
bool tcmu_looks_stuck(struct tcmu_looks *looks);

/* At the end: leaks those that have not. */
void tcmu_looks_leave(struct tcmu_looks *looks);

#endif
