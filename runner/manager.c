/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/manager.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>

#include "runner/blame.h"
#include "runner/control.h"
#include "runner/defaults.h"
#include "runner/device.h"
#include "runner/registry.h"

#define START_AGAIN_SEC 5 /* for a device that exists already, when it cannot be started now */

static struct {
	struct runner_limits limits;
	struct tcmulib_context *lib;
	struct list devices; /* runner_dev.node */
	guint lib_source;
	guint stop_deadline;
	void (*stopped)(unsigned int hung);
	void (*changed)(void); /* the number of devices */
	char **foreign;        /* --foreign */
	char **others;         /* runner_leave_to_others() */
	bool successor;
} mgr;

/* ---- the pending reply and its deadline ---- */

static void drop_deadline(struct runner_dev *rdev)
{
	if (rdev->deadline)
		g_source_remove(rdev->deadline);
	rdev->deadline = 0;
}

static void expect_reply(struct runner_dev *rdev, enum runner_reply kind, unsigned int sec,
			 GSourceFunc on_deadline)
{
	drop_deadline(rdev);
	atomic_store(&rdev->reply, kind);
	rdev->deadline = g_timeout_add_seconds(sec, on_deadline, rdev);
}

static void end_device(struct runner_dev *rdev);

static gboolean end_device_later(gpointer arg)
{
	end_device(arg);
	return G_SOURCE_REMOVE;
}

static void say_late(struct runner_dev *rdev)
{
	tcmu_dev_err(rdev->dev,
		     "handler '%s' has not answered for %u s: the request is refused "
		     "(ETIMEDOUT). Look at its storage, or allow more with --open-timeout",
		     rdev->handler->subtype, mgr.limits.open_sec);
}

static gboolean open_deadline(gpointer arg)
{
	struct runner_dev *rdev = arg;

	rdev->deadline = 0;
	if (runner_dev_claim_reply(rdev, RUNNER_REPLY_ADDED)) {
		rdev->leaving = true;
		if (rdev->has_thread) {
			say_late(rdev);
			/* A late open() is followed by close(), no ring is mapped. */
			runner_dev_request(rdev, RUNNER_REQ_STOP);
		} else {
			tcmu_dev_err(rdev->dev,
				     "another device with this config is still closing "
				     "after %u s: refused (ETIMEDOUT)",
				     mgr.limits.open_sec);
			g_idle_add(end_device_later, rdev);
		}
		tcmulib_event_done(rdev->dev, -ETIMEDOUT);
	}
	return G_SOURCE_REMOVE;
}

static gboolean reconfig_deadline(gpointer arg)
{
	struct runner_dev *rdev = arg;

	rdev->deadline = 0;
	if (runner_dev_claim_reply(rdev, RUNNER_REPLY_RECONFIG)) {
		say_late(rdev);
		tcmulib_event_done(rdev->dev, -ETIMEDOUT);
	}
	return G_SOURCE_REMOVE;
}

static gboolean close_deadline(gpointer arg)
{
	struct runner_dev *rdev = arg;

	rdev->deadline = 0;
	if (runner_dev_claim_reply(rdev, RUNNER_REPLY_REMOVED)) {
		tcmu_dev_warn(rdev->dev,
			      "handler '%s' is still closing after %u s: the removal is "
			      "answered, closing goes on in the background",
			      rdev->handler->subtype, mgr.limits.close_sec);
		tcmulib_event_done(rdev->dev, 0);
	}
	return G_SOURCE_REMOVE;
}

/* ---- devices ---- */

/* A device that still has this config string, older than rdev: its storage may still be open. */
static bool predecessor_closing(const struct runner_dev *rdev)
{
	list_for_each (node, &mgr.devices) {
		struct runner_dev *other = container_of(node, struct runner_dev, node);

		if (other == rdev)
			return false;
		if (other->leaving &&
		    !strcmp(tcmu_dev_get_cfgstring(other->dev), tcmu_dev_get_cfgstring(rdev->dev)))
			return true;
	}
	return false;
}

static void try_start(struct runner_dev *rdev);

static gboolean try_start_again(gpointer arg)
{
	struct runner_dev *rdev = arg;

	rdev->deadline = 0;
	try_start(rdev);
	return G_SOURCE_REMOVE;
}

void runner_start_now(struct runner_dev *rdev)
{
	drop_deadline(rdev);
	rdev->forgiven = true;
	try_start(rdev);
}

