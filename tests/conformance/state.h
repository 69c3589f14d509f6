/* SPDX-License-Identifier: Apache-2.0 */
/* What a logical unit keeps in mind: commands by what comes of them, over restarts of the daemon. */
#ifndef TESTS_CONFORMANCE_STATE_H
#define TESTS_CONFORMANCE_STATE_H

#include "tests/daemon/faults.h"

/* An outcome: 0 is GOOD, for CHECK CONDITION the sense, else the status. */
#define GOOD                  0u
#define SENSE(key, asc, ascq) (0x02000000u | (key) << 16 | (asc) << 8 | (ascq))
#define BUSY_STATUS           0x08000000u
#define TASK_ABORTED_STATUS   0x40000000u
#define INVALID_OPCODE        SENSE(5u, 0x20u, 0u)
#define INVALID_FIELD_IN_CDB  SENSE(5u, 0x24u, 0u)
#define INVALID_FIELD_IN_LIST SENSE(5u, 0x26u, 0u)
#define NO_MEDIUM             SENSE(2u, 0x3au, 0u)
#define REMOVAL_PREVENTED     SENSE(5u, 0x53u, 2u)
#define WRITE_PROTECTED       SENSE(7u, 0x27u, 0u)
#define SW_WRITE_PROTECTED    SENSE(7u, 0x27u, 2u)
#define FORMAT_IN_PROGRESS    SENSE(2u, 0x04u, 4u)
#define SANITIZE_IN_PROGRESS  SENSE(2u, 0x04u, 0x1bu)
#define FORMAT_CORRUPTED      SENSE(3u, 0x31u, 0u)
#define FORMAT_COMMAND_FAILED SENSE(3u, 0x31u, 1u)
#define SANITIZE_FAILED       SENSE(3u, 0x31u, 3u)
#define SAVING_NOT_SUPPORTED  SENSE(5u, 0x39u, 0u)
#define CDB(...)              ((const uint8_t[16]) { __VA_ARGS__ })

/* The last answer of the test's own thread. */
extern struct fake_cmd last;

/* Sends it and says what came of it; len bytes of data, none with NULL. Again while BUSY. */
unsigned int send_cmd(struct fake_dev *dev, const uint8_t *cdb, enum fake_dir dir, void *data,
		      size_t len);
/* The outcome of a command that is over. */
unsigned int outcome(const struct fake_cmd *cmd);
bool sense_is_descriptor(const struct fake_cmd *cmd);
/* PROGRESS INDICATION of sense data; -1: there is none. */
int progress(const uint8_t *sense);

#define ASSERT_OUTCOME(what, want)                                                                 \
	do {                                                                                       \
		unsigned int got_ = (what);                                                        \
		if (got_ != (want))                                                                \
			fail_msg("%s: outcome %08x instead of %08x", #what, got_, want);           \
	} while (0)

unsigned int tur(struct fake_dev *dev);
unsigned int start_stop(struct fake_dev *dev, uint8_t byte4);
unsigned int read_block(struct fake_dev *dev, uint64_t lba, uint8_t *buf);
unsigned int write_block(struct fake_dev *dev, uint64_t lba, uint8_t fill);
/* MODE SENSE(6) of the Control page (0Ah) in current values: its bytes 2 and 4. */
bool d_sense(struct fake_dev *dev);
bool swp(struct fake_dev *dev);
/* MODE SELECT(6) of the Control page, as it is but for these two; sp: saved too. */
unsigned int select_control(struct fake_dev *dev, bool d_sense, bool swp, bool sp);

/* A unit over the handler in handler-led.c, size bytes large. */
struct fake_dev *led_lun(const char *name, uint64_t size);
/* Makes the file NAME.what. */
void led_mark(const char *name, const char *what);
/* Is every byte of its medium this one? */
bool medium_is(const char *name, uint8_t byte);
void medium_fill(const char *name, uint8_t byte);
/* Until TEST UNIT READY is not answered with this any more; what it is answered with then. */
unsigned int wait_while(struct fake_dev *dev, unsigned int code);

void restart(const char *handlers, bool killed);

#endif
