/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on the strings that come over the system bus: the input's first byte chooses the handler, the rest is
 * strings with a NUL between them, valid UTF-8 as D-Bus has it. What dbus/form.c says of each must be what a second,
 * simpler reading says; a config string that passes goes the way of CheckConfig into the file handler, which may look
 * but not touch, and that of ChangeMedium, up to the device's thread. Each is answered once. Leaks count.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dbus/form.h"
#include "runner/control.h"
#include "runner/device.h"
#include "runner/info.h"
#include "runner/manager.h"
#include "runner/pause.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STRINGS 4
#define OWN     ";tcmur_cmd_time_out="

/* ---- the system, as far as check_config() may go ---------------------------------------------------- */

static unsigned int dice;  /* of the input */
static const char *config; /* what is asked about */
static bool checking;      /* libFuzzer opens files, too */

/* It may look at what the config string names, or at its directory. */
static void look(const char *path)
{
	const char *named = strchr(config, '/') + 1;
	size_t len = strlen(path);

	assert(*path == '/');
	while (len > 1 && path[len - 1] == '/')
		len--;
	assert(len == 1 || strstr(named, "//") || !strncmp(named, path, len) ||
	       strstr(path, ".atomic"));
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	if (!checking)
		return __real_open(path, flags, 0600);
	look(path);
	assert((flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC)));
	errno = dice & 1 ? ENOENT : EACCES;
	return -1;
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	if (!checking)
		return __real_opendir(path);
	look(path);
	errno = ENOENT;
	return NULL;
}

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
	if (!checking)
		return __real_access(path, mode);
	look(path);
	errno = dice & 2 ? ENOENT : EACCES;
	return dice & 4 ? 0 : -1;
}

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st)
{
	static const mode_t modes[] = { S_IFREG, S_IFBLK, S_IFDIR, S_IFIFO };

	if (!checking)
		return __real_stat(path, st);
	look(path);
	memset(st, 0, sizeof(*st));
	st->st_mode = modes[dice >> 3 & 3] | 0600;
	st->st_size = dice & 32 ? 1 << 20 : 0;
	errno = ENOENT;
	return dice & 64 ? 0 : -1;
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *dev, const char *fmt, ...)
{
	(void)level, (void)dev, (void)fmt;
}

/* ---- the device that is asked to change ------------------------------------------------------------- */

static struct runner_dev rdev;
static struct tcmur_handler played = { .subtype = "file" };
static unsigned int answers;
static int answered;

int runner_find(const char *name, const char *subtype, struct runner_dev **found,
		char why[RUNNER_WHY_MAX])
{
	assert(!form_name(name) && subtype);
	*found = &rdev;
	g_strlcpy(why, "not here", RUNNER_WHY_MAX);
	return dice & 128 ? -ENOENT : 0;
}

const char *tcmu_dev_get_name(struct tcmu_device *dev)
{
	(void)dev;
	return "user_0/disk";
}

void runner_start_now(struct runner_dev *r)
{
	(void)r;
	abort();
}

/* The device's thread: what it gets is what was checked. */
void runner_dev_request(struct runner_dev *r, unsigned int req)
{
	struct runner_pause *pause = r->pause;

	assert(req == RUNNER_REQ_PAUSE && pause->kind == RUNNER_PAUSE_CHANGE);
	assert(!strcmp(pause->stored, config) && strlen(pause->stored) <= FORM_CONFIG_MAX);
	assert(!strpbrk(pause->stored, ",\n") && !strstr(pause->cfgstring, OWN));
	pause->err = dice & 1 ? -EIO : 0;
	g_strlcpy(pause->why, "a sentence", sizeof(pause->why));
	r->pause = NULL;
	pause->ended(pause);
}

static void answer(int err, const char *message, void *arg)
{
	assert(arg == &rdev && err <= 0 && (!err || *message));
	assert(g_utf8_validate(message, -1, NULL) || !g_utf8_validate(config, -1, NULL));
	answered = err;
	answers++;
}

