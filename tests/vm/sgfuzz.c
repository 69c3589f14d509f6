/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sgfuzz DISK SEED COUNT: an initiator that has gone mad, through SG_IO.
 *
 * First each operation code with each length of a CDB, then COUNT commands of which half are near to
 * valid ones; data buffers of any direction and length. Whatever is sent, the answer has to come, be
 * GOOD or a CHECK CONDITION that says what was wrong with the command, and hold nothing that another
 * command has left in the buffer. What the target does not list in REPORT SUPPORTED OPERATION CODES
 * has to be 05/20/00. Prints what was answered; exit status 1 and the command if one was not right.
 */
#include <errno.h>
#include <fcntl.h>
#include <scsi/sg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_DATA   (256u << 10)
#define MAX_CDB    32
#define MAX_MS     20000 /* for one answer, beside other load on an emulated processor */
#define TIMEOUT_MS 60000
#define PREFILL    0xa5 /* in a buffer for data-in */

#define GOOD            0
#define CHECK_CONDITION 2

static const uint8_t magic[8] = "\xc3S3cr3t\x3c"; /* in most of what is written */

static const uint8_t cdb_lens[] = { 6, 10, 12, 16, MAX_CDB };
#define CDB_LENS (sizeof(cdb_lens) / sizeof(cdb_lens[0]))

struct opcode {
	uint8_t code, service_action, cdb_len;
	bool has_service_action;
};

struct fuzz {
	int fd;
	uint64_t random;
	uint64_t blocks;
	struct opcode listed[256];
	size_t listed_count;
	bool known[256];
	uint8_t *data;
	unsigned int good, unknown, refused, not_ready, attentions;
};

