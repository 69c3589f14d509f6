/* SPDX-License-Identifier: Apache-2.0 */
/* The values that describe a logical unit to the pure functions of this room. */
#ifndef SCSI_LU_H
#define SCSI_LU_H

#include <stdbool.h>
#include <stdint.h>

struct scsi_lu {
	uint64_t num_lbas;
	uint32_t block_size;       /* bytes */
	uint32_t phys_exponent;    /* log2 of logical blocks per physical block */
	uint32_t max_xfer_len;     /* blocks; 0: no limit reported */
	uint32_t opt_xfer_len;     /* blocks; 0: none reported */
	uint32_t max_unmap_len;    /* blocks per UNMAP command */
	uint32_t opt_unmap_gran;   /* blocks; 0: none */
	uint32_t unmap_gran_align; /* blocks */
	bool write_cache;          /* WCE */
	bool wce_fixed;            /* MODE SELECT cannot change WCE */
	bool write_protect;        /* SWP and the device-specific WP bit */
	bool solid_state;
	bool unmap;         /* LBPME, LBPU, LBPWS, LBPWS10 */
	bool unmap_zeroes;  /* LBPRZ */
	char vendor[8 + 1]; /* shorter texts are padded with spaces */
	char product[16 + 1];
	char revision[4 + 1];
	char serial[254 + 1]; /* wwn/vpd_unit_serial; empty: none yet */
	char name[254 + 1];   /* config string, for a T10 vendor designator */
	uint32_t company_id;  /* IEEE company_id of the NAA designator; 0: LIO's 001405h */
};

#endif
