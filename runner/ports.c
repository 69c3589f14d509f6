/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/ports.h"

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "libtcmu.h"

#define NAMES_MAX 8192 /* bytes of the names of all groups */

/* ---- members ---- */

/* A component of a path that leads nowhere else. */
static bool is_plain(const char *s, size_t len)
{
	return len && s[0] != '.' && !memchr(s, '\0', len);
}

/* "FABRIC/WWN/tpgt_N/lun_M" (target_core_configfs.c: target_tg_pt_gp_members_show()). The fabric's
 * directory is its name in lower case. */
static int parse_port(const char *line, size_t len, struct runner_port *port)
{
	const char *part[4];
	size_t part_len[4], parts = 0, tpg_len;

	for (const char *p = line, *end = line + len; parts < 4; parts++) {
		const char *slash = memchr(p, '/', (size_t)(end - p));

		part[parts] = p;
		part_len[parts] = (size_t)((slash ? slash : end) - p);
		if (!is_plain(p, part_len[parts]) || !slash != (parts == 3))
			return -EINVAL;
		p = slash + 1;
	}
	tpg_len = (size_t)(part[3] - 1 - line);
	if (strncmp(part[2], "tpgt_", 5) || strncmp(part[3], "lun_", 4) ||
	    tpg_len >= sizeof(port->tpg) || part_len[3] >= sizeof(port->lun))
		return -EINVAL;
	memcpy(port->tpg, line, tpg_len);
	port->tpg[tpg_len] = '\0';
	for (size_t i = 0; i < part_len[0]; i++)
		port->tpg[i] = g_ascii_tolower(port->tpg[i]);
	memcpy(port->lun, part[3], part_len[3]);
	port->lun[part_len[3]] = '\0';
	return 1;
}

int runner_port_next(const char **at, const char *end, struct runner_port *port)
{
	const char *line, *p = *at;

	while (p < end && (*p == '\n' || *p == '\0'))
		p++;
	line = p;
	while (p < end && *p != '\n' && *p != '\0')
		p++;
	*at = p;
	return p == line ? 0 : parse_port(line, (size_t)(p - line), port);
}

/* ---- reading ---- */

ssize_t runner_tpg_names(const char *object, char *names, size_t size)
{
	char path[1200];

	snprintf(path, sizeof(path), "core/%s/alua", object);
	return tcmu_target_list(path, names, size);
}

static ssize_t read_in_group(const char *object, const char *group, const char *file, char *text,
			     size_t size)
{
	char path[1600];

	snprintf(path, sizeof(path), "core/%s/alua/%.255s/%s", object, group, file);
	return tcmu_target_read(path, text, size);
}

ssize_t runner_tpg_members(const char *object, const char *group, char *text, size_t size)
{
	return read_in_group(object, group, "members", text, size);
}

static bool parse_number(const char *text, unsigned int max, unsigned int *value)
{
	char *end;
	guint64 v = g_ascii_strtoull(text, &end, 10);

	if (end == text || *end || v > max)
		return false;
	*value = (unsigned int)v;
	return true;
}

/* False: there is none, as of the number of a group that has not got one yet. */
static bool number_in_group(const char *object, const char *group, const char *file,
			    unsigned int max, unsigned int *value)
{
	char text[32];

	return read_in_group(object, group, file, text, sizeof(text)) > 0 &&
	       parse_number(text, max, value);
}

/* The relative target port identifier. It is in a file below the LUN, whose directories are there without
 * a lookup as long as the LUN is. */
static bool port_number(const struct runner_port *port, unsigned int *value)
{
	char path[512], text[32];

	snprintf(path, sizeof(path), "%s/lun/%s/statistics/scsi_port/indx", port->tpg, port->lun);
	return tcmu_target_read(path, text, sizeof(text)) > 0 &&
	       parse_number(text, UINT16_MAX, value);
}

/* "None", "Implicit", "Explicit", "Implicit and Explicit" */
static uint8_t group_type(const char *object, const char *group)
{
	char text[64];
	uint8_t type = 0;

	if (read_in_group(object, group, "alua_access_type", text, sizeof(text)) < 0)
		return 0;
	if (strstr(text, "Implicit"))
		type |= SCSI_TPG_IMPLICIT;
	if (strstr(text, "Explicit"))
		type |= SCSI_TPG_EXPLICIT;
	return type;
}

/* "None", "Altered by Explicit STPG", "Altered by Implicit ALUA" (target_core_alua.c:
 * core_alua_dump_status()) */
static uint8_t group_status(const char *object, const char *group)
{
	char text[64];

	if (read_in_group(object, group, "alua_access_status", text, sizeof(text)) < 0)
		return 0;
	if (strstr(text, "Explicit"))
		return 1;
	return strstr(text, "Implicit") ? 2 : 0;
}

