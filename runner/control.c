/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/defaults.h"
#include "runner/device.h"
#include "runner/info.h"
#include "runner/manager.h"
#include "runner/pause.h"

#define CONFIG_MAX 255 /* bytes, drivers/target/target_core_user.c: TCMU_CONFIG_LEN */

char *runner_config_for_handler(const char *cfgstring)
{
	struct runner_config config;

	return runner_config_make(&config, cfgstring) ? NULL : config.cfgstring;
}

/* ---- answers ---- */

struct request {
	runner_answer *answer;
	void *arg;
	struct runner_pause pause;
	guint timer;

	/* An outcome that is there already, but must not be told within the call. */
	int err;
	char message[RUNNER_WHY_MAX];
};

static void request_free(struct request *req)
{
	free(req->pause.cfgstring);
	g_free(req->pause.stored);
	g_free(req);
}

static gboolean tell_outcome(gpointer arg)
{
	struct request *req = arg;

	req->answer(req->err, req->message, req->arg);
	request_free(req);
	return G_SOURCE_REMOVE;
}

/* Nothing to wait for. */
static void tell_done(struct request *req)
{
	g_idle_add_full(G_PRIORITY_DEFAULT, tell_outcome, req, NULL);
}

static void __attribute__((format(printf, 3, 4)))
refuse(struct request *req, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(req->message, sizeof(req->message), fmt, ap);
	va_end(ap);
	req->err = err;
	g_idle_add_full(G_PRIORITY_DEFAULT, tell_outcome, req, NULL);
}

/* NULL: the request is refused. */
static struct runner_dev *find(struct request *req, const char *name, const char *subtype)
{
	char why[RUNNER_WHY_MAX];
	struct runner_dev *rdev;
	int err = runner_find(name, subtype, &rdev, why);

	if (!err)
		return rdev;
	refuse(req, err, "%s", why);
	return NULL;
}

/* ---- pauses ---- */

static void ended(struct runner_pause *pause)
{
	struct request *req = container_of(pause, struct request, pause);

	if (req->timer) { /* else it was given up, and that was said */
		g_source_remove(req->timer);
		req->answer(pause->err, pause->why, req->arg);
	}
	pause->rdev->pausing = false;
	request_free(req);
}

static gboolean too_long(gpointer arg)
{
	struct request *req = arg;
	enum runner_pause_stage open = RUNNER_PAUSE_OPEN;

	if (!atomic_compare_exchange_strong(&req->pause.stage, &open, RUNNER_PAUSE_GIVEN_UP))
		return G_SOURCE_CONTINUE; /* it is just coming to its end */
	req->timer = 0;
	runner_dev_request(req->pause.rdev, RUNNER_REQ_PAUSE);
	req->answer(
		-ETIMEDOUT,
		req->pause.kind == RUNNER_PAUSE_REOPEN
			? "its storage, or a command under way, has not come to an end in time: "
			  "its "
			  "state says what comes of it"
			: "its storage, or a command under way, has not come to an end in time: "
			  "nothing was changed",
		req->arg);
	return G_SOURCE_REMOVE;
}

static void pause_dev(struct request *req, struct runner_dev *rdev, enum runner_pause_kind kind)
{
	if (rdev->pausing || atomic_load(&rdev->reconfig_busy) ||
	    atomic_load(&rdev->state) != RUNNER_RUNNING) {
		refuse(req, -EAGAIN,
		       "'%s' is not served just now, or being changed: look at the log, or try "
		       "again",
		       tcmu_dev_get_name(rdev->dev));
		return;
	}
	req->pause.kind = kind;
	req->pause.rdev = rdev;
	req->pause.ended = ended;
	rdev->pause = &req->pause;
	rdev->pausing = true;
	rdev->draining = kind == RUNNER_PAUSE_DRAIN;
	req->timer = g_timeout_add_seconds(RUNNER_ANSWER_SEC, too_long, req);
	runner_dev_request(rdev, RUNNER_REQ_PAUSE);
}

static struct request *request_new(runner_answer *answer, void *arg)
{
	struct request *req = g_new0(struct request, 1);

	req->answer = answer;
	req->arg = arg;
	return req;
}

void runner_change_medium(const char *subtype, const char *name, uint64_t size,
			  const char *cfgstring, runner_answer *answer, void *arg)
{
	struct request *req = request_new(answer, arg);
	struct runner_config config;
	struct runner_dev *rdev;
	int ret;

	req->pause.size = size;
	req->pause.stored = g_strdup(cfgstring);
	ret = runner_config_make(&config, cfgstring);
	if (!ret) {
		req->pause.cfgstring = config.cfgstring;
		req->pause.config_len = config.own_len;
		req->pause.time_out_sec = config.time_out_sec;
	}
	if (ret == -ENOMEM)
		refuse(req, ret, "out of memory");
	else if (ret)
		refuse(req, ret, "tcmur_cmd_time_out wants whole seconds");
	else if (strlen(cfgstring) > CONFIG_MAX || strpbrk(cfgstring, ",\n"))
		refuse(req, -EINVAL,
		       "a config string that is changed can have no comma and no newline, and at "
		       "most %d bytes",
		       CONFIG_MAX);
	else if ((rdev = find(req, name, subtype)))
		pause_dev(req, rdev, RUNNER_PAUSE_CHANGE);
}

void runner_reopen(const char *name, runner_answer *answer, void *arg)
{
	struct request *req = request_new(answer, arg);
	struct runner_dev *rdev = find(req, name, NULL);

	if (!rdev)
		return;
	switch (atomic_load(&rdev->state)) {
	case RUNNER_DISCOVERED:
		runner_start_now(rdev);
		tell_done(req);
		break;
	case RUNNER_FAILED:
		runner_dev_request(rdev, RUNNER_REQ_RESUME);
		tell_done(req);
		break;
	default:
		pause_dev(req, rdev, RUNNER_PAUSE_REOPEN);
	}
}

void runner_drain(const char *name, runner_answer *answer, void *arg)
{
	struct request *req = request_new(answer, arg);
	struct runner_dev *rdev = find(req, name, NULL);

	if (rdev && atomic_load(&rdev->state) == RUNNER_DRAINED)
		tell_done(req);
	else if (rdev)
		pause_dev(req, rdev, RUNNER_PAUSE_DRAIN);
}

void runner_resume(const char *name, runner_answer *answer, void *arg)
{
	struct request *req = request_new(answer, arg);
	struct runner_dev *rdev = find(req, name, NULL);

	if (!rdev)
		return;
	if (rdev->draining && rdev->pausing) {
		refuse(req, -EBUSY, "%s", "it is just being drained: wait for the answer to that");
		return;
	}
	runner_dev_request(rdev, RUNNER_REQ_RESUME); /* of no effect where nothing was drained */
	tell_done(req);
}
