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
#include "runner/wipe.h"
#include "runner/workers.h"
#include "tcmu-runner.h"
#include "util/list.h"
#include "util/mpsc.h"

struct runner_dev;

/* Of the one bounce buffer of a device. Fuzzing has a smaller one, so that more goes in pieces. */
#ifndef RUNNER_BOUNCE_SIZE
#define RUNNER_BOUNCE_SIZE (256u * 1024)
#endif

/* How a command uses the range that it has locked (runner/range.c). */
enum runner_range_kind {
	RUNNER_RANGE_READ, /* reads it: where there is WRITE ATOMIC only, else it locks nothing */
	RUNNER_RANGE_WRITE,
	RUNNER_RANGE_ALONE,  /* reads and writes it: nobody else writes there meanwhile */
	RUNNER_RANGE_ATOMIC, /* nobody else reads or writes there meanwhile */
	RUNNER_RANGE_KINDS
};

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
	bool active;        /* counted in runner_dev.active */
	uint16_t looks;     /* how often runner_watch() has met it */
	uint64_t error_off; /* bytes, tcmur_cmd_set_error_offset() */
	int64_t begun_ns;   /* CLOCK_MONOTONIC, when the device was traced then; 0: it was not */

	struct {                     /* the range that it has locked, runner/range.c */
		struct list node;    /* runner_dev.ranges */
		uint64_t first, end; /* blocks */
		struct runner_cmd *blocker;
		void (*granted)(struct runner_cmd *rc);
		enum runner_range_kind kind;
		bool listed;
	} range;

	struct {                  /* by a task management function, runner/abort.c */
		struct list node; /* runner_dev.aborted, while listed */
		int64_t due_ns;   /* CLOCK_MONOTONIC */
		bool asked;       /* it is aborted: no operation of it is started any more */
		bool listed;
		bool kept; /* it is answered already, with KEEP_BUF */
	} abort;

	struct runner_job job;   /* an operation of a blocking handler, for the workers */
	struct runner_cmd *next; /* waiting for the bounce buffer */
	void (*step_after_flush)(struct runner_cmd *rc, int sts);
	struct {
		uint8_t kind;
		union {
			struct iovec *iov;
			struct tcmur_extent *extents;
		};
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

/* Ends it with INVALID FIELD IN CDB and the pointer to this byte (and bit, unless it is -1). */
void runner_finish_cdb_field(struct runner_cmd *rc, uint16_t byte, int bit);
/* Ends it with MISCOMPARE; offset: of the first byte that differs, in what was compared. */
void runner_finish_miscompare(struct runner_cmd *rc, uint64_t offset);

/* The command's logical unit. What is in configfs is read only when it is asked for. */
#define RUNNER_LU_WWN   (1u << 0) /* wwn/: names and serial number */
#define RUNNER_LU_PORTS (1u << 1) /* alua/: TPGS, and the port where there is but one */
void runner_lu(struct runner_dev *rdev, struct scsi_lu *lu, unsigned int with);
/* scsi_lu.absent: the commands that the dispatcher has no executor for. */
uint64_t runner_absent_commands(void);

/* Operations on the handler, whatever its kind. len and off in bytes. The outcome goes to step; a
 * handler without the callback gives TCMU_STS_NOT_HANDLED, but flush gives OK. FUA of a write that
 * the handler does not honour itself becomes a flush here. iov belongs to the caller. A command that was
 * aborted gets TCMU_STS_ABORTED from all of them, and the handler does not see it. */
void runner_op_read(struct runner_cmd *rc, struct iovec *iov, size_t iov_cnt, uint64_t len,
		    uint64_t off, void (*step)(struct runner_cmd *rc, int sts));
void runner_op_write(struct runner_cmd *rc, struct iovec *iov, size_t iov_cnt, uint64_t len,
		     uint64_t off, void (*step)(struct runner_cmd *rc, int sts));
void runner_op_flush(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts));
void runner_op_unmap(struct runner_cmd *rc, uint64_t off, uint64_t len,
		     void (*step)(struct runner_cmd *rc, int sts));
