/* SPDX-License-Identifier: Apache-2.0 */
/* The helpers of libtcmu.h: properties of a device, CDBs, iovecs, sense data, emulated commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/device.h"
#include "libtcmu.h"
#include "scsi/capacity.h"
#include "scsi/cdb.h"
#include "scsi/inquiry.h"
#include "scsi/mode.h"
#include "scsi/opcodes.h"
#include "scsi/sense.h"
#include "scsi_defs.h"
#include "util/be.h"

#define ANSWER_SIZE 4096 /* bytes of the largest answer or list of an emulated command */

/* ---- device properties --------------------------------------------------------------------- */

void *tcmu_dev_get_private(struct tcmu_device *dev)
{
	return __atomic_load_n(&dev->priv, __ATOMIC_ACQUIRE);
}

/* Release: whoever gets the pointer sees what it points to. */
void tcmu_dev_set_private(struct tcmu_device *dev, void *priv)
{
	__atomic_store_n(&dev->priv, priv, __ATOMIC_RELEASE);
}

int tcmu_dev_get_fd(struct tcmu_device *dev)
{
	return dev->fd;
}

struct tcmulib_handler *tcmu_dev_get_handler(struct tcmu_device *dev)
{
	return dev->handler;
}

char *tcmu_dev_get_cfgstring(struct tcmu_device *dev)
{
	return __atomic_load_n(&dev->cfgstring, __ATOMIC_ACQUIRE);
}

const char *tcmu_dev_get_name(struct tcmu_device *dev)
{
	return dev->name;
}

uint32_t tcmu_dev_get_minor(struct tcmu_device *dev)
{
	return dev->minor;
}

uint64_t tcmu_dev_get_config_size(struct tcmu_device *dev)
{
	return __atomic_load_n(&dev->config_size, __ATOMIC_RELAXED);
}

/* tcmu_dev_get_NAME() and tcmu_dev_set_NAME() of a number that any thread may read and write. */
#define NUMBER(type, name, field)                                                                  \
	type tcmu_dev_get_##name(struct tcmu_device *dev)                                          \
	{                                                                                          \
		return __atomic_load_n(&dev->field, __ATOMIC_RELAXED);                             \
	}                                                                                          \
	void tcmu_dev_set_##name(struct tcmu_device *dev, type value)                              \
	{                                                                                          \
		__atomic_store_n(&dev->field, value, __ATOMIC_RELAXED);                            \
	}

NUMBER(uint64_t, num_lbas, num_lbas)
NUMBER(uint32_t, block_size, block_size)
NUMBER(uint32_t, phys_exponent, phys_exponent)
NUMBER(uint32_t, max_xfer_len, max_xfer_len)
NUMBER(uint32_t, max_unmap_len, max_unmap_len)
NUMBER(uint32_t, opt_unmap_gran, opt_unmap_gran)
NUMBER(uint32_t, unmap_gran_align, unmap_gran_align)
NUMBER(bool, write_cache_enabled, write_cache)
NUMBER(bool, solid_state_media, solid_state)
NUMBER(bool, unmap_enabled, unmap)
NUMBER(bool, unmap_zeroes, unmap_zeroes)
NUMBER(bool, write_protect_enabled, write_protect)
NUMBER(bool, removable, removable)
NUMBER(uint32_t, max_atomic_len, max_atomic_len)

uint64_t tcmu_lba_to_byte(struct tcmu_device *dev, uint64_t lba)
{
	return lba * tcmu_dev_get_block_size(dev);
}

uint64_t tcmu_byte_to_lba(struct tcmu_device *dev, uint64_t byte)
{
	uint32_t block_size = tcmu_dev_get_block_size(dev);

	return block_size ? byte / block_size : 0;
}

/* ---- CDBs ---------------------------------------------------------------------------------- */

int tcmu_cdb_get_length(uint8_t *cdb)
{
	return scsi_cdb_length(cdb);
}

