/* SPDX-License-Identifier: Apache-2.0 */
/* Who may copy: runner_copy_allowed() and the ports it goes by, on a configfs that is played here. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/device.h"
#include "runner/ports.h"

#define TPG  "iscsi/iqn.x/tpgt_1"
#define TPG2 "iscsi/iqn.y/tpgt_1"
#define LOOP "loopback/naa.1/tpgt_1"
#define I1   "iqn.host1"
#define I2   "iqn.host2"

static struct tcmu_device a = { .name = "user_0/a" }, b = { .name = "user_1/b" };

/* ---- configfs ---- */

static struct {
	char path[256], text[4200];
	size_t len;
	bool link;
} files[256];
static size_t file_count;
static pthread_mutex_t removal = PTHREAD_MUTEX_INITIALIZER; /* held: nobody may look into acls/ */
static char said[600];

static ssize_t find(const char *path)
{
	for (size_t i = 0; i < file_count; i++) {
		if (!strcmp(files[i].path, path))
			return (ssize_t)i;
	}
	return -1;
}

static void put_bytes(const char *path, const char *text, size_t len, bool link)
{
	ssize_t i = find(path);

	if (i < 0) {
		assert_true(file_count < sizeof(files) / sizeof(files[0]));
		i = (ssize_t)file_count++;
	}
	assert_true(len < sizeof(files[i].text));
	snprintf(files[i].path, sizeof(files[i].path), "%s", path);
	memcpy(files[i].text, text, len);
	files[i].len = len;
	files[i].link = link;
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text), false);
}

/* path and what is below it */
static void drop(const char *path)
{
	size_t n = 0, len = strlen(path);

	for (size_t i = 0; i < file_count; i++) {
		if (!strcmp(files[i].path, path) ||
		    (!strncmp(files[i].path, path, len) && files[i].path[len] == '/'))
			continue;
		if (n != i)
			files[n] = files[i];
		n++;
	}
	file_count = n;
}

ssize_t tcmu_target_read(const char *path, char *buf, size_t size)
{
	ssize_t i = find(path);
	size_t n;

	if (i < 0)
		return -ENOENT;
	n = files[i].len < size ? files[i].len : size - 1;
	memcpy(buf, files[i].text, n);
	buf[n] = '\0';
	return (ssize_t)n;
}

ssize_t tcmu_target_link(const char *path, char *buf, size_t size)
{
	ssize_t i = find(path);

	return i >= 0 && !files[i].link ? -EINVAL : tcmu_target_read(path, buf, size);
}

ssize_t tcmu_target_list(const char *path, char *buf, size_t size)
{
	size_t len = strlen(path), used = 0;
	bool found = false;

	if (strstr(path, "/acls")) {
		pthread_mutex_lock(&removal);
		pthread_mutex_unlock(&removal);
	}
	for (size_t i = 0; i < file_count; i++) {
		const char *name = files[i].path + len + 1;
		size_t n, at = 0;

		if (strncmp(files[i].path, path, len) || files[i].path[len] != '/')
			continue;
		found = true;
		n = strcspn(name, "/");
		while (at < used && (strlen(buf + at) != n || memcmp(buf + at, name, n) != 0))
			at += strlen(buf + at) + 1;
		if (!n || at < used)
			continue;
		if (used + n + 1 > size)
			return -E2BIG;
		memcpy(buf + used, name, n);
		buf[used + n] = '\0';
		used += n + 1;
	}
	return found ? (ssize_t)used : -ENOENT;
}

const char *tcmu_dev_get_name(struct tcmu_device *dev)
{
	return dev->name;
}

int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *dev, const char *name)
{
	char path[256], text[32];

	snprintf(path, sizeof(path), "core/%.31s/attrib/%s", dev->name, name);
	return tcmu_target_read(path, text, sizeof(text)) < 0 ? -ENOENT : atoi(text);
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *dev, const char *fmt, ...)
{
	va_list ap;

	(void)level, (void)dev;
	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

/* ---- the world ---- */

static void object(struct tcmu_device *dev, const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "core/%.31s/%s", dev->name, file);
	put(path, text);
}

