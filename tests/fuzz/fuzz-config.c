/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer on the configuration file. What is in force afterwards must be what a plain look at the lines says:
 * of each number the last line that sets it counts, if it is good; if it is not, or nothing of the file can be
 * used, what was there stays. Leaks count.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "daemon/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned int said;

static void say(const char *sentence)
{
	assert(g_str_has_prefix(sentence, "/etc/x"));
	assert(g_utf8_validate(sentence, -1, NULL));
	said++;
}

static void fill(struct daemon_options *opt, int number)
{
	memset(opt, 0, sizeof(*opt));
	opt->log_level = TCMU_LOG_INFO;
	opt->handler_path = g_strdup("/default");
	for (size_t i = 0; i < daemon_numbers_count; i++)
		*daemon_number_in(&daemon_numbers[i], opt) = number;
}

static void empty(struct daemon_options *opt)
{
	g_free(opt->log_dir);
	g_free(opt->handler_path);
	g_strfreev(opt->foreign);
	g_strfreev(opt->trace);
	g_strfreev(opt->defaults);
}

/* An optional sign and digits; false if it is no number of this range. */
static bool number_of(const char *text, const struct daemon_number *n, int *number)
{
	bool minus = *text == '-';
	int64_t v = 0;

	text += *text == '-' || *text == '+';
	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || v > INT32_MAX)
			return false;
		v = v * 10 + (*text - '0');
	}
	v = minus ? -v : v;
	*number = (int)v;
	return v >= n->min && v <= n->max;
}

/* What of the lines of our group is the last value of key; NULL: none. The caller frees it. */
static char *last_value(const char *text, const char *key)
{
	char **lines = g_strsplit(text, "\n", -1), *found = NULL;
	bool ours = true;

	for (char **line = lines; *line; line++) {
		char *equals, *at = g_strstrip(*line);

		if (*at == '[')
			ours = g_str_has_prefix(at, "[tcmu-runner]");
		equals = *at == '#' || *at == '[' ? NULL : strchr(at, '=');
		if (!ours || !equals)
			continue;
		*equals = '\0';
		if (strcmp(g_strchomp(at), key))
			continue;
		g_free(found);
		found = g_strdup(g_strstrip(equals + 1));
		if (strlen(found) > 1 && *found == '"' && found[strlen(found) - 1] == '"') {
			found[strlen(found) - 1] = '\0';
			memmove(found, found + 1, strlen(found));
		}
	}
	g_strfreev(lines);
	return found;
}

static void expect(const char *text, struct daemon_options *opt, int before, int otherwise)
{
	for (size_t i = 0; i < daemon_numbers_count; i++) {
		const struct daemon_number *n = &daemon_numbers[i];
		char *value = last_value(text, n->key);
		int wanted = before;

		if (value && !number_of(value, n, &wanted))
			wanted = otherwise;
		assert(*daemon_number_in(n, opt) == wanted);
		g_free(value);
	}
}

static void run(const char *text, size_t size, bool with_old)
{
	struct daemon_options opt, old;
	int ret;

	fill(&opt, 1000001); /* in no range but that of files */
	fill(&old, 1000002);
	said = 0;
	ret = daemon_config_parse(&opt, with_old ? &old : NULL, "/etc/x", text, size, say);
	assert(ret < 0 ? said == 1 : (unsigned int)ret == said);
	if (ret < 0)
		expect("", &opt, 1000001, 0);
	else
		expect(text, &opt, 1000001, with_old ? 1000002 : 1000001);
	assert(ret < 0 || !strchr(opt.handler_path, '\n'));
	/* Each is of the form SUBTYPE;OPTIONS. */
	for (char **one = opt.defaults; one && *one; one++)
		assert(strcspn(*one, "/;") > 0 && (*one)[strcspn(*one, "/;")] == ';');
	empty(&opt);
	empty(&old);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = g_strndup((const char *)data, size);

	run(text, size, false);
	run(text, size, true);
	g_free(text);
	return 0;
}
