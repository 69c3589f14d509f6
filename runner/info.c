/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device is and does, for who asks from outside. The device's thread does not notice: what is told is
 * atomic and its own to write. Changes of states are looked for when one has been announced, in all devices together.
 */
#include "runner/info.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runner/blame.h"
#include "runner/device.h"
#include "runner/manager.h"

static void (*watcher)(const char *name, const char *state); /* main thread */
static _Atomic(bool) watching, announced;

/* ---- which device? ---- */

struct search {
	const char *name, *subtype;
	struct runner_dev *found;
	const char *other; /* of the name, but of this subtype */
	unsigned int count;
};

static bool is_named(struct runner_dev *rdev, const char *name)
{
	const char *whole = tcmu_dev_get_name(rdev->dev), *slash = strchr(whole, '/');

	return !strcmp(strchr(name, '/') || !slash ? whole : slash + 1, name);
}

static bool look(struct runner_dev *rdev, void *arg)
{
	struct search *s = arg;

	if (rdev->leaving || !is_named(rdev, s->name))
		return true;
	if (s->subtype && strcmp(rdev->handler->subtype, s->subtype)) {
		s->other = rdev->handler->subtype;
		return true;
	}
	s->found = rdev;
	s->count++;
	return true;
}

int runner_find(const char *name, const char *subtype, struct runner_dev **found,
		char why[RUNNER_WHY_MAX])
{
	struct search s = { .name = name, .subtype = subtype };

	runner_each_device(look, &s);
	*found = s.found;
	if (s.count == 1)
		return 0;
	if (s.count) {
		snprintf(why, RUNNER_WHY_MAX,
			 "%u storage objects have the name '%.128s': say which, as user_N/%.128s",
			 s.count, name, name);
		return -ENOTUNIQ;
	}
	if (s.other)
		snprintf(why, RUNNER_WHY_MAX,
			 "the storage object '%.128s' is served by the handler '%s'", name,
			 s.other);
	else
		snprintf(why, RUNNER_WHY_MAX, "there is no storage object '%.128s' here", name);
	return -ENOENT;
}

int runner_trace(const char *name, bool on, char why[RUNNER_WHY_MAX])
{
	struct runner_dev *rdev;
	int err = runner_find(name, NULL, &rdev, why);

	if (err)
		return err;
	if (atomic_exchange(&rdev->traced, on) != on)
		tcmu_dev_info(rdev->dev, "its commands are traced %s",
			      on ? "from now on" : "no more");
	return 0;
}

/* ---- one device ---- */

static bool is_parked(struct runner_dev *rdev)
{
	return atomic_load(&rdev->parked) || tcmulib_ring_state(rdev->dev) == TCMULIB_RING_PARKED;
}

static const char *state_word(struct runner_dev *rdev)
{
	if (rdev->leaving)
		return "closing";
	switch (atomic_load(&rdev->state)) {
	case RUNNER_DISCOVERED:
		return rdev->blamed ? "blamed" : "waiting";
	case RUNNER_OPENING:
		return "opening";
	case RUNNER_RUNNING:
		if (is_parked(rdev))
			return "parked";
		return rdev->idle.deaf >= RUNNER_DEAF_LOOKS ? "hung" : "serving";
	case RUNNER_CHANGING:
		return rdev->draining ? "draining" : "changing";
	case RUNNER_DRAINED:
		return "drained";
	case RUNNER_FAILED:
		return "failed";
	case RUNNER_PAUSED:
	case RUNNER_CLOSING:
	case RUNNER_GONE:
		break;
	}
	return "closing";
}

static void put_error(struct runner_dev *rdev, const char *state, char *error)
{
	const char *fault = atomic_load(&rdev->fault);

	*error = '\0';
	if (!strcmp(state, "failed"))
		g_strlcpy(error, strerror(-atomic_load(&rdev->error)), RUNNER_WHY_MAX);
	else if (!strcmp(state, "parked"))
		g_strlcpy(error, fault ? fault : "its ring cannot be used, as the log says",
			  RUNNER_WHY_MAX);
	else if (!strcmp(state, "blamed"))
		snprintf(error, RUNNER_WHY_MAX,
			 "it has ended the daemon again and again, as %s says",
			 runner_blame_file());
}

static uint64_t now(_Atomic(uint64_t) *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

const char *const runner_counter_names[RUNNER_COUNTERS] = {
	"Commands",  "InFlight",     "Errors",  "Reads",   "Writes",
	"BytesRead", "BytesWritten", "Aborted", "Expired", "Resets",
};

static void put_counters(struct runner_dev *rdev, uint32_t block_size, uint64_t *to)
{
	struct runner_counters *c = &rdev->counters;
	uint64_t ended = now(&c->ended), begun = now(&c->begun); /* in this order */

	*to++ = ended;
	*to++ = begun - ended;
	*to++ = now(&c->errors);
	*to++ = now(&c->reads);
	*to++ = now(&c->writes);
	*to++ = now(&c->read_blocks) * block_size;
	*to++ = now(&c->written_blocks) * block_size;
	*to++ = now(&c->aborted);
	*to++ = now(&c->expired);
	*to = now(&c->resets);
}

static void fill(struct runner_dev *rdev, struct runner_device_info *info)
{
	*info = (struct runner_device_info) {
		.name = tcmu_dev_get_name(rdev->dev),
		.handler = rdev->handler->subtype,
		.config = tcmu_dev_get_cfgstring(rdev->dev),
		.state = state_word(rdev),
		.size = atomic_load(&rdev->size),
		.block_size = atomic_load(&rdev->block_size),
		.traced = atomic_load(&rdev->traced),
	};
	put_error(rdev, info->state, info->error);
	put_counters(rdev, info->block_size, info->counters);
}

int runner_get_info(const char *name, struct runner_device_info *info, char why[RUNNER_WHY_MAX])
{
	struct runner_dev *rdev;
	int err = runner_find(name, NULL, &rdev, why);

	if (!err)
		fill(rdev, info);
	return err;
}

/* ---- all ---- */

struct each {
	void (*show)(const struct runner_device_info *info, void *arg);
	void *arg;
};

static bool show_one(struct runner_dev *rdev, void *arg)
{
	struct runner_device_info info;
	struct each *each = arg;

	fill(rdev, &info);
	each->show(&info, each->arg);
	return true;
}

void runner_each_info(void (*show)(const struct runner_device_info *info, void *arg), void *arg)
{
	struct each each = { show, arg };

	runner_each_device(show_one, &each);
}

/* ---- states ---- */

static bool compare(struct runner_dev *rdev, void *arg)
{
	const char *state = state_word(rdev);

	(void)arg;
	if (rdev->told_state && !strcmp(rdev->told_state, state))
		return true;
	rdev->told_state = state;
	if (watcher)
		watcher(tcmu_dev_get_name(rdev->dev), state);
	return true;
}

static gboolean compare_all(gpointer arg)
{
	(void)arg;
	atomic_store(&announced,
		     false); /* first: who announces another one now is looked at again */
	runner_each_device(compare, NULL);
	return G_SOURCE_REMOVE;
}

void runner_states_changed(void)
{
	if (atomic_load(&watching) && !atomic_exchange(&announced, true))
		g_idle_add_full(G_PRIORITY_DEFAULT, compare_all, NULL, NULL);
}

void runner_states_gone(struct runner_dev *rdev)
{
	if (watcher)
		watcher(tcmu_dev_get_name(rdev->dev), "gone");
}

void runner_watch_states(void (*changed)(const char *name, const char *state))
{
	watcher = changed;
	atomic_store(&watching, changed);
	runner_states_changed();
}
