/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>

struct tcmu_device dev;
struct runner_dev rdev;
struct tcmur_handler handler;
uint8_t medium[BLOCK * BLOCKS];
uint8_t data[1 << 20];
char calls[4096];
int unmap_sts, writesame_sts, read_sts, flush_sts, caw_sts, lba_status_sts;
uint64_t bad_byte;
struct tcmur_extent extents[8];
uint64_t asked_off, asked_len;
size_t asked_max;
struct outcome answer;
bool hold;
struct rig_op held[64];
size_t held_count;

static struct runner_handler entry;
static char cfgstring[] = "mem/";
static unsigned int in_flight;
static struct tcmulib_cmd *by_id[1024];
static uint16_t last_id;
uint32_t ring_features;
unsigned int freed;

/* ---- the library and the rest of the runner ---- */

uint32_t mark_found, mark_set;
size_t calls_at_mark;

void tcmulib_command_complete(struct tcmu_device *d, struct tcmulib_cmd *lib, int sts)
{
	struct rig_cmd *cmd = container_of(lib, struct rig_cmd, lib);

	(void)d;
	assert_false(cmd->outcome.done);
	cmd->outcome.done = true;
	cmd->outcome.sts = sts;
	cmd->outcome.read_len = lib->read_len;
	memcpy(cmd->outcome.sense, lib->sense_buf, sizeof(cmd->outcome.sense));
	cmd->outcome.kept = lib->keep_buf;
	by_id[lib->cmd_id] = NULL;
	if (!lib->keep_buf)
		in_flight--;
}

int tcmulib_free_kept_buffer(struct tcmu_device *d, uint16_t id)
{
	(void)d, (void)id;
	freed++;
	in_flight--;
	return 0;
}

void tcmulib_command_set_mark(struct tcmu_device *d, struct tcmulib_cmd *lib, uint32_t mark)
{
	struct rig_cmd *cmd = container_of(lib, struct rig_cmd, lib);

	(void)d;
	assert_false(cmd->outcome.done);
	mark_set = mark;
	calls_at_mark = strlen(calls);
}

struct tcmulib_cmd *tcmulib_command_by_id(struct tcmu_device *d, uint16_t id)
{
	(void)d;
	return by_id[id];
}

uint32_t tcmulib_ring_in_flight(struct tcmu_device *d)
{
	(void)d;
	return (uint32_t)in_flight;
}

uint32_t tcmulib_ring_features(struct tcmu_device *d)
{
	(void)d;
	return ring_features;
}

int tcmu_dev_write_attr(struct tcmu_device *d, const char *name, const char *val)
{
	(void)d, (void)name, (void)val;
	return -ENOENT;
}

ssize_t tcmu_dev_read_attr(struct tcmu_device *d, const char *name, char *buf, size_t size)
{
	(void)d, (void)name, (void)buf, (void)size;
	return -ENOENT;
}

ssize_t tcmu_target_read(const char *path, char *buf, size_t size)
{
	(void)path, (void)buf, (void)size;
	return -ENOENT;
}

ssize_t tcmu_target_link(const char *path, char *buf, size_t size)
{
	(void)path, (void)buf, (void)size;
	return -ENOENT;
}

ssize_t tcmu_target_list(const char *path, char *buf, size_t size)
{
	(void)path, (void)buf, (void)size;
	return -ENOENT;
}

int tcmu_cfgfs_dev_get_attr_int(struct tcmu_device *d, const char *name)
{
	(void)d, (void)name;
	return -ENOENT;
}

static uint16_t note;

uint16_t tcmulib_device_note(struct tcmu_device *d)
{
	(void)d;
	return note;
}

void tcmulib_device_set_note(struct tcmu_device *d, uint16_t n)
{
	(void)d;
	note = n;
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *d, const char *fmt, ...)
{
	(void)level, (void)d, (void)fmt;
}

void tcmu_log_command(enum tcmu_log_level level, struct tcmu_device *d,
		      const struct tcmu_log_about *about, const char *fmt, ...)
{
	(void)level, (void)d, (void)about, (void)fmt;
}

void runner_dev_wake(struct runner_dev *r)
{
	(void)r;
}

void runner_dev_request(struct runner_dev *r, unsigned int req)
{
	(void)r, (void)req;
	fail_msg("the handler was found at fault");
}

/* ---- the handler: memory; writes complete inside the callback, the rest at once ---- */

static void called(char what)
{
	size_t n = strlen(calls);

	if (n < sizeof(calls) - 1) {
		calls[n] = what;
		calls[n + 1] = '\0';
	}
}

