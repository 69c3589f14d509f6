/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <zstd.h>

#include "qcow.h"

/* A cluster has 2 MiB at most; a frame that asks for a window of more than this only wants memory. */
#define WINDOW_LOG_MAX 24

bool qcow_can_unzstd(void)
{
	return true;
}

int qcow_unzstd(const void *in, size_t in_len, void *out, size_t out_len)
{
	ZSTD_inBuffer input = { .src = in, .size = in_len };
	ZSTD_outBuffer output = { .dst = out, .size = out_len };
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	int ret = 0;

	if (!ctx)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	while (!ret && output.pos < output.size) {
		size_t in_before = input.pos, out_before = output.pos;
		size_t left = ZSTD_decompressStream(ctx, &output, &input);

		if (ZSTD_isError(left) || (input.pos == in_before && output.pos == out_before))
			ret = -EBADMSG;
	}
	ZSTD_freeDCtx(ctx);
	return ret;
}
