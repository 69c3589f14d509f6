/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/load.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "runner/elf.h"
#include "runner/registry.h"

/* The object whose handler_init() is running: tcmur_register_handler() has no other way to know. */
static const char *loading;
static bool asked; /* ... and whether it was called */

int tcmur_register_handler_v2(struct tcmur_handler *h, size_t struct_size, uint32_t api_version)
{
	if (!loading) {
		tcmu_err("tcmur_register_handler() was called outside handler_init(): ignored");
		return -EINVAL;
	}
	asked = true;
	h->_struct_size = (uint32_t)struct_size;
	h->_api_version = api_version;
	return runner_registry_add(h, struct_size, api_version, true, loading);
}

/* Has the object any entry point that added a handler? */
static bool enter(void *dl, const char *path)
{
	struct tcmur_handler *(*entry)(void);
	int (*init)(void);
	size_t before = runner_registry_count();

	/* POSIX: a pointer from dlsym() may be read as a function pointer through its bytes. */
	*(void **)&entry = dlsym(dl, "tcmur_handler_entry");
	if (entry) {
		struct tcmur_handler *h = entry();

		if (!h) {
			tcmu_err("handler %s is not used: its entry point returned no handler",
				 path);
			return false;
		}
		runner_registry_add(h, h->_struct_size, h->_api_version, false, path);
		return runner_registry_count() > before;
	}
	*(void **)&init = dlsym(dl, "handler_init");
	if (!init) {
		tcmu_err("%s is no handler: it has no entry point. Write "
			 "TCMUR_REGISTER_HANDLER(your_handler) in it, see tcmu-handler(3)",
			 path);
		return false;
	}
	loading = path;
	asked = false;
	if (init())
		tcmu_err("handler %s: its handler_init() failed", path);
	else if (!asked)
		tcmu_err("handler %s is not used: its handler_init() registered no handler", path);
	loading = NULL;
	return runner_registry_count() > before;
}

static void load_one(const char *path)
{
	size_t mark = runner_registry_count();
	const char *problem = runner_elf_problem(path);
	void *dl;

	if (problem) {
		tcmu_err("cannot load handler %s: %s", path, problem);
		return;
	}
	/* RTLD_NOW: an object built for another runner fails here and not in the middle of I/O. */
	dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!dl) {
		tcmu_err("cannot load handler %s: %s", path, dlerror());
		return;
	}
	if (enter(dl, path))
		runner_registry_own(mark, dl);
	else
		dlclose(dl);
}

static int is_handler(const struct dirent *entry)
{
	return g_str_has_prefix(entry->d_name, "handler_") &&
	       g_str_has_suffix(entry->d_name, ".so");
}

int runner_load_dir(const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, is_handler, alphasort);

	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		g_autofree char *path = g_build_filename(dir, names[i]->d_name, NULL);

		load_one(path);
		free(names[i]);
	}
	free(names);
	return (int)runner_registry_count();
}
