/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scsi_defs.h: numbers of the SCSI standards by name (SAM-5, SPC-5, SBC-4). Includes nothing.
 *
 * Where <scsi/scsi.h> of libc has the same name, it has the same value, so both may be included.
 */
#ifndef SCSI_DEFS_H
#define SCSI_DEFS_H

/* ---- operation codes (SPC-5 annex D) ----------------------------------------------------- */

#define TEST_UNIT_READY        0x00
#define REQUEST_SENSE          0x03
#define FORMAT_UNIT            0x04
#define READ_6                 0x08
#define WRITE_6                0x0a
#define INQUIRY                0x12
#define MODE_SELECT            0x15
#define RESERVE                0x16
#define RELEASE                0x17
#define MODE_SENSE             0x1a
#define START_STOP             0x1b
#define RECEIVE_DIAGNOSTIC     0x1c
#define SEND_DIAGNOSTIC        0x1d
#define ALLOW_MEDIUM_REMOVAL   0x1e
#define READ_CAPACITY          0x25
#define READ_10                0x28
#define WRITE_10               0x2a
#define WRITE_VERIFY           0x2e
#define VERIFY                 0x2f
#define PRE_FETCH              0x34
#define SYNCHRONIZE_CACHE      0x35
#define READ_DEFECT_DATA       0x37
#define WRITE_SAME             0x41
#define UNMAP                  0x42
#define SANITIZE               0x48
#define LOG_SELECT             0x4c
#define LOG_SENSE              0x4d
#define MODE_SELECT_10         0x55
#define RESERVE_10             0x56
#define RELEASE_10             0x57
#define MODE_SENSE_10          0x5a
#define PERSISTENT_RESERVE_IN  0x5e
#define PERSISTENT_RESERVE_OUT 0x5f
#define VARIABLE_LENGTH_CMD    0x7f
#define EXTENDED_COPY          0x83
#define RECEIVE_COPY_RESULTS   0x84
#define READ_16                0x88
#define COMPARE_AND_WRITE      0x89
#define WRITE_16               0x8a
#define ORWRITE_16             0x8b
#define WRITE_VERIFY_16        0x8e
#define VERIFY_16              0x8f
#define PRE_FETCH_16           0x90
#define SYNCHRONIZE_CACHE_16   0x91
#define WRITE_SAME_16          0x93
#define WRITE_ATOMIC_16        0x9c
#define SERVICE_ACTION_IN_16   0x9e
#define REPORT_LUNS            0xa0
#define MAINTENANCE_IN         0xa3
#define MAINTENANCE_OUT        0xa4
#define READ_12                0xa8
#define WRITE_12               0xaa
#define WRITE_VERIFY_12        0xae
#define VERIFY_12              0xaf
#define READ_DEFECT_DATA_12    0xb7

/* Service actions. */
#define SAI_READ_CAPACITY_16                0x10 /* SERVICE_ACTION_IN_16 */
#define SAI_GET_LBA_STATUS                  0x12
#define MI_REPORT_TARGET_PORT_GROUPS        0x0a /* MAINTENANCE_IN */
#define MI_REPORT_SUPPORTED_OPERATION_CODES 0x0c
#define MI_REPORT_SUPPORTED_TASK_MGMT_FUNCS 0x0d
#define MO_SET_TARGET_PORT_GROUPS           0x0a /* MAINTENANCE_OUT */
#define RCR_SA_COPY_STATUS                  0x00 /* RECEIVE_COPY_RESULTS */
#define RCR_SA_OPERATING_PARAMETERS         0x03
#define RCR_SA_FAILED_SEGMENT_DETAILS       0x04
#define XC_SA_LID1                          0x00 /* EXTENDED_COPY */
#define SANITIZE_SA_OVERWRITE               0x01 /* SANITIZE */
#define SANITIZE_SA_BLOCK_ERASE             0x02
#define SANITIZE_SA_EXIT_FAILURE_MODE       0x1f
#define SA_READ_32                          0x09 /* VARIABLE_LENGTH_CMD */
#define SA_WRITE_32                         0x0b

