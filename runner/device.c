/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a device: one function per step of its thread, and how the main thread asks. */
#include "runner/blame.h"
#include "runner/device.h"
#include "runner/uring.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define ENGINE_WORKERS  16 /* of a device whose handler uses tcmur_io_* */
#define REOPEN_EVERY_MS 5000

static int watch(int epoll_fd, int fd)
{
	/* Edge-triggered: the kernel's event counter never has to be read. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* What its thread needs; when it fails it may be tried again. */
static int init_fds(struct runner_dev *rdev)
{
	int ret;

	rdev->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rdev->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (rdev->wake_fd < 0 || rdev->epoll_fd < 0)
		return -errno;
	ret = watch(rdev->epoll_fd, rdev->wake_fd);
	return ret ? ret : watch(rdev->epoll_fd, tcmu_dev_get_fd(rdev->dev));
}

static void close_fds(struct runner_dev *rdev)
{
	if (rdev->wake_fd >= 0)
		close(rdev->wake_fd);
	if (rdev->epoll_fd >= 0)
		close(rdev->epoll_fd);
	rdev->wake_fd = rdev->epoll_fd = -1;
}

struct runner_dev *runner_dev_new(struct tcmu_device *dev, const struct runner_handler *entry,
				  bool existed, void (*ended)(struct runner_dev *rdev))
{
	struct runner_dev *rdev = g_new0(struct runner_dev, 1);
	int threads = entry->handler.nr_threads ? entry->handler.nr_threads : ENGINE_WORKERS;

	rdev->dev = dev;
	rdev->entry = entry;
	rdev->handler = &entry->handler;
	rdev->existed = existed;
	rdev->traced = runner_trace_wants(tcmu_dev_get_name(dev));
	rdev->ended = ended;
	rdev->wake_fd = rdev->epoll_fd = -1;
	rdev->batch_last = &rdev->batch_first;
	rdev->bounce_last = &rdev->bounce_first;
	rdev->copy_last = &rdev->copy_first;
	list_init(&rdev->node);
	list_init(&rdev->ranges);
	list_init(&rdev->aborted);
	list_init(&rdev->visits.node);
	mpsc_init(&rdev->visits.arrived);
	mpsc_init(&rdev->cmds_done);
	mpsc_init(&rdev->ios_done);
	runner_workers_init(&rdev->workers, (unsigned int)threads);
	rdev->workers.device = tcmu_dev_get_name(dev);
	runner_gather_init(&rdev->gather);
	runner_idle_init(rdev);
	tcmu_dev_set_private(dev, rdev);
	if (existed)
		runner_visits_expect(rdev);
	return rdev;
}

static void end_helpers(struct runner_dev *rdev)
{
	runner_workers_fini(&rdev->workers);
	runner_gather_fini(&rdev->gather);
}

void runner_dev_free(struct runner_dev *rdev)
{
	if (rdev->has_thread)
		runner_thread_join(rdev->thread); /* which has joined its helpers */
	else
		end_helpers(rdev);
	runner_idle_fini(rdev);
	runner_visits_give_up(rdev);
	close_fds(rdev);
	free(rdev->own);
	free(rdev->bounce);
	list_del(&rdev->node);
	g_free(rdev);
}

/* ---- any thread ---- */

void runner_dev_wake(struct runner_dev *rdev)
{
	uint64_t one = 1;

	/* One wake per sleep: whoever takes the flag down writes. */
	if (!atomic_load(&rdev->sleeping) || !atomic_exchange(&rdev->sleeping, false))
		return;
	/* Fails only when the counter is full, and then the thread is woken already. */
	if (write(rdev->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void runner_dev_request(struct runner_dev *rdev, unsigned int req)
{
	atomic_fetch_or(&rdev->requests, req);
	runner_dev_wake(rdev);
}

bool runner_dev_claim_reply(struct runner_dev *rdev, enum runner_reply kind)
{
	return atomic_compare_exchange_strong(&rdev->reply, &kind, RUNNER_REPLY_NONE);
}

/* ---- the device's thread ---- */

void runner_dev_set_state(struct runner_dev *rdev, enum runner_state state)
{
	if (rdev->opened) {
		atomic_store(&rdev->block_size, tcmu_dev_get_block_size(rdev->dev));
		atomic_store(&rdev->size,
			     tcmu_lba_to_byte(rdev->dev, tcmu_dev_get_num_lbas(rdev->dev)));
	}
	if (atomic_exchange(&rdev->state, state) != state)
		runner_states_changed();
}

static bool block_size_ok(struct runner_dev *rdev)
{
	uint32_t size = tcmu_dev_get_block_size(rdev->dev);

	if (size >= 512 && size <= 65536 && !(size & (size - 1)))
		return true;
	tcmu_dev_err(
		rdev->dev,
		"a block size of %u bytes cannot be served: write hw_block_size=512 or 4096 (a "
		"power of 2 up to 65536) to 'control' before 'enable'",
		size);
	return false;
}

int runner_dev_open(struct runner_dev *rdev, bool reopen)
{
	int ret;

	if (!block_size_ok(rdev))
		return -EINVAL;
	runner_cached_clear(&rdev->cached);
	runner_direct_clear(&rdev->direct);
	ret = rdev->handler->open(rdev->dev, reopen);
	if (ret > 0) /* old handlers return a positive errno or 1 */
		ret = ret < 4096 ? -ret : -EIO;
	if (ret)
		return ret;
	if (!block_size_ok(rdev)) { /* the handler may have changed it */
		rdev->handler->close(rdev->dev);
		return -EINVAL;
	}
	if (!tcmu_dev_get_num_lbas(rdev->dev)) {
		tcmu_dev_err(rdev->dev,
			     "handler '%s' reports no size, and configfs has none: write "
			     "dev_size=BYTES to 'control' before 'enable'",
			     rdev->handler->subtype);
		rdev->handler->close(rdev->dev);
		return -EINVAL;
	}
	rdev->opened = true;
	runner_thresholds_open(rdev); /* here, where the deadline of open() is its own, too */
	return 0;
}

void runner_dev_close(struct runner_dev *rdev)
{
	if (rdev->opened)
		rdev->handler->close(rdev->dev);
	rdev->opened = false;
}

/* The first open. On failure the reply is given here, and the device ends unless it existed. */
static int open_first(struct runner_dev *rdev)
{
	bool ours;
	int ret;

	runner_dev_set_state(rdev, RUNNER_OPENING);
	ret = runner_dev_open(rdev, false);
	if (rdev->existed)
		return ret ? ret : tcmulib_device_start(rdev->dev);
	/* From here the deadline cannot strike: only now may the ring be mapped, since at the
	 * deadline the kernel frees it. */
	ours = runner_dev_claim_reply(rdev, RUNNER_REPLY_ADDED);
	if (!ours) {
		tcmu_dev_warn(rdev->dev,
			      "opened, but too late: the kernel was told that it timed out");
		return -ETIMEDOUT;
	}
	if (!ret)
		ret = tcmulib_device_start(rdev->dev);
	if (ret) {
		runner_dev_set_state(rdev, RUNNER_CLOSING);
		runner_dev_close(rdev);
		tcmulib_event_done(rdev->dev, ret);
	}
	return ret;
}

static bool stop_asked(struct runner_dev *rdev)
{
	return atomic_load(&rdev->requests) & RUNNER_REQ_STOP;
}

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static void refuse_reconfig(struct runner_dev *rdev)
{
	if (runner_dev_claim_reply(rdev, RUNNER_REPLY_RECONFIG))
		tcmulib_event_done(rdev->dev, -ENODEV);
	atomic_store(&rdev->reconfig_busy, false);
}

/* Until it is time to try again, or a stop is asked for; commands that come in do not count. */
static void wait_to_retry(struct runner_dev *rdev)
{
	int64_t until = now_ms() + REOPEN_EVERY_MS, left;
	unsigned int req = 0;

	while ((left = until - now_ms()) > 0 && !stop_asked(rdev) && !(req & RUNNER_REQ_RESUME)) {
		runner_sleep(rdev, (int)left);
		/* None may be left, or the next sleep is none. */
		req = atomic_fetch_and(&rdev->requests, RUNNER_REQ_STOP);
		if (req & RUNNER_REQ_RECONFIG)
			refuse_reconfig(rdev);
		if (req & RUNNER_REQ_PARK)
			rdev->parked = true;
		if (req & RUNNER_REQ_TRIM)
			rdev->idle.watched = false;
	}
}

/* A device whose commands wait in the ring, so we try until it opens. */
int runner_dev_open_again(struct runner_dev *rdev, int err)
{
	int said = 0;

	if (err)
		runner_visits_give_up(rdev);
	while (err && !stop_asked(rdev)) {
		runner_dev_close(rdev);
		atomic_store(&rdev->error, err);
		runner_dev_set_state(rdev, RUNNER_FAILED);
		if (err != said)
			tcmu_dev_err(
				rdev->dev,
				"cannot be served: %s; its commands wait, and it is tried again "
				"every %d s",
				strerror(-err), REOPEN_EVERY_MS / 1000);
		said = err;
		wait_to_retry(rdev);
		if (stop_asked(rdev))
			break;
		runner_dev_set_state(rdev, RUNNER_OPENING);
		err = runner_dev_open(rdev, true);
		if (!err)
			err = tcmulib_device_start(rdev->dev);
	}
	return err;
}

static gboolean notify_ended(gpointer arg)
{
	struct runner_dev *rdev = arg;

	rdev->ended(rdev);
	return G_SOURCE_REMOVE;
}

static int chosen_nice; /* before any device's thread */

void runner_dev_choose_nice(int nice)
{
	chosen_nice = nice;
}

/* A thread that is woken with a command should get the processor from the kernel's worker that has put it
 * into the ring, not after it: then that one has not gone to sleep when the answer is to be handed to it.
 * Linux has it for each thread, by its id. Who may not set it, in a container say, does without. */
static void set_nice(void)
{
	if (chosen_nice)
		setpriority(PRIO_PROCESS, (id_t)gettid(), chosen_nice);
}

static void *device_main(void *arg)
{
	struct runner_dev *rdev = ((struct runner_thread *)arg)->arg;
	int err;

	pthread_setname_np(pthread_self(), "tcmu-device");
	runner_blame_thread(tcmu_dev_get_name(rdev->dev));
	set_nice();
	runner_cached_init(&rdev->cached);
	runner_spin_init(&rdev->spin, rdev->cached.one_cpu);
	runner_ops_init(rdev);
	err = open_first(rdev);
	if (err && rdev->existed)
		err = runner_dev_open_again(rdev, err);
	if (!err) {
		runner_dev_set_state(rdev, RUNNER_RUNNING);
		if (!rdev->existed)
			tcmulib_event_done(rdev->dev, 0);
		if (!stop_asked(rdev))
			runner_abort_start(rdev);
		runner_note_restore(rdev);
		runner_uring_start(rdev);
		runner_cmdproc(rdev);
		/* Whoever has completed the last command may still be about to wake us. */
		while (atomic_load(&rdev->completing))
			sched_yield();
		runner_uring_stop(rdev);
		tcmulib_device_stop(rdev->dev);
	}
	runner_dev_set_state(rdev, RUNNER_CLOSING);
	runner_dev_close(rdev);
	tcmu_log_settle(rdev->dev, true);
	/* REMOVED is answered when the storage is closed, so that a new device may open it. */
	if (runner_dev_claim_reply(rdev, RUNNER_REPLY_REMOVED))
		tcmulib_event_done(rdev->dev, 0);
	runner_dev_set_state(rdev, RUNNER_GONE);
	/* Here, not on the main thread: one may sleep in configfs until that has sent the answer (see
	 * runner_abort_start()). */
	end_helpers(rdev);
	runner_blame_thread(NULL);
	g_idle_add_full(G_PRIORITY_DEFAULT, notify_ended, rdev, NULL);
	return NULL;
}

int runner_dev_start(struct runner_dev *rdev)
{
	int ret = init_fds(rdev);

	if (!ret)
		ret = runner_thread_start(&rdev->thread, device_main, rdev, RUNNER_STACK_DEVICE);
	if (ret)
		close_fds(rdev);
	rdev->has_thread = !ret;
	return ret;
}