uint64_t tcmu_cdb_get_lba(uint8_t *cdb)
{
	return scsi_cdb_generic_lba(cdb);
}

uint32_t tcmu_cdb_get_xfer_length(uint8_t *cdb)
{
	return scsi_cdb_generic_xfer(cdb);
}

uint64_t tcmu_cdb_to_byte(struct tcmu_device *dev, uint8_t *cdb)
{
	return tcmu_lba_to_byte(dev, scsi_cdb_generic_lba(cdb));
}

/* ---- iovecs -------------------------------------------------------------------------------- */

size_t tcmu_iovec_length(struct iovec *iov, size_t cnt)
{
	size_t length = 0;

	for (size_t i = 0; i < cnt; i++)
		length += iov[i].iov_len;
	return length;
}

size_t tcmu_iovec_seek(struct iovec *iov, size_t count)
{
	size_t used = 0;

	while (count) {
		size_t n = iov->iov_len < count ? iov->iov_len : count;

		if (n)
			iov->iov_base = (uint8_t *)iov->iov_base + n;
		iov->iov_len -= n;
		count -= n;
		if (!iov->iov_len) {
			iov++;
			used++;
		}
	}
	return used;
}

/* Zeros what follows the first skip bytes. */
static void zero_from(struct iovec *iov, size_t cnt, size_t skip)
{
	for (size_t i = 0; i < cnt; i++) {
		size_t n = iov[i].iov_len < skip ? iov[i].iov_len : skip;

		skip -= n;
		if (iov[i].iov_len > n)
			memset((uint8_t *)iov[i].iov_base + n, 0, iov[i].iov_len - n);
	}
}

void tcmu_iovec_zero(struct iovec *iov, size_t cnt)
{
	zero_from(iov, cnt, 0);
}

static bool zeroed(const uint8_t *p, size_t len)
{
	size_t head = len < 16 ? len : 16;

	for (size_t i = 0; i < head; i++) {
		if (p[i])
			return false;
	}
	/* All bytes are equal to the one 16 places before, so to one of the zeros above. */
	return len <= 16 || !memcmp(p, p + 16, len - 16);
}

bool tcmu_iovec_zeroed(struct iovec *iov, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++) {
		if (!zeroed(iov[i].iov_base, iov[i].iov_len))
			return false;
	}
	return true;
}

off_t tcmu_iovec_compare(void *mem, struct iovec *iov, size_t size)
{
	const uint8_t *a = mem;
	size_t off = 0;

	for (; off < size; iov++) {
		const uint8_t *b = iov->iov_base;
		size_t n = iov->iov_len < size - off ? iov->iov_len : size - off;

		if (n && memcmp(a + off, b, n)) {
			size_t i = 0;

			while (a[off + i] == b[i])
				i++;
			return (off_t)(off + i);
		}
		off += n;
	}
	return -1;
}

size_t tcmu_memcpy_into_iovec(struct iovec *iov, size_t cnt, void *src, size_t len)
{
	size_t done = 0;

	for (size_t i = 0; i < cnt && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		if (n)
			memcpy(iov[i].iov_base, (uint8_t *)src + done, n);
		done += n;
	}
	return done;
}

