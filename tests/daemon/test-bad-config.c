/* SPDX-License-Identifier: Apache-2.0 */
/* Config strings, names, sizes and attributes as people and programs get them wrong: refused with the
 * right errno or served, beside a unit that notices nothing, and the log stays a log. */
#include "crowd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CFG_MAX 255 /* TCMU_CONFIG_LEN of the kernel, without its NUL */

static void put(uint8_t *p, int bytes, uint64_t v)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

/* READ(16) of one block: GOOD 0, otherwise the additional sense code as asc << 8 | ascq. */
static unsigned int read_at(struct fake_dev *dev, uint64_t lba)
{
	uint8_t cdb[16] = { 0x88, [13] = 1 }, buf[512];
	struct fake_cmd cmd;

	put(cdb + 2, 8, lba);
	fake_cmd_init(&cmd, cdb, sizeof(cdb), FAKE_IN, buf, sizeof(buf));
	assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
	return cmd.status == 2 ? (unsigned int)cmd.sense[12] << 8 | cmd.sense[13] : cmd.status;
}

/* It works, up to its end and not beyond, and has a name for itself. */
static void serves(struct fake_dev *dev, uint64_t size)
{
	static const uint8_t designators[16] = { 0x12, 1, 0x83, 0, 255 };
	struct fake_cmd cmd;
	uint8_t buf[255];

	assert_int_equal(capacity(dev), size / 512 * 512);
	assert_int_equal(read_at(dev, size / 512 - 1), 0);
	assert_int_equal(read_at(dev, size / 512), 0x2100);
	fake_cmd_init(&cmd, designators, 6, FAKE_IN, buf, sizeof(buf));
	assert_int_equal(fake_exec(fake_dev_ring(dev), &cmd, LONG_MS), 0);
	assert_int_equal(cmd.status, 0);
	assert_int_equal(buf[1], 0x83);
}

struct row {
	const char *config; /* "@": the path of a file of 1 MiB of its own */
	int ret;            /* 0: served */
};

static char *with_path(const char *config, int number)
{
	const char *at = strchr(config, '@');
	char name[32], *text;

	snprintf(name, sizeof(name), "f%d", number);
	if (!at)
		text = strdup(config);
	else if (asprintf(&text, "%.*s%s%s", (int)(at - config), config, world_file(&w, name, MIB),
			  at + 1) < 0)
		text = NULL;
	assert_non_null(text);
	return text;
}

/* All of them at once: some have to wait, and nobody shall wait for those. */
static void try_all(const struct row *rows, int n)
{
	struct shell *sh = calloc((size_t)n, sizeof(*sh));
	char(*name)[16] = calloc((size_t)n, sizeof(*name));

	for (int i = 0; i < n; i++) {
		snprintf(name[i], sizeof(name[i]), "row%d", i);
		sh[i].name = name[i];
		sh[i].config = with_path(rows[i].config, i);
		sh[i].size = MIB;
		shell_create(&sh[i]);
	}
	for (int i = 0; i < n; i++) {
		if (shell_wait(&sh[i]) != rows[i].ret)
			fail_msg("'%s': %d instead of %d", sh[i].config, sh[i].ret, rows[i].ret);
		if (!sh[i].ret) {
			serves(sh[i].dev, MIB);
			assert_int_equal(fake_dev_remove(sh[i].dev), 0);
		}
		free((void *)(uintptr_t)sh[i].config);
	}
	free(sh);
	free(name);
}

#define TRY(rows) try_all(rows, (int)(sizeof(rows) / sizeof((rows)[0])))

static void begin(unsigned int seed, struct usage *before)
{
	start_usual(TCMU_HANDLERS);
	usage_now(before);
	witness_start(seed);
}

static void end(const struct usage *before)
{
	witness_end();
	assert_true(usage_is_back(before));
	log_is_clean();
}

