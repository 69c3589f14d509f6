/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/system.h"

#include <errno.h>
#include <libkmod.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "libtcmu.h"

void daemon_limit_nofile(int nofile)
{
	struct rlimit want = { .rlim_cur = (rlim_t)nofile, .rlim_max = (rlim_t)nofile };
	struct rlimit have;

	if (!setrlimit(RLIMIT_NOFILE, &want) || getrlimit(RLIMIT_NOFILE, &have))
		return;
	if (have.rlim_cur < have.rlim_max && have.rlim_cur < want.rlim_cur) {
		have.rlim_cur = have.rlim_max < want.rlim_cur ? have.rlim_max : want.rlim_cur;
		setrlimit(RLIMIT_NOFILE, &have);
	}
	if (have.rlim_cur < want.rlim_cur)
		tcmu_warn("%llu files can be open at once, not the %d wanted: raise the hard limit "
			  "(LimitNOFILE= in the unit) for many LUNs",
			  (unsigned long long)have.rlim_cur, nofile);
}

void daemon_no_huge_pages(void)
{
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		tcmu_dbg("huge pages cannot be turned off: %s", strerror(errno));
}

void daemon_io_flusher(void)
{
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		tcmu_dbg("cannot become an I/O flusher: %s (needs CAP_SYS_RESOURCE); a LUN used by "
			 "this machine itself may stall when memory is short",
			 strerror(errno));
}

void daemon_load_module(void)
{
	const char *config = NULL;
	struct kmod_ctx *kmod = kmod_new(NULL, &config);
	struct kmod_list *list = NULL, *item;
	int ret;

	if (!kmod) {
		tcmu_dbg("cannot use libkmod: %s", strerror(errno));
		return;
	}
	ret = kmod_module_new_from_lookup(kmod, "target_core_user", &list);
	kmod_list_foreach(item, list)
	{
		struct kmod_module *mod = kmod_module_get_module(item);

		ret = kmod_module_probe_insert_module(mod, KMOD_PROBE_IGNORE_LOADED, NULL, NULL,
						      NULL, NULL);
		kmod_module_unref(mod);
	}
	if (ret < 0 || !list)
		tcmu_dbg("module target_core_user was not loaded here (%s): built in, or a "
			 "container",
			 ret < 0 ? strerror(-ret) : "not found");
	kmod_module_unref_list(list);
	kmod_unref(kmod);
}