static void group(struct tcmu_device *dev, const char *name, const char *id, const char *type)
{
	static const char *const on[] = { "transitioning",       "offline",
					  "unavailable",         "standby",
					  "active_nonoptimized", "active_optimized" };
	char file[128];

	snprintf(file, sizeof(file), "alua/%s/tg_pt_gp_id", name);
	object(dev, file, id);
	snprintf(file, sizeof(file), "alua/%s/alua_access_type", name);
	object(dev, file, type);
	snprintf(file, sizeof(file), "alua/%s/alua_access_state", name);
	object(dev, file, "0");
	snprintf(file, sizeof(file), "alua/%s/members", name);
	object(dev, file, "");
	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
		snprintf(file, sizeof(file), "alua/%s/alua_support_%s", name, on[i]);
		object(dev, file, "1");
	}
}

/* line: as the kernel writes it, "iSCSI/iqn.x/tpgt_1/lun_0"; count: whether the kernel's count has it */
static void member(struct tcmu_device *dev, const char *name, const char *line, bool count)
{
	char path[256], text[4200], number[16];
	ssize_t len, n;

	snprintf(path, sizeof(path), "core/%.31s/alua/%s/members", dev->name, name);
	len = tcmu_target_read(path, text, sizeof(text));
	assert_true(len >= 0);
	n = snprintf(text + len, sizeof(text) - (size_t)len, "%s\n", line);
	put_bytes(path, text, (size_t)(len + n) + 1, false);
	if (!count)
		return;
	snprintf(path, sizeof(path), "core/%.31s/statistics/scsi_dev/ports", dev->name);
	len = tcmu_target_read(path, number, sizeof(number));
	snprintf(number, sizeof(number), "%d", len < 0 ? 1 : atoi(number) + 1);
	put(path, number);
}

static void map(struct tcmu_device *dev, const char *fabric, const char *tpg, const char *lun)
{
	char line[256], path[256];

	snprintf(line, sizeof(line), "%s/%s/%s", fabric, strchr(tpg, '/') + 1, lun);
	member(dev, "default_tg_pt_gp", line, true);
	snprintf(path, sizeof(path), "%s/acls/", tpg);
	put(path, "");
}

static void acl(const char *tpg, const char *who, const char *mapped, const char *lun,
		const char *protect)
{
	char path[256], to[256];

	snprintf(path, sizeof(path), "%s/acls/%s/%s/link", tpg, who, mapped);
	snprintf(to, sizeof(to), "../../../../../../../target/%s/lun/%s", tpg, lun);
	put_bytes(path, to, strlen(to), true);
	snprintf(path, sizeof(path), "%s/acls/%s/%s/write_protect", tpg, who, mapped);
	put(path, protect);
	snprintf(path, sizeof(path), "%s/acls/%s/auth/userid", tpg, who);
	put(path, "lun_9");
}

static void attrib(const char *tpg, const char *demo, const char *protect)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/attrib/generate_node_acls", tpg);
	put(path, demo);
	snprintf(path, sizeof(path), "%s/attrib/demo_mode_write_protect", tpg);
	put(path, protect);
}

/* Both are LUNs of one target portal group, one ACL maps both for writing. */
static int setup(void **state)
{
	(void)state;
	file_count = 0;
	group(&a, "default_tg_pt_gp", "0", "Implicit and Explicit");
	group(&b, "default_tg_pt_gp", "0", "Implicit and Explicit");
	map(&a, "iSCSI", TPG, "lun_0");
	map(&b, "iSCSI", TPG, "lun_1");
	attrib(TPG, "0", "1");
	acl(TPG, I1, "lun_7", "lun_0", "0");
	acl(TPG, I1, "lun_8", "lun_1", "0");
	return 0;
}

#define BOTH_WAYS(yes)                                                                             \
	do {                                                                                       \
		assert_int_equal(runner_copy_allowed(&a, &b), yes);                                \
		assert_int_equal(runner_copy_allowed(&b, &a), yes);                                \
	} while (0)

/* ---- policy ---- */

