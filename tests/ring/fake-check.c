/* SPDX-License-Identifier: Apache-2.0 */
/* What the real kernel does not do: poison, patterns and canaries in what user space may touch. */
#include "fake-ring-int.h"

#include <string.h>
#include <unistd.h>

uint32_t fake_req_bytes_in(const struct fake_ring *r, const struct fake_req *req, uint32_t i)
{
	uint32_t data_cnt = req->dbi_cnt - req->bidi_cnt;
	size_t left;

	if (i < data_cnt)
		left = req->len - (size_t)i * r->blk_size;
	else
		left = req->bidi_len - (size_t)(i - data_cnt) * r->blk_size;
	return left < r->blk_size ? (uint32_t)left : r->blk_size;
}

static uint32_t page_up(uint32_t n)
{
	return (n + FAKE_PAGE - 1) / FAKE_PAGE * FAKE_PAGE;
}

static uint8_t *block(struct fake_ring *r, uint32_t dbi)
{
	return r->base + r->data_off + (size_t)dbi * r->blk_size;
}

/* Offset of the first byte that is not c, len if there is none. */
static size_t first_not(const uint8_t *p, uint8_t c, size_t len)
{
	if (!len || (p[0] == c && !memcmp(p, p + 1, len - 1)))
		return len;
	for (size_t i = 0; i < len; i++)
		if (p[i] != c)
			return i;
	return len;
}

void fake_check_mailbox(struct fake_ring *r)
{
	const uint8_t *now = (const void *)r->mb;

	memcpy(r->mb_copy + offsetof(struct tcmu_abi_mailbox, cmd_head), &r->head_visible,
	       sizeof(r->mb->cmd_head));
	if (!memcmp(now, r->mb_copy, sizeof(r->mb_copy)))
		return;
	for (size_t i = 0; i < sizeof(r->mb_copy); i++) {
		if (now[i] == r->mb_copy[i])
			continue;
		fake_verdict(r->v, FAKE_V_MAILBOX, "mailbox byte %zu is %02x, not %02x", i, now[i],
			     r->mb_copy[i]);
		break;
	}
	memcpy(r->mb, r->mb_copy, sizeof(r->mb_copy));
}

void fake_check_ring_free(struct fake_ring *r, uint32_t off, uint32_t len)
{
	uint32_t poisoned = off >= r->ring_high ? 0 : r->ring_high - off;
	size_t bad;

	if (r->reset_unseen || r->cfg.quick)
		goto out;
	if (poisoned > len)
		poisoned = len;
	bad = first_not(r->cmdr + off, FAKE_POISON, poisoned);
	if (bad == poisoned)
		bad += first_not(r->cmdr + off + poisoned, 0, len - poisoned);
	if (bad != len)
		fake_verdict(r->v, FAKE_V_STALE_STORE, "ring offset %zu was written while free",
			     off + bad);
out:
	if (off + len > r->ring_high)
		r->ring_high = off + len;
}

void fake_poison_ring(struct fake_ring *r, uint32_t off, uint32_t len)
{
	if (!r->cfg.quick)
		memset(r->cmdr + off, FAKE_POISON, len);
}

static void check_block_free(struct fake_ring *r, uint32_t dbi, uint32_t bytes)
{
	uint32_t poisoned = r->blk_high[dbi] < bytes ? r->blk_high[dbi] : bytes;
	size_t bad = first_not(block(r, dbi), FAKE_POISON, poisoned);

	if (bad == poisoned)
		bad += first_not(block(r, dbi) + poisoned, 0, bytes - poisoned);
	if (bad != bytes)
		fake_verdict(r->v, FAKE_V_STALE_STORE,
			     "data block %u, byte %zu, was written while free", dbi, bad);
}

/* Only the pages that are needed are there: the file ends behind the last one. */
void fake_blocks_take(struct fake_ring *r, struct fake_req *req)
{
	for (uint32_t i = 0; i < req->dbi_cnt; i++) {
		uint32_t dbi = req->dbi[i], bytes = page_up(fake_req_bytes_in(r, req, i));
		size_t end = r->data_off + (size_t)dbi * r->blk_size + bytes;

		if (end > r->file_len && !ftruncate(r->memfd, (off_t)(FAKE_PAGE + end)))
			r->file_len = end;
		if (!r->cfg.quick)
			check_block_free(r, dbi, bytes);
		if (bytes > r->blk_high[dbi])
			r->blk_high[dbi] = bytes;
	}
}

void fake_blocks_poison(struct fake_ring *r, struct fake_req *req)
{
	for (uint32_t i = 0; i < req->dbi_cnt && !r->cfg.quick; i++)
		memset(block(r, req->dbi[i]), FAKE_POISON, page_up(fake_req_bytes_in(r, req, i)));
}

