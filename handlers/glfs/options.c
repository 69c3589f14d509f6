/* SPDX-License-Identifier: Apache-2.0 */
/* The config string: glfs/VOLUME@HOST/PATH[;OPTION]... */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gluster.h"

#define DEFAULT_PORT  24007 /* glusterd's */
#define DEFAULT_LOG   "/var/log/tcmu-runner-glfs.log"
#define DEFAULT_LEVEL 4    /* errors */
#define TIMEOUT_MOST  1013 /* of network.ping-timeout */
#define DEFAULT_PHYS  4096 /* what the bricks' file systems have */
#define PHYS_LEAST    512
#define PHYS_MOST     65536

#define FORM "glfs/VOLUME@HOST/PATH"

int gluster_refuse(char **reason, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(reason, fmt, args) < 0)
		*reason = NULL;
	va_end(args);
	return -err;
}

void gluster_options_free(struct gluster_options *opts)
{
	for (size_t i = 0; i < opts->server_count; i++)
		free(opts->servers[i].host);
	free(opts->volume);
	free(opts->path);
	free(opts->log);
	memset(opts, 0, sizeof(*opts));
}

/* A whole number from least to most that fills all len bytes; or -1. */
static int parse_number(const char *text, size_t len, int least, int most)
{
	int64_t n = 0;

	if (!len || len > 9)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		n = n * 10 + (text[i] - '0');
	}
	return n < least || n > most ? -1 : (int)n;
}

/* ---- servers ---- */

static int add_server(struct gluster_options *opts, const char *transport, const char *host,
		      size_t len, int port, char **reason)
{
	struct gluster_server *server = &opts->servers[opts->server_count];

	if (opts->server_count == GLUSTER_SERVERS_MAX)
		return gluster_refuse(reason, EINVAL,
				      "'%.*s' is one server too many; %d are tried at most",
				      (int)len, host, GLUSTER_SERVERS_MAX);
	server->host = strndup(host, len);
	if (!server->host)
		return -ENOMEM;
	server->transport = transport;
	server->port = port;
	opts->server_count++;
	return 0;
}

/* HOST, HOST:PORT, [ADDRESS], [ADDRESS]:PORT. Port 0: to be filled in later. */
static int parse_host(struct gluster_options *opts, const char *text, size_t len, char **reason)
{
	const char *host = text, *colon = NULL;
	size_t host_len = len;
	int port = 0;

	if (*text == '[') {
		const char *close = memchr(text, ']', len);

		if (!close)
			return gluster_refuse(reason, EINVAL,
					      "'%.*s' lacks the ']' behind an IPv6 address",
					      (int)len, text);
		host = text + 1;
		host_len = (size_t)(close - host);
		if (close + 1 < text + len)
			colon = close + 1;
	} else {
		colon = memchr(text, ':', len);
		if (colon)
			host_len = (size_t)(colon - text);
	}
	if (colon) {
		port = *colon == ':'
			       ? parse_number(colon + 1, (size_t)(text + len - colon - 1), 1, 65535)
			       : -1;
		if (port < 0)
			return gluster_refuse(
				reason, EINVAL,
				"'%.*s' is no server; write a host, or host:port (an IPv6 address "
				"in brackets), with a port from 1 to 65535",
				(int)len, text);
	}
	for (size_t i = 0; i < host_len; i++)
		if (!isgraph((unsigned char)host[i]) || host[i] == '@')
			host_len = 0;
	if (!host_len)
		return gluster_refuse(reason, EINVAL, "'%.*s' is no name or address of a server",
				      (int)len, text);
	return add_server(opts, "tcp", host, host_len, port, reason);
}

/* ---- options ---- */

/* Those with a value, "NAME=" before it. */
static int set_server(struct gluster_options *opts, const char *value, size_t len, int *port,
		      char **reason)
{
	(void)port;
	return parse_host(opts, value, len, reason);
}

static int set_socket(struct gluster_options *opts, const char *value, size_t len, int *port,
		      char **reason)
{
	(void)port;
	if (!len || *value != '/')
		return gluster_refuse(reason, EINVAL,
				      "'socket=%.*s' is not the absolute path of glusterd's socket",
				      (int)len, value);
	return add_server(opts, "unix", value, len, 0, reason);
}

static int set_port(struct gluster_options *opts, const char *value, size_t len, int *port,
		    char **reason)
{
	(void)opts;
	*port = parse_number(value, len, 1, 65535);
	if (*port < 0)
		return gluster_refuse(
			reason, EINVAL,
			"'port=%.*s' is no port; write one from 1 to 65535 (glusterd's is "
			"%d)",
			(int)len, value, DEFAULT_PORT);
	return 0;
}

static int set_log(struct gluster_options *opts, const char *value, size_t len, int *port,
		   char **reason)
{
	(void)port;
	if (!len || *value != '/')
		return gluster_refuse(
			reason, EINVAL,
			"'log=%.*s' is not an absolute path; libgfapi's messages go there",
			(int)len, value);
	free(opts->log);
	opts->log = strndup(value, len);
	return opts->log ? 0 : -ENOMEM;
}

static int set_log_level(struct gluster_options *opts, const char *value, size_t len, int *port,
			 char **reason)
{
	(void)port;
	opts->log_level = parse_number(value, len, 1, 9);
	if (opts->log_level < 0)
		return gluster_refuse(
			reason, EINVAL,
			"'loglevel=%.*s' is none of libgfapi's levels; write one from 1 "
			"(least) to 9 (traces); 4 is errors, 7 information",
			(int)len, value);
	return 0;
}

