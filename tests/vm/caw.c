/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caw COUNT DISK...: initiators that count together in one block, with nothing between them but COMPARE
 * AND WRITE (SBC-4 5.3), as cluster file systems do with their heartbeats and locks.
 *
 * Each DISK is the same logical unit through an I_T nexus of its own, and has a thread: it reads block
 * LBA, and writes the next number over it if it is still what it read, until it has added COUNT. The
 * number fills the block, so that a torn one is seen at the end. Exit status 0 if at the end all were counted, and
 * if they were in each other's way often enough for that to mean something.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <scsi/sg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define LBA        7
#define BLOCK      512u
#define WORDS      (BLOCK / sizeof(uint64_t))
#define MAX_DISKS  64
#define TIMEOUT_MS 60000

#define GOOD              0x00
#define CHECK_CONDITION   0x02
#define BUSY              0x08
#define TASK_SET_FULL     0x28
#define UNIT_ATTENTION    0x6
#define MISCOMPARE        0xe
#define READ_16           0x88
#define COMPARE_AND_WRITE 0x89

enum outcome { DONE, MISCOMPARED, FAILED };

struct initiator {
	pthread_t thread;
	const char *name;
	int fd;
	unsigned long count, miscompares, torn;
	bool failed;
};

static enum outcome wrong(const struct initiator *in, const char *what, const struct sg_io_hdr *hdr)
{
	fprintf(stderr, "%s: %s: status %02x host %02x resid %d; sense", in->name, what,
		hdr->status, hdr->host_status, hdr->resid);
	for (size_t i = 0; i < hdr->sb_len_wr; i++)
		fprintf(stderr, " %02x", hdr->sbp[i]);
	fputc('\n', stderr);
	return FAILED;
}

/* The command at block LBA, again for as long as it is not its turn. */
static enum outcome scsi(const struct initiator *in, uint8_t code, void *data, unsigned int len)
{
	uint8_t cdb[16] = { code, [9] = LBA, [13] = 1 };
	uint8_t sense[64];

	for (;;) {
		struct sg_io_hdr hdr = {
			.interface_id = 'S',
			.dxfer_direction = code == READ_16 ? SG_DXFER_FROM_DEV : SG_DXFER_TO_DEV,
			.cmd_len = sizeof(cdb),
			.cmdp = cdb,
			.dxfer_len = len,
			.dxferp = data,
			.mx_sb_len = sizeof(sense),
			.sbp = sense,
			.timeout = TIMEOUT_MS,
		};
		unsigned int key;

		memset(sense, 0, sizeof(sense));
		if (ioctl(in->fd, SG_IO, &hdr)) {
			perror(in->name);
			return FAILED;
		}
		if (hdr.host_status)
			return wrong(in, "no answer", &hdr);
		if (hdr.status == GOOD)
			return hdr.resid ? wrong(in, "a short transfer", &hdr) : DONE;
		if (hdr.status == BUSY || hdr.status == TASK_SET_FULL)
			continue;
		if (hdr.status != CHECK_CONDITION)
			return wrong(in, "an unexpected status", &hdr);
		key = sense[(sense[0] & 0x7f) < 0x72 ? 2 : 1] & 0xf;
		if (key == MISCOMPARE && code == COMPARE_AND_WRITE)
			return MISCOMPARED;
		if (key != UNIT_ATTENTION)
			return wrong(in, "an unexpected sense key", &hdr);
	}
}

static void fill(uint64_t *block, uint64_t number)
{
	for (size_t i = 0; i < WORDS; i++)
		block[i] = number;
}

/* The number in the block. MISCOMPARED: it was being written, and there are two in it. Nothing keeps a
 * READ away from a write at the same time; only what COMPARE AND WRITE compares is one or the other. */
static enum outcome read_number(const struct initiator *in, uint64_t *number)
{
	uint64_t block[WORDS];
	enum outcome outcome;

	memset(block, 0xff, sizeof(block));
	outcome = scsi(in, READ_16, block, sizeof(block));
	*number = block[0];
	for (size_t i = 1; i < WORDS; i++) {
		if (outcome == DONE && block[i] != block[0])
			return MISCOMPARED;
	}
	return outcome;
}

static enum outcome add_one(struct initiator *in)
{
	uint64_t compare_and_write[2 * WORDS], number;

	switch (read_number(in, &number)) {
	case DONE:
		break;
	case MISCOMPARED:
		in->torn++;
		return MISCOMPARED;
	default:
		return FAILED;
	}
	fill(compare_and_write, number);
	fill(compare_and_write + WORDS, number + 1);
	return scsi(in, COMPARE_AND_WRITE, compare_and_write, sizeof(compare_and_write));
}

static void *initiate(void *arg)
{
	struct initiator *in = arg;

	for (unsigned long added = 0; added < in->count && !in->failed;) {
		switch (add_one(in)) {
		case DONE:
			added++;
			break;
		case MISCOMPARED:
			in->miscompares++;
			break;
		default:
			in->failed = true;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct initiator in[MAX_DISKS];
	unsigned long count, miscompares = 0, torn = 0;
	int disks = argc - 2;
	uint64_t begin, end;
	bool bad = false;

	if (disks < 1 || disks > MAX_DISKS)
		return 2;
	count = strtoul(argv[1], NULL, 0);
	for (int i = 0; i < disks; i++) {
		in[i] = (struct initiator) { .name = argv[i + 2], .count = count };
		in[i].fd = open(in[i].name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (in[i].fd < 0) {
			perror(in[i].name);
			return 1;
		}
	}
	if (read_number(&in[0], &begin) != DONE)
		return 1;
	for (int i = 0; i < disks; i++) {
		if (pthread_create(&in[i].thread, NULL, initiate, &in[i]))
			abort();
	}
	for (int i = 0; i < disks; i++) {
		pthread_join(in[i].thread, NULL);
		bad |= in[i].failed;
		miscompares += in[i].miscompares;
		torn += in[i].torn;
	}
	if (read_number(&in[0], &end) != DONE)
		return 1;
	printf("%d initiators added %lu each: %" PRIu64
	       " counted, %lu not at once, %lu torn reads\n",
	       disks, count, end - begin, miscompares, torn);
	if (end - begin != (uint64_t)disks * count) {
		printf("that is not %" PRIu64 "\n", (uint64_t)disks * count);
		bad = true;
	}
	if (disks > 1 && miscompares < count / 10) {
		puts("they were hardly in each other's way, which shows nothing");
		bad = true;
	}
	return bad;
}