struct command {
	uint8_t cdb[MAX_CDB];
	uint8_t cdb_len;
	int dir;
	uint32_t len;
	uint8_t sense[64];
	struct sg_io_hdr hdr;
	long ms;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- chance, the same for the same seed ---- */

static uint64_t next(struct fuzz *f)
{
	f->random ^= f->random >> 12;
	f->random ^= f->random << 25;
	f->random ^= f->random >> 27;
	return f->random * 0x2545f4914f6cdd1dull;
}

static uint32_t below(struct fuzz *f, uint32_t n)
{
	return (uint32_t)(next(f) >> 32) % n;
}

static bool one_in(struct fuzz *f, uint32_t n)
{
	return !below(f, n);
}

static void put_be(uint8_t *to, size_t size, uint64_t value)
{
	for (size_t i = size; i-- > 0; value >>= 8)
		to[i] = (uint8_t)value;
}

static uint64_t get_be(const uint8_t *from, size_t size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | *from++;
	return value;
}

/* ---- what is sent ---- */

/* The kernel answers these from its own tables (target_core_device.c: passthrough_parse_cdb()). */
static bool is_kernels(uint8_t code)
{
	switch (code) {
	case 0x16: /* RESERVE(6), RELEASE(6) */
	case 0x17:
	case 0x56: /* RESERVE(10), RELEASE(10) */
	case 0x57:
	case 0x5e: /* PERSISTENT RESERVE IN, OUT */
	case 0x5f:
	case 0xa0: /* REPORT LUNS */
		return true;
	default:
		return false;
	}
}

/* A reservation is kept by the kernel, and would be in the way of whoever comes after us. */
static bool is_left_out(uint8_t code)
{
	return code == 0x16 || code == 0x56 || code == 0x5f;
}

/* The bytes that a READ asks for; 0 for other commands. */
static uint64_t bytes_to_read(const uint8_t *cdb)
{
	switch (cdb[0]) {
	case 0x08:
		return (cdb[4] ? cdb[4] : 256) * 512ull;
	case 0x28:
		return get_be(cdb + 7, 2) * 512;
	case 0x88:
		return get_be(cdb + 10, 4) * 512;
	case 0xa8:
		return get_be(cdb + 6, 4) * 512;
	default:
		return 0;
	}
}

static void random_data(struct fuzz *f, struct command *c)
{
	static const uint32_t lens[] = { 0,   1,    4,    8,    24,   36,    96,       252,
					 512, 1024, 4095, 4096, 8192, 65536, MAX_DATA, 513 };
	static const int dirs[] = { SG_DXFER_FROM_DEV, SG_DXFER_TO_DEV, SG_DXFER_NONE };

	c->dir = dirs[below(f, 3)];
	c->len = one_in(f, 3) ? below(f, 4096) : lens[below(f, sizeof(lens) / sizeof(lens[0]))];
	if (c->dir == SG_DXFER_NONE)
		c->len = 0;
	if (!c->len)
		c->dir = SG_DXFER_NONE;
}

static void random_cdb(struct fuzz *f, struct command *c, uint8_t code, uint8_t len)
{
	c->cdb_len = len;
	memset(c->cdb, 0, sizeof(c->cdb));
	for (size_t i = 1; i < len; i++)
		c->cdb[i] = one_in(f, 2) ? (uint8_t)next(f) : 0;
	c->cdb[0] = code;
	/* ADDITIONAL CDB LENGTH of a variable length CDB: what is there, or not. */
	if (code == 0x7f && len > 7)
		c->cdb[7] = one_in(f, 2) ? len - 8 : (uint8_t)next(f);
	random_data(f, c);
}

/* Address and length where commands of this size have them, mostly in range and mostly agreeing with
 * the buffer. */
static void near_valid_cdb(struct fuzz *f, struct command *c)
{
	const struct opcode *op = &f->listed[below(f, (uint32_t)f->listed_count)];
	uint32_t blocks;
	uint64_t lba;

	c->cdb_len = op->cdb_len;
	memset(c->cdb, 0, sizeof(c->cdb));
	random_data(f, c);
	blocks = one_in(f, 8) ? below(f, 3000) : (c->len + 511) / 512;
	lba = next(f) % (f->blocks + 8);
	if (one_in(f, 16))
		lba = next(f);
	switch (op->cdb_len) {
	case 6:
		put_be(c->cdb + 1, 3, lba & 0x1fffff);
		put_be(c->cdb + 4, 1, blocks);
		break;
	case 10:
		put_be(c->cdb + 2, 4, lba);
		put_be(c->cdb + 7, 2, blocks);
		break;
	case 12:
		put_be(c->cdb + 2, 4, lba);
		put_be(c->cdb + 6, 4, blocks);
		break;
	default:
		put_be(c->cdb + 2, 8, lba);
		put_be(c->cdb + 10, 4, blocks);
	}
	if (op->cdb_len > 6)
		c->cdb[1] = one_in(f, 4) ? (uint8_t)next(f) : 0;
	if (op->has_service_action)
		c->cdb[1] = (uint8_t)((c->cdb[1] & ~0x1f) | op->service_action);
	c->cdb[0] = op->code;
	/* What is no block command takes its parameters from the first bytes instead. */
	if (one_in(f, 4))
		memset(c->cdb + 2, 0, c->cdb_len - 2u);
	if (one_in(f, 8))
		c->cdb[below(f, c->cdb_len - 1u) + 1] ^= (uint8_t)(1u << below(f, 8));
}

static void fill_data(struct fuzz *f, const struct command *c)
{
	bool small = one_in(f, 3);

	if (c->dir != SG_DXFER_TO_DEV) {
		memset(f->data, PREFILL, c->len);
		return;
	}
	for (size_t i = 0; i < c->len; i++)
		f->data[i] = magic[i % sizeof(magic)];
	for (size_t i = 0; small && i < c->len && i < 64; i++) /* a parameter list, perhaps */
		f->data[i] = one_in(f, 3) ? (uint8_t)below(f, 32) : 0;
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int send_command(struct fuzz *f, struct command *c)
{
	long begin = now_ms();
	int ret;

	memset(c->sense, 0, sizeof(c->sense));
	c->hdr = (struct sg_io_hdr) {
		.interface_id = 'S',
		.dxfer_direction = c->dir,
		.cmd_len = c->cdb_len,
		.cmdp = c->cdb,
		.dxfer_len = c->len,
		.dxferp = c->len ? f->data : NULL,
		.mx_sb_len = sizeof(c->sense),
		.sbp = c->sense,
		.timeout = TIMEOUT_MS,
	};
	ret = ioctl(f->fd, SG_IO, &c->hdr);
	c->ms = now_ms() - begin;
	return ret;
}

/* ---- what is answered ---- */

static int wrong(const struct command *c, const char *what)
{
	printf("%s:", what);
	for (size_t i = 0; i < c->cdb_len; i++)
		printf(" %02x", c->cdb[i]);
	printf("; %s %u bytes; status %02x host %02x driver %02x resid %d; sense",
	       c->dir == SG_DXFER_TO_DEV     ? "out"
	       : c->dir == SG_DXFER_FROM_DEV ? "in"
					     : "no",
	       c->len, c->hdr.status, c->hdr.host_status, c->hdr.driver_status, c->hdr.resid);
	for (size_t i = 0; i < c->hdr.sb_len_wr && i < 18; i++)
		printf(" %02x", c->sense[i]);
	printf("; %ld ms\n", c->ms);
	return -1;
}

static bool is_write(uint8_t code)
{
	return code == 0x0a || code == 0x2a || code == 0x8a || code == 0xaa;
}

/*
 * What comes back to an initiator is what was asked for: not what another one wrote. A target cannot
 * tell a WRITE with a buffer for data-in, of which it writes what is in it, and that comes back.
 */
static int check_data(const struct fuzz *f, const struct command *c)
{
	uint64_t from = bytes_to_read(c->cdb);

	if (is_kernels(c->cdb[0])) /* whose residual may be more than all */
		return 0;
	if (c->hdr.resid < 0 || (uint32_t)c->hdr.resid > c->len)
		return wrong(c, "an impossible residual");
	if (c->dir != SG_DXFER_FROM_DEV || is_write(c->cdb[0]))
		return 0;
	if (from < c->len && memmem(f->data + from, c->len - from, magic, sizeof(magic)))
		return wrong(c, "data of another command came back");
	return 0;
}

static int check_sense(struct fuzz *f, const struct command *c)
{
	unsigned int format = c->sense[0] & 0x7f;
	bool fixed = format == 0x70 || format == 0x71;
	unsigned int key = c->sense[fixed ? 2 : 1] & 0xf;
	unsigned int code = (unsigned int)c->sense[fixed ? 12 : 2] << 8 | c->sense[fixed ? 13 : 3];
	bool ours = !is_kernels(c->cdb[0]);

	if (c->hdr.sb_len_wr < 8 || format < 0x70 || format > 0x73)
		return wrong(c, "CHECK CONDITION without sense data");
	switch (key) {
	case 0x6:
		f->attentions++;
		return 0;
	case 0x2: /* it was told to stop, or to format itself; never: communication failure */
		if (code >> 8 != 0x04)
			return wrong(c, "NOT READY for no reason of its own");
		f->not_ready++;
		return 0;
	case 0x5:
	case 0x7: /* it was told to protect itself */
	case 0xe: /* of VERIFY */
		break;
	default:
		return wrong(c, "the command is not what this sense key blames");
	}
	if (!code && key == 0x5)
		return wrong(c, "ILLEGAL REQUEST without a reason");
	if (ours && !f->known[c->cdb[0]] && code != 0x2000)
		return wrong(c, "an unknown operation code is not 05/20/00");
	if (ours && f->known[c->cdb[0]] && code == 0x2000)
		return wrong(c, "a listed operation code is 05/20/00");
	if (code == 0x2000)
		f->unknown++;
	else
		f->refused++;
	return 0;
}

static int check(struct fuzz *f, const struct command *c)
{
	if (c->hdr.host_status)
		return wrong(c, "no answer");
	if (c->ms > MAX_MS)
		return wrong(c, "too late");
	if (check_data(f, c))
		return -1;
	if (c->hdr.status == CHECK_CONDITION)
		return check_sense(f, c);
	if (c->hdr.status != GOOD)
		return wrong(c, "neither GOOD nor CHECK CONDITION");
	if (!is_kernels(c->cdb[0]) && !f->known[c->cdb[0]])
		return wrong(c, "an unknown operation code is GOOD");
	f->good++;
	return 0;
}

static int try(struct fuzz *f, struct command *c)
{
	fill_data(f, c);
	if (send_command(f, c) < 0) {
		perror("SG_IO");
		return wrong(c, "it was not even sent");
	}
	return check(f, c);
}

/* ---- beginning ---- */

static void learn(struct fuzz *f, const uint8_t *cdb, uint8_t cdb_len, uint32_t len)
{
	struct command c = { .cdb_len = cdb_len, .dir = SG_DXFER_FROM_DEV, .len = len };

	memcpy(c.cdb, cdb, cdb_len);
	/* The first one may get a UNIT ATTENTION, or find a FORMAT UNIT of the last round. */
	for (int i = 0; i < 300; i++) {
		memset(f->data, 0, len);
		if (send_command(f, &c) < 0)
			die("SG_IO");
		if (c.hdr.status == GOOD && !c.hdr.host_status)
			return;
		usleep(i < 3 ? 0 : 100000);
	}
	wrong(&c, "the target does not tell about itself");
	exit(1);
}

/* SPC-5 6.35.2: all commands. */
static void learn_opcodes(struct fuzz *f)
{
	static const uint8_t report[12] = { 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x10, 0 };
	uint64_t len;

	learn(f, report, sizeof(report), 4096);
	len = get_be(f->data, 4);
	for (uint64_t at = 4; at + 8 <= len + 4 && f->listed_count < 256; at += 8) {
		const uint8_t *d = f->data + at;
		struct opcode *op = &f->listed[f->listed_count++];

		*op = (struct opcode) {
			.code = d[0],
			.service_action = d[3] & 0x1f,
			.has_service_action = d[5] & 1,
			.cdb_len = d[7] >= 6 && d[7] <= MAX_CDB ? d[7] : 16,
		};
		f->known[op->code] = true;
	}
	if (!f->known[0x12] || !f->known[0x28] || !f->known[0x2a] || f->listed_count > 200) {
		fprintf(stderr, "%zu operation codes are listed, which cannot be right\n",
			f->listed_count);
		exit(1);
	}
}

static void learn_size(struct fuzz *f)
{
	static const uint8_t read_capacity[10] = { 0x25 };

	learn(f, read_capacity, sizeof(read_capacity), 8);
	f->blocks = get_be(f->data, 4) + 1;
}

int main(int argc, char **argv)
{
	static struct fuzz f;
	struct command c;
	unsigned long count;

	if (argc != 4)
		return 2;
	f.random = strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
	count = strtoul(argv[3], NULL, 0);
	f.fd = open(argv[1], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (f.fd < 0)
		die(argv[1]);
	/* Whole pages, so that the kernel maps the buffer instead of copying it. */
	f.data = mmap(NULL, MAX_DATA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f.data == MAP_FAILED)
		die("mmap");
	learn_opcodes(&f);
	learn_size(&f);

	for (unsigned int i = 0; i < 256 * CDB_LENS; i++) {
		if (is_left_out((uint8_t)(i / CDB_LENS)))
			continue;
		random_cdb(&f, &c, (uint8_t)(i / CDB_LENS), cdb_lens[i % CDB_LENS]);
		if (try(&f, &c))
			return 1;
	}
	for (unsigned long i = 0; i < count; i++) {
		uint8_t code = (uint8_t)next(&f);

		if (one_in(&f, 2) || is_left_out(code))
			near_valid_cdb(&f, &c);
		else
			random_cdb(&f, &c, code, cdb_lens[below(&f, CDB_LENS)]);
		if (is_left_out(c.cdb[0]))
			continue;
		if (try(&f, &c))
			return 1;
	}
	printf("seed %s: %u good, %u unknown, %u refused, %u not ready, %u unit attentions\n",
	       argv[2], f.good, f.unknown, f.refused, f.not_ready, f.attentions);
	if (f.good < count / 20 || f.unknown < 256) {
		puts("that were not enough of each kind to show anything");
		return 1;
	}
	return 0;
}
