/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a ring cost more system calls than all the rest of a run: with the linker's --wrap for
 * mmap, munmap and madvise their pages are given back each time, but not their addresses. */
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#define COUNT 8

static struct {
	void *at;
	size_t len;
	bool used;
} tables[COUNT];

void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
int __real_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len);
int __real_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice);

static int find(const void *at)
{
	for (int i = 0; at && i < COUNT; i++) {
		if (tables[i].at == at)
			return i;
	}
	return -1;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *at;
	int i = 0;

	if (!(flags & MAP_NORESERVE) || fd >= 0) /* not ring_lazy_table() */
		return __real_mmap(addr, len, prot, flags, fd, off);
	while (i < COUNT && tables[i].at && (tables[i].used || tables[i].len != len))
		i++;
	if (i < COUNT && tables[i].at) {
		tables[i].used = true;
		return tables[i].at;
	}
	at = __real_mmap(addr, len, prot, flags, fd, off);
	if (i < COUNT && at != MAP_FAILED) {
		tables[i].at = at;
		tables[i].len = len;
		tables[i].used = true;
	}
	return at;
}

int __wrap_munmap(void *addr, size_t len)
{
	int i = find(addr);

	if (i < 0 || tables[i].len != len)
		return __real_munmap(addr, len);
	tables[i].used = false;
	return __real_madvise(addr, len, MADV_DONTNEED);
}

int __wrap_madvise(void *addr, size_t len, int advice)
{
	return advice == MADV_NOHUGEPAGE && find(addr) >= 0 ? 0 : __real_madvise(addr, len, advice);
}
