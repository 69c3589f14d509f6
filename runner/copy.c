/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/copy.h"

#include <stdlib.h>
#include <string.h>

#include "runner/device.h"
#include "runner/ports.h"
#include "scsi_defs.h"
#include "util/be.h"

/* ---- the manager's thread ---- */

void copy_end_init(struct copy_end *end, struct runner_dev *manager, bool is_source, void *data)
{
	memset(end, 0, sizeof(*end));
	end->manager = manager;
	end->is_source = is_source;
	end->data = data;
	end->back.rdev = manager;
}

void copy_end_release(struct copy_end *end)
{
	free(end->cmd);
	end->cmd = NULL;
	end->number = 0;
}

static void came_back(struct runner_cmd *back, int sts)
{
	struct copy_end *end = container_of(back, struct copy_end, back);

	(void)sts;
	end->step(end);
}

/* ---- the thread of the end's device ---- */

/* Afterwards the end is the manager's again, and may be gone. */
static void end_with(struct copy_end *end, struct runner_dev *rdev, enum copy_outcome outcome)
{
	bool is_guest = rdev != end->manager;

	end->outcome = outcome;
	if (end->cmd && end->cmd->range.listed)
		runner_range_unlock(end->cmd);
	if (end->cmd && end->cmd->active) {
		end->cmd->active = false;
		rdev->active--;
		if (rdev->wipe && !rdev->active)
			runner_wipe_kick(rdev);
	}
	tcmur_cmd_complete(end->manager->dev, &end->back.pub, TCMU_STS_OK);
	if (is_guest)
		runner_visit_end(rdev);
}

static struct copy_end *end_of(struct runner_cmd *cmd)
{
	return container_of(cmd->pub.lib_cmd, struct copy_end, lib);
}

static void op_done(struct runner_cmd *cmd, int sts)
{
	struct copy_end *end = end_of(cmd);

	end->sts = sts;
	end_with(end, cmd->rdev, sts == TCMU_STS_OK ? COPY_OK : COPY_STS);
}

static bool new_cmd(struct copy_end *end, struct runner_dev *rdev)
{
	size_t size = (runner_cmd_size(rdev) + 15) & ~(size_t)15;

	free(end->cmd);
	end->cmd = aligned_alloc(_Alignof(struct runner_cmd), size);
	if (!end->cmd)
		return false;
	memset(end->cmd, 0, size);
	end->cmd->rdev = rdev;
	end->cmd->pub.lib_cmd = &end->lib;
	end->lib.cdb = end->cdb;
	return true;
}

static bool is_allowed(const struct copy_end *end, struct runner_dev *rdev)
{
	/* The manager waits for the outcome, so it is there. */
	struct tcmu_device *other = end->manager->dev;

	return rdev == end->manager || (end->is_source ? runner_copy_allowed(rdev->dev, other)
						       : runner_copy_allowed(other, rdev->dev));
}

/* The kernel guards a unit's reservation, but not from what another unit's command does to it, and the ring
 * does not tell who sent that (target_core_configfs.c, target_pr_res_holder_show()). */
static bool is_reserved(struct runner_dev *rdev)
{
	char holder[256];

	return tcmu_dev_read_attr(rdev->dev, "pr/res_holder", holder, sizeof(holder)) > 0 &&
	       (!strncmp(holder, "SPC-2 Reservation:", 18) ||
		!strncmp(holder, "SPC-3 Reservation:", 18));
}

static void find(struct copy_end *end, struct runner_dev *rdev)
{
	uint8_t naa[SCSI_NAA_SIZE];
	struct scsi_lu lu;
	bool named;

	runner_lu(rdev, &lu, RUNNER_LU_WWN);
	named = scsi_lu_naa(&lu, naa);
	runner_visits_set_name(rdev, named ? naa : NULL);
	if (!named || memcmp(naa, end->naa, sizeof(naa))) {
		end_with(end, rdev, COPY_OTHER);
		return;
	}
	if (!is_allowed(end, rdev)) {
		tcmu_dev_warn(
			end->manager->dev,
			"EXTENDED COPY %s '%s' is refused: not every initiator that is mapped to "
			"one of the two is mapped to the other",
			end->is_source ? "from" : "to", tcmu_dev_get_name(rdev->dev));
		end_with(end, rdev, COPY_REFUSED);
		return;
	}
	if (rdev != end->manager && is_reserved(rdev)) {
		end_with(end, rdev, COPY_RESERVED);
		return;
	}
	end->block_size = lu.block_size;
	end->num_lbas = lu.num_lbas;
	end->sts = TCMU_STS_NO_RESOURCE;
	end_with(end, rdev, new_cmd(end, rdev) ? COPY_OK : COPY_STS);
}

/* What a handler sees that looks at the CDB: READ(16) or WRITE(16). */
static void make_cdb(struct copy_end *end)
{
	memset(end->cdb, 0, sizeof(end->cdb));
	end->cdb[0] = end->what == COPY_READ ? READ_16 : WRITE_16;
	put_be64(end->cdb + 2, end->lba);
	put_be32(end->cdb + 10, (uint32_t)end->blocks);
	end->used = end->iov;
	end->lib.iovec = &end->used;
	end->lib.iov_cnt = 1;
}

