/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GlusterFS' libraries leave some memory behind, 10 KiB a process, and more of a connection that the end of the process
 * ends. Threads of theirs which end when OpenSSL has cleaned up at exit lose its error state, of 904 bytes. What is ours
 * is still found: nothing here but those libraries uses OpenSSL.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libglusterfs\nleak:libgfapi\nleak:libgfrpc\nleak:libcrypto\n";
}
