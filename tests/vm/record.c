/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record UIO ACTION_DIR OUT: the user space of a TCM-User device for as long as it takes to write
 * down what the kernel does (tests/ring/record-script.c). Answers what the SCSI midlayer asks at
 * first, waits for the name of the /dev/sg that came of it on stdin, and then is its initiator, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <scsi/sg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/ring/record-script.h"

#define PER_FD    16 /* commands that sg keeps for one descriptor */
#define QUIET_MS  1500
#define WAITS_MS  700 /* a command that is not on the ring by then waits */
#define ANSWER_MS 30000

struct side {
	int uio;
	const char *action;
	int sg[RECORD_SLOTS / PER_FD];
	struct sg_io_hdr hdr[RECORD_SLOTS];
	uint8_t sense[RECORD_SLOTS][32];
	uint8_t cdb[RECORD_SLOTS][32];
	uint8_t *data[RECORD_SLOTS];
	struct record *rec;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void action(struct side *s, const char *name, const char *val)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", s->action, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, val, strlen(val)) < 0)
		die(path);
	close(fd);
}

static void kick(void *arg)
{
	struct side *s = arg;
	uint32_t one = 1;

	if (write(s->uio, &one, sizeof(one)) != sizeof(one))
		die("doorbell");
}

static void submit(void *arg, int slot, const uint8_t *cdb, size_t cdb_len, enum record_dir dir,
		   size_t len)
{
	static const int dirs[] = { SG_DXFER_NONE, SG_DXFER_TO_DEV, SG_DXFER_FROM_DEV };
	struct side *s = arg;
	struct sg_io_hdr *h = &s->hdr[slot];
	uint32_t head = s->rec->c.mb->cmd_head;

	memcpy(s->cdb[slot], cdb, cdb_len);
	memset(h, 0, sizeof(*h));
	h->interface_id = 'S';
	h->dxfer_direction = dirs[dir];
	h->cmd_len = (unsigned char)cdb_len;
	h->cmdp = s->cdb[slot];
	h->dxfer_len = (unsigned int)len;
	h->dxferp = s->data[slot];
	h->mx_sb_len = sizeof(s->sense[slot]);
	h->sbp = s->sense[slot];
	h->timeout = 120000;
	h->pack_id = slot;
	if (write(s->sg[slot / PER_FD], h, sizeof(*h)) != sizeof(*h))
		die("sg");
	/* tcm_loop hands it over from a work queue. */
	for (int us = 0; us < WAITS_MS * 1000; us += 20) {
		if (__atomic_load_n(&s->rec->c.mb->cmd_head, __ATOMIC_ACQUIRE) != head)
			break;
		if (us > 2000) {
			usleep(1000);
			us += 1000;
		}
	}
	/* A PAD is visible before the entry behind it. */
	while (s->rec->c.mb->cmd_head == 0 && head != 0)
		if (*(volatile uint32_t *)s->rec->c.cmdr == 0)
			break;
		else
			usleep(100);
}

static struct record_result reap(void *arg, int slot)
{
	struct side *s = arg;
	struct sg_io_hdr h = { .interface_id = 'S',
			       .dxfer_direction = SG_DXFER_NONE,
			       .pack_id = slot };
	struct pollfd p = { .fd = s->sg[slot / PER_FD], .events = POLLIN };

	if (poll(&p, 1, ANSWER_MS) != 1)
		die("no answer");
	if (read(p.fd, &h, sizeof(h)) != sizeof(h))
		die("sg read");
	return (struct record_result) {
		h.status,
		h.sb_len_wr ? s->sense[slot][2] & 0xf : 0,
		h.sb_len_wr ? s->sense[slot][12] : 0,
		h.resid,
	};
}

static void free_kept(void *arg, uint16_t id)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", id);
	action(arg, "free_kept_buf", text);
}

/* A processor device (type 3): sg takes it, nothing else does. */
static void answer_scan(struct side *s, struct ref_consumer *c)
{
	static const uint8_t inquiry[36] = { 3,   0,   5,   2,   31,  0,   0,  2,
					     'L', 'I', 'O', '-', 'O', 'R', 'G' };
	struct ref_cmd cmd;

	while (ref_next(c, &cmd)) {
		if (cmd.cdb[0] == 0x12 && !(cmd.cdb[1] & 1)) {
			ref_fill(&cmd, 0, ref_len(&cmd));
			memcpy(cmd.iov[0].iov_base, inquiry,
			       ref_len(&cmd) < 36 ? ref_len(&cmd) : 36);
			ref_answer(c, cmd.id, 0, 0, 0);
		} else if (cmd.cdb[0] == 0x00) {
			ref_answer(c, cmd.id, 0, 0, 0);
		} else if (cmd.op == TCMU_ABI_OP_CMD) {
			ref_answer_sense(c, cmd.id, 5, 0x20);
		}
		ref_free(&cmd);
		kick(s);
	}
}

/* Serves until the name is there and nothing has come for a while. */
static void serve_scan(struct side *s, struct ref_consumer *c, char *name, size_t size)
{
	struct pollfd p[2] = { { .fd = s->uio, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	uint32_t count;

	answer_scan(s, c);
	for (;;) {
		int n = poll(p, *name ? 1 : 2, *name ? QUIET_MS : -1);

		if (n == 0)
			return;
		if (p[0].revents && read(s->uio, &count, sizeof(count)) != sizeof(count))
			die("uio");
		answer_scan(s, c);
		if (!*name && p[1].revents) {
			if (!fgets(name, (int)size, stdin))
				die("stdin");
			name[strcspn(name, "\n")] = '\0';
		}
	}
}

static void open_sg(struct side *s, const char *name)
{
	for (size_t i = 0; i < sizeof(s->sg) / sizeof(s->sg[0]); i++) {
		int one = 1;

		s->sg[i] = open(name, O_RDWR | O_CLOEXEC);
		if (s->sg[i] < 0 || ioctl(s->sg[i], SG_SET_COMMAND_Q, &one) ||
		    ioctl(s->sg[i], SG_SET_FORCE_PACK_ID, &one))
			die(name);
	}
	for (int i = 0; i < RECORD_SLOTS; i++)
		s->data[i] = calloc(1, RECORD_MAX_DATA);
}

int main(int argc, char **argv)
{
	static struct side s;
	static struct record rec = {
		.arg = &s, .submit = submit, .kick = kick, .reap = reap, .free_kept = free_kept
	};
	size_t len = (RECORD_RING_MB + RECORD_AREA_MB) << 20;
	char name[128] = "";
	void *map;

	if (argc != 4)
		return 2;
	s.rec = &rec;
	s.action = argv[2];
	s.uio = open(argv[1], O_RDWR | O_CLOEXEC);
	if (s.uio < 0)
		die(argv[1]);
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, s.uio, 0);
	if (map == MAP_FAILED)
		die("mmap");
	ref_init(&rec.c, map);
	puts("serving");
	fflush(stdout);
	serve_scan(&s, &rec.c, name, sizeof(name));
	open_sg(&s, name);
	action(&s, "reset_ring", "1");
	rec.out = fopen(argv[3], "we");
	if (!rec.out)
		die(argv[3]);
	setlinebuf(rec.out); /* how far it came, should it not end */
	record_script(&rec);
	fclose(rec.out);
	puts("recorded");
	return 0;
}
