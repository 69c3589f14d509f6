/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that notes what it is told, and a program with one handler: for the tests of events. */
#ifndef TESTS_UNIT_LIB_EVENTS_RIG_H
#define TESTS_UNIT_LIB_EVENTS_RIG_H

#include "lib/context.h"
#include "lib/device.h"
#include "test.h"

struct tcmu_kernel {
	int fd; /* an eventfd: how many events are queued */
};

struct noted_kernel {
	struct tcmu_kernel k;
	struct tcmu_event events[16];
	int event_count;
	bool overflow;
	bool reply_on;
	bool left;
	struct {
		enum tcmu_event_type type;
		uint32_t device_id;
		int status;
		bool mapped; /* a ring was mapped, or a descriptor open, when it came */
	} replies[16];
	int reply_count;
	struct tcmu_found found[16];
	int found_count;
	bool stuck, look_stuck;
	int others;        /* what other_listener() says */
	int inspect_error; /* of a device that does not exist */
	int inspections;   /* calls of inspect() */
	int released;
	int reply_error; /* what the next reply gets */
	int kicks;
	void (*on_kick)(void);
	int reads;        /* of attributes */
	int fail_unblock; /* so many times */
	uint32_t tail;    /* of the ring, when it is mapped */
	int busy_opens;   /* the next opens fail with EBUSY */
	uint32_t stale;   /* minor N is another device by now, or none; 0: no minor */
	int peers[16];    /* of the descriptors of minor N */
	void *maps[16];
	bool dirty; /* a command is on each ring, from nobody */
	char written[256];
};
extern struct noted_kernel kernel;

extern int event_storm; /* the first event comes so many times */

struct program {
	struct tcmu_device *dev; /* of the last added() */
	struct tcmulib_cfg_info cfg;
	char cfgstring[64];
	int added, removed, reconfigs;
	int status; /* what callbacks return */
	bool defer;
	bool start;
};
extern struct program prog;

extern struct tcmulib_context *ctx;

void push(const struct tcmu_event *ev);
/* An event of the device at minor, whose DEVICE_ID is 100 more. */
void event(enum tcmu_event_type type, uint32_t minor, const char *config);
/* The scan finds it. */
void exists(uint32_t minor, const char *config, bool enabled);

void start(void);
/* One turn of the program's loop. True if there was something to do. */
bool turn(void);
/* Time passes: deadlines are in ms of CLOCK_MONOTONIC. */
void later(unsigned int seconds);
void assert_reply(int i, enum tcmu_event_type type, uint32_t minor, int status);

/* Has the program the descriptor of the device at minor? */
bool still_open(uint32_t minor);

int setup(void **state);
int teardown(void **state);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