static void change(const char *subtype, const char *name)
{
	char *own = runner_config_for_handler(config);
	bool fits = own && !strpbrk(config, ",\n");

	answers = 0;
	atomic_store(&rdev.state, RUNNER_RUNNING);
	runner_change_medium(subtype, name, dice, config, answer, &rdev);
	while (g_main_context_iteration(NULL, FALSE))
		;
	assert(answers == 1 && !rdev.pausing);
	assert(fits || answered == -EINVAL);
	assert(!fits || (answered == 0) == !(dice & 129));
	free(own);
}

/* ---- the second reading ----------------------------------------------------------------------------- */

static bool starts_with_subtype(const char *subtype, const char *s)
{
	char *prefix = malloc(strlen(subtype) + 2);
	bool yes;

	strcpy(prefix, subtype);
	strcat(prefix, "/");
	yes = strstr(s, prefix) == s;
	free(prefix);
	return yes;
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define DIGITS  "0123456789"

static bool may_register(const char *subtype, const char *desc)
{
	size_t len = strlen(subtype);

	return len && len <= 64 && !strspn(subtype, DIGITS) &&
	       strspn(subtype, LETTERS DIGITS) == len && strcmp(subtype, "HandlerManager1") != 0 &&
	       strlen(desc) <= 4096;
}

static bool names_an_object(const char *name)
{
	char *own = strdup(name), *rest = own, *part[3] = { NULL };
	const char *object;
	size_t n = 0;

	while (n < 3 && (part[n] = strsep(&rest, "/")))
		n++;
	object = part[n == 2];
	bool good = strlen(name) <= 300 && (n == 1 || n == 2) && *object &&
		    strcmp(object, ".") != 0 && strcmp(object, "..") != 0;
	if (n == 2)
		good = good && !strncmp(part[0], "user_", 5) && part[0][5] &&
		       strspn(part[0] + 5, DIGITS) == strlen(part[0] + 5);
	free(own);
	return good;
}

static bool is_sentence(const char *why)
{
	return *why && strlen(why) < 320 && !strchr(why, '\n');
}

/* ---- one input -------------------------------------------------------------------------------------- */

struct tcmur_handler *tcmur_handler_entry(void);

static void check(const char *cfgstring)
{
	const struct tcmur_handler *file = tcmur_handler_entry();
	char *own = runner_config_for_handler(cfgstring), *reason = NULL;

	if (own) {
		bool good;

		checking = true;
		good = file->check_config(own, &reason);
		checking = false;
		assert(good || (reason && *reason));
		free(reason);
	}
	free(own);
}

static void one_config(const char *subtype, const char *cfgstring, const char *name)
{
	const char *why = form_config(subtype, cfgstring);

	assert(!why == (strlen(cfgstring) <= 255 && starts_with_subtype(subtype, cfgstring)));
	if (why) {
		assert(is_sentence(why));
		return;
	}
	config = cfgstring;
	if (!strcmp(subtype, "file"))
		check(cfgstring);
	if (!form_name(name))
		change(subtype, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const subtypes[] = { "file", "null", "a_longer_subtype" };
	char *strings[STRINGS];
	const char *why;
	size_t n = 0;

	if (size < 2)
		return 0;
	for (size_t at = 2, len; at < size; at += len + 1) {
		len = strnlen((const char *)data + at, size - at);
		if (!g_utf8_validate((const char *)data + at, (gssize)len, NULL))
			return 0;
	}
	dice = data[1];
	rdev.handler = &played;
	for (size_t at = 2; n < STRINGS; n++) {
		size_t len = at < size ? strnlen((const char *)data + at, size - at) : 0;

		strings[n] = calloc(1, len + 1);
		if (len)
			memcpy(strings[n], data + at, len);
		at += len + 1;
	}
	why = form_registration(strings[2], strings[3]);
	assert(!why == may_register(strings[2], strings[3]));
	assert(!why || is_sentence(why));
	why = form_name(strings[1]);
	assert(!why == names_an_object(strings[1]));
	assert(!why || is_sentence(why));
	/* Of another process, whose subtype has passed. */
	one_config(data[0] >= 252 && may_register(strings[2], "") ? strings[2]
								  : subtypes[data[0] % 3],
		   strings[0], strings[1]);
	for (size_t i = 0; i < STRINGS; i++)
		free(strings[i]);
	return 0;
}
