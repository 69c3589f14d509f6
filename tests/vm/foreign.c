/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign SUBTYPE SECONDS: the netlink side of a TCM-User daemon that is not ours and not quick. Every
 * event of its subtype is answered after that time, in order; the device is open from ADDED to REMOVED,
 * its ring is not served. Says what it does on stdout.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

enum { CMD_ADDED = 1, CMD_REMOVED = 2, CMD_RECONFIG = 3, CMD_DONE_OFFSET = 3, CMD_FEATURES = 7 };
enum { ATTR_DEVICE = 1, ATTR_MINOR = 2, ATTR_STATUS = 7, ATTR_DEVICE_ID = 8, ATTR_REPLY = 9 };

static struct nl_sock *commands;
static int family;
static const char *subtype;
static unsigned int delay;
static int uio[256];

static void die(const char *what)
{
	fprintf(stderr, "foreign: %s\n", what);
	exit(1);
}

static struct nl_msg *command(int cmd)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0,
				 NLM_F_REQUEST | NLM_F_ACK, (uint8_t)cmd, 2))
		die("no memory");
	return msg;
}

/* 0 or libnl's negative number. */
static int send_command(struct nl_msg *msg)
{
	return nl_send_sync(commands, msg);
}

/* tcm-user/HBA/NAME/SUBTYPE/CONFIG */
static int is_mine(const char *device)
{
	const char *config = device;

	for (int i = 0; i < 3 && config; i++) {
		config = strchr(config, '/');
		if (config)
			config++;
	}
	return config && !strncmp(config, subtype, strlen(subtype)) &&
	       config[strlen(subtype)] == '/';
}

static void open_or_close(int cmd, uint32_t minor)
{
	char path[32];

	if (minor >= sizeof(uio) / sizeof(uio[0]))
		die("a minor number beyond 255");
	snprintf(path, sizeof(path), "/dev/uio%u", minor);
	if (cmd == CMD_ADDED) {
		uio[minor] = open(path, O_RDWR | O_CLOEXEC);
		if (uio[minor] < 0)
			die(path);
	} else if (cmd == CMD_REMOVED && uio[minor]) {
		close(uio[minor]);
		uio[minor] = 0;
	}
}

static int on_event(struct nl_msg *in, void *arg)
{
	struct nlmsghdr *hdr = nlmsg_hdr(in);
	int cmd = genlmsg_hdr(hdr)->cmd;
	struct nlattr *device = nlmsg_find_attr(hdr, GENL_HDRLEN, ATTR_DEVICE);
	struct nlattr *minor = nlmsg_find_attr(hdr, GENL_HDRLEN, ATTR_MINOR);
	struct nlattr *id = nlmsg_find_attr(hdr, GENL_HDRLEN, ATTR_DEVICE_ID);
	struct nl_msg *msg;
	int ret;

	(void)arg;
	if (cmd < CMD_ADDED || cmd > CMD_RECONFIG || !device || !minor || !id ||
	    !is_mine(nla_get_string(device)))
		return NL_OK;
	printf("event %d of %s\n", cmd, nla_get_string(device));
	sleep(delay);
	open_or_close(cmd, nla_get_u32(minor));
	msg = command(cmd + CMD_DONE_OFFSET);
	nla_put_s32(msg, ATTR_STATUS, 0);
	nla_put_u32(msg, ATTR_DEVICE_ID, nla_get_u32(id));
	ret = send_command(msg);
	/* "nothing waits": somebody else has interfered. */
	printf("%s %d of %s\n", ret ? "too late for" : "answered", cmd, nla_get_string(device));
	return NL_OK;
}

int main(int argc, char **argv)
{
	struct nl_sock *events = nl_socket_alloc();
	struct nl_msg *msg;
	int group;

	if (argc != 3)
		return 2;
	subtype = argv[1];
	delay = (unsigned int)atoi(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	commands = nl_socket_alloc();
	if (!events || !commands || genl_connect(commands) || genl_connect(events))
		die("no netlink");
	family = genl_ctrl_resolve(commands, "TCM-USER");
	group = genl_ctrl_resolve_grp(commands, "TCM-USER", "config");
	if (family < 0 || group < 0 || nl_socket_add_membership(events, group))
		die("no TCM-USER");
	nl_socket_disable_seq_check(events);
	nl_socket_modify_cb(events, NL_CB_VALID, NL_CB_CUSTOM, on_event, NULL);
	msg = command(CMD_FEATURES);
	nla_put_u8(msg, ATTR_REPLY, 1);
	if (send_command(msg))
		die("SET_FEATURES failed");
	puts("listening");
	for (;;)
		nl_recvmsgs_default(events);
}
