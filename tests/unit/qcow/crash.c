/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow-crash DIR IMAGE DATAFILE SEED COUNT POINTS [MODE...]: IMAGE, in DIR, gets COUNT random commands. At
 * POINTS moments of that it is looked what the files would be, had the process been killed or the power
 * gone: made in DIR/cut, under the same names, qemu-img check must find nothing worse than leaks, and every
 * block has to have what its history allows. DATAFILE "-": there is none. Modes:
 *   unchecked   there is no qemu-img check for this kind of image
 *   lazy        qemu-img check -r all may have to come first
 *   point=N     only this one of the points, and DIR/cut stays
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
static bool unchecked, lazy;
static unsigned long only_point;

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

static uint8_t *read_all(uint64_t *size)
{
	uint8_t *contents;

	open_disk(image, ";ro");
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

/* What was found can be written to again. */
static void use_again(const char *path)
{
	static uint8_t buf[128 << 10];
	int sts = TCMU_STS_OK;

	open_disk(path, "");
	for (int i = 0; i < 8 && sts == TCMU_STS_OK; i++) {
		uint64_t off = rig_random(rig_size / LOAD_BLOCK) * LOAD_BLOCK;
		size_t len = LOAD_BLOCK * (1 + (size_t)rig_random(sizeof(buf) / LOAD_BLOCK));

		sts = rig_write(buf, len < rig_size - off ? len : (size_t)(rig_size - off), off,
				i == 4);
	}
	if (sts == TCMU_STS_OK && rig_handler->flush)
		sts = rig_flush();
	if (sts != TCMU_STS_OK || !rig_close()) {
		fprintf(stderr, "it cannot be written to: status %d, %s\n", sts, rig_error);
		load_wrong++;
	}
	if (check(path) < 0) {
		fprintf(stderr, "it was damaged when it was written to again:\n");
		show_said();
		load_wrong++;
	}
}

static void look_at(unsigned long point, size_t at, bool power)
{
	unsigned int wrong = load_wrong;
	char path[600], what[100];

	snprintf(what, sizeof(what), "point %lu, %s after %zu of %zu changes", point,
		 power ? "power cut" : "killed", at, record_count);
	for (unsigned int i = 0; i < record_file_count; i++) {
		uint64_t size;
		uint8_t *bytes = cut_make(i, at, power, &size);

		make_file(cut_path(i, path), bytes, size);
		free(bytes);
	}
	if (only_point && point != only_point)
		return;
	cut_path(0, path);
	if (check(path) < 0) {
		fprintf(stderr, "%s: qemu-img check:\n", what);
		show_said();
		load_wrong++;
	}
	open_disk(path, ";ro");
	load_verify(power ? LOAD_CUT : LOAD_KILLED, at, what);
	rig_close();
	if (load_wrong == wrong && point % 4 == 0 && !only_point) {
		use_again(path);
		if (load_wrong != wrong)
			fprintf(stderr, "%s\n", what);
	}
}

/* ---- */

static void record(size_t count)
{
	record_begin(image);
	if (*data_file)
		record_begin(data_file);
	open_disk(image, "");
	load_run(count / 2);
	if (rig_random(2)) {
		rig_close();
		open_disk(image, "");
	}
	load_run(count - count / 2);
	load_verify(LOAD_NOW, 0, "at the end");
	rig_close();
}

static void take_args(int argc, char **argv)
{
	dir = argv[1];
	snprintf(image, sizeof(image), "%s/%s", dir, argv[2]);
	if (strcmp(argv[3], "-"))
		snprintf(data_file, sizeof(data_file), "%s/%s", dir, argv[3]);
	rig_seed(strtoull(argv[4], NULL, 10));
	for (int i = 7; i < argc; i++) {
		if (!strcmp(argv[i], "unchecked"))
			unchecked = true;
		else if (!strcmp(argv[i], "lazy"))
			lazy = true;
		else if (!strncmp(argv[i], "point=", 6))
			only_point = strtoul(argv[i] + 6, NULL, 10);
	}
	load_options = (struct load_options) { .tags = true,
					       .fua = 2,
					       .weight = { 0, 24, 2, 4, 2, 4, 1 },
					       .most = 64 << 10,
					       .near = 256 << 10 };
}

int main(int argc, char **argv)
{
	unsigned long points;
	uint8_t *contents;
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
	contents = read_all(&size);
	load_init(contents, size);
	record(strtoul(argv[5], NULL, 10));
	points = strtoul(argv[6], NULL, 10);
	for (unsigned long i = 1; i <= points && load_wrong < 5; i++)
		look_at(i, (size_t)rig_random(record_count + 1), rig_random(4));
	record_end();
	load_fini();
	free(contents);
	return load_wrong ? 1 : 0;
}
