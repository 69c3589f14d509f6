/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/mode_pages.h"

#include <string.h>

#include "scsi_defs.h"
#include "util/be.h"

#define RWER_LBPERE     0x80
#define CACHING_WCE     0x04
#define CONTROL_D_SENSE 0x04
#define CONTROL_GLTSD   0x02
#define CONTROL_SWP     0x08
#define CONTROL_TAS     0x40
#define CONTROL_QAM     0x10
#define CONTROL_IALUAE  0x01
#define IE_MRIE_REQUEST 0x06
#define LBP_SITUA       0x01
#define LBP_ENABLED     0x80

/* ---- SBC-4 6.5, Read-Write Error Recovery mode page: nothing is recovered here; LBPERE ---- */

static void rw_error_recovery(const struct scsi_lu *lu, const struct scsi_mode_values *values,
			      uint8_t *page)
{
	(void)lu;
	if (values->lbpere)
		page[7] |= RWER_LBPERE;
}

static void take_rw_error_recovery(const uint8_t *page, struct scsi_mode_values *values)
{
	values->lbpere = page[7] & RWER_LBPERE;
}

static void rw_error_recovery_changeable(const struct scsi_lu *lu, uint8_t *mask)
{
	if (lu->threshold_exponent && !lu->mode_fixed)
		mask[7] = RWER_LBPERE;
}

/* ---- SBC-4 6.5, Caching mode page ---- */

static void caching(const struct scsi_lu *lu, const struct scsi_mode_values *values, uint8_t *page)
{
	(void)lu;
	if (values->wce)
		page[2] |= CACHING_WCE;
}

static void take_caching(const uint8_t *page, struct scsi_mode_values *values)
{
	values->wce = page[2] & CACHING_WCE;
}

static void caching_changeable(const struct scsi_lu *lu, uint8_t *mask)
{
	if (!lu->wce_fixed)
		mask[2] = CACHING_WCE;
}

/* ---- SPC-5 7.5, Control mode page ---- */

/* TST 0 (one task set), D_SENSE, GLTSD (no log parameter is saved), QUEUE ALGORITHM MODIFIER 1
 * (unrestricted reordering), QERR 0, SWP, TAS (LIO ends what another nexus aborts with TASK ABORTED:
 * target_core_tmr.c, emulate_tas is 1), BUSY TIMEOUT PERIOD unlimited. */
static void control(const struct scsi_lu *lu, const struct scsi_mode_values *values, uint8_t *page)
{
	(void)lu;
	page[2] = CONTROL_GLTSD;
	if (values->d_sense)
		page[2] |= CONTROL_D_SENSE;
	page[3] = CONTROL_QAM;
	if (values->swp)
		page[4] |= CONTROL_SWP;
	page[5] = CONTROL_TAS;
	put_be16(page + 8, 0xffff);
}

static void take_control(const uint8_t *page, struct scsi_mode_values *values)
{
	values->d_sense = page[2] & CONTROL_D_SENSE;
	values->swp = page[4] & CONTROL_SWP;
}

static void control_changeable(const struct scsi_lu *lu, uint8_t *mask)
{
	if (lu->mode_fixed)
		return;
	mask[2] = CONTROL_D_SENSE;
	mask[4] = CONTROL_SWP;
}

/* SPC-5 7.5, Control Extension mode page: IALUAE; INITIAL COMMAND PRIORITY 0 (none is assigned), MAXIMUM
 * SENSE DATA LENGTH 0 (sense data is not cut). */
static void control_extension(const struct scsi_lu *lu, const struct scsi_mode_values *values,
			      uint8_t *page)
{
	(void)values;
	if (lu->tpgs & 0x01)
		page[4] |= CONTROL_IALUAE;
}

/* ---- SPC-5 7.5, Informational Exceptions Control mode page ---- */

/* DEXCPT 0 and MRIE 6h: reported when asked for, which is the log page 2Fh and REQUEST SENSE. */
static void informational_exceptions(const struct scsi_lu *lu,
				     const struct scsi_mode_values *values, uint8_t *page)
{
	(void)lu;
	(void)values;
	page[3] = IE_MRIE_REQUEST;
}

/* ---- SBC-4 6.5, Logical Block Provisioning mode page ---- */

/* THRESHOLD RESOURCE as in the log page 0Ch and its THRESHOLD ARMING: soft thresholds on what is
 * available (decreasing) and used (increasing). SBC-4 4.7.3.7, valid combinations. SITUA: a unit attention
 * is for a single I_T nexus, since nothing here knows them: for whoever comes next. */
static const uint8_t threshold_kind[SCSI_THRESHOLD_COUNT][2] = {
	[SCSI_THRESHOLD_AVAILABLE] = { 0x01, 0x00 },
	[SCSI_THRESHOLD_USED] = { 0x02, 0x01 },
};

