/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: the library does not choose where they go. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libtcmu.h"
#include "lib/device.h"

#define MESSAGE_MAX    1024
#define NAME_MAX_SHOWN 512

static struct {
	void (*sink)(enum tcmu_log_level level, const char *dev_name, const char *msg, void *arg);
	void *arg;
	enum tcmu_log_level level;
} log_to = { .level = TCMU_LOG_INFO };

void tcmu_set_log_sink(void (*sink)(enum tcmu_log_level level, const char *dev_name,
				    const char *msg, void *arg),
		       void *arg)
{
	log_to.arg = arg;
	log_to.sink = sink;
}

void tcmu_set_log_level(enum tcmu_log_level level)
{
	__atomic_store_n(&log_to.level, level, __ATOMIC_RELAXED);
}

/* Bytes of the character at p if it can be shown as it is: UTF-8 (RFC 3629) and no control character;
 * 0 otherwise. */
static size_t shown(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0, 0xa0, 0x800,
					  0x10000 }; /* below are the C1 controls */
	size_t len = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
	uint32_t c = *p & (0xffu >> (len + 1));

	if (*p < 0x80)
		return *p >= ' ' && *p != 0x7f;
	if (*p < 0xc2 || *p > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c >= least[len] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) ? len : 0;
}

/* Config strings and names come from outside: they must not forge lines, move the cursor or break the
 * encoding. What cannot be shown becomes \xNN; "..." at the end says that there was more (or cut). */
static void escape(char *to, size_t size, const char *from, bool cut)
{
	const unsigned char *p = (const unsigned char *)from;
	size_t at = 0, room = 0; /* room: the last end of a character with room for the "..." */

	while (*p && !(*p == '\n' && !p[strspn((const char *)p, "\n")])) {
		size_t len = shown(p), takes = len ? len : strlen("\\xNN");

		if (at + takes >= size) {
			cut = true;
			break;
		}
		if (len)
			memcpy(to + at, p, len);
		else
			snprintf(to + at, size - at, "\\x%02x", *p);
		at += takes;
		p += len ? len : 1;
		if (at + strlen("...") < size)
			room = at;
	}
	if (cut) {
		memcpy(to + room, "...", strlen("..."));
		at = room + strlen("...");
	}
	to[at] = '\0';
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *dev, const char *fmt, ...)
{
	int saved = errno;
	char raw[MESSAGE_MAX], msg[MESSAGE_MAX], name[NAME_MAX_SHOWN];
	va_list ap;
	int len;

	if (!log_to.sink || level > __atomic_load_n(&log_to.level, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	len = vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	escape(msg, sizeof(msg), len < 0 ? fmt : raw, len >= (int)sizeof(raw));
	if (dev)
		escape(name, sizeof(name), dev->name, false);
	log_to.sink(level, dev ? name : NULL, msg, log_to.arg);
	errno = saved;
}
