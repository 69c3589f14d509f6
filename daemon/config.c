/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key and value on each line, in the group [tcmu-runner] or, as tcmu-runner 1.6 has it, in none and with quotes
 * round a text; or in that of a handler. GKeyFile reads it; it does not know of lines, so they are looked for when something is wrong.
 */
#include "daemon/config.h"

#include <errno.h>
#include <string.h>

#include "daemon/settings.h"

#define GROUP         "tcmu-runner"
#define HANDLER_GROUP "handler:"
#define FILE_MAX      (1 << 20) /* bytes */

struct reading {
	const char *path;
	const char *text; /* as it is in the file */
	struct daemon_options *opt;
	const struct daemon_options *old;
	void (*say)(const char *sentence);
	int wrong;
};

/* The line that sets this key last, from 1; 0: none. */
static unsigned int line_of(const struct reading *r, const char *key)
{
	g_auto(GStrv) lines = g_strsplit(r->text, "\n", -1);
	unsigned int found = 0;

	for (unsigned int i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]);
		size_t len = strlen(key);

		if (g_str_has_prefix(line, key) && *g_strchug(line + len) == '=')
			found = i + 1;
	}
	return found;
}

static void G_GNUC_PRINTF(3, 4) complain(struct reading *r, unsigned int line, const char *fmt, ...)
{
	g_autofree char *what = NULL, *sentence = NULL;
	va_list ap;

	va_start(ap, fmt);
	what = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	sentence = line ? g_strdup_printf("%s, line %u: %s", r->path, line, what)
			: g_strdup_printf("%s: %s", r->path, what);
	r->say(sentence);
	r->wrong++;
}

static const char *set_path(char **field, const char *value)
{
	if (*value != '/')
		return "a path that begins with '/'";
	g_free(*field);
	*field = g_strdup(value);
	return NULL;
}

static const char *set_list(struct daemon_options *opt, const char *value,
			    const char *(*set)(struct daemon_options *opt, char **list))
{
	g_auto(GStrv) parts = g_strsplit_set(value, ",; ", -1);
	g_autoptr(GPtrArray) list = g_ptr_array_new();

	for (char **part = parts; *part; part++) {
		if (**part)
			g_ptr_array_add(list, *part);
	}
	g_ptr_array_add(list, NULL);
	return set(opt, (char **)list->pdata);
}

/* Where a text of old's is to stay. */
static void keep_text(char **field, const char *old)
{
	g_free(*field);
	*field = g_strdup(old);
}

/* NULL, or what the key wants; *known: is there such a key? */
static const char *set_other(struct reading *r, const char *key, const char *value, bool *known)
{
	struct daemon_options *opt = r->opt;
	const struct daemon_options *old = r->old;
	const char *wants = NULL;

	*known = true;
	if (!strcmp(key, "log_level")) {
		wants = daemon_set_log_level(opt, value);
		if (wants && old)
			opt->log_level = old->log_level;
	} else if (!strcmp(key, "engine")) {
		wants = daemon_set_engine(opt, value);
		if (wants && old)
			opt->limits.engine = old->limits.engine;
	} else if (!strcmp(key, "log_dir")) {
		wants = set_path(&opt->log_dir, value);
		if (wants && old)
			keep_text(&opt->log_dir, old->log_dir);
	} else if (!strcmp(key, "handler_path")) {
		wants = set_path(&opt->handler_path, value);
		if (wants && old)
			keep_text(&opt->handler_path, old->handler_path);
	} else if (!strcmp(key, "foreign")) {
		wants = set_list(opt, value, daemon_set_foreign);
		if (wants && old && old->foreign)
			daemon_set_foreign(opt, old->foreign);
	} else if (!strcmp(key, "trace")) {
		wants = set_list(opt, value, daemon_set_trace);
		if (wants && old && old->trace)
			daemon_set_trace(opt, old->trace);
	} else if (!strcmp(key, "log_target")) {
		wants = daemon_set_log_target(opt, value);
		if (wants && old)
			opt->log_target = old->log_target;
	} else {
		*known = false;
	}
	return wants;
}

static void set(struct reading *r, const char *key, const char *value)
{
	const char *wants = NULL;
	bool known = false;

	for (size_t i = 0; i < daemon_numbers_count && !known; i++) {
		const struct daemon_number *n = &daemon_numbers[i];

		if (strcmp(key, n->key))
			continue;
		known = true;
		wants = daemon_set_number(n, r->opt, value);
		if (wants && r->old)
			*daemon_number_in(n, r->opt) =
				*daemon_number_in(n, (struct daemon_options *)(uintptr_t)r->old);
	}
	if (!known)
		wants = set_other(r, key, value, &known);
	if (!known)
		complain(r, line_of(r, key), "there is no setting '%s'; see tcmu-runner(8)", key);
	else if (wants)
		complain(r, line_of(r, key), "%s = %s: give %s", key, value, wants);
}

