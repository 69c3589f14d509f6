/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on texts from configfs and sysfs. The first byte of the input chooses who reads them, the
 * rest is strings with a NUL between them. What is below /sys is made up (fake-sys.c); everything above
 * open(2) is the library's own. What it makes of a text is compared with what a second, simpler reader
 * makes of it, and what is printed as the kernel prints it must be read back.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/configfs.h"
#include "lib/device.h"
#include "lib/pending.h"
#include "lib/uio.h"
#include "tests/fuzz/fake-sys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the input -------------------------------------------------------------------------------- */

static struct {
	char *text; /* a NUL more than there came */
	char *next;
	size_t left;
} in;

/* The next string; "" when there are no more. */
static char *take_text(void)
{
	char *text = in.next;
	size_t len = strlen(text);

	in.next += len < in.left ? len + 1 : len;
	in.left -= len < in.left ? len + 1 : len;
	return text;
}

/* All that is left, NULs and all. */
static const char *take_rest(size_t *len)
{
	const char *rest = in.next;

	*len = in.left;
	in.next += in.left;
	in.left = 0;
	return rest;
}

static uint64_t take_number(void)
{
	size_t len = in.left < 8 ? in.left : 8;
	uint64_t v = 0;

	memcpy(&v, in.next, len);
	in.next += len;
	in.left -= len;
	return v;
}

static bool next_entry(const char **name, const char **content)
{
	if (!in.left)
		return false;
	*name = take_text();
	*content = take_text();
	return true;
}

/* ---- the rest of the library ------------------------------------------------------------------ */

static int no_dev_open(struct tcmu_kernel *k, uint32_t minor)
{
	(void)k;
	(void)minor;
	sys.open_files++;
	return FAKE_FD;
}

static ssize_t attr_read(struct tcmu_kernel *k, const char *path, char *buf, size_t size,
			 const bool *over)
{
	(void)k, (void)over;
	return tcmu_configfs_read("/sys/kernel/config/target/core", path, buf, size);
}

const struct tcmu_kernel_ops tcmu_kernel_ops = {
	.dev_open = no_dev_open,
	.attr_read = attr_read,
};

struct tcmu_pending *tcmu_pending_new(const struct tcmu_event *ev, bool silent)
{
	(void)ev;
	(void)silent;
	return calloc(1, 16);
}

void tcmu_pending_free(struct tcmu_pending *pend)
{
	free(pend);
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c && strchr(" \t\n\v\f\r", c);
}

static const char *skip_blanks(const char *text)
{
	while (is_blank(*text))
		text++;
	return text;
}

/* 0, -EINVAL or -ERANGE. */
static int expect_u64(const char *text, uint64_t *value)
{
	bool overflow = false;
	uint64_t v = 0;

	text = skip_blanks(text);
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++)
		overflow |= __builtin_mul_overflow(v, 10, &v) ||
			    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v);
	if (overflow)
		return -ERANGE;
	*value = v;
	return *skip_blanks(text) ? -EINVAL : 0;
}

static void fuzz_u64(void)
{
	uint64_t number = take_number(), got = 42, expected = 42;
	const char *text = take_text();
	char printed[32];
	int ret = expect_u64(text, &expected);

	assert(tcmu_configfs_parse_u64(text, &got) == ret);
	assert(got == (ret ? 42 : expected));
	snprintf(printed, sizeof(printed), "%" PRIu64 "\n", number);
	assert(!tcmu_configfs_parse_u64(printed, &got) && got == number);
}

static int expect_info_size(const char *info, uint64_t *size)
{
	const char *at = info + strlen(info);
	char token[64];
	size_t len = 0;

	while (strncmp(at, " Size: ", 7)) {
		if (at-- == info)
			return -EINVAL;
	}
	for (at += 7; at[len] && at[len] != ' ' && at[len] != '\n'; len++)
		;
	if (len > 23)
		return -EINVAL;
	memcpy(token, at, len);
	token[len] = '\0';
	return expect_u64(token, size);
}

