/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "qcow.h"
#include "refuse.h"

int qcow_repair(struct qcow_layer *layer, char **reason)
{
	(void)layer;
	return qcow_refuse(reason, EUCLEAN,
			   "it was not closed, and its refcounts have to be counted again: "
			   "qemu-img check -r all");
}