static void start_later(struct runner_dev *rdev)
{
	drop_deadline(rdev);
	rdev->deadline = g_timeout_add_seconds(START_AGAIN_SEC, try_start_again, rdev);
}

/* It is not to be started: the writer of `enable`, if one waits, gets this error. */
static void give_up_start(struct runner_dev *rdev, int err)
{
	if (runner_dev_claim_reply(rdev, RUNNER_REPLY_ADDED))
		tcmulib_event_done(rdev->dev, err);
	rdev->leaving = true;
	g_idle_add(end_device_later, rdev);
}

/* A device that has ended the daemon again and again is left alone, until its lines in the file are gone or
 * old. */
static bool is_blamed(struct runner_dev *rdev)
{
	unsigned int n = runner_blame_count(tcmu_dev_get_name(rdev->dev));

	if (n < RUNNER_BLAME_MAX || rdev->forgiven)
		return false;
	if (!rdev->blamed)
		tcmu_dev_err(
			rdev->dev,
			"handler '%s' has ended the daemon here %u times within %d minutes: it is "
			"not served, so that the others are. When it is repaired, delete %s",
			rdev->handler->subtype, n, RUNNER_BLAME_SEC / 60, runner_blame_file());
	rdev->blamed = true;
	runner_states_changed();
	if (rdev->existed)
		start_later(rdev);
	else
		give_up_start(rdev, -ECANCELED);
	return true;
}

/* Starts it, unless the storage is just being closed by its predecessor: then end_device() will. */
static void try_start(struct runner_dev *rdev)
{
	int ret;

	if (rdev->has_thread || rdev->leaving || predecessor_closing(rdev) || is_blamed(rdev))
		return;
	ret = runner_dev_start(rdev);
	if (!ret)
		return;
	tcmu_dev_err(rdev->dev,
		     "cannot start its thread: %s; more open files (--nofile) or tasks may "
		     "have to be allowed",
		     strerror(-ret));
	if (rdev->existed)
		start_later(rdev);
	else
		give_up_start(rdev, ret);
}

static void check_all_stopped(void)
{
	void (*stopped)(unsigned int hung) = mgr.stopped;

	if (!stopped || !list_empty(&mgr.devices))
		return;
	mgr.stopped = NULL;
	if (mgr.stop_deadline)
		g_source_remove(mgr.stop_deadline);
	mgr.stop_deadline = 0;
	if (mgr.lib_source)
		g_source_remove(mgr.lib_source);
	tcmulib_close(mgr.lib);
	mgr.lib = NULL;
	g_clear_pointer(&mgr.foreign, g_strfreev);
	stopped(0);
}

static void count_changed(void)
{
	if (mgr.changed)
		mgr.changed();
}

/* Its thread has ended, or never ran. */
static void end_device(struct runner_dev *rdev)
{
	struct tcmu_device *dev = rdev->dev;

	drop_deadline(rdev);
	runner_states_gone(rdev);
	tcmu_dev_set_private(dev, NULL);
	runner_dev_free(rdev);
	tcmulib_device_release(dev);
	list_for_each (node, &mgr.devices) {
		struct runner_dev *other = container_of(node, struct runner_dev, node);

		try_start(other);
	}
	count_changed();
	check_all_stopped();
}

/* ---- libtcmu's callbacks ---- */

/* Makes the config string what the handler is to get. 0 or -errno, which was said. */
static int take_config(struct tcmu_device *dev, struct runner_config *config)
{
	char *cfgstring = tcmu_dev_get_cfgstring(dev);
	uint64_t size = tcmu_dev_get_config_size(dev);
	int ret = runner_config_make(config, cfgstring);

	if (ret == -EINVAL)
		tcmu_dev_err(dev, "config '%s': tcmur_cmd_time_out wants whole seconds", cfgstring);
	if (!ret)
		tcmulib_device_exchange_config(dev, &config->cfgstring, &size);
	return ret;
}

