/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/system.h"

#include <errno.h>
#include <fcntl.h>
#include <libkmod.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "libtcmu.h"
#include "util/cleanup.h"

int daemon_lock(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char pid[32] = "";
	int ret, len;

	if (fd < 0) {
		ret = -errno;
		tcmu_err("cannot open the lock file %s: %s; run as root, or give another "
			 "--lock-file",
			 path, strerror(errno));
		return ret;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ret = -errno;
		if (ret != -EWOULDBLOCK) {
			tcmu_err("cannot lock %s: %s", path, strerror(errno));
			return ret;
		}
		if (pread(fd, pid, sizeof(pid) - 1, 0) <= 0)
			strcpy(pid, "?");
		pid[strcspn(pid, "\n")] = '\0';
		tcmu_err("another tcmu-runner is running: process %s holds %s. Stop it first", pid,
			 path);
		return -EBUSY;
	}
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
		tcmu_warn("cannot write our process number into %s: %s", path, strerror(errno));
	ret = fd;
	fd = -1;
	return ret;
}

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
