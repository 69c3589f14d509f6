/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over the netlink sockets, with libnl's and libc's side of them made up here (the linker's
 * --wrap): datagrams are given out by recvmsg(), commands are taken by nl_send_auto(). */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "lib/listeners.h"
#include "lib/netlink-parse.h"
#include "lib/netlink.h"
#include "test.h"

#define FAMILY 0x1c

/* ---- the sockets ------------------------------------------------------------------------------ */

static struct {
	struct nl_msg *queue[8];
	uint32_t from[8]; /* port: 0 is the kernel */
	int flags[8];
	int queued, taken;
	int error; /* of the next recvmsg() */
	struct {
		uint8_t cmd;
		int32_t status;
		uint32_t device_id;
	} replies[8];
	int reply_count;
	int send_error;
} net;

int __wrap_genl_connect(struct nl_sock *sock);
int __wrap_genl_ctrl_resolve(struct nl_sock *sock, const char *name);
int __wrap_genl_ctrl_resolve_grp(struct nl_sock *sock, const char *family, const char *group);
int __wrap_nl_socket_get_fd(const struct nl_sock *sock);
int __wrap_nl_socket_set_nonblocking(const struct nl_sock *sock);
int __wrap_nl_socket_add_membership(struct nl_sock *sock, int group);
int __wrap_nl_send_auto(struct nl_sock *sock, struct nl_msg *msg);
int __wrap_nl_recvmsgs_default(struct nl_sock *sock);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);

int __wrap_genl_connect(struct nl_sock *sock)
{
	(void)sock;
	return 0;
}

int __wrap_genl_ctrl_resolve(struct nl_sock *sock, const char *name)
{
	(void)sock;
	assert_string_equal(name, "TCM-USER");
	return FAMILY;
}

int __wrap_genl_ctrl_resolve_grp(struct nl_sock *sock, const char *family, const char *group)
{
	(void)sock;
	assert_string_equal(family, "TCM-USER");
	assert_string_equal(group, "config");
	return 7;
}

int __wrap_nl_socket_get_fd(const struct nl_sock *sock)
{
	(void)sock;
	return -1;
}

int __wrap_nl_socket_set_nonblocking(const struct nl_sock *sock)
{
	(void)sock;
	return 0;
}

int __wrap_nl_socket_add_membership(struct nl_sock *sock, int group)
{
	(void)sock;
	assert_int_equal(group, 7);
	return 0;
}

int __wrap_nl_send_auto(struct nl_sock *sock, struct nl_msg *msg)
{
	struct nlattr *attr[TCMU_GENL_MAX + 1];
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	int i = net.reply_count++;

	(void)sock;
	assert_int_equal(hdr->nlmsg_type, FAMILY);
	assert_int_equal(hdr->nlmsg_flags & NLM_F_ACK, NLM_F_ACK);
	assert_int_equal(genlmsg_parse(hdr, 0, attr, TCMU_GENL_MAX, NULL), 0);
	net.replies[i].cmd = genlmsg_hdr(hdr)->cmd;
	if (attr[TCMU_GENL_CMD_STATUS])
		net.replies[i].status = nla_get_s32(attr[TCMU_GENL_CMD_STATUS]);
	if (attr[TCMU_GENL_DEVICE_ID])
		net.replies[i].device_id = nla_get_u32(attr[TCMU_GENL_DEVICE_ID]);
	return net.send_error ? net.send_error : (int)hdr->nlmsg_len;
}

int __wrap_nl_recvmsgs_default(struct nl_sock *sock)
{
	(void)sock;
	return 0;
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };
	struct nlmsghdr *hdr;
	size_t len;
	int i = net.taken;

	(void)fd;
	assert_int_equal(flags, MSG_DONTWAIT);
	errno = net.error;
	net.error = 0;
	if (errno)
		return -1;
	errno = EAGAIN;
	if (i == net.queued)
		return -1;
	net.taken++;
	from.nl_pid = net.from[i];
	memcpy(msg->msg_name, &from, sizeof(from));
	hdr = nlmsg_hdr(net.queue[i]);
	len = hdr->nlmsg_len;
	if (len > msg->msg_iov[0].iov_len) {
		len = msg->msg_iov[0].iov_len;
		msg->msg_flags |= MSG_TRUNC;
	}
	memcpy(msg->msg_iov[0].iov_base, hdr, len);
	return (ssize_t)len;
}

int tcmu_listeners_find(unsigned int group, uint32_t own_port, uint32_t *port)
{
	(void)group;
	(void)own_port;
	(void)port;
	return 0;
}

/* name NULL: there is none, so it cannot be read. */
static struct nl_msg *queue(uint8_t cmd, const char *name, uint32_t device_id)
{
	struct nl_msg *msg = nlmsg_alloc_size(32768);

