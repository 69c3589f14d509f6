/* SPDX-License-Identifier: Apache-2.0 */
/* UNMAP (SBC-4 5.35): the descriptors of the parameter list, one after the other. */
#include <assert.h>
#include <string.h>

#include "runner/runner.h"
#include "scsi/param.h"

#define UNMAP_ANCHOR 0x01

struct unmap_state {
	struct scsi_unmap_list list;
	bool bounced; /* the list is in the bounce buffer */
};
static_assert(sizeof(struct unmap_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "unmap_state does not fit");

static struct unmap_state *state_of(struct runner_cmd *rc)
{
	return (struct unmap_state *)rc->state;
}

static void end(struct runner_cmd *rc, int sts)
{
	if (state_of(rc)->bounced)
		runner_bounce_put(rc);
	runner_finish(rc, sts);
}

static void range_unmapped(struct runner_cmd *rc, int sts);

static void next_range(struct runner_cmd *rc)
{
	struct tcmu_device *dev = runner_tcmu(rc);
	uint64_t lba;
	uint32_t blocks;

	if (scsi_unmap_next(&state_of(rc)->list, &lba, &blocks))
		runner_op_unmap(rc, tcmu_lba_to_byte(dev, lba), tcmu_lba_to_byte(dev, blocks),
				range_unmapped);
	else if (!tcmu_dev_get_write_cache_enabled(dev))
		runner_op_flush(rc, end); /* nothing that was answered may come undone */
	else
		end(rc, TCMU_STS_OK);
}

/* SBC-4 4.7.3.4: unmapping is a request, a unit that leaves a block mapped has obeyed it. */
static void range_unmapped(struct runner_cmd *rc, int sts)
{
	if (sts == TCMU_STS_OK || sts == TCMU_STS_NOT_HANDLED)
		next_range(rc);
	else
		end(rc, sts);
}

/* The whole list is checked before anything is unmapped. */
static void run_list(struct runner_cmd *rc, const uint8_t *list)
{
	struct scsi_sense sense = { 0 };
	struct scsi_lu lu;

	runner_lu(rc->rdev, &lu, false);
	if (!scsi_unmap_parse(&lu, list, rc->blocks, &state_of(rc)->list, &sense)) {
		next_range(rc);
		return;
	}
	if (state_of(rc)->bounced)
		runner_bounce_put(rc);
	runner_finish_sense(rc, &sense);
}

/* A list that is scattered over several iovecs is collected first. */
static void got_bounce(struct runner_cmd *rc, int sts)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;

	if (sts != TCMU_STS_OK) {
		runner_finish(rc, sts);
		return;
	}
	state_of(rc)->bounced = true;
	tcmu_memcpy_from_iovec(runner_bounce(rc), rc->blocks, cmd->iovec, cmd->iov_cnt);
	run_list(rc, runner_bounce(rc));
}

void runner_exec_unmap(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	uint64_t list_len =
		rc->blocks; /* PARAMETER LIST LENGTH, 16 bits: fits into the bounce buffer */

	memset(state_of(rc), 0, sizeof(struct unmap_state));
	/* SBC-4 6.6.6: LBPU is 0 then. */
	if (!tcmu_dev_get_unmap_enabled(runner_tcmu(rc))) {
		runner_finish(rc, TCMU_STS_INVALID_CMD);
		return;
	}
	/* SBC-4 5.35, ANCHOR: anchored blocks are not supported (ANC_SUP is 0). */
	if (cmd->cdb[1] & UNMAP_ANCHOR) {
		runner_finish(rc, TCMU_STS_INVALID_CDB);
		return;
	}
	if (list_len > rc->data_len) {
		runner_finish(rc, TCMU_STS_INVALID_PARAM_LIST_LEN);
		return;
	}

	if (!list_len)
		run_list(rc, NULL);
	else if (cmd->iovec[0].iov_len >= list_len)
		run_list(rc, cmd->iovec[0].iov_base);
	else
		runner_bounce_get(rc, got_bounce);
}
