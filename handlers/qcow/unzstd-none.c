/* SPDX-License-Identifier: Apache-2.0 */
/* Without libzstd. */
#include <errno.h>

#include "qcow.h"

bool qcow_can_unzstd(void)
{
	return false;
}

int qcow_unzstd(const void *in, size_t in_len, void *out, size_t out_len)
{
	(void)in, (void)in_len, (void)out, (void)out_len;
	return -EOPNOTSUPP;
}
