/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume is out of reach: no quorum, no brick, nobody answers. Commands are told so at once, which lets initiators
 * try another gateway, until the keeper has reached the volume for a while without a break. That while is for
 * bricks that come back one after the other, each some seconds after it could: a replicated volume that is written to
 * in between has been seen to answer reads from the brick that came last, with data from before. And what a brick that
 * hung still had to do it does first.
 */
#include <errno.h>

#include "gluster.h"

#define SETTLE_MS 5000 /* Gluster's clients try to connect every three seconds */

bool gluster_is_out_of_reach(int err)
{
	switch (err) {
	case ENOTCONN:
	case ETIMEDOUT:
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENETDOWN:
	case ENETUNREACH:
	case ESHUTDOWN:
	case EBADF:
	case EBADFD:
	case ESTALE:
	case ENOENT:
		return true;
	default:
		return false;
	}
}

void gluster_outage_begin(struct gluster_lun *lun)
{
	lun->outage.on = true;
	pthread_mutex_lock(&lun->flush_mutex);
	lun->doubt = lun->written != lun->flushed;
	pthread_mutex_unlock(&lun->flush_mutex);
	gluster_lock_doubt(&lun->lock);
}

bool gluster_outage_is_over(struct gluster_lun *lun)
{
	struct gluster_outage *outage = &lun->outage;
	uint64_t begun = gluster_now_ms();
	char byte;

	if (glfs_pread(lun->target.fd, &byte, 1, 0, 0, NULL) < 0 &&
	    gluster_is_out_of_reach(errno)) {
		outage->good_since_ms = 0;
		return false;
	}
	if (!outage->good_since_ms)
		outage->good_since_ms = begun;
	if (begun - outage->good_since_ms < SETTLE_MS)
		return false;
	outage->good_since_ms = 0;
	lun->errno_said = 0;
	outage->on = false;
	tcmu_dev_info(lun->dev, "the volume is back");
	return true;
}
