/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/registry.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

static GPtrArray *handlers; /* of struct runner_handler */

static bool subtype_ok(const char *s)
{
	/* It becomes an element of a D-Bus object path. */
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && *s != '_')
			return false;
	}
	return true;
}

/* The first thing that is wrong with it, NULL if nothing. */
static const char *missing(const struct tcmur_handler *h)
{
	if (!h->name)
		return "it has no .name";
	if (!h->subtype || !*h->subtype)
		return "it has no .subtype";
	if (!subtype_ok(h->subtype))
		return "its .subtype is not of the form [A-Za-z_][A-Za-z0-9_]*";
	if (!h->open)
		return "it has no .open callback";
	if (!h->close)
		return "it has no .close callback";
	if (!h->handle_cmd && !(h->read && h->write))
		return "it has neither .handle_cmd nor both .read and .write";
	if (h->nr_threads < 0)
		return "its .nr_threads is negative";
	if (h->cmd_priv_size > 65536)
		return "its .cmd_priv_size is above 65536";
	return NULL;
}

int runner_registry_add(const struct tcmur_handler *h, size_t struct_size, unsigned int api_version,
			bool old_style, const char *path)
{
	const struct runner_handler *other;
	struct runner_handler *entry;
	const char *why;

	if (api_version != TCMUR_API_VERSION) {
		tcmu_err("handler %s was built for version %u of the handler API, this is version "
			 "%u: build it again with this tcmu-runner's tcmu-runner.h",
			 path, api_version, TCMUR_API_VERSION);
		return -EPROTO;
	}
	entry = g_new0(struct runner_handler, 1);
	/* An older handler knows fewer fields, a newer one more: the rest is zero or ignored. */
	memcpy(&entry->handler, h, MIN(struct_size, sizeof(entry->handler)));
	entry->old_style = old_style;
	why = missing(&entry->handler);
	if (why) {
		tcmu_err("handler %s is not used: %s", path, why);
		g_free(entry);
		return -EINVAL;
	}
	other = runner_registry_find(entry->handler.subtype);
	if (other) {
		tcmu_err("handler %s is not used: its subtype '%s' is taken by %s", path,
			 entry->handler.subtype, other->path);
		g_free(entry);
		return -EEXIST;
	}
	if (entry->handler.init) {
		int ret = entry->handler.init();

		if (ret) {
			tcmu_err("handler %s is not used: its init() failed with %d (%s)", path,
				 ret, strerror(ret < 0 ? -ret : ret));
			g_free(entry);
			return ret < 0 ? ret : -ret;
		}
	}
	entry->ready = true;
	entry->path = g_strdup(path);
	if (!handlers)
		handlers = g_ptr_array_new();
	g_ptr_array_add(handlers, entry);
	return 0;
}

void runner_registry_own(size_t mark, void *dl)
{
	if (mark < runner_registry_count())
		((struct runner_handler *)g_ptr_array_index(handlers, mark))->dl = dl;
}

size_t runner_registry_count(void)
{
	return handlers ? handlers->len : 0;
}

const struct runner_handler *runner_registry_at(size_t i)
{
	return g_ptr_array_index(handlers, i);
}

const struct runner_handler *runner_registry_find(const char *subtype)
{
	for (size_t i = 0; i < runner_registry_count(); i++) {
		const struct runner_handler *entry = runner_registry_at(i);

		if (!strcmp(entry->handler.subtype, subtype))
			return entry;
	}
	return NULL;
}

void runner_registry_free(void)
{
	/* All destroy() calls come before any dlclose(): two handlers may share one object. */
	for (size_t i = 0; i < runner_registry_count(); i++) {
		const struct runner_handler *entry = runner_registry_at(i);

		if (entry->ready && entry->handler.destroy)
			entry->handler.destroy();
	}
	for (size_t i = 0; i < runner_registry_count(); i++) {
		struct runner_handler *entry = g_ptr_array_index(handlers, i);

		if (entry->dl)
			dlclose(entry->dl);
		g_free(entry->path);
		g_free(entry);
	}
	if (handlers)
		g_ptr_array_free(handlers, TRUE);
	handlers = NULL;
}
