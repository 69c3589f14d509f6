/* SPDX-License-Identifier: Apache-2.0 */
/* How a ring is mapped, by its user space and by the fake itself. */
#ifndef TESTS_RING_FAKE_MAP_H
#define TESTS_RING_FAKE_MAP_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define FAKE_PAGE 4096u

/* The file begins with the page of the decoys, so that it can end, as the data area does, where nothing
 * is allocated any more. In the mapping that page comes last.
 * MAP_FAILED with errno. */
static inline void *fake_map(int memfd, size_t map_len)
{
	size_t ring = map_len - FAKE_PAGE;
	uint8_t *base = mmap(NULL, map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;

	if (base == MAP_FAILED)
		return base;
	if (mmap(base, ring, prot, flags, memfd, FAKE_PAGE) == MAP_FAILED ||
	    mmap(base + ring, FAKE_PAGE, prot, flags, memfd, 0) == MAP_FAILED) {
		int err = errno;

		munmap(base, map_len);
		errno = err;
		return MAP_FAILED;
	}
	return base;
}

#endif
