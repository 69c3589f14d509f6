/* SPDX-License-Identifier: Apache-2.0 */
/* The config string: qcow/PATH[;OPTION]... */
#ifndef QCOW_OPTIONS_H
#define QCOW_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define QCOW_SUBTYPE "qcow"

#define QCOW_CACHE_LEAST   (64ull << 10)
#define QCOW_CACHE_MOST    (16ull << 30)
#define QCOW_CACHE_DEFAULT (32ull << 20)

#define QCOW_PHYS_LEAST 512
#define QCOW_PHYS_MOST  65536

struct qcow_options {
	char *path; /* absolute */
	bool read_only;
	char *snapshot;     /* a name or an ID; NULL: the active state */
	uint64_t cache;     /* bytes of L2 tables in memory at most */
	uint32_t phys_size; /* bytes of a physical block; 0: as large as a logical one */
	bool removable;
};

/* 0 or -errno with *reason a malloc'ed sentence (NULL: no memory). On 0 free with the next one. */
int qcow_options_parse(const char *cfgstring, struct qcow_options *opts, char **reason);
void qcow_options_free(struct qcow_options *opts);

#endif