/* With hold set, what is asked for is done by rig_release(). */
static bool put_off(char what, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		    uint64_t off, uint64_t len)
{
	if (!hold)
		return false;
	assert_true(held_count < sizeof(held) / sizeof(held[0]));
	held[held_count++] = (struct rig_op) {
		what, container_of(cmd->lib_cmd, struct rig_cmd, lib), iov, iov_cnt, off, len
	};
	return true;
}

static int mem_read(struct tcmu_device *d, struct tcmur_cmd *cmd, struct iovec *iov, size_t iov_cnt,
		    size_t len, off_t off)
{
	(void)d;
	called('r');
	assert_int_equal(tcmu_iovec_length(iov, iov_cnt), len);
	assert_true((size_t)off + len <= sizeof(medium));
	if (put_off('r', cmd, iov, iov_cnt, (uint64_t)off, len))
		return TCMU_STS_ASYNC_HANDLED;
	if (read_sts)
		return read_sts;
	if (bad_byte >= (uint64_t)off && bad_byte < (uint64_t)off + len) {
		tcmur_cmd_set_error_offset(cmd, bad_byte);
		return TCMU_STS_RD_ERR;
	}
	tcmu_memcpy_into_iovec(iov, iov_cnt, medium + off, len);
	tcmu_iovec_seek(iov, len); /* a handler may */
	return TCMU_STS_OK;
}

static int mem_write(struct tcmu_device *d, struct tcmur_cmd *cmd, struct iovec *iov,
		     size_t iov_cnt, size_t len, off_t off)
{
	called('w');
	assert_int_equal(tcmu_iovec_length(iov, iov_cnt), len);
	assert_true((size_t)off + len <= sizeof(medium));
	if (put_off('w', cmd, iov, iov_cnt, (uint64_t)off, len))
		return TCMU_STS_ASYNC_HANDLED;
	tcmu_memcpy_from_iovec(medium + off, len, iov, iov_cnt);
	tcmu_iovec_seek(iov, len);
	tcmur_cmd_complete(d, cmd, TCMU_STS_OK);
	return TCMU_STS_ASYNC_HANDLED;
}

static int mem_flush(struct tcmu_device *d, struct tcmur_cmd *cmd)
{
	(void)d;
	called('f');
	return put_off('f', cmd, NULL, 0, 0, 0) ? TCMU_STS_ASYNC_HANDLED : flush_sts;
}

static int mem_unmap(struct tcmu_device *d, struct tcmur_cmd *cmd, uint64_t off, uint64_t len)
{
	(void)d;
	called('u');
	assert_true(off + len <= sizeof(medium));
	if (put_off('u', cmd, NULL, 0, off, len))
		return TCMU_STS_ASYNC_HANDLED;
	if (!unmap_sts)
		memset(medium + off, 0, len);
	return unmap_sts;
}

static int mem_writesame(struct tcmu_device *d, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
			 struct iovec *iov, size_t iov_cnt)
{
	uint8_t block[BLOCK];

	(void)d, (void)cmd;
	called('s');
	assert_int_equal(tcmu_iovec_length(iov, iov_cnt), BLOCK);
	assert_true(off + len <= sizeof(medium));
	tcmu_memcpy_from_iovec(block, BLOCK, iov, iov_cnt);
	tcmu_iovec_seek(iov, BLOCK);
	if (writesame_sts)
		return writesame_sts;
	for (uint64_t at = off; at < off + len; at += BLOCK)
		memcpy(medium + at, block, BLOCK);
	return TCMU_STS_OK;
}

int mem_caw(struct tcmu_device *d, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
	    struct iovec *iov, size_t iov_cnt)
{
	size_t used;

	(void)d;
	called('c');
	assert_int_equal(tcmu_iovec_length(iov, iov_cnt), 2 * len);
	if (caw_sts)
		return caw_sts;
	if (bad_byte != UINT64_MAX) {
		tcmur_cmd_set_error_offset(cmd, bad_byte);
		return TCMU_STS_MISCOMPARE;
	}
	used = tcmu_iovec_seek(iov, len);
	tcmu_memcpy_from_iovec(medium + off, len, iov + used, iov_cnt - used);
	return TCMU_STS_OK;
}

static int mem_lba_status(struct tcmu_device *d, struct tcmur_cmd *cmd, uint64_t off, uint64_t len,
			  struct tcmur_extent *out, size_t max)
{
	size_t n = max < sizeof(extents) / sizeof(extents[0])
			   ? max
			   : sizeof(extents) / sizeof(extents[0]);