void runner_op_writesame(struct runner_cmd *rc, uint64_t off, uint64_t len, struct iovec *iov,
			 size_t iov_cnt, void (*step)(struct runner_cmd *rc, int sts));

/* The handler's own COMPARE AND WRITE. */
void runner_op_caw(struct runner_cmd *rc, uint64_t off, uint64_t len, struct iovec *iov,
		   size_t iov_cnt, void (*step)(struct runner_cmd *rc, int sts));
/* extents belongs to the caller, who has zeroed it. */
void runner_op_lba_status(struct runner_cmd *rc, uint64_t off, uint64_t len,
			  struct tcmur_extent *extents, size_t max,
			  void (*step)(struct runner_cmd *rc, int sts));
/* Nothing: step runs later from the device's loop, with this outcome, or with TCMU_STS_OK. */
void runner_op_answer(struct runner_cmd *rc, int sts, void (*step)(struct runner_cmd *rc, int sts));
void runner_op_none(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts));

/* Saved mode pages; data belongs to the caller. */
void runner_op_store_saved(struct runner_cmd *rc, const void *data, size_t len,
			   void (*step)(struct runner_cmd *rc, int sts));

/* The handler's handle_cmd(), which must be there. */
void runner_op_handle_cmd(struct runner_cmd *rc, void (*step)(struct runner_cmd *rc, int sts));

/* The bounce buffer of the device (RUNNER_BOUNCE_SIZE bytes, page aligned): got() runs with it, at
 * once or when the command that holds it has put it back; runner_finish() does not put it back by
 * itself. TCMU_STS_NO_RESOURCE in sts when there is no memory, TCMU_STS_ABORTED when the command was
 * aborted (then there is nothing to put). */
void runner_bounce_get(struct runner_cmd *rc, void (*got)(struct runner_cmd *rc, int sts));
void *runner_bounce(struct runner_cmd *rc);
void runner_bounce_put(struct runner_cmd *rc);
/* An aborted command that waits for the buffer: got() runs later, with TCMU_STS_ABORTED. False: it does
 * not wait. */
bool runner_bounce_abandon(struct runner_cmd *rc);

/* Locks these blocks (runner/range.c) for what kind says. granted() runs at once or later. A command has
 * one range at a time; runner_finish() unlocks it when the answer is given. The dispatcher locks the
 * range of every command that writes and has one in its CDB, and on logical units with WRITE ATOMIC of
 * those that read. */
void runner_range_lock(struct runner_cmd *rc, uint64_t lba, uint64_t blocks,
		       enum runner_range_kind kind, void (*granted)(struct runner_cmd *rc));
void runner_range_unlock(struct runner_cmd *rc);
/* An aborted command that waits for its range: granted() runs later all the same, the operations that it
 * starts do not. False: it does not wait. */
bool runner_range_abandon(struct runner_cmd *rc);

/* May this command move rc->blocks blocks, and has it a data-out buffer with as many? False: it is
 * answered already. rw.c */
bool runner_check_data_out(struct runner_cmd *rc);
/* Reads the range and compares it as BYTCHK says, then finishes. verify.c */
void runner_verify(struct runner_cmd *rc, uint8_t bytchk);
/* Most blocks of a COMPARE AND WRITE, 0: it cannot be done. caw.c */
uint32_t runner_caw_max(struct runner_dev *rdev);

/* Asked between the pieces of something long: the device is about to stop, end with TCMU_STS_BUSY (the
 * initiator sends the command again, to the next daemon). */
bool runner_hurry(const struct runner_cmd *rc);

struct tcmu_device *runner_tcmu(struct runner_cmd *rc);

/* ---- the gates of medium.c ---- */

/*
 * What stands in the way of a command of this row (NULL: one that accesses the medium, as a copy from
 * another logical unit does; then there is no cdb)? Each 0, or -1 with *sense. In this order (medium.c):
 */
/* An operation on the whole medium that goes on or has failed. */
int runner_health_check(struct runner_dev *rdev, const struct scsi_opcode *op, const uint8_t *cdb,
			struct scsi_sense *sense);
