/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up /sys: with the linker's --wrap for open, close, read, write, opendir, readdir, closedir and
 * mmap. There is one file, whatever its name, and one directory.
 */
#ifndef FAKE_SYS_H
#define FAKE_SYS_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_FD 0x7ffffff0 /* of the file; mmap() takes it too */

struct fake_sys {
	/* the file: what it holds, and how read(2) and write(2) behave */
	const char *content;
	size_t len, at;
	size_t chunk;       /* they take no more at once */
	unsigned int eintr; /* so many reads are interrupted */
	bool broken;        /* reads behind the start fail with EIO */

	/* what was done */
	char path[PATH_MAX + 64]; /* opened last */
	char written[64];         /* the first bytes of the last write(2) */
	size_t written_len;       /* what it returned */
	unsigned int writes, open_files;
	size_t map_len;

	/* The directory: the next name, and what the file holds then. False: no more. */
	bool (*next_entry)(const char **name, const char **content);
	struct dirent entry; /* the last one */
	unsigned int entries;
};
extern struct fake_sys sys;

static inline size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline void set_content(const char *text, size_t len)
{
	sys.content = text;
	sys.len = len;
	sys.chunk = SIZE_MAX;
}

#endif