/* Nobody's: refused after a while, in which another daemon may take it. */
static const struct row strangers[] = {
	{ "", -ENOENT },
	{ "/", -ENOENT },
	{ "//tmp/x", -ENOENT },
	{ "nobody", -ENOENT },
	{ "nobody/", -ENOENT },
	{ "nobody;create", -ENOENT },
	{ "FILE/@", -ENOENT },
	{ "fil/@", -ENOENT },
	{ "file2/@", -ENOENT },
	{ " file/@", -ENOENT },
	{ "file /@", -ENOENT },
	{ "file;ro/@", -ENOENT },
	{ "\n", -ENOENT },
	{ "\nfile/@", -ENOENT },
	{ "fi\nle/@", -ENOENT },
	{ "\ntcmu-runner: forged/@", -ENOENT },
	{ "\x01/@", -ENOENT },
	{ "\x7f\x1b[2J/@", -ENOENT },
	{ "\xff\xfe\xc3/@", -ENOENT },
	{ "%s%s%n%n/@", -ENOENT },
	{ "..", -ENOENT },
};

/* The file handler's, and wrong. */
static const struct row files[] = {
	{ "file", -EINVAL },
	{ "file\n", -EINVAL },
	{ "file/", -EINVAL },
	{ "file/x/y", -EINVAL },
	{ "file/;ro", -EINVAL },
	{ "file/%s%n%s%n", -EINVAL },
	{ "file/\n", -EINVAL },
	{ "file//", -EISDIR },
	{ "file//%s%n%s%n", -ENOENT },
	{ "file//no\nsuch\tdir\x1b[2J/\x7f\xff\xc2\x9b", -ENOENT },
	{ "file//nowhere\ntcmu-runner: forged", -ENOENT },
	{ "file//nowhere\r\n", -ENOENT },
	{ "file/@/", -ENOTDIR },
	{ "file/@\n", 0 }, /* left by echo */
	{ "file/@;", -EINVAL },
	{ "file/@;;ro", -EINVAL },
	{ "file/@;=", -EINVAL },
	{ "file/@;ro=1", -EINVAL },
	{ "file/@;=ro", -EINVAL },
	{ "file/@;RO", -EINVAL },
	{ "file/@; ro", -EINVAL },
	{ "file/@;ro ", -EINVAL },
	{ "file/@;ro,direct", -EINVAL },
	{ "file/@;ro\n", 0 },
	{ "file/@;r\no", -EINVAL },
	{ "file/@;\x01\x1b\x7f\xff%n%s", -EINVAL },
	{ "file/@;ro;ro", 0 },
	{ "file/@;create;create", 0 },
	{ "file/@;create;ro", -EINVAL },
	{ "file/@;ro;nonsense", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=30", 0 },
	{ "file/@;ro;tcmur_cmd_time_out=0", 0 },
	{ "file/@;tcmur_cmd_time_out=5;ro;tcmur_cmd_time_out=6", 0 },
	{ "file/@;tcmur_cmd_time_out", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=x", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=1x", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=-1", -EINVAL },
	{ "file/@;tcmur_cmd_time_out= 1", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=4294967297", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=99999999999999999999", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=\n", -EINVAL },
	{ "file/@;tcmur_cmd_time_out=%n", -EINVAL },
	{ "null/;tcmur_cmd_time_out=x", -EINVAL },
};

static void configs(void **state)
{
	struct usage before;

	(void)state;
	begin(1, &before);
	TRY(strangers);
	TRY(files);
	end(&before);
}

/* A path that makes the config string so long; its directories and the file are there. */
static char *long_config(size_t len, const char *options)
{
	char *text = malloc(len + 1);
	size_t dir, at, end = len - strlen(options);

	dir = strlen("file/") + strlen(w.dir) + 1;
	snprintf(text, len + 1, "file/%s/", w.dir);
	for (at = dir; at < end; at++)
		text[at] = end - at > 2 && at % 60 == 0 ? '/' : (char)('a' + len % 26);
	text[end] = '\0';
	for (char *slash = text + dir; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(text + strlen("file/"), 0700);
		*slash = '/';
	}
	world_file(&w, text + dir, MIB);
	strcat(text, options);
	return text;
}

/* What fits into dev_config works, to the last byte; what does not is cut off by the kernel, and then
 * names another file. Longer ones that we are told of do no harm either. */
static void lengths(void **state)
{
	static const char *const options[] = { "", ";ro", ";tcmur_cmd_time_out=30" };
	static const size_t over[] = { CFG_MAX + 1, 300 };
	struct fake_dev *dev;
	struct usage before;
	char *config, longest[900];

	(void)state;
	begin(2, &before);
	for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++) {
		config = long_config(over[i], "");
		config[CFG_MAX] = '\0'; /* what is left of it in the kernel */
		assert_int_equal(lun_create(&w, "cut", config, MIB, &dev), -ENOENT);
		free(config);
		config = long_config(over[i], "");
		assert_int_equal(lun_create(&w, "over", config, MIB, &dev), 0);
		serves(dev, MIB);
		assert_int_equal(fake_dev_remove(dev), 0);
		free(config);
	}
	memset(longest, 'x', sizeof(longest) - 1);
	memcpy(longest, "file//", strlen("file//"));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(lun_create(&w, "longest", longest, MIB, &dev), -ENAMETOOLONG);
	for (size_t len = CFG_MAX - 1; len <= CFG_MAX; len++) {
		for (size_t i = 0; i < 3; i++) {
			config = long_config(len, options[i]);
			assert_int_equal(strlen(config), len);
			assert_int_equal(lun_create(&w, "long", config, MIB, &dev), 0);
			serves(dev, MIB);
			assert_int_equal(fake_dev_remove(dev), 0);
			free(config);
		}
	}
	end(&before);
}

/* mkdir takes every byte but '/' and NUL. */
static void names(void **state)
{
	static const char *const list[] = {
		"a b",
		"a:b",
		"a,b",
		"a;b",
		"-",
		"...",
		".x",
		"%s%n",
		"a\nb",
		"a\tb",
		"\x01\x02",
		"\x7f",
		"\xff",
		"\xc3",
		"\x1b[2Jx",
		"\xc2\x9b",
		"\xed\xa0\x80",
		"sm\xc3\xb8rrebr\xc3\xb8"
		"d",
		"x\ntcmu-runner: forged",
	};
	struct fake_dev *dev;
	struct usage before;
	char config[200];

	(void)state;
	begin(3, &before);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		assert_int_equal(lun_create(&w, list[i], "file//nowhere", MIB, &dev), -ENOENT);
		snprintf(config, sizeof(config), "file/%s", world_file(&w, "named", MIB));
		assert_int_equal(lun_create(&w, list[i], config, MIB, &dev), 0);
		serves(dev, MIB);
		assert_int_equal(fake_dev_remove(dev), 0);
	}
	assert_true(proc_said(&w.d, "user_0/sm\xc3\xb8rrebr\xc3\xb8"
				    "d:"));
	assert_true(proc_said(&w.d, "user_0/a\\x0ab: "));
	assert_true(proc_said(&w.d, "user_0/\\xc2\\x9b: "));
	end(&before);
}

/* ---- sizes ---- */

static void sizes(void **state)
{
	static const struct {
		const char *config;
		uint64_t dev_size;
		int ret;
		uint64_t size; /* that it has then */
	} rows[] = {
		{ "file/@", 0, 0, MIB },
		{ "file/@", 1, -EINVAL, 0 },
		{ "file/@", 511, -EINVAL, 0 },
		{ "file/@", 512, 0, 512 },
		{ "file/@", 1023, 0, 512 },
		{ "file/@", MIB - 1, 0, MIB - 512 },
		{ "file/@", MIB + 1, -EINVAL, 0 },
		{ "file/@", INT64_MAX, -EINVAL, 0 },
		{ "file/@", 1ull << 63, -EINVAL, 0 },
		{ "file/@", UINT64_MAX, -EINVAL, 0 },
		{ "file/@;create", 0, 0, MIB },
		{ "file/@.new;create", 0, -EINVAL, 0 },
		{ "file/@.new;create", 1ull << 63, -EINVAL, 0 },
		{ "file/@.new;create", UINT64_MAX, -EINVAL, 0 },
		{ "file/@.new;create", 100, -EINVAL, 0 },
		{ "null/", 0, -EINVAL, 0 },
		{ "null/", 511, -EINVAL, 0 },
		{ "null/", 512, 0, 512 },
		{ "null/", 1ull << 63, 0, 1ull << 63 },
		{ "null/", UINT64_MAX, 0, UINT64_MAX - 511 },
	};
	struct fake_dev *dev;
	struct usage before;

	(void)state;
	begin(4, &before);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *config = with_path(rows[i].config, (int)i);
		int ret = lun_create(&w, "sized", config, rows[i].dev_size, &dev);

		if (ret != rows[i].ret)
			fail_msg("'%s', dev_size %llu: %d instead of %d", rows[i].config,
				 (unsigned long long)rows[i].dev_size, ret, rows[i].ret);
		if (!ret) {
			serves(dev, rows[i].size);
			assert_int_equal(fake_dev_remove(dev), 0);
		}
		free(config);
	}
	end(&before);
}

