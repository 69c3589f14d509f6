/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices a look into /sys/class/uio finds, at every moment of their making. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/uio.h"
#include "test.h"

static char root[] = "/tmp/test-uio-XXXXXX"; /* in the place of /sys/class/uio */

static const char *moved(const char *path, char *room, size_t size)
{
	static const char class[] = "/sys/class/uio";

	if (strncmp(path, class, sizeof(class) - 1))
		return path;
	snprintf(room, size, "%s%s", root, path + sizeof(class) - 1);
	return room;
}

/* What open() is called with 64-bit file offsets. */
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	char room[256];
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __real_open64(moved(path, room, sizeof(room)), flags, mode);
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	char room[256];

	return __real_opendir(moved(path, room, sizeof(room)));
}

static void make_dir(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

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

static unsigned int found_count;
static uint32_t found_minor;

static void note_found(uint32_t minor, const char *name, void *arg)
{
	(void)arg;
	assert_string_equal(name, "tcm-user/0/disk/file//d");
	found_minor = minor;
	found_count++;
}

static void assert_found(unsigned int count)
{
	found_count = 0;
	assert_int_equal(tcmu_uio_scan(note_found, NULL), 0);
	assert_int_equal(found_count, count);
}

static void none(void **state)
{
	(void)state;
	assert_found(0);
	rmdir(root); /* there is no uio module */
	assert_found(0);
	assert_int_equal(mkdir(root, 0700), 0);
}

/* The kernel shows a device before it shows its map, and sends the event after that. To serve it before
 * fails, and would have the kernel refuse it. */
static void half_made(void **state)
{
	(void)state;
	make_dir("uio7");
	assert_found(0);
	put("uio7/name", "tcm-user/0/disk/file//d\n");
	assert_found(0);
	make_dir("uio7/maps");
	make_dir("uio7/maps/map0");
	assert_found(0);
	put("uio7/maps/map0/size", "0x0000000000900000\n");
	assert_found(1);
	assert_int_equal(found_minor, 7);
}

/* What is wrong with it is said where it is mapped. */
static void strange_size(void **state)
{
	(void)state;
	put("uio7/maps/map0/size", "big\n");
	assert_found(1);
}

static void others(void **state)
{
	(void)state;
	make_dir("uio8");
	make_dir("uio8/maps");
	make_dir("uio8/maps/map0");
	put("uio8/maps/map0/size", "0x1000\n");
	put("uio8/name", "tcm-use\n");
	make_dir("uiox");
	put("uiox/name", "tcm-user/0/disk/file//d\n");
	make_dir("uio4294967296");
	put("uio4294967296/name", "tcm-user/0/disk/file//d\n");
	assert_found(1);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none),
		cmocka_unit_test(half_made),
		cmocka_unit_test(strange_size),
		cmocka_unit_test(others),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
