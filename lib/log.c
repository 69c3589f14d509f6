/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: the library does not choose where they go. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libtcmu.h"
#include "lib/device.h"

#define MESSAGE_MAX 1024

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

/* Config strings and names come from outside: they must not forge lines or move the cursor. */
static void make_printable(char *msg)
{
	size_t len = strlen(msg);

	while (len && msg[len - 1] == '\n')
		msg[--len] = '\0';
	for (; *msg; msg++) {
		if ((unsigned char)*msg < ' ' || *msg == 0x7f)
			*msg = '?';
	}
}

void tcmu_log(enum tcmu_log_level level, struct tcmu_device *dev, const char *fmt, ...)
{
	int saved = errno;
	char msg[MESSAGE_MAX];
	va_list ap;
	int len;

	if (!log_to.sink || level > __atomic_load_n(&log_to.level, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	len = vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (len < 0)
		snprintf(msg, sizeof(msg), "%s", fmt);
	else if ((size_t)len >= sizeof(msg))
		memcpy(msg + sizeof(msg) - 4, "...", 4);
	make_printable(msg);
	log_to.sink(level, dev ? dev->name : NULL, msg, log_to.arg);
	errno = saved;
}
