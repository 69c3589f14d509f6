/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of the family TCM-USER, laid out byte by byte as target_core_user.c does it
 * (tcmu_netlink_event_init(), tcmu_send_dev_add_event() and its kin). */
#include <stdlib.h>

#include <linux/genetlink.h>

#include "lib/netlink-parse.h"
#include "test.h"

#define FAMILY 0x1c

/* A datagram under construction. */
static struct {
	uint8_t bytes[8192];
	size_t len;
	size_t message; /* where the last one begins */
} out;

static void put(const void *bytes, size_t len)
{
	assert_true(out.len + len <= sizeof(out.bytes));
	memcpy(out.bytes + out.len, bytes, len);
	out.len += len;
}

static void set_message_len(uint32_t len)
{
	memcpy(out.bytes + out.message, &len, sizeof(len));
}

static void attr(uint16_t type, const void *value, size_t len)
{
	static const uint8_t zeros[NLA_ALIGNTO];
	struct nlattr nla = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };

	put(&nla, sizeof(nla));
	put(value, len);
	put(zeros, -len % NLA_ALIGNTO);
	set_message_len((uint32_t)(out.len - out.message));
}

static void attr_u32(uint16_t type, uint32_t value)
{
	attr(type, &value, sizeof(value));
}

static void attr_str(uint16_t type, const char *text)
{
	attr(type, text, strlen(text) + 1);
}

static void message(uint16_t family, uint8_t cmd)
{
	struct nlmsghdr hdr = { .nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN, .nlmsg_type = family };
	struct genlmsghdr genl = { .cmd = cmd, .version = 2 };

	out.message = out.len;
	put(&hdr, sizeof(hdr));
	put(&genl, sizeof(genl));
}

static void event(uint8_t cmd, const char *name, uint32_t minor, uint32_t device_id)
{
	message(FAMILY, cmd);
	attr_str(TCMU_GENL_DEVICE, name);
	attr_u32(TCMU_GENL_MINOR, minor);
	attr_u32(TCMU_GENL_DEVICE_ID, device_id);
}

/* The datagram as it is received: a block of its own, so that a sanitizer guards its end. */
static struct {
	struct tcmu_datagram datagram;
	void *block;
} in;

static void receive_bytes(size_t len)
{
	free(in.block);
	in.block = malloc(len);
	memcpy(in.block, out.bytes, len);
	in.datagram.next = in.block;
	in.datagram.len = (int)len;
}

static void receive(void)
{
	receive_bytes(out.len);
	out.len = 0;
}

static void assert_event(struct tcmu_event *ev, enum tcmu_event_type type, const char *name,
			 uint32_t minor, uint32_t device_id)
{
	memset(ev, 0xa5, sizeof(*ev));
	assert_int_equal(tcmu_datagram_next(&in.datagram, FAMILY, ev), TCMU_MESSAGE_EVENT);
	assert_int_equal(ev->type, type);
	assert_string_equal(ev->uio_name, name);
	assert_int_equal(ev->minor, minor);
	assert_int_equal(ev->device_id, device_id);
	assert_int_equal(ev->block_size, 0); /* ADDED: has to be read from configfs */
}

static void assert_refused(enum tcmu_event_type type, uint32_t device_id)
{
	struct tcmu_event ev;

	memset(&ev, 0xa5, sizeof(ev));
	assert_int_equal(tcmu_datagram_next(&in.datagram, FAMILY, &ev), TCMU_MESSAGE_REFUSE);
	assert_int_equal(ev.type, type);
	assert_int_equal(ev.device_id, device_id);
}

static void assert_no_more(void)
{
	struct tcmu_event ev;

	/* However often it is asked. */
	assert_int_equal(tcmu_datagram_next(&in.datagram, FAMILY, &ev), TCMU_MESSAGE_NONE);
	assert_int_equal(tcmu_datagram_next(&in.datagram, FAMILY, &ev), TCMU_MESSAGE_NONE);
}