	assert_non_null(msg);
	assert_non_null(genlmsg_put(msg, 0, 0, FAMILY, 0, 0, cmd, 2));
	if (name)
		nla_put_string(msg, TCMU_GENL_DEVICE, name);
	nla_put_u32(msg, TCMU_GENL_MINOR, 1);
	nla_put_u32(msg, TCMU_GENL_DEVICE_ID, device_id);
	net.queue[net.queued++] = msg;
	return msg;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static struct tcmu_netlink *nl;

static int setup(void **state)
{
	(void)state;
	memset(&net, 0, sizeof(net));
	nl = tcmu_netlink_open();
	return nl ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < net.queued; i++)
		nlmsg_free(net.queue[i]);
	tcmu_netlink_close(nl);
	return 0;
}

static void assert_next(enum tcmu_event_type type, uint32_t device_id)
{
	struct tcmu_event ev;

	assert_int_equal(tcmu_netlink_next_event(nl, &ev), 1);
	assert_int_equal(ev.type, type);
	assert_int_equal(ev.device_id, device_id);
}

static void assert_none(int result)
{
	struct tcmu_event ev;

	assert_int_equal(tcmu_netlink_next_event(nl, &ev), result);
}

static void events_in_their_order(void **state)
{
	(void)state;
	assert_none(0);
	queue(TCMU_EVENT_ADDED, "tcm-user/0/a", 1);
	queue(TCMU_EVENT_REMOVED, "tcm-user/0/a", 2);
	assert_next(TCMU_EVENT_ADDED, 1);
	assert_next(TCMU_EVENT_REMOVED, 2);
	assert_none(0);
	net.error = EINTR;
	queue(TCMU_EVENT_ADDED, "tcm-user/0/a", 3);
	assert_next(TCMU_EVENT_ADDED, 3);
	assert_int_equal(net.reply_count, 0);
}

static void what_others_send_is_ignored(void **state)
{
	(void)state;
	net.from[0] = 1234;
	queue(TCMU_EVENT_REMOVED, "tcm-user/0/a", 1);
	net.from[1] = 1234;
	queue(TCMU_EVENT_REMOVED, NULL, 1);
	queue(TCMU_EVENT_ADDED, "tcm-user/0/a", 2);
	assert_next(TCMU_EVENT_ADDED, 2);
	assert_none(0);
	assert_int_equal(net.reply_count, 0);
}

static void what_cannot_be_read_is_refused(void **state)
{
	(void)state;
	queue(TCMU_EVENT_ADDED, NULL, 11);
	queue(TCMU_EVENT_REMOVED, NULL, 12);
	queue(TCMU_EVENT_RECONFIG, "tcm-user/0/a", 13); /* nothing is new */
	queue(TCMU_EVENT_ADDED, "tcm-user/0/a", 14);
	assert_next(TCMU_EVENT_ADDED, 14);
	assert_none(0);
	assert_int_equal(net.reply_count, 3);
	assert_int_equal(net.replies[0].cmd, 4); /* ADDED_DONE */
	assert_int_equal(net.replies[0].device_id, 11);
	assert_int_equal(net.replies[0].status, -EINVAL);
	assert_int_equal(net.replies[1].cmd, 5); /* REMOVED_DONE, whose status nobody looks at */
	assert_int_equal(net.replies[1].device_id, 12);
	assert_int_equal(net.replies[1].status, 0);
	assert_int_equal(net.replies[2].cmd, 6); /* RECONFIG_DONE */
	assert_int_equal(net.replies[2].device_id, 13);
	assert_int_equal(net.replies[2].status, -EINVAL);
}

/* Also when the refusal itself fails. */
static void a_refusal_that_fails(void **state)
{
	(void)state;
	net.send_error = -NLE_NOMEM;
	queue(TCMU_EVENT_ADDED, NULL, 11);
	queue(TCMU_EVENT_ADDED, "tcm-user/0/a", 12);
	assert_next(TCMU_EVENT_ADDED, 12);
	assert_int_equal(net.reply_count, 1);
}

static void lost_events_are_said(void **state)
{
	static char text[10000];
	struct nl_msg *msg;

	(void)state;
	net.error = ENOBUFS;
	assert_none(-ENOBUFS);
	memset(text, 'x', sizeof(text) - 1);
	msg = queue(TCMU_EVENT_ADDED, "tcm-user/0/a", 1);
	assert_int_equal(nla_put_string(msg, TCMU_GENL_MAX + 1, text), 0);
	queue(TCMU_EVENT_ADDED, "tcm-user/0/a", 2);
	assert_none(-ENOBUFS); /* longer than the buffer: it may have been anything */
	assert_next(TCMU_EVENT_ADDED, 2);
	assert_none(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_in_their_order, setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_send_is_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_that_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(lost_events_are_said, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
