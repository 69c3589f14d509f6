/* SPDX-License-Identifier: Apache-2.0 */
/* Devices come and go: what configfs writers see (target_core_user.c, from tcmu_configure_device()
 * to tcmu_destroy_device()). */
#include "fake-kernel-int.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void fake_wake(struct fake_kernel *k)
{
	uint64_t one = 1;

	if (write(k->wake_fd, &one, sizeof(one)) < 0)
		perror("eventfd");
}

static int make_socket(struct fake_kernel *k)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");

	if (!tmp || strlen(tmp) > 30)
		tmp = "/tmp";
	snprintf(k->dir, sizeof(k->dir), "%s/fake-kernel.XXXXXX", tmp);
	if (!mkdtemp(k->dir))
		return -1;
	snprintf(k->path, sizeof(k->path), "%s/sock", k->dir);
	memcpy(addr.sun_path, k->path, sizeof(k->path));
	k->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (k->listen_fd < 0 || bind(k->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(k->listen_fd, 64))
		return -1;
	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return k->wake_fd < 0 ? -1 : setenv(FAKE_KERNEL_ENV, k->path, 1);
}

struct fake_kernel *fake_kernel_new(void)
{
	struct fake_kernel *k = calloc(1, sizeof(*k));
	pthread_condattr_t attr;

	k->doorbell_ms = 3000;
	k->reply_ms = 20000;
	k->answer_ms = 20000;
	if (make_socket(k)) {
		free(k);
		return NULL;
	}
	fake_verdicts_init(&k->v);
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_create(&k->thread, NULL, fake_serve, k);
	return k;
}

static void dev_vanish(struct fake_dev *dev)
{
	struct fake_kernel *k = dev->k;

	dev->gone = true;
	k->devs[dev->minor] = NULL;
	shutdown(dev->sock, SHUT_RDWR);
	fake_ring_on_event(dev->ring, NULL, NULL);
	fake_wake(k);
	fake_dev_put(dev);
}

void fake_kernel_free(struct fake_kernel *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	for (int i = 0; i < FAKE_MAX_DEVS; i++)
		if (k->devs[i])
			dev_vanish(k->devs[i]);
	k->stop = true;
	pthread_mutex_unlock(&k->lock);
	fake_wake(k);
	pthread_join(k->thread, NULL);
	for (int i = 0; i < FAKE_MAX_CLIENTS; i++)
		if (k->clients[i])
			fake_client_free(k, i);
	close(k->listen_fd);
	close(k->wake_fd);
	unlink(k->path);
	rmdir(k->dir);
	pthread_cond_destroy(&k->cond);
	pthread_mutex_destroy(&k->lock);
	fake_verdicts_destroy(&k->v);
	fake_attr_free_all(&k->target);
	free(k);
}

const char *fake_kernel_path(struct fake_kernel *k)
{
	return k->path;
}

struct fake_verdicts *fake_kernel_verdicts(struct fake_kernel *k)
{
	return &k->v;
}

bool fake_kernel_replies(struct fake_kernel *k)
{
	bool yes;

	pthread_mutex_lock(&k->lock);
	yes = k->replies;
	pthread_mutex_unlock(&k->lock);
	return yes;
}

void fake_kernel_set_patience(struct fake_kernel *k, int doorbell_ms, int reply_ms)
{
	pthread_mutex_lock(&k->lock);
	k->doorbell_ms = doorbell_ms;
	k->reply_ms = reply_ms;
	pthread_mutex_unlock(&k->lock);
}

void fake_kernel_set_answer_patience(struct fake_kernel *k, int answer_ms)
{
	pthread_mutex_lock(&k->lock);
	k->answer_ms = answer_ms;
	pthread_mutex_unlock(&k->lock);
}

void fake_kernel_lose_events(struct fake_kernel *k, bool on)
{
	pthread_mutex_lock(&k->lock);
	k->losing = on;
	for (int i = 0; i < FAKE_MAX_CLIENTS && !on; i++)
		if (k->clients[i] && k->clients[i]->listener)
			k->clients[i]->overflow = true;
	pthread_mutex_unlock(&k->lock);
	fake_wake(k);
}

void fake_kernel_late_lookups(struct fake_kernel *k, bool on)
{
	pthread_mutex_lock(&k->lock);
	k->late_lookups = on;
	pthread_mutex_unlock(&k->lock);
	fake_wake(k);
}

void fake_kernel_late_doorbells(struct fake_kernel *k, bool on)
{
	pthread_mutex_lock(&k->lock);
	k->late_doorbells = on;
	pthread_mutex_unlock(&k->lock);
}

void fake_dev_put(struct fake_dev *dev)
{
	if (--dev->refs)
		return;
	fake_ring_free(dev->ring);
	close(dev->sock);
	close(dev->peer);
	fake_attrs_free(dev);
	free(dev);
}

