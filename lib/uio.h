/* SPDX-License-Identifier: Apache-2.0 */
/* /dev/uioN and its side of sysfs. Any thread, no state. */
#ifndef LIB_UIO_H
#define LIB_UIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor (non-blocking, close-on-exec) or -errno; -EBUSY: somebody has it open. */
int tcmu_uio_open(uint32_t minor);

/* Maps all of the device: the kernel takes no other size (target_core_user.c: tcmu_mmap()).
 * 0 or -errno. */
int tcmu_uio_map(uint32_t minor, int fd, void **map, size_t *len);

/* Takes note of all events up to now. 0 (also if there were none) or -errno. */
int tcmu_uio_ack(int fd);

/* Tells the kernel to look at the ring; it does so before this returns. 0 or -errno. */
int tcmu_uio_kick(int fd);

/* name becomes that of a uio device, at most size - 1 bytes. Its length or -errno. */
ssize_t tcmu_uio_name(uint32_t minor, char *name, size_t size);

/* Calls found() for each uio device whose name starts with "tcm-user/" and that can be mapped: not for
 * one that the kernel has made in part, whose event is still to come. 0 or -errno. */
int tcmu_uio_scan(void (*found)(uint32_t minor, const char *name, void *arg), void *arg);

#endif