static int setup(void **state)
{
	(void)state;
	memset(&out, 0, sizeof(out));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(in.block);
	memset(&in, 0, sizeof(in));
	return 0;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void added_and_removed(void **state)
{
	struct tcmu_event ev;

	(void)state;
	event(TCMU_EVENT_ADDED, "tcm-user/0/disk/file//srv/a.img", 3, 17);
	receive();
	assert_event(&ev, TCMU_EVENT_ADDED, "tcm-user/0/disk/file//srv/a.img", 3, 17);
	assert_no_more();

	event(TCMU_EVENT_REMOVED, "tcm-user/0/disk/file//srv/a.img\n", UINT32_MAX, 0);
	receive();
	assert_event(&ev, TCMU_EVENT_REMOVED, "tcm-user/0/disk/file//srv/a.img\n", UINT32_MAX, 0);
	assert_no_more();
}

static void reconfigured(void **state)
{
	const uint64_t size = 0x123456789abcdef0;
	const uint8_t on = 1, off = 0;
	struct tcmu_event ev;

	(void)state;
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	attr_str(TCMU_GENL_DEV_CFG, "file//srv/b.img");
	receive();
	assert_event(&ev, TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	assert_int_equal(ev.cfg_type, TCMULIB_CFG_DEV_CFGSTR);
	assert_string_equal(ev.dev_cfg, "file//srv/b.img");

	event(TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	attr(TCMU_GENL_DEV_SIZE, &size, sizeof(size));
	receive();
	assert_event(&ev, TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	assert_int_equal(ev.cfg_type, TCMULIB_CFG_DEV_SIZE);
	assert_int_equal(ev.dev_size, size);

	/* nla_put_u64_64bit() on a machine that wants its numbers aligned. */
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	attr(TCMU_GENL_PAD, "", 0);
	attr(TCMU_GENL_DEV_SIZE, &size, sizeof(size));
	receive();
	assert_event(&ev, TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	assert_int_equal(ev.dev_size, size);

	event(TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	attr(TCMU_GENL_WRITECACHE, &on, sizeof(on));
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	attr(TCMU_GENL_WRITECACHE, &off, sizeof(off));
	receive();
	assert_event(&ev, TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	assert_int_equal(ev.cfg_type, TCMULIB_CFG_WRITE_CACHE);
	assert_true(ev.write_cache);
	assert_event(&ev, TCMU_EVENT_RECONFIG, "tcm-user/0/d/f", 1, 2);
	assert_int_equal(ev.cfg_type, TCMULIB_CFG_WRITE_CACHE);
	assert_false(ev.write_cache);
	assert_no_more();
}

static void several_in_one_datagram(void **state)
{
	static const char *const names[] = { "tcm-user/0/a", "tcm-user/0/bb", "tcm-user/0/ccc",
					     "tcm-user/0/dddd", "tcm-user/0/eeeee" };
	struct tcmu_event ev;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		event(TCMU_EVENT_ADDED, names[i], i, 10 + i);
	receive();
	for (uint32_t i = 0; i < 5; i++)
		assert_event(&ev, TCMU_EVENT_ADDED, names[i], i, 10 + i);
	assert_no_more();
}

static void what_comes_later_is_known_by_its_number(void **state)
{
	struct tcmu_event ev;

	(void)state;
	/* Attributes in another order, and some that a later kernel may have. */
	message(FAMILY, TCMU_EVENT_ADDED);
	attr_u32(TCMU_GENL_DEVICE_ID, 5);
	attr_u32(TCMU_GENL_MAX + 1, 99);
	attr_u32(TCMU_GENL_MINOR, 6);
	attr_str(0x3fff, "what?");
	attr_str(TCMU_GENL_DEVICE, "tcm-user/0/a");
	receive();
	assert_event(&ev, TCMU_EVENT_ADDED, "tcm-user/0/a", 6, 5);
	assert_no_more();
}

static void what_is_no_event_is_skipped(void **state)
{
	struct tcmu_event ev;

	(void)state;
	message(FAMILY + 1, TCMU_EVENT_ADDED); /* another family */
	attr_u32(TCMU_GENL_DEVICE_ID, 1);
	message(NLMSG_ERROR, TCMU_EVENT_ADDED);
	message(FAMILY, 0);
	attr_u32(TCMU_GENL_DEVICE_ID, 2);
	event(TCMU_EVENT_ADDED + TCMU_GENL_DONE_OFFSET, "tcm-user/0/a", 1,
	      1); /* somebody's answer */
	event(TCMU_GENL_SET_FEATURES, "tcm-user/0/a", 1, 1);
	event(255, "tcm-user/0/a", 1, 1);
	event(TCMU_EVENT_ADDED, "tcm-user/0/b", 3, 4);
	receive();
	assert_event(&ev, TCMU_EVENT_ADDED, "tcm-user/0/b", 3, 4);
	assert_no_more();
	receive();
	assert_no_more(); /* an empty one */
}

/* Its writer waits, and is named by the device id alone. */
static void missing_attributes_are_refused(void **state)
{
	struct tcmu_event ev;

	(void)state;
	message(FAMILY, TCMU_EVENT_ADDED);
	attr_u32(TCMU_GENL_MINOR, 1);
	attr_u32(TCMU_GENL_DEVICE_ID, 21);
	message(FAMILY, TCMU_EVENT_REMOVED);
	attr_str(TCMU_GENL_DEVICE, "tcm-user/0/a");
	attr_u32(TCMU_GENL_DEVICE_ID, 22);
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/a", 1, 23); /* without what is new */
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/a", 1,
	      24); /* something that only a later kernel has */
	attr_u32(TCMU_GENL_MAX + 1, 1);
	event(TCMU_EVENT_ADDED, "tcm-user/0/b", 3, 25);
	receive();
	assert_refused(TCMU_EVENT_ADDED, 21);
	assert_refused(TCMU_EVENT_REMOVED, 22);
	assert_refused(TCMU_EVENT_RECONFIG, 23);
	assert_refused(TCMU_EVENT_RECONFIG, 24);
	assert_event(&ev, TCMU_EVENT_ADDED, "tcm-user/0/b", 3, 25);
	assert_no_more();

	message(FAMILY, TCMU_EVENT_ADDED); /* nobody could be answered */
	attr_str(TCMU_GENL_DEVICE, "tcm-user/0/a");
	attr_u32(TCMU_GENL_MINOR, 1);
	message(FAMILY, TCMU_EVENT_ADDED);
	receive();
	assert_no_more();
}

static void short_attributes_are_refused(void **state)
{
	const uint8_t bytes[7] = { 0 };

	(void)state;
	message(FAMILY, TCMU_EVENT_ADDED);
	attr_str(TCMU_GENL_DEVICE, "tcm-user/0/a");
	attr(TCMU_GENL_MINOR, bytes, 3);
	attr_u32(TCMU_GENL_DEVICE_ID, 31);
	message(FAMILY, TCMU_EVENT_ADDED);
	attr(TCMU_GENL_DEVICE, bytes, 0);
	attr_u32(TCMU_GENL_MINOR, 1);
	attr_u32(TCMU_GENL_DEVICE_ID, 32);
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/a", 1, 33);
	attr(TCMU_GENL_DEV_SIZE, bytes, 7);
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/a", 1, 34);
	attr(TCMU_GENL_WRITECACHE, bytes, 0);
	message(FAMILY, TCMU_EVENT_ADDED);
	attr(TCMU_GENL_DEVICE_ID, bytes, 3); /* whose? */
	receive();
	assert_refused(TCMU_EVENT_ADDED, 31);
	assert_refused(TCMU_EVENT_ADDED, 32);
	assert_refused(TCMU_EVENT_RECONFIG, 33);
	assert_refused(TCMU_EVENT_RECONFIG, 34);
	assert_no_more();
}

/* A string without its end, or longer than there is room for, is not cut: it would be another one. */
static void unfit_strings_are_refused(void **state)
{
	char name[TCMU_UIO_NAME_MAX + 1], config[TCMU_CFG_MAX + 1];
	struct tcmu_event ev;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	memset(config, 'c', sizeof(config));
	config[sizeof(config) - 1] = '\0';

	event(TCMU_EVENT_ADDED, name, 1, 41);
	event(TCMU_EVENT_ADDED, name + 1, 1, 42); /* it just fits */
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/a", 1, 43);
	attr_str(TCMU_GENL_DEV_CFG, config);
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/a", 1, 44);
	attr_str(TCMU_GENL_DEV_CFG, config + 1);
	receive();
	assert_refused(TCMU_EVENT_ADDED, 41);
	assert_event(&ev, TCMU_EVENT_ADDED, name + 1, 1, 42);
	assert_refused(TCMU_EVENT_RECONFIG, 43);
	assert_event(&ev, TCMU_EVENT_RECONFIG, "tcm-user/0/a", 1, 44);
	assert_string_equal(ev.dev_cfg, config + 1);

	message(FAMILY, TCMU_EVENT_ADDED);
	attr(TCMU_GENL_DEVICE, "tcm-user/0/a", 12);
	attr_u32(TCMU_GENL_MINOR, 1);
	attr_u32(TCMU_GENL_DEVICE_ID, 45);
	receive();
	assert_refused(TCMU_EVENT_ADDED, 45);
	assert_no_more();
}

/* Attributes and messages that say they are longer than what there is. */
static void lengths_that_lie(void **state)
{
	size_t at;
	struct tcmu_event ev;
	uint16_t len = 4096;

	(void)state;
	message(FAMILY, TCMU_EVENT_ADDED);
	attr_u32(TCMU_GENL_DEVICE_ID, 51);
	at = out.len;
	attr_str(TCMU_GENL_DEVICE, "tcm-user/0/a");
	memcpy(out.bytes + at, &len, sizeof(len));
	receive();
	assert_refused(TCMU_EVENT_ADDED, 51);
	assert_no_more();

	event(TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 52);
	event(TCMU_EVENT_ADDED, "tcm-user/0/b", 2, 53);
	set_message_len((uint32_t)(out.len - out.message) + 4);
	receive();
	assert_event(&ev, TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 52);
	assert_no_more();

	event(TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 54);
	set_message_len(UINT32_MAX);
	receive();
	assert_no_more();
	event(TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 54);
	set_message_len(0); /* no progress could be made */
	receive();
	assert_no_more();
	event(TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 54);
	set_message_len(NLMSG_HDRLEN);
	receive();
	assert_no_more();
}

/* Cut anywhere, it is never another event than the whole one. */
static void cut_datagrams(void **state)
{
	struct tcmu_event ev;
	size_t first;

	(void)state;
	event(TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 61);
	first = out.len;
	event(TCMU_EVENT_RECONFIG, "tcm-user/0/b", 2, 62);
	attr_str(TCMU_GENL_DEV_CFG, "file//b");
	for (size_t len = 0; len < out.len; len++) {
		receive_bytes(len);
		if (len >= first)
			assert_event(&ev, TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 61);
		assert_no_more();
	}
	/* The message itself cut, the way a kernel with less to say would have sent it. */
	for (uint32_t len = NLMSG_HDRLEN; len < out.len - first; len++) {
		set_message_len(len);
		receive_bytes(first + len);
		assert_event(&ev, TCMU_EVENT_ADDED, "tcm-user/0/a", 1, 61);
		assert_int_not_equal(tcmu_datagram_next(&in.datagram, FAMILY, &ev),
				     TCMU_MESSAGE_EVENT);
		assert_no_more();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(added_and_removed, setup),
		cmocka_unit_test_setup(reconfigured, setup),
		cmocka_unit_test_setup(several_in_one_datagram, setup),
		cmocka_unit_test_setup(what_comes_later_is_known_by_its_number, setup),
		cmocka_unit_test_setup(what_is_no_event_is_skipped, setup),
		cmocka_unit_test_setup(missing_attributes_are_refused, setup),
		cmocka_unit_test_setup(short_attributes_are_refused, setup),
		cmocka_unit_test_setup(unfit_strings_are_refused, setup),
		cmocka_unit_test_setup(lengths_that_lie, setup),
		cmocka_unit_test_setup(cut_datagrams, setup),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