/* Only a look at the opener's descriptors tells: we have one of that end ourselves. */
bool fake_dev_open_now(struct fake_dev *dev)
{
	char path[64], link[64], want[64];
	struct dirent *ent;
	bool found = false;
	DIR *dir;

	if (!dev->opener)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd", dev->opener);
	snprintf(want, sizeof(want), "socket:[%llu]", (unsigned long long)dev->peer_ino);
	dir = opendir(path);
	while (dir && !found && (ent = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), ent->d_name, link, sizeof(link) - 1);

		if (n <= 0 || (dev->opener == getpid() && atoi(ent->d_name) == dev->peer))
			continue;
		link[n] = '\0';
		found = !strcmp(link, want);
	}
	if (dir)
		closedir(dir);
	if (!found) {
		dev->opener = 0;
		fake_ring_closed(dev->ring);
	}
	return found;
}

/* uio_event_notify(). An edge for each event, also if nobody ever reads: what is old makes room. */
void fake_notify(void *arg)
{
	struct fake_dev *dev = arg;
	uint32_t one = 1;
	char junk[4096];

	while (send(dev->sock, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN || recv(dev->peer, junk, sizeof(junk), MSG_DONTWAIT) <= 0)
			return;
	}
}

static struct fake_dev *dev_new(struct fake_kernel *k, const struct fake_dev_cfg *cfg)
{
	struct fake_dev *dev = calloc(1, sizeof(*dev));
	struct stat st;
	int sv[2];

	dev->k = k;
	dev->refs = 1;
	dev->no_reply = cfg->no_reply;
	dev->size = cfg->size;
	dev->block_size = cfg->block_size ? cfg->block_size : 512;
	snprintf(dev->name, sizeof(dev->name), "%s", cfg->name);
	snprintf(dev->cfg, sizeof(dev->cfg), "%s", cfg->config);
	snprintf(dev->uio_name, sizeof(dev->uio_name), "tcm-user/0/%s%s%s", cfg->name,
		 *cfg->config ? "/" : "", cfg->config);
	dev->ring = fake_ring_new(&cfg->ring, &k->v);
	if (!dev->ring || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv)) {
		fake_ring_free(dev->ring);
		free(dev);
		return NULL;
	}
	dev->sock = sv[0];
	dev->peer = sv[1];
	fstat(dev->peer, &st);
	dev->peer_ino = st.st_ino;
	fake_ring_on_event(dev->ring, fake_notify, dev);
	fake_attrs_init(dev, cfg);
	return dev;
}

static bool heard(const struct fake_kernel *k)
{
	bool yes = false;

	for (int i = 0; i < FAKE_MAX_CLIENTS; i++)
		yes |= k->clients[i] && k->clients[i]->listener;
	return yes;
}

/* Sends the event and, if the kernel waits for replies, sleeps until the reply. With the lock held,
 * which is dropped meanwhile. */
static int event_and_wait(struct fake_dev *dev, struct tcmu_event *ev)
{
	struct fake_kernel *k = dev->k;
	/* Who creates waits for a listener that is still to come (tcmu_netlink_event_send()). */
	bool waits = k->replies && !dev->no_reply && (ev->type == TCMU_EVENT_ADDED || heard(k));
	struct timespec until;
	int ret = 0;

	ev->device_id = dev->id;
	ev->minor = dev->minor;
	snprintf(ev->uio_name, sizeof(ev->uio_name), "%s", dev->uio_name);
	dev->pending = (struct fake_pending) { .type = waits ? (int)ev->type : 0 };
	fake_send_event(k, dev, ev);
	fake_wake(k);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += k->reply_ms % 1000 * 1000000L;
	until.tv_sec += k->reply_ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (waits && !dev->pending.done && !ret)
		ret = pthread_cond_timedwait(&k->cond, &k->lock, &until);
	if (waits && !dev->pending.done) {
		fake_verdict(&k->v, FAKE_V_REPLY_LATE, "%s: no reply to event %d in %d ms",
			     dev->name, ev->type, k->reply_ms);
		ret = -ETIMEDOUT;
	} else {
		ret = waits ? dev->pending.status : 0;
	}
	dev->pending.type = 0;
	fake_wake(k); /* who slept because of it */
	return ret;
}