	(void)d, (void)cmd;
	called('l');
	asked_off = off;
	asked_len = len;
	asked_max = max;
	for (size_t i = 0; i < max; i++)
		assert_int_equal(out[i].len, 0);
	memcpy(out, extents, n * sizeof(*out));
	return lba_status_sts;
}

void rig_release(size_t i)
{
	struct rig_op op = held[i];

	assert_true(i < held_count);
	memmove(held + i, held + i + 1, (--held_count - i) * sizeof(held[0]));
	if (op.what == 'r')
		tcmu_memcpy_into_iovec(op.iov, op.iov_cnt, medium + op.off, op.len);
	else if (op.what == 'w')
		tcmu_memcpy_from_iovec(medium + op.off, op.len, op.iov, op.iov_cnt);
	else if (op.what == 'u')
		memset(medium + op.off, 0, op.len);
	tcmur_cmd_complete(&dev, &op.cmd->rc.pub, TCMU_STS_OK);
	rig_reap();
}

bool rig_holds(const struct rig_cmd *cmd)
{
	for (size_t i = 0; i < held_count; i++) {
		if (held[i].cmd == cmd)
			return true;
	}
	return false;
}

void rig_release_of(const struct rig_cmd *cmd)
{
	for (size_t i = 0; i < held_count; i++) {
		if (held[i].cmd == cmd) {
			rig_release(i);
			return;
		}
	}
	fail_msg("the handler was not asked for anything by this command");
}

/* ---- a command ---- */

int setup(void **state)
{
	(void)state;
	memset(&dev, 0, sizeof(dev));
	dev.fd = -1;
	tcmu_dev_set_private(&dev, &rdev);
	dev.cfgstring = cfgstring;
	dev.num_lbas = BLOCKS;
	dev.block_size = BLOCK;
	dev.max_xfer_len = 1024;
	dev.max_unmap_len = 2048;
	dev.write_cache = dev.unmap = dev.unmap_zeroes = true;

	memset(&handler, 0, sizeof(handler));
	handler.subtype = "mem";
	handler.read = mem_read;
	handler.write = mem_write;
	handler.flush = mem_flush;
	handler.unmap = mem_unmap;
	handler.writesame = mem_writesame;
	handler.lba_status = mem_lba_status;

	memset(&rdev, 0, sizeof(rdev));
	rdev.dev = &dev;
	rdev.entry = &entry;
	rdev.handler = &handler;
	rdev.bounce_last = &rdev.bounce_first;
	rdev.batch_last = &rdev.batch_first;
	runner_ops_init(&rdev);
	list_init(&rdev.ranges);
	list_init(&rdev.aborted);
	mpsc_init(&rdev.ios_done);
	runner_workers_init(&rdev.workers, 1);
	mpsc_init(&rdev.cmds_done);

	unmap_sts = writesame_sts = read_sts = flush_sts = caw_sts = lba_status_sts = TCMU_STS_OK;
	bad_byte = UINT64_MAX;
	memset(extents, 0, sizeof(extents));
	for (size_t i = 0; i < sizeof(medium); i++)
		medium[i] = (uint8_t)(i / BLOCK + i % 251);
	memset(data, 0xee, sizeof(data));
	hold = false;
	held_count = 0;
	in_flight = 0;
	freed = 0;
	ring_features = TCMU_RING_OOO | TCMU_RING_READ_LEN | TCMU_RING_TMR | TCMU_RING_KEEP_BUF;
	return 0;
}

int teardown(void **state)
{
	(void)state;
	assert_int_equal(in_flight, 0);
	assert_null(rdev.bounce_owner);
	assert_true(list_empty(&rdev.ranges));
	assert_int_equal(rdev.ranges_exclusive, 0);
	assert_int_equal(rdev.ranges_waiting, 0);
	assert_int_equal(rdev.active, 0);
	assert_true(list_empty(&rdev.aborted));
	free(rdev.bounce);
	runner_workers_fini(&rdev.workers);
	return 0;
}

void rig_reap(void)
{
	while (rdev.here_first || atomic_load(&rdev.cmds_done.top))
		runner_ops_reap(&rdev);
}