static int added(struct tcmu_device *dev)
{
	const struct runner_handler *entry = tcmu_dev_get_handler(dev)->hm_private;
	bool awaited = tcmulib_event_awaited(dev);
	struct runner_dev *rdev;
	struct runner_config config;
	int ret = take_config(dev, &config);

	if (ret)
		return ret;
	free(config.cfgstring); /* the former one */
	if (mgr.stopped) {
		if (mgr.successor)
			tcmulib_event_defer(
				dev); /* for good: tcmulib_close() leaves it to that one */
		return -ESHUTDOWN;
	}
	rdev = runner_dev_new(dev, entry, !awaited, end_device);
	rdev->time_out_sec = config.time_out_sec;
	rdev->config_len = config.own_len;
	tcmulib_event_defer(dev);
	list_add_tail(&mgr.devices, &rdev->node);
	count_changed();
	runner_states_changed();
	if (awaited)
		expect_reply(rdev, RUNNER_REPLY_ADDED, mgr.limits.open_sec, open_deadline);
	else
		tcmulib_event_done(dev, 0);
	try_start(rdev);
	return 0;
}

static void removed(struct tcmu_device *dev)
{
	struct runner_dev *rdev = runner_dev_of(dev);
	bool was_leaving;

	if (!rdev)
		return;
	tcmulib_event_defer(dev);
	was_leaving = rdev->leaving;
	rdev->leaving = true;
	expect_reply(rdev, RUNNER_REPLY_REMOVED, mgr.limits.close_sec, close_deadline);
	if (rdev->has_thread) {
		runner_dev_request(rdev, RUNNER_REQ_STOP);
		return;
	}
	if (runner_dev_claim_reply(rdev, RUNNER_REPLY_REMOVED))
		tcmulib_event_done(dev, 0);
	if (!was_leaving) /* else its end is queued already */
		g_idle_add(end_device_later, rdev);
}

static int reconfig(struct tcmu_device *dev, struct tcmulib_cfg_info *cfg)
{
	struct runner_dev *rdev = runner_dev_of(dev);

	if (!rdev || mgr.stopped)
		return -ESHUTDOWN;
	if (rdev->pausing || atomic_load(&rdev->state) != RUNNER_RUNNING)
		return -EAGAIN;
	if (atomic_load(&rdev->reconfig_busy)) /* an earlier one, which is past its deadline */
		return -EBUSY;
	rdev->reconfig = *cfg;
	if (cfg->type == TCMULIB_CFG_DEV_CFGSTR) {
		g_strlcpy(rdev->reconfig_cfg, cfg->data.dev_cfgstring, sizeof(rdev->reconfig_cfg));
		rdev->reconfig.data.dev_cfgstring = rdev->reconfig_cfg;
	}
	tcmulib_event_defer(dev);
	atomic_store(&rdev->reconfig_busy, true);
	expect_reply(rdev, RUNNER_REPLY_RECONFIG, mgr.limits.open_sec, reconfig_deadline);
	runner_dev_request(rdev, RUNNER_REQ_RECONFIG);
	return 0;
}

/* ---- start and stop ---- */

static gboolean lib_ready(gint fd, GIOCondition condition, gpointer arg)
{
	(void)fd;
	(void)condition;
	(void)arg;
	if (tcmulib_master_fd_ready(mgr.lib) < 0) {
		tcmu_err("the connection to the kernel is lost: no device can be added or removed "
			 "any more, the existing ones are served. Restart the daemon");
		mgr.lib_source = 0;
		return G_SOURCE_REMOVE;
	}
	return G_SOURCE_CONTINUE;
}

static bool is_foreign(const char *const *foreign, const char *subtype)
{
	return foreign && g_strv_contains(foreign, subtype);
}

static void add_all(GPtrArray *to, char **subtypes)
{
	for (; subtypes && *subtypes; subtypes++)
		g_ptr_array_add(to, *subtypes);
}

static void set_foreign(void)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();

	add_all(all, mgr.foreign);
	add_all(all, mgr.others);
	if (mgr.lib && tcmulib_set_foreign(mgr.lib, (const char *const *)all->pdata, all->len))
		tcmu_err("out of memory: what is other daemons' may be refused here");
}

void runner_leave_to_others(const char *const *subtypes)
{
	g_strfreev(mgr.others);
	mgr.others = g_strdupv((char **)(uintptr_t)subtypes);
	set_foreign();
}

void runner_set_limits(const struct runner_limits *limits)
{
	mgr.limits.open_sec = limits->open_sec;
	mgr.limits.close_sec = limits->close_sec;
	mgr.limits.stop_sec = limits->stop_sec;
}

void runner_set_trace(const char *const *names)
{
	runner_trace_choose(names);
	if (!mgr.lib)
		return;
	list_for_each (node, &mgr.devices) {
		struct runner_dev *rdev = container_of(node, struct runner_dev, node);

		atomic_store(&rdev->traced, runner_trace_wants(tcmu_dev_get_name(rdev->dev)));
	}
}

