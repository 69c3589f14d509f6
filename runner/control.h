/* SPDX-License-Identifier: Apache-2.0 */
/* What others may ask of the runner while it runs. Main thread. */
#ifndef RUNNER_CONTROL_H
#define RUNNER_CONTROL_H

/* These subtypes are served by other processes, NULL at the end; replaces an earlier list. What --foreign says
 * stays. Before runner_start() it is remembered. */
void runner_leave_to_others(const char *const *subtypes);

struct runner_limits;

/* open_sec, close_sec and stop_sec from now on, for what begins then. The rest is not looked at. */
void runner_set_limits(const struct runner_limits *limits);

/* Each command of these devices is told of in the log from now on, and of no others; also of such that come later.
 * "user_0/name" or "name", NULL at the end; NULL: of none. */
void runner_set_trace(const char *const *names);

#endif
