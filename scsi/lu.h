/* SPDX-License-Identifier: Apache-2.0 */
/* The values that describe a logical unit to the pure functions of this room. */
#ifndef SCSI_LU_H
#define SCSI_LU_H

#include <stdbool.h>
#include <stdint.h>

/* Thresholds on LBA mapping resources (SBC-4 4.7.3.7), in the order of their descriptors. */
enum { SCSI_THRESHOLD_AVAILABLE, SCSI_THRESHOLD_USED, SCSI_THRESHOLD_COUNT };

struct scsi_threshold {
	bool enabled;
	uint32_t count; /* threshold sets of 2^lu.threshold_exponent blocks */
};

/* Everything that MODE SELECT may change. */
struct scsi_mode_values {
	bool wce;     /* Caching page: write cache enabled */
	bool d_sense; /* Control page: sense data in descriptor format */
	bool swp;     /* Control page: software write protect */
	bool lbpere;  /* Read-Write Error Recovery page: thresholds raise unit attentions */
	struct scsi_threshold threshold[SCSI_THRESHOLD_COUNT];
};

/* All zero but for the capacity is a plain fixed disk without options. */
struct scsi_lu {
	uint64_t num_lbas;
	uint32_t block_size;       /* bytes */
	uint32_t phys_exponent;    /* log2 of logical blocks per physical block */
	uint32_t max_xfer_len;     /* blocks; 0: no limit reported */
	uint32_t opt_xfer_len;     /* blocks; 0: none reported */
	uint32_t max_unmap_len;    /* blocks per UNMAP command */
	uint32_t opt_unmap_gran;   /* blocks; 0: none */
	uint32_t unmap_gran_align; /* blocks */
	uint32_t caw_max;    /* blocks per COMPARE AND WRITE, at most 255; 0: no such command */
	uint32_t atomic_max; /* blocks per WRITE ATOMIC(16); 0: no such command */
	bool write_cache;    /* WCE */
	bool wce_fixed;      /* MODE SELECT cannot change WCE */
	bool write_protect;  /* the medium cannot be written: the device-specific WP bit */
	bool swp;            /* SWP as MODE SELECT left it: WP too */
	bool d_sense;        /* D_SENSE: the format of all sense data but REQUEST SENSE's */
	bool mode_fixed;     /* MODE SELECT cannot change D_SENSE, SWP and thresholds */
	bool saves;          /* mode_saved is filled, SP and PC 11b work */
	bool solid_state;
	bool removable;      /* RMB, PREVENT ALLOW MEDIUM REMOVAL, LOEJ */
	bool medium_present; /* looked at only if removable */
	bool medium_locked;  /* PREVENT ALLOW MEDIUM REMOVAL prevents, for somebody */
	bool unmap;          /* LBPME, LBPU, LBPWS, LBPWS10 */
	bool unmap_zeroes;   /* LBPRZ */
	bool lba_status;     /* GET LBA STATUS works */
	bool xcopy;          /* EXTENDED COPY and RECEIVE COPY RESULTS work: 3PC, VPD page 8Fh */
	bool sanitize;       /* SANITIZE works */
	bool reservations; /* the kernel's target answers RESERVE, RELEASE and PERSISTENT RESERVE */
	bool relative_port_valid, tpg_valid;
	uint16_t relative_port; /* of the port that the command came through */
	uint16_t tpg;           /* target port group of that port */
	uint8_t tpgs;           /* TPGS of INQUIRY: 0 none, 1 implicit, 2 explicit, 3 both */
	/* log2 of the blocks of a threshold set; 0: no thresholds (SBC-4 6.6, Logical Block
	 * Provisioning page) */
	uint8_t threshold_exponent;
	bool lbpere;
	struct scsi_threshold threshold[SCSI_THRESHOLD_COUNT];
	struct scsi_mode_values mode_saved; /* see saves */
	struct scsi_mode_values mode_default;
	uint64_t absent;    /* commands without an executor: bits 1 << enum scsi_cmd_id */
	char vendor[8 + 1]; /* shorter texts are padded with spaces */
	char product[16 + 1];
	char revision[4 + 1];
	char serial[254 + 1]; /* wwn/vpd_unit_serial; empty: none yet */
	char name[254 + 1];   /* config string, for a T10 vendor designator */
	uint32_t company_id;  /* IEEE company_id of the NAA designator; 0: LIO's 001405h */
};

static inline bool scsi_lu_no_medium(const struct scsi_lu *lu)
{
	return lu->removable && !lu->medium_present;
}

#endif
