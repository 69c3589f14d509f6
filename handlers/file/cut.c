/* SPDX-License-Identifier: Apache-2.0 */
/* A path that is not there because what carried it has cut it. */
#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

#define CONFIG_MAX                                                                                 \
	255 /* bytes of dev_config: TCMU_CONFIG_LEN of target_core_user.c, with its NUL */

/* ',' ends a value in the file `control`; ' ' and ':' end it where rtslib reads it back from `info`. */
static const char *rest_of(const char *entry, const char *base, bool full)
{
	size_t len = strlen(base);

	if (strncmp(entry, base, len) || !entry[len] || !(full || strchr(", :", entry[len])))
		return NULL;
	return entry + len;
}

char *file_cut_hint(const char *path)
{
	char dir_copy[PATH_MAX], base_copy[PATH_MAX], *base, *hint = NULL;
	bool full = strlen(FILE_SUBTYPE "/") + strlen(path) >= CONFIG_MAX;
	const struct dirent *entry;
	DIR *dir;

	snprintf(dir_copy, sizeof(dir_copy), "%s", path);
	snprintf(base_copy, sizeof(base_copy), "%s", path);
	base = basename(base_copy);
	dir = opendir(dirname(dir_copy));
	while (dir && !hint && (entry = readdir(dir))) {
		const char *rest = rest_of(entry->d_name, base, full);
		int len;

		if (!rest)
			continue;
		len = full ? asprintf(&hint,
				      "; is it '%s'? A config string has at most %d bytes: name a "
				      "shorter symbolic link to it",
				      entry->d_name, CONFIG_MAX)
			   : asprintf(&hint,
				      "; is it '%s'? The config string ends at the '%c': name a "
				      "symbolic link to it without one",
				      entry->d_name, *rest);
		if (len < 0)
			hint = NULL;
	}
	if (dir)
		closedir(dir);
	return hint;
}
