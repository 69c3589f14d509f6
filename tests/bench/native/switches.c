/* SPDX-License-Identifier: Apache-2.0 */
#include "switches.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static uint64_t of_task(const char *task, const char *thread)
{
	char path[300], line[128], name[32] = "";
	uint64_t sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", task);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		unsigned long n;

		if (sscanf(line, "Name: %31s", name) == 1 && strcmp(name, thread))
			break;
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
			sum += n;
	}
	if (f)
		fclose(f);
	return sum;
}

uint64_t bench_switches(const char *thread)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *ent;
	uint64_t sum = 0;

	while (dir && (ent = readdir(dir)))
		if (*ent->d_name != '.')
			sum += of_task(ent->d_name, thread);
	if (dir)
		closedir(dir);
	return sum;
}
