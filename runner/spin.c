/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/spin.h"

#include "runner/clock.h"

#define SKIP_MAX         1024
#define LOOKS            16 /* between two looks at the clock */
#define WINDOW           64 /* tries between two looks at the preemptions, which take a system call */
#define PREEMPTED_ONE_IN 8 /* tries */

static unsigned int limit_usec;

void runner_spin_choose(unsigned int usec)
{
	limit_usec = usec;
}

void runner_spin_init(struct runner_spin *s, bool one_cpu)
{
	*s = (struct runner_spin) { .never = one_cpu };
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
	int64_t end = runner_now_ns() + (int64_t)limit_usec * 1000;

	do {
		for (int i = 0; i < LOOKS; i++) {
			if (there(arg))
				return true;
			relax();
		}
	} while (runner_now_ns() < end);
	return false;
}

/* Ends a window of tries. Was it more than now and then that somebody else wanted the processor? */
static bool was_preempted(struct runner_spin *s)
{
	long times = runner_preemptions() - s->preemptions;
	unsigned int tries = s->count;

	s->count = 0;
	return times * PREEMPTED_ONE_IN > tries || (times && tries == 1);
}

static void start_window(struct runner_spin *s)
{
	if (!s->count++)
		s->preemptions = runner_preemptions();
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