static int set_timeout(struct gluster_options *opts, const char *value, size_t len, int *port,
		       char **reason)
{
	int seconds = parse_number(value, len, 1, TIMEOUT_MOST);

	(void)port;
	if (seconds < 0)
		return gluster_refuse(reason, EINVAL,
				      "'timeout=%.*s' is no time; write whole seconds from 1 to %d",
				      (int)len, value, TIMEOUT_MOST);
	opts->timeout = (unsigned int)seconds;
	return 0;
}

static int set_phys(struct gluster_options *opts, const char *value, size_t len, int *port,
		    char **reason)
{
	int size = parse_number(value, len, PHYS_LEAST, PHYS_MOST);

	(void)port;
	if (size < 0 || (size & (size - 1)))
		return gluster_refuse(
			reason, EINVAL,
			"'phys=%.*s' is no size of a physical block; write a power of 2 from "
			"%d to %d: phys=4096",
			(int)len, value, PHYS_LEAST, PHYS_MOST);
	opts->phys_size = (uint32_t)size;
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct gluster_options *opts, const char *value, size_t len, int *port,
		   char **reason);
} with_value[] = {
	{ "server=", set_server }, { "socket=", set_socket },      { "port=", set_port },
	{ "log=", set_log },       { "loglevel=", set_log_level }, { "timeout=", set_timeout },
	{ "phys=", set_phys },
};

/* One option, len bytes long. *port: of those servers that say none. */
static int parse_option(struct gluster_options *opts, const char *text, size_t len, int *port,
			char **reason)
{
	const struct {
		const char *name;
		bool *value;
	} flags[] = {
		{ "create", &opts->create },
		{ "ro", &opts->read_only },
		{ "removable", &opts->removable },
	};

	for (size_t i = 0; i < sizeof(with_value) / sizeof(with_value[0]); i++) {
		size_t name_len = strlen(with_value[i].name);

		if (len >= name_len && !memcmp(with_value[i].name, text, name_len))
			return with_value[i].set(opts, text + name_len, len - name_len, port,
						 reason);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (len == strlen(flags[i].name) && !memcmp(flags[i].name, text, len)) {
			*flags[i].value = true;
			return 0;
		}
	}
	return gluster_refuse(
		reason, EINVAL,
		"'%.*s' is no option of the glfs handler; there are: server=HOST, port=N, "
		"socket=PATH, "
		"timeout=SECONDS, log=FILE, loglevel=N, phys=BYTES, create, ro, removable (and a "
		"path cannot "
		"contain ';')",
		(int)len, text);
}

/* ---- the whole ---- */

/* VOLUME@HOST/PATH, len bytes. */
static int parse_place(struct gluster_options *opts, const char *place, size_t len, char **reason)
{
	const char *at = memchr(place, '@', len), *host, *slash;
	size_t volume_len;

	if (!at)
		return gluster_refuse(reason, EINVAL, "'%.*s' has no '@'; write " FORM, (int)len,
				      place);
	volume_len = (size_t)(at - place);
	for (size_t i = 0; i < volume_len; i++)
		if (!isalnum((unsigned char)place[i]) && place[i] != '-' && place[i] != '_')
			return gluster_refuse(
				reason, EINVAL,
				"'%.*s' is no name of a volume: those have letters, digits, "
				"'-' and '_'",
				(int)volume_len, place);
	if (!volume_len)
		return gluster_refuse(reason, EINVAL, "'%.*s' names no volume; write " FORM,
				      (int)len, place);
	host = at + 1;
	slash = memchr(host, '/', (size_t)(place + len - host));
	if (!slash || slash + 1 == place + len)
		return gluster_refuse(reason, EINVAL,
				      "'%.*s' has no path behind the host; write " FORM, (int)len,
				      place);
	opts->volume = strndup(place, volume_len);
	opts->path = strndup(slash, (size_t)(place + len - slash));
	if (!opts->volume || !opts->path)
		return -ENOMEM;
	return slash == host ? 0 : parse_host(opts, host, (size_t)(slash - host), reason);
}

static int parse(const char *cfgstring, struct gluster_options *opts, char **reason)
{
	const char *place = cfgstring;
	int port = DEFAULT_PORT, ret;
	size_t len;

	if (!strncmp(place, GLUSTER_SUBTYPE "/", strlen(GLUSTER_SUBTYPE "/")))
		place += strlen(GLUSTER_SUBTYPE "/");
	len = strcspn(place, ";");
	ret = parse_place(opts, place, len, reason);
	for (const char *opt = place + len; !ret && *opt;) {
		size_t opt_len = strcspn(++opt, ";");

		ret = parse_option(opts, opt, opt_len, &port, reason);
		opt += opt_len;
	}
	if (ret)
		return ret;
	if (!opts->server_count)
		return gluster_refuse(reason, EINVAL,
				      "'%.*s' names no host; write " FORM ", or add the option "
				      ";socket=PATH of a glusterd on this machine",
				      (int)len, place);
	if (opts->create && opts->read_only)
		return gluster_refuse(reason, EINVAL,
				      "'create' and 'ro' exclude each other: a new file that "
				      "cannot be written to is "
				      "of no use");
	for (size_t i = 0; i < opts->server_count; i++)
		if (!strcmp(opts->servers[i].transport, "tcp") && !opts->servers[i].port)
			opts->servers[i].port = port;
	if (!opts->log)
		opts->log = strdup(DEFAULT_LOG);
	return opts->log ? 0 : -ENOMEM;
}

int gluster_options_parse(const char *cfgstring, struct gluster_options *opts, char **reason)
{
	int ret;

	memset(opts, 0, sizeof(*opts));
	opts->log_level = DEFAULT_LEVEL;
	opts->phys_size = DEFAULT_PHYS;
	*reason = NULL;
	ret = parse(cfgstring, opts, reason);
	if (ret)
		gluster_options_free(opts);
	return ret;
}
