/* SPDX-License-Identifier: Apache-2.0 */
/* The files and links below target/ that a test has put there, and lists of names and values as such:
 * a directory is what names have in common. */
#include "fake-kernel-int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of files ---- */

struct fake_attr *fake_attr_in(struct fake_attr *list, const char *name)
{
	for (struct fake_attr *a = list; a; a = a->next)
		if (!strcmp(a->name, name))
			return a;
	return NULL;
}

void fake_attr_put(struct fake_attr **list, const char *name, bool link, const char *val)
{
	struct fake_attr *a = fake_attr_in(*list, name);

	if (!a) {
		a = calloc(1, sizeof(*a));
		a->name = strdup(name);
		a->next = *list;
		*list = a;
	}
	free(a->val);
	a->link = link;
	a->val = strdup(val);
}

static void free_one(struct fake_attr *a)
{
	free(a->name);
	free(a->val);
	free(a);
}

void fake_attr_free_all(struct fake_attr **list)
{
	while (*list) {
		struct fake_attr *a = *list;

		*list = a->next;
		free_one(a);
	}
}

static bool is_below(const char *name, const char *dir, size_t len)
{
	return !strncmp(name, dir, len) && name[len] == '/';
}

static bool has_name(const char *val, size_t used, const char *name, size_t len)
{
	for (const char *p = val; p < val + used; p += strlen(p) + 1)
		if (strlen(p) == len && !memcmp(p, name, len))
			return true;
	return false;
}

static int64_t list_names(const struct fake_attr *list, const char *dir, char *val, size_t size)
{
	size_t len = strlen(dir), used = 0;
	bool found = false;

	for (; list; list = list->next) {
		const char *name = list->name + len + 1;
		size_t n;

		if (!is_below(list->name, dir, len))
			continue;
		found = true;
		n = strcspn(name, "/");
		if (!n || has_name(val, used, name, n))
			continue;
		if (n + 1 > size - used)
			return -E2BIG;
		memcpy(val + used, name, n);
		val[used + n] = '\0';
		used += n + 1;
	}
	return found ? (int64_t)used : -ENOENT;
}

/* ---- what is asked for ---- */

size_t fake_members(const char *lines, char *val, size_t size)
{
	size_t used = 0;

	while (*lines) {
		size_t n = strcspn(lines, "\n");

		if (used + n + 2 > size)
			break;
		memcpy(val + used, lines, n);
		memcpy(val + used + n, "\n", 2);
		used += n + 2;
		lines += n + (lines[n] == '\n');
	}
	return used;
}

static int64_t list_device(struct fake_kernel *k, const char *path, char *val, size_t size)
{
	const char *dir;
	struct fake_dev *dev = fake_configfs_find(k, path, &dir);

	if (!dev)
		return -ENOENT;
	if (dev->pending.type == TCMU_EVENT_REMOVED && !dev->pending.done)
		return -EAGAIN;
	return list_names(dev->attrs, dir, val, size);
}

int64_t fake_target_op(struct fake_kernel *k, uint32_t op, const char *path, char *val, size_t size)
{
	struct fake_attr *a = fake_attr_in(k->target, path);
	bool of_device = !strncmp(path, "core/user_0/", 12);

	if (op == FAKE_OP_TARGET_LIST)
		return of_device ? list_device(k, path + 5, val, size)
				 : list_names(k->target, path, val, size);
	if (of_device && op == FAKE_OP_TARGET_READ)
		return fake_configfs_read(k, path + 5, val, size);
	if (!a)
		return -ENOENT;
	if (a->link != (op == FAKE_OP_TARGET_LINK))
		return -EINVAL;
	snprintf(val, size, "%s", a->val);
	return (int64_t)strlen(val);
}

/* ---- for tests ---- */

static void put(struct fake_kernel *k, const char *path, bool link, const char *val)
{
	pthread_mutex_lock(&k->lock);
	fake_attr_put(&k->target, path, link, val);
	pthread_mutex_unlock(&k->lock);
}

void fake_target_set(struct fake_kernel *k, const char *path, const char *val)
{
	char text[FAKE_ATTR_MAX];

	snprintf(text, sizeof(text), "%s\n", val);
	put(k, path, false, text);
}

void fake_target_set_link(struct fake_kernel *k, const char *path, const char *to)
{
	put(k, path, true, to);
}

void fake_target_remove(struct fake_kernel *k, const char *path)
{
	struct fake_attr **at = &k->target;
	size_t len = strlen(path);

	pthread_mutex_lock(&k->lock);
	while (*at) {
		struct fake_attr *a = *at;

		if (strcmp(a->name, path) && !is_below(a->name, path, len)) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free_one(a);
	}
	pthread_mutex_unlock(&k->lock);
}

void fake_target_map(struct fake_dev *dev, const char *fabric, const char *tpg, const char *lun,
		     unsigned int port)
{
	static const char members[] = "alua/default_tg_pt_gp/members";
	static const char ports[] = "statistics/scsi_dev/ports";
	char path[FAKE_PATH_MAX], to[FAKE_PATH_MAX], lines[FAKE_ATTR_MAX] = "", count[16] = "0";
	size_t used;

	snprintf(path, sizeof(path), "%s/lun/%s/port", tpg, lun);
	snprintf(to, sizeof(to), "../../../../../../target/core/user_0/%s", dev->name);
	fake_target_set_link(dev->k, path, to);
	snprintf(path, sizeof(path), "%s/lun/%s/statistics/scsi_port/indx", tpg, lun);
	snprintf(to, sizeof(to), "%u", port);
	fake_target_set(dev->k, path, to);
	snprintf(path, sizeof(path), "%s/acls/", tpg);
	fake_target_set(dev->k, path, "");

	pthread_mutex_lock(&dev->k->lock); /* fake_dev_attr() gives a line */
	snprintf(lines, sizeof(lines), "%s", fake_attr_find(dev, members)->val);
	pthread_mutex_unlock(&dev->k->lock);
	used = strlen(lines);
	if (used && lines[used - 1] == '\n')
		lines[--used] = '\0';
	snprintf(lines + used, sizeof(lines) - used, "%s%s/%s/%s", used ? "\n" : "", fabric,
		 strchr(tpg, '/') + 1, lun);
	fake_dev_set_attr(dev, members, lines);
	fake_dev_attr(dev, ports, count, sizeof(count));
	snprintf(count, sizeof(count), "%u", (unsigned int)atoi(count) + 1);
	fake_dev_set_attr(dev, ports, count);
}
