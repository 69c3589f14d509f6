/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on config strings, as they come from configfs: the input, up to its first NUL, is one. What
 * the runner takes out of it and what the file handler reads in it must be what a plain split at ';'
 * says. Leaks count.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/file/file.h"
#include "runner/cfgstring.h"

#define MAX_PARTS 600
#define OWN       "tcmur_cmd_time_out="

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A config string cut at its ';'. */
struct parts {
	char *text;
	const char *part[MAX_PARTS];
	size_t count;
};

static void split(struct parts *parts, const char *cfg)
{
	char *at = strdup(cfg);

	parts->text = at;
	parts->count = 0;
	do {
		assert(parts->count < MAX_PARTS);
		parts->part[parts->count++] = strsep(&at, ";");
	} while (at);
}

/* ---- the runner ------------------------------------------------------------------------------- */

/* Digits and nothing else, up to INT_MAX, or -1. */
static int64_t number_of(const char *text)
{
	int64_t v = 0;

	if (!*text)
		return -1;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -1;
		v = v * 10 + (*text - '0');
		if (v > INT_MAX) /* and never smaller again */
			return -1;
	}
	return v;
}

/* The result, with what has to be left in left. */
static int expect_taken(const char *cfg, char *left)
{
	int64_t seconds = 0, v;
	struct parts parts;

	split(&parts, cfg);
	strcpy(left, parts.part[0]);
	for (size_t i = 1; i < parts.count && seconds >= 0; i++) {
		if (!strncmp(parts.part[i], OWN, strlen(OWN))) {
			v = number_of(parts.part[i] + strlen(OWN));
			seconds = v;
		} else {
			strcat(strcat(left, ";"), parts.part[i]);
		}
	}
	if (seconds < 0) {
		strcpy(left, cfg);
		seconds = -EINVAL;
	}
	free(parts.text);
	return (int)seconds;
}

/* cfg is changed as the runner changes it. */
static void check_time_out(char *cfg)
{
	char *left = malloc(strlen(cfg) + 1);
	int seconds = expect_taken(cfg, left);

	assert(runner_cfg_take_time_out(cfg) == seconds);
	assert(!strcmp(cfg, left));
	if (seconds >= 0) {
		assert(!strstr(cfg, ";" OWN));
		assert(runner_cfg_take_time_out(cfg) == 0); /* nothing is left to take */
		assert(!strcmp(cfg, left));
	}
	free(left);
}

/* ---- the file handler ------------------------------------------------------------------------- */

/* phys=BYTES: a power of 2 that a physical block may have, and no other than before. */
static bool expect_phys(const char *value, struct file_options *opts)
{
	int64_t size = number_of(value);

	for (int64_t good = FILE_PHYS_SIZE_LEAST; good <= FILE_PHYS_SIZE_MOST; good *= 2) {
		if (size == good && (!opts->phys_size || opts->phys_size == size)) {
			opts->phys_size = (uint32_t)size;
			return true;
		}
	}
	return false;
}

static bool expect_option(const char *option, struct file_options *opts)
{
	if (!strcmp(option, "direct"))
		opts->direct = true;
	else if (!strcmp(option, "ro"))
		opts->read_only = true;
	else if (!strcmp(option, "create"))
		opts->create = true;
	else if (!strcmp(option, "removable"))
		opts->removable = true;
	else if (!strcmp(option, "atomic"))
		opts->atomic = true;
	else
		return !strncmp(option, "phys=", 5) && expect_phys(option + 5, opts);
	return true;
}

static bool expect_options(const struct parts *parts, struct file_options *opts)
{
	const char *path = parts->part[0];

	if (!strncmp(path, "file/", 5))
		path += 5;
	*opts = (struct file_options) { .path = (char *)(uintptr_t)path };
	if (*path != '/')
		return false;
	for (size_t i = 1; i < parts->count; i++) {
		if (!expect_option(parts->part[i], opts))
			return false;
	}
	return !opts->read_only || !(opts->create || opts->atomic);
}

static void assert_same(const struct file_options *a, const struct file_options *b)
{
	assert(!strcmp(a->path, b->path));
	assert(a->direct == b->direct);
	assert(a->read_only == b->read_only);
	assert(a->create == b->create);
	assert(a->removable == b->removable);
	assert(a->atomic == b->atomic);
	assert(a->phys_size == b->phys_size);
}

/* Written again from what was read, it says the same. */
static void check_reconstruction(const struct file_options *opts)
{
	struct file_options again;
	char *cfg, *reason, phys[32] = "";

	if (opts->phys_size)
		snprintf(phys, sizeof(phys), ";phys=%u", opts->phys_size);
	if (asprintf(&cfg, "file/%s%s%s%s%s%s%s", opts->path, opts->direct ? ";direct" : "",
		     opts->read_only ? ";ro" : "", opts->create ? ";create" : "",
		     opts->removable ? ";removable" : "", opts->atomic ? ";atomic" : "", phys) < 0)
		abort();
	assert(!file_options_parse(cfg, &again, &reason));
	assert(!reason);
	assert_same(&again, opts);
	file_options_free(&again);
	free(cfg);
}

static void check_file_options(const char *cfg)
{
	static const struct file_options nothing;
	struct file_options opts, expected;
	struct parts parts;
	char *reason;
	int ret;

	split(&parts, cfg);
	memset(&opts, 0xa5, sizeof(opts));
	ret = file_options_parse(cfg, &opts, &reason);
	if (expect_options(&parts, &expected)) {
		assert(!ret && !reason);
		assert_same(&opts, &expected);
		check_reconstruction(&opts);
		file_options_free(&opts);
	} else {
		assert(ret == -EINVAL);
		assert(reason && strlen(reason) > 20); /* a sentence */
		free(reason);
	}
	/* Nothing is left of what was refused, or freed: freed twice is freed once. */
	assert(!memcmp(&opts, &nothing, sizeof(opts)));
	file_options_free(&opts);
	free(parts.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = strnlen((const char *)data, size < MAX_PARTS ? size : MAX_PARTS - 1);
	char *cfg = malloc(len + 1); /* no longer than it is: the sanitizer guards its end */

	if (len)
		memcpy(cfg, data, len);
	cfg[len] = '\0';
	check_file_options(cfg);
	check_time_out(cfg);
	cfg[strlen(cfg)] = '\0';
	check_file_options(cfg);
	free(cfg);
	return 0;
}
