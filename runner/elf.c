/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

static const char truncated[] = "the file is truncated: install it again";

const char *runner_elf_problem(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	Elf64_Ehdr eh;
	struct stat st;

	if (fd < 0)
		return "it cannot be opened for reading";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return "it is not a regular file";
	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64)
		return "it is not a 64-bit shared object";
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		Elf64_Phdr ph;
		off_t at = (off_t)(eh.e_phoff + i * sizeof(ph));

		if (eh.e_phentsize != sizeof(ph) || pread(fd, &ph, sizeof(ph), at) != sizeof(ph))
			return truncated;
		if (ph.p_type == PT_LOAD && (ph.p_offset > (uint64_t)st.st_size ||
					     ph.p_filesz > (uint64_t)st.st_size - ph.p_offset))
			return truncated;
	}
	return NULL;
}
