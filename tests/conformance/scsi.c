/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/daemon/proc.h"

#define TIMEOUT_MS 30000

static struct world w;
static struct fake_dev *dev_lu;

static const struct {
	const char *name;
	uint8_t key, asc, ascq;
} outcomes[] = {
	[EXPECT_GOOD] = { "GOOD", 0, 0, 0 },
	[EXPECT_LBA_OOB] = { "LBA OUT OF RANGE", 5, 0x21, 0 },
	[EXPECT_INVALID_OPCODE] = { "INVALID COMMAND OPERATION CODE", 5, 0x20, 0 },
	[EXPECT_INVALID_FIELD] = { "INVALID FIELD IN CDB", 5, 0x24, 0 },
	[EXPECT_INVALID_PARAM] = { "INVALID FIELD IN PARAMETER LIST", 5, 0x26, 0 },
	[EXPECT_PARAM_LEN] = { "PARAMETER LIST LENGTH ERROR", 5, 0x1a, 0 },
	[EXPECT_NO_SAVING] = { "SAVING PARAMETERS NOT SUPPORTED", 5, 0x39, 0 },
	[EXPECT_MISCOMPARE] = { "MISCOMPARE DURING VERIFY OPERATION", 0xe, 0x1d, 0 },
	[EXPECT_WRITE_PROTECTED] = { "WRITE PROTECTED", 7, 0x27, 0 },
	[EXPECT_STPG_FAILED] = { "SET TARGET PORT GROUPS COMMAND FAILED", 4, 0x67, 0x0a },
};

int scsi_setup(void **state)
{
	char config[200];

	(void)state;
	world_open(&w);
	if (!w.k || daemon_start(&w, NULL))
		return -1;
	snprintf(config, sizeof(config), "file/%s",
		 world_file(&w, "lu", (off_t)LU_BLOCKS * LU_BLOCK));
	dev_lu = scsi_lun("lu", config, (uint64_t)LU_BLOCKS * LU_BLOCK);
	return dev_lu ? 0 : -1;
}

int scsi_teardown(void **state)
{
	int ret = dev_lu ? fake_wait_idle(fake_dev_ring(dev_lu), 10000) : 0;

	(void)state;
	if (ret)
		fprintf(stderr, "the ring does not become idle\n");
	return world_close(&w) || ret;
}

int scsi_failures(void)
{
	return world_failures();
}

struct fake_dev *scsi_lun_on(const char *name, const char *config, uint64_t size,
			     const struct fake_ring_cfg *ring)
{
	static const uint8_t tur[6];
	struct fake_dev_cfg cfg = { .name = name, .config = config, .size = size, .ring = *ring };
	struct fake_dev *dev = NULL;
	struct fake_cmd cmd;
	int ret;

	cfg.ring.pos_off = 76; /* as lun_create() */
	ret = fake_dev_create(w.k, &cfg, &dev);
	if (ret) {
		fprintf(stderr, "creating %s (%s): %s\n", name, config, strerror(-ret));
		proc_print_log(&w.d);
		return NULL;
	}
	/* What a new unit has to say first is not of interest here. */
	for (int i = 0; i < 3; i++) {
		fake_cmd_init(&cmd, tur, sizeof(tur), FAKE_NONE, NULL, 0);
		if (fake_exec(fake_dev_ring(dev), &cmd, TIMEOUT_MS) || !cmd.status)
			break;
	}
	return dev;
}

struct fake_dev *scsi_lun(const char *name, const char *config, uint64_t size)
{
	static const struct fake_ring_cfg usual = FAKE_RING_CFG_DEFAULT;

	return scsi_lun_on(name, config, size, &usual);
}

struct fake_dev *scsi_dev(void)
{
	return dev_lu;
}

const char *scsi_backing(void)
{
	return world_path(&w, "lu");
}

const char *scsi_path(const char *name)
{
	return world_path(&w, name);
}

bool scsi_logged(const char *text)
{
	return proc_said(&w.d, text);
}

static void parse_sense(const uint8_t *s, uint8_t *key, uint8_t *asc, uint8_t *ascq)
{
	bool desc = (s[0] & 0x7f) >= 0x72;

	*key = desc ? s[1] & 0xf : s[2] & 0xf;
	*asc = desc ? s[2] : s[12];
	*ascq = desc ? s[3] : s[13];
}

bool scsi_sense_info(const struct fake_cmd *cmd, uint64_t *info)
{
	const uint8_t *s = cmd->sense;

	if ((s[0] & 0x7f) >= 0x72 || !(s[0] & 0x80))
		return false;
	*info = (uint64_t)s[3] << 24 | (uint64_t)s[4] << 16 | (uint64_t)s[5] << 8 | s[6];
	return true;
}

/* For what has no data at all a buffer can only be data-in or useless: no excuse there. */
bool scsi_is_odd(uint8_t opcode, enum fake_dir dir)
{
	static const uint8_t out[] = { 0x0a, 0x15, 0x2a, 0x2f, 0x41, 0x42,
				       0x55, 0x8a, 0x8f, 0x93, 0xaa, 0xaf };

	if (dir != FAKE_IN)
		return true;
	return memchr(out, opcode, sizeof(out));
}

static void check(const struct scsi_case *c, const struct fake_cmd *cmd)
{
	uint8_t key = 0, asc = 0, ascq = 0;

	if (c->expect == EXPECT_GOOD && !cmd->status)
		return;
	if (cmd->status == 0x02)
		parse_sense(cmd->sense, &key, &asc, &ascq);
	if (c->expect != EXPECT_GOOD && cmd->status == 0x02 && key == outcomes[c->expect].key &&
	    asc == outcomes[c->expect].asc && ascq == outcomes[c->expect].ascq)
		return;
	proc_print_log(&w.d);
	fail_msg("%s: status %02x, sense %x/%02x/%02x instead of %s", c->what, cmd->status, key,
		 asc, ascq, outcomes[c->expect].name);
}

struct fake_cmd *scsi_do(struct fake_dev *dev, const struct scsi_case *c, void *data)
{
	static struct fake_cmd cmd;
	void *own = NULL;
	unsigned int before = fake_verdicts_total(fake_kernel_verdicts(w.k), NULL);

	if (!data && c->len) {
		own = malloc(c->len);
		memset(own, c->fill, c->len);
		data = own;
	}
	fake_cmd_init(&cmd, c->cdb, sizeof(c->cdb), c->dir, data, c->len);
	if (fake_exec(fake_dev_ring(dev), &cmd, TIMEOUT_MS)) {
		proc_print_log(&w.d);
		fail_msg("%s: no answer", c->what);
	}
	free(own);
	if (own)
		cmd.data = NULL;
	check(c, &cmd);
	if (fake_verdicts_total(fake_kernel_verdicts(w.k), NULL) != before) {
		fake_verdicts_total(fake_kernel_verdicts(w.k), stderr);
		fail_msg("%s: violates the contract of the ring", c->what);
	}
	return &cmd;
}

void scsi_table(struct fake_dev *dev, const struct scsi_case *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		scsi_do(dev, &rows[i], NULL);
}
