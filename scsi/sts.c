/* SPDX-License-Identifier: Apache-2.0 */
/* The outcomes of libtcmu.h as the initiator sees them. Of libtcmu.h, only the enum is used here. */
#include "scsi/sense.h"

#include <string.h>

#include "libtcmu.h"
#include "scsi_defs.h"

/* Without sense: the status goes out alone. */
struct outcome {
	uint8_t status;
	const struct scsi_sense *sense;
};

#define CHECK(s)                                                                                   \
	{                                                                                          \
		SAM_STAT_CHECK_CONDITION, &SCSI_SENSE_##s                                          \
	}

static const struct outcome outcomes[TCMU_STS_COUNT] = {
	[TCMU_STS_OK] = { SAM_STAT_GOOD, NULL },
	[TCMU_STS_NOT_HANDLED] = CHECK(INVALID_OPCODE),
	[TCMU_STS_ASYNC_HANDLED] = CHECK(TARGET_FAILURE), /* no outcome: whoever says it is wrong */
	[TCMU_STS_PASSTHROUGH_ERR] = { SAM_STAT_CHECK_CONDITION, NULL },
	[TCMU_STS_NO_RESOURCE] = { SAM_STAT_TASK_SET_FULL, NULL },
	[TCMU_STS_BUSY] = { SAM_STAT_BUSY, NULL },
	[TCMU_STS_WR_ERR] = CHECK(WRITE_ERROR),
	[TCMU_STS_RD_ERR] = CHECK(READ_ERROR),
	[TCMU_STS_MISCOMPARE] = CHECK(MISCOMPARE),
	[TCMU_STS_INVALID_CMD] = CHECK(INVALID_OPCODE),
	[TCMU_STS_INVALID_CDB] = CHECK(INVALID_FIELD_IN_CDB),
	[TCMU_STS_INVALID_PARAM_LIST] = CHECK(INVALID_FIELD_IN_PARAM_LIST),
	[TCMU_STS_INVALID_PARAM_LIST_LEN] = CHECK(PARAM_LIST_LENGTH),
	[TCMU_STS_RANGE] = CHECK(LBA_OUT_OF_RANGE),
	[TCMU_STS_NO_SPACE] = CHECK(NO_SPACE),
	[TCMU_STS_WRITE_PROTECTED] = CHECK(WRITE_PROTECTED),
	[TCMU_STS_HW_ERR] = CHECK(TARGET_FAILURE),
	[TCMU_STS_NOT_READY] = CHECK(NOT_READY),
	[TCMU_STS_TIMEOUT] = CHECK(TIMEOUT),
	[TCMU_STS_ABORTED] = CHECK(ABORTED),
	[TCMU_STS_CAPACITY_CHANGED] = CHECK(CAPACITY_CHANGED),
	[TCMU_STS_FRMT_IN_PROGRESS] = CHECK(FORMAT_IN_PROGRESS),
	[TCMU_STS_NOTSUPP_SAVE_PARAMS] = CHECK(SAVING_NOT_SUPPORTED),
};

uint8_t scsi_sense_from_sts(int sts, struct scsi_sense *sense)
{
	if (sts < 0 || sts >= TCMU_STS_COUNT)
		sts = TCMU_STS_HW_ERR;
	if (outcomes[sts].sense)
		*sense = *outcomes[sts].sense;
	else
		memset(sense, 0, sizeof(*sense));
	return outcomes[sts].status;
}