static void read_granted(struct runner_cmd *cmd)
{
	struct copy_end *end = end_of(cmd);

	runner_op_read(cmd, &end->used, 1, end->iov.iov_len,
		       tcmu_lba_to_byte(cmd->rdev->dev, end->lba), op_done);
}

static void write_granted(struct runner_cmd *cmd)
{
	struct copy_end *end = end_of(cmd);
	struct tcmu_device *dev = cmd->rdev->dev;

	runner_op_write(cmd, &end->used, 1, end->iov.iov_len, tcmu_lba_to_byte(dev, end->lba),
			op_done);
}

static bool is_ready(struct copy_end *end, struct runner_dev *rdev)
{
	/* The gates of a command, in their order; a copy accesses the medium. */
	return !runner_health_check(rdev, NULL, NULL, &end->sense) &&
	       !runner_medium_check(rdev, NULL, &end->sense) &&
	       (end->what == COPY_READ || !runner_write_check(rdev, &end->sense));
}

static void transfer(struct copy_end *end, struct runner_dev *rdev)
{
	uint64_t lbas = tcmu_dev_get_num_lbas(rdev->dev);
	struct runner_cmd *cmd = end->cmd;

	if (!is_ready(end, rdev)) {
		end_with(end, rdev, COPY_SENSE);
		return;
	}
	if (end->lba > lbas || end->blocks > lbas - end->lba) {
		end_with(end, rdev, COPY_RANGE);
		return;
	}
	if (rdev->handler->cmd_priv_size)
		memset(tcmur_cmd_priv(&cmd->pub), 0, rdev->handler->cmd_priv_size);
	make_cdb(end);
	cmd->lba = end->lba;
	cmd->blocks = end->blocks;
	cmd->active = true;
	rdev->active++;
	if (end->what == COPY_WRITE)
		runner_range_lock(cmd, end->lba, end->blocks, RUNNER_RANGE_WRITE, write_granted);
	else if (tcmu_dev_get_max_atomic_len(rdev->dev)) /* as dispatch.c does it */
		runner_range_lock(cmd, end->lba, end->blocks, RUNNER_RANGE_READ, read_granted);
	else
		read_granted(cmd);
}

/* With the write cache off, what is answered is durable (SBC-4 6.5.6, WCE). */
static void flush(struct copy_end *end, struct runner_dev *rdev)
{
	if (tcmu_dev_get_write_cache_enabled(rdev->dev)) {
		end_with(end, rdev, COPY_OK);
		return;
	}
	memset(end->cdb, 0, sizeof(end->cdb));
	end->cdb[0] = SYNCHRONIZE_CACHE;
	end->lib.iov_cnt = 0;
	end->cmd->active = true;
	rdev->active++;
	runner_op_flush(end->cmd, op_done);
}

static void run(struct copy_end *end, struct runner_dev *rdev)
{
	switch (end->what) {
	case COPY_FIND:
		find(end, rdev);
		break;
	case COPY_READ:
	case COPY_WRITE:
		transfer(end, rdev);
		break;
	case COPY_FLUSH:
		flush(end, rdev);
		break;
	}
}

static void visit(struct runner_visit *v, struct runner_dev *rdev)
{
	struct copy_end *end = container_of(v, struct copy_end, visit);

	/* Whoever waits for it to end does not wait for more than what it has begun. */
	if (rdev->stopping || rdev->parked || rdev->held)
		end_with(end, rdev, COPY_GONE);
	else
		run(end, rdev);
}

void copy_end_do(struct copy_end *end, enum copy_what what, void (*step)(struct copy_end *end))
{
	end->what = what;
	end->step = step;
	end->back.step = came_back;
	atomic_store_explicit(&end->back.pending, 1, memory_order_relaxed);
	if (end->number == end->manager->visits.number) {
		run(end, end->manager);
		return;
	}
	end->visit.run = visit;
	if (!runner_visit_send(end->number, &end->visit)) {
		end->outcome = COPY_GONE;
		tcmur_cmd_complete(end->manager->dev, &end->back.pub, TCMU_STS_OK);
	}
}

/* ---- who has this name? ---- */

static void ask_next(struct copy_end *end);

static void asked(struct copy_end *end)
{
	void (*found)(struct copy_end * end) = end->found;

	if (end->outcome == COPY_OTHER || end->outcome == COPY_GONE) {
		ask_next(end);
		return;
	}
	if (end->outcome != COPY_OK)
		copy_end_release(end);
	found(end);
}

/* All, as a name may be changed any time. */
static void ask_next(struct copy_end *end)
{
	uint64_t own = end->manager->visits.number;

	end->number = runner_visits_next(end->searching ? end->number : 0);
	if (end->number == own)
		end->number = runner_visits_next(own);
	end->searching = true;
	if (end->number) {
		copy_end_do(end, COPY_FIND, asked);
		return;
	}
	end->outcome = COPY_OTHER;
	end->found(end);
}

void copy_end_find(struct copy_end *end, const uint8_t *naa, bool own,
		   void (*step)(struct copy_end *end))
{
	memcpy(end->naa, naa, SCSI_NAA_SIZE);
	end->found = step;
	end->searching = false;
	end->again = runner_visits_try_again(); /* before the search, which might miss it */
	/* First the one whose name it was when it was last asked. */
	end->number = own ? end->manager->visits.number : runner_visits_named(naa);
	if (end->number)
		copy_end_do(end, COPY_FIND, asked);
	else
		ask_next(end);
}