/* ---- status (SAM-5, status codes) ------------------------------------------------------------------ */

#define SAM_STAT_GOOD                 0x00
#define SAM_STAT_CHECK_CONDITION      0x02
#define SAM_STAT_CONDITION_MET        0x04
#define SAM_STAT_BUSY                 0x08
#define SAM_STAT_RESERVATION_CONFLICT 0x18
#define SAM_STAT_TASK_SET_FULL        0x28
#define SAM_STAT_ACA_ACTIVE           0x30
#define SAM_STAT_TASK_ABORTED         0x40

/* ---- sense keys (SPC-5 4.4, SENSE KEY) -------------------------------------------------------------- */

#define NO_SENSE        0x00
#define RECOVERED_ERROR 0x01
#define NOT_READY       0x02
#define MEDIUM_ERROR    0x03
#define HARDWARE_ERROR  0x04
#define ILLEGAL_REQUEST 0x05
#define UNIT_ATTENTION  0x06
#define DATA_PROTECT    0x07
#define BLANK_CHECK     0x08
#define COPY_ABORTED    0x0a
#define ABORTED_COMMAND 0x0b
#define VOLUME_OVERFLOW 0x0d
#define MISCOMPARE      0x0e
#define COMPLETED       0x0f

/* ---- additional sense, ASC in the high byte, ASCQ in the low one (SPC-5 annex D) ---------- */

#define ASC_NO_ADDITIONAL_SENSE                 0x0000
#define ASC_NOT_READY_CAUSE_NOT_REPORTABLE      0x0400
#define ASC_NOT_READY_BECOMING_READY            0x0401
#define ASC_NOT_READY_INITIALIZING_CMD_REQUIRED 0x0402
#define ASC_NOT_READY_FORMAT_IN_PROGRESS        0x0404
#define ASC_NOT_READY_ALUA_TRANSITION           0x040a
#define ASC_NOT_READY_ALUA_STANDBY              0x040b
#define ASC_NOT_READY_ALUA_UNAVAILABLE          0x040c
#define ASC_NOT_READY_SANITIZE_IN_PROGRESS      0x041b
#define ASC_WRITE_ERROR                         0x0c00
#define ASC_UNREACHABLE_COPY_TARGET             0x0804
#define ASC_THIRD_PARTY_DEVICE_FAILURE          0x0d01
#define ASC_COPY_TARGET_DEVICE_NOT_REACHABLE    0x0d02
#define ASC_INCORRECT_COPY_TARGET_DEVICE_TYPE   0x0d03
#define ASC_UNRECOVERED_READ_ERROR              0x1100
#define ASC_PARAMETER_LIST_LENGTH_ERROR         0x1a00
#define ASC_MISCOMPARE_DURING_VERIFY            0x1d00
#define ASC_INVALID_COMMAND_OPERATION_CODE      0x2000
#define ASC_LBA_OUT_OF_RANGE                    0x2100
#define ASC_INVALID_FIELD_IN_CDB                0x2400
#define ASC_LOGICAL_UNIT_NOT_SUPPORTED          0x2500
#define ASC_INVALID_FIELD_IN_PARAMETER_LIST     0x2600
#define ASC_PARAMETER_NOT_SUPPORTED             0x2601
#define ASC_PARAMETER_VALUE_INVALID             0x2602
#define ASC_TOO_MANY_TARGET_DESCRIPTORS         0x2606
#define ASC_UNSUPPORTED_TARGET_DESCRIPTOR_TYPE  0x2607
#define ASC_TOO_MANY_SEGMENT_DESCRIPTORS        0x2608
#define ASC_UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE 0x2609
#define ASC_UNEXPECTED_INEXACT_SEGMENT          0x260a
#define ASC_INLINE_DATA_LENGTH_EXCEEDED         0x260b
#define ASC_COPY_NOT_AUTHORIZED                 0x2615 /* copy source or copy destination */
#define ASC_FAST_COPY_NOT_POSSIBLE              0x2616
#define ASC_WRITE_PROTECTED                     0x2700
#define ASC_SOFTWARE_WRITE_PROTECTED            0x2702
#define ASC_SPACE_ALLOCATION_FAILED             0x2707
#define ASC_MEDIUM_MAY_HAVE_CHANGED             0x2800
#define ASC_POWER_ON_OR_RESET_OCCURRED          0x2900
#define ASC_DEVICE_INTERNAL_RESET               0x2904
#define ASC_MODE_PARAMETERS_CHANGED             0x2a01
#define ASC_ALUA_STATE_CHANGED                  0x2a06
#define ASC_CAPACITY_DATA_CHANGED               0x2a09
#define ASC_COMMAND_TIMEOUT_BEFORE_PROCESSING   0x2e01
#define ASC_COMMAND_TIMEOUT_DURING_PROCESSING   0x2e02
#define ASC_MEDIUM_FORMAT_CORRUPTED             0x3100
#define ASC_FORMAT_COMMAND_FAILED               0x3101
#define ASC_SANITIZE_COMMAND_FAILED             0x3103
#define ASC_THRESHOLD_REACHED                   0x3807 /* thin provisioning soft threshold */
#define ASC_SAVING_PARAMETERS_NOT_SUPPORTED     0x3900
#define ASC_MEDIUM_NOT_PRESENT                  0x3a00
#define ASC_TARGET_OPERATING_CONDITIONS_CHANGED 0x3f00
#define ASC_INQUIRY_DATA_CHANGED                0x3f03
#define ASC_INTERNAL_TARGET_FAILURE             0x4400
#define ASC_MEDIUM_REMOVAL_PREVENTED            0x5302
#define ASC_SET_TARGET_PORT_GROUPS_FAILED       0x670a

