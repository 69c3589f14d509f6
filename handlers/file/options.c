/* SPDX-License-Identifier: Apache-2.0 */
/* The config string: file/PATH[;OPTION]... */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

int file_refuse(char **reason, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(reason, fmt, args) < 0)
		*reason = NULL;
	va_end(args);
	return -err;
}

void file_options_free(struct file_options *opts)
{
	free(opts->path);
	memset(opts, 0, sizeof(*opts));
}

/* phys=BYTES; value is its len bytes behind the '='. */
static int parse_phys(const char *value, size_t len, struct file_options *opts, char **reason)
{
	char *end;
	unsigned long long size = strtoull(value, &end, 10);

	if (len && *value >= '0' && *value <= '9' && end == value + len &&
	    size >= FILE_PHYS_SIZE_LEAST && size <= FILE_PHYS_SIZE_MOST && !(size & (size - 1)) &&
	    (!opts->phys_size || opts->phys_size == size)) {
		opts->phys_size = (uint32_t)size;
		return 0;
	}
	return file_refuse(reason, EINVAL,
			   "'phys=%.*s' is no size of a physical block; write a power of 2 from %d "
			   "to %d, once: phys=4096",
			   (int)len, value, FILE_PHYS_SIZE_LEAST, FILE_PHYS_SIZE_MOST);
}

/* One option, len bytes long. */
static int parse_option(const char *name, size_t len, struct file_options *opts, char **reason)
{
	const struct {
		const char *name;
		bool *value;
	} known[] = {
		{ "direct", &opts->direct }, { "ro", &opts->read_only },
		{ "create", &opts->create }, { "removable", &opts->removable },
		{ "atomic", &opts->atomic },
	};
	const size_t phys = strlen("phys=");

	if (len >= phys && !memcmp(name, "phys=", phys))
		return parse_phys(name + phys, len - phys, opts, reason);

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strlen(known[i].name) == len && !memcmp(known[i].name, name, len)) {
			*known[i].value = true;
			return 0;
		}
	}
	return file_refuse(
		reason, EINVAL,
		"'%.*s' is no option of the file handler; there are: direct, ro, create, "
		"removable, atomic, phys=BYTES (and a path cannot contain ';')",
		(int)len, name);
}

static int parse(const char *cfgstring, struct file_options *opts, char **reason)
{
	const char *path = cfgstring;
	size_t len;

	if (!strncmp(path, FILE_SUBTYPE "/", strlen(FILE_SUBTYPE "/")))
		path += strlen(FILE_SUBTYPE "/");
	len = strcspn(path, ";");
	if (!len)
		return file_refuse(reason, EINVAL,
				   "'%s' has no path; write file/ and then an absolute path: "
				   "file//srv/disk.img",
				   cfgstring);
	if (*path != '/')
		return file_refuse(
			reason, EINVAL,
			"'%.*s' is not an absolute path; write file/ and then an absolute "
			"path, which gives two slashes: file//srv/disk.img",
			(int)len, path);

	for (const char *opt = path + len; *opt;) {
		size_t opt_len = strcspn(++opt, ";");
		int ret = parse_option(opt, opt_len, opts, reason);

		if (ret)
			return ret;
		opt += opt_len;
	}
	if (opts->create && opts->read_only)
		return file_refuse(
			reason, EINVAL,
			"'create' and 'ro' exclude each other: a new file that cannot be "
			"written to is of no use");

	if (opts->atomic && opts->read_only)
		return file_refuse(reason, EINVAL,
				   "'atomic' and 'ro' exclude each other: nothing is written with "
				   "'ro'; leave one of them out");

	opts->path = strndup(path, len);
	return opts->path ? 0 : -ENOMEM;
}

int file_options_parse(const char *cfgstring, struct file_options *opts, char **reason)
{
	int ret;

	memset(opts, 0, sizeof(*opts));
	*reason = NULL;
	ret = parse(cfgstring, opts, reason);
	if (ret)
		file_options_free(opts);
	return ret;
}