static void fuzz_info(void)
{
	uint64_t number = take_number(), got = 42, expected = 42;
	const char *text = take_text();
	char info[4096];
	int ret = expect_info_size(text, &expected);

	assert(tcmu_configfs_info_size(text, &got) == ret);
	assert(got == (ret ? 42 : expected));
	/* target_core_configfs.c: target_core_dev_show(), with a config string of any kind in it */
	snprintf(info, sizeof(info),
		 "Status: ACTIVATED  Max Queue Depth: 128  SectorSize: 512  HwMaxSectors: 128\n"
		 "        Config: %.255s Size: %" PRIu64
		 " MaxDataAreaMB: 1024 DataPagesPerBlk: 1 CmdRingSizeMB: 8\n",
		 text, number);
	assert(!tcmu_configfs_info_size(info, &got) && got == number);
}

/* ---- names ------------------------------------------------------------------------------------ */

/* What a device's name is made of: "tcm-user/HBA/OBJECT/CONFIG". */
static void check_built_name(const char *hba, const char *object, const char *any_config)
{
	char uio_name[TCMU_UIO_NAME_MAX], name[TCMU_UIO_NAME_MAX], expected[256], config[256];
	const char *got;
	size_t len;

	hba += strcspn(hba, "0123456789");
	snprintf(expected, sizeof(expected), "user_%.*s/%.200s",
		 (int)least(strspn(hba, "0123456789"), 10), hba, object);
	snprintf(config, sizeof(config), "%s", any_config);
	snprintf(uio_name, sizeof(uio_name), "tcm-user/%s/%s", strchr(expected, '_') + 1, config);
	if (!strncmp(expected, "user_/", 6) || !*object || strchr(object, '/') ||
	    !strcmp(object, ".") || !strcmp(object, ".."))
		return;
	assert(!tcmu_device_parse_name(uio_name, name, sizeof(name), &got, &len));
	assert(!strcmp(name, expected));
	assert(len <= strlen(config) && !strncmp(got, config, len));
	assert(!strcmp(config + len, got[len] == '\n' ? "\n" : ""));
}

/* A path below configfs's target/core, which leads nowhere else. */
static void check_path(const char *name)
{
	const char *object;

	assert(!strncmp(name, "user_", 5));
	object = name + 5 + strspn(name + 5, "0123456789");
	assert(object > name + 5 && *object == '/');
	object++;
	assert(*object && !strchr(object, '/'));
	assert(strcmp(object, ".") && strcmp(object, ".."));
}

static void fuzz_name(void)
{
	size_t room = 1 + take_number() % TCMU_UIO_NAME_MAX, len;
	const char *uio_name = take_text(), *hba, *object, *config;
	char *name = malloc(room);

	if (!tcmu_device_parse_name(uio_name, name, room, &config, &len)) {
		assert(strnlen(name, room) < room);
		check_path(name);
		assert(!strncmp(uio_name, "tcm-user/", 9));
		assert(!strncmp(uio_name + 9, name + 5, strlen(name + 5)));
		/* What is left is the config, all of it. */
		object = uio_name + 9 + strlen(name + 5);
		assert(config == object + (*object == '/'));
		assert(config[len] == '\0' || !strcmp(config + len, "\n"));
		assert(tcmu_device_subtype_len(config) <= strlen(config));
	}
	free(name);
	hba = take_text();
	object = take_text();
	check_built_name(hba, object, take_text());
}

/* ---- files ------------------------------------------------------------------------------------ */

