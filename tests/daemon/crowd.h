/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of bad input share: other people at other shells, a unit that must not notice
 * anything, and a look at what the daemon has and says. */
#ifndef TESTS_DAEMON_CROWD_H
#define TESTS_DAEMON_CROWD_H

#include <pthread.h>

#include "faults.h"

/* How many times slower a sanitizer makes everything. */
#if defined(__SANITIZE_THREAD__)
#define SLOWER 6
#elif defined(__SANITIZE_ADDRESS__)
#define SLOWER 4
#else
#define SLOWER 1
#endif

/* Somebody who creates, changes or removes a unit, and waits for it. The caller fills in what comes
 * first; name and config stay the caller's. */
struct shell {
	const char *name, *config;
	uint64_t size;
	struct fake_dev *dev; /* made by a creation that succeeds */
	const char *attr, *val;

	pthread_t thread;
	int ret;
	unsigned int ms; /* how long it took */
	_Atomic(bool) done;
};

void shell_create(struct shell *sh);
void shell_remove(struct shell *sh);
void shell_reconfig(struct shell *sh);
int shell_wait(struct shell *sh); /* its result */

/* A directory with both the good handlers and those that misbehave; in a static buffer. */
const char *all_handlers(void);

/* A unit over a file with a load on it, beside which the test happens. */
void witness_start(unsigned int seed);
/* cmocka: faults_open(), with the patience that a slow build needs. */
int crowd_open(void **state);
/* cmocka: faults_close(), also after a test that failed beside the witness. */
int crowd_close(void **state);
/* It has been served all the time, still is, and what it read was right; removes it. */
void witness_end(void);

/* What the daemon has. Workers come and go as there is work: they do not count. */
struct usage {
	unsigned int devices; /* threads of devices */
	unsigned int files;   /* descriptors of anything but a socket */
	unsigned int sockets; /* some more or less are kept for calls to the fake kernel */
	unsigned int rings;   /* mappings */
};

void usage_now(struct usage *u);
/* Until it has what it had before; says what it has too much if that does not come. */
bool usage_is_back(const struct usage *before);

/* No line in its log that it did not begin itself, no control character, no broken UTF-8. */
void log_is_clean(void);

/* How many of a number of things to do: a sanitizer makes everything slower. */
unsigned int scaled(unsigned int n);

/* The random numbers of a test: TCMU_TEST_SEED in the environment, or this one. Said on stdout. */
unsigned int test_seed(unsigned int usual);

#endif
