/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/param.h"

#include "util/be.h"

#define HEADER_SIZE 8
#define DESC_SIZE   16
#define UNMAP_MAX   (1u << 20) /* blocks */

uint32_t scsi_unmap_max(const struct scsi_lu *lu)
{
	if (!lu->max_unmap_len || lu->max_unmap_len == UINT32_MAX)
		return UINT32_MAX;
	return lu->max_unmap_len < UNMAP_MAX ? lu->max_unmap_len : UNMAP_MAX;
}

/* Checks what the descriptors ask for. */
static int check_ranges(const struct scsi_lu *lu, struct scsi_unmap_list list,
			struct scsi_sense *sense)
{
	const uint8_t *first = list.desc;
	uint64_t lba, total = 0;
	uint32_t blocks;

	while (scsi_unmap_next(&list, &lba, &blocks)) {
		size_t at = HEADER_SIZE + (size_t)(list.desc - DESC_SIZE - first);

		/* SBC-4 5.35, UNMAP LOGICAL BLOCK ADDRESS. */
		if (lba > lu->num_lbas || blocks > lu->num_lbas - lba) {
			*sense = SCSI_SENSE_LBA_OUT_OF_RANGE;
			sense->has_field = true;
			sense->field = (uint16_t)(lba >= lu->num_lbas ? at : at + 8);
			return -1;
		}
		/* SBC-4 5.35, NUMBER OF LOGICAL BLOCKS: the sum is limited by MAXIMUM UNMAP LBA
		 * COUNT. */
		total += blocks;
		if (scsi_unmap_max(lu) != UINT32_MAX && total > scsi_unmap_max(lu)) {
			*sense = scsi_sense_param_field((uint16_t)(at + 8), -1);
			return -1;
		}
	}
	return 0;
}

int scsi_unmap_parse(const struct scsi_lu *lu, const uint8_t *list, size_t len,
		     struct scsi_unmap_list *out, struct scsi_sense *sense)
{
	size_t desc_len;

	out->desc = NULL;
	out->count = 0;
	/* SBC-4 5.35, PARAMETER LIST LENGTH: zero is no error, less than a header is. */
	if (!len)
		return 0;
	if (len < HEADER_SIZE) {
		*sense = SCSI_SENSE_PARAM_LIST_LENGTH;
		return -1;
	}

	/* UNMAP DATA LENGTH (bytes 0 and 1) counts from byte 2 and is not looked at otherwise. UNMAP
	 * BLOCK DESCRIPTOR DATA LENGTH: an incomplete last descriptor is ignored. */
	desc_len = get_be16(list + 2);
	if (desc_len > len - HEADER_SIZE) {
		*sense = SCSI_SENSE_PARAM_LIST_LENGTH;
		return -1;
	}
	/* SBC-4 5.35: MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT. */
	if (desc_len / DESC_SIZE > SCSI_UNMAP_MAX_DESCRIPTORS) {
		*sense = scsi_sense_param_field(2, -1);
		return -1;
	}

	out->desc = list + HEADER_SIZE;
	out->count = desc_len / DESC_SIZE;
	return check_ranges(lu, *out, sense);
}

int scsi_unmap_next(struct scsi_unmap_list *list, uint64_t *lba, uint32_t *blocks)
{
	while (list->count) {
		*lba = get_be64(list->desc);
		*blocks = get_be32(list->desc + 8);
		list->desc += DESC_SIZE;
		list->count--;
		if (*blocks)
			return 1;
	}
	return 0;
}
