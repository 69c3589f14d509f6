/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program on libtcmu and the fake kernel in one process: a master thread here, and a ring thread, an
 * initiator and whatever else in the test.
 */
#ifndef TESTS_RING_LIB_RIG_H
#define TESTS_RING_LIB_RIG_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "libtcmu.h"
#include "rig.h"

#include "fake-kernel.h"

static struct fake_kernel *k;
static struct tcmu_device *_Atomic served; /* what the ring thread works on */
static _Atomic(bool) stop, ring_idle;      /* ring_idle: set by the ring thread when !served */
static _Atomic(unsigned long) wrong;
static _Atomic(int) last_wrong;
#define WRONG() went_wrong(__LINE__)

static inline void went_wrong(int line)
{
	last_wrong = line;
	wrong++;
}

static int lib_rig_added(struct tcmu_device *dev)
{
	int ret = tcmulib_device_start(dev);

	if (!ret)
		served = dev;
	return ret;
}

/* The ring thread lets go first: only then does the library unmap. */
static void lib_rig_removed(struct tcmu_device *dev)
{
	(void)dev;
	served = NULL;
	ring_idle = false;
	while (!ring_idle && !stop)
		usleep(100);
}

static void *lib_rig_master(void *arg)
{
	struct tcmulib_context *ctx = arg;
	struct pollfd p = { .fd = tcmulib_get_master_fd(ctx), .events = POLLIN };

	while (!stop) {
		poll(&p, 1, 10);
		if (tcmulib_master_fd_ready(ctx))
			WRONG();
	}
	return NULL;
}

/* Runs test() with everything there. */
static inline void lib_rig_run(void *(*ring_thread)(void *), void (*test)(void))
{
	struct tcmulib_handler handler = { .name = "test",
					   .subtype = "test",
					   .added = lib_rig_added,
					   .removed = lib_rig_removed };
	struct tcmulib_context *ctx;
	pthread_t t[2];

	stop = false;
	wrong = 0;
	k = fake_kernel_new();
	assert_non_null(k);
	ctx = tcmulib_initialize(&handler, 1);
	assert_non_null(ctx);
	pthread_create(&t[0], NULL, ring_thread, NULL);
	pthread_create(&t[1], NULL, lib_rig_master, ctx);
	test();
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	tcmulib_close(ctx);
	fake_kernel_free(k);
}

#endif