/* There is no medium. */
int runner_medium_check(struct runner_dev *rdev, const struct scsi_opcode *op,
			struct scsi_sense *sense);
/* It cannot be written to. */
int runner_write_check(struct runner_dev *rdev, struct scsi_sense *sense);
/* medium.c: a logical unit reset has been carried out (SAM-5 6.3.3): nobody prevents removal any more. */
void runner_medium_reset(struct runner_dev *rdev);

/* ---- executors: one per file but for the small ones in emulate.c ---- */

void runner_exec_read(struct runner_cmd *rc);              /* rw.c */
void runner_exec_write(struct runner_cmd *rc);             /* rw.c */
void runner_exec_sync_cache(struct runner_cmd *rc);        /* rw.c */
void runner_exec_verify(struct runner_cmd *rc);            /* verify.c */
void runner_exec_unmap(struct runner_cmd *rc);             /* unmap.c */
void runner_exec_write_same(struct runner_cmd *rc);        /* writesame.c */
void runner_exec_compare_and_write(struct runner_cmd *rc); /* caw.c */
void runner_exec_orwrite(struct runner_cmd *rc);           /* orwrite.c */
void runner_exec_write_and_verify(struct runner_cmd *rc);  /* writeverify.c */
void runner_exec_write_atomic(struct runner_cmd *rc);      /* rw.c */
void runner_exec_prefetch(struct runner_cmd *rc);          /* rw.c */
void runner_exec_get_lba_status(struct runner_cmd *rc);    /* lbastatus.c */
void runner_exec_test_unit_ready(struct runner_cmd *rc);   /* emulate.c, all below */
void runner_exec_request_sense(struct runner_cmd *rc);
void runner_exec_inquiry(struct runner_cmd *rc);
void runner_exec_read_capacity_10(struct runner_cmd *rc);
void runner_exec_read_capacity_16(struct runner_cmd *rc);
void runner_exec_report_opcodes(struct runner_cmd *rc);
void runner_exec_report_tmf(struct runner_cmd *rc);
void runner_exec_mode_sense(struct runner_cmd *rc); /* mode.c, both */
void runner_exec_mode_select(struct runner_cmd *rc);
void runner_exec_start_stop(struct runner_cmd *rc); /* medium.c, both */
void runner_exec_prevent_allow_medium_removal(struct runner_cmd *rc);
void runner_exec_format_unit(struct runner_cmd *rc); /* format.c */
void runner_exec_sanitize(struct runner_cmd *rc);    /* sanitize.c */
void runner_exec_log_sense(struct runner_cmd *rc);   /* logsense.c, all below */
void runner_exec_read_defect_data(struct runner_cmd *rc);
void runner_exec_send_diagnostic(struct runner_cmd *rc);
void runner_exec_receive_diagnostic_results(struct runner_cmd *rc);
void runner_exec_report_target_port_groups(struct runner_cmd *rc); /* tpg.c, all below */
void runner_exec_set_target_port_groups(struct runner_cmd *rc);
/* Logs that SET TARGET PORT GROUPS was refused, now and then. Any thread. */
void runner_tpg_say(struct runner_dev *rdev, const char *why);

void runner_exec_extended_copy(struct runner_cmd *rc);        /* xcopy.c */
void runner_exec_receive_copy_results(struct runner_cmd *rc); /* copyresults.c */

/* xcopy.c: rc is aborted. Is it a copy that waits or runs? Then it comes to its end at once, or after the
 * piece that is under way, and is answered as usual. */
bool runner_copy_cancel(struct runner_cmd *rc);
/* copyresults.c: a logical unit reset has been carried out: nothing is kept for RECEIVE COPY RESULTS. */
void runner_copy_reset(struct runner_dev *rdev);

/* Answers with what make() (of scsi/) makes of the CDB. emulate.c */
void runner_answer(struct runner_cmd *rc, unsigned int with_lu,
		   uint8_t (*make)(const struct scsi_lu *lu, const uint8_t *cdb, uint8_t *buf,
				   size_t cap, size_t *len, struct scsi_sense *sense));

#endif