static void same_portal_group_and_acl(void **state)
{
	(void)state;
	BOTH_WAYS(true);
	assert_true(runner_copy_allowed(&a, &a));
	acl(TPG, I2, "lun_0", "lun_0", "0");
	BOTH_WAYS(false); /* I2 has no b */
	acl(TPG, I2, "lun_1", "lun_1", "0");
	BOTH_WAYS(true);
	/* Who has neither is no concern. */
	acl(TPG, "iqn.other", "lun_0", "lun_5", "1");
	put(TPG "/acls/iqn.empty/info", "");
	BOTH_WAYS(true);
}

static void guessed_name(void **state)
{
	(void)state;
	/* b is in another target, to which only others have access. */
	drop("core/user_1/b");
	group(&b, "default_tg_pt_gp", "0", "Implicit");
	map(&b, "iSCSI", TPG2, "lun_0");
	attrib(TPG2, "0", "1");
	acl(TPG2, I1, "lun_0", "lun_0", "0");
	BOTH_WAYS(false);
	/* It is in both, a is not. */
	map(&b, "iSCSI", TPG, "lun_1");
	BOTH_WAYS(false);
	map(&a, "iSCSI", TPG2, "lun_3");
	BOTH_WAYS(false); /* the ACL there */
	acl(TPG2, I1, "lun_1", "lun_3", "0");
	BOTH_WAYS(true);
}

static void write_protect(void **state)
{
	(void)state;
	acl(TPG, I1, "lun_8", "lun_1", "1"); /* b */
	assert_false(runner_copy_allowed(&a, &b));
	assert_true(runner_copy_allowed(&b, &a));
	assert_false(runner_copy_allowed(&b, &b));
	assert_true(runner_copy_allowed(&a, &a));
	put(TPG "/acls/" I1 "/lun_8/write_protect", ""); /* as while it comes or goes */
	assert_false(runner_copy_allowed(&a, &b));
	/* Mapped a second time, for writing. */
	acl(TPG, I1, "lun_9", "lun_1", "0");
	assert_true(runner_copy_allowed(&a, &b));
	drop(TPG "/acls/" I1 "/lun_9/write_protect");
	assert_false(runner_copy_allowed(&a, &b));
}

static void without_acl(void **state)
{
	(void)state;
	attrib(TPG, "1", "1");
	BOTH_WAYS(false);
	assert_false(runner_copy_allowed(&a, &a));
	attrib(TPG, "1", "0");
	BOTH_WAYS(true);
	/* An ACL goes before. */
	drop(TPG "/acls/" I1 "/lun_8");
	BOTH_WAYS(false);
	drop(TPG "/acls/" I1);
	BOTH_WAYS(true);
	drop(TPG "/attrib/demo_mode_write_protect");
	BOTH_WAYS(false);
	attrib(TPG, "2", "0");
	BOTH_WAYS(false);
	drop(TPG "/attrib");
	BOTH_WAYS(false);
}

static void fabrics_without_acls(void **state)
{
	(void)state;
	file_count = 0;
	group(&a, "default_tg_pt_gp", "0", "Implicit");
	group(&b, "default_tg_pt_gp", "0", "Implicit");
	map(&a, "loopback", LOOP, "lun_0");
	map(&b, "loopback", LOOP, "lun_1");
	BOTH_WAYS(true);
	map(&b, "loopback", "loopback/naa.2/tpgt_1", "lun_0");
	BOTH_WAYS(false);
}

