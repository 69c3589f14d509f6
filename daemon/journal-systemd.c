/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION /* of the function that sends is of no use */
#include <systemd/sd-journal.h>
#include <unistd.h>

#define SOCKET     "/run/systemd/journal/socket"
#define FIELDS     8
#define FIELD_SIZE 2112 /* of libtcmu's longest name and message, and the field's own name */

/* systemd.exec(5): $JOURNAL_STREAM is "DEVICE:INODE" of the stream, which may not be our stderr any more. */
bool daemon_journal_has_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

struct message {
	struct iovec fields[FIELDS];
	int count;
	char text[3 * FIELD_SIZE]; /* two long ones, and the rest */
	size_t used;
};

static void __attribute__((format(printf, 2, 3))) add(struct message *m, const char *fmt, ...)
{
	char *text = m->text + m->used;
	size_t room = sizeof(m->text) - m->used;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, room, fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= room || m->count == FIELDS)
		return;
	m->fields[m->count++] = (struct iovec) { .iov_base = text, .iov_len = (size_t)len };
	m->used += (size_t)len;
}

static void add_about(struct message *m, const struct tcmu_log_about *about)
{
	char hex[3 * 32 + 1] = "";
	int len = about->cdb ? tcmu_cdb_get_length((uint8_t *)(uintptr_t)about->cdb) : 0;

	for (int i = 0; i < len && i < 32; i++)
		snprintf(hex + 3 * i, sizeof(hex) - 3 * (size_t)i, "%02x ", about->cdb[i]);
	if (*hex)
		add(m, "CDB=%.*s", (int)strlen(hex) - 1, hex);
	if (about->has_lba)
		add(m, "LBA=%llu", (unsigned long long)about->lba);
	if (about->has_sense)
		add(m, "SENSE=%x/%02x/%02x", about->sense_key, about->asc, about->ascq);
}

bool daemon_journal_send(const struct tcmu_log_record *record, int priority, const char *line)
{
	struct message m = { .count = 0 };

	/* sd_journal_sendv() calls it a success when there is none. */
	if (access(SOCKET, F_OK))
		return false;
	add(&m, "MESSAGE=%s", line);
	add(&m, "PRIORITY=%d", priority);
	add(&m, "SYSLOG_IDENTIFIER=tcmu-runner");
	if (record->device)
		add(&m, "DEVICE=%s", record->device);
	if (record->handler)
		add(&m, "HANDLER=%s", record->handler);
	if (record->about)
		add_about(&m, record->about);
	return !sd_journal_sendv(m.fields, m.count);
}
