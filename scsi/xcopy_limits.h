/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of EXTENDED COPY, as RECEIVE COPY OPERATING PARAMETERS and the Third-party Copy VPD page
 * tell them (SPC-4 6.4, 6.18.4, 7.8.17). */
#ifndef SCSI_XCOPY_LIMITS_H
#define SCSI_XCOPY_LIMITS_H

#define SCSI_XCOPY_MAX_CSCD        16 /* descriptors of 32 bytes */
#define SCSI_XCOPY_MAX_SEGMENTS    16 /* descriptors of 28 bytes */
#define SCSI_XCOPY_MAX_LIST        (32 * SCSI_XCOPY_MAX_CSCD + 28 * SCSI_XCOPY_MAX_SEGMENTS)
#define SCSI_XCOPY_MAX_SEGMENT_LEN (64u << 20) /* bytes */
#define SCSI_XCOPY_MAX_CONCURRENT  1           /* copies of one logical unit */

#endif
