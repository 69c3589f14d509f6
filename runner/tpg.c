/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REPORT TARGET PORT GROUPS and SET TARGET PORT GROUPS (SPC-5 6.36, 6.42): the groups are the kernel's,
 * which also refuses commands by their states and raises the unit attentions of a change.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runner/device.h"
#include "runner/ports.h"
#include "runner/runner.h"
#include "scsi_defs.h"
#include "util/list.h"

#define LIST_SIZE 4096 /* of the longest parameter list */
#define QUIET_SEC 10   /* between two messages about a device */

/* An initiator can ask as often as it likes. */
void runner_tpg_say(struct runner_dev *rdev, const char *why)
{
	struct timespec now;
	int64_t before = atomic_load(&rdev->tpg_said);

	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((before && now.tv_sec - before < QUIET_SEC) ||
	    !atomic_compare_exchange_strong(&rdev->tpg_said, &before, now.tv_sec))
		return;
	tcmu_dev_warn(rdev->dev, "SET TARGET PORT GROUPS was refused: %s", why);
}

void runner_exec_report_target_port_groups(struct runner_cmd *rc)
{
	uint8_t buf[SCSI_TPGS_DATA_MAX];
	struct scsi_sense sense = SCSI_SENSE_TARGET_FAILURE;
	struct runner_tpgs groups;
	size_t len;

	if (!runner_tpgs_read(runner_tcmu(rc), &groups) &&
	    scsi_report_tpgs(&groups.scsi, rc->pub.lib_cmd->cdb, buf, sizeof(buf), &len, &sense) ==
		    SAM_STAT_GOOD)
		runner_finish_data(rc, buf, len);
	else
		runner_finish_sense(rc, &sense);
}

/* ---- SET TARGET PORT GROUPS ---- */

/* On a worker: a transition takes its time (trans_delay_msecs). */
struct set_state {
	struct tcmur_io io;
	struct scsi_sense sense;
};
static_assert(sizeof(struct set_state) <= sizeof(((struct runner_cmd *)0)->state),
	      "set_state does not fit");

static struct set_state *set_of(struct tcmur_io *io)
{
	return container_of(io, struct set_state, io);
}

static struct runner_cmd *cmd_of(struct set_state *st)
{
	return container_of((uint64_t *)st, struct runner_cmd, state[0]);
}

static int set_group(struct runner_dev *rdev, const char *name, const struct scsi_tpg *g,
		     uint8_t state)
{
	char path[320], text[8], why[600];
	int ret;

	if (state == g->state)
		return 0;
	snprintf(path, sizeof(path), "alua/%s/alua_access_state", name);
	snprintf(text, sizeof(text), "%u", state);
	ret = tcmu_dev_write_attr(rdev->dev, path, text);
	if (ret) {
		snprintf(why, sizeof(why), "writing %s to %s: %s%s", text, path, strerror(-ret),
			 g->type & SCSI_TPG_IMPLICIT
				 ? ""
				 : "; the kernel takes it only with Implicit in alua_access_type");
		runner_tpg_say(rdev, why);
		return ret;
	}
	/* What is written there is an implicit change to the kernel: 1, ALTERED BY STPG. */
	snprintf(path, sizeof(path), "alua/%s/alua_access_status", name);
	tcmu_dev_write_attr(rdev->dev, path, "1");
	return 0;
}

/* The groups may have changed since the gates, so they are looked at again, and all of the list is checked
 * before anything of it is done. 0, or -EINVAL with the sense data in the state. */
static int64_t set_groups(struct tcmur_io *io)
{
	struct set_state *st = set_of(io);
	struct runner_cmd *rc = cmd_of(st);
	struct tcmulib_cmd *cmd = rc->pub.lib_cmd;
	uint8_t list[LIST_SIZE], want[SCSI_TPG_MAX];
	struct runner_tpgs groups;
	size_t have = tcmu_memcpy_from_iovec(list, sizeof(list), cmd->iovec, cmd->iov_cnt);

	st->sense = SCSI_SENSE_SET_TPGS_FAILED;
	if (runner_tpgs_read(rc->rdev->dev, &groups)) {
		runner_tpg_say(rc->rdev, "the target port groups cannot be read");
		return -EINVAL;
	}
	if (scsi_set_tpgs_parse(&groups.scsi, list, have, rc->blocks, want, &st->sense)) {
		runner_tpg_say(rc->rdev, "it asks for what a group is not or cannot become");
		return -EINVAL;
	}
	/* SPC-5 6.42: HARDWARE ERROR if not all was done; the initiator looks what was. */
	for (size_t i = 0; i < groups.scsi.count; i++) {
		if (want[i] != SCSI_TPG_KEEP &&
		    set_group(rc->rdev, groups.name[i], &groups.scsi.group[i], want[i]))
			return -EINVAL;
	}
	return 0;
}

static void set_done(struct tcmur_io *io, int64_t res)
{
	struct set_state *st = set_of(io);
	struct runner_cmd *rc = cmd_of(st);

	if (res) {
		struct scsi_sense sense = st->sense;

		runner_finish_sense(rc, &sense);
	} else {
		runner_finish(rc, TCMU_STS_OK);
	}
}

void runner_exec_set_target_port_groups(struct runner_cmd *rc)
{
	struct set_state *st = (struct set_state *)rc->state;

	memset(st, 0, sizeof(*st));
	st->io.done = set_done;
	tcmur_io_work(runner_tcmu(rc), &st->io, set_groups);
}