/* ---- attributes of a running unit ---- */

static void attributes(void **state)
{
	static const struct {
		const char *attr, *val;
		int ret;
	} rows[] = {
		{ "dev_config", "", -EINVAL },
		{ "dev_config", "\n", -EINVAL },
		{ "dev_config", "nobody/x", -EINVAL },
		{ "dev_config", "null/", -EINVAL },
		{ "dev_config", "fi\nle//x", -EINVAL },
		{ "dev_config", "file", -EOPNOTSUPP },
		{ "dev_config", "file//other\ntcmu-runner: forged", -EOPNOTSUPP },
		{ "dev_config", "file//\x01\x1b[2J\xff%s%n", -EOPNOTSUPP },
		{ "dev_size", "0", -EINVAL },
		{ "dev_size", "1", -EINVAL },
		{ "dev_size", "512", -EINVAL },
		{ "dev_size", "1048575", -EINVAL },
		{ "dev_size", "1048577", -EINVAL },
		{ "dev_size", "-1", -EINVAL },
		{ "dev_size", "nonsense", -EINVAL },
		{ "dev_size", "9223372036854775808", -EINVAL },
		{ "dev_size", "18446744073709551104", -EINVAL },
		{ "dev_size", "18446744073709551615", -EINVAL },
		{ "dev_size", "1048576", 0 },
		{ "emulate_write_cache", "1", 0 },
		{ "emulate_write_cache", "-1", 0 },
		{ "emulate_write_cache", "nonsense", 0 }, /* the fake takes it for 0 */
		{ "emulate_write_cache", "255", 0 },
	};
	struct load_cfg cfg = { .blocks = MIB / 512, .depth = 4, .max_io = 8, .seed = 6 };
	struct fake_dev *dev;
	struct usage before;
	struct load *l;

	(void)state;
	begin(5, &before);
	dev = file_lun(&w, "running", MIB);
	l = load_start(fake_dev_ring(dev), &cfg);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int ret = fake_dev_reconfig(dev, rows[i].attr, rows[i].val);

		if (ret != rows[i].ret)
			fail_msg("%s=%s: %d instead of %d", rows[i].attr, rows[i].val, ret,
				 rows[i].ret);
		assert_int_equal(load_progress(l, 5, LONG_MS), 0);
	}
	assert_int_equal(load_finish(l), 0);
	serves(dev, MIB);
	assert_true(write_cache(dev));
	assert_int_equal(fake_dev_remove(dev), 0);
	end(&before);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(configs), T(lengths), T(names), T(sizes), T(attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