int runner_start(const struct runner_limits *limits, const char *const *foreign)
{
	size_t n = runner_registry_count(), served = 0;
	g_autofree struct tcmulib_handler *handlers = g_new0(struct tcmulib_handler, n + 1);

	mgr.limits = *limits;
	runner_blame_init(limits->blame_file);
	runner_uring_choose(limits->engine);
	runner_gather_choose(limits->gather_usec);
	runner_dev_choose_nice(limits->nice);
	runner_spin_choose(limits->spin_usec);
	list_init(&mgr.devices);
	for (size_t i = 0; i < n; i++) {
		const struct runner_handler *entry = runner_registry_at(i);

		if (is_foreign(foreign, entry->handler.subtype)) {
			tcmu_info("handler '%s' gets no devices: --foreign leaves them to another "
				  "daemon",
				  entry->handler.subtype);
			continue;
		}
		handlers[served++] = (struct tcmulib_handler) {
			.name = entry->handler.name,
			.subtype = entry->handler.subtype,
			.cfg_desc = entry->handler.cfg_desc,
			.added = added,
			.removed = removed,
			.reconfig = reconfig,
			.hm_private = (void *)(uintptr_t)entry,
		};
	}
	mgr.lib = tcmulib_initialize(handlers, served);
	if (!mgr.lib)
		return errno ? -errno : -EIO;
	mgr.foreign = g_strdupv((char **)(uintptr_t)foreign);
	set_foreign();
	mgr.lib_source = g_unix_fd_add(tcmulib_get_master_fd(mgr.lib), G_IO_IN, lib_ready, NULL);
	return 0;
}

void runner_each_device(bool (*look)(struct runner_dev *rdev, void *arg), void *arg)
{
	if (!mgr.lib)
		return;
	list_for_each (node, &mgr.devices) {
		if (!look(container_of(node, struct runner_dev, node), arg))
			return;
	}
}

void runner_watch_devices(void (*changed)(void))
{
	mgr.changed = changed;
}

unsigned int runner_device_count(void)
{
	unsigned int n = 0;

	list_for_each (node, &mgr.devices)
		n++;
	return n;
}

static gboolean stop_deadline(gpointer arg)
{
	unsigned int hung = 0;

	(void)arg;
	list_for_each (node, &mgr.devices) {
		struct runner_dev *rdev = container_of(node, struct runner_dev, node);

		tcmu_dev_err(rdev->dev,
			     "handler '%s' has not finished its commands for %u s: left as "
			     "it is, the next daemon takes over",
			     rdev->handler->subtype, mgr.limits.stop_sec);
		hung++;
	}
	mgr.stop_deadline = 0;
	runner_set_successor(false); /* the process ends */
	/* Nobody may wait for us any more, but nothing can be unmapped under hung threads. */
	tcmulib_abandon(mgr.lib);
	mgr.stopped(hung);
	return G_SOURCE_REMOVE;
}

static gboolean check_stopped_later(gpointer arg)
{
	(void)arg;
	check_all_stopped();
	return G_SOURCE_REMOVE;
}

void runner_set_successor(bool on)
{
	mgr.successor = on;
	if (mgr.lib)
		tcmulib_set_successor(mgr.lib, on);
}

void runner_stop(void (*done)(unsigned int hung))
{
	mgr.stopped = done;
	runner_visits_shut();
	mgr.stop_deadline = g_timeout_add_seconds(mgr.limits.stop_sec, stop_deadline, NULL);
	list_for_each (node, &mgr.devices) {
		struct runner_dev *rdev = container_of(node, struct runner_dev, node);

		/* Writers of 'enable' and attrib/ would wait for ever for a daemon that is gone. */
		if ((runner_dev_claim_reply(rdev, RUNNER_REPLY_ADDED) && !mgr.successor) ||
		    runner_dev_claim_reply(rdev, RUNNER_REPLY_RECONFIG))
			tcmulib_event_done(rdev->dev, -ESHUTDOWN);
		if (rdev->has_thread)
			runner_dev_request(rdev, RUNNER_REQ_STOP);
		else if (!rdev->leaving) /* else its end is queued already */
			g_idle_add(end_device_later, rdev);
		rdev->leaving = true;
	}
	g_idle_add(check_stopped_later, NULL);
}