static void provisioning(const struct scsi_lu *lu, const struct scsi_mode_values *values,
			 uint8_t *page)
{
	(void)lu;
	page[4] = LBP_SITUA;
	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++) {
		uint8_t *desc = page + SCSI_MODE_THRESHOLD_AT(i);

		desc[0] = threshold_kind[i][1];
		if (values->threshold[i].enabled)
			desc[0] |= LBP_ENABLED;
		desc[1] = threshold_kind[i][0];
		put_be32(desc + 4, values->threshold[i].count);
	}
}

static void take_provisioning(const uint8_t *page, struct scsi_mode_values *values)
{
	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++) {
		const uint8_t *desc = page + SCSI_MODE_THRESHOLD_AT(i);

		values->threshold[i].enabled = desc[0] & LBP_ENABLED;
		values->threshold[i].count = get_be32(desc + 4);
	}
}

static void provisioning_changeable(const struct scsi_lu *lu, uint8_t *mask)
{
	if (lu->mode_fixed)
		return;
	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++) {
		uint8_t *desc = mask + SCSI_MODE_THRESHOLD_AT(i);

		desc[0] = LBP_ENABLED;
		put_be32(desc + 4, UINT32_MAX);
	}
}

/* ---- all of them ---- */

/* In ascending order, as SPC-5 wants page 3Fh answered. */
static const struct scsi_mode_page pages[] = {
	{
		.code = MODE_PAGE_RW_ERROR_RECOVERY,
		.size = 12,
		.put = rw_error_recovery,
		.take = take_rw_error_recovery,
		.changeable = rw_error_recovery_changeable,
	},
	{
		.code = MODE_PAGE_CACHING,
		.size = 20,
		.put = caching,
		.take = take_caching,
		.changeable = caching_changeable,
	},
	{
		.code = MODE_PAGE_CONTROL,
		.size = 12,
		.put = control,
		.take = take_control,
		.changeable = control_changeable,
	},
	{
		.code = MODE_PAGE_CONTROL,
		.subpage = MODE_SUBPAGE_CONTROL_EXTENSION,
		.size = 32,
		.put = control_extension,
	},
	{
		.code = MODE_PAGE_INFORMATIONAL_EXCEPTIONS,
		.size = 12,
		.put = informational_exceptions,
	},
	{
		.code = MODE_PAGE_INFORMATIONAL_EXCEPTIONS,
		.subpage = MODE_SUBPAGE_LOGICAL_BLOCK_PROVISIONING,
		.size = SCSI_MODE_THRESHOLD_AT(SCSI_THRESHOLD_COUNT),
		.put = provisioning,
		.take = take_provisioning,
		.changeable = provisioning_changeable,
		.needs_thresholds = true,
	},
};

const struct scsi_mode_page *scsi_mode_page(const struct scsi_lu *lu, size_t i)
{
	for (size_t at = 0; at < sizeof(pages) / sizeof(pages[0]); at++) {
		if (pages[at].needs_thresholds && !lu->threshold_exponent)
			continue;
		if (!i--)
			return &pages[at];
	}
	return NULL;
}

struct scsi_mode_values scsi_mode_current(const struct scsi_lu *lu)
{
	struct scsi_mode_values values = {
		.wce = lu->write_cache,
		.d_sense = lu->d_sense,
		.swp = lu->swp,
		.lbpere = lu->lbpere,
	};

	memcpy(values.threshold, lu->threshold, sizeof(values.threshold));
	return values;
}

/* SPC-5 7.5, mode page format: page_0 and sub_page. PS: the page can be saved. */
static void put_header(const struct scsi_mode_page *page, bool savable, uint8_t *data)
{
	data[0] = page->code | (savable ? SCSI_MODE_PS : 0);
	if (page->subpage) {
		data[0] |= SCSI_MODE_SPF;
		data[1] = page->subpage;
		put_be16(data + 2, page->size - 4);
	} else {
		data[1] = page->size - 2;
	}
}

void scsi_mode_put_page(const struct scsi_lu *lu, const struct scsi_mode_page *page,
			unsigned int pc, uint8_t *data)
{
	struct scsi_mode_values values = scsi_mode_current(lu);

	memset(data, 0, page->size);
	if (pc == MODE_PC_SAVED)
		values = lu->mode_saved;
	else if (pc == MODE_PC_DEFAULT)
		values = lu->mode_default;
	if (pc != MODE_PC_CHANGEABLE)
		page->put(lu, &values, data);
	else if (page->changeable)
		page->changeable(lu, data);
	put_header(page, lu->saves && page->changeable, data);
}