static uint64_t pattern_at(uint64_t seed, size_t word)
{
	uint64_t z = seed + (word + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	return z ^ (z >> 31);
}

/* Data-in buffers hold noise that no device would send, the rest of the last page the canary. */
void fake_prefill(struct fake_ring *r, struct fake_req *req)
{
	size_t word = 0;

	req->pattern = pattern_at(r->seed++, 0);
	for (uint32_t i = 0; i < req->dbi_cnt && !r->cfg.quick; i++) {
		uint8_t *p = block(r, req->dbi[i]);
		uint32_t n = fake_req_bytes_in(r, req, i), page = page_up(n);

		memset(p + n, FAKE_CANARY, page - n);
		if (req->dir != FAKE_IN)
			continue;
		for (uint32_t b = 0; b < n; b += 8) {
			uint64_t v = pattern_at(req->pattern, word++);

			memcpy(p + b, &v, n - b < 8 ? n - b : 8);
		}
	}
}

void fake_check_canary(struct fake_ring *r, struct fake_req *req)
{
	for (uint32_t i = 0; i < req->dbi_cnt && !r->cfg.quick; i++) {
		uint32_t n = fake_req_bytes_in(r, req, i), room = page_up(n) - n;
		size_t bad = first_not(block(r, req->dbi[i]) + n, FAKE_CANARY, room);

		if (bad != room)
			fake_verdict(
				r->v, FAKE_V_OUTSIDE_IOV,
				"cmd_id %u, opcode %02x: byte %zu behind its buffer was written",
				req->id, req->cdb[0], bad);
	}
}

static bool is_same(const uint8_t *a, const void *b, size_t len)
{
	uint8_t differ = 0;

	for (size_t i = 0; i < len; i++)
		differ |= a[i] ^ ((const uint8_t *)b)[i];
	return !differ;
}

bool fake_is_filled(struct fake_ring *r, struct fake_req *req, size_t len)
{
	size_t word = 0, pos = 0;

	for (uint32_t i = 0; i < req->dbi_cnt - req->bidi_cnt; i++) {
		const uint8_t *p = block(r, req->dbi[i]);
		uint32_t n = fake_req_bytes_in(r, req, i);

		for (uint32_t b = 0; b < n && pos < len; b += 8, pos += 8, word++) {
			uint64_t v = pattern_at(req->pattern, word);
			size_t part = n - b < 8 ? n - b : 8;

			if (part > len - pos)
				part = len - pos;
			/* Fewer bytes may be the same by chance. Not memcmp(): a fuzzer looks at what it
			 * is given, and writes that to the medium. */
			if (part >= 4 && is_same(p + b, &v, part))
				return false;
		}
	}
	return true;
}

void fake_copy(struct fake_ring *r, struct fake_req *req, bool to_area, bool bidi, void *buf,
	       size_t len)
{
	uint32_t first = bidi ? req->dbi_cnt - req->bidi_cnt : 0;
	uint8_t *mem = buf;

	for (uint32_t i = first; i < req->dbi_cnt && len; i++) {
		size_t n = len < r->blk_size ? len : r->blk_size;

		if (to_area)
			memcpy(block(r, req->dbi[i]), mem, n);
		else
			memcpy(mem, block(r, req->dbi[i]), n);
		mem += n;
		len -= n;
	}
}

static void check_slots(struct fake_ring *r)
{
	for (uint32_t seq = r->slot_first; seq != r->slot_next; seq++) {
		struct fake_slot *s = fake_slot(r, seq);
		struct tcmu_abi_hdr *hdr = (void *)(r->cmdr + s->off);

		if (hdr->len_op != (s->len | s->op))
			fake_verdict(r->v, FAKE_V_LEN_OP,
				     "len_op at ring offset %u is %#x, not %#x", s->off,
				     hdr->len_op, s->len | s->op);
	}
}

static void check_all_free(struct fake_ring *r)
{
	if (r->cfg.quick)
		return;
	for (uint32_t dbi = 0; dbi < r->cfg.data_blocks; dbi++)
		if (!r->blk_used[dbi])
			check_block_free(r, dbi, r->blk_high[dbi]);
	if (r->slot_first != r->slot_next || r->broken || r->reset_unseen)
		return;
	if (first_not(r->cmdr, FAKE_POISON, r->ring_high) != r->ring_high ||
	    first_not(r->cmdr + r->ring_high, 0, r->cmdr_size - r->ring_high) !=
		    r->cmdr_size - r->ring_high)
		fake_verdict(r->v, FAKE_V_STALE_STORE, "the empty ring was written to");
}

/* Why has nobody answered this one? */
static enum fake_verdict unanswered_kind(const struct fake_ring *r, const struct fake_req *req)
{
	if (req->aborted)
		return FAKE_V_TMR;
	if (req->iov_cnt > FAKE_MANY_IOVS)
		return FAKE_V_MANY_IOVS;
	return r->reset_unseen && !r->broken ? FAKE_V_RESET : FAKE_V_UNANSWERED;
}

void fake_ring_check_idle(struct fake_ring *r)
{
	bool unanswered = false;

	fake_lock(r);
	if (fake_handle_completions(r))
		fake_run_qfull(r, false);
	fake_check_mailbox(r);
	fake_decoy_check(r);
	check_slots(r);
	for (uint32_t id = 1; id <= r->id_high; id++) {
		struct fake_req *req = r->ids[id];

		if (!req)
			continue;
		if (req->kept) {
			fake_verdict(r->v, FAKE_V_KEEP_BUF, "the buffer of cmd_id %u is still kept",
				     id);
		} else {
			unanswered = true;
			fake_verdict(r->v, unanswered_kind(r, req),
				     "cmd_id %u, opcode %02x, has no answer%s", id, req->cdb[0],
				     req->expired ? " (it had expired)" : "");
		}
	}
	if (!unanswered && r->slot_first != r->slot_next)
		fake_verdict(r->v, FAKE_V_NOT_DRAINED,
			     "cmd_tail %u, cmd_head %u and nothing in flight", r->cleaned, r->head);
	check_all_free(r);
	fake_unlock(r);
}
