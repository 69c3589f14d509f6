/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/inquiry.h"

#include "scsi/param.h"
#include "scsi/reply.h"
#include "scsi/xcopy_limits.h"
#include "util/be.h"

#define EVPD 0x01

#define PAGE_MAX        1024 /* more than the longest page: two designators of up to 255 bytes */
#define LIO_COMPANY_ID  0x001405 /* of the kernel's target: what initiators know our devices by */
#define DEFAULT_VENDOR  "LIO-ORG"
#define DEFAULT_PRODUCT "TCMU device"
#define DEFAULT_REV     "0002"

struct page {
	uint8_t code;
	bool needs_xcopy; /* there only with scsi_lu.xcopy */
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
	/* SPC-5 annex C: SAM-5, SPC-4, SBC-3 and SBC-4, no version claimed of each. None of a transport,
	 * which is the kernel's. */
	static const uint16_t versions[] = { 0x00a0, 0x0460, 0x04c0, 0x0600 };
	const size_t size = 96;

	data[0] = 0x00; /* connected; direct access block device */
	if (lu->removable)
		data[1] = 0x80; /* RMB */
	data[2] = 0x06;         /* SPC-4 */
	data[3] = 0x10 | 0x02;  /* HISUP; RESPONSE DATA FORMAT */
	data[4] = (uint8_t)(size - 5);
	data[5] = (lu->tpgs & 3) << 4; /* TPGS; PROTECT 0 */
	if (lu->xcopy)
		data[5] |= 0x08; /* 3PC */
	data[7] = 0x02;          /* CMDQUE */
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
 * other backstores do it, and what a device keeps its name by.
 */
bool scsi_lu_naa(const struct scsi_lu *lu, uint8_t *naa)
{
	unsigned int nibble = 7;

	memset(naa, 0, SCSI_NAA_SIZE);
	for (const char *s = lu->serial; *s && nibble < 32; s++) {
		int v = hex_value(*s);

		if (v < 0)
			continue;
		naa[nibble / 2] |= (uint8_t)(nibble % 2 ? v : v << 4);
		nibble++;
	}
	put_be32(naa, get_be32(naa) | 0x60000000 |
			      ((lu->company_id ? lu->company_id : LIO_COMPANY_ID) & 0xffffff) << 4);
	return nibble != 7;
}

static size_t naa_designator(const struct scsi_lu *lu, uint8_t *d)
{
	uint8_t naa[SCSI_NAA_SIZE];

	if (!scsi_lu_naa(lu, naa))
		return 0;
	memcpy(d + 4, naa, sizeof(naa));
	return put_designator(d, 0x01, 0x03, sizeof(naa));
}

/* SPC-5 7.7, the designators of the target port: relative target port identifier (4h) and target port
 * group (5h), 16 bits behind two reserved bytes. */
static size_t port_designator(uint8_t type, uint16_t number, uint8_t *d)
{
	put_be16(d + 6, number);
	return put_designator(d, 0x01, 0x10 | type, 4); /* ASSOCIATION 01b: the target port */
}

static size_t device_identification(const struct scsi_lu *lu, uint8_t *data)
{
	uint8_t *d = data + 4;

	d += naa_designator(lu, d);
	d += t10_designator(lu, d);
	if (lu->relative_port_valid)
		d += port_designator(0x4, lu->relative_port, d);
	if (lu->tpg_valid)
		d += port_designator(0x5, lu->tpg, d);
	return (size_t)(d - data - 4);
}

/* SPC-5 7.7, Extended INQUIRY Data page. */
static size_t extended_inquiry(const struct scsi_lu *lu, uint8_t *data)
{
	(void)lu;
	/* SPT, GRD_CHK, APP_CHK, REF_CHK 0: no protection information */
	data[5] = 0x04 | 0x02 | 0x01; /* HEADSUP, ORDSUP, SIMPSUP: the kernel's task set */
	data[6] = 0x01;               /* V_SUP: a volatile cache, if WCE is 1 */
	/* LUICLR 0; R_SUP 0: no referrals; no extended self-test, no power on activation */
	data[13] = SCSI_SENSE_SIZE; /* MAXIMUM SUPPORTED SENSE DATA LENGTH */
	return 0x3c;
}

static uint8_t log2_of(uint32_t v)
{
	return v ? (uint8_t)(31 - __builtin_clz(v)) : 0;
}

static uint8_t *put_copy_descriptor(uint8_t *d, uint16_t type, size_t len)
{
	put_be16(d, type);
	put_be16(d + 2, (uint16_t)len);
	return d + 4 + len;
}

/* SPC-5 7.7, Third-party Copy page: EXTENDED COPY(LID1), block to block. Each descriptor's length makes
 * it a multiple of four. */
static size_t third_party_copy(const struct scsi_lu *lu, uint8_t *data)
{
	static const uint8_t commands[] = {
		/* COMMANDS SUPPORTED LIST LENGTH; operation code, how many, service actions */
		8,
		EXTENDED_COPY,
		1,
		XC_SA_LID1,
		RECEIVE_COPY_RESULTS,
		3,
		RCR_SA_COPY_STATUS,
		RCR_SA_OPERATING_PARAMETERS,
		RCR_SA_FAILED_SEGMENT_DETAILS
	};
	/* segment descriptor block to block, CSCD descriptor by identification */
	static const uint8_t descriptors[] = { 2, 0x02, 0xe4 };
	uint8_t *d = data + 4;

	memcpy(d + 4, commands, sizeof(commands));
	d = put_copy_descriptor(d, 0x0001, 12); /* Supported Commands */

	put_be16(d + 8, SCSI_XCOPY_MAX_CSCD);
	put_be16(d + 10, SCSI_XCOPY_MAX_SEGMENTS);
	put_be32(d + 12, SCSI_XCOPY_MAX_LIST);
	/* MAXIMUM INLINE DATA LENGTH 0 */
	d = put_copy_descriptor(d, 0x0004, 28); /* Parameter Data */

	memcpy(d + 4, descriptors, sizeof(descriptors));
	d = put_copy_descriptor(d, 0x0008, 4); /* Supported Descriptors */

	d = put_copy_descriptor(d, 0x000c, 4); /* Supported CSCD Descriptor IDs: none */

	put_be32(d + 4, SCSI_XCOPY_MAX_CONCURRENT); /* TOTAL CONCURRENT COPIES */
	put_be32(d + 8, SCSI_XCOPY_MAX_CONCURRENT); /* MAXIMUM IDENTIFIED CONCURRENT COPIES */
	put_be32(d + 12, SCSI_XCOPY_MAX_SEGMENT_LEN);
	d[16] = log2_of(lu->block_size);        /* DATA SEGMENT GRANULARITY */
	d = put_copy_descriptor(d, 0x8001, 32); /* General Copy Operations */
	return (size_t)(d - data - 4);
}

uint32_t scsi_atomic_granularity(uint32_t phys_exponent)
{
	return phys_exponent < 16 ? 1u << phys_exponent : 1;
}

uint32_t scsi_atomic_max(const struct scsi_lu *lu)
{
	uint32_t max = lu->max_xfer_len && lu->max_xfer_len < lu->atomic_max ? lu->max_xfer_len
									     : lu->atomic_max;

	return max - max % scsi_atomic_granularity(lu->phys_exponent);
}

bool scsi_wsnz(uint64_t num_lbas)
{
	return num_lbas > SCSI_MAX_WRITE_SAME;
}

/* SBC-4 6.6, Block Limits page. */
static size_t block_limits(const struct scsi_lu *lu, uint8_t *data)
{
	data[4] = scsi_wsnz(lu->num_lbas);
	data[5] = lu->caw_max < 255 ? (uint8_t)lu->caw_max : 255;
	if (lu->phys_exponent < 16)
		put_be16(data + 6, (uint16_t)(1u << lu->phys_exponent)); /* granularity */
	put_be32(data + 8, lu->max_xfer_len);
	put_be32(data + 12, lu->opt_xfer_len);
	if (lu->unmap) {
		put_be32(data + 20, scsi_unmap_max(lu));
		put_be32(data + 24, SCSI_UNMAP_MAX_DESCRIPTORS);
		put_be32(data + 28, lu->opt_unmap_gran);
		/* UGAVALID: the alignment is given, which has a meaning with a granularity only. */
		if (lu->opt_unmap_gran)
			put_be32(data + 32, 0x80000000u | (lu->unmap_gran_align & 0x7fffffff));
	}
	if (scsi_wsnz(lu->num_lbas)) /* else any number will do, up to the end */
		put_be64(data + 36, SCSI_MAX_WRITE_SAME);
	put_be32(data + 44, scsi_atomic_max(lu)); /* no ATOMIC BOUNDARY */
	if (scsi_atomic_max(lu) && lu->phys_exponent) {
		put_be32(data + 48, scsi_atomic_granularity(lu->phys_exponent));
		put_be32(data + 52, scsi_atomic_granularity(lu->phys_exponent));
	}
	return 0x3c;
}

/* SBC-4 6.6, Block Device Characteristics page: MEDIUM ROTATION RATE 1 is solid state, 0 is not
 * reported. */
static size_t block_device_characteristics(const struct scsi_lu *lu, uint8_t *data)
{
	put_be16(data + 4, lu->solid_state ? 0x0001 : 0x0000);
	/* WABEREQ 01b: reads after SANITIZE(BLOCK ERASE) are fine, of vendor specific data. */
	if (lu->sanitize && lu->unmap)
		data[7] = 0x40;
	return 0x3c;
}

/* SBC-4 6.6, Logical Block Provisioning page. */
static size_t logical_block_provisioning(const struct scsi_lu *lu, uint8_t *data)
{
	data[4] = lu->threshold_exponent;
	if (lu->unmap) {
		data[5] = 0x80 | 0x40 | 0x20; /* LBPU, LBPWS, LBPWS10 */
		if (lu->unmap_zeroes)
			data[5] |= 0x01 << 2; /* LBPRZ xx1b: zeros */
		data[6] = 0x02;               /* PROVISIONING TYPE: thin */
	}
	/* ANC_SUP 0, DP 0; no threshold percentages */
	return 4;
}

static size_t supported_pages(const struct scsi_lu *lu, uint8_t *data);

/* In ascending order (SPC-5 7.7, Supported VPD Pages page). */
static const struct page pages[] = {
	{ VPD_SUPPORTED_PAGES, false, supported_pages },
	{ VPD_UNIT_SERIAL_NUMBER, false, unit_serial_number },
	{ VPD_DEVICE_IDENTIFICATION, false, device_identification },
	{ VPD_EXTENDED_INQUIRY, false, extended_inquiry },
	{ VPD_THIRD_PARTY_COPY, true, third_party_copy },
	{ VPD_BLOCK_LIMITS, false, block_limits },
	{ VPD_BLOCK_DEVICE_CHARACTERISTICS, false, block_device_characteristics },
	{ VPD_LOGICAL_BLOCK_PROVISIONING, false, logical_block_provisioning },
};
static const size_t page_count = sizeof(pages) / sizeof(pages[0]);

static bool has_page(const struct scsi_lu *lu, const struct page *page)
{
	return lu->xcopy || !page->needs_xcopy;
}

static size_t supported_pages(const struct scsi_lu *lu, uint8_t *data)
{
	size_t n = 0;

	for (size_t i = 0; i < page_count; i++) {
		if (has_page(lu, &pages[i]))
			data[4 + n++] = pages[i].code;
	}
	return n;
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

		if (pages[i].code != cdb[2] || !has_page(lu, &pages[i]))
			continue;
		page_length = pages[i].fill(lu, data);
		data[1] = cdb[2];
		put_be16(data + 2, (uint16_t)page_length);
		return scsi_reply(buf, cap, len, data, 4 + page_length, alloc);
	}
	/* SPC-5 INQUIRY: a page that is not there. */
	return scsi_refuse(len, sense, scsi_sense_cdb_field(2, -1));
}
