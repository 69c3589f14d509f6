/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device, the command and the verbs between them, inside the runner.
 *
 * All functions here run on the device's own thread unless they say otherwise. A command lives from
 * runner_dispatch() to runner_finish(). Executors are state machines: they start one operation with a
 * runner_op_*() call and return; its step runs later from the device's loop (never inside the call)
 * with the outcome, and starts the next one or finishes.
 */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "scsi/lu.h"
#include "scsi/opcodes.h"
#include "scsi/sense.h"
#include "runner/workers.h"
#include "tcmu-runner.h"
#include "util/mpsc.h"

struct runner_dev;

#define RUNNER_BOUNCE_SIZE (256u * 1024) /* of the one bounce buffer of a device */

struct runner_cmd {
	struct tcmur_cmd pub; /* what handlers see; first */
	struct runner_dev *rdev;
	struct mpsc_node node; /* completion queue of the device */
	_Atomic(int) pending;  /* an operation is with the handler: asserts "exactly once" */
	int sts;               /* outcome of that operation */
	void (*step)(struct runner_cmd *rc, int sts);

	const struct scsi_opcode *op; /* NULL: not in the table */
	uint64_t lba;                 /* decoded from the row, blocks */
	uint64_t blocks;
	size_t data_len;  /* bytes of the data buffer that the initiator gave */
	void *data_start; /* of that buffer: executors and handlers may consume the iovecs */
	bool fua;
	bool error_off_valid;
	uint64_t error_off; /* bytes, tcmur_cmd_set_error_offset() */

	struct runner_job job;   /* an operation of a blocking handler, for the workers */
	struct runner_cmd *next; /* waiting for the bounce buffer */
	void (*step_after_flush)(struct runner_cmd *rc, int sts);
	struct {
		uint8_t kind;
		struct iovec *iov;
		size_t iov_cnt;
		uint64_t off, len;
	} work;

	/* The executors' own; each has a struct of its own in its file, checked against the size. */
	uint64_t state[12];

	/* handler->cmd_priv_size bytes follow. */
} __attribute__((aligned(16)));

/* ---- for executors (runner/dispatch.c, runner/ops.c) ---- */

/* Ends the command: maps sts to status and sense, adds the failing LBA, answers. */
void runner_finish(struct runner_cmd *rc, int sts);
/* Ends it with CHECK CONDITION and this sense. */
void runner_finish_sense(struct runner_cmd *rc, const struct scsi_sense *sense);
/* Ends it GOOD with len bytes of data-in from src (cut to the ALLOCATION LENGTH by the caller and to
 * the buffer here; READ_LEN or zeroing for the rest). */
void runner_finish_data(struct runner_cmd *rc, const void *src, size_t len);

/* The command's logical unit. Filled on demand: with_wwn also reads wwn/ from configfs. */
void runner_lu(struct runner_dev *rdev, struct scsi_lu *lu, bool with_wwn);

/* Operations on the handler, whatever its kind. len and off in bytes. The outcome goes to step; a
 * handler without the callback gives TCMU_STS_NOT_HANDLED, but flush gives OK. FUA of a write that
 * the handler does not honour itself becomes a flush here. iov belongs to the caller. */
void runner_op_read(struct runner_cmd *rc, struct iovec *iov, size_t iov_cnt, uint64_t len,
		    uint64_t off, void (*step)(struct runner_cmd *rc, int sts));
void runner_op_write(struct runner_cmd *rc, struct iovec *iov, size_t iov_cnt, uint64_t len,
		     uint64_t off, void (*step)(struct runner_cmd *rc, int sts));
void runner_op_flush(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts));
void runner_op_unmap(struct runner_cmd *rc, uint64_t off, uint64_t len,
		     void (*step)(struct runner_cmd *rc, int sts));
void runner_op_writesame(struct runner_cmd *rc, uint64_t off, uint64_t len, struct iovec *iov,
			 size_t iov_cnt, void (*step)(struct runner_cmd *rc, int sts));

/* The handler's handle_cmd(), which must be there. */
void runner_op_handle_cmd(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts));

/* The bounce buffer of the device (RUNNER_BOUNCE_SIZE bytes, page aligned): got() runs with it, at
 * once or when the command that holds it has put it back; runner_finish() does not put it back by
 * itself. TCMU_STS_NO_RESOURCE in sts when there is no memory (then there is nothing to put). */
void runner_bounce_get(struct runner_cmd *rc, void (*got)(struct runner_cmd *rc, int sts));
void *runner_bounce(struct runner_cmd *rc);
void runner_bounce_put(struct runner_cmd *rc);

/* Asked between the pieces of something long: the device is about to stop, end with TCMU_STS_BUSY (the
 * initiator sends the command again, to the next daemon). */
bool runner_hurry(const struct runner_cmd *rc);

struct tcmu_device *runner_tcmu(struct runner_cmd *rc);

/* ---- executors: one per file but for the small ones in emulate.c ---- */

void runner_exec_read(struct runner_cmd *rc);            /* rw.c */
void runner_exec_write(struct runner_cmd *rc);           /* rw.c */
void runner_exec_sync_cache(struct runner_cmd *rc);      /* rw.c */
void runner_exec_verify(struct runner_cmd *rc);          /* verify.c */
void runner_exec_unmap(struct runner_cmd *rc);           /* unmap.c */
void runner_exec_write_same(struct runner_cmd *rc);      /* writesame.c */
void runner_exec_test_unit_ready(struct runner_cmd *rc); /* emulate.c, all below */
void runner_exec_request_sense(struct runner_cmd *rc);
void runner_exec_inquiry(struct runner_cmd *rc);
void runner_exec_read_capacity_10(struct runner_cmd *rc);
void runner_exec_read_capacity_16(struct runner_cmd *rc);
void runner_exec_mode_sense(struct runner_cmd *rc);
void runner_exec_mode_select(struct runner_cmd *rc);
void runner_exec_start_stop(struct runner_cmd *rc);
void runner_exec_report_opcodes(struct runner_cmd *rc);

#endif
