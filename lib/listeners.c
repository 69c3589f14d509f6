/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/listeners.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/sock_diag.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "lib/configfs.h"

/* What libnl makes ports of: the process, and above that which of its sockets. */
#define PORT_PID 0x3fffffu

struct census {
	unsigned int group;
	uint32_t own_port;
	uint32_t port;
	bool found;
	int err;
};

/* The kernel's bitmap, in words of its own: bit n is group n + 1. */
static bool is_member(struct nlattr *groups, unsigned int group)
{
	const unsigned long *word = nla_data(groups);
	unsigned int bits = CHAR_BIT * sizeof(*word);

	group--;
	return (size_t)nla_len(groups) >= (group / bits + 1) * sizeof(*word) &&
	       (word[group / bits] >> group % bits & 1);
}

/* One that was killed, but for a thread that sleeps in the kernel until somebody else answers. */
static bool is_dead(uint32_t port)
{
	char path[32], text[4096];
	const char *state;

	snprintf(path, sizeof(path), "%u/stat", port & PORT_PID);
	if (tcmu_configfs_read("/proc", path, text, sizeof(text)) < 0)
		return false;
	state = strrchr(text, ')');
	return state && (!strncmp(state, ") Z", 3) || !strncmp(state, ") X", 3));
}

static int on_socket(struct nl_msg *msg, void *arg)
{
	struct census *census = arg;
	struct nlmsghdr *hdr = nlmsg_hdr(msg);
	const struct netlink_diag_msg *diag = nlmsg_data(hdr);
	struct nlattr *groups;

	if (nlmsg_datalen(hdr) < (int)sizeof(*diag))
		return NL_SKIP;
	groups = nlmsg_find_attr(hdr, sizeof(*diag), NETLINK_DIAG_GROUPS);
	if (!groups || diag->ndiag_portid == census->own_port || !is_member(groups, census->group))
		return NL_SKIP;
	if (is_dead(diag->ndiag_portid))
		return NL_SKIP;
	census->port = diag->ndiag_portid;
	census->found = true;
	return NL_SKIP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *arg)
{
	struct census *census = arg;

	(void)from;
	census->err = err->error < 0 ? err->error : -EIO;
	return NL_STOP;
}

static int ask(struct nl_sock *sock, struct census *census)
{
	static const struct timeval timeout = { .tv_sec = 5 };
	struct netlink_diag_req req = {
		.sdiag_family = AF_NETLINK,
		.sdiag_protocol = NETLINK_GENERIC,
		.ndiag_show = NDIAG_SHOW_GROUPS,
	};

	if (nl_connect(sock, NETLINK_SOCK_DIAG))
		return -EIO;
	setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_socket, census);
	nl_socket_modify_err_cb(sock, NL_CB_CUSTOM, on_error, census);
	if (nl_send_simple(sock, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &req, sizeof(req)) < 0)
		return -EIO;
	if (nl_recvmsgs_default(sock) < 0)
		return census->err ? census->err : -EIO;
	return 0;
}

int tcmu_listeners_find(unsigned int group, uint32_t own_port, uint32_t *port)
{
	struct census census = { .group = group, .own_port = own_port };
	struct nl_sock *sock = nl_socket_alloc();
	int ret;

	if (!sock)
		return -ENOMEM;
	ret = ask(sock, &census);
	nl_socket_free(sock);
	*port = census.port;
	return ret ? ret : census.found;
}
