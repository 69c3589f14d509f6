/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/configfs.h"
#include "libtcmu.h"
#include "test.h"

static char root[] = "/tmp/test-configfs-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	fclose(file);
}

static void reading(void **state)
{
	char buf[32];

	(void)state;
	put("a", "hello\n");
	assert_int_equal(tcmu_configfs_read(root, "a", buf, sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	put("a", "two\nlines\n\n");
	assert_int_equal(tcmu_configfs_read(root, "a", buf, sizeof(buf)), 10);
	assert_string_equal(buf, "two\nlines\n"); /* only the last one */
	put("a", "");
	assert_int_equal(tcmu_configfs_read(root, "a", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	put("a", "more than there is room for here, really");
	assert_int_equal(tcmu_configfs_read(root, "a", buf, 5), 4);
	assert_string_equal(buf, "more");
	assert_int_equal(tcmu_configfs_read(root, "b", buf, sizeof(buf)), -ENOENT);
}

static void links(void **state)
{
	char path[128], buf[32];

	(void)state;
	snprintf(path, sizeof(path), "%s/link", root);
	assert_int_equal(symlink("../lun/lun_0", path), 0);
	assert_int_equal(tcmu_configfs_link(root, "link", buf, sizeof(buf)), 12);
	assert_string_equal(buf, "../lun/lun_0");
	assert_int_equal(tcmu_configfs_link(root, "link", buf, 13), 12);
	assert_int_equal(tcmu_configfs_link(root, "link", buf, 12), -E2BIG);
	assert_int_equal(tcmu_configfs_link(root, "link", buf, 0), -EINVAL);
	put("file", "");
	assert_int_equal(tcmu_configfs_link(root, "file", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(tcmu_configfs_link(root, "none", buf, sizeof(buf)), -ENOENT);
	unlink(path);
}

static void names(void **state)
{
	char path[128], buf[32];

	(void)state;
	snprintf(path, sizeof(path), "%s/dir", root);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(tcmu_configfs_list(root, "dir", buf, sizeof(buf)), 0);
	put("dir/one", "");
	assert_int_equal(tcmu_configfs_list(root, "dir", buf, sizeof(buf)), 4);
	assert_string_equal(buf, "one");
	put("dir/three", "");
	assert_int_equal(tcmu_configfs_list(root, "dir", buf, 10), 10);
	assert_true(!memcmp(buf, "one\0three", 10) || !memcmp(buf, "three\0one", 10));
	assert_int_equal(tcmu_configfs_list(root, "dir", buf, 9), -E2BIG);
	assert_int_equal(tcmu_configfs_list(root, "none", buf, sizeof(buf)), -ENOENT);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/dir/%s", root, i ? "three" : "one");
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/dir", root);
	rmdir(path);
}

static void writing(void **state)
{
	char buf[32], path[5000];

	(void)state;
	put("w", "old text");
	assert_int_equal(tcmu_configfs_write(root, "w", "1"), 0);
	assert_true(tcmu_configfs_read(root, "w", buf, sizeof(buf)) > 0);
	assert_int_equal(buf[0], '1');
	assert_int_equal(tcmu_configfs_write(root, "none", "1"), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(tcmu_configfs_write(root, path, "1"), -ENAMETOOLONG);
}

static void public_helpers(void **state)
{
	char path[128], *text;

	(void)state;
	snprintf(path, sizeof(path), "%s/p", root);
	put("p", "0123456789\n");
	assert_int_equal(tcmu_cfgfs_set_str(path, "abcdef", 3), 0);
	text = tcmu_cfgfs_get_str(path);
	assert_string_equal(text, "abc3456789");
	free(text);
	assert_null(tcmu_cfgfs_get_str("/nonexistent"));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(tcmu_cfgfs_set_str(path, "x", -1), -EINVAL);
}

static void assert_size(const char *info, uint64_t expected)
{
	uint64_t size = 0;

	assert_int_equal(tcmu_configfs_info_size(info, &size), 0);
	assert_int_equal(size, expected);
}

static void sizes_in_info(void **state)
{
	uint64_t size;

	(void)state;
	assert_size("Status: ACTIVATED  Max Queue Depth: 128  SectorSize: 512  HwMaxSectors: 128\n"
		    "        Config: file//a.img Size: 1073741824 MaxDataAreaMB: 1024 "
		    "DataPagesPerBlk: 1 CmdRingSizeMB: 8\n",
		    1073741824);
	assert_size("  Config: file/a Size: 1 b Size: 2 \n Size: 77 MaxDataAreaMB: 8\n", 77);
	assert_size("  Config: NULL Size: 18446744073709551615", UINT64_MAX);
	assert_int_equal(tcmu_configfs_info_size("", &size), -EINVAL);
	assert_int_equal(tcmu_configfs_info_size("SectorSize: 512", &size), -EINVAL);
	assert_int_equal(tcmu_configfs_info_size(" Size: ", &size), -EINVAL);
	assert_int_equal(tcmu_configfs_info_size(" Size: -1 ", &size), -EINVAL);
	assert_int_equal(tcmu_configfs_info_size(" Size: 18446744073709551616 ", &size), -ERANGE);
	assert_int_equal(tcmu_configfs_info_size(" Size: 111111111111111111111111111 ", &size),
			 -EINVAL);
}

static void numbers(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(tcmu_configfs_parse_u64(" 42 \n", &v), 0);
	assert_int_equal(v, 42);
	assert_int_equal(tcmu_configfs_parse_u64("", &v), -EINVAL);
	assert_int_equal(tcmu_configfs_parse_u64("-1", &v), -EINVAL);
	assert_int_equal(tcmu_configfs_parse_u64("1 2", &v), -EINVAL);
	assert_int_equal(tcmu_configfs_parse_u64("0x10", &v), -EINVAL);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	static const char *const names[] = { "a", "w", "p" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		unlink(path);
	}
	return rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading),        cmocka_unit_test(writing),
		cmocka_unit_test(public_helpers), cmocka_unit_test(sizes_in_info),
		cmocka_unit_test(numbers),        cmocka_unit_test(links),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
