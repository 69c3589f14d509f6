/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GlusterFS' libraries leave some memory behind, 10 KiB a process, and more of a connection that the end of the process
 * ends. What is ours is still found.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libglusterfs\nleak:libgfapi\nleak:libgfrpc\n";
}