static void fuzz_read(void)
{
	size_t room = take_number() % 64, len, got;
	const char *content;
	char *buf = malloc(room), *text;
	ssize_t n;

	sys.eintr = (unsigned int)(take_number() % 4);
	sys.broken = take_number() % 4 == 0;
	len = 1 + take_number() % 8;
	content = take_rest(&sys.len);
	set_content(content, sys.len);
	sys.chunk = len;
	n = tcmu_configfs_read("/sys", "file", buf, room);
	if (!room) {
		assert(n == -EINVAL);
	} else {
		got = least(room - 1, sys.len);
		len = least(got, sys.chunk); /* of the first read(2) */
		if (sys.broken && len && len < room - 1) {
			assert(n == -EIO);
		} else {
			got -= got && content[got - 1] == '\n';
			assert(n == (ssize_t)got && !buf[got] && !memcmp(buf, content, got));
		}
	}
	free(buf);
	sys.chunk = SIZE_MAX;
	text = tcmu_cfgfs_get_str("/sys/file");
	assert(text ? strlen(text) <= sys.len : sys.broken);
	free(text);
}

static void fuzz_write(void)
{
	uint32_t number = (uint32_t)take_number();
	const char *text, *path = take_text();
	char printed[16];
	size_t len;
	int ret;

	text = take_rest(&len);
	set_content(NULL, 0);
	ret = tcmu_configfs_write("/sys", path, text);
	if (5 + strlen(path) >= PATH_MAX) {
		assert(ret == -ENAMETOOLONG && !sys.writes);
	} else {
		assert(!strncmp(sys.path, "/sys/", 5) && !strcmp(sys.path + 5, path));
		assert(sys.writes == 1); /* one transaction, whole or not at all */
		assert(ret == (strlen(text) == sys.written_len ? 0 : -EIO));
		assert(!memcmp(text, sys.written, sys.written_len));
	}
	ret = tcmu_cfgfs_set_str("/sys/file", text, (int)len);
	assert(ret == (len == sys.written_len ? 0 : -EIO));
	assert(tcmu_cfgfs_set_str("/sys/file", text, -1) == -EINVAL);

	assert(!tcmu_cfgfs_mod_param_set_u32("block_netlink", number));
	assert(!strcmp(sys.path, "/sys/module/target_core_user/parameters/block_netlink"));
	snprintf(printed, sizeof(printed), "%" PRIu32, number);
	assert(sys.written_len == strlen(printed) &&
	       !memcmp(sys.written, printed, sys.written_len));
}

/* ---- devices ---------------------------------------------------------------------------------- */

/* A number with or without a sign and nothing behind it; -EINVAL, -ERANGE. */
static int expect_int(const char *text)
{
	int64_t v = 0;
	bool minus;

	text = skip_blanks(text);
	minus = *text == '-';
	text += *text == '-' || *text == '+';
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++)
		v = v > UINT32_MAX ? v : v * 10 + (*text - '0');
	if (*text)
		return -EINVAL;
	v = minus ? -v : v;
	return v == (int)v ? (int)v : -ERANGE;
}

static void fuzz_attributes(void)
{
	struct tcmu_device dev = { .name = "user_0/d" };
	size_t room = take_number() % 300, n;
	int number = (int)take_number();
	char *buf = malloc(room), printed[32], first[513], *value;
	const char *text = take_text();

	set_content(text, strlen(text));
	n = tcmu_dev_read_wwn(&dev, "vpd_unit_serial", buf, room);
	assert(!strcmp(sys.path, "/sys/kernel/config/target/core/user_0/d/wwn/vpd_unit_serial") ||
	       !room);
	snprintf(first, sizeof(first), "%.511s", text);
	value = strstr(first, ": ");
	if (n) {
		assert(n < room && strlen(buf) == n);
		assert(buf[0] != ' ' && buf[n - 1] != ' ');
		assert(!strncmp(value + 2 + strspn(value + 2, " "), buf, n));
	} else {
		assert(room <= 1 || !value || !value[2 + strspn(value + 2, " \n")]);
	}
	free(buf);

	/* It reads 31 bytes: no number has more. */
	if (strlen(text) < 31) {
		n = strlen(text);
		snprintf(printed, sizeof(printed), "%.*s",
			 (int)(n && text[n - 1] == '\n' ? n - 1 : n), text);
		assert(tcmu_cfgfs_dev_get_attr_int(&dev, "cmd_time_out") == expect_int(printed));
	}
	n = (size_t)snprintf(printed, sizeof(printed), "%d\n", number);
	set_content(printed, n);
	assert(tcmu_cfgfs_dev_get_attr_int(&dev, "cmd_time_out") == number);
}

