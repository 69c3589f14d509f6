/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/inquiry.h"

#include "scsi/param.h"
#include "scsi/reply.h"
#include "util/be.h"

#define EVPD 0x01

#define PAGE_MAX        1024 /* more than the longest page: two designators of up to 255 bytes */
#define LIO_COMPANY_ID  0x001405 /* of the kernel's target: what initiators know our devices by */
#define DEFAULT_VENDOR  "LIO-ORG"
#define DEFAULT_PRODUCT "TCMU device"
#define DEFAULT_REV     "0002"

struct page {
	uint8_t code;
	/* Fills in the page from byte 4 on and returns the PAGE LENGTH. data is zeroed. */
	size_t (*fill)(const struct scsi_lu *lu, uint8_t *data);
};

/* Left-aligned ASCII, padded with spaces (SPC-5 4.3.1); what is not a graphic character is made one. */
static void put_text(uint8_t *to, size_t size, const char *text, const char *preset)
{
	if (!text[0])
		text = preset;
	for (size_t i = 0; i < size; i++) {
		uint8_t c = *text ? (uint8_t)*text++ : ' ';

		to[i] = c >= 0x20 && c <= 0x7e ? c : '_';
	}
}

static size_t bounded_length(const char *text, size_t max)
{
	size_t n = strlen(text);

	return n < max ? n : max;
}

/* SPC-5 INQUIRY, standard INQUIRY data. Returns all its bytes. */
static size_t standard_data(const struct scsi_lu *lu, uint8_t *data)
{
	/* SPC-5 annex C: SAM-5, SPC-4, SBC-3, no version claimed of each. */
	static const uint16_t versions[] = { 0x00a0, 0x0460, 0x04c0 };
	const size_t size = 96;

	data[0] = 0x00;        /* connected; direct access block device */
	data[2] = 0x06;        /* SPC-4 */
	data[3] = 0x10 | 0x02; /* HISUP; RESPONSE DATA FORMAT */
	data[4] = (uint8_t)(size - 5);
	data[7] = 0x02; /* CMDQUE */
	put_text(data + 8, 8, lu->vendor, DEFAULT_VENDOR);
	put_text(data + 16, 16, lu->product, DEFAULT_PRODUCT);
	put_text(data + 32, 4, lu->revision, DEFAULT_REV);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		put_be16(data + 58 + 2 * i, versions[i]);
	return size;
}

/* SPC-5 7.7, Unit Serial Number page: spaces when there is none. */
static size_t unit_serial_number(const struct scsi_lu *lu, uint8_t *data)
{
	size_t n = bounded_length(lu->serial, sizeof(lu->serial) - 1);

	if (!n)
		n = 4;
	put_text(data + 4, n, lu->serial, "");
	return n;
}

static size_t put_designator(uint8_t *d, uint8_t code_set, uint8_t type, size_t len)
{
	d[0] = code_set;
	d[1] = type; /* PIV 0; ASSOCIATION 00b: the logical unit */
	d[3] = (uint8_t)len;
	return 4 + len;
}

