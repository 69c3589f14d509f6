/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that somebody has made to hurt: opened, read and closed by the qcow handler, and those of an odd
 * length written to. An input is a list of pieces of a file, each its offset (4 bytes), its length (2) and its
 * bytes, so that one of large clusters is short, too; tests/fuzz/qcow-corpus makes them of images.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory-file.h"
#include "tests/unit/qcow/rig.h"

#define FILE_MAX (1u << 20)
#define READ_MAX (256u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t buf[READ_MAX];

static void make_file(int fd, const uint8_t *data, size_t size)
{
	memory_file_clear();
	while (size > 6) {
		uint32_t off = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 |
			       (uint32_t)data[2] << 8 | data[3];
		size_t len = (size_t)data[4] << 8 | data[5];

		data += 6;
		size -= 6;
		if (len > size)
			len = size;
		if (off > FILE_MAX)
			off = FILE_MAX;
		assert(pwrite(fd, data, len, (off_t)off) == (ssize_t)len);
		data += len;
		size -= len;
	}
}

/* How many bytes at *off, about, 0: none. */
static size_t range_at(uint64_t *off)
{
	size_t len = 512 * (1 + (size_t)rig_random(sizeof(buf) / 512));

	*off = *off / 512 * 512;
	if (*off >= rig_size)
		return 0;
	return len > rig_size - *off ? (size_t)(rig_size - *off) : len;
}

static void read_at(uint64_t off)
{
	size_t len = range_at(&off);

	if (len)
		rig_read(buf, len, off);
}

static void write_at(uint64_t off)
{
	size_t len = range_at(&off);

	if (len)
		rig_write(buf, len, off, rig_random(4) == 0);
	len = range_at(&off);
	if (len && rig_handler->unmap)
		rig_unmap(off, len);
	if (rig_handler->flush)
		rig_flush();
}

static void status_at(uint64_t off)
{
	struct tcmur_extent extents[4] = { 0 };
	struct rig_cmd *rc = rig_begin();
	uint64_t len = rig_size - off, sum = 0;

	rig_returned(rc, rig_handler->lba_status(rig_dev, &rc->pub, off, len, extents, 4));
	if (rig_finish(rc) != TCMU_STS_OK)
		return;
	for (size_t i = 0; i < 4; i++)
		sum += extents[i].len;
	assert(sum && sum <= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	char config[64];
	bool closed, writes = size % 2;

	if (fd < 0) {
		fd = memfd_create("image", MFD_CLOEXEC);
		assert(fd >= 0);
		memory_file_begin(fd);
	}
	snprintf(config, sizeof(config), "qcow//proc/self/fd/%d;cache=64K%s", fd,
		 writes ? "" : ";ro");
	make_file(fd, data, size);
	rig_seed(size);
	rig_fail_in = 0;
	if (rig_open(config, 0)) {
		assert(*rig_error);
		return 0;
	}
	read_at(0);
	read_at(rig_size / 2);
	read_at(rig_size - 512);
	read_at(rig_random(rig_size));
	if (size % 8 == 1)
		rig_fail_in = 1 + (unsigned int)rig_random(16);
	for (int i = 0; writes && i < 4; i++)
		write_at(i ? rig_random(rig_size) : 0);
	status_at(0);
	if (size % 4 == 0)
		rig_fail_in = 1 + (unsigned int)rig_random(4);
	read_at(0);
	closed = rig_close();
	assert(closed);
	return 0;
}