/* A device out of an event and its attributes, which are all the same text: any, or a small number. */
static void fuzz_device(void)
{
	struct tcmu_event ev = { .type = TCMU_EVENT_ADDED, .minor = 7 };
	const char *text, *config;
	char printed[8];
	struct tcmu_device *dev;
	size_t len;

	ev.block_size = take_number() % 2 ? 512 : 0;
	ev.dev_size = take_number();
	snprintf(ev.uio_name, sizeof(ev.uio_name), "%s", take_text());
	text = take_text();
	snprintf(printed, sizeof(printed), "%d\n", (int8_t)ev.dev_size);
	text = *text ? text : printed;
	set_content(text, strlen(text));
	dev = tcmu_device_new(NULL, &ev);
	if (dev) {
		check_path(dev->name);
		len = strlen(dev->uio_name);
		assert(!strncmp(dev->uio_name, ev.uio_name, len));
		assert(!strcmp(ev.uio_name + len, ev.uio_name[len] ? "\n" : ""));
		config = dev->uio_name + 9 + strlen(dev->name + 5);
		assert(!strcmp(dev->cfgstring, config + (*config == '/')));
		assert(dev->block_size && dev->num_lbas == dev->config_size / dev->block_size);
		assert(!ev.block_size || dev->config_size == ev.dev_size);
		tcmu_device_free(dev);
	} else {
		assert(errno == EINVAL);
	}
	assert(!sys.open_files);
}

/* ---- uio -------------------------------------------------------------------------------------- */

static void found(uint32_t minor, const char *name, void *arg)
{
	unsigned int *count = arg;
	uint64_t v;

	(*count)++;
	assert(!strncmp(sys.entry.d_name, "uio", 3));
	assert(!expect_u64(sys.entry.d_name + 3, &v) && v == minor);
	assert(!strncmp(name, "tcm-user/", 9) && strlen(name) < TCMU_UIO_NAME_MAX);
	assert(!strncmp(name, sys.content, strlen(name)));
}

static void fuzz_uio(void)
{
	uint64_t size = take_number();
	unsigned int count = 0;
	const char *text;
	char printed[32];
	size_t len = 0;
	void *map;
	int ret;

	text = take_text();
	set_content(text, strlen(text));
	ret = tcmu_uio_map(3, FAKE_FD, &map, &len);
	assert(!strcmp(sys.path, "/sys/class/uio/uio3/maps/map0/size"));
	assert(ret == 0 ? len && len == sys.map_len : ret == -EPROTO && !sys.map_len);

	/* drivers/uio/uio.c: map_size_show() */
	snprintf(printed, sizeof(printed), "0x%016" PRIx64 "\n", size);
	set_content(printed, strlen(printed));
	ret = tcmu_uio_map(3, FAKE_FD, &map, &len);
	assert(size ? !ret && len == size : ret == -EPROTO);

	assert(!tcmu_uio_scan(found, &count));
	assert(count <= sys.entries && !sys.open_files);
}

/* ----------------------------------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const readers[])(void) = {
		fuzz_u64,   fuzz_info,       fuzz_name,   fuzz_read,
		fuzz_write, fuzz_attributes, fuzz_device, fuzz_uio,
	};

	if (!size)
		return 0;
	memset(&sys, 0, sizeof(sys));
	sys.chunk = SIZE_MAX;
	sys.next_entry = next_entry;
	in.text = malloc(size);
	memcpy(in.text, data + 1, size - 1);
	in.text[size - 1] = '\0';
	in.next = in.text;
	in.left = size - 1;
	readers[data[0] % (sizeof(readers) / sizeof(readers[0]))]();
	free(in.text);
	return 0;
}
