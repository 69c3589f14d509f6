/* SPDX-License-Identifier: Apache-2.0 */
/* The fake kernel's thread: requests of its clients, events to them, doorbells of the devices. */
#include "fake-kernel-int.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fake_send_event(struct fake_kernel *k, struct fake_dev *dev, const struct tcmu_event *ev)
{
	for (int i = 0; i < FAKE_MAX_CLIENTS; i++) {
		struct fake_client *c = k->clients[i];
		struct fake_event_node *node;

		if (!c || !c->listener || k->losing)
			continue;
		node = calloc(1, sizeof(*node));
		node->msg.ev = *ev;
		*c->queue_end = node;
		c->queue_end = &node->next;
		dev->pending.delivered = true;
	}
}

void fake_client_free(struct fake_kernel *k, int i)
{
	struct fake_client *c = k->clients[i];
	struct fake_event_node *next;

	k->clients[i] = NULL;
	for (; c->queue; c->queue = next) {
		next = c->queue->next;
		free(c->queue);
	}
	close(c->fd);
	/* Whoever was to answer is gone. */
	for (int d = 0; d < FAKE_MAX_DEVS && c->listener; d++)
		if (k->devs[d])
			k->devs[d]->pending.delivered = false;
	free(c);
}

static void flush_events(struct fake_client *c)
{
	struct fake_wire_event over = { .overflow = 1 };

	if (c->overflow && send(c->fd, &over, sizeof(over), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		c->overflow = false;
	while (c->queue && !c->overflow) {
		struct fake_event_node *node = c->queue;

		if (send(c->fd, &node->msg, sizeof(node->msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			return;
		c->queue = node->next;
		if (!c->queue)
			c->queue_end = &c->queue;
		free(node);
	}
}

/* The kernel has sent an event when its writer begins to wait, so no answer to a request may come before one:
 * who has just told it not to wait any more looks for the last events then. */
static void flush_all(struct fake_kernel *k)
{
	for (int i = 0; i < FAKE_MAX_CLIENTS; i++) {
		if (k->clients[i])
			flush_events(k->clients[i]);
	}
}

/* tcmu_genl_cmd_done(): the waiter is off the list before its type is looked at, so that a reply of
 * the wrong type loses it for good. */
static int64_t do_reply(struct fake_kernel *k, const struct fake_wire_req *req)
{
	for (int i = 0; i < FAKE_MAX_DEVS; i++) {
		struct fake_dev *dev = k->devs[i];

		if (!dev || dev->id != req->device_id)
			continue;
		if (!dev->pending.type || dev->pending.done)
			return -ENODEV;
		if (dev->pending.type != (int)req->type) {
			fake_verdict(&k->v, FAKE_V_REPLY_TYPE, "%s: event %d was answered as %u",
				     dev->name, dev->pending.type, req->type);
			return -EINVAL;
		}
		dev->pending.status = req->status;
		dev->pending.done = true;
		pthread_cond_broadcast(&k->cond);
		return 0;
	}
	return -ENODEV;
}

static int64_t do_release(struct fake_kernel *k)
{
	for (int i = 0; i < FAKE_MAX_DEVS; i++) {
		struct fake_dev *dev = k->devs[i];

		if (!dev || !dev->pending.type || dev->pending.done)
			continue;
		dev->pending.status = -EINTR;
		dev->pending.done = true;
	}
	pthread_cond_broadcast(&k->cond);
	return 0;
}

static int64_t do_stuck(struct fake_kernel *k)
{
	for (int i = 0; i < FAKE_MAX_DEVS; i++)
		if (k->devs[i] && k->devs[i]->pending.type && !k->devs[i]->pending.done &&
		    !k->devs[i]->pending.delivered)
			return 1;
	return 0;
}

static int64_t do_scan(struct fake_kernel *k, const struct fake_wire_req *req,
		       struct fake_wire_reply *rep)
{
	struct tcmu_found found = { 0 };

	for (uint32_t i = req->minor; i < FAKE_MAX_DEVS; i++) {
		struct fake_dev *dev = k->devs[i];

		if (!dev)
			continue;
		found.device_id = dev->id;
		found.minor = i;
		found.enabled = dev->enabled;
		found.awaits_replies = k->replies && !dev->no_reply;
		found.block_size = dev->block_size;
		found.dev_size = dev->size;
		/* The program's look into configfs would sleep (see fake-configfs.c). */
		if (dev->pending.type == TCMU_EVENT_REMOVED && !dev->pending.done)
			found.err = -ETIMEDOUT;
		memcpy(found.uio_name, dev->uio_name, sizeof(found.uio_name));
		snprintf(found.config, sizeof(found.config), "%s", dev->cfg);
		memcpy(rep->val, &found, sizeof(found));
		return 1;
	}
	return 0;
}

static int64_t do_open(struct fake_client *c, struct fake_dev *dev, int *fd)
{
	char junk[4096];

	if (!dev)
		return -ENODEV;
	if (fake_dev_open_now(dev))
		return -EBUSY;
	/* The counter starts anew: what was queued before gives no event. */
	while (recv(dev->peer, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	dev->opener = c->pid;
	fake_ring_restarted(dev->ring);
	*fd = dev->peer;
	return 0;
}

static int64_t do_map(struct fake_dev *dev, struct fake_wire_reply *rep, int *fd)
{
	if (!dev)
		return -ENODEV;
	*fd = fake_ring_memfd(dev->ring);
	rep->len = fake_ring_map_len(dev->ring);
	return 0;
}

static int64_t do_leave(struct fake_kernel *k, pid_t pid)
{
	for (int i = 0; i < FAKE_MAX_CLIENTS; i++) {
		if (k->clients[i] && k->clients[i]->pid == pid)
			k->clients[i]->listener = false;
	}
	return 0;
}

static int64_t dispatch(struct fake_kernel *k, struct fake_client *c, struct fake_wire_reply *rep,
			int *fd)
{
	struct fake_wire_req *req = &c->req;
	struct fake_dev *dev = req->minor < FAKE_MAX_DEVS ? k->devs[req->minor] : NULL;

	req->path[sizeof(req->path) - 1] = '\0';
	req->val[sizeof(req->val) - 1] = '\0';
	switch (req->op) {
	case FAKE_OP_SET_REPLY:
		k->replies = req->status;
		return 0;
	case FAKE_OP_LEAVE:
		return do_leave(k, c->pid);
	case FAKE_OP_REPLY:
		return do_reply(k, req);
	case FAKE_OP_SCAN:
		return do_scan(k, req, rep);
	case FAKE_OP_STUCK:
		return do_stuck(k);
	case FAKE_OP_RELEASE:
		return do_release(k);
	case FAKE_OP_OPEN:
		return do_open(c, dev, fd);
	case FAKE_OP_MAP:
		return do_map(dev, rep, fd);
	case FAKE_OP_ATTR_READ:
		return fake_configfs_read(k, req->path, rep->val, sizeof(rep->val));
	case FAKE_OP_ATTR_WRITE:
		return fake_configfs_write(k, req->path, req->val);
	case FAKE_OP_TARGET_READ:
	case FAKE_OP_TARGET_LINK:
	case FAKE_OP_TARGET_LIST:
		return fake_target_op(k, req->op, req->path, rep->val, sizeof(rep->val));
	default:
		return -EOPNOTSUPP;
	}
}

static void send_reply(int sock, struct fake_wire_reply *rep, int fd)
{
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { rep, sizeof(*rep) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *h;

		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		h = CMSG_FIRSTHDR(&msg);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	}
	sendmsg(sock, &msg, MSG_NOSIGNAL);
}

static void handle(struct fake_kernel *k, struct fake_client *c)
{
	struct fake_wire_reply rep = { 0 };
	int fd = -1;

	if (c->req.op == FAKE_OP_JOIN) {
		c->listener = true;
		return;
	}
	rep.ret = dispatch(k, c, &rep, &fd);
	c->held = rep.ret == -EAGAIN;
	if (!c->held)
		send_reply(c->fd, &rep, fd);
}

static void accept_client(struct fake_kernel *k)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	struct fake_client *c;
	int fd = accept4(k->listen_fd, NULL, NULL, SOCK_CLOEXEC), i = 0;

	while (i < FAKE_MAX_CLIENTS && k->clients[i])
		i++;
	if (fd < 0 || i == FAKE_MAX_CLIENTS) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c = calloc(1, sizeof(*c));
	c->fd = fd;
	c->queue_end = &c->queue;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	c->pid = cred.pid;
	k->clients[i] = c;
}

/* A look at everything, with the lock held. */
struct look {
	struct pollfd fds[2 + FAKE_MAX_CLIENTS + FAKE_MAX_DEVS];
	int client[FAKE_MAX_CLIENTS]; /* index */
	struct fake_dev *dev[FAKE_MAX_DEVS];
	size_t clients, devs;
	int doorbell_ms, answer_ms;
	bool late_doorbells, unheard;
	unsigned int seed;
};

static void prepare(struct fake_kernel *k, struct look *l)
{
	size_t n = 2;

	l->doorbell_ms = k->doorbell_ms;
	l->answer_ms = k->answer_ms;
	l->late_doorbells = k->late_doorbells;
	l->clients = 0;
	l->devs = 0;
	l->fds[0] = (struct pollfd) { .fd = k->listen_fd, .events = POLLIN };
	l->fds[1] = (struct pollfd) { .fd = k->wake_fd, .events = POLLIN };
	flush_all(k);
	for (int i = 0; i < FAKE_MAX_CLIENTS; i++) {
		struct fake_client *c = k->clients[i];

		if (!c)
			continue;
		if (c->held)
			handle(k, c);
		l->client[l->clients++] = i;
		l->fds[n++] = (struct pollfd) {
			.fd = c->fd,
			.events = (short)(POLLIN | (c->queue || c->overflow ? POLLOUT : 0)),
		};
	}
	for (int i = 0; i < FAKE_MAX_DEVS; i++) {
		if (!k->devs[i])
			continue;
		k->devs[i]->refs++;
		l->dev[l->devs++] = k->devs[i];
		l->fds[n++] = (struct pollfd) { .fd = k->devs[i]->sock, .events = POLLIN };
	}
}

static void serve_clients(struct fake_kernel *k, struct look *l)
{
	flush_all(k);
	for (size_t i = 0; i < l->clients; i++) {
		struct fake_client *c = k->clients[l->client[i]];
		short got = l->fds[2 + i].revents;

		if (!(got & (POLLIN | POLLHUP | POLLERR)) || c->held)
			continue;
		if (recv(c->fd, &c->req, sizeof(c->req), MSG_DONTWAIT) == sizeof(c->req))
			handle(k, c);
		else if (errno != EAGAIN || got & (POLLHUP | POLLERR))
			fake_client_free(k, l->client[i]);
	}
}

/* While nobody serves, nobody is late. */
static void check_patience(struct fake_dev *dev, int answer_ms)
{
	if (fake_ring_overdue(dev->ring, (uint64_t)answer_ms) && fake_dev_is_open(dev))
		fake_ring_check_patience(dev->ring, (uint64_t)answer_ms);
}

/* How many there are to be heard now. One in four waits, and those that come meanwhile with it. */
static unsigned int doorbells(struct look *l, struct fake_dev *dev, bool rung)
{
	bool were = dev->unheard;
	unsigned int n;
	char buf[4096];
	ssize_t len = rung ? recv(dev->sock, buf, sizeof(buf), MSG_DONTWAIT) : 0;

	if (len > 0)
		dev->unheard += (unsigned int)len / 4;
	if (dev->unheard && l->late_doorbells && rand_r(&l->seed) % 4 < (were ? 3 : 1)) {
		l->unheard = true;
		return 0;
	}
	n = dev->unheard;
	dev->unheard = 0;
	return n;
}

/* Without the lock: initiators' callbacks run in here. */
static void serve_doorbells(struct fake_kernel *k, struct look *l)
{
	uint64_t now = fake_now_ms();

	l->unheard = false;
	for (size_t i = 0; i < l->devs; i++) {
		struct fake_dev *dev = l->dev[i];
		unsigned int n = doorbells(l, dev, l->fds[2 + l->clients + i].revents & POLLIN);

		if (n)
			fake_ring_doorbell(dev->ring, n);
		check_patience(dev, l->answer_ms);
		if (n || dev->unheard || !fake_ring_published(dev->ring)) {
			dev->owed_since = 0;
		} else if (!dev->owed_since) {
			dev->owed_since = now;
		} else if (now - dev->owed_since > (uint64_t)l->doorbell_ms) {
			fake_verdict(&k->v, FAKE_V_DOORBELL,
				     "%s: published, and no doorbell for %d ms", dev->name,
				     l->doorbell_ms);
			fake_ring_reclaim(dev->ring);
			dev->owed_since = 0;
		}
	}
}

void *fake_serve(void *arg)
{
	struct fake_kernel *k = arg;
	struct look *l = calloc(1, sizeof(*l));
	uint64_t junk;

	pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		prepare(k, l);
		pthread_mutex_unlock(&k->lock);
		poll(l->fds, (nfds_t)(2 + l->clients + l->devs), l->unheard ? 1 : 20);
		serve_doorbells(k, l);
		pthread_mutex_lock(&k->lock);
		for (size_t i = 0; i < l->devs; i++)
			fake_dev_put(l->dev[i]);
		if (l->fds[1].revents && read(k->wake_fd, &junk, sizeof(junk)) < 0)
			continue;
		serve_clients(k, l);
		if (l->fds[0].revents)
			accept_client(k);
	}
	pthread_mutex_unlock(&k->lock);
	free(l);
	return NULL;
}
