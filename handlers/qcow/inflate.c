/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed clusters. On workers. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "qcow.h"

/* There are no zlib headers around it, and the window may be smaller. */
#define RAW_DEFLATE (-MAX_WBITS)

static int inflate_raw(const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	z_stream stream = {
		/* zlib does not write to it */
		.next_in = (uint8_t *)(uintptr_t)in,
		.avail_in = (uInt)in_len,
		.next_out = out,
		.avail_out = (uInt)out_len,
	};
	int ret = inflateInit2(&stream, RAW_DEFLATE);

	if (ret != Z_OK)
		return ret == Z_MEM_ERROR ? -ENOMEM : -EIO;
	ret = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	if (ret == Z_MEM_ERROR)
		return -ENOMEM;
	/* Z_BUF_ERROR: there is more of it than was wanted. */
	return (ret == Z_STREAM_END || ret == Z_BUF_ERROR) && !stream.avail_out ? 0 : -EBADMSG;
}

int64_t qcow_work_inflate(const struct qcow_layer *layer, const struct qcow_place *place,
			  struct iovec *iov, size_t iov_cnt)
{
	size_t wanted = place->skip + (size_t)place->len;
	uint8_t *in = malloc(place->compressed_len + wanted);
	uint8_t *out = in + place->compressed_len;
	ssize_t n;
	int ret;

	if (!in)
		return -ENOMEM;
	/* The last sector may not be there. */
	n = qcow_pread_some(layer->fd, in, place->compressed_len, place->off);
	if (n < 0)
		ret = (int)n;
	else if (layer->header.compression == QCOW_ZSTD)
		ret = qcow_unzstd(in, (size_t)n, out, wanted);
	else
		ret = inflate_raw(in, (size_t)n, out, wanted);
	if (!ret)
		tcmu_memcpy_into_iovec(iov, iov_cnt, out + place->skip, (size_t)place->len);
	free(in);
	return ret ? ret : (int64_t)place->len;
}
