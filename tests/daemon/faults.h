/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of faults share: a daemon for each test, and the strings of handler-slow.c. */
#ifndef TESTS_DAEMON_FAULTS_H
#define TESTS_DAEMON_FAULTS_H

#include <stdatomic.h>

#include "daemon-test.h"

extern struct world w;

/* cmocka: before and after each test. */
int faults_open(void **state);
int faults_close(void **state);

/* handlers: the directory of the good ones, TCMU_HANDLERS, or of the others, TCMU_TEST_HANDLERS. */
void start(const char *handlers, const char *open_sec, const char *stop_sec);
/* The same, but it may end before it is ready. */
void spawn(const char *handlers, const char *open_sec, const char *stop_sec);
void start_usual(const char *handlers);
void stop(void);
/* What the daemon has said since it was started; in a static buffer. */
const char *said(void);
unsigned int count(const char *text, const char *word);

/* ---- a unit of handler-slow.c ---- */

int slow_create(const char *name, struct fake_dev **dev);
struct fake_dev *slow_lun(const char *name);
/* What begins and ends in it, a line each, over all its lives; in a static buffer. */
const char *trace(const char *lun);
/* Until this line is there for the nth time. */
void reached(const char *lun, const char *line, unsigned int n);
/* From now on calls of this callback do not come back, until let_go(). */
void hold(const char *lun, const char *callback);
void let_go(const char *lun, const char *callback);
/* From now on open or reconfig fails with EIO; off: no more. */
void spoil(const char *lun, const char *callback, bool on);

/* ---- commands ---- */

extern const uint8_t read_one[16], write_one[16];

/* A command in flight, with room for a block. */
struct bg {
	struct fake_cmd cmd;
	uint8_t buf[512];
	_Atomic(bool) done;
};

void bg_submit(struct fake_dev *dev, struct bg *bg, const uint8_t *cdb, enum fake_dir dir);
void bg_wait(struct bg *bg);

/* GOOD: 0; a unit attention: its additional sense code, asc << 8 | ascq. */
unsigned int test_unit_ready(struct fake_dev *dev);
uint64_t capacity(struct fake_dev *dev); /* bytes */
bool write_cache(struct fake_dev *dev);  /* WCE of the current values */
void select_write_cache(struct fake_dev *dev, bool on);
/* fake_dev_reconfig(), also when an earlier one is just being finished. */
int reconfig_soon(struct fake_dev *dev, const char *attr, const char *val);

#endif
