/* SPDX-License-Identifier: Apache-2.0 */
/* REPORT TARGET PORT GROUPS and SET TARGET PORT GROUPS (SPC-5 6.36, 6.42). Pure. */
#ifndef SCSI_TPG_H
#define SCSI_TPG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/sense.h"

#define SCSI_TPG_MAX      32 /* groups of a logical unit that are told of */
#define SCSI_TPG_PORT_MAX 32 /* ports of a group */

/* ASYMMETRIC ACCESS STATE (SPC-5 6.36): what a group may be asked to become, all of them primary. */
#define SCSI_TPG_ACTIVE_OPTIMIZED     0x0
#define SCSI_TPG_ACTIVE_NON_OPTIMIZED 0x1
#define SCSI_TPG_STANDBY              0x2
#define SCSI_TPG_UNAVAILABLE          0x3

/* Support bits: byte 1 of a target port group descriptor. */
#define SCSI_TPG_T_SUP   0x80
#define SCSI_TPG_O_SUP   0x40
#define SCSI_TPG_LBD_SUP 0x10
#define SCSI_TPG_U_SUP   0x08
#define SCSI_TPG_S_SUP   0x04
#define SCSI_TPG_AN_SUP  0x02
#define SCSI_TPG_AO_SUP  0x01

/* How the state of a group changes: as the TPGS field of INQUIRY. */
#define SCSI_TPG_IMPLICIT 0x1
#define SCSI_TPG_EXPLICIT 0x2

struct scsi_tpg {
	uint16_t id;
	uint8_t state;
	uint8_t supported; /* SCSI_TPG_*_SUP */
	uint8_t status;    /* STATUS CODE: why the state is what it is */
	uint8_t type;      /* SCSI_TPG_IMPLICIT, SCSI_TPG_EXPLICIT */
	bool preferred;
	uint8_t port_count;
	uint16_t port[SCSI_TPG_PORT_MAX]; /* relative target port identifiers */
};

struct scsi_tpgs {
	size_t count;
	struct scsi_tpg group[SCSI_TPG_MAX];
	uint8_t implicit_seconds; /* IMPLICIT TRANSITION TIME; 0: not known */
};

#define SCSI_TPGS_DATA_MAX (8 + SCSI_TPG_MAX * (8 + 4 * SCSI_TPG_PORT_MAX)) /* bytes */

/* The parameter data of REPORT TARGET PORT GROUPS, as long as they are (at most SCSI_TPGS_DATA_MAX), in
 * the format that cdb asks for, cut to the ALLOCATION LENGTH and to cap; *len: its bytes, 0 on error.
 * Returns the SCSI status, GOOD or CHECK CONDITION with *sense filled. */
uint8_t scsi_report_tpgs(const struct scsi_tpgs *groups, const uint8_t *cdb, uint8_t *buf,
			 size_t cap, size_t *len, struct scsi_sense *sense);

#define SCSI_TPG_KEEP 0xff /* this group is not asked to change */

/*
 * Checks the parameter list of SET TARGET PORT GROUPS, of which there are have bytes and should be len
 * (the PARAMETER LIST LENGTH). 0 and want[i] is the state that groups->group[i] shall have, or
 * SCSI_TPG_KEEP; or -1 with *sense: 1A/00 when the list is shorter than it says or ends within its
 * header or a descriptor, 26/00 with the field pointer for a state that a group cannot be set to, a
 * group that is not there, and one that cannot be set at all. Of several descriptors for a group the
 * last counts.
 */
int scsi_set_tpgs_parse(const struct scsi_tpgs *groups, const uint8_t *list, size_t have,
			size_t len, uint8_t want[SCSI_TPG_MAX], struct scsi_sense *sense);

#endif
