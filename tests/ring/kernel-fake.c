/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel seam for tests: a thin client of the fake kernel that TCMU_FAKE_KERNEL names. */
#include "fake-map.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct tcmu_kernel {
	int event_fd;
	/* Connections nobody uses just now. A call takes one or makes one, because any call may
	 * sleep in the kernel while others go on. */
	pthread_mutex_t lock;
	int idle[16];
	size_t idle_cnt;
};

static int connect_fake(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = getenv(FAKE_KERNEL_ENV);
	int fd;

	if (!path || strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENOENT;
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int take_conn(struct tcmu_kernel *k)
{
	int fd = -1;

	pthread_mutex_lock(&k->lock);
	if (k->idle_cnt)
		fd = k->idle[--k->idle_cnt];
	pthread_mutex_unlock(&k->lock);
	return fd >= 0 ? fd : connect_fake();
}

static void put_conn(struct tcmu_kernel *k, int fd)
{
	pthread_mutex_lock(&k->lock);
	if (k->idle_cnt < sizeof(k->idle) / sizeof(k->idle[0])) {
		k->idle[k->idle_cnt++] = fd;
		fd = -1;
	}
	pthread_mutex_unlock(&k->lock);
	if (fd >= 0)
		close(fd);
}

static ssize_t recv_fd(int sock, void *buf, size_t size, int *fd)
{
	union {
		struct cmsghdr hdr;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { buf, size };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	*fd = -1;
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

/* -EIO: there is no fake kernel any more. */
static int64_t call(struct tcmu_kernel *k, const struct fake_wire_req *req,
		    struct fake_wire_reply *rep, int *passed)
{
	int sock = take_conn(k), fd = -1;
	ssize_t n;

	if (sock < 0)
		return -EIO;
	n = send(sock, req, sizeof(*req), MSG_NOSIGNAL);
	if (n == sizeof(*req))
		n = recv_fd(sock, rep, sizeof(*rep), &fd);
	if (n != sizeof(*rep)) {
		close(sock);
		return -EIO;
	}
	put_conn(k, sock);
	if (passed)
		*passed = fd;
	else if (fd >= 0)
		close(fd);
	return rep->ret;
}

static struct tcmu_kernel *fake_open(void)
{
	struct fake_wire_req req = { .op = FAKE_OP_JOIN };
	struct tcmu_kernel *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	pthread_mutex_init(&k->lock, NULL);
	k->event_fd = connect_fake();
	if (k->event_fd < 0 || send(k->event_fd, &req, sizeof(req), MSG_NOSIGNAL) != sizeof(req)) {
		int err = errno;

		if (k->event_fd >= 0)
			close(k->event_fd);
		free(k);
		errno = err;
		return NULL;
	}
	return k;
}

static void fake_close(struct tcmu_kernel *k)
{
	close(k->event_fd);
	while (k->idle_cnt)
		close(k->idle[--k->idle_cnt]);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static int simple_call(struct tcmu_kernel *k, const struct fake_wire_req *req)
{
	struct fake_wire_reply rep;

	return (int)call(k, req, &rep, NULL);
}

static int fake_set_reply(struct tcmu_kernel *k, bool on)
{
	struct fake_wire_req req = { .op = FAKE_OP_SET_REPLY, .status = on };

	return simple_call(k, &req);
}

static void fake_leave(struct tcmu_kernel *k)
{
	struct fake_wire_req req = { .op = FAKE_OP_LEAVE };

	simple_call(k, &req);
}

static int fake_event_fd(struct tcmu_kernel *k)
{
	return k->event_fd;
}

static int fake_next_event(struct tcmu_kernel *k, struct tcmu_event *ev)
{
	struct fake_wire_event msg;
	ssize_t n = recv(k->event_fd, &msg, sizeof(msg), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n != sizeof(msg))
		return -EIO;
	if (msg.overflow)
		return -ENOBUFS;
	*ev = msg.ev;
	return 1;
}

static int fake_reply(struct tcmu_kernel *k, enum tcmu_event_type type, uint32_t device_id,
		      int status)
{
	struct fake_wire_req req = {
		.op = FAKE_OP_REPLY, .type = type, .device_id = device_id, .status = status
	};

	return simple_call(k, &req);
}

static int fake_scan(struct tcmu_kernel *k, void (*found)(const struct tcmu_found *dev, void *arg),
		     void *arg)
{
	struct fake_wire_req req = { .op = FAKE_OP_SCAN };
	struct fake_wire_reply rep;
	struct tcmu_found dev;

	/* One device a call: the first with a minor from req.minor on. */
	for (;;) {
		int64_t ret = call(k, &req, &rep, NULL);

		if (ret <= 0)
			return (int)ret;
		memcpy(&dev, rep.val, sizeof(dev));
		found(&dev, arg);
		req.minor = dev.minor + 1;
	}
}

static bool fake_waiter_stuck(struct tcmu_kernel *k)
{
	struct fake_wire_req req = { .op = FAKE_OP_STUCK };

	return simple_call(k, &req) == 1;
}

static int fake_release_waiters(struct tcmu_kernel *k)
{
	struct fake_wire_req req = { .op = FAKE_OP_RELEASE };

	return simple_call(k, &req);
}

static int fake_dev_open(struct tcmu_kernel *k, uint32_t minor)
{
	struct fake_wire_req req = { .op = FAKE_OP_OPEN, .minor = minor };
	struct fake_wire_reply rep;
	int fd, ret = (int)call(k, &req, &rep, &fd);

	return ret < 0 ? ret : fd;
}

static int fake_dev_map(struct tcmu_kernel *k, uint32_t minor, int fd, void **map, size_t *len)
{
	struct fake_wire_req req = { .op = FAKE_OP_MAP, .minor = minor };
	struct fake_wire_reply rep;
	int memfd, ret = (int)call(k, &req, &rep, &memfd);
	void *p;

	(void)fd;
	if (ret < 0)
		return ret;
	p = fake_map(memfd, rep.len);
	ret = p == MAP_FAILED ? -errno : 0;
	close(memfd);
	if (!ret) {
		*map = p;
		*len = rep.len;
	}
	return ret;
}

/* A uio descriptor has one counter; here are as many messages as there were events. */
static int fake_dev_ack(int fd)
{
	char buf[256];
	ssize_t n;

	do {
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 && errno == EAGAIN ? 0 : -EIO;
}

static int fake_dev_kick(int fd)
{
	uint32_t one = 1;

	/* No room: the fake kernel has not even looked at the last ones yet. */
	if (send(fd, &one, sizeof(one), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
		return -EINVAL;
	return 0;
}

/* ret: bytes of rep->val, or an error that is passed on. */
static ssize_t put_text(int64_t ret, const struct fake_wire_reply *rep, char *buf, size_t size)
{
	size_t n = (size_t)ret;

	if (ret < 0)
		return ret;
	if (!size)
		return -EINVAL;
	if (n && rep->val[n - 1] == '\n')
		n--;
	if (n >= size)
		n = size - 1;
	memcpy(buf, rep->val, n);
	buf[n] = '\0';
	return (ssize_t)n;
}

static ssize_t fake_attr_read(struct tcmu_kernel *k, const char *path, char *buf, size_t size,
			      const bool *over)
{
	struct fake_wire_req req = { .op = FAKE_OP_ATTR_READ };
	struct fake_wire_reply rep;

	(void)over; /* it never sleeps */
	if (strlen(path) >= sizeof(req.path))
		return -ENAMETOOLONG;
	strcpy(req.path, path);
	return put_text(call(k, &req, &rep, NULL), &rep, buf, size);
}

/* As the kernel has no connection for these, they make one. */
static int64_t target_call(enum fake_op op, const char *path, struct fake_wire_reply *rep)
{
	struct fake_wire_req req = { .op = op };
	int64_t ret = -EIO;
	int sock;

	if (strlen(path) >= sizeof(req.path))
		return -ENAMETOOLONG;
	strcpy(req.path, path);
	sock = connect_fake();
	if (sock < 0)
		return -EIO;
	if (send(sock, &req, sizeof(req), MSG_NOSIGNAL) == sizeof(req) &&
	    recv(sock, rep, sizeof(*rep), 0) == sizeof(*rep))
		ret = rep->ret;
	close(sock);
	return ret;
}

static ssize_t fake_target_read(const char *path, char *buf, size_t size)
{
	struct fake_wire_reply rep;

	return put_text(target_call(FAKE_OP_TARGET_READ, path, &rep), &rep, buf, size);
}

static ssize_t fake_target_link(const char *path, char *buf, size_t size)
{
	struct fake_wire_reply rep;

	return put_text(target_call(FAKE_OP_TARGET_LINK, path, &rep), &rep, buf, size);
}

static ssize_t fake_target_list(const char *path, char *buf, size_t size)
{
	struct fake_wire_reply rep;
	int64_t ret = target_call(FAKE_OP_TARGET_LIST, path, &rep);

	if (ret > (int64_t)size)
		return -E2BIG;
	if (ret > 0)
		memcpy(buf, rep.val, (size_t)ret);
	return ret;
}

static int fake_attr_write(struct tcmu_kernel *k, const char *path, const char *val)
{
	struct fake_wire_req req = { .op = FAKE_OP_ATTR_WRITE };

	if (strlen(path) >= sizeof(req.path) || strlen(val) >= sizeof(req.val))
		return -ENAMETOOLONG;
	strcpy(req.path, path);
	strcpy(req.val, val);
	return simple_call(k, &req);
}

const struct tcmu_kernel_ops tcmu_kernel_ops = {
	.open = fake_open,
	.close = fake_close,
	.set_reply = fake_set_reply,
	.leave = fake_leave,
	.event_fd = fake_event_fd,
	.next_event = fake_next_event,
	.reply = fake_reply,
	.scan = fake_scan,
	.waiter_stuck = fake_waiter_stuck,
	.release_waiters = fake_release_waiters,
	.dev_open = fake_dev_open,
	.dev_map = fake_dev_map,
	.dev_ack = fake_dev_ack,
	.dev_kick = fake_dev_kick,
	.attr_read = fake_attr_read,
	.attr_write = fake_attr_write,
	.target_read = fake_target_read,
	.target_link = fake_target_link,
	.target_list = fake_target_list,
};