static void unclear(void **state)
{
	(void)state;
	drop(TPG "/acls");
	BOTH_WAYS(false); /* not even a directory */
	setup(state);
	put_bytes(TPG "/acls/" I1 "/lun_8/link", "../lun_1", 8, true);
	BOTH_WAYS(false);
	setup(state);
	/* A port that no group has, as with alua_support=0. */
	object(&b, "statistics/scsi_dev/ports", "2");
	BOTH_WAYS(false);
	drop("core/user_1/b/statistics");
	BOTH_WAYS(false);
	setup(state);
	drop("core/user_0/a/alua");
	BOTH_WAYS(false);
	setup(state);
	member(&a, "default_tg_pt_gp", "iSCSI/../tpgt_1/lun_0", true);
	BOTH_WAYS(false);
	setup(state);
	drop("core/user_0/a/alua/default_tg_pt_gp/members");
	BOTH_WAYS(false);
	setup(state);
	for (unsigned int i = 0; i < 100; i++) {
		char line[64];

		snprintf(line, sizeof(line), "iSCSI/i/tpgt_1/lun_%u", i);
		member(&a, "default_tg_pt_gp", line, true);
	}
	BOTH_WAYS(false);
	/* No ports, nobody who could ask. */
	file_count = 0;
	group(&a, "default_tg_pt_gp", "0", "Implicit");
	object(&a, "statistics/scsi_dev/ports", "0");
	assert_false(runner_copy_allowed(&a, &a));
}

static void several_groups(void **state)
{
	(void)state;
	group(&b, "other", "1", "Implicit");
	member(&b, "other", "iSCSI/iqn.y/tpgt_1/lun_0", true);
	put(TPG2 "/acls/", "");
	attrib(TPG2, "0", "1");
	BOTH_WAYS(false);
	member(&a, "default_tg_pt_gp", "iSCSI/iqn.y/tpgt_1/lun_1", true);
	BOTH_WAYS(true);
}

/* An ACL is being removed, and that waits for the command that asks. */
static void patience_has_an_end(void **state)
{
	struct timespec from, to;

	(void)state;
	pthread_mutex_lock(&removal);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_false(runner_copy_allowed(&a, &b));
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_in_range(to.tv_sec - from.tv_sec, 0, 10);
	pthread_mutex_unlock(&removal);
	assert_true(runner_copy_allowed(&a, &b));
}

static void refusals_are_logged(void **state)
{
	(void)state;
	/* Something was refused in the tests before, the first of them certainly said. */
	assert_non_null(strstr(said, "a copy to user_"));
	assert_non_null(strstr(said, "maps only one of them"));
}

/* ---- ports ---- */

static void members_text(void **state)
{
	static const char text[] =
		"iSCSI/iqn.x:Y/tpgt_1/lun_0\n\0loopback/naa.6/tpgt_65535/lun_255\n";
	static const char *const bad[] = { "iSCSI/iqn/tpgt_1",
					   "iSCSI/iqn/tpgt_1/lun_0/x",
					   "iSCSI//tpgt_1/lun_0",
					   "iSCSI/../tpgt_1/lun_0",
					   "iSCSI/iqn/tpg_1/lun_0",
					   "iSCSI/iqn/tpgt_1/port",
					   "x",
					   "/",
					   "iSCSI/iqn/tpgt_1/" };
	const char *at = text;
	struct runner_port port;

	(void)state;
	assert_int_equal(runner_port_next(&at, text + sizeof(text), &port), 1);
	assert_string_equal(port.tpg, "iscsi/iqn.x:Y/tpgt_1");
	assert_string_equal(port.lun, "lun_0");
	assert_int_equal(runner_port_next(&at, text + sizeof(text), &port), 1);
	assert_string_equal(port.tpg, "loopback/naa.6/tpgt_65535");
	assert_string_equal(port.lun, "lun_255");
	assert_int_equal(runner_port_next(&at, text + sizeof(text), &port), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		at = bad[i];
		assert_int_equal(runner_port_next(&at, bad[i] + strlen(bad[i]), &port), -EINVAL);
	}
}

