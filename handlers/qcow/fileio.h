/* SPDX-License-Identifier: Apache-2.0 */
/* Files, without what one has to think of at each call. All of it blocks. */
#ifndef QCOW_FILEIO_H
#define QCOW_FILEIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the file has of len bytes at off: how many, or -errno. */
ssize_t qcow_pread_some(int fd, void *buf, size_t len, uint64_t off);
/* All of len bytes at off: 0; -ENODATA if the file ends before; -errno. */
int qcow_pread(int fd, void *buf, size_t len, uint64_t off);
/* All of len bytes at off; 0 or -errno. */
int qcow_pwrite(int fd, const void *buf, size_t len, uint64_t off);
/* The same, on stable storage when it returns. It is one call: whoever finds these bytes in the file, though their
 * writer was killed, finds them durable. */
int qcow_pwrite_durable(int fd, const void *buf, size_t len, uint64_t off);
/* fdatasync(2); 0 or -errno. */
int qcow_sync(int fd);

#endif
