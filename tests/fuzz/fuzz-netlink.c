/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on the datagrams of the family TCM-USER: the input is one. A second reader, written from the
 * kernel's documents and not from lib/netlink-parse.c, says what has to come out. The datagram ends where
 * the memory ends, so that libnl, which is not instrumented, cannot read on either.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>

#include "lib/netlink-parse.h"

#define FAMILY  0x1c
#define MAX_LEN 8192 /* of struct tcmu_netlink.buf */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *end_of_memory;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	size_t guard = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory = mmap(NULL, MAX_LEN + guard, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)argc;
	(void)argv;
	assert(memory != MAP_FAILED);
	end_of_memory = memory + MAX_LEN;
	return mprotect(end_of_memory, guard, PROT_NONE);
}

/* ---- the second reader ------------------------------------------------------------------------ */

struct bytes {
	const uint8_t *at;
	size_t len;
};

static uint32_t number(const uint8_t *at, size_t size)
{
	uint32_t v = 0;

	memcpy(&v, at, size);
	return v;
}

static size_t align4(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

static void skip(struct bytes *b, size_t n)
{
	n = n < b->len ? n : b->len;
	b->at += n;
	b->len -= n;
}

/* struct nlmsghdr is 16 bytes, of which the length, with itself, is the first word. */
static bool take_message(struct bytes *from, struct bytes *message)
{
	size_t len = from->len < 16 ? 0 : number(from->at, 4);

	if (len < 16 || len > from->len)
		return false;
	*message = (struct bytes) { from->at, len };
	skip(from, align4(len));
	return true;
}

/* struct nlattr is 4 bytes: length with itself, and type, of which two bits are flags. */
static bool take_attr(struct bytes *from, unsigned int *type, struct bytes *value)
{
	size_t len = from->len < 4 ? 0 : number(from->at, 2);

	if (len < 4 || len > from->len)
		return false;
	*type = number(from->at + 2, 2) & 0x3fff;
	*value = (struct bytes) { from->at + 4, len - 4 };
	skip(from, align4(len));
	return true;
}

static bool is_text(struct bytes value, size_t room)
{
	return value.len && value.len <= room && !value.at[value.len - 1];
}

static bool value_fits(unsigned int type, struct bytes value)
{
	switch (type) {
	case 1: /* DEVICE */
		return is_text(value, TCMU_UIO_NAME_MAX);
	case 2: /* MINOR */
	case 8: /* DEVICE_ID */
		return value.len >= 4;
	case 4: /* DEV_CFG */
		return is_text(value, TCMU_CFG_MAX);
	case 5: /* DEV_SIZE */
		return value.len >= 8;
	case 6: /* WRITECACHE */
		return value.len >= 1;
	default:
		return true;
	}
}

struct reading {
	bool readable;
	struct bytes attr[9]; /* .at NULL: it is not there; of several the last one */
	struct bytes owner;   /* the first DEVICE_ID: what a refusal is for */
};

/* attrs: what follows struct genlmsghdr. */
static struct reading read_attrs(struct bytes attrs, bool reconfig)
{
	struct reading r = { .readable = true };
	struct bytes value;
	unsigned int type;

	while (take_attr(&attrs, &type, &value)) {
		if (type == 8 && !r.owner.at)
			r.owner = value;
		if (type > 8)
			continue;
		r.readable &= value_fits(type, value);
		r.attr[type] = value;
	}
	r.readable = r.readable && r.attr[1].at && r.attr[2].at && r.attr[8].at &&
		     (!reconfig || r.attr[4].at || r.attr[5].at || r.attr[6].at);
	return r;
}

/* The next thing that has to be reported; r with it. */
static enum tcmu_message expect_next(struct bytes *datagram, uint8_t *cmd, struct reading *r)
{
	struct bytes message;

	while (take_message(datagram, &message)) {
		if (number(message.at + 4, 2) != FAMILY || message.len < 16 + 4)
			continue;
		*cmd = message.at[16];
		if (*cmd < 1 || *cmd > 3)
			continue;
		skip(&message, 16 + 4);
		*r = read_attrs(message, *cmd == 3);
		if (r->readable)
			return TCMU_MESSAGE_EVENT;
		if (r->owner.at && r->owner.len >= 4)
			return TCMU_MESSAGE_REFUSE;
	}
	return TCMU_MESSAGE_NONE;
}

/* ---- the comparison --------------------------------------------------------------------------- */

static void check_text(const char *text, size_t room, struct bytes value)
{
	assert(strnlen(text, room) < room);
	assert(!strcmp(text, (const char *)value.at));
}

static void check_event(const struct tcmu_event *ev, uint8_t cmd, const struct reading *r)
{
	uint64_t size;

	assert(ev->type == (enum tcmu_event_type)cmd);
	assert(ev->minor == number(r->attr[2].at, 4));
	assert(ev->device_id == number(r->attr[8].at, 4));
	assert(!ev->block_size); /* or the library would not look into configfs */
	check_text(ev->uio_name, sizeof(ev->uio_name), r->attr[1]);
	if (ev->type != TCMU_EVENT_RECONFIG)
		return;
	if (r->attr[4].at) {
		assert(ev->cfg_type == TCMULIB_CFG_DEV_CFGSTR);
		check_text(ev->dev_cfg, sizeof(ev->dev_cfg), r->attr[4]);
	} else if (r->attr[5].at) {
		assert(ev->cfg_type == TCMULIB_CFG_DEV_SIZE);
		memcpy(&size, r->attr[5].at, sizeof(size));
		assert(ev->dev_size == size);
	} else {
		assert(ev->cfg_type == TCMULIB_CFG_WRITE_CACHE);
		assert(ev->write_cache == (r->attr[6].at[0] != 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcmu_datagram datagram;
	enum tcmu_message got;
	struct reading r = { 0 };
	struct tcmu_event ev;
	struct bytes bytes;
	uint8_t cmd = 0;

	if (size > MAX_LEN)
		return 0;
	/* Aligned, so up to three bytes are left behind it. */
	datagram.next = (void *)(end_of_memory - align4(size));
	datagram.len = (int)size;
	if (size)
		memcpy(datagram.next, data, size);
	ASAN_POISON_MEMORY_REGION((uint8_t *)datagram.next + size, align4(size) - size);
	bytes = (struct bytes) { data, size };
	do {
		memset(&ev, 0xa5, sizeof(ev));
		got = tcmu_datagram_next(&datagram, FAMILY, &ev);
		assert(got == expect_next(&bytes, &cmd, &r));
		if (got == TCMU_MESSAGE_EVENT) {
			check_event(&ev, cmd, &r);
		} else if (got == TCMU_MESSAGE_REFUSE) {
			assert(ev.type == (enum tcmu_event_type)cmd);
			assert(ev.device_id == number(r.owner.at, 4));
		}
	} while (got != TCMU_MESSAGE_NONE);
	ASAN_UNPOISON_MEMORY_REGION(end_of_memory - align4(size), align4(size));
	return 0;
}
