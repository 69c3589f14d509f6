/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may copy from one logical unit to another. What initiators may do is in configfs: the LUNs of a
 * target portal group, the ACLs of initiators with the LUNs they map, and whether initiators without an
 * ACL are let in (then they see all LUNs).
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libtcmu.h"
#include "runner/ports.h"

#define PATIENCE_MS 1000
#define QUIET_SEC   10 /* between two messages */
#define PORTS_MAX   64 /* of a logical unit */
#define NAMES_MAX   32768

struct ports {
	size_t count;
	struct runner_port port[PORTS_MAX];
};

/* It belongs to the thread that looks and to the one that waits for it, until the latter gives up. */
struct check {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done, abandoned;
	bool allowed;
	char why[512];

	/* The looking thread's. */
	char from_name[1024], to_name[1024];
	struct ports from, to;
	char groups[NAMES_MAX], acls[NAMES_MAX], luns[NAMES_MAX], links[NAMES_MAX];
	char members[RUNNER_MEMBERS_MAX];
};

static bool refuse(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return false;
}

/* ---- the ports ---- */

static bool add_members(struct check *c, const char *object, const char *group, struct ports *ports)
{
	ssize_t len = runner_tpg_members(object, group, c->members, sizeof(c->members));
	const char *at = c->members;
	int ret;

	if (len < 0)
		return refuse(c, "the ports of %s cannot be read: %s", object, strerror((int)-len));
	for (;;) {
		if (ports->count == PORTS_MAX)
			return refuse(c, "%s has too many ports", object);
		ret = runner_port_next(&at, c->members + len, &ports->port[ports->count]);
		if (ret < 0)
			return refuse(c, "a port of %s has a name of another form", object);
		if (!ret)
			return true;
		ports->count++;
	}
}

/* All of them, or none: the list of a group ends where a page does, and ports are in no group at all with
 * alua_support=0. The kernel's own count of them tells. */
static bool read_ports(struct check *c, const char *object, struct ports *ports)
{
	ssize_t len = runner_tpg_names(object, c->groups, sizeof(c->groups));
	char path[1200], count[32];

	if (len < 0)
		return refuse(c, "the target port groups of %s cannot be read: %s", object,
			      strerror((int)-len));
	for (const char *g = c->groups; g < c->groups + len; g += strlen(g) + 1) {
		if (!add_members(c, object, g, ports))
			return false;
	}
	snprintf(path, sizeof(path), "core/%s/statistics/scsi_dev/ports", object);
	if (tcmu_target_read(path, count, sizeof(count)) <= 0 || !ports->count ||
	    strtoul(count, NULL, 10) != ports->count)
		return refuse(c, "not all ports of %s are known", object);
	return true;
}

/* lun NULL: any */
static bool maps(const struct ports *ports, const char *tpg, const char *lun)
{
	for (size_t i = 0; i < ports->count; i++) {
		if (!strcmp(ports->port[i].tpg, tpg) && (!lun || !strcmp(ports->port[i].lun, lun)))
			return true;
	}
	return false;
}

/* ---- initiators ---- */

static bool is_text(const char *dir, const char *file, const char *text)
{
	char path[1400], is[32];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return tcmu_target_read(path, is, sizeof(is)) > 0 && !strcmp(is, text);
}

/* Fabrics in which there are no ACLs: whoever is there sees all LUNs and may write them
 * (tcm_loop.c, vhost/scsi.c: check_demo_mode, check_demo_mode_write_protect). */
static bool is_open_fabric(const char *tpg)
{
	return !strncmp(tpg, "loopback/", 9) || !strncmp(tpg, "vhost/", 6);
}

