/* SPDX-License-Identifier: Apache-2.0 */
/* A look at a shared object before dlopen(), which dies of SIGBUS on a truncated one. */
#ifndef RUNNER_ELF_H
#define RUNNER_ELF_H

/* NULL: all that its program headers name is in the file. Otherwise what is wrong, a constant. */
const char *runner_elf_problem(const char *path);

#endif
