/* SPDX-License-Identifier: Apache-2.0 */
/* Single commands of glfs-lun. */
#ifndef TESTS_GLFS_LUN_H
#define TESTS_GLFS_LUN_H

#include <stdio.h>

#include "stress.h"

/* One command and its answer; data is what is sent or filled. 0 or -ETIMEDOUT. */
int lun_once(struct fake_ring *r, struct fake_cmd *cmd, const uint8_t *cdb, size_t cdb_len,
	     enum fake_dir dir, void *data, size_t len, int timeout_ms);
/* The same; BUSY, TASK SET FULL and unit attentions are retried for as long. */
int lun_exec(struct fake_ring *r, struct fake_cmd *cmd, const uint8_t *cdb, size_t cdb_len,
	     enum fake_dir dir, void *data, size_t len, int timeout_ms);
/* "ok", "status 02 sense 2/04/00", or that there was no answer. */
void lun_print_status(const struct fake_cmd *cmd, int ret, FILE *to);
/* The bytes that text has in hex, at most max; how many. */
size_t lun_unhex(const char *text, uint8_t *to, size_t max);

#endif
