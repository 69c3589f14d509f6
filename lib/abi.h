/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory layout of a TCM-User ring, as include/uapi/linux/target_core_user.h defines it. That
 * header cannot be used: it brings a struct iovec that clashes with <sys/uio.h>.
 */
#ifndef LIB_ABI_H
#define LIB_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define TCMU_ABI_MAILBOX_VERSION 2
#define TCMU_ABI_SENSE_SIZE      96

/* tcmu_abi_mailbox.flags */
#define TCMU_ABI_CAP_OOO      (1u << 0)
#define TCMU_ABI_CAP_READ_LEN (1u << 1)
#define TCMU_ABI_CAP_TMR      (1u << 2)
#define TCMU_ABI_CAP_KEEP_BUF (1u << 3)

/* At offset 0 of the mapping. cmd_tail has a cache line of its own: only user space writes it (and
 * reset_ring). The kernel never touches the padding. */
struct tcmu_abi_mailbox {
	uint16_t version;
	uint16_t flags;
	uint32_t cmdr_off;
	uint32_t cmdr_size;
	uint32_t cmd_head;
	uint8_t pad0[48]; /* ours too, but in the cache line that the kernel writes */
	uint32_t cmd_tail;
	uint8_t scratch[60]; /* ours: outlives the process, dies with the device */
};
static_assert(offsetof(struct tcmu_abi_mailbox, cmd_tail) == 64, "mailbox");
static_assert(sizeof(struct tcmu_abi_mailbox) == 128, "mailbox");

#define TCMU_ABI_IOV_OFF ((uint32_t)offsetof(struct tcmu_abi_entry, req.iov))

#define TCMU_ABI_OP_MASK  7u
#define TCMU_ABI_OP_PAD   0u
#define TCMU_ABI_OP_CMD   1u
#define TCMU_ABI_OP_TMR   2u
#define TCMU_ABI_OP_ALIGN 8u

/* tcmu_abi_hdr.uflags */
#define TCMU_ABI_UFLAG_UNKNOWN_OP 0x1
#define TCMU_ABI_UFLAG_READ_LEN   0x2
#define TCMU_ABI_UFLAG_KEEP_BUF   0x4

struct tcmu_abi_hdr {
	uint32_t len_op; /* length in bytes, a multiple of 8; the low three bits are the op */
	uint16_t cmd_id;
	uint8_t kflags;
	uint8_t uflags;
};

/* A CMD entry. The answer overlays the request. */
struct tcmu_abi_entry {
	struct tcmu_abi_hdr hdr;
	union {
		struct {
			uint32_t iov_cnt;
			uint32_t iov_bidi_cnt;
			uint32_t cookie; /* iov_dif_cnt: the kernel never uses it; see lib/ring.c */
			uint32_t pad;
			uint64_t cdb_off; /* from the start of the mapping */
			uint32_t mark;    /* of __pad1: the program's, see lib/ring.h */
			uint32_t reserved[3];
			struct iovec
				iov[]; /* iov_base is an offset from the start of the mapping */
		} req;
		struct {
			uint8_t scsi_status;
			uint8_t pad1;
			uint16_t pad2;
			uint32_t read_len;
			uint8_t sense[TCMU_ABI_SENSE_SIZE];
		} rsp;
	};
};
static_assert(offsetof(struct tcmu_abi_entry, req.cdb_off) == 24, "entry");
static_assert(offsetof(struct tcmu_abi_entry, req.iov) == 48, "entry");
static_assert(offsetof(struct tcmu_abi_entry, rsp.sense) == 16, "entry");
static_assert(sizeof(struct tcmu_abi_entry) == 112, "entry");

struct tcmu_abi_tmr {
	struct tcmu_abi_hdr hdr;
	uint8_t type;
	uint8_t pad1;
	uint16_t pad2;
	uint32_t cmd_cnt;
	uint32_t cookie; /* of __pad3 */
	uint32_t pad3[3];
	uint16_t cmd_ids[];
};
static_assert(offsetof(struct tcmu_abi_tmr, cookie) == offsetof(struct tcmu_abi_entry, req.cookie),
	      "cookie");
static_assert(offsetof(struct tcmu_abi_tmr, cmd_ids) == 32, "tmr");

#endif
