/* SPDX-License-Identifier: Apache-2.0 */
#include "lun.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define AGAIN_MS 5

int lun_once(struct fake_ring *r, struct fake_cmd *cmd, const uint8_t *cdb, size_t cdb_len,
	     enum fake_dir dir, void *data, size_t len, int timeout_ms)
{
	fake_cmd_init(cmd, cdb, cdb_len, dir, data, len);
	return fake_exec(r, cmd, timeout_ms);
}

int lun_exec(struct fake_ring *r, struct fake_cmd *cmd, const uint8_t *cdb, size_t cdb_len,
	     enum fake_dir dir, void *data, size_t len, int timeout_ms)
{
	uint64_t end = fake_now_ms() + (uint64_t)timeout_ms, now;
	int ret;

	while ((now = fake_now_ms()) < end) {
		ret = lun_once(r, cmd, cdb, cdb_len, dir, data, len, (int)(end - now));
		if (ret || !stress_wants_retry(cmd))
			return ret;
		poll(NULL, 0, AGAIN_MS);
	}
	return -ETIMEDOUT;
}

void lun_print_status(const struct fake_cmd *cmd, int ret, FILE *to)
{
	if (ret)
		fprintf(to, "failed: no answer (%s)", strerror(-ret));
	else if (cmd->status == 0x02)
		fprintf(to, "status 02 sense %x/%02x/%02x", cmd->sense[2] & 0xf, cmd->sense[12],
			cmd->sense[13]);
	else if (cmd->status)
		fprintf(to, "status %02x", cmd->status);
	else
		fprintf(to, "ok");
}

size_t lun_unhex(const char *text, uint8_t *to, size_t max)
{
	size_t n = 0;
	unsigned int v;

	while (n < max && sscanf(text + 2 * n, "%2x", &v) == 1)
		to[n++] = (uint8_t)v;
	return n;
}
