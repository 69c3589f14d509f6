/* SPDX-License-Identifier: Apache-2.0 */
/* All devices together, on the main thread: kernel events to devices, deadlines, the orderly end.
 * Nothing here blocks on a handler. Needs a running GLib main loop (default context). */
#ifndef RUNNER_MANAGER_H
#define RUNNER_MANAGER_H

#include <stdbool.h>

#include "runner/uring.h"

struct runner_limits {
	enum runner_engine engine;
	unsigned int gather_usec; /* runner/gather.h */
	unsigned int spin_usec;   /* runner/spin.h */
	int nice;                 /* of the devices' threads, -20 to 19 */
	unsigned int open_sec;    /* the answer to ADDED and RECONFIG at the latest */
	unsigned int close_sec;   /* the answer to REMOVED at the latest */
	unsigned int stop_sec;    /* runner_stop() gives up on hung devices */
	const char *blame_file;   /* runner/blame.h; or NULL */
};

/* Connects to the kernel, with a device for each that exists already. foreign: NULL, or the subtypes that
 * belong to other daemons, NULL at the end; not even a handler that is loaded here gets their devices.
 * 0 or -errno. */
int runner_start(const struct runner_limits *limits, const char *const *foreign);

struct runner_dev;

/* For runner/control.c: each device, oldest first, until it returns false. */
void runner_each_device(bool (*look)(struct runner_dev *rdev, void *arg), void *arg);

/* For runner/control.c: one that existed, and could not be started yet, is tried, whatever it is blamed for. */
void runner_start_now(struct runner_dev *rdev);

/* Devices that are served or about to be. */
unsigned int runner_device_count(void);

/* Does another daemon follow at once, in this process? Then runner_stop() leaves creations to it. */
void runner_set_successor(bool on);

/* Stops all devices: what is in flight is finished. done(hung) is called from the main loop, hung
 * being the number of devices that did not end in time; with 0 all has been released. */
void runner_stop(void (*done)(unsigned int hung));

#endif