void rig_start(struct rig_cmd *cmd, const uint8_t *cdb, uint8_t *buf, size_t len, size_t piece)
{
	memset(&cmd->lib, 0, sizeof(cmd->lib));
	memset(&cmd->outcome, 0, sizeof(cmd->outcome));
	memset(cmd->room, 0xa5, sizeof(cmd->room));
	memcpy(cmd->cdb, cdb, sizeof(cmd->cdb));
	cmd->lib.cdb = cmd->cdb;
	cmd->lib.mark = mark_found;
	cmd->lib.again = mark_found;
	mark_set = 0;
	cmd->lib.iovec = cmd->iov;
	cmd->lib.hm_private = &cmd->rc;
	for (size_t at = 0; at < len; cmd->lib.iov_cnt++) {
		size_t n = piece && len - at > piece ? piece : len - at;

		cmd->iov[cmd->lib.iov_cnt] = (struct iovec) { buf + at, n };
		at += n;
	}
	last_id = (uint16_t)(last_id % 1023 + 1);
	cmd->lib.cmd_id = last_id;
	by_id[last_id] = &cmd->lib;
	in_flight++;
	runner_dispatch(&rdev, &cmd->lib);
	rig_reap();
}

void rig_tmr(uint8_t type, struct rig_cmd *one, struct rig_cmd *two)
{
	uint16_t ids[2] = { one ? one->lib.cmd_id : 0, two ? two->lib.cmd_id : 0 };
	struct tcmulib_tmr tmr = { .type = type, .cmd_cnt = !!one + !!two, .cmd_ids = ids };

	runner_abort_tmr(&rdev, &tmr);
	rig_reap();
}

int run_pieces(const uint8_t *cdb, size_t data_len, size_t piece)
{
	static struct rig_cmd cmd;
	static uint8_t sent[sizeof(data)];
	const struct scsi_opcode *op = scsi_opcode_find(cdb);

	calls[0] = '\0';
	memcpy(sent, data, data_len);
	rig_start(&cmd, cdb, data, data_len, piece);
	answer = cmd.outcome;
	assert_true(answer.done);
	if (op &&
	    op->dir ==
		    SCSI_DIR_OUT) /* what becomes of the kernel's copy the initiator does not see */
		memcpy(data, sent, data_len);
	return answer.sts;
}

int run(const uint8_t *cdb, size_t data_len)
{
	return run_pieces(cdb, data_len, 0);
}

void expect_sense(int sts, uint8_t key, uint8_t asc, uint8_t ascq)
{
	struct scsi_sense sense;

	if (sts != TCMU_STS_PASSTHROUGH_ERR) {
		scsi_sense_from_sts(sts, &sense);
		scsi_sense_build(&sense, false, answer.sense);
	}
	assert_int_equal(answer.sense[2] & 0xf, key);
	assert_int_equal(answer.sense[12], asc);
	assert_int_equal(answer.sense[13], ascq);
}

void expect_bad_field(int sts, uint8_t byte)
{
	expect_sense(sts, 5, 0x24, 0);
	assert_int_equal(answer.sense[15] & 0xc0, 0xc0); /* SKSV, C/D */
	assert_int_equal(get_be16(answer.sense + 16), byte);
}

static uint8_t *new_cdb(uint8_t opcode, uint8_t byte1)
{
	static uint8_t cdb[16];

	memset(cdb, 0, sizeof(cdb));
	cdb[0] = opcode;
	cdb[1] = byte1;
	return cdb;
}

const uint8_t *cdb10(uint8_t opcode, uint8_t byte1, uint32_t lba, uint16_t blocks)
{
	uint8_t *cdb = new_cdb(opcode, byte1);

	put_be32(cdb + 2, lba);
	put_be16(cdb + 7, blocks);
	return cdb;
}

const uint8_t *cdb12(uint8_t opcode, uint8_t byte1, uint32_t lba, uint32_t blocks)
{
	uint8_t *cdb = new_cdb(opcode, byte1);

	put_be32(cdb + 2, lba);
	put_be32(cdb + 6, blocks);
	return cdb;
}

const uint8_t *cdb16(uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t blocks)
{
	uint8_t *cdb = new_cdb(opcode, byte1);

	put_be64(cdb + 2, lba);
	put_be32(cdb + 10, blocks);
	return cdb;
}

const uint8_t *caw_cdb(uint8_t byte1, uint64_t lba, uint8_t n)
{
	uint8_t *cdb = new_cdb(0x89, byte1);

	put_be64(cdb + 2, lba);
	cdb[13] = n;
	return cdb;
}

bool is_zero(uint64_t lba, uint64_t blocks)
{
	for (uint64_t i = lba * BLOCK; i < (lba + blocks) * BLOCK; i++)
		if (medium[i])
			return false;
	return true;
}