/* ---- vital product data pages (SPC-5 7.7, SBC-4 6.6) ---------------------------------------- */

#define VPD_SUPPORTED_PAGES              0x00
#define VPD_UNIT_SERIAL_NUMBER           0x80
#define VPD_DEVICE_IDENTIFICATION        0x83
#define VPD_EXTENDED_INQUIRY             0x86
#define VPD_THIRD_PARTY_COPY             0x8f
#define VPD_BLOCK_LIMITS                 0xb0
#define VPD_BLOCK_DEVICE_CHARACTERISTICS 0xb1
#define VPD_LOGICAL_BLOCK_PROVISIONING   0xb2

/* ---- mode pages (SPC-5 7.5, SBC-4 6.5) ------------------------------------------------------ */

#define MODE_PAGE_RW_ERROR_RECOVERY             0x01
#define MODE_PAGE_CACHING                       0x08
#define MODE_PAGE_CONTROL                       0x0a
#define MODE_PAGE_POWER_CONDITION               0x1a
#define MODE_PAGE_INFORMATIONAL_EXCEPTIONS      0x1c
#define MODE_PAGE_ALL                           0x3f
#define MODE_SUBPAGE_ALL                        0xff
#define MODE_SUBPAGE_CONTROL_EXTENSION          0x01 /* of MODE_PAGE_CONTROL */
#define MODE_SUBPAGE_LOGICAL_BLOCK_PROVISIONING 0x02 /* of MODE_PAGE_INFORMATIONAL_EXCEPTIONS */

/* ---- log pages (SPC-5 7.3, SBC-4 6.4) ---- */

#define LOG_PAGE_SUPPORTED                  0x00
#define LOG_PAGE_LOGICAL_BLOCK_PROVISIONING 0x0c
#define LOG_PAGE_TEMPERATURE                0x0d
#define LOG_PAGE_SELF_TEST_RESULTS          0x10
#define LOG_PAGE_INFORMATIONAL_EXCEPTIONS   0x2f
#define LOG_SUBPAGE_ALL                     0xff

/* PAGE CONTROL of MODE SENSE, bits 7..6 of the PAGE CODE byte. */
#define MODE_PC_CURRENT    0
#define MODE_PC_CHANGEABLE 1
#define MODE_PC_DEFAULT    2
#define MODE_PC_SAVED      3

#endif