size_t tcmu_memcpy_from_iovec(void *dst, size_t len, struct iovec *iov, size_t cnt)
{
	size_t done = 0;

	for (size_t i = 0; i < cnt && done < len; i++) {
		size_t n = iov[i].iov_len < len - done ? iov[i].iov_len : len - done;

		if (n)
			memcpy((uint8_t *)dst + done, iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* ---- sense data ---------------------------------------------------------------------------- */

int tcmu_sense_set_data(uint8_t *sense_buf, uint8_t key, uint16_t asc_ascq)
{
	struct scsi_sense sense = {
		.key = key,
		.asc = (uint8_t)(asc_ascq >> 8),
		.ascq = (uint8_t)asc_ascq,
	};

	scsi_sense_build(&sense, false, sense_buf);
	return TCMU_STS_PASSTHROUGH_ERR;
}

void tcmu_sense_set_info(uint8_t *sense_buf, uint32_t info)
{
	sense_buf[0] |= 0x80; /* VALID (SPC-5 4.4.3) */
	put_be32(sense_buf + 3, info);
}

/* ---- emulated commands --------------------------------------------------------------------- */

/* A file of wwn/ reads "Name of the value: value" (target_core_configfs.c). */
size_t tcmu_dev_read_wwn(struct tcmu_device *dev, const char *name, char *buf, size_t size)
{
	char path[64], text[512];
	const char *value;
	size_t n;

	snprintf(path, sizeof(path), "wwn/%s", name);
	if (!size || tcmu_dev_read_attr(dev, path, text, sizeof(text)) <= 0)
		return 0;
	value = strstr(text, ": ");
	if (!value)
		return 0;
	value += 2 + strspn(value + 2, " ");
	n = strnlen(value, size - 1);
	while (n && value[n - 1] == ' ')
		n--;
	if (!n)
		return 0;
	memcpy(buf, value, n);
	buf[n] = '\0';
	return n;
}

static void fill_lu(struct tcmu_device *dev, struct scsi_lu *lu)
{
	*lu = (struct scsi_lu) {
		.num_lbas = tcmu_dev_get_num_lbas(dev),
		.block_size = tcmu_dev_get_block_size(dev),
		.phys_exponent = tcmu_dev_get_phys_exponent(dev),
		.max_xfer_len = tcmu_dev_get_max_xfer_len(dev),
		.opt_xfer_len = tcmu_dev_get_max_xfer_len(dev),
		.max_unmap_len = tcmu_dev_get_max_unmap_len(dev),
		.opt_unmap_gran = tcmu_dev_get_opt_unmap_gran(dev),
		.unmap_gran_align = tcmu_dev_get_unmap_gran_align(dev),
		.write_cache = tcmu_dev_get_write_cache_enabled(dev),
		.wce_fixed = true, /* turning it off takes a flush, which is the program's to do */
		.mode_fixed = true,
		.write_protect = tcmu_dev_get_write_protect_enabled(dev),
		.solid_state = tcmu_dev_get_solid_state_media(dev),
		.unmap = tcmu_dev_get_unmap_enabled(dev),
		.unmap_zeroes = tcmu_dev_get_unmap_zeroes(dev),
	};
}

/* Who it is. Read each time: targetcli writes these files after 'enable', without an event. */
static void fill_identity(struct tcmu_device *dev, struct scsi_lu *lu)
{
	char company_id[16] = "";
	const char *cfg = tcmu_dev_get_cfgstring(dev);

	if (cfg)
		memcpy(lu->name, cfg, strnlen(cfg, sizeof(lu->name) - 1));
	tcmu_dev_read_wwn(dev, "vpd_unit_serial", lu->serial, sizeof(lu->serial));
	tcmu_dev_read_wwn(dev, "vendor_id", lu->vendor, sizeof(lu->vendor));
	tcmu_dev_read_wwn(dev, "product_id", lu->product, sizeof(lu->product));
	tcmu_dev_read_wwn(dev, "revision", lu->revision, sizeof(lu->revision));
	tcmu_dev_read_wwn(dev, "company_id", company_id, sizeof(company_id));
	lu->company_id = (uint32_t)strtoul(company_id, NULL, 16);
}

/* The outcome with this sense: a caller of the functions below has no place for a field pointer. */
static int sts_of(const struct scsi_sense *sense)
{
	switch (sense->asc << 8 | sense->ascq) {
	case ASC_INVALID_FIELD_IN_CDB:
		return TCMU_STS_INVALID_CDB;
	case ASC_INVALID_FIELD_IN_PARAMETER_LIST:
		return TCMU_STS_INVALID_PARAM_LIST;
	case ASC_PARAMETER_LIST_LENGTH_ERROR:
		return TCMU_STS_INVALID_PARAM_LIST_LEN;
	case ASC_SAVING_PARAMETERS_NOT_SUPPORTED:
		return TCMU_STS_NOTSUPP_SAVE_PARAMS;
	case ASC_NOT_READY_CAUSE_NOT_REPORTABLE:
		return TCMU_STS_NOT_READY;
	default:
		return TCMU_STS_HW_ERR;
	}
}

static int check_cdb(const uint8_t *cdb)
{
	const struct scsi_opcode *op = scsi_opcode_find(cdb);
	struct scsi_sense sense;

	if (!op)
		return TCMU_STS_INVALID_CMD;
	return scsi_cdb_check(op, cdb, &sense) ? TCMU_STS_INVALID_CDB : TCMU_STS_OK;
}

/* Fills the whole of iov with what make() makes of the CDB, and zeros after it. */
static int emulate(const struct scsi_lu *lu, const uint8_t *cdb, struct iovec *iov, size_t cnt,
		   uint8_t (*make)(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				   size_t cap, size_t *len, struct scsi_sense *sense))
{
	uint8_t buf[ANSWER_SIZE];
	struct scsi_sense sense = { 0 };
	size_t len = 0;
	int sts = check_cdb(cdb);

	if (sts != TCMU_STS_OK)
		return sts;
	if (make(lu, cdb, buf, sizeof(buf), &len, &sense) != SAM_STAT_GOOD)
		return sts_of(&sense);
	zero_from(iov, cnt, tcmu_memcpy_into_iovec(iov, cnt, buf, len));
	return TCMU_STS_OK;
}

int tcmu_emulate_inquiry(struct tcmu_device *dev, void *port, uint8_t *cdb, struct iovec *iov,
			 size_t cnt)
{
	struct scsi_lu lu;

	(void)port;
	fill_lu(dev, &lu);
	fill_identity(dev, &lu);
	return emulate(&lu, cdb, iov, cnt, scsi_inquiry);
}

int tcmu_emulate_test_unit_ready(uint8_t *cdb, struct iovec *iov, size_t cnt)
{
	(void)iov;
	(void)cnt;
	return check_cdb(cdb);
}

int tcmu_emulate_read_capacity_10(uint64_t num_lbas, uint32_t block_size, uint8_t *cdb,
				  struct iovec *iov, size_t cnt)
{
	struct scsi_lu lu = { .num_lbas = num_lbas, .block_size = block_size };

	return emulate(&lu, cdb, iov, cnt, scsi_read_capacity_10);
}

int tcmu_emulate_read_capacity_16(struct tcmu_device *dev, uint8_t *cdb, struct iovec *iov,
				  size_t cnt)
{
	struct scsi_lu lu;

	fill_lu(dev, &lu);
	return emulate(&lu, cdb, iov, cnt, scsi_read_capacity_16);
}

int tcmu_emulate_mode_sense(struct tcmu_device *dev, uint8_t *cdb, struct iovec *iov, size_t cnt)
{
	struct scsi_lu lu;

	fill_lu(dev, &lu);
	return emulate(&lu, cdb, iov, cnt, scsi_mode_sense);
}

/* Accepts what asks for nothing else than is: no page has a bit that could be changed here. */
int tcmu_emulate_mode_select(struct tcmu_device *dev, uint8_t *cdb, struct iovec *iov, size_t cnt)
{
	uint8_t list[ANSWER_SIZE];
	struct scsi_mode_change change;
	struct scsi_sense sense;
	struct scsi_lu lu;
	size_t len;
	int sts = check_cdb(cdb);

	if (sts != TCMU_STS_OK)
		return sts;
	fill_lu(dev, &lu);
	len = tcmu_memcpy_from_iovec(list, sizeof(list), iov, cnt);
	if (scsi_mode_select(&lu, cdb, list, len, &change, &sense) != SAM_STAT_GOOD)
		return sts_of(&sense);
	return TCMU_STS_OK;
}
