/* SPDX-License-Identifier: Apache-2.0 */
/* Target port groups (SPC-5 6.36, 6.42): what alua/ of configfs says is what the initiator hears. */
#include "scsi.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "util/be.h"

#define TPG   "iscsi/iqn.2003-01.org.x:1/tpgt_1"
#define GROUP "alua/default_tg_pt_gp/"

static struct fake_dev *dev;
static unsigned int number;

/* A unit of its own, without a port. */
static int setup(void **state)
{
	char name[16], config[200];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "tpg%u", number++);
	snprintf(config, sizeof(config), "file/%s.%s", scsi_backing(), name);
	fd = open(config + strlen("file/"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && !ftruncate(fd, 1 << 20));
	close(fd);
	dev = scsi_lun(name, config, 1 << 20);
	return dev ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return fake_dev_remove(dev);
}

static size_t report(uint8_t byte1, uint8_t *buf)
{
	struct scsi_case c = { "RTPG", EXPECT_GOOD, FAKE_IN, 255, { 0xa3, byte1 }, 0 };
	struct fake_cmd *cmd;

	c.cdb[9] = 255;
	memset(buf, 0xee, 255);
	cmd = scsi_do(dev, &c, buf);
	return 255 - cmd->residual;
}

static uint8_t tpgs(void)
{
	struct scsi_case c = { "INQUIRY", EXPECT_GOOD, FAKE_IN, 96, { 0x12, 0, 0, 0, 96 }, 0 };
	uint8_t buf[96];

	scsi_do(dev, &c, buf);
	return buf[5] >> 4 & 3;
}

/* The designator of this type, 4 bytes of it, and whether there is one. */
static bool designator(uint8_t type, uint8_t *value)
{
	struct scsi_case c = { "VPD 83", EXPECT_GOOD, FAKE_IN, 255, { 0x12, 1, 0x83, 0, 255 }, 0 };
	uint8_t buf[255];

	scsi_do(dev, &c, buf);
	for (uint8_t *d = buf + 4, *end = d + get_be16(buf + 2); d < end; d += 4 + d[3]) {
		if ((d[1] & 0x3f) == (0x10 | type)) {
			memcpy(value, d + 4, 4);
			return true;
		}
	}
	return false;
}

static void set(enum expect expect, uint8_t state, uint16_t group)
{
	struct scsi_case c = { "STPG", expect, FAKE_OUT, 8, { 0xa4, 0x0a }, 0 };
	uint8_t list[8] = { 0, 0, 0, 0, state };

	c.cdb[9] = 8;
	put_be16(list + 6, group);
	scsi_do(dev, &c, list);
}

static void add_group(const char *name, const char *id, const char *type, const char *members)
{
	static const char *const on[] = { "alua_support_active_optimized", "alua_support_standby" };
	char file[128];

	snprintf(file, sizeof(file), "alua/%s/tg_pt_gp_id", name);
	fake_dev_set_attr(dev, file, id);
	snprintf(file, sizeof(file), "alua/%s/alua_access_type", name);
	fake_dev_set_attr(dev, file, type);
	snprintf(file, sizeof(file), "alua/%s/alua_access_state", name);
	fake_dev_set_attr(dev, file, "2");
	snprintf(file, sizeof(file), "alua/%s/alua_access_status", name);
	fake_dev_set_attr(dev, file, "Altered by Implicit ALUA");
	snprintf(file, sizeof(file), "alua/%s/members", name);
	fake_dev_set_attr(dev, file, members);
	for (size_t i = 0; i < 2; i++) {
		snprintf(file, sizeof(file), "alua/%s/%s", name, on[i]);
		fake_dev_set_attr(dev, file, "1");
	}
}

static const char *attr(const char *name)
{
	static char buf[256];

	assert_true(fake_dev_attr(dev, name, buf, sizeof(buf)));
	return buf;
}

