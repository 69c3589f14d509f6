/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon wants of the machine before it starts. */
#ifndef DAEMON_SYSTEM_H
#define DAEMON_SYSTEM_H

/* RLIMIT_NOFILE; as many as allowed if not all. Never fatal. */
void daemon_limit_nofile(int nofile);
/* Tells the kernel that we are in the path of writing back dirty pages (a LUN may be a disk of this very
 * machine): our allocations and writes must not wait for that. Before any thread. Never fatal. */
void daemon_io_flusher(void);
/* No huge pages for this process: a thread's stack that happens to lie right would take 2 MiB for some kB. Before any
 * thread. Never fatal. */
void daemon_no_huge_pages(void);
/* Loads target_core_user. Never fatal: it may be built in, or loaded outside our container. */
void daemon_load_module(void);

#endif
