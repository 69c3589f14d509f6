/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GLib is not instrumented, and its locks are futexes of its own: when the table of a main context's
 * sources grows, ThreadSanitizer sees a realloc() in two threads and no lock. Nothing of ours calls
 * g_realloc() on memory that threads share.
 */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "race:^g_realloc$\n";
}
