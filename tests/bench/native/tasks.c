/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static void add_task(struct tasks *t, const char *path, const char *prefix)
{
	FILE *f = fopen(path, "re");
	char line[128], name[32];
	unsigned long n;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Name: %31s", name) == 1) {
			if (strncmp(name, prefix, strlen(prefix)))
				break;
			t->count++;
		}
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
			t->switches += n;
	}
	if (f)
		fclose(f);
}

struct tasks tasks_named(pid_t pid, const char *prefix)
{
	char dir_path[64], path[sizeof(dir_path) + 300];
	struct tasks t = { 0 };
	struct dirent *ent;
	DIR *dir;

	snprintf(dir_path, sizeof(dir_path), "/proc/%d/task", (int)pid);
	dir = opendir(dir_path);
	while (dir && (ent = readdir(dir))) {
		if (*ent->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/status", dir_path, ent->d_name);
		add_task(&t, path, prefix);
	}
	if (dir)
		closedir(dir);
	return t;
}

/* A mapping's first line has its addresses and its name: of a ring of the fake kernel, or of a UIO device. */
static bool is_ring(const char *line)
{
	return strstr(line, "/memfd:") || strstr(line, "/dev/uio");
}

size_t tasks_private_memory(pid_t pid)
{
	char path[64], line[512];
	bool ring = false;
	size_t sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long from, to, kib;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			ring = is_ring(line);
		else if (!ring && sscanf(line, "Private_Dirty: %lu kB", &kib) == 1)
			sum += kib * 1024;
	}
	if (f)
		fclose(f);
	return sum;
}
