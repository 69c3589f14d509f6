/* SPDX-License-Identifier: Apache-2.0 */
/* What others may ask of the runner while it runs. Main thread. */
#ifndef RUNNER_CONTROL_H
#define RUNNER_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* These subtypes are served by other processes, NULL at the end; replaces an earlier list. What --foreign says
 * stays. Before runner_start() it is remembered. */
void runner_leave_to_others(const char *const *subtypes);

/* Options that config strings have by default, "SUBTYPE;OPTION;OPTION", NULL at the end: for logical units that are opened
 * from now on, where their own string has no option of that name. */
void runner_set_defaults(const char *const *all);
/* The config string as the handler gets it: without what is the runner's, with the defaults. malloc'ed; NULL: it has
 * a ";tcmur_cmd_time_out=N" with N no whole number. */
char *runner_config_for_handler(const char *cfgstring);

/* What became of it: err 0 or -errno, with a sentence. Main thread, once; not within the call that asks. */
typedef void runner_answer(int err, const char *message, void *arg);

/*
 * Puts another medium into the storage object with this name ("NAME", or "user_N/NAME"), which is served by the handler
 * of this subtype. Its commands come to their end, new ones wait; then cfgstring ("SUBTYPE/CONFIG") is opened and
 * told to the kernel, with size (bytes; 0: what is there), and initiators get the unit attention MEDIUM MAY HAVE
 * CHANGED. If anything of that fails, or takes longer than RUNNER_ANSWER_SEC, all is as before.
 */
#define RUNNER_ANSWER_SEC 20 /* a caller on D-Bus waits for 25 s */
void runner_change_medium(const char *subtype, const char *name, uint64_t size,
			  const char *cfgstring, runner_answer *answer, void *arg);

/* The storage is closed and opened again; one that could not be opened, or is not served because it has ended the daemon
 * too often, is tried at once (then that is the answer, not what comes of it). */
void runner_reopen(const char *name, runner_answer *answer, void *arg);
/* Commands under way end, the storage is flushed and closed: then the answer comes. Commands wait until runner_resume(),
 * which is answered at once, or the end of the daemon. */
void runner_drain(const char *name, runner_answer *answer, void *arg);
void runner_resume(const char *name, runner_answer *answer, void *arg);

/* What a device is and has done since it is served here. */
#define RUNNER_COUNTERS 10
extern const char *const runner_counter_names[RUNNER_COUNTERS];
#define RUNNER_WHY_MAX 400
struct runner_device_info {
	const char *name, *handler, *config, *state; /* until the main loop goes on */
	char error[RUNNER_WHY_MAX];                  /* "": none */
	uint64_t size;                               /* bytes; 0: it has not been opened yet */
	uint32_t block_size;
	bool traced;
	uint64_t counters[RUNNER_COUNTERS];
};
void runner_each_info(void (*show)(const struct runner_device_info *info, void *arg), void *arg);
/* 0, or -errno with a sentence. */
int runner_get_info(const char *name, struct runner_device_info *info, char why[RUNNER_WHY_MAX]);
/* changed() is called, on the main thread, with the name of each device that has come to another state, as above, or is
 * gone ("gone"). NULL: no more. */
void runner_watch_states(void (*changed)(const char *name, const char *state));

struct runner_limits;

/* open_sec, close_sec and stop_sec from now on, for what begins then. The rest is not looked at. */
void runner_set_limits(const struct runner_limits *limits);

/* Each command of these devices is told of in the log from now on, and of no others; also of such that come later.
 * "user_0/name" or "name", NULL at the end; NULL: of none. */
void runner_set_trace(const char *const *names);
/* Of this one, until runner_set_trace(). 0, or -errno with a sentence. */
int runner_trace(const char *name, bool on, char why[RUNNER_WHY_MAX]);

/* changed() is called from the main loop whenever a device has come or gone; NULL: no more. One at a time. */
void runner_watch_devices(void (*changed)(void));

#endif
