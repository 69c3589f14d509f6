/* SPDX-License-Identifier: Apache-2.0 */
/* The library's verbs, thin over lib/: see libtcmu.h. Device properties and the helpers for CDBs,
 * iovecs and emulation are in api.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "libtcmu.h"
#include "lib/context.h"
#include "lib/device.h"
#include "lib/register.h"
#include "lib/ring.h"
#include "scsi/sense.h"
#include "scsi_defs.h"

/* ---- the context ----------------------------------------------------------------------------- */

struct tcmulib_context *tcmulib_initialize(struct tcmulib_handler *handlers, size_t n)
{
	return tcmu_context_new(handlers, n);
}

int tcmulib_set_foreign(struct tcmulib_context *ctx, const char *const *subtypes, size_t n)
{
	return tcmu_foreign_set(ctx, subtypes, n);
}

void tcmulib_set_successor(struct tcmulib_context *ctx, bool on)
{
	tcmu_context_set_successor(ctx, on);
}

int tcmulib_get_master_fd(struct tcmulib_context *ctx)
{
	return ctx->epoll_fd;
}

int tcmulib_master_fd_ready(struct tcmulib_context *ctx)
{
	return tcmu_context_ready(ctx);
}

void tcmulib_register(struct tcmulib_context *ctx)
{
	tcmu_register(ctx);
}

void tcmulib_close(struct tcmulib_context *ctx)
{
	if (!ctx)
		return;
	tcmu_register_end(ctx);
	tcmu_context_close(ctx);
}

void tcmulib_abandon(struct tcmulib_context *ctx)
{
	if (ctx)
		tcmu_context_abandon(ctx);
}

void tcmulib_event_defer(struct tcmu_device *dev)
{
	tcmu_event_defer(dev);
}

bool tcmulib_event_awaited(struct tcmu_device *dev)
{
	return tcmu_event_awaited(dev);
}

void tcmulib_event_done(struct tcmu_device *dev, int status)
{
	tcmu_event_done(dev, status);
}

void tcmulib_device_release(struct tcmu_device *dev)
{
	if (dev)
		tcmu_device_end(dev);
}

void tcmulib_device_exchange_config(struct tcmu_device *dev, char **cfgstring, uint64_t *size)
{
	tcmu_device_exchange_config(dev, cfgstring, size);
}

int tcmulib_device_store_config(struct tcmu_device *dev, const char *cfgstring, uint64_t size)
{
	return tcmu_device_store_config(dev, cfgstring, size);
}

/* ---- the ring -------------------------------------------------------------------------------- */

int tcmulib_device_start(struct tcmu_device *dev)
{
	return tcmu_device_start(dev);
}

int tcmulib_device_stop(struct tcmu_device *dev)
{
	return tcmu_device_stop(dev);
}

uint16_t tcmulib_device_note(struct tcmu_device *dev)
{
	return tcmu_ring_note(&dev->ring);
}

void tcmulib_device_set_note(struct tcmu_device *dev, uint16_t note)
{
	tcmu_ring_set_note(&dev->ring, note);
}

/* A ring that parks does so in the middle of a call that cannot fail: tell it once. */
static void tell_if_parked(struct tcmu_device *dev)
{
	if (dev->park_said || tcmu_ring_state(&dev->ring) != TCMULIB_RING_PARKED)
		return;
	dev->park_said = true;
	tcmu_dev_err(dev,
		     "the ring is parked, no command is served any more: %s; "
		     "restarting this program resets it",
		     dev->ring.reason);
}

struct tcmulib_cmd *tcmulib_get_next_command(struct tcmu_device *dev, int hm_cmd_size)
{
	struct tcmulib_cmd *cmd;

	if (tcmu_device_start_once(dev))
		return NULL;
	cmd = tcmu_ring_next(&dev->ring, hm_cmd_size > 0 ? (size_t)hm_cmd_size : 0);
	if (!cmd)
		tell_if_parked(dev);
	return cmd;
}

const struct tcmulib_tmr *tcmulib_get_next_tmr(struct tcmu_device *dev)
{
	return tcmu_ring_next_tmr(&dev->ring);
}

/* A kernel that does not know READ_LEN hands out all of the buffer, and does not clear recycled pages:
 * beyond what was read are other commands' data (target_core_user.c: gather_data_area()). */
static void zero_beyond_read_len(const struct tcmu_device *dev, const struct tcmulib_cmd *cmd)
{
	size_t skip = cmd->read_len, cnt;
	const struct iovec *iov = tcmu_ring_orig_iov(&dev->ring, cmd, &cnt);

	for (; iov && cnt; cnt--, iov++) {
		if (skip < iov->iov_len)
			memset((uint8_t *)iov->iov_base + skip, 0, iov->iov_len - skip);
		skip -= skip < iov->iov_len ? skip : iov->iov_len;
	}
}

