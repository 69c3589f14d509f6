/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into configfs directories, of which some do not come back: a FIFO that nobody writes to is what a
 * directory is to who looks while the device is being removed. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/context.h"
#include "lib/looks.h"
#include "test.h"

enum { N = 30 };

static char root[] = "/tmp/looks.XXXXXX";
static struct tcmu_looks looks;
static struct tcmu_found dev[N];

static const char *path_of(int i, const char *file)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/user_0/d%d%s%s", root, i, *file ? "/" : "", file);
	return path;
}

static void put(int i, const char *file, const char *text)
{
	FILE *f = fopen(path_of(i, file), "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void make(int i, bool being_removed)
{
	static const char *const dirs[] = { "", "statistics", "statistics/scsi_dev", "attrib" };

	for (size_t d = 0; d < sizeof(dirs) / sizeof(dirs[0]); d++)
		assert_int_equal(mkdir(path_of(i, dirs[d]), 0700), 0);
	if (being_removed)
		assert_int_equal(mkfifo(path_of(i, "enable"), 0600), 0);
	else
		put(i, "enable", "1\n");
	put(i, "statistics/scsi_dev/indx", "7\n");
	put(i, "attrib/hw_block_size", "4096\n");
	put(i, "attrib/dev_size", "8192\n");
	put(i, "attrib/dev_config", i % 2 ? "test/now\n" : "test/now\n\n"); /* as echo writes it */
	put(i, "attrib/nl_reply_supported", "1\n");
	dev[i] = (struct tcmu_found) { .minor = (uint32_t)i };
	snprintf(dev[i].uio_name, sizeof(dev[i].uio_name), "tcm-user/0/d%d/test/", i);
}

static int rm(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	char path[64];

	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/user_0", root);
	assert_int_equal(mkdir(path, 0700), 0);
	looks = (struct tcmu_looks) { .root = root };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(root, rm, 16, FTW_DEPTH | FTW_PHYS);
}

/* The removal has ended; waits until the look has. */
static void let_go(int i)
{
	FILE *f = fopen(path_of(i, "enable"), "we");

	assert_non_null(f);
	fputs("1\n", f);
	fclose(f);
}

static void assert_seen(const struct tcmu_found *found)
{
	assert_int_equal(found->err, 0);
	assert_true(found->enabled && found->awaits_replies);
	assert_int_equal(found->device_id, 7);
	assert_int_equal(found->block_size, 4096);
	assert_int_equal(found->dev_size, 8192);
	assert_string_equal(found->config, "test/now");
}

static void seen(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++)
		make(i, false);
	strcpy(dev[3].uio_name, "tcm-user/0/missing/test/");
	strcpy(dev[4].uio_name, "nonsense");
	tcmu_looks_at(&looks, dev, N);
	for (int i = 0; i < N; i++) {
		if (i == 3)
			assert_int_equal(dev[i].err, -ENOENT);
		else if (i == 4)
			assert_true(dev[i].err < 0);
		else
			assert_seen(&dev[i]);
	}
	assert_false(tcmu_looks_stuck(&looks));
}

/* Many that wait take no longer than one, keep nobody else, and are asked once. */
static void blocked(void **state)
{
	uint64_t begin = tcmu_now_ms(), end;
	struct tcmu_found again;

	(void)state;
	for (int i = 0; i < N; i++)
		make(i, i % 3);
	tcmu_looks_at(&looks, dev, N);
	end = tcmu_now_ms();
	assert_in_range(end - begin, 900, N * 1000 / 2);
	for (int i = 0; i < N; i++) {
		if (i % 3)
			assert_int_equal(dev[i].err, -ETIMEDOUT);
		else
			assert_seen(&dev[i]);
	}
	assert_true(tcmu_looks_stuck(&looks));
	again = dev[1];
	begin = tcmu_now_ms();
	for (int i = 0; i < 5; i++) {
		tcmu_looks_at(&looks, &again, 1);
		assert_int_equal(again.err, -ETIMEDOUT);
	}
	assert_true(tcmu_now_ms() - begin < 4000); /* nothing was waited for */

	let_go(1);
	unlink(path_of(1, "enable"));
	put(1, "enable", "1\n");
	do
		tcmu_looks_at(&looks, &again, 1);
	while (again.err == -ETIMEDOUT && tcmu_now_ms() < begin + 60000);
	assert_seen(&again);
	for (int i = 2; i < N; i++) {
		if (i % 3)
			let_go(i);
	}
	while (tcmu_looks_stuck(&looks) && tcmu_now_ms() < begin + 60000)
		usleep(1000);
	assert_false(tcmu_looks_stuck(&looks));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(seen), TEST(blocked) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
