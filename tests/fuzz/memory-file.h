/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One open file whose contents are in this process: system calls would take most of a fuzzer's time. The
 * program is linked with --wrap for what memory-file.c defines; all other descriptors are the kernel's.
 */
#ifndef FUZZ_MEMORY_FILE_H
#define FUZZ_MEMORY_FILE_H

#include <stddef.h>

/* From now on whatever has been opened of this file (a memfd) is it: empty. */
void memory_file_begin(int fd);
/* Empty again. */
void memory_file_clear(void);

#endif