static void groups(void **state)
{
	static struct runner_tpgs g;

	(void)state;
	put(TPG "/lun/lun_0/statistics/scsi_port/indx", "17");
	object(&a, "alua/default_tg_pt_gp/preferred", "1");
	object(&a, "alua/default_tg_pt_gp/alua_access_status", "Altered by Implicit ALUA");
	assert_int_equal(runner_tpgs_read(&a, &g), 0);
	assert_int_equal(g.scsi.count, 1);
	assert_string_equal(g.name[0], "default_tg_pt_gp");
	assert_int_equal(g.scsi.group[0].supported, 0xcf);
	assert_int_equal(g.scsi.group[0].status, 2);
	assert_int_equal(g.scsi.group[0].type, 3);
	assert_true(g.scsi.group[0].preferred);
	assert_int_equal(g.scsi.group[0].port_count, 1);
	assert_int_equal(g.scsi.group[0].port[0], 17);
	/* In the order of their numbers; without ports or a number: not told of. */
	group(&a, "late", "300", "Implicit");
	group(&a, "early", "7", "None");
	group(&a, "without", "1", "Explicit");
	group(&a, "new", "", "Explicit");
	member(&a, "late", "iSCSI/iqn.x/tpgt_1/lun_2", true);
	member(&a, "early", "iSCSI/iqn.x/tpgt_1/lun_3", true);
	member(&a, "new", "iSCSI/iqn.x/tpgt_1/lun_4", true);
	object(&a, "alua/late/implicit_trans_secs", "45");
	object(&a, "alua/early/implicit_trans_secs", "20");
	assert_int_equal(runner_tpgs_read(&a, &g), 0);
	assert_int_equal(g.scsi.count, 3);
	assert_int_equal(g.scsi.group[1].id, 7);
	assert_int_equal(g.scsi.group[2].id, 300);
	assert_string_equal(g.name[2], "late");
	assert_int_equal(g.scsi.group[2].port_count, 0); /* its number cannot be read */
	assert_int_equal(g.scsi.implicit_seconds, 45);
	drop("core/user_0/a/alua");
	assert_true(runner_tpgs_read(&a, &g) < 0);
}

static void no_ports(void **state)
{
	static struct runner_tpgs g;

	(void)state;
	object(&a, "alua/default_tg_pt_gp/members", "");
	assert_int_equal(runner_tpgs_read(&a, &g), 0);
	assert_int_equal(g.scsi.count, 1);
	assert_int_equal(g.scsi.group[0].port_count, 0);
}

static void logical_unit(void **state)
{
	struct scsi_lu lu = { 0 };

	(void)state;
	put(TPG "/lun/lun_0/statistics/scsi_port/indx", "17");
	put(TPG2 "/lun/lun_5/statistics/scsi_port/indx", "18");
	object(&a, "alua/default_tg_pt_gp/tg_pt_gp_id", "9");
	runner_ports_lu(&a, &lu);
	assert_int_equal(lu.tpgs, 3);
	assert_true(lu.tpg_valid);
	assert_int_equal(lu.tpg, 9);
	assert_true(lu.relative_port_valid);
	assert_int_equal(lu.relative_port, 17);
	/* Two ports of one group: it is known, which of the two is not. */
	member(&a, "default_tg_pt_gp", "iSCSI/iqn.y/tpgt_1/lun_5", true);
	memset(&lu, 0, sizeof(lu));
	runner_ports_lu(&a, &lu);
	assert_true(lu.tpg_valid);
	assert_false(lu.relative_port_valid);
	/* Of two groups. One without ports does not count. */
	group(&a, "without", "1", "Explicit");
	group(&a, "second", "2", "Implicit");
	object(&a, "alua/default_tg_pt_gp/alua_access_type", "Implicit");
	member(&a, "second", "iSCSI/iqn.z/tpgt_1/lun_0", true);
	memset(&lu, 0, sizeof(lu));
	runner_ports_lu(&a, &lu);
	assert_int_equal(lu.tpgs, 1);
	assert_false(lu.tpg_valid);
	assert_false(lu.relative_port_valid);
	/* The kernel does no ALUA. */
	object(&a, "attrib/alua_support", "0");
	memset(&lu, 0, sizeof(lu));
	runner_ports_lu(&a, &lu);
	assert_int_equal(lu.tpgs, 0);
	assert_false(lu.tpg_valid);
}

#define T(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(same_portal_group_and_acl),
		T(refusals_are_logged),
		T(guessed_name),
		T(write_protect),
		T(without_acl),
		T(fabrics_without_acls),
		T(unclear),
		T(several_groups),
		T(members_text),
		T(groups),
		T(no_ports),
		T(logical_unit),
		T(patience_has_an_end), /* last: what was given up goes on reading */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
