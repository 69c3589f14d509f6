/* SPDX-License-Identifier: Apache-2.0 */
/* A place in a command's data buffer. The iovecs stay as they are, so that a command can go over them
 * again (tcmu_iovec_seek() consumes them). */
#ifndef RUNNER_DATA_H
#define RUNNER_DATA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct data_pos {
	const struct iovec *iov;
	size_t off; /* in iov[0] */
};

/* The next contiguous piece, *len bytes of it at most, which must be there; passes over it. */
static inline uint8_t *data_next(struct data_pos *pos, size_t *len)
{
	uint8_t *at;

	while (pos->off == pos->iov->iov_len) {
		pos->iov++;
		pos->off = 0;
	}
	at = (uint8_t *)pos->iov->iov_base + pos->off;
	if (*len > pos->iov->iov_len - pos->off)
		*len = pos->iov->iov_len - pos->off;
	pos->off += *len;
	return at;
}

#endif