int fake_dev_create(struct fake_kernel *k, const struct fake_dev_cfg *cfg, struct fake_dev **out)
{
	struct tcmu_event ev = { .type = TCMU_EVENT_ADDED };
	struct fake_dev *dev = dev_new(k, cfg);
	uint32_t minor = 0;
	int ret;

	if (!dev)
		return -errno;
	pthread_mutex_lock(&k->lock);
	while (minor < FAKE_MAX_DEVS && k->devs[minor])
		minor++;
	if (minor == FAKE_MAX_DEVS) {
		fake_dev_put(dev);
		pthread_mutex_unlock(&k->lock);
		return -ENOSPC;
	}
	k->devs[minor] = dev;
	dev->minor = minor;
	dev->id = ++k->next_id;
	fake_attr_set(dev, "statistics/scsi_dev/indx", "%u\n", dev->id);
	ret = event_and_wait(dev, &ev);
	if (ret < 0) {
		/* The kernel frees the mailbox now, whoever has it mapped. */
		if (fake_dev_open_now(dev))
			fake_verdict(&k->v, FAKE_V_OPEN_AT_REFUSAL,
				     "%s was refused with %d, but is still open", dev->name, ret);
		dev_vanish(dev);
	} else {
		dev->enabled = true;
		fake_attr_set(dev, "enable", "1\n");
		*out = dev;
	}
	pthread_mutex_unlock(&k->lock);
	return ret;
}

/* transport_clear_lun_ref(): the commands of a LUN end before its device does. */
static void drain(struct fake_dev *dev)
{
	uint64_t end = fake_now_ms() + (uint64_t)dev->k->reply_ms;
	struct fake_ring_stats st;

	do {
		fake_ring_get_stats(dev->ring, &st);
		if (!st.unanswered)
			return;
		poll(NULL, 0, 1);
	} while (fake_now_ms() < end);
	fake_verdict(&dev->k->v, FAKE_V_UNANSWERED, "%s is removed with %llu commands unanswered",
		     dev->name, (unsigned long long)st.unanswered);
	fake_ring_reset(dev->ring, 2);
}

int fake_dev_remove(struct fake_dev *dev)
{
	struct fake_kernel *k = dev->k;
	struct tcmu_event ev = { .type = TCMU_EVENT_REMOVED };
	int ret;

	drain(dev);
	pthread_mutex_lock(&k->lock);
	ret = event_and_wait(dev, &ev);
	dev_vanish(dev);
	pthread_mutex_unlock(&k->lock);
	return ret == -ETIMEDOUT ? ret : 0; /* the status does not count */
}

int fake_dev_reconfig(struct fake_dev *dev, const char *attr, const char *val)
{
	struct fake_kernel *k = dev->k;
	struct tcmu_event ev = { .type = TCMU_EVENT_RECONFIG };
	char file[64];
	int ret;

	if (!strcmp(attr, "dev_size")) {
		ev.cfg_type = TCMULIB_CFG_DEV_SIZE;
		ev.dev_size = strtoull(val, NULL, 0);
	} else if (!strcmp(attr, "dev_config")) {
		ev.cfg_type = TCMULIB_CFG_DEV_CFGSTR;
		snprintf(ev.dev_cfg, sizeof(ev.dev_cfg), "%s", val);
	} else {
		ev.cfg_type = TCMULIB_CFG_WRITE_CACHE;
		ev.write_cache = atoi(val);
	}
	pthread_mutex_lock(&k->lock);
	ret = heard(k) ? event_and_wait(dev, &ev) : -ESRCH;
	if (!ret) {
		snprintf(file, sizeof(file), "attrib/%s", attr);
		fake_attr_set(dev, file, "%s\n", val);
		if (ev.cfg_type == TCMULIB_CFG_DEV_SIZE)
			dev->size = ev.dev_size;
		else if (ev.cfg_type == TCMULIB_CFG_DEV_CFGSTR)
			snprintf(dev->cfg, sizeof(dev->cfg), "%s", ev.dev_cfg);
	}
	pthread_mutex_unlock(&k->lock);
	return ret;
}

struct fake_ring *fake_dev_ring(struct fake_dev *dev)
{
	return dev->ring;
}

uint32_t fake_dev_minor(struct fake_dev *dev)
{
	return dev->minor;
}

bool fake_dev_is_open(struct fake_dev *dev)
{
	bool yes;

	pthread_mutex_lock(&dev->k->lock);
	yes = fake_dev_open_now(dev);
	pthread_mutex_unlock(&dev->k->lock);
	return yes;
}

bool fake_dev_attr(struct fake_dev *dev, const char *name, char *buf, size_t size)
{
	struct fake_attr *a;

	pthread_mutex_lock(&dev->k->lock);
	a = fake_attr_find(dev, name);
	if (a) {
		snprintf(buf, size, "%s", a->val);
		buf[strcspn(buf, "\n")] = '\0';
	}
	pthread_mutex_unlock(&dev->k->lock);
	return a;
}

void fake_dev_set_attr(struct fake_dev *dev, const char *name, const char *val)
{
	pthread_mutex_lock(&dev->k->lock);
	fake_attr_set(dev, name, "%s\n", val);
	pthread_mutex_unlock(&dev->k->lock);
}