/* SPC-5 7.7, T10 vendor ID based designator: the vendor, then what makes it unique there. */
static size_t t10_designator(const struct scsi_lu *lu, uint8_t *d)
{
	const char *unique = lu->serial[0] ? lu->serial : lu->name;
	size_t n;

	if (!unique[0])
		unique = lu->product[0] ? lu->product : DEFAULT_PRODUCT;
	n = bounded_length(unique, 255 - 8);
	put_text(d + 4, 8, lu->vendor, DEFAULT_VENDOR);
	put_text(d + 12, n, unique, "");
	return put_designator(d, 0x02, 0x01, 8 + n);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * SPC-5 7.7, NAA IEEE Registered Extended designator: 6h, the company_id, and for the 25 nibbles
 * after them the hex digits of the serial number, zeros when they run out. That is how the kernel's
 * other backstores do it, and what a device keeps its name by. 0: the serial number has none.
 */
static size_t naa_designator(const struct scsi_lu *lu, uint8_t *d)
{
	uint8_t *naa = d + 4;
	unsigned int nibble = 7;

	for (const char *s = lu->serial; *s && nibble < 32; s++) {
		int v = hex_value(*s);

		if (v < 0)
			continue;
		naa[nibble / 2] |= (uint8_t)(nibble % 2 ? v : v << 4);
		nibble++;
	}
	if (nibble == 7)
		return 0;
	put_be32(naa, get_be32(naa) | 0x60000000 |
			      ((lu->company_id ? lu->company_id : LIO_COMPANY_ID) & 0xffffff) << 4);
	return put_designator(d, 0x01, 0x03, 16);
}

static size_t device_identification(const struct scsi_lu *lu, uint8_t *data)
{
	uint8_t *d = data + 4;

	d += naa_designator(lu, d);
	d += t10_designator(lu, d);
	return (size_t)(d - data - 4);
}

/* SBC-4 6.6, Block Limits page. */
static size_t block_limits(const struct scsi_lu *lu, uint8_t *data)
{
	/* WSNZ 0: WRITE SAME of 0 blocks goes on to the end. MAXIMUM COMPARE AND WRITE LENGTH 0: no
	 * such command. */
	if (lu->phys_exponent < 16)
		put_be16(data + 6, (uint16_t)(1u << lu->phys_exponent)); /* granularity */
	put_be32(data + 8, lu->max_xfer_len);
	put_be32(data + 12, lu->opt_xfer_len);
	if (lu->unmap) {
		put_be32(data + 20, lu->max_unmap_len ? lu->max_unmap_len : UINT32_MAX);
		put_be32(data + 24, SCSI_UNMAP_MAX_DESCRIPTORS);
		put_be32(data + 28, lu->opt_unmap_gran);
		/* UGAVALID: the alignment is given, which has a meaning with a granularity only. */
		if (lu->opt_unmap_gran)
			put_be32(data + 32, 0x80000000u | (lu->unmap_gran_align & 0x7fffffff));
	}
	put_be64(data + 36, SCSI_MAX_WRITE_SAME);
	return 0x3c;
}

/* SBC-4 6.6, Block Device Characteristics page: MEDIUM ROTATION RATE 1 is solid state, 0 is not
 * reported. */
static size_t block_device_characteristics(const struct scsi_lu *lu, uint8_t *data)
{
	put_be16(data + 4, lu->solid_state ? 0x0001 : 0x0000);
	return 0x3c;
}

/* SBC-4 6.6, Logical Block Provisioning page. */
static size_t logical_block_provisioning(const struct scsi_lu *lu, uint8_t *data)
{
	if (lu->unmap) {
		data[5] = 0x80 | 0x40 | 0x20; /* LBPU, LBPWS, LBPWS10 */
		if (lu->unmap_zeroes)
			data[5] |= 0x01 << 2; /* LBPRZ xx1b: zeros */
		data[6] = 0x02;               /* PROVISIONING TYPE: thin */
	}
	return 4;
}

static size_t supported_pages(const struct scsi_lu *lu, uint8_t *data);

/* In ascending order (SPC-5 7.7, Supported VPD Pages page). */
static const struct page pages[] = {
	{ VPD_SUPPORTED_PAGES, supported_pages },
	{ VPD_UNIT_SERIAL_NUMBER, unit_serial_number },
	{ VPD_DEVICE_IDENTIFICATION, device_identification },
	{ VPD_BLOCK_LIMITS, block_limits },
	{ VPD_BLOCK_DEVICE_CHARACTERISTICS, block_device_characteristics },
	{ VPD_LOGICAL_BLOCK_PROVISIONING, logical_block_provisioning },
};
static const size_t page_count = sizeof(pages) / sizeof(pages[0]);

static size_t supported_pages(const struct scsi_lu *lu, uint8_t *data)
{
	(void)lu;
	for (size_t i = 0; i < page_count; i++)
		data[4 + i] = pages[i].code;
	return page_count;
}

uint8_t scsi_inquiry(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf, size_t cap,
		     size_t *len, struct scsi_sense *sense)
{
	uint8_t data[PAGE_MAX] = { 0 };
	size_t alloc = get_be16(cdb + 3);

	if (!(cdb[1] & EVPD)) {
		/* SPC-5 INQUIRY, PAGE CODE: nothing but zero without EVPD. */
		if (cdb[2])
			return scsi_refuse(len, sense, scsi_sense_cdb_field(2, -1));
		return scsi_reply(buf, cap, len, data, standard_data(lu, data), alloc);
	}

	for (size_t i = 0; i < page_count; i++) {
		size_t page_length;

		if (pages[i].code != cdb[2])
			continue;
		page_length = pages[i].fill(lu, data);
		data[1] = cdb[2];
		put_be16(data + 2, (uint16_t)page_length);
		return scsi_reply(buf, cap, len, data, 4 + page_length, alloc);
	}
	/* SPC-5 INQUIRY: a page that is not there. */
	return scsi_refuse(len, sense, scsi_sense_cdb_field(2, -1));
}
