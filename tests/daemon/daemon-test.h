/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon's test programs share. */
#ifndef TESTS_DAEMON_DAEMON_TEST_H
#define TESTS_DAEMON_DAEMON_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "load.h"
#include "proc.h"

#define MIB     (1u << 20)
#define LONG_MS 60000

/* A unit over a fresh file of this size. */
static inline struct fake_dev *file_lun(struct world *w, const char *name, uint64_t size)
{
	struct fake_dev *dev = NULL;
	char config[400];

	snprintf(config, sizeof(config), "file/%s", world_file(w, name, (off_t)size));
	assert_int_equal(lun_create(w, name, config, size, &dev), 0);
	return dev;
}

static inline struct load *file_load(struct fake_dev *dev, uint64_t size, unsigned int seed)
{
	struct load_cfg cfg = {
		.blocks = size / 512, .depth = 32, .max_io = 64, .unmap = true, .seed = seed
	};

	return load_start(fake_dev_ring(dev), &cfg);
}

#endif