static uint8_t supported_states(const char *object, const char *group)
{
	static const struct {
		const char *file;
		uint8_t bit;
	} files[] = {
		{ "alua_support_transitioning", SCSI_TPG_T_SUP },
		{ "alua_support_offline", SCSI_TPG_O_SUP },
		{ "alua_support_lba_dependent", SCSI_TPG_LBD_SUP },
		{ "alua_support_unavailable", SCSI_TPG_U_SUP },
		{ "alua_support_standby", SCSI_TPG_S_SUP },
		{ "alua_support_active_nonoptimized", SCSI_TPG_AN_SUP },
		{ "alua_support_active_optimized", SCSI_TPG_AO_SUP },
	};
	uint8_t supported = 0;
	unsigned int on;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (number_in_group(object, group, files[i].file, 1, &on) && on)
			supported |= files[i].bit;
	}
	return supported;
}

/* ---- target port groups ---- */

/* How many ports the group has; the numbers of those that have one are in g. */
static size_t read_ports(const char *object, const char *group, struct scsi_tpg *g)
{
	char text[RUNNER_MEMBERS_MAX];
	ssize_t len = runner_tpg_members(object, group, text, sizeof(text));
	struct runner_port port;
	const char *at = text;
	size_t count = 0;
	unsigned int n;
	int ret;

	while (len > 0 && (ret = runner_port_next(&at, text + len, &port))) {
		count++;
		if (ret > 0 && g->port_count < SCSI_TPG_PORT_MAX && port_number(&port, &n))
			g->port[g->port_count++] = (uint16_t)n;
	}
	return count;
}

static bool read_group(const char *object, const char *group, struct scsi_tpg *g, size_t *ports)
{
	unsigned int id, state, preferred = 0;

	*g = (struct scsi_tpg) { 0 };
	if (!number_in_group(object, group, "tg_pt_gp_id", UINT16_MAX, &id) ||
	    !number_in_group(object, group, "alua_access_state", 0xf, &state))
		return false;
	number_in_group(object, group, "preferred", 1, &preferred);
	g->id = (uint16_t)id;
	g->state = (uint8_t)state;
	g->preferred = preferred;
	g->supported = supported_states(object, group);
	g->status = group_status(object, group);
	g->type = group_type(object, group);
	*ports = read_ports(object, group, g);
	return true;
}

static void add_group(struct runner_tpgs *groups, const struct scsi_tpg *g, const char *name)
{
	size_t i = groups->scsi.count++;

	for (; i && groups->scsi.group[i - 1].id > g->id; i--) {
		groups->scsi.group[i] = groups->scsi.group[i - 1];
		memcpy(groups->name[i], groups->name[i - 1], sizeof(groups->name[i]));
	}
	groups->scsi.group[i] = *g;
	snprintf(groups->name[i], sizeof(groups->name[i]), "%.255s", name);
}

static int read_groups(const char *object, struct runner_tpgs *groups, bool with_ports)
{
	char names[NAMES_MAX];
	ssize_t len = runner_tpg_names(object, names, sizeof(names));
	unsigned int seconds;

	groups->scsi.count = 0;
	groups->scsi.implicit_seconds = 0;
	if (len < 0)
		return (int)len;
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		struct scsi_tpg g;
		size_t ports;

		if (groups->scsi.count == SCSI_TPG_MAX)
			break;
		if (!read_group(object, name, &g, &ports) || (with_ports && !ports))
			continue;
		add_group(groups, &g, name);
		/* Of which group is not known: the longest, so that nobody gives up early. */
		if (number_in_group(object, name, "implicit_trans_secs", UINT8_MAX, &seconds) &&
		    seconds > groups->scsi.implicit_seconds)
			groups->scsi.implicit_seconds = (uint8_t)seconds;
	}
	return 0;
}

int runner_tpgs_read(struct tcmu_device *dev, struct runner_tpgs *groups)
{
	const char *object = tcmu_dev_get_name(dev);
	int ret = read_groups(object, groups, true);

	return ret || groups->scsi.count ? ret : read_groups(object, groups, false);
}

/* ---- what a logical unit says of them ---- */

void runner_ports_lu(struct tcmu_device *dev, struct scsi_lu *lu)
{
	const char *object = tcmu_dev_get_name(dev);
	struct scsi_tpg used = { 0 }; /* the ports of all groups */
	char names[NAMES_MAX];
	ssize_t len = runner_tpg_names(object, names, sizeof(names));
	uint8_t any_type = 0, used_type = 0;
	size_t ports = 0, groups = 0;
	unsigned int id = 0;

	/* 0: access states are not for the kernel to know (target_core_configfs.c:
	 * alua_support_store()), and there are no others. */
	if (tcmu_cfgfs_dev_get_attr_int(dev, "alua_support") == 0)
		return;
	for (const char *name = names; len > 0 && name < names + len; name += strlen(name) + 1) {
		uint8_t type = group_type(object, name);
		size_t n = read_ports(object, name, &used);

		any_type |= type;
		if (!n)
			continue;
		used_type |= type;
		ports += n;
		groups++;
		lu->tpg_valid = number_in_group(object, name, "tg_pt_gp_id", UINT16_MAX, &id);
		lu->tpg = (uint16_t)id;
	}
	lu->tpgs = ports ? used_type : any_type;
	lu->tpg_valid = lu->tpg_valid && groups == 1;
	lu->relative_port_valid = ports == 1 && used.port_count == 1;
	lu->relative_port = used.port[0];
}
