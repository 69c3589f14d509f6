/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow-crash DIR IMAGE DATAFILE SEED COUNT POINTS [MODE...]: IMAGE, in DIR, gets COUNT random commands. At
 * POINTS moments of that it is looked what the files would be, had the process been killed or the power
 * gone: made in DIR/cut, under the same names, qemu-img check must find nothing worse than leaks, and every
 * block has to have what its history allows. DATAFILE "-": there is none. Modes:
 *   snapshot=NAME  the image has this one, which stays as it is
 *   rounds=N    so often: what was found last is written to next
 *   unchecked   there is no qemu-img check for this kind of image
 *   lazy        qemu-img check -r all may have to come first
 *   point=N     no other is looked at, but the last of each round; DIR/cut stays as it was found
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "record.h"
#include "rig.h"

extern char **environ;

static const char *dir;
static char image[512], data_file[512];
static const char *snapshot;
static bool unchecked, lazy;
static unsigned long only_point, rounds = 1, count, points;
static uint64_t seed;
static uint8_t *then;  /* what the snapshot has */
static char what[100]; /* the point that is looked at */

static void complain(const char *sentence)
{
	fprintf(stderr, "%s: %s %s\n", what, sentence, rig_error);
	load_wrong++;
}

/* The exit status; its words go to DIR/said. */
static int qemu_img(const char *const *argv)
{
	posix_spawn_file_actions_t actions;
	char said[600];
	pid_t pid;
	int status;

	snprintf(said, sizeof(said), "%s/said", dir);
	assert(!posix_spawn_file_actions_init(&actions));
	posix_spawn_file_actions_addopen(&actions, 1, said, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	assert(!posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ));
	posix_spawn_file_actions_destroy(&actions);
	assert(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void show_said(void)
{
	char said[600], line[300];
	FILE *f;

	snprintf(said, sizeof(said), "%s/said", dir);
	f = fopen(said, "r");
	for (int i = 0; f && i < 12 && fgets(line, sizeof(line), f); i++)
		fprintf(stderr, "    %s", line);
	if (f)
		fclose(f);
}

static void open_disk(const char *path, const char *options)
{
	char config[600];
	int ret;

	snprintf(config, sizeof(config), "qcow/%s%s", path, options);
	ret = rig_open(config, 0);
	if (!ret)
		return;
	fprintf(stderr, "open of %s: %s: %s\n", config, strerror(-ret), rig_error);
	exit(3);
}

static uint8_t *read_all(const char *path, const char *options, uint64_t *size)
{
	uint8_t *contents;

	open_disk(path, options);
	contents = malloc(rig_size);
	assert(contents);
	for (uint64_t off = 0; off < rig_size; off += 1 << 20) {
		size_t len = rig_size - off < 1 << 20 ? (size_t)(rig_size - off) : 1 << 20;

		assert(rig_read(contents + off, len, off) == TCMU_STS_OK);
	}
	*size = rig_size;
	rig_close();
	return contents;
}

static uint8_t *read_snapshot(const char *path, uint64_t *size)
{
	char options[100];

	snprintf(options, sizeof(options), ";ro;snapshot=%s", snapshot);
	return read_all(path, options, size);
}

/* ---- the files at a moment ---- */

static const char *cut_path(unsigned int file, char path[600])
{
	const char *name = strrchr(record_files[file].path, '/');

	snprintf(path, 600, "%s/cut%s", dir, name);
	return path;
}

/* Zeros stay holes: most of a file is. */
static void make_file(const char *path, const uint8_t *bytes, uint64_t size)
{
	static const uint8_t zeros[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert(fd >= 0 && !ftruncate(fd, (off_t)size));
	for (uint64_t off = 0; off < size; off += sizeof(zeros)) {
		size_t len = size - off < sizeof(zeros) ? (size_t)(size - off) : sizeof(zeros);

		if (memcmp(bytes + off, zeros, len))
			assert(pwrite(fd, bytes + off, len, (off_t)off) == (ssize_t)len);
	}
	close(fd);
}

/* 0: as it has to be; 1: only after a repair; -1: damaged. */
static int check(const char *path)
{
	const char *const look[] = { "qemu-img", "check", "-f", "qcow2", path, NULL };
	const char *const repair[] = {
		"qemu-img", "check", "-f", "qcow2", "-r", "all", path, NULL
	};
	int status;

	if (unchecked)
		return 0;
	status = qemu_img(look);
	if (status == 0 || status == 3)
		return 0;
	if (!lazy)
		return -1;
	qemu_img(repair);
	return qemu_img(look) ? -1 : 1;
}

/* What was found can be written to again, and all the rest stays as it is. */
static void use_again(const char *path)
{
	uint64_t size, size_now;
	uint8_t *contents = read_all(path, ";ro", &size), *now;
	int sts = TCMU_STS_OK;

	open_disk(path, "");
	for (int i = 0; i < 8 && sts == TCMU_STS_OK; i++) {
		uint64_t off = rig_random(size / LOAD_BLOCK) * LOAD_BLOCK;
		size_t len = LOAD_BLOCK * (1 + (size_t)rig_random(256));

		if (len > size - off)
			len = (size_t)(size - off);
		memset(contents + off, 0x40 + i, len);
		sts = rig_write(contents + off, len, off, i == 4);
	}
	if (sts == TCMU_STS_OK)
		sts = rig_flush();
	if (!rig_close() || sts != TCMU_STS_OK)
		complain("it cannot be written to again");
	if (check(path) < 0) {
		complain("damaged when it was written to again");
		show_said();
	}
	now = read_all(path, ";ro", &size_now);
	if (size != size_now || memcmp(now, contents, size))
		complain("other contents when it was written to again");
	free(now);
	free(contents);
}

static void look_at_snapshot(const char *path)
{
	uint64_t size;
	uint8_t *now = read_snapshot(path, &size);

	if (memcmp(now, then, size))
		complain("the snapshot is another");
	free(now);
}

/* Half of the moments are just before a sync, when most is not durable. */
static size_t choose_moment(void)
{
	size_t at = (size_t)rig_random(record_count + 1);

	if (rig_random(2))
		return at;
	while (at < record_count && record_changes[at].kind != RECORD_SYNC)
		at++;
	return at;
}

static void look_at(unsigned long point)
{
	unsigned int wrong = load_wrong;
	char path[600];
	size_t at;
	bool power;

	if (only_point && point != only_point && point % points)
		return;
	rig_seed(seed * 1000003 + point); /* it does not depend on which others are looked at */
	at = choose_moment();
	power = rig_random(4);
	snprintf(what, sizeof(what), "point %lu, %s after %zu of %zu changes", point,
		 power ? "power cut" : "killed", at, record_count);
	for (unsigned int i = 0; i < record_file_count; i++) {
		uint64_t size;
		uint8_t *bytes = cut_make(i, at, power, &size);

		make_file(cut_path(i, path), bytes, size);
		free(bytes);
	}
	cut_path(0, path);
	if (check(path) < 0) {
		complain("qemu-img check says");
		show_said();
	}
	open_disk(path, ";ro");
	load_verify(power ? LOAD_CUT : LOAD_KILLED, at, what);
	rig_close();
	if (snapshot)
		look_at_snapshot(path);
	if (point == only_point)
		exit(load_wrong ? 1 : 0);
	if (load_wrong != wrong || point % 4)
		return;
	use_again(path);
	if (snapshot)
		look_at_snapshot(path);
}

/* ---- */

/* What goes wrong between two syncs is seen where they are rare, and what is wrong with clusters that are used
 * again where many become free. */
static void choose_load(void)
{
	static const struct load_options loads[] = {
		{ .fua = 2,
		  .weight = { 0, 24, 2, 4, 2, 4, 1 },
		  .most = 64 << 10,
		  .near = 256 << 10 },
		{ .fua = 0, .weight = { 0, 96, 8, 8, 1, 8, 4 }, .most = 16 << 10, .near = 1 << 20 },
		{ .fua = 6, .weight = { 0, 24, 0, 1, 0, 2, 1 }, .most = 8 << 10, .near = 64 << 10 },
		{ .fua = 0, .weight = { 0, 24, 8, 24, 1, 4, 1 }, .most = 256 << 10 },
		{ .fua = 8, .weight = { 0, 24 }, .most = 8 << 10, .near = 64 << 10 },
	};

	load_options = loads[rig_random(sizeof(loads) / sizeof(*loads))];
	load_options.tags = true;
}

static void die(void)
{
	record_dead |= !rig_random(8);
}

/* Opened now and then anew, as by a daemon that is started again after it was stopped or killed: what is
 * only in the page cache is no more durable for that. */
static void record(void)
{
	const char *options = rig_random(2) ? ";cache=64K" : "";
	unsigned long parts = 1 + rig_random(6);

	record_begin(image);
	if (*data_file)
		record_begin(data_file);
	open_disk(image, options);
	for (unsigned long i = 1; i < parts; i++) {
		load_between = rig_random(2) ? die : NULL;
		load_run(count / parts);
		load_between = NULL;
		record_dead |= !rig_random(4); /* when nothing is under way */
		rig_close();
		record_dead = false;
		open_disk(image, options);
	}
	load_run(count - count / parts * (parts - 1));
	load_verify(LOAD_NOW, 0, "at the end");
	rig_close();
}

static void one_round(unsigned long round)
{
	uint64_t size;
	uint8_t *contents = read_all(image, ";ro", &size);
	char path[600];

	rig_seed(seed * 1009 + round);
	choose_load();
	load_init(contents, size);
	record();
	for (unsigned long i = 1; i <= points && load_wrong < 5; i++)
		look_at(round * points + i);
	for (unsigned int i = 0; i < record_file_count; i++)
		assert(!rename(cut_path(i, path), record_files[i].path));
	record_end();
	load_fini();
	free(contents);
}

static void take_args(int argc, char **argv)
{
	dir = argv[1];
	snprintf(image, sizeof(image), "%s/%s", dir, argv[2]);
	if (strcmp(argv[3], "-"))
		snprintf(data_file, sizeof(data_file), "%s/%s", dir, argv[3]);
	seed = strtoull(argv[4], NULL, 10);
	count = strtoul(argv[5], NULL, 10);
	points = strtoul(argv[6], NULL, 10);
	for (int i = 7; i < argc; i++) {
		if (!strcmp(argv[i], "unchecked"))
			unchecked = true;
		else if (!strcmp(argv[i], "lazy"))
			lazy = true;
		else if (!strncmp(argv[i], "snapshot=", 9))
			snapshot = argv[i] + 9;
		else if (!strncmp(argv[i], "rounds=", 7))
			rounds = strtoul(argv[i] + 7, NULL, 10);
		else if (!strncmp(argv[i], "point=", 6))
			only_point = strtoul(argv[i] + 6, NULL, 10);
	}
}

int main(int argc, char **argv)
{
	char path[600];
	uint64_t size;

	if (argc < 7) {
		fprintf(stderr,
			"usage: qcow-crash DIR IMAGE DATAFILE SEED COUNT POINTS [MODE...]\n");
		return 2;
	}
	take_args(argc, argv);
	snprintf(path, sizeof(path), "%s/cut", dir);
	mkdir(path, 0755);
	assert(*path == '/' && !chdir(path)); /* to which QEMU takes the data file's name */
	if (snapshot)
		then = read_snapshot(image, &size);
	for (unsigned long i = 0; i < rounds && !load_wrong; i++)
		one_round(i);
	free(then);
	return load_wrong ? 1 : 0;
}