/* The value as it is meant: a text may have quotes round it. */
static char *value_of(GKeyFile *file, const char *group, const char *key)
{
	char *value = g_key_file_get_value(file, group, key, NULL);
	size_t len = strlen(g_strchomp(value));

	if (len > 1 && value[0] == '"' && value[len - 1] == '"') {
		memmove(value, value + 1, len - 2);
		value[len - 2] = '\0';
	}
	return value;
}

static void set_all(struct reading *r, GKeyFile *file)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, GROUP, NULL, NULL);

	for (char **key = keys; key && *key; key++) {
		g_autofree char *value = value_of(file, GROUP, *key);

		set(r, *key, value);
	}
}

/* ---- the groups of handlers ---- */

static void set_handler(struct reading *r, GKeyFile *file, const char *group, GPtrArray *defaults)
{
	const char *subtype = group + strlen(HANDLER_GROUP);
	g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);

	if (!*subtype || strpbrk(subtype, "/;"))
		complain(r, 0, "[%s] names no handler; [" HANDLER_GROUP "file] would", group);
	for (char **key = keys; key && *key; key++) {
		g_autofree char *value = NULL;

		if (strcmp(*key, "options")) {
			complain(r, line_of(r, *key),
				 "there is no setting '%s' in [%s], only options", *key, group);
			continue;
		}
		value = value_of(file, group, *key);
		if (*subtype && !strpbrk(subtype, "/;"))
			g_ptr_array_add(defaults, g_strconcat(subtype, ";", value, NULL));
	}
}

static void set_groups(struct reading *r, GKeyFile *file)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
	GPtrArray *defaults = g_ptr_array_new();

	for (char **group = groups; *group; group++) {
		if (g_str_has_prefix(*group, HANDLER_GROUP))
			set_handler(r, file, *group, defaults);
		else if (strcmp(*group, GROUP))
			complain(r, 0,
				 "there is no group [%s], only [" GROUP "] and [" HANDLER_GROUP
				 "SUBTYPE]",
				 *group);
	}
	g_ptr_array_add(defaults, NULL);
	g_strfreev(r->opt->defaults);
	r->opt->defaults = (char **)g_ptr_array_free(defaults, FALSE);
}

/* Says which line is none that GKeyFile can read. */
static bool has_form(struct reading *r)
{
	g_auto(GStrv) lines = g_strsplit(r->text, "\n", -1);

	for (unsigned int i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]);

		if (*line && *line != '#' && *line != '[' && (*line == '=' || !strchr(line, '='))) {
			complain(r, i + 1, "'%s' is not of the form 'key = value'", line);
			return false;
		}
	}
	return true;
}

static bool parse(struct reading *r)
{
	/* Keys before the first group are ours; a group that comes again adds to itself. */
	g_autofree char *text = g_strconcat("[" GROUP "]\n", r->text, NULL);
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) error = NULL;

	if (!has_form(r))
		return false;
	if (!g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, &error)) {
		complain(r, 0, "%s", error->message);
		return false;
	}
	set_groups(r, file);
	set_all(r, file);
	return true;
}

int daemon_config_parse(struct daemon_options *opt, const struct daemon_options *old,
			const char *path, const char *text, size_t len,
			void (*say)(const char *sentence))
{
	g_autofree char *copy = g_strndup(text, len);
	struct reading r = { .path = path, .text = copy, .opt = opt, .old = old, .say = say };

	if (len > FILE_MAX || memchr(text, '\0', len) || !g_utf8_validate(copy, -1, NULL)) {
		complain(&r, 0, "this is no text in UTF-8 of up to %d bytes", FILE_MAX);
		return -EINVAL;
	}
	return parse(&r) ? r.wrong : -EINVAL;
}

int daemon_config_read(struct daemon_options *opt, const struct daemon_options *old,
		       const char *path, bool required, void (*say)(const char *sentence))
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL, *sentence = NULL;
	gsize len;

	if (g_file_get_contents(path, &text, &len, &error))
		return daemon_config_parse(opt, old, path, text, len, say);
	if (!required && g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		return 0;
	sentence = g_strdup_printf("%s: %s", path, error->message);
	say(sentence);
	return -EIO;
}
