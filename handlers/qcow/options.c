/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "refuse.h"

void qcow_options_free(struct qcow_options *opts)
{
	free(opts->path);
	free(opts->snapshot);
	memset(opts, 0, sizeof(*opts));
}

/* BYTES, with K, M or G behind it for multiples of 1024. 0: it is none. */
static uint64_t parse_size(const char *text, size_t len)
{
	static const char units[] = "KMG";
	char *end;
	unsigned long long n;
	const char *unit;

	if (!len || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return 0;
	if (end == text + len)
		return n;
	unit = strchr(units, *end);
	if (end + 1 != text + len || !*end || !unit)
		return 0;
	for (const char *u = units; u <= unit; u++) {
		if (n > UINT64_MAX >> 10)
			return 0;
		n <<= 10;
	}
	return n;
}

static int parse_cache(const char *value, size_t len, struct qcow_options *opts, char **reason)
{
	opts->cache = parse_size(value, len);
	if (opts->cache >= QCOW_CACHE_LEAST && opts->cache <= QCOW_CACHE_MOST)
		return 0;
	return qcow_refuse(reason, EINVAL,
			   "'cache=%.*s' is no size of a cache; write bytes, or a number with K, "
			   "M or G, from %lluK to %lluG: cache=64M",
			   (int)len, value, QCOW_CACHE_LEAST >> 10, QCOW_CACHE_MOST >> 30);
}

static int parse_snapshot(const char *value, size_t len, struct qcow_options *opts, char **reason)
{
	if (!len || opts->snapshot)
		return qcow_refuse(reason, EINVAL,
				   "'snapshot=' wants one name or ID of a snapshot in the image "
				   "('qemu-img snapshot -l' lists them)");
	opts->snapshot = strndup(value, len);
	return opts->snapshot ? 0 : -ENOMEM;
}

static int parse_phys(const char *value, size_t len, struct qcow_options *opts, char **reason)
{
	uint64_t size = parse_size(value, len);

	opts->phys_size = (uint32_t)size;
	if (size >= QCOW_PHYS_LEAST && size <= QCOW_PHYS_MOST && !(size & (size - 1)))
		return 0;
	return qcow_refuse(reason, EINVAL,
			   "'phys=%.*s' is no size of a physical block; write a power of 2 from %d "
			   "to %d: phys=4096",
			   (int)len, value, QCOW_PHYS_LEAST, QCOW_PHYS_MOST);
}

/* The length of prefix, if option begins with it; else 0. */
static size_t skip(const char *option, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && !memcmp(option, prefix, n) ? n : 0;
}

static int parse_option(const char *option, size_t len, struct qcow_options *opts, char **reason)
{
	size_t n;

	if (len == 2 && !memcmp(option, "ro", 2)) {
		opts->read_only = true;
		return 0;
	}
	if (len == strlen("removable") && !memcmp(option, "removable", len)) {
		opts->removable = true;
		return 0;
	}
	n = skip(option, len, "phys=");
	if (n)
		return parse_phys(option + n, len - n, opts, reason);
	n = skip(option, len, "cache=");
	if (n)
		return parse_cache(option + n, len - n, opts, reason);
	n = skip(option, len, "snapshot=");
	if (n)
		return parse_snapshot(option + n, len - n, opts, reason);
	return qcow_refuse(reason, EINVAL,
			   "'%.*s' is no option of the qcow handler; there are: ro, snapshot=NAME, "
			   "cache=BYTES, phys=BYTES, removable (and a path cannot contain ';')",
			   (int)len, option);
}

static int parse(const char *cfgstring, struct qcow_options *opts, char **reason)
{
	const char *path = cfgstring;
	size_t len;

	path += skip(path, strlen(path), QCOW_SUBTYPE "/");
	len = strcspn(path, ";");
	if (*path != '/')
		return qcow_refuse(reason, EINVAL,
				   "'%.*s' is not an absolute path; write qcow/ and then an "
				   "absolute path, which gives two slashes: qcow//srv/disk.qcow2",
				   (int)len, path);
	for (const char *option = path + len; *option;) {
		size_t option_len = strcspn(++option, ";");
		int ret = parse_option(option, option_len, opts, reason);

		if (ret)
			return ret;
		option += option_len;
	}
	if (opts->snapshot && !opts->read_only)
		return qcow_refuse(
			reason, EINVAL,
			"a snapshot can only be read; add the option ;ro, or make it the "
			"active state (qemu-img snapshot -a)");
	opts->path = strndup(path, len);
	return opts->path ? 0 : -ENOMEM;
}

int qcow_options_parse(const char *cfgstring, struct qcow_options *opts, char **reason)
{
	int ret;

	memset(opts, 0, sizeof(*opts));
	opts->cache = QCOW_CACHE_DEFAULT;
	*reason = NULL;
	ret = parse(cfgstring, opts, reason);
	if (ret)
		qcow_options_free(opts);
	return ret;
}
