/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/netlink-parse.h"

#include <string.h>

#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>

static struct nla_policy policy[TCMU_GENL_MAX + 1] = {
	[TCMU_GENL_DEVICE] = { .type = NLA_STRING, .maxlen = TCMU_UIO_NAME_MAX },
	[TCMU_GENL_MINOR] = { .type = NLA_U32 },
	[TCMU_GENL_DEV_CFG] = { .type = NLA_STRING, .maxlen = TCMU_CFG_MAX },
	[TCMU_GENL_DEV_SIZE] = { .type = NLA_U64 },
	[TCMU_GENL_WRITECACHE] = { .type = NLA_U8 },
	[TCMU_GENL_DEVICE_ID] = { .type = NLA_U32 },
};

static bool parse_reconfig(struct nlattr **attr, struct tcmu_event *ev)
{
	if (attr[TCMU_GENL_DEV_CFG]) {
		ev->cfg_type = TCMULIB_CFG_DEV_CFGSTR;
		nla_strlcpy(ev->dev_cfg, attr[TCMU_GENL_DEV_CFG], sizeof(ev->dev_cfg));
	} else if (attr[TCMU_GENL_DEV_SIZE]) {
		ev->cfg_type = TCMULIB_CFG_DEV_SIZE;
		ev->dev_size = nla_get_u64(attr[TCMU_GENL_DEV_SIZE]);
	} else if (attr[TCMU_GENL_WRITECACHE]) {
		ev->cfg_type = TCMULIB_CFG_WRITE_CACHE;
		ev->write_cache = nla_get_u8(attr[TCMU_GENL_WRITECACHE]) != 0;
	} else {
		return false;
	}
	return true;
}

static bool parse_event(struct nlmsghdr *hdr, struct tcmu_event *ev)
{
	struct nlattr *attr[TCMU_GENL_MAX + 1];

	if (genlmsg_parse(hdr, 0, attr, TCMU_GENL_MAX, policy) < 0)
		return false;
	if (!attr[TCMU_GENL_DEVICE] || !attr[TCMU_GENL_MINOR] || !attr[TCMU_GENL_DEVICE_ID])
		return false;
	memset(ev, 0, sizeof(*ev));
	ev->type = genlmsg_hdr(hdr)->cmd;
	ev->device_id = nla_get_u32(attr[TCMU_GENL_DEVICE_ID]);
	ev->minor = nla_get_u32(attr[TCMU_GENL_MINOR]);
	nla_strlcpy(ev->uio_name, attr[TCMU_GENL_DEVICE], sizeof(ev->uio_name));
	return ev->type != TCMU_EVENT_RECONFIG || parse_reconfig(attr, ev);
}

/* Whose event that cannot be read is it? False: it does not say. */
static bool parse_owner(struct nlmsghdr *hdr, struct tcmu_event *ev)
{
	struct genlmsghdr *genl = genlmsg_hdr(hdr);
	struct nlattr *id = nla_find(genlmsg_attrdata(genl, 0), genlmsg_attrlen(genl, 0),
				     TCMU_GENL_DEVICE_ID);

	if (!id || nla_len(id) < (int)sizeof(uint32_t))
		return false;
	memset(ev, 0, sizeof(*ev));
	ev->type = genl->cmd;
	ev->device_id = nla_get_u32(id);
	return true;
}

static bool is_event(struct nlmsghdr *hdr, int family)
{
	struct genlmsghdr *genl;

	if (hdr->nlmsg_type != family || !genlmsg_valid_hdr(hdr, 0))
		return false;
	genl = genlmsg_hdr(hdr);
	return genl->cmd >= TCMU_EVENT_ADDED && genl->cmd <= TCMU_EVENT_RECONFIG;
}

enum tcmu_message tcmu_datagram_next(struct tcmu_datagram *datagram, int family,
				     struct tcmu_event *ev)
{
	while (nlmsg_ok(datagram->next, datagram->len)) {
		struct nlmsghdr *hdr = datagram->next;

		datagram->next = nlmsg_next(hdr, &datagram->len);
		if (!is_event(hdr, family))
			continue;
		if (parse_event(hdr, ev))
			return TCMU_MESSAGE_EVENT;
		if (parse_owner(hdr, ev))
			return TCMU_MESSAGE_REFUSE;
	}
	return TCMU_MESSAGE_NONE;
}