/* A LUN as it is when somebody has linked it into a target, and nothing else was done. */
static void default_group(void **state)
{
	static const uint8_t expected[] = { 0, 0, 0, 12, 0, 0xdf, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7 };
	uint8_t buf[255], d[4];

	(void)state;
	assert_int_equal(tpgs(), 3);
	assert_int_equal(report(0x0a, buf), 12); /* the group, no port */
	assert_false(designator(4, d));
	fake_target_map(dev, "iSCSI", TPG, "lun_0", 7);
	assert_int_equal(report(0x0a, buf), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
	assert_true(designator(4, d));
	assert_int_equal(get_be32(d), 7);
	assert_true(designator(5, d));
	assert_int_equal(get_be32(d), 0);
	/* Read on demand: what was written to configfs since. */
	fake_dev_set_attr(dev, GROUP "tg_pt_gp_id", "21");
	fake_dev_set_attr(dev, GROUP "alua_access_state", "1");
	fake_dev_set_attr(dev, GROUP "preferred", "1");
	fake_dev_set_attr(dev, GROUP "alua_support_offline", "0");
	fake_dev_set_attr(dev, GROUP "implicit_trans_secs", "30");
	assert_int_equal(report(0x2a, buf), sizeof(expected) + 4);
	assert_int_equal(get_be32(buf + 4), 0x101e0000);
	assert_int_equal(get_be32(buf + 8), 0x819f0015);
	/* One group with two ports. */
	fake_target_map(dev, "iSCSI", TPG, "lun_9", 8);
	assert_int_equal(report(0x0a, buf), sizeof(expected) + 4);
	assert_int_equal(buf[11], 2);
	assert_int_equal(get_be32(buf + 12), 7);
	assert_int_equal(get_be32(buf + 16), 8);
	assert_false(designator(4, d));
	assert_true(designator(5, d));
	assert_int_equal(get_be32(d), 21);
}

static void two_groups(void **state)
{
	uint8_t buf[255], d[4];

	(void)state;
	fake_target_map(dev, "iSCSI", TPG, "lun_0", 7);
	add_group("standby", "16", "Implicit", "iSCSI/iqn.other/tpgt_2/lun_3");
	add_group("spare", "17", "Explicit", ""); /* without a port it is not one */
	fake_dev_set_attr(dev, GROUP "alua_access_type", "Implicit");
	assert_int_equal(tpgs(), 1);
	assert_int_equal(report(0x0a, buf), 24);
	assert_int_equal(get_be32(buf), 20);
	assert_int_equal(get_be16(buf + 6), 0);
	assert_int_equal(get_be32(buf + 16), 0x02050010);
	assert_int_equal(get_be32(buf + 20), 0x00020000); /* its port's number is not known */
	assert_false(designator(4, d));
	assert_false(designator(5, d));
}

static void set_state(void **state)
{
	uint8_t buf[255];

	(void)state;
	fake_target_map(dev, "iSCSI", TPG, "lun_0", 7);
	set(EXPECT_GOOD, 1, 0);
	assert_string_equal(attr(GROUP "alua_access_state"), "1");
	assert_string_equal(attr(GROUP "alua_access_status"), "Altered by Explicit STPG");
	report(0x0a, buf);
	assert_int_equal(buf[4], 0x01);
	assert_int_equal(buf[9], 0x01); /* by STPG */
	set(EXPECT_GOOD, 3, 0);
	report(0x0a, buf);
	assert_int_equal(buf[4], 0x03);
	set(EXPECT_GOOD, 0, 0);
	assert_string_equal(attr(GROUP "alua_access_state"), "0");
	/* Nothing is asked for. */
	SCSI_TABLE(((const struct scsi_case[]) {
		{ "STPG, no list", EXPECT_GOOD, FAKE_NONE, 0, { 0xa4, 0x0a }, 0 },
	}));
}

static void set_refused(void **state)
{
	static const struct scsi_case bad[] = {
		{ "STPG, 3 bytes",
		  EXPECT_PARAM_LEN,
		  FAKE_OUT,
		  8,
		  { 0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 3 },
		  0 },
		{ "STPG, half a descriptor",
		  EXPECT_PARAM_LEN,
		  FAKE_OUT,
		  8,
		  { 0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 6 },
		  0 },
		{ "STPG, less than it says",
		  EXPECT_PARAM_LEN,
		  FAKE_OUT,
		  8,
		  { 0xa4, 0x0a, 0, 0, 0, 0, 0, 0, 0, 12 },
		  0 },
		{ "STPG, reserved", EXPECT_INVALID_FIELD, FAKE_OUT, 8, { 0xa4, 0x2a }, 0 },
		{ "another of A4h", EXPECT_INVALID_FIELD, FAKE_NONE, 0, { 0xa4, 0x0b }, 0 },
		{ "RTPG, format 2", EXPECT_INVALID_FIELD, FAKE_IN, 64, { 0xa3, 0x4a }, 0 },
	};

	(void)state;
	fake_target_map(dev, "iSCSI", TPG, "lun_0", 7);
	scsi_table(dev, bad, sizeof(bad) / sizeof(bad[0]));
	set(EXPECT_INVALID_PARAM, 14, 0);
	set(EXPECT_INVALID_PARAM, 4, 0);
	set(EXPECT_INVALID_PARAM, 0, 1);
	assert_string_equal(attr(GROUP "alua_access_state"), "0");
	assert_true(scsi_logged("SET TARGET PORT GROUPS was refused"));
}

/* The kernel takes a state from configfs as an implicit change, which this group does not allow. */
static void explicit_only(void **state)
{
	(void)state;
	fake_target_map(dev, "iSCSI", TPG, "lun_0", 7);
	fake_dev_set_attr(dev, GROUP "alua_access_type", "Explicit");
	assert_int_equal(tpgs(), 2);
	set(EXPECT_STPG_FAILED, 1, 0);
	assert_string_equal(attr(GROUP "alua_access_state"), "0");
	assert_true(scsi_logged("the kernel takes it only with Implicit"));
}

static void implicit_only(void **state)
{
	(void)state;
	fake_target_map(dev, "iSCSI", TPG, "lun_0", 7);
	fake_dev_set_attr(dev, GROUP "alua_access_type", "Implicit");
	set(EXPECT_INVALID_OPCODE, 1, 0);
	assert_true(scsi_logged("no group has Explicit"));
	/* One that has: the command is there, but not for this group. */
	add_group("both", "16", "Implicit and Explicit", "iSCSI/iqn.other/tpgt_2/lun_3");
	set(EXPECT_INVALID_PARAM, 1, 0);
	set(EXPECT_INVALID_PARAM, 1, 16); /* not a state that it supports */
	set(EXPECT_GOOD, 0, 16);
	assert_string_equal(attr("alua/both/alua_access_state"), "0");
}

static void no_alua(void **state)
{
	static const struct scsi_case gone[] = {
		{ "RTPG", EXPECT_INVALID_FIELD, FAKE_IN, 64, { 0xa3, 0x0a }, 0 },
		{ "STPG", EXPECT_INVALID_OPCODE, FAKE_NONE, 0, { 0xa4, 0x0a }, 0 },
	};

	(void)state;
	fake_dev_set_attr(dev, "attrib/alua_support", "0");
	assert_int_equal(tpgs(), 0);
	scsi_table(dev, gone, sizeof(gone) / sizeof(gone[0]));
}

/* IALUAE of the Control Extension page, which must not be changed by who sends back what it read. */
static void mode_page(void **state)
{
	struct scsi_case get = {
		"MODE SENSE(6)", EXPECT_GOOD, FAKE_IN, 36, { 0x1a, 8, 0x0a, 1, 36 }, 0
	};
	struct scsi_case put = {
		"MODE SELECT(6)", EXPECT_GOOD, FAKE_OUT, 36, { 0x15, 0x10, 0, 0, 36 }, 0
	};
	uint8_t page[36];

	(void)state;
	scsi_do(dev, &get, page);
	assert_int_equal(page[8] & 1, 1);
	page[0] = 0;
	page[4] &= 0x7f;
	scsi_do(dev, &put, page);
}

/* SUPPORT of PERSISTENT RESERVE OUT(REGISTER), as REPORT SUPPORTED OPERATION CODES has it. */
static uint8_t reserve_support(void)
{
	struct scsi_case c = { "RSOC", EXPECT_GOOD, FAKE_IN, 32, { 0xa3, 0x0c, 3, 0x5f }, 0 };
	uint8_t buf[32];

	c.cdb[9] = 32;
	scsi_do(dev, &c, buf);
	return buf[1] & 7;
}

/* With emulate_pr=0 the kernel refuses its own commands. */
static void reservations_are_the_kernels(void **state)
{
	(void)state;
	assert_int_equal(reserve_support(), 3);
	fake_dev_set_attr(dev, "attrib/emulate_pr", "0");
	assert_int_equal(reserve_support(), 1);
	fake_dev_set_attr(dev, "attrib/emulate_pr", "1");
	assert_int_equal(reserve_support(), 3);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(default_group), T(two_groups),    T(set_state),
		T(set_refused),   T(explicit_only), T(implicit_only),
		T(no_alua),       T(mode_page),     T(reservations_are_the_kernels),
	};

	return cmocka_run_group_tests(tests, scsi_setup, scsi_teardown) + scsi_failures();
}
