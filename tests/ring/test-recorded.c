/* SPDX-License-Identifier: Apache-2.0 */
/* What the real kernel put on its ring for the list of record-script.c, the fake puts there, too:
 * byte for byte, but for what is behind the header of a PAD (old bytes) and the first lines of the
 * file, which tell the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake-ring.h"
#include "record-script.h"

struct side {
	struct fake_ring *r;
	struct fake_cmd cmd[RECORD_SLOTS];
	uint8_t *data[RECORD_SLOTS];
};

static void submit(void *arg, int slot, const uint8_t *cdb, size_t cdb_len, enum record_dir dir,
		   size_t len)
{
	struct side *s = arg;
	struct fake_cmd *cmd = &s->cmd[slot];

	memset(cmd, 0, sizeof(*cmd));
	memcpy(cmd->cdb, cdb, cdb_len);
	cmd->dir = (enum fake_dir)dir;
	cmd->len = len;
	cmd->data = s->data[slot];
	fake_ring_submit(s->r, cmd);
}

static void kick(void *arg)
{
	fake_ring_doorbell(((struct side *)arg)->r, 1);
}

static struct record_result reap(void *arg, int slot)
{
	struct fake_cmd *cmd = &((struct side *)arg)->cmd[slot];

	return (struct record_result) { cmd->status, cmd->sense[2] & 0xf, cmd->sense[12],
					(int)cmd->residual };
}

static void free_kept(void *arg, uint16_t id)
{
	assert_int_equal(fake_ring_free_kept(((struct side *)arg)->r, id), 0);
}

static void compare(const char *path, FILE *got)
{
	FILE *want = fopen(path, "re");
	char a[8192], b[8192];
	int line = 0;

	if (!want)
		fail_msg("cannot open %s", path);
	rewind(got);
	while (fgets(a, sizeof(a), want)) {
		line++;
		if (!strncmp(a, "## ", 3))
			continue;
		if (!fgets(b, sizeof(b), got) || strcmp(a, b))
			fail_msg("%s:%d:\nkernel: %sfake:   %s", path, line, a,
				 feof(got) ? "-" : b);
	}
	assert_null(fgets(b, sizeof(b), got));
	fclose(want);
}

static void replay(void **state)
{
	static struct side s;
	static struct record rec = {
		.arg = &s, .submit = submit, .kick = kick, .reap = reap, .free_kept = free_kept
	};
	struct fake_ring_cfg cfg = { .ring_bytes = RECORD_RING_MB << 20,
				     .pages_per_blk = 1,
				     .data_blocks = RECORD_AREA_MB << 8,
				     .qfull_time_out = -1 };
	const char *save = getenv("TCMU_RECORD_OUT");
	struct fake_verdicts v;

	(void)state;
	fake_verdicts_init(&v);
	s.r = fake_ring_new(&cfg, &v);
	assert_non_null(s.r);
	for (int i = 0; i < RECORD_SLOTS; i++)
		s.data[i] = calloc(1, RECORD_MAX_DATA);
	rec.c.base = fake_ring_base(s.r);
	rec.out = save ? fopen(save, "w+e") : tmpfile();
	record_script(&rec);
	fake_ring_check_idle(s.r);
	assert_int_equal(fake_verdicts_total(&v, stderr), 1); /* UNKNOWN_OP is one */
	assert_int_equal(fake_verdict_count(&v, FAKE_V_SENSE), 1);
	compare(TCMU_RECORDED, rec.out);
	fclose(rec.out);
	for (int i = 0; i < RECORD_SLOTS; i++)
		free(s.data[i]);
	fake_ring_free(s.r);
	fake_verdicts_destroy(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(replay) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
