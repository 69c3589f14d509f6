/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which device was at work when the process died. A thread of the runner's works for one device; if a
 * signal ends the process there (a crash, a failed assertion of a handler or a library), a line in a file
 * names the device. After some such deaths the next process does not serve it, and the others are safe.
 * A death that nobody here is to blame for (SIGKILL) leaves no line.
 *
 * The file has a line for each: the time (seconds since 1970), the signal's number, the device's name.
 */
#ifndef RUNNER_BLAME_H
#define RUNNER_BLAME_H

#define RUNNER_BLAME_MAX 3    /* deaths after which a device is not served */
#define RUNNER_BLAME_SEC 3600 /* a line counts for so long; then it is forgotten */

/* Opens the file, tells what it says, drops old lines, and catches the signals. Main thread, before the
 * first device. path: NULL: without; a file that cannot be opened is a warning. */
void runner_blame_init(const char *path);

/* The calling thread works for this device from now on. name stays valid as long as it does. NULL: for none
 * any more; to be called before the thread ends. */
void runner_blame_thread(const char *name);

/* How often it ended a process, by the file as it is now. Main thread; reads it. */
unsigned int runner_blame_count(const char *name);

/* For messages; "" without one. */
const char *runner_blame_file(void);

#endif
