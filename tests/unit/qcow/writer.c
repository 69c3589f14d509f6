/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow-writer CONFIG SEED TWIN COUNT [MODE...]: the disk of an image, which is what the raw file TWIN has, gets
 * COUNT random commands, and has to be what they make of it. They are said on the standard output as
 * commands of qemu-io, which make the same of TWIN. Modes:
 *   reopens=N    it is closed and opened again so often
 *   grow=BYTES   to this size, while commands are under way
 *   shrink       which has to be refused
 *   most=BYTES   of a write
 *   fua=N        of 16 writes
 *   ro           only commands that write nothing
 *   errors       of the storage; nothing is said on the standard output
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "load.h"
#include "record.h"
#include "rig.h"

static const char *config;
static unsigned long reopens = 1;
static uint64_t grow;
static bool shrink;

static void say(const struct load_cmd *cmd, uint8_t pattern)
{
	unsigned long long off = cmd->lba * LOAD_BLOCK, len = cmd->blocks * LOAD_BLOCK;

	if (cmd->kind == LOAD_UNMAP || cmd->zero)
		printf("write -P 0 %llu %llu\n", off, len);
	else if (cmd->kind == LOAD_WRITE || cmd->kind == LOAD_SAME)
		printf("write -P %d %llu %llu\n", pattern, off, len);
}

/* Once, each of them. */
static void resize(void)
{
	int ret;

	if (shrink && rig_size > LOAD_BLOCK) {
		ret = rig_resize(rig_size - LOAD_BLOCK);
		if (!ret) {
			fprintf(stderr, "a smaller size was taken\n");
			load_wrong++;
		}
		shrink = false;
	}
	if (!grow)
		return;
	ret = rig_resize(grow);
	if (ret) {
		fprintf(stderr, "%llu bytes were not taken: %s, %s\n", (unsigned long long)grow,
			strerror(-ret), rig_error);
		load_wrong++;
	} else {
		load_grow(grow);
		printf("truncate %llu\n", (unsigned long long)grow);
	}
	grow = 0;
}

static void make_errors(void)
{
	if (rig_random(4) == 0)
		rig_fail_in = 1 + (unsigned int)rig_random(20);
	if (rig_random(4))
		return;
	record_fail_in = 1 + (unsigned int)rig_random(20);
	record_fail_more = (unsigned int)rig_random(2) * (unsigned int)rig_random(30);
	record_fail_errno = rig_random(2) ? EIO : ENOSPC;
}

static void take_mode(const char *mode)
{
	if (!strncmp(mode, "reopens=", 8)) {
		reopens = 1 + strtoul(mode + 8, NULL, 10);
	} else if (!strncmp(mode, "grow=", 5)) {
		grow = strtoull(mode + 5, NULL, 10);
		load_between = resize;
	} else if (!strcmp(mode, "shrink")) {
		shrink = true;
		load_between = resize;
	} else if (!strncmp(mode, "most=", 5)) {
		load_options.most = strtoull(mode + 5, NULL, 10);
	} else if (!strncmp(mode, "fua=", 4)) {
		load_options.fua = (unsigned int)strtoul(mode + 4, NULL, 10);
	} else if (!strcmp(mode, "ro")) {
		load_options.weight[LOAD_WRITE] = load_options.weight[LOAD_SAME] = 0;
		load_options.weight[LOAD_UNMAP] = load_options.weight[LOAD_FLUSH] = 0;
	} else if (!strcmp(mode, "errors")) {
		load_options.errors = true;
		load_between = make_errors;
	} else {
		fprintf(stderr, "'%s' is no mode\n", mode);
		exit(2);
	}
}

static void open_disk(void)
{
	int ret = rig_open(config, 0);

	if (ret) {
		fprintf(stderr, "open: %s: %s\n", strerror(-ret), rig_error);
		exit(3);
	}
}

static void close_disk(void)
{
	rig_fail_in = record_fail_in = 0;
	if (rig_close())
		return;
	fprintf(stderr, "operations are under way when all commands are done\n");
	load_wrong++;
}

static void run(size_t count)
{
	open_disk();
	for (unsigned long i = 0; i < reopens; i++) {
		load_run(count / reopens);
		rig_fail_in = record_fail_in = 0;
		load_verify(LOAD_NOW, 0, "after the commands");
		close_disk();
		open_disk();
		load_verify(LOAD_NOW, 0, "opened again");
	}
	close_disk();
}

int main(int argc, char **argv)
{
	const void *twin;
	struct stat st;
	int fd;

	if (argc < 5) {
		fprintf(stderr, "usage: qcow-writer CONFIG SEED TWIN COUNT [MODE...]\n");
		return 2;
	}
	config = argv[1];
	rig_seed(strtoull(argv[2], NULL, 10));
	load_options = (struct load_options) {
		.fua = 1, .weight = { 0, 24, 3, 4, 1, 10, 2 }, .most = 256 << 10, .near = 512 << 10
	};
	for (int i = 5; i < argc; i++)
		take_mode(argv[i]);
	if (!load_options.errors)
		load_done = say;
	fd = open(argv[3], O_RDONLY);
	if (fd < 0 || fstat(fd, &st)) {
		fprintf(stderr, "%s: %s\n", argv[3], strerror(errno));
		return 2;
	}
	twin = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	load_init(twin, (uint64_t)st.st_size);
	run(strtoul(argv[4], NULL, 10));
	load_fini();
	return load_wrong ? 1 : 0;
}
