/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const char *const names[FAKE_V_COUNT] = {
	[FAKE_V_TAIL_BOUNDARY] = "tail inside an entry",
	[FAKE_V_TAIL_BEYOND] = "tail beyond head",
	[FAKE_V_TAIL_BACKWARDS] = "tail moved backwards",
	[FAKE_V_LEN_OP] = "len_op changed",
	[FAKE_V_CMD_ID] = "answer for no live command",
	[FAKE_V_UNREAD] = "answered unread",
	[FAKE_V_UNANSWERED] = "never answered",
	[FAKE_V_NOT_DRAINED] = "ring not drained",
	[FAKE_V_STALE_STORE] = "store to free memory",
	[FAKE_V_MAILBOX] = "store to the mailbox",
	[FAKE_V_OUTSIDE_IOV] = "store behind the buffer",
	[FAKE_V_NOT_FILLED] = "data-in not filled",
	[FAKE_V_READ_LEN] = "senseless READ_LEN",
	[FAKE_V_SENSE] = "no sense data",
	[FAKE_V_EARLY_ACK] = "answered too early",
	[FAKE_V_KEEP_BUF] = "kept buffer",
	[FAKE_V_DOORBELL] = "doorbell lost",
	[FAKE_V_READ_AHEAD] = "read ahead of cmd_head",
	[FAKE_V_TMR] = "aborted command not answered once",
	[FAKE_V_RESET] = "reset of the ring not noticed",
	[FAKE_V_MANY_IOVS] = "more than 1024 iovecs",
	[FAKE_V_OPCODE] = "unknown opcode not refused",
	[FAKE_V_RESTART] = "not the same after a kill",
	[FAKE_V_SWAP] = "slots are not the unanswered requests",
	[FAKE_V_REPLY_TYPE] = "reply of the wrong type",
	[FAKE_V_REPLY_LATE] = "reply too late",
	[FAKE_V_OPEN_AT_REFUSAL] = "refused while open",
	[FAKE_V_LOST] = "durable data lost",
};

const char *fake_verdict_name(enum fake_verdict kind)
{
	return kind < FAKE_V_COUNT && names[kind] ? names[kind] : "?";
}

const char *fake_verdict_number(enum fake_verdict kind, char buf[8])
{
	if (kind == FAKE_V_SWAP)
		return "20b";
	snprintf(buf, 8, "%d", (int)kind);
	return buf;
}

void fake_verdicts_init(struct fake_verdicts *v)
{
	memset(v, 0, sizeof(*v));
	pthread_mutex_init(&v->lock, NULL);
}

void fake_verdicts_destroy(struct fake_verdicts *v)
{
	pthread_mutex_destroy(&v->lock);
}

void fake_verdict(struct fake_verdicts *v, enum fake_verdict kind, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&v->lock);
	if (!v->seen[kind]++) {
		va_start(ap, fmt);
		vsnprintf(v->first[kind], sizeof(v->first[kind]), fmt, ap);
		va_end(ap);
	}
	pthread_mutex_unlock(&v->lock);
}

unsigned int fake_verdict_count(struct fake_verdicts *v, enum fake_verdict kind)
{
	unsigned int n;

	pthread_mutex_lock(&v->lock);
	n = v->seen[kind];
	pthread_mutex_unlock(&v->lock);
	return n;
}

static unsigned int total_but(struct fake_verdicts *v, enum fake_verdict but, FILE *out)
{
	unsigned int n = 0;
	char buf[8];

	pthread_mutex_lock(&v->lock);
	for (int i = 1; i < FAKE_V_COUNT; i++) {
		if (!v->seen[i] || i == (int)but)
			continue;
		n += v->seen[i];
		if (out)
			fprintf(out, "violation %s (%s), %u times, first: %s\n",
				fake_verdict_number(i, buf), fake_verdict_name(i), v->seen[i],
				v->first[i]);
	}
	pthread_mutex_unlock(&v->lock);
	return n;
}

unsigned int fake_verdicts_total(struct fake_verdicts *v, FILE *out)
{
	return total_but(v, FAKE_V_NONE, out);
}

int fake_verdicts_only(struct fake_verdicts *v, enum fake_verdict kind)
{
	bool ok = !total_but(v, kind, stderr);
	char buf[8];

	if (kind != FAKE_V_NONE && !fake_verdict_count(v, kind)) {
		fprintf(stderr, "violation %s (%s) was not seen\n", fake_verdict_number(kind, buf),
			fake_verdict_name(kind));
		ok = false;
	}
	return ok;
}

void fake_verdicts_clear(struct fake_verdicts *v)
{
	pthread_mutex_lock(&v->lock);
	memset(v->seen, 0, sizeof(v->seen));
	pthread_mutex_unlock(&v->lock);
}
