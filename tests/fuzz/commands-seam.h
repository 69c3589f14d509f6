/* SPDX-License-Identifier: Apache-2.0 */
/* In front of every source of fuzz-commands (-include): time passes, and the device's thread wakes up, as
 * the input says; the main loop's time-outs are over when that thread sleeps. */
#ifndef COMMANDS_SEAM_H
#define COMMANDS_SEAM_H

#include <sys/epoll.h>
#include <time.h>

#define g_source_set_ready_time commands_ready_time
#include <glib.h>

int commands_clock(clockid_t clock, struct timespec *now);
int commands_wait(int fd, struct epoll_event *events, int max, int timeout_ms);

#define clock_gettime commands_clock
#define epoll_wait    commands_wait

#endif
