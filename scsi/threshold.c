/* SPDX-License-Identifier: Apache-2.0 */
#include "scsi/threshold.h"

#include "scsi/mode_pages.h"

#define SET_BYTES (1u << 20)

uint8_t scsi_threshold_exponent(uint64_t num_lbas, uint32_t block_size)
{
	unsigned int exponent = 1;

	while (exponent < 20 && (uint64_t)block_size << exponent < SET_BYTES)
		exponent++;
	/* SBC-4 6.6, Logical Block Provisioning page: capacity / 2^exponent is less than 2^32. */
	while (num_lbas >> exponent > UINT32_MAX)
		exponent++;
	return (uint8_t)exponent;
}

bool scsi_threshold_watched(const struct scsi_mode_values *values)
{
	bool any = false;

	for (unsigned int i = 0; i < SCSI_THRESHOLD_COUNT; i++)
		any |= values->threshold[i].enabled;
	return any && values->lbpere;
}

/* SBC-4 6.5: THRESHOLD COUNT is the centre of the threshold range, which is one set wide. 4.7.3.7: what
 * goes through all of it in the direction that the threshold is armed for has reached it; what has come back
 * through all of it arms it again. The exponent is at most 32, so no count is too large to be shifted. */
bool scsi_threshold_reached(const struct scsi_lu *lu, unsigned int which, uint64_t blocks,
			    bool *armed)
{
	uint64_t centre = (uint64_t)lu->threshold[which].count << lu->threshold_exponent;
	uint64_t half = UINT64_C(1) << (lu->threshold_exponent - 1);
	uint64_t min = centre > half ? centre - half : 0;
	uint64_t max = centre < UINT64_MAX - half ? centre + half : UINT64_MAX;
	bool decreasing = which == SCSI_THRESHOLD_AVAILABLE;
	bool beyond = decreasing ? blocks <= min : blocks >= max;
	bool before = decreasing ? blocks > max : blocks < min;

	if (*armed && beyond) {
		*armed = false;
		return true;
	}
	if (before)
		*armed = true;
	return false;
}

/* SBC-4 4.7.3.7: INFORMATION is the place of the threshold's descriptor in its mode page. */
struct scsi_sense scsi_threshold_sense(unsigned int which)
{
	struct scsi_sense sense = SCSI_SENSE_THRESHOLD_REACHED;

	sense.has_info = true;
	sense.info = SCSI_MODE_THRESHOLD_AT(which);
	return sense;
}
