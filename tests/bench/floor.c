/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor UIO [FILE]: the least that a program on a TCM-User ring needs for a command, to compare a daemon with.
 * Nothing is checked, nothing is kept in mind, nothing but READ and WRITE (10) and (16) and what Linux asks of a
 * disk is known; the ring is not left when the device is deleted: kill it. Without FILE the data are not
 * touched.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/abi.h"
#include "scsi_defs.h"
#include "util/be.h"

#define BLOCK    512
#define BLOCKS   (UINT64_C(400) << 11) /* what tests/bench/lib.sh makes */
#define IOVS_MAX 1024

static uint8_t *map;
static struct tcmu_abi_mailbox *mb;
static int uio, file = -1;

static void copy_out(const struct tcmu_abi_entry *ent, const uint8_t *src, size_t len)
{
	for (uint32_t i = 0; i < ent->req.iov_cnt && len; i++) {
		size_t n = ent->req.iov[i].iov_len < len ? ent->req.iov[i].iov_len : len;

		memcpy(map + (uintptr_t)ent->req.iov[i].iov_base, src, n);
		src += n;
		len -= n;
	}
}

static uint8_t transfer(const struct tcmu_abi_entry *ent, bool write, uint64_t lba)
{
	struct iovec iov[IOVS_MAX];
	off_t off = (off_t)(lba * BLOCK);
	int cnt = (int)ent->req.iov_cnt;

	if (file < 0)
		return SAM_STAT_GOOD;
	if (cnt > IOVS_MAX)
		return SAM_STAT_BUSY;
	for (int i = 0; i < cnt; i++) {
		iov[i].iov_base = map + (uintptr_t)ent->req.iov[i].iov_base;
		iov[i].iov_len = ent->req.iov[i].iov_len;
	}
	if ((write ? pwritev(file, iov, cnt, off) : preadv(file, iov, cnt, off)) < 0)
		return SAM_STAT_BUSY;
	return SAM_STAT_GOOD;
}

/* What Linux asks before there is a disk. */
static uint8_t about_disk(const struct tcmu_abi_entry *ent, const uint8_t *cdb)
{
	uint8_t data[96] = { 0 };

	switch (cdb[0]) {
	case INQUIRY:
		if (cdb[1] & 1) /* EVPD */
			return SAM_STAT_CHECK_CONDITION;
		data[2] = 6; /* SPC-4 */
		data[3] = 2;
		data[4] = 31;
		memcpy(data + 8, "NONE    FLOOR           0   ", 28);
		break;
	case READ_CAPACITY:
		put_be32(data, (uint32_t)BLOCKS - 1);
		put_be32(data + 4, BLOCK);
		break;
	case MODE_SENSE:
		data[0] = 3;
		break;
	case TEST_UNIT_READY:
	case SYNCHRONIZE_CACHE:
		break;
	default:
		return SAM_STAT_CHECK_CONDITION;
	}
	copy_out(ent, data, sizeof(data));
	return SAM_STAT_GOOD;
}

static uint8_t execute(const struct tcmu_abi_entry *ent)
{
	const uint8_t *cdb = (const uint8_t *)mb + ent->req.cdb_off;

	switch (cdb[0]) {
	case READ_10:
	case WRITE_10:
		return transfer(ent, cdb[0] == WRITE_10, get_be32(cdb + 2));
	case READ_16:
	case WRITE_16:
		return transfer(ent, cdb[0] == WRITE_16, get_be64(cdb + 2));
	default:
		return about_disk(ent, cdb);
	}
}

/* True when something was answered. */
static bool answer_all(void)
{
	uint32_t tail = mb->cmd_tail, first = tail;

	while (tail != __atomic_load_n(&mb->cmd_head, __ATOMIC_ACQUIRE)) {
		struct tcmu_abi_entry *ent = (void *)(map + mb->cmdr_off + tail);
		uint8_t status;

		if ((ent->hdr.len_op & TCMU_ABI_OP_MASK) == TCMU_ABI_OP_CMD) {
			status = execute(ent);
			memset(&ent->rsp, 0, sizeof(ent->rsp));
			ent->rsp.scsi_status = status;
			if (status ==
			    SAM_STAT_CHECK_CONDITION) { /* INVALID COMMAND OPERATION CODE */
				ent->rsp.sense[0] = 0x70;
				ent->rsp.sense[2] = 0x05;
				ent->rsp.sense[7] = 10;
				ent->rsp.sense[12] = 0x20;
			}
			ent->hdr.uflags = 0;
		}
		tail = (tail + (ent->hdr.len_op & ~TCMU_ABI_OP_MASK)) % mb->cmdr_size;
	}
	__atomic_store_n(&mb->cmd_tail, tail, __ATOMIC_RELEASE);
	return tail != first;
}

static size_t map_size(const char *path)
{
	char name[80];
	size_t size = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/sys/class/uio/%s/maps/map0/size", path + strlen("/dev/"));
	f = fopen(name, "re");
	if (!f || fscanf(f, "%zx", &size) != 1)
		size = 0;
	if (f)
		fclose(f);
	return size;
}

int main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	const uint32_t on = 1;
	size_t size;

	if (argc < 2 || argc > 3 || strncmp(argv[1], "/dev/", 5)) {
		fprintf(stderr, "usage: floor /dev/uioN [FILE]\n");
		return 2;
	}
	uio = open(argv[1], O_RDWR | O_CLOEXEC);
	size = map_size(argv[1]);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, uio, 0);
	if (argc > 2)
		file = open(argv[2], O_RDWR | O_CLOEXEC);
	if (map == MAP_FAILED || (argc > 2 && file < 0) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, uio, &ev)) {
		perror("floor");
		return 1;
	}
	mb = (void *)map;
	for (;;) {
		if (answer_all() && write(uio, &on, sizeof(on)) != sizeof(on))
			return 1;
		if (mb->cmd_tail == __atomic_load_n(&mb->cmd_head, __ATOMIC_ACQUIRE))
			epoll_wait(epoll_fd, &ev, 1, -1);
	}
}
