/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/spin.h"

#include <stdint.h>
#include <sys/resource.h>
#include <time.h>

#define SKIP_MAX         1024
#define LOOKS            16 /* between two looks at the clock */
#define WINDOW           64 /* tries between two looks at the preemptions, which take a system call */
#define PREEMPTED_ONE_IN 8 /* tries */

static unsigned int limit_usec;

void runner_spin_choose(unsigned int usec)
{
	limit_usec = usec;
}

static long preemptions(void)
{
	struct rusage usage = { 0 };

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nivcsw;
}

void runner_spin_init(struct runner_spin *s, bool one_cpu)
{
	*s = (struct runner_spin) { .never = one_cpu };
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool look(bool (*there)(void *arg), void *arg)
{
	uint64_t end = now_ns() + limit_usec * UINT64_C(1000);

	do {
		for (int i = 0; i < LOOKS; i++) {
			if (there(arg))
				return true;
			relax();
		}
	} while (now_ns() < end);
	return false;
}

/* Ends a window of tries. Was it more than now and then that somebody else wanted the processor? */
static bool was_preempted(struct runner_spin *s)
{
	long times = preemptions() - s->preemptions;
	unsigned int tries = s->count;

	s->count = 0;
	return times * PREEMPTED_ONE_IN > tries || (times && tries == 1);
}

static void start_window(struct runner_spin *s)
{
	if (!s->count++)
		s->preemptions = preemptions();
}

bool runner_spin(struct runner_spin *s, bool (*there)(void *arg), void *arg)
{
	bool found;

	if (!limit_usec || s->never)
		return false;
	if (s->skip) {
		s->skip--;
		return false;
	}
	start_window(s);
	found = look(there, arg);
	if (found && s->count < WINDOW) {
		s->failed = 0;
		return true;
	}
	if (was_preempted(s))
		s->failed = SKIP_MAX;
	else if (found)
		s->failed = 0;
	else
		s->failed = s->failed ? s->failed * 2 : 1;
	if (s->failed > SKIP_MAX)
		s->failed = SKIP_MAX;
	s->skip = s->failed;
	return found;
}
