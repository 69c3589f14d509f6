/* SPDX-License-Identifier: Apache-2.0 */
#include "storm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Commands that a unit over a file has (SPC-5, SBC-4). */
static const struct known {
	uint8_t opcode, service_action;
	enum fake_dir dir;
	uint8_t lba_at, lba_size, len_at, len_size;
	bool blocks;  /* the length is in blocks */
	bool changes; /* the medium */
} known[] = {
	{ 0x00, 0, FAKE_NONE, 0, 0, 0, 0, false, false },   /* TEST UNIT READY */
	{ 0x03, 0, FAKE_IN, 0, 0, 4, 1, false, false },     /* REQUEST SENSE */
	{ 0x08, 0, FAKE_IN, 1, 3, 4, 1, true, false },      /* READ(6) */
	{ 0x0a, 0, FAKE_OUT, 1, 3, 4, 1, true, true },      /* WRITE(6) */
	{ 0x12, 0, FAKE_IN, 0, 0, 3, 2, false, false },     /* INQUIRY */
	{ 0x15, 0, FAKE_OUT, 0, 0, 4, 1, false, false },    /* MODE SELECT(6) */
	{ 0x1a, 0, FAKE_IN, 0, 0, 4, 1, false, false },     /* MODE SENSE(6) */
	{ 0x1b, 0, FAKE_NONE, 0, 0, 0, 0, false, false },   /* START STOP UNIT */
	{ 0x25, 0, FAKE_IN, 0, 0, 0, 0, false, false },     /* READ CAPACITY(10) */
	{ 0x28, 0, FAKE_IN, 2, 4, 7, 2, true, false },      /* READ(10) */
	{ 0x2a, 0, FAKE_OUT, 2, 4, 7, 2, true, true },      /* WRITE(10) */
	{ 0x2f, 0, FAKE_OUT, 2, 4, 7, 2, true, false },     /* VERIFY(10) */
	{ 0x35, 0, FAKE_NONE, 2, 4, 7, 2, true, false },    /* SYNCHRONIZE CACHE(10) */
	{ 0x41, 0, FAKE_OUT, 2, 4, 7, 2, true, true },      /* WRITE SAME(10) */
	{ 0x42, 0, FAKE_OUT, 0, 0, 7, 2, false, true },     /* UNMAP */
	{ 0x55, 0, FAKE_OUT, 0, 0, 7, 2, false, false },    /* MODE SELECT(10) */
	{ 0x5a, 0, FAKE_IN, 0, 0, 7, 2, false, false },     /* MODE SENSE(10) */
	{ 0x88, 0, FAKE_IN, 2, 8, 10, 4, true, false },     /* READ(16) */
	{ 0x8a, 0, FAKE_OUT, 2, 8, 10, 4, true, true },     /* WRITE(16) */
	{ 0x8f, 0, FAKE_OUT, 2, 8, 10, 4, true, false },    /* VERIFY(16) */
	{ 0x91, 0, FAKE_NONE, 2, 8, 10, 4, true, false },   /* SYNCHRONIZE CACHE(16) */
	{ 0x93, 0, FAKE_OUT, 2, 8, 10, 4, true, true },     /* WRITE SAME(16) */
	{ 0x9e, 0x10, FAKE_IN, 0, 0, 10, 4, false, false }, /* READ CAPACITY(16) */
	{ 0xa3, 0x0c, FAKE_IN, 0, 0, 6, 4, false, false },  /* REPORT SUPPORTED OPERATION CODES */
	{ 0xa8, 0, FAKE_IN, 2, 4, 6, 4, true, false },      /* READ(12) */
	{ 0xaa, 0, FAKE_OUT, 2, 4, 6, 4, true, true },      /* WRITE(12) */
};

#define LIKELY_LIST 88 /* bytes of UNMAP's parameter list: five descriptors */
#define KNOWN       (sizeof(known) / sizeof(known[0]))

static const struct known *find(uint8_t opcode)
{
	for (size_t i = 0; i < KNOWN; i++)
		if (known[i].opcode == opcode)
			return &known[i];
	return NULL;
}

static void put(uint8_t *p, int bytes, uint64_t v)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

