/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/capacity.h"

#include "scsi/reply.h"
#include "util/be.h"

#define PMI 0x01

uint8_t scsi_read_capacity_10(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense)
{
	uint8_t data[8];
	uint64_t last = lu->num_lbas - 1;

	/* SBC-3 READ CAPACITY(10), LOGICAL BLOCK ADDRESS: zero while PMI is zero (both are obsolete
	 * in SBC-4). */
	if (!(cdb[8] & PMI) && get_be32(cdb + 2) != 0)
		return scsi_refuse(len, sense, scsi_sense_cdb_field(2, -1));
	if (!lu->num_lbas)
		return scsi_refuse(len, sense, SCSI_SENSE_NOT_READY);

	/* SBC-4 READ CAPACITY(10), RETURNED LOGICAL BLOCK ADDRESS: FFFFFFFFh sends the initiator to
	 * READ CAPACITY(16). */
	put_be32(data, last < UINT32_MAX ? (uint32_t)last : UINT32_MAX);
	put_be32(data + 4, lu->block_size);
	return scsi_reply(buf, cap, len, data, sizeof(data), sizeof(data));
}

uint8_t scsi_read_capacity_16(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
			      size_t cap, size_t *len, struct scsi_sense *sense)
{
	uint8_t data[32] = { 0 };

	if (!lu->num_lbas)
		return scsi_refuse(len, sense, SCSI_SENSE_NOT_READY);

	/* SBC-4 READ CAPACITY(16) parameter data. P_TYPE, PROT_EN, P_I_EXPONENT: no protection
	 * information. LOWEST ALIGNED LOGICAL BLOCK ADDRESS 0. */
	put_be64(data, lu->num_lbas - 1);
	put_be32(data + 8, lu->block_size);
	data[13] = lu->phys_exponent < 0xf ? lu->phys_exponent : 0xf;
	if (lu->unmap) {
		data[14] |= 0x80; /* LBPME */
		if (lu->unmap_zeroes)
			data[14] |= 0x40; /* LBPRZ */
	}
	return scsi_reply(buf, cap, len, data, sizeof(data), get_be32(cdb + 10));
}
