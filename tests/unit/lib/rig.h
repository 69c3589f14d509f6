/* SPDX-License-Identifier: Apache-2.0 */
/* A ring in plain memory, with the kernel's side of it done by hand: entries are put where the test
 * wants them and the head is moved. */
#ifndef RIG_H
#define RIG_H

#include <stdlib.h>

#include "lib/ring.h"
#include "lib/ring-mem.h"
#include "scsi_defs.h"
#include "test.h"

#define RIG_RING 1024u  /* bytes for entries: eight READs */
#define RIG_DATA 65536u /* bytes of data area */
#define RIG_SLOT 128u   /* a command with up to four iovs and 16 bytes of CDB */
#define RIG_FLAGS                                                                                  \
	(TCMU_ABI_CAP_OOO | TCMU_ABI_CAP_READ_LEN | TCMU_ABI_CAP_TMR | TCMU_ABI_CAP_KEEP_BUF)

struct rig {
	struct tcmu_ring ring;
	struct tcmu_abi_mailbox *mb;
	uint8_t *map;
	size_t map_len;
	uint32_t data_off;
};

static inline void rig_init(struct rig *rig, uint16_t flags)
{
	memset(rig, 0, sizeof(*rig));
	rig->data_off = (uint32_t)sizeof(*rig->mb) + RIG_RING;
	rig->map_len = rig->data_off + RIG_DATA;
	rig->map = aligned_alloc(128, (rig->map_len + 127) / 128 * 128);
	memset(rig->map, 0, rig->map_len);
	rig->mb = (void *)rig->map;
	rig->mb->version = TCMU_ABI_MAILBOX_VERSION;
	rig->mb->flags = flags;
	rig->mb->cmdr_off = sizeof(*rig->mb);
	rig->mb->cmdr_size = RIG_RING;
}

static inline void rig_start(struct rig *rig, uint16_t flags)
{
	rig_init(rig, flags);
	assert_int_equal(tcmu_ring_attach(&rig->ring, rig->map, rig->map_len), 0);
	assert_int_equal(tcmu_ring_state(&rig->ring), TCMULIB_RING_CLOSED);
	assert_int_equal(tcmu_ring_start(&rig->ring), 0);
	assert_int_equal(tcmu_ring_state(&rig->ring), TCMULIB_RING_RUNNING);
}

static inline void rig_end(struct rig *rig)
{
	tcmu_ring_detach(&rig->ring);
	free(rig->map);
}

static inline struct tcmu_abi_entry *rig_entry(struct rig *rig, uint32_t off)
{
	return (void *)(rig->map + sizeof(*rig->mb) + off);
}

/* A command of len bytes at off with iov_cnt iovs of 512 bytes; the head is not moved. */
static inline struct tcmu_abi_entry *rig_put(struct rig *rig, uint32_t off, uint32_t len,
					     uint16_t id, uint32_t iov_cnt)
{
	struct tcmu_abi_entry *ent = rig_entry(rig, off);
	uint32_t base = 48 + 16 * iov_cnt;

	memset(ent, 0, len);
	base = base < sizeof(*ent) ? (uint32_t)sizeof(*ent) : base;
	ent->hdr.len_op = len | TCMU_ABI_OP_CMD;
	ent->hdr.cmd_id = id;
	ent->req.iov_cnt = iov_cnt;
	ent->req.cdb_off = sizeof(*rig->mb) + off + base;
	for (uint32_t i = 0; i < iov_cnt; i++) {
		ent->req.iov[i].iov_base = (void *)(uintptr_t)(rig->data_off + i * 4096);
		ent->req.iov[i].iov_len = 512;
	}
	((uint8_t *)ent)[base] = READ_10;
	((uint8_t *)ent)[base + 5] = (uint8_t)id; /* LBA */
	return ent;
}

static inline void rig_head(struct rig *rig, uint32_t off)
{
	__atomic_store_n(&rig->mb->cmd_head, off, __ATOMIC_RELEASE);
}

static inline void rig_command(struct rig *rig, uint16_t id)
{
	uint32_t head = rig->mb->cmd_head;

	rig_put(rig, head, RIG_SLOT, id, 1);
	rig_head(rig, (head + RIG_SLOT) % RIG_RING);
}

/* The next command must be there and be id. */
static inline struct tcmulib_cmd *rig_next(struct rig *rig, uint16_t id)
{
	struct tcmulib_cmd *cmd = tcmu_ring_next(&rig->ring, 0);

	assert_non_null(cmd);
	assert_int_equal(cmd->cmd_id, id);
	assert_ptr_equal(tcmu_ring_by_id(&rig->ring, id), cmd);
	return cmd;
}

static inline void rig_nothing(struct rig *rig)
{
	assert_null(tcmu_ring_next(&rig->ring, 0));
}

#endif