uint64_t storm_get(const uint8_t *p, int bytes)
{
	uint64_t v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

unsigned int storm_rand(struct storm *s, unsigned int below)
{
	return (unsigned int)rand_r(&s->seed) % below;
}

void storm_alloc(struct storm_cmd *sc)
{
	sc->data = malloc(STORM_DATA_MAX);
	sc->bidi = malloc(STORM_DATA_MAX);
}

void storm_free(struct storm_cmd *sc)
{
	free(sc->data);
	free(sc->bidi);
}

const char *storm_learn(struct storm *s, const uint8_t *list, size_t len)
{
	size_t end = len < 4 ? 0 : 4 + storm_get(list, 4);

	memset(s->listed, 0, sizeof(s->listed));
	if (end > len)
		return "the list of commands is not complete";
	for (size_t at = 4; at + 8 <= end; at += 8)
		s->listed[list[at]] = true;
	for (size_t i = 0; i < KNOWN; i++)
		if (!s->listed[known[i].opcode])
			return "a command that should be there is not listed";
	return NULL;
}

bool storm_is_stranger(const struct storm *s, const struct fake_cmd *cmd)
{
	return s->listed[cmd->cdb[0]] && !find(cmd->cdb[0]);
}

/* ---- composing ---- */

static void random_bytes(struct storm *s, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)storm_rand(s, 256);
}

static uint64_t some_lba(struct storm *s, const struct known *k)
{
	unsigned int zone = k->changes ? s->write_zone : STORM_BLOCKS;

	switch (storm_rand(s, 12)) {
	case 0:
		return STORM_BLOCKS - storm_rand(s, 3);
	case 1:
		return STORM_BLOCKS + storm_rand(s, 100);
	case 2:
		return 0xffffffff - storm_rand(s, 2);
	case 3:
		return UINT64_MAX - storm_rand(s, 300);
	default:
		return storm_rand(s, zone - 32);
	}
}

/* The field of the length; for what has parameters in place of blocks, bytes. */
static uint64_t some_length(struct storm *s, const struct known *k)
{
	switch (storm_rand(s, 12)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return STORM_BLOCKS + 1 + storm_rand(s, 60000);
	case 3:
		return k->blocks ? storm_rand(s, 300) : storm_rand(s, 70000);
	default:
		return k->blocks ? 1 + storm_rand(s, 16) : storm_rand(s, 256);
	}
}

static size_t some_data_len(struct storm *s, const struct known *k, const uint8_t *cdb)
{
	static const unsigned int usual[] = { 0, 1, 511, 512, 513, 1024, 4096, 4097 };
	uint64_t len = k ? storm_get(cdb + k->len_at, k->len_size) * (k->blocks ? 512 : 1) : 0;

	if (k && (k->opcode == 0x41 || k->opcode == 0x93))
		len = 512;
	if (len && len <= STORM_DATA_MAX - 600) {
		switch (storm_rand(s, 8)) {
		case 0:
			return (size_t)len - 1;
		case 1:
			return (size_t)len + 1;
		case 2:
			return (size_t)len + 512;
		case 3:
			return len > 512 ? (size_t)len - 512 : 0;
		case 4:
			break;
		default:
			return (size_t)len;
		}
	}
	return storm_rand(s, 4) ? usual[storm_rand(s, 8)] : storm_rand(s, 70000);
}

/* A parameter list of UNMAP, right or nearly. */
static void unmap_list(struct storm *s, uint8_t *data, const uint8_t *cdb)
{
	unsigned int n = ((unsigned int)storm_get(cdb + 7, 2) - 8) / 16;

	put(data, 2, 6 + n * 16);
	put(data + 2, 2, n * 16);
	for (unsigned int i = 0; i < n; i++) {
		put(data + 8 + i * 16, 8, storm_rand(s, s->write_zone - 32));
		put(data + 16 + i * 16, 4, storm_rand(s, 32));
	}
	if (!storm_rand(s, 4))
		data[storm_rand(s, 8 + n * 16)] ^= (uint8_t)(1u << storm_rand(s, 8));
}

