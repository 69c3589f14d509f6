/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ, WRITE, WRITE ATOMIC, SYNCHRONIZE CACHE and PRE-FETCH: at most one handler operation between
 * the command's own buffer and the storage, no copy.
 */
#include <string.h>

#include "runner/runner.h"
#include "scsi/inquiry.h"

#define CDB_FUA 0x08 /* byte 1 of READ and WRITE (10), (12), (16) */

/* Makes iov describe exactly len bytes (it holds that much at least); how many iovecs it takes. */
static size_t trim(struct iovec *iov, size_t iov_cnt, uint64_t len)
{
	size_t used = 0;

	while (used < iov_cnt && len) {
		if (iov[used].iov_len > len)
			iov[used].iov_len = len;
		len -= iov[used].iov_len;
		used++;
	}
	return used;
}

/* What is not written. The ring does not tell the direction of the buffer: of one for data-in it would come
 * back, with what another command left there. What is written is on the medium for all to see. */
static void zero_behind(const struct iovec *iov, size_t iov_cnt, uint64_t len)
{
	for (; iov_cnt; iov++, iov_cnt--) {
		size_t skip = len < iov->iov_len ? (size_t)len : iov->iov_len;

		memset((uint8_t *)iov->iov_base + skip, 0, iov->iov_len - skip);
		len -= skip;
	}
}

/*
 * Bytes to transfer: what the CDB asks for. The kernel does not compare it with the initiator's buffer:
 * a READ into a smaller one gets the whole blocks that fit, a WRITE from a smaller one is refused, since
 * GOOD would say that all of it was written. False: the command is answered already.
 */
static bool transfer_length(struct runner_cmd *rc, uint64_t *len)
{
	struct tcmu_device *dev = runner_tcmu(rc);
	uint32_t block_size = tcmu_dev_get_block_size(dev);
	uint32_t max_blocks = tcmu_dev_get_max_xfer_len(dev);

	/* SBC-4 6.6.3, MAXIMUM TRANSFER LENGTH: more than what the Block Limits page reports. */
	if (max_blocks && rc->blocks > max_blocks) {
		runner_finish_cdb_field(rc, rc->op->xfer.at, -1);
		return false;
	}

	*len = rc->blocks * block_size;
	if (*len == rc->data_len) /* as it should be, and without a division */
		return true;
	*len = rc->data_len - rc->data_len % block_size;
	if (rc->blocks < *len / block_size)
		*len = rc->blocks * block_size;
	if (rc->op->dir == SCSI_DIR_OUT && *len < rc->blocks * block_size) {
		runner_finish_cdb_field(rc, rc->op->xfer.at, -1);
		return false;
	}
	return true;
}

bool runner_check_data_out(struct runner_cmd *rc)
{
	uint64_t len;

	return transfer_length(rc, &len);
}

/* Only with GOOD: sense data come without a data length. */
static void read_done(struct runner_cmd *rc, int sts)
{
	if (sts == TCMU_STS_OK && rc->state[0] < rc->data_len)
		rc->pub.lib_cmd->read_len = (uint32_t)rc->state[0];
	runner_finish(rc, sts);
}

static void read_data(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	uint64_t len;

	if (!transfer_length(rc, &len))
		return;
	/* SBC-4 5.15, TRANSFER LENGTH: zero is not an error. */
	if (!len) {
		runner_finish_data(rc, NULL, 0);
		return;
	}
	rc->state[0] = len;
	runner_op_read(rc, cmd->iovec, trim(cmd->iovec, cmd->iov_cnt, len), len,
		       tcmu_lba_to_byte(runner_tcmu(rc), rc->lba), read_done);
}

static void read_flushed(struct runner_cmd *rc, int sts)
{
	if (sts != TCMU_STS_OK)
		runner_finish(rc, sts);
	else
		read_data(rc);
}

void runner_exec_read(struct runner_cmd *rc)
{
	bool fua = rc->op->flags & SCSI_F_FUA && rc->pub.lib_cmd->cdb[1] & CDB_FUA;

	/* SBC-4 4.15.5: what a READ with FUA returns is on the medium; a volatile cache that may
	 * hold something newer is written back first. */
	if (fua && rc->blocks && tcmu_dev_get_write_cache_enabled(runner_tcmu(rc)))
		runner_op_flush(rc, read_flushed);
	else
		read_data(rc);
}

/* With FUA, or the write cache off, runner_op_write() adds what the handler does not do itself. */
void runner_exec_write(struct runner_cmd *rc)
{
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	uint64_t len;

	if (!transfer_length(rc, &len))
		return;
	if (len < rc->data_len)
		zero_behind(cmd->iovec, cmd->iov_cnt, len);
	if (!len) {
		runner_finish(rc, TCMU_STS_OK);
		return;
	}
	runner_op_write(rc, cmd->iovec, trim(cmd->iovec, cmd->iov_cnt, len), len,
			tcmu_lba_to_byte(runner_tcmu(rc), rc->lba), runner_finish);
}

/*
 * WRITE ATOMIC(16) (SBC-4): the handler has promised that one write of so many blocks is never seen,
 * nor found after a loss of power, in part (tcmu_dev_set_max_atomic_len()). The row is there for logical
 * units with that promise only: locking the range, as it is here (runner/range.c), keeps all others from
 * seeing it in part but does not survive a power failure, which is the handler's (tcmur_cmd_atomic()).
 * TRANSFER LENGTH zero is no error, as with WRITE(16).
 */
void runner_exec_write_atomic(struct runner_cmd *rc)
{
	struct tcmu_device *dev = runner_tcmu(rc);
	uint32_t gran = scsi_atomic_granularity(tcmu_dev_get_phys_exponent(dev));

	/* SBC-4 6.6 (Block Limits page), MAXIMUM ATOMIC TRANSFER LENGTH, ATOMIC ALIGNMENT, ATOMIC
	 * TRANSFER LENGTH GRANULARITY. */
	if (rc->blocks > tcmu_dev_get_max_atomic_len(dev) || rc->blocks % gran)
		runner_finish_cdb_field(rc, rc->op->xfer.at, -1);
	else if (rc->lba % gran)
		runner_finish_cdb_field(rc, rc->op->lba.at, -1);
	else
		runner_exec_write(rc);
}

/*
 * The range (0 blocks: to the end) has been checked; the whole cache is flushed whatever it is,
 * which SBC-4 5.33 permits. IMMED asks for GOOD before the work is done: it is answered after it
 * all the same. That is allowed too, no initiator depends on the speed of this command as it does
 * on the truth of its answer, and an error still finds the command that it belongs to.
 */
void runner_exec_sync_cache(struct runner_cmd *rc)
{
	runner_op_flush(rc, runner_finish);
}

/*
 * PRE-FETCH (SBC-4): the range (0 blocks: to the end) has been checked. The runner has no cache that it
 * could say the blocks fit into, which CONDITION MET would mean; with GOOD the device server has cached
 * what fits, which is nothing. So an initiator learns the truth, with IMMED as without.
 */
void runner_exec_prefetch(struct runner_cmd *rc)
{
	runner_finish(rc, TCMU_STS_OK);
}
