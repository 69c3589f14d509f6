/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of configfs: small texts with a newline at the end. root is the directory that paths are
 * below (/sys/kernel/config/target/core for the real one). Any thread. Every call may block: while
 * the kernel waits for the answer to REMOVED, a look into that device's directory waits too.
 */
#ifndef LIB_CONFIGFS_H
#define LIB_CONFIGFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The text of root/path without its last newline, NUL-terminated, cut to size. Bytes or -errno. */
ssize_t tcmu_configfs_read(const char *root, const char *path, char *buf, size_t size);

/* Writes val with one write(2). 0 or -errno. */
int tcmu_configfs_write(const char *root, const char *path, const char *val);

/* Where the symbolic link root/path leads, NUL-terminated. Bytes or -errno, -E2BIG. */
ssize_t tcmu_configfs_link(const char *root, const char *path, char *buf, size_t size);

/* The names in the directory root/path, each with its NUL, one behind the other; bytes used or -errno,
 * -E2BIG: there are more. */
ssize_t tcmu_configfs_list(const char *root, const char *path, char *buf, size_t size);

/*
 * dev_size, in bytes, from the text of "info": "... Config: CONFIG Size: BYTES MaxDataAreaMB: ..."
 * (target_core_user.c: tcmu_show_configfs_dev_params()). CONFIG may hold anything, so it is looked
 * for from the right. 0 or -EINVAL. Pure.
 */
int tcmu_configfs_info_size(const char *info, uint64_t *size);

/* A decimal number and nothing else, but blanks around it. 0, -EINVAL or -ERANGE. Pure. */
int tcmu_configfs_parse_u64(const char *text, uint64_t *value);

#endif