static void some_data(struct storm *s, const struct known *k, struct storm_cmd *sc)
{
	uint8_t *cdb = sc->cmd.cdb;
	size_t len = sc->cmd.len;

	random_bytes(s, sc->data, 512);
	for (size_t i = 512; i < len; i += 512)
		memcpy(sc->data + i, sc->data + (storm_rand(s, 2) ? 0 : i - 512), 512);
	if (len)
		sc->data[storm_rand(s, (unsigned int)len)] ^= 1;
	if (!storm_rand(s, 8))
		memset(sc->data, 0, 4096);
	if (k && k->opcode == 0x42 && storm_get(cdb + 7, 2) == LIKELY_LIST)
		unmap_list(s, sc->data, cdb);
	if (k && (k->opcode & 0x1f) == 0x0f && s->medium && storm_rand(s, 4)) {
		uint64_t lba = storm_get(cdb + k->lba_at, k->lba_size);

		if (lba < STORM_BLOCKS - 32)
			memcpy(sc->data, s->medium + lba * 512, 32ul * 512);
	}
}

/* One that exists, with fields that are right, at their limits, or wrong. */
static const struct known *known_cdb(struct storm *s, uint8_t *cdb)
{
	const struct known *k = &known[storm_rand(s, KNOWN)];

	cdb[0] = k->opcode;
	put(cdb + k->lba_at, k->lba_size, k->lba_size ? some_lba(s, k) : 0);
	put(cdb + k->len_at, k->len_size, k->len_size ? some_length(s, k) : 0);
	if (k->opcode == 0x42 && storm_rand(s, 4))
		put(cdb + 7, 2, LIKELY_LIST);
	if (k->lba_at == 1)
		cdb[1] &= storm_rand(s, 8) ? 0x1f : 0xff;
	cdb[0] = k->opcode; /* a field of no bytes stands at 0 */
	if (k->service_action)
		cdb[1] = k->service_action;
	else if (k->lba_at != 1 && !storm_rand(s, 3))
		cdb[1] = (uint8_t)storm_rand(s, 256);
	if (!storm_rand(s, 6))
		cdb[1 + storm_rand(s, 15)] ^= (uint8_t)(1u << storm_rand(s, 8));
	return k;
}

/* The ring does not say where the data go: for these user space cannot know. */
static bool is_odd(const struct known *k, enum fake_dir dir)
{
	if (!k || dir == FAKE_NONE || dir == k->dir)
		return false;
	return dir == FAKE_OUT ? k->dir == FAKE_IN : k->changes && k->dir == FAKE_OUT;
}

void storm_compose(struct storm *s, struct storm_cmd *sc)
{
	struct fake_cmd *cmd = &sc->cmd;
	unsigned int kind = storm_rand(s, 100);
	const struct known *k;

	memset(cmd, 0, sizeof(*cmd));
	if (kind < 45)
		random_bytes(s, cmd->cdb, sizeof(cmd->cdb));
	if (kind < 20)
		cmd->cdb[0] = (uint8_t)s->turn++;
	else if (kind < 25)
		cmd->cdb[0] = 0x7f;
	if (s->no_strangers && storm_is_stranger(s, cmd))
		cmd->cdb[0] = 0;
	k = kind < 45 ? find(cmd->cdb[0]) : known_cdb(s, cmd->cdb);
	/* To the end of the medium: only where that may change, too. */
	if ((cmd->cdb[0] == 0x41 || cmd->cdb[0] == 0x93) && s->write_zone < STORM_BLOCKS)
		cmd->cdb[k->len_at + k->len_size - 1] |= 1;
	cmd->len = some_data_len(s, k, cmd->cdb);
	some_data(s, k, sc);
	cmd->dir = k && storm_rand(s, 8) ? k->dir : (enum fake_dir)storm_rand(s, 3);
	if (!cmd->len || cmd->dir == FAKE_NONE) {
		cmd->len = 0;
		cmd->dir = storm_rand(s, 4) ? FAKE_NONE : cmd->dir;
	}
	cmd->data = sc->data;
	cmd->odd = is_odd(k, cmd->dir) || storm_is_stranger(s, cmd);
	if (cmd->dir == FAKE_OUT && !storm_rand(s, 20)) {
		cmd->bidi_in = sc->bidi;
		cmd->bidi_len = 1 + storm_rand(s, 9000);
		memset(sc->bidi, 0xb1, cmd->bidi_len);
	}
}

/* ---- what an answer must be ---- */

