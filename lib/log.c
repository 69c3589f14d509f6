/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: the library does not choose where they go. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "libtcmu.h"
#include "lib/device.h"

#define MESSAGE_MAX    1024
#define NAME_MAX_SHOWN 512

static struct {
	void (*sink)(const struct tcmu_log_record *record, void *arg);
	void *arg;
	enum tcmu_log_level level;
	unsigned int rate;
} log_to = { .level = TCMU_LOG_INFO };

void tcmu_set_log_sink(void (*sink)(const struct tcmu_log_record *record, void *arg), void *arg)
{
	log_to.arg = arg;
	log_to.sink = sink;
}

void tcmu_set_log_level(enum tcmu_log_level level)
{
	__atomic_store_n(&log_to.level, level, __ATOMIC_RELAXED);
}

void tcmu_set_log_rate(unsigned int messages)
{
	__atomic_store_n(&log_to.rate, messages, __ATOMIC_RELAXED);
}

enum tcmu_log_level tcmu_get_log_level(void)
{
	return __atomic_load_n(&log_to.level, __ATOMIC_RELAXED);
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

static void deliver(enum tcmu_log_level level, struct tcmu_device *dev,
		    const struct tcmu_log_about *about, const char *message)
{
	struct tcmu_log_record record = { .level = level, .message = message, .about = about };
	char name[NAME_MAX_SHOWN];

	if (dev) {
		escape(name, sizeof(name), dev->name, false);
		record.device = name;
		record.handler = dev->handler ? dev->handler->subtype : NULL;
	}
	log_to.sink(&record, log_to.arg);
}

/* ---- the rate ---- */

/*
 * A window is the second in which it began, and in its lower half how many messages there were since. It is changed in
 * one step, so each message that is dropped is counted once, whatever threads there are.
 */
static uint32_t now_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)now.tv_sec;
}

static bool is_over(uint64_t window, uint32_t now)
{
	return now - (uint32_t)(window >> 32) >= TCMU_LOG_RATE_SEC;
}

static uint32_t dropped_in(uint64_t window, unsigned int rate)
{
	uint32_t messages = (uint32_t)window;

	return messages > rate ? messages - rate : 0;
}

static void say_dropped(enum tcmu_log_level level, struct tcmu_device *dev, uint32_t dropped)
{
	static const char *const names[] = {
		[TCMU_LOG_ERROR] = "errors",
		[TCMU_LOG_WARN] = "warnings",
		[TCMU_LOG_INFO] = "messages",
		[TCMU_LOG_DEBUG] = "messages for debugging",
	};
	char message[128];

	snprintf(message, sizeof(message), "%u more %s within %d s were dropped", dropped,
		 names[level], TCMU_LOG_RATE_SEC);
	deliver(level, dev, NULL, message);
}

/* One more message: may it be said? */
static bool admit(enum tcmu_log_level level, struct tcmu_device *dev)
{
	unsigned int rate = __atomic_load_n(&log_to.rate, __ATOMIC_RELAXED);
	uint64_t *window, old, next;
	uint32_t now, dropped;

	if (!rate || !dev)
		return true;
	window = &dev->log_windows[level];
	now = now_sec();
	old = __atomic_load_n(window, __ATOMIC_RELAXED);
	do {
		dropped = is_over(old, now) ? dropped_in(old, rate) : 0;
		next = is_over(old, now) ? (uint64_t)now << 32 | 1 : old + 1;
	} while (!__atomic_compare_exchange_n(window, &old, next, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	if (dropped)
		say_dropped(level, dev, dropped);
	return (uint32_t)next <= rate;
}

void tcmu_log_settle(struct tcmu_device *dev, bool now)
{
	unsigned int rate = __atomic_load_n(&log_to.rate, __ATOMIC_RELAXED);
	uint32_t sec = now_sec();

	for (enum tcmu_log_level level = TCMU_LOG_ERROR; level <= TCMU_LOG_DEBUG; level++) {
		uint64_t *window = &dev->log_windows[level];
		uint64_t old = __atomic_load_n(window, __ATOMIC_RELAXED);

		if (!rate || !log_to.sink || !dropped_in(old, rate) || !(now || is_over(old, sec)))
			continue;
		if (__atomic_compare_exchange_n(window, &old, 0, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			say_dropped(level, dev, dropped_in(old, rate));
	}
}

/* ---- messages ---- */

static void __attribute__((format(printf, 4, 0)))
say(enum tcmu_log_level level, struct tcmu_device *dev, const struct tcmu_log_about *about,
    const char *fmt, va_list ap)
{
	char raw[MESSAGE_MAX], message[MESSAGE_MAX];
	bool wanted = about && about->wanted;
	int saved = errno, len;

	if (!log_to.sink || (!wanted && level > __atomic_load_n(&log_to.level, __ATOMIC_RELAXED)) ||
	    (!wanted && !admit(level, dev)))
		return;
	errno = saved; /* for %m */
	len = vsnprintf(raw, sizeof(raw), fmt, ap);
	escape(message, sizeof(message), len < 0 ? fmt : raw, len >= (int)sizeof(raw));
	deliver(level, dev, about, message);
	errno = saved;
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *dev, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(level, dev, NULL, fmt, ap);
	va_end(ap);
}

void tcmu_log_command(enum tcmu_log_level level, struct tcmu_device *dev,
		      const struct tcmu_log_about *about, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(level, dev, about, fmt, ap);
	va_end(ap);
}
