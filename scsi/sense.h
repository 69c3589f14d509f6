/* SPDX-License-Identifier: Apache-2.0 */
/* Sense data by name. Pure. */
#ifndef SCSI_SENSE_H
#define SCSI_SENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What went wrong, as SPC-5 4.4 sees it. */
struct scsi_sense {
	uint8_t key, asc, ascq;
	bool has_info;
	uint64_t info;     /* INFORMATION: the LBA, or the offset of a miscompare */
	bool has_field;    /* sense key specific: field pointer (SPC-5 4.4.2.4.2) */
	bool field_in_cdb; /* C/D: the CDB, else the parameter list */
	uint16_t field;    /* byte number */
	bool has_bit;
	uint8_t bit;
	bool field_in_segment; /* SD, with COPY ABORTED (SPC-5 4.4.2.4.5): the field pointer counts
				* from the start of the segment descriptor */
	bool has_segment; /* COMMAND-SPECIFIC INFORMATION: the number of a segment descriptor */
	uint16_t segment;
	bool has_progress; /* sense key specific: progress indication (SPC-5 4.4.2.4.4), instead of a
			    * field pointer; with NO SENSE and NOT READY */
	uint16_t progress; /* 65536ths */
	bool ili;          /* incorrect length indicator (block commands descriptor, SBC-4 4.18) */
};

/* Outcomes by name. */
extern const struct scsi_sense SCSI_SENSE_NONE;
extern const struct scsi_sense SCSI_SENSE_NOT_READY;            /* 02/04/00, cause not reportable */
extern const struct scsi_sense SCSI_SENSE_FORMAT_IN_PROGRESS;   /* 02/04/04 */
extern const struct scsi_sense SCSI_SENSE_SANITIZE_IN_PROGRESS; /* 02/04/1B */
extern const struct scsi_sense SCSI_SENSE_MEDIUM_NOT_PRESENT;   /* 02/3A/00 */
extern const struct scsi_sense SCSI_SENSE_SANITIZE_FAILED;      /* 03/31/03 */
extern const struct scsi_sense SCSI_SENSE_FORMAT_FAILED;        /* 03/31/01 */
extern const struct scsi_sense SCSI_SENSE_REMOVAL_PREVENTED;    /* 05/53/02 */
extern const struct scsi_sense SCSI_SENSE_THRESHOLD_REACHED;    /* 06/38/07 */
extern const struct scsi_sense SCSI_SENSE_SOFTWARE_WRITE_PROTECTED; /* 07/27/02 */
extern const struct scsi_sense SCSI_SENSE_WRITE_ERROR;
extern const struct scsi_sense SCSI_SENSE_READ_ERROR;
extern const struct scsi_sense SCSI_SENSE_TARGET_FAILURE;
extern const struct scsi_sense SCSI_SENSE_SET_TPGS_FAILED; /* 04/67/0A */
extern const struct scsi_sense SCSI_SENSE_PARAM_LIST_LENGTH;
extern const struct scsi_sense SCSI_SENSE_INVALID_OPCODE;
extern const struct scsi_sense SCSI_SENSE_LBA_OUT_OF_RANGE;
extern const struct scsi_sense SCSI_SENSE_INVALID_FIELD_IN_CDB;
extern const struct scsi_sense SCSI_SENSE_INVALID_FIELD_IN_PARAM_LIST;
extern const struct scsi_sense SCSI_SENSE_SAVING_NOT_SUPPORTED;
extern const struct scsi_sense SCSI_SENSE_WRITE_PROTECTED;
extern const struct scsi_sense SCSI_SENSE_NO_SPACE;       /* 07/27/07 */
extern const struct scsi_sense SCSI_SENSE_MEDIUM_CHANGED; /* 06/28/00 */
extern const struct scsi_sense SCSI_SENSE_CAPACITY_CHANGED;
extern const struct scsi_sense SCSI_SENSE_MODE_PARAMETERS_CHANGED;
extern const struct scsi_sense SCSI_SENSE_ABORTED;
extern const struct scsi_sense SCSI_SENSE_TIMEOUT;
extern const struct scsi_sense SCSI_SENSE_MISCOMPARE;

/* INVALID FIELD IN CDB or IN PARAMETER LIST with the field pointer: the byte and the highest bit of
 * the field (SPC-5 4.4.2.4.2); bit < 0: the whole byte. */
struct scsi_sense scsi_sense_cdb_field(uint16_t byte, int bit);
struct scsi_sense scsi_sense_param_field(uint16_t byte, int bit);

/* what with the progress indication: done of total, which is not zero. Never says that all is done. */
struct scsi_sense scsi_sense_progress(struct scsi_sense what, uint64_t done, uint64_t total);

#define SCSI_SENSE_SIZE 96 /* TCMU_SENSE_BUFFERSIZE */

/* Writes fixed-format sense data (SPC-5 4.4.3; 18 bytes) or, with desc, descriptor format (4.4.2) into
 * buf[SCSI_SENSE_SIZE], the rest zeros. Fixed format leaves an INFORMATION above 32 bits out. */
void scsi_sense_build(const struct scsi_sense *sense, bool desc, uint8_t *buf);

/* Key, ASC and ASCQ of what scsi_sense_build(), or a handler, has left in buf, in either format; all zero for anything
 * else. The rest of *sense is zeroed. */
void scsi_sense_read(const uint8_t *buf, struct scsi_sense *sense);

/* As SPC-5 4.4.8 and SAM-6 5.3.1 have them, in capitals. */
const char *scsi_sense_key_name(uint8_t key);
const char *scsi_status_name(uint8_t status);

/* Bytes that scsi_sense_build() used: 18 in fixed format, 8 and more in descriptor format. */
size_t scsi_sense_length(const uint8_t *buf);

/* The status and sense of an enum tcmu_sts (scsi/sts.c). Returns the SCSI status byte; for CHECK
 * CONDITION *sense is filled, otherwise zeroed. An unknown code counts as a hardware error. For
 * TCMU_STS_PASSTHROUGH_ERR, CHECK CONDITION with *sense zeroed: whoever returned it has made the
 * sense data. */
uint8_t scsi_sense_from_sts(int sts, struct scsi_sense *sense);

#endif