static bool check_dynamic(struct check *c, const char *tpg)
{
	char path[512], text[32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/attrib/generate_node_acls", tpg);
	n = tcmu_target_read(path, text, sizeof(text));
	if (n == -ENOENT && is_open_fabric(tpg))
		return true;
	if (n == 1 && text[0] == '0')
		return true;
	if (n != 1 || text[0] != '1')
		return refuse(c, "whom %s lets in cannot be read", tpg);
	if (!is_text(tpg, "attrib/demo_mode_write_protect", "0"))
		return refuse(c, "%s is write protected for who has no ACL", tpg);
	return true;
}

/* The LUN of the target portal group that a mapped LUN's directory links to. 1 and its name in lun, 0: to
 * none, or -errno. */
static int linked_lun(struct check *c, const char *tpg, const char *dir, char *lun, size_t size)
{
	ssize_t len = tcmu_target_list(dir, c->links, sizeof(c->links));
	char path[1400], to[1024], want[512];

	if (len < 0)
		return (int)len;
	snprintf(want, sizeof(want), "/%s/lun/", tpg);
	for (const char *name = c->links; name < c->links + len; name += strlen(name) + 1) {
		const char *last;
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%.255s", dir, name);
		n = tcmu_target_link(path, to, sizeof(to));
		if (n == -EINVAL) /* a file or a directory */
			continue;
		if (n < 0)
			return (int)n;
		last = strstr(to, want);
		if (!last || strchr(last + strlen(want), '/'))
			return -EINVAL;
		snprintf(lun, size, "%s", last + strlen(want));
		return 1;
	}
	return 0;
}

static bool check_acl(struct check *c, const char *tpg, const char *acl)
{
	bool reads = false, sees_to = false, writes = false;
	char dir[768], mapped[1040], lun[64];
	ssize_t len;

	snprintf(dir, sizeof(dir), "%s/acls/%.255s", tpg, acl);
	len = tcmu_target_list(dir, c->luns, sizeof(c->luns));
	if (len < 0)
		return refuse(c, "%s cannot be read: %s", dir, strerror((int)-len));
	for (const char *name = c->luns; name < c->luns + len; name += strlen(name) + 1) {
		int ret;

		if (strncmp(name, "lun_", 4))
			continue;
		snprintf(mapped, sizeof(mapped), "%s/%.255s", dir, name);
		ret = linked_lun(c, tpg, mapped, lun, sizeof(lun));
		if (ret < 0)
			return refuse(c, "%s cannot be read: %s", mapped, strerror(-ret));
		if (!ret)
			continue;
		reads = reads || maps(&c->from, tpg, lun);
		if (maps(&c->to, tpg, lun)) {
			sees_to = true;
			writes = writes || is_text(mapped, "write_protect", "0");
		}
	}
	if (reads != sees_to)
		return refuse(c, "%s maps only one of them", dir);
	if (sees_to && !writes)
		return refuse(c, "%s maps the destination write protected", dir);
	return true;
}

static bool check_tpg(struct check *c, const char *tpg)
{
	char dir[512];
	ssize_t len;

	if (!maps(&c->from, tpg, NULL) || !maps(&c->to, tpg, NULL))
		return refuse(c, "%s maps only one of them", tpg);
	if (!check_dynamic(c, tpg))
		return false;
	snprintf(dir, sizeof(dir), "%s/acls", tpg);
	len = tcmu_target_list(dir, c->acls, sizeof(c->acls));
	if (len < 0)
		return refuse(c, "%s cannot be read: %s", dir, strerror((int)-len));
	for (const char *acl = c->acls; acl < c->acls + len; acl += strlen(acl) + 1) {
		if (!check_acl(c, tpg, acl))
			return false;
	}
	return true;
}

static bool check_all(struct check *c)
{
	if (!read_ports(c, c->from_name, &c->from) || !read_ports(c, c->to_name, &c->to))
		return false;
	for (size_t i = 0; i < c->to.count; i++) {
		if (!maps(&c->from, c->to.port[i].tpg, NULL))
			return refuse(c, "%s maps only one of them", c->to.port[i].tpg);
	}
	for (size_t i = 0; i < c->from.count; i++) {
		const struct runner_port *p = &c->from.port[i];

		if (i && !strcmp(p->tpg, p[-1].tpg))
			continue;
		if (!check_tpg(c, p->tpg))
			return false;
	}
	return true;
}

/* ---- the thread ---- */

static void check_free(struct check *c)
{
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void *look(void *arg)
{
	struct check *c = arg;
	bool allowed = check_all(c), abandoned;

	pthread_mutex_lock(&c->lock);
	c->allowed = allowed;
	c->done = true;
	abandoned = c->abandoned;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	if (abandoned)
		check_free(c);
	return NULL;
}

static struct check *check_start(struct tcmu_device *from, struct tcmu_device *to)
{
	struct check *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;
	pthread_attr_t detached;
	pthread_t thread;
	int ret;

	if (!c)
		return NULL;
	snprintf(c->from_name, sizeof(c->from_name), "%s", tcmu_dev_get_name(from));
	snprintf(c->to_name, sizeof(c->to_name), "%s", tcmu_dev_get_name(to));
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	ret = pthread_create(&thread, &detached, look, c);
	pthread_attr_destroy(&detached);
	if (ret) {
		check_free(c);
		return NULL;
	}
	return c;
}

/* Is it over? If not, it is the thread's from now on. */
static bool check_wait(struct check *c)
{
	struct timespec until;
	int ret = 0;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	until.tv_nsec += PATIENCE_MS % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&c->lock);
	while (!c->done && !ret)
		ret = pthread_cond_timedwait(&c->cond, &c->lock, &until);
	done = c->done;
	c->abandoned = !done;
	pthread_mutex_unlock(&c->lock);
	return done;
}

/* An initiator can ask as often as it likes. */
static void say(struct tcmu_device *from, struct tcmu_device *to, const char *why)
{
	static _Atomic(int64_t) said = -QUIET_SEC;
	struct timespec now;
	int64_t before = atomic_load(&said);

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - before < QUIET_SEC ||
	    !atomic_compare_exchange_strong(&said, &before, now.tv_sec))
		return;
	tcmu_dev_warn(from, "a copy to %s was refused: %s", tcmu_dev_get_name(to), why);
}

bool runner_copy_allowed(struct tcmu_device *from, struct tcmu_device *to)
{
	struct check *c = check_start(from, to);
	bool allowed;

	if (!c) {
		say(from, to, "no memory to look who may do that");
		return false;
	}
	if (!check_wait(c)) {
		say(from, to, "configfs did not tell in time who may do that");
		return false;
	}
	allowed = c->allowed;
	if (!allowed)
		say(from, to, c->why);
	check_free(c);
	return allowed;
}