/* Fixed format; the keys that a command that is wrong gets while the storage is well. */
static const char *wrong_sense(const struct fake_cmd *cmd)
{
	const uint8_t *s = cmd->sense;
	unsigned int code = (unsigned int)s[12] << 8 | s[13], field;

	if ((s[0] & 0x7f) != 0x70 || s[7] != 10)
		return "the format of the sense data";
	if ((s[2] & 0xf) == 0xe)
		return code == 0x1d00 ? NULL : "MISCOMPARE, but not of VERIFY";
	if ((s[2] & 0xf) != 5)
		return "a sense key that is not about the command";
	if (code != 0x1a00 && code != 0x2000 && code != 0x2100 && code != 0x2400 &&
	    code != 0x2600 && code != 0x3900)
		return "an additional sense code that is not about the command";
	/* SPC-5 4.4.2.4.2: the field pointer. */
	if (!(s[15] & 0x80))
		return NULL;
	field = (unsigned int)s[16] << 8 | s[17];
	if (s[15] & 0x40)
		return (code == 0x2400 || code == 0x2100) && field < fake_cdb_len(cmd->cdb)
			       ? NULL
			       : "a field outside the CDB";
	/* 21/00: a descriptor of UNMAP */
	return (code == 0x2600 || code == 0x2100) && field < 65536
		       ? NULL
		       : "a field outside the parameter list";
}

static bool not_supported(const struct fake_cmd *cmd)
{
	return cmd->status == 2 && (cmd->sense[2] & 0xf) == 5 && cmd->sense[12] == 0x20 &&
	       !cmd->sense[13];
}

static bool all_zero(const uint8_t *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

const char *storm_wrong(struct storm *s, const struct fake_cmd *cmd)
{
	const struct known *k = find(cmd->cdb[0]);

	if (cmd->status != 0 && cmd->status != 2)
		return "a status that is neither GOOD nor CHECK CONDITION";
	if (!s->listed[cmd->cdb[0]]) {
		s->unknown++;
		return not_supported(cmd) ? NULL : "an opcode that does not exist: not 05/20/00";
	}
	if (not_supported(cmd)) /* the kernel itself may have it, as REPORT LUNS */
		return k ? "an opcode that exists: 05/20/00" : NULL;
	if (cmd->status) {
		s->refused++;
		return k ? wrong_sense(cmd) : NULL;
	}
	s->good++;
	if (cmd->bidi_in &&
	    !all_zero(cmd->bidi_in, cmd->bidi_len < cmd->len ? cmd->bidi_len : cmd->len))
		return "data-in of a bidirectional command that are nobody's";
	return NULL;
}

void storm_print(const struct fake_cmd *cmd)
{
	fprintf(stderr, "storm: CDB");
	for (size_t i = 0; i < fake_cdb_len(cmd->cdb) && i < 32; i++)
		fprintf(stderr, " %02x", cmd->cdb[i]);
	fprintf(stderr,
		", direction %d, %zu bytes: status %02x, sense %x/%02x/%02x, residual %zu\n",
		cmd->dir, cmd->len, cmd->status, cmd->sense[2] & 0xf, cmd->sense[12],
		cmd->sense[13], cmd->residual);
}

bool storm_range(const struct fake_cmd *cmd, unsigned int n, uint32_t *lba, uint32_t *blocks,
		 bool *beyond)
{
	const struct known *k = find(cmd->cdb[0]);
	uint64_t first, count;

	if (!k || !k->changes)
		return false;
	if (k->opcode == 0x42) {
		const uint8_t *list = cmd->data;
		size_t len = storm_get(cmd->cdb + 7, 2), at = 8 + (size_t)n * 16;

		if (len > cmd->len)
			len = cmd->len;
		if (len < 8 || at + 16 > len || at + 16 > 8 + storm_get(list + 2, 2))
			return false;
		first = storm_get(list + at, 8);
		count = storm_get(list + at + 8, 4);
	} else {
		if (n)
			return false;
		first = storm_get(cmd->cdb + k->lba_at, k->lba_size);
		count = storm_get(cmd->cdb + k->len_at, k->len_size);
		if (k->lba_size == 3)
			first &= 0x1fffff;
		if (k->lba_size == 3 && !count)
			count = 256;
		if ((k->opcode == 0x41 || k->opcode == 0x93) && !count && first < STORM_BLOCKS)
			count = STORM_BLOCKS - first;
	}
	*beyond = first > STORM_BLOCKS || count > STORM_BLOCKS - first;
	*lba = first < STORM_BLOCKS ? (uint32_t)first : STORM_BLOCKS;
	*blocks = count < STORM_BLOCKS - *lba ? (uint32_t)count : STORM_BLOCKS - *lba;
	return true;
}