void tcmulib_command_complete(struct tcmu_device *dev, struct tcmulib_cmd *cmd, int sts)
{
	struct scsi_sense sense;
	uint8_t status;

	if (sts == TCMU_STS_OK && !cmd->read_len) { /* nearly always */
		tcmu_ring_complete(&dev->ring, cmd, SAM_STAT_GOOD);
		tell_if_parked(dev);
		return;
	}
	if (sts == TCMU_STS_ASYNC_HANDLED) {
		tcmu_dev_err(dev, "command %u completed with TCMU_STS_ASYNC_HANDLED, no outcome",
			     cmd->cmd_id);
		sts = TCMU_STS_HW_ERR;
	}
	/* Sense data of zeros would read as NO SENSE: success. */
	if (sts == TCMU_STS_PASSTHROUGH_ERR && !cmd->sense_buf[0])
		sts = TCMU_STS_HW_ERR;
	status = scsi_sense_from_sts(sts, &sense);
	if (status == SAM_STAT_CHECK_CONDITION && sts != TCMU_STS_PASSTHROUGH_ERR)
		scsi_sense_build(&sense, false, cmd->sense_buf);
	if (cmd->read_len && status != SAM_STAT_CHECK_CONDITION) /* which brings no data */
		zero_beyond_read_len(dev, cmd);
	tcmu_ring_complete(&dev->ring, cmd, status);
	tell_if_parked(dev);
}

/* The descriptor says so before the REMOVED event comes, or in its place. */
static void check_gone(struct tcmu_device *dev, int ret)
{
	if (ret == -EIO || ret == -EINVAL || ret == -ENODEV) {
		tcmu_dev_dbg(dev, "the kernel has removed the device");
		tcmu_ring_set_gone(&dev->ring);
	}
}

void tcmulib_processing_start(struct tcmu_device *dev)
{
	if (dev->fd < 0)
		return;
	tcmu_device_start_once(dev);
	check_gone(dev, tcmu_kernel_ops.dev_ack(dev->fd));
}

void tcmulib_processing_complete(struct tcmu_device *dev)
{
	if (tcmu_ring_take_kick(&dev->ring) && dev->fd >= 0)
		check_gone(dev, tcmu_kernel_ops.dev_kick(dev->fd));
}

struct tcmulib_cmd *tcmulib_command_by_id(struct tcmu_device *dev, uint16_t cmd_id)
{
	return tcmu_ring_by_id(&dev->ring, cmd_id);
}

void tcmulib_command_set_mark(struct tcmu_device *dev, struct tcmulib_cmd *cmd, uint32_t mark)
{
	tcmu_ring_set_mark(&dev->ring, cmd, mark);
}

bool tcmulib_ring_replays(struct tcmu_device *dev)
{
	return tcmu_ring_replays(&dev->ring);
}

int tcmulib_free_kept_buffer(struct tcmu_device *dev, uint16_t cmd_id)
{
	int ret = tcmu_ring_free_kept(&dev->ring, cmd_id);
	char text[8];

	if (ret <= 0)
		return ret;
	/* The kernel takes it only for a command whose answer it has seen. */
	tcmulib_processing_complete(dev);
	/* While it removes the device it drops the buffers itself, and who looks up a file there waits
	 * for the answer to REMOVED. */
	if (tcmulib_ring_state(dev) != TCMULIB_RING_RUNNING)
		return 0;
	snprintf(text, sizeof(text), "%" PRIu16, cmd_id);
	return tcmu_dev_write_attr(dev, "action/free_kept_buf", text);
}

bool tcmulib_ring_pending(struct tcmu_device *dev)
{
	return tcmu_ring_pending(&dev->ring);
}

uint32_t tcmulib_ring_backlog(struct tcmu_device *dev)
{
	return tcmu_ring_backlog(&dev->ring);
}

uint32_t tcmulib_ring_in_flight(struct tcmu_device *dev)
{
	return dev->ring.in_flight;
}

int tcmulib_ring_trim(struct tcmu_device *dev)
{
	return tcmu_ring_trim(&dev->ring);
}

uint32_t tcmulib_ring_features(struct tcmu_device *dev)
{
	return dev->ring.features;
}

enum tcmulib_ring_state tcmulib_ring_state(struct tcmu_device *dev)
{
	/* The ring itself learns it later, from its descriptor. */
	if (__atomic_load_n(&dev->removed, __ATOMIC_RELAXED))
		return TCMULIB_RING_GONE;
	return tcmu_ring_state(&dev->ring);
}

const char *tcmulib_ring_reason(struct tcmu_device *dev)
{
	return tcmu_ring_state(&dev->ring) == TCMULIB_RING_PARKED ? dev->ring.reason : NULL;
}
