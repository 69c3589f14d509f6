/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "lib/listeners.h"
#include "lib/netlink-parse.h"
#include "lib/netlink.h"

#define FAMILY         "TCM-USER"
#define FAMILY_VERSION 2
#define GROUP          "config"

/* A storm of a few thousand devices: an event takes about 2 KiB of it (skb overhead included). */
#define EVENT_BUFFER (32 << 20)

struct tcmu_netlink {
	struct nl_sock *events;
	struct nl_sock *commands;
	int family;
	int group;
	int ack; /* of the command under way: 0 or -errno */

	struct tcmu_datagram received; /* in buf */
	union {
		struct nlmsghdr align;
		char data[8192];
	} buf;
};

/* errno for what libnl says; exact numbers come with the acknowledgement instead. */
static int nl_errno(int err)
{
	switch (-err) {
	case NLE_OBJ_NOTFOUND:
		return ENOENT;
	case NLE_PERM:
	case NLE_NOACCESS:
		return EPERM;
	case NLE_NOMEM:
		return ENOMEM;
	default:
		return EIO;
	}
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct tcmu_netlink *nl = arg;

	(void)msg;
	nl->ack = 0;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct tcmu_netlink *nl = arg;

	(void)from;
	nl->ack = err->error < 0 ? err->error : -EIO;
	return NL_STOP;
}

static int open_commands(struct tcmu_netlink *nl)
{
	static const struct timeval timeout = { .tv_sec = 5 };
	int err;

	nl->commands = nl_socket_alloc();
	if (!nl->commands)
		return -NLE_NOMEM;
	err = genl_connect(nl->commands);
	if (err)
		return err;
	nl->family = genl_ctrl_resolve(nl->commands, FAMILY);
	if (nl->family < 0)
		return nl->family;
	/* The acknowledgement is there before the send returns; never hang should it not be. */
	setsockopt(nl_socket_get_fd(nl->commands), SOL_SOCKET, SO_RCVTIMEO, &timeout,
		   sizeof(timeout));
	nl_socket_modify_cb(nl->commands, NL_CB_ACK, NL_CB_CUSTOM, on_ack, nl);
	nl_socket_modify_err_cb(nl->commands, NL_CB_CUSTOM, on_error, nl);
	return 0;
}

static int open_events(struct tcmu_netlink *nl)
{
	int size = EVENT_BUFFER, err;

	nl->events = nl_socket_alloc();
	if (!nl->events)
		return -NLE_NOMEM;
	err = genl_connect(nl->events);
	if (err)
		return err;
	nl->group = genl_ctrl_resolve_grp(nl->events, FAMILY, GROUP);
	if (nl->group < 0)
		return nl->group;
	/* An event that is lost leaves its writer waiting: room for many. FORCE needs
	 * CAP_NET_ADMIN, which replies need too; without it take what the limit gives. */
	if (setsockopt(nl_socket_get_fd(nl->events), SOL_SOCKET, SO_RCVBUFFORCE, &size,
		       sizeof(size)))
		setsockopt(nl_socket_get_fd(nl->events), SOL_SOCKET, SO_RCVBUF, &size,
			   sizeof(size));
	err = nl_socket_set_nonblocking(nl->events);
	if (err)
		return err;
	return nl_socket_add_membership(nl->events, nl->group);
}

struct tcmu_netlink *tcmu_netlink_open(void)
{
	struct tcmu_netlink *nl = calloc(1, sizeof(*nl));
	int err;

	if (!nl)
		return NULL;
	err = open_commands(nl);
	if (err >= 0)
		err = open_events(nl);
	if (err < 0) {
		tcmu_netlink_close(nl);
		errno = nl_errno(err);
		return NULL;
	}
	return nl;
}

void tcmu_netlink_close(struct tcmu_netlink *nl)
{
	if (!nl)
		return;
	nl_socket_free(nl->events);
	nl_socket_free(nl->commands);
	free(nl);
}

void tcmu_netlink_leave(struct tcmu_netlink *nl)
{
	nl_socket_drop_membership(nl->events, nl->group);
}

int tcmu_netlink_fd(const struct tcmu_netlink *nl)
{
	return nl_socket_get_fd(nl->events);
}

int tcmu_netlink_other(const struct tcmu_netlink *nl, uint32_t *port)
{
	return tcmu_listeners_find((unsigned int)nl->group, nl_socket_get_local_port(nl->events),
				   port);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* An event that we cannot read, but whose writer waits all the same: it must not wait for ever. */
static void refuse_event(struct tcmu_netlink *nl, const struct tcmu_event *ev)
{
	tcmu_err("an event of the kernel (%d, device id %u) cannot be read; it is refused",
		 ev->type, ev->device_id);
	tcmu_netlink_reply(nl, ev->type, ev->device_id,
			   ev->type == TCMU_EVENT_REMOVED ? 0 : -EINVAL);
}

/* 1: a datagram is in buf; 0: there is none; or -errno. */
static int receive(struct tcmu_netlink *nl)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { nl->buf.data, sizeof(nl->buf.data) };
		struct msghdr msg = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
		};
		ssize_t n = recvmsg(nl_socket_get_fd(nl->events), &msg, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (from.nl_pid) /* any process may send us something; only the kernel is 0 */
			continue;
		if (msg.msg_flags & MSG_TRUNC)
			return -ENOBUFS; /* no event is that long, but then one is lost */
		nl->received.next = &nl->buf.align;
		nl->received.len = (int)n;
		return 1;
	}
}

int tcmu_netlink_next_event(struct tcmu_netlink *nl, struct tcmu_event *ev)
{
	for (;;) {
		int ret;

		switch (tcmu_datagram_next(&nl->received, nl->family, ev)) {
		case TCMU_MESSAGE_EVENT:
			return 1;
		case TCMU_MESSAGE_REFUSE:
			refuse_event(nl, ev);
			break;
		case TCMU_MESSAGE_NONE:
			ret = receive(nl);
			if (ret <= 0)
				return ret;
		}
	}
}

/* ---- commands -------------------------------------------------------------------------------- */

/* Sends msg and takes the acknowledgement, which the kernel has queued when send returns. */
static int command(struct tcmu_netlink *nl, struct nl_msg *msg)
{
	int err;

	nl->ack = -EIO;
	err = nl_send_auto(nl->commands, msg);
	nlmsg_free(msg);
	if (err < 0)
		return -nl_errno(err);
	err = nl_recvmsgs_default(nl->commands);
	if (err < 0 && nl->ack == -EIO)
		return -nl_errno(err);
	return nl->ack;
}

static struct nl_msg *new_command(struct tcmu_netlink *nl, int cmd)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0,
				NLM_F_REQUEST | NLM_F_ACK, (uint8_t)cmd, FAMILY_VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

int tcmu_netlink_set_reply(struct tcmu_netlink *nl, bool on)
{
	struct nl_msg *msg = new_command(nl, TCMU_GENL_SET_FEATURES);

	if (!msg)
		return -ENOMEM;
	if (nla_put_u8(msg, TCMU_GENL_SUPP_KERN_CMD_REPLY, on)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return command(nl, msg);
}

int tcmu_netlink_reply(struct tcmu_netlink *nl, enum tcmu_event_type type, uint32_t device_id,
		       int status)
{
	struct nl_msg *msg = new_command(nl, (int)type + TCMU_GENL_DONE_OFFSET);

	if (!msg)
		return -ENOMEM;
	if (nla_put_s32(msg, TCMU_GENL_CMD_STATUS, status) ||
	    nla_put_u32(msg, TCMU_GENL_DEVICE_ID, device_id)) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	return command(nl, msg);
}
