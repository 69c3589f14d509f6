/* SPDX-License-Identifier: Apache-2.0 */
/* What the log tells of single commands: each one that the storage has failed, and all of a device that is traced. */
#include <stdio.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/device.h"
#include "runner/runner.h"
#include "scsi_defs.h"

#define CDB_MAX 16 /* bytes that are shown */

static char **chosen;

void runner_trace_choose(const char *const *names)
{
	g_strfreev(chosen);
	chosen = g_strdupv((char **)(uintptr_t)names);
}

bool runner_trace_wants(const char *name)
{
	const char *own = strchr(name, '/'); /* without the HBA */

	for (char **one = chosen; one && *one; one++) {
		if (!strcmp(*one, name) || (own && !strcmp(*one, own + 1)))
			return true;
	}
	return false;
}

void runner_report_about(const struct runner_cmd *rc, struct tcmu_log_about *about)
{
	*about = (struct tcmu_log_about) { .cdb = rc->pub.lib_cmd->cdb };
	if (rc->op && rc->op->flags & SCSI_F_RANGE) {
		about->has_lba = true;
		about->lba = tcmu_cdb_get_lba(rc->pub.lib_cmd->cdb);
	}
}

/* The status that sts means, and its sense data, which are in the command's buffer by now. */
static uint8_t set_sense(const struct runner_cmd *rc, int sts, struct tcmu_log_about *about)
{
	struct scsi_sense sense;
	uint8_t status = scsi_sense_from_sts(sts, &sense);

	if (status != SAM_STAT_CHECK_CONDITION)
		return status;
	scsi_sense_read(rc->pub.lib_cmd->sense_buf, &sense);
	about->has_sense = true;
	about->sense_key = sense.key;
	about->asc = sense.asc;
	about->ascq = sense.ascq;
	return status;
}

static const char *command_name(const struct runner_cmd *rc)
{
	return rc->op ? rc->op->name : "unknown command";
}

/* ", LBA 8, 8 blocks", or nothing. */
static void where_text(const struct runner_cmd *rc, const struct tcmu_log_about *about, char *buf,
		       size_t size)
{
	buf[0] = '\0';
	if (about->has_lba)
		snprintf(buf, size, ", LBA %llu, %u blocks", (unsigned long long)about->lba,
			 tcmu_cdb_get_xfer_length(rc->pub.lib_cmd->cdb));
}

/* "GOOD", "MEDIUM ERROR 11h/00h" and so on. */
static void outcome_text(uint8_t status, const struct tcmu_log_about *about, char *buf, size_t size)
{
	if (about->has_sense)
		snprintf(buf, size, "%s %02Xh/%02Xh", scsi_sense_key_name(about->sense_key),
			 about->asc, about->ascq);
	else
		snprintf(buf, size, "%s", scsi_status_name(status));
}

void runner_report_begin(struct runner_cmd *rc)
{
	rc->begun_ns = runner_now_ns();
}

static void trace(const struct runner_cmd *rc, const struct tcmu_log_about *about,
		  const char *outcome)
{
	const uint8_t *cdb = rc->pub.lib_cmd->cdb;
	int len = tcmu_cdb_get_length((uint8_t *)(uintptr_t)cdb);
	char bytes[3 * CDB_MAX + 1] = "", where[64], took[32] = "";

	for (int i = 0; i < len && i < CDB_MAX; i++)
		snprintf(bytes + 3 * i, sizeof(bytes) - 3 * (size_t)i, " %02x", cdb[i]);
	where_text(rc, about, where, sizeof(where));
	/* Not those that were under way when the trace began. */
	if (rc->begun_ns)
		snprintf(took, sizeof(took), " after %lld us",
			 (long long)(runner_now_ns() - rc->begun_ns) / 1000);
	tcmu_log_command(TCMU_LOG_INFO, rc->rdev->dev, about,
			 "trace: %s,%s%s, buffer of %zu bytes: %s%s", command_name(rc), bytes,
			 where, rc->data_len, outcome, took);
}

void runner_report_end(struct runner_cmd *rc, int sts)
{
	bool traced = atomic_load_explicit(&rc->rdev->traced, memory_order_relaxed), failed;
	struct tcmu_log_about about;
	char where[64], outcome[64];
	uint8_t status;

	runner_report_about(rc, &about);
	status = set_sense(rc, sts, &about);
	failed = about.has_sense && !rc->abort.asked &&
		 (about.sense_key == MEDIUM_ERROR || about.sense_key == HARDWARE_ERROR);
	if (!traced && !failed)
		return;
	outcome_text(status, &about, outcome, sizeof(outcome));
	if (traced) {
		about.wanted = true;
		trace(rc, &about, rc->abort.asked ? "aborted" : outcome);
		about.wanted = false;
	}
	if (!failed)
		return;
	where_text(rc, &about, where, sizeof(where));
	tcmu_log_command(TCMU_LOG_WARN, rc->rdev->dev, &about, "%s%s: %s", command_name(rc), where,
			 outcome);
}
