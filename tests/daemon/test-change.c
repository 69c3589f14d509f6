/* SPDX-License-Identifier: Apache-2.0 */
/* ChangeMedium: another medium in a logical unit, by what initiators see of it. */
#include "bus.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/conformance/state.h"

#define MEDIUM_CHANGED SENSE(6u, 0x28u, 0u)

/* A file full of this byte. */
static const char *filled(const char *name, uint8_t byte, size_t size)
{
	const char *path = world_file(&w, name, (off_t)size);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	uint8_t *buf = malloc(size);

	assert_non_null(buf);
	memset(buf, byte, size);
	assert_int_equal(pwrite(fd, buf, size, 0), size);
	free(buf);
	close(fd);
	return path;
}

/* "file/PATH;OPTIONS"; a new string. */
static char *config_of(const char *name, const char *options)
{
	return g_strconcat("file/", world_path(&w, name), options, NULL);
}

static struct fake_dev *lun(const char *name, const char *file, const char *options)
{
	g_autofree char *config = config_of(file, options);
	struct fake_dev *dev = NULL;

	assert_int_equal(lun_create(&w, name, config, MIB, &dev), 0);
	return dev;
}

static void change(const char *name, uint64_t size, const char *config, int expected,
		   const char *sentence)
{
	int rc;
	g_autofree char *message = bus_change(client, name, size, config, &rc);

	/* A change that has failed is answered before the former medium, which may hang, is open again. */
	for (int i = 0; rc == EAGAIN && expected != EAGAIN && i < 500; i++) {
		poll(NULL, 0, 10);
		g_free(message);
		message = bus_change(client, name, size, config, &rc);
	}
	if (rc != expected || !strstr(message, sentence)) {
		print_error("%s -> '%s' (%" PRIu64 "): %d, %s; expected %d, %s\n", name, config,
			    size, rc, message, expected, sentence);
		fail();
	}
}

static void change_file(const char *name, uint64_t size, const char *file, const char *options,
			int expected, const char *sentence)
{
	g_autofree char *config = config_of(file, options);

	change(name, size, config, expected, sentence);
}

static void holds(struct fake_dev *dev, uint8_t byte)
{
	uint8_t buf[512] = { 0 };

	ASSERT_OUTCOME(read_block(dev, 100, buf), GOOD);
	assert_int_equal(buf[0], byte);
	assert_int_equal(buf[511], byte);
}

static void attr_is(struct fake_dev *dev, const char *name, const char *expected)
{
	char now[512];

	assert_true(fake_dev_attr(dev, name, now, sizeof(now)));
	assert_string_equal(now, expected);
}

/* Has the daemon let go of it? */
static bool is_free(const char *file)
{
	int fd = open(world_path(&w, file), O_RDWR | O_CLOEXEC);
	bool free_now = !flock(fd, LOCK_EX | LOCK_NB);

	close(fd);
	return free_now;
}

static void open_files(void)
{
	filled("a", 0xaa, MIB);
	filled("b", 0xbb, 2 * MIB);
}

static void changed(void **state)
{
	g_autofree char *b = config_of("b", ";removable"), *b_timed = NULL;
	struct fake_dev *dev;

	(void)state;
	open_files();
	start_usual(TCMU_HANDLERS);
	dev = lun("disk", "a", ";removable");
	ASSERT_OUTCOME(write_block(dev, 5, 0x55), GOOD);
	ASSERT_OUTCOME(select_control(dev, true, false, false), GOOD);
	ASSERT_OUTCOME(start_stop(dev, 2), GOOD); /* ejected: it comes with the new one */
	change("disk", 2 * MIB, b, 0, "");
	ASSERT_OUTCOME(tur(dev), MEDIUM_CHANGED);
	ASSERT_OUTCOME(tur(dev), GOOD);
	holds(dev, 0xbb);
	assert_true(d_sense(dev));
	assert_int_equal(capacity(dev), 2 * MIB);
	attr_is(dev, "attrib/dev_config", b);
	attr_is(dev, "attrib/dev_size", "2097152");
	assert_true(is_free("a"));
	assert_false(is_free("b"));
	for (int killed = 0; killed < 2; killed++) {
		restart(TCMU_HANDLERS, killed);
		assert_true(bus_wait_name(client, SERVICE, true));
		ASSERT_OUTCOME(tur(dev), GOOD);
		holds(dev, 0xbb);
		assert_int_equal(capacity(dev), 2 * MIB);
	}
	/* Back, as many bytes as there are; and what the runner has in each config string. */
	change_file("user_0/disk", 0, "a", ";tcmur_cmd_time_out=7;removable", 0, "");
	b_timed = config_of("a", ";tcmur_cmd_time_out=7;removable");
	attr_is(dev, "attrib/dev_config", b_timed);
	ASSERT_OUTCOME(tur(dev), MEDIUM_CHANGED);
	holds(dev, 0xaa);
	assert_int_equal(capacity(dev), MIB);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_true(is_free("a"));
	stop();
}

/* The one unit attention that data hang on. */
static void nobody_was_told(void **state)
{
	struct fake_dev *dev;

	(void)state;
	open_files();
	start_usual(TCMU_HANDLERS);
	dev = lun("disk", "a", ";removable");
	for (int killed = 0; killed < 2; killed++) {
		change_file("disk", MIB, killed ? "a" : "b", ";removable", 0, "");
		restart(TCMU_HANDLERS, killed);
		assert_true(bus_wait_name(client, SERVICE, true));
		ASSERT_OUTCOME(tur(dev), MEDIUM_CHANGED);
		ASSERT_OUTCOME(tur(dev), GOOD);
		holds(dev, killed ? 0xaa : 0xbb);
		restart(TCMU_HANDLERS, killed);
		assert_true(bus_wait_name(client, SERVICE, true));
		ASSERT_OUTCOME(tur(dev), GOOD);
	}
	stop();
}

static void refused(void **state)
{
	struct fake_dev *dev, *fixed;

	(void)state;
	open_files();
	filled("c", 0xcc, MIB);
	start_usual(TCMU_HANDLERS);
	dev = lun("disk", "a", ";removable");
	fixed = lun("fixed", "c", "");
	change_file("fixed", MIB, "b", ";removable", EMEDIUMTYPE, "not removable");
	change_file("disk", MIB, "b", "", EMEDIUMTYPE, ";removable");
	change_file("disk", MIB, "none", ";removable", EINVAL, "none");
	change_file("disk", MIB, "b", ";no-option", EINVAL, "no-option");
	change_file("disk", MIB, "c", ";removable", EBUSY, "cannot be opened");
	change_file("disk", 3 * MIB, "b", ";removable", EINVAL, "cannot be opened");
	change_file("disk", 511, "b", ";removable", EINVAL, "cannot be opened");
	change_file("disk", MIB, "b", ";removable;tcmur_cmd_time_out=x", EINVAL, "whole seconds");
	change_file("disk", MIB, "a,b", ";removable", EINVAL, "a,b' cannot be opened");
	change_file("none", MIB, "b", ";removable", ENOENT, "no storage object 'none'");
	change_file("user_1/disk", MIB, "b", ";removable", ENOENT, "no storage object");
	change_file("", MIB, "b", ";removable", EINVAL, "not the name");
	change_file("../disk", MIB, "b", ";removable", EINVAL, "not the name");
	change_file("disk/", MIB, "b", ";removable", EINVAL, "not the name");
	change("disk", MIB, "null/", ENOENT, "served by the handler 'file'");
	change("disk", MIB, "nobody/x", -1, "does not exist");
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1e, 0, 0, 0, 1), FAKE_NONE, NULL, 0), GOOD);
	change_file("disk", MIB, "b", ";removable", EBUSY, "PREVENT ALLOW");
	/* Nothing of all that has left a trace. */
	ASSERT_OUTCOME(tur(dev), GOOD);
	holds(dev, 0xaa);
	ASSERT_OUTCOME(tur(fixed), GOOD);
	holds(fixed, 0xcc);
	assert_true(is_free("b"));
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1e, 0, 0, 0, 0), FAKE_NONE, NULL, 0), GOOD);
	change_file("disk", MIB, "b", ";removable", 0, "");
	ASSERT_OUTCOME(tur(dev), MEDIUM_CHANGED);
	stop();
}

/* ---- what is under way meanwhile ---- */

struct caller {
	pthread_t thread;
	const char *name;
	char *config;
	int rc;
	char *message;
	_Atomic(bool) done;
};

static void *call(void *arg)
{
	struct caller *c = arg;
	GDBusConnection *own = bus_connect(&w);

	c->message = bus_change(own, c->name, MIB, c->config, &c->rc);
	g_object_unref(own);
	atomic_store(&c->done, true);
	return NULL;
}

static void begin(struct caller *c, const char *name, const char *medium)
{
	*c = (struct caller) { .name = name };
	c->config = g_strconcat("slow/", world_path(&w, medium), NULL);
	assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

/* Whatever came of it. */
static void end_somehow(struct caller *c)
{
	pthread_join(c->thread, NULL);
	g_free(c->message);
	g_free(c->config);
}

static void end(struct caller *c, int rc, const char *sentence)
{
	while (!atomic_load(&c->done))
		usleep(1000);
	if (c->rc != rc || !strstr(c->message, sentence)) {
		print_error("%s -> %s: %d, %s\n", c->name, c->config, c->rc, c->message);
		fail();
	}
	end_somehow(c);
}

/* Until its thread takes no new commands. */
static void wait_changing(const char *name)
{
	uint64_t end_ms = fake_now_ms() + LONG_MS;

	for (;;) {
		GVariant *ret = bus_call(client, "/org/kernel/TCMURunner1",
					 "org.kernel.TCMURunner1", "GetDevice",
					 g_variant_new("(s)", name), NULL);
		GVariant *dict;
		const char *now;
		bool changing;

		assert_non_null(ret);
		dict = g_variant_get_child_value(ret, 0);
		assert_true(g_variant_lookup(dict, "State", "&s", &now));
		changing = !strcmp(now, "changing");
		g_variant_unref(dict);
		g_variant_unref(ret);
		if (changing)
			return;
		assert_true(fake_now_ms() < end_ms);
		usleep(2000);
	}
}

/* A command under way is waited for, those that come meanwhile are told; a storage that takes its time holds up
 * nobody else. */
static void commands_wait(void **state)
{
	struct bg before, waiting[5], other;
	struct fake_dev *dev, *beside;
	struct caller c;

	(void)state;
	start_usual(all_handlers());
	dev = slow_lun("medium1");
	beside = slow_lun("beside");
	hold("medium1", "read");
	hold("medium2", "open");
	bg_submit(dev, &before, read_one, FAKE_IN);
	reached("medium1", "read begins", 1);
	begin(&c, "medium1", "medium2");
	reached("medium2", "check ends", 1);
	wait_changing("medium1");
	for (size_t i = 0; i < 5; i++)
		bg_submit(dev, &waiting[i], i % 2 ? read_one : write_one,
			  i % 2 ? FAKE_IN : FAKE_OUT);
	usleep(100000);
	assert_false(atomic_load(&c.done));
	assert_int_equal(count(trace("medium2"), "open begins"), 0);
	let_go("medium1", "read");
	bg_wait(&before);
	assert_int_equal(before.cmd.status, 0);
	reached("medium2", "open begins", 1);
	assert_int_equal(count(trace("medium1"), "flush ends"), 1);
	assert_int_equal(count(trace("medium1"), "close ends"), 1);
	bg_submit(beside, &other, read_one, FAKE_IN);
	bg_wait(&other);
	assert_int_equal(other.cmd.status, 0);
	assert_true(bus_wait_handlers(client, "file foreign slow volatile"));
	assert_int_equal(fake_dev_reconfig(dev, "dev_size", "2097152"), -EAGAIN);
	let_go("medium2", "open");
	end(&c, 0, "");
	for (size_t i = 0; i < 5; i++) {
		bg_wait(&waiting[i]);
		ASSERT_OUTCOME(outcome(&waiting[i].cmd), MEDIUM_CHANGED);
	}
	assert_int_equal(count(trace("medium2"), "write"), 0);
	ASSERT_OUTCOME(tur(dev), MEDIUM_CHANGED);              /* of somebody else, perhaps */
	ASSERT_OUTCOME(wait_while(dev, MEDIUM_CHANGED), GOOD); /* that may be the next one's turn */
	stop();
}

/* Given up after 20 s: all is as it was. */
static void too_slow(void **state)
{
	struct fake_dev *dev;
	struct caller c;

	(void)state;
	start_usual(all_handlers());
	dev = slow_lun("medium1");
	hold("medium2", "open");
	begin(&c, "medium1", "medium2");
	end(&c, ETIMEDOUT, "nothing was changed");
	let_go("medium2", "open");
	ASSERT_OUTCOME(tur(dev), GOOD);
	reached("medium1", "open ends", 2);
	assert_int_equal(count(trace("medium2"), "close ends"), 1);

	hold("medium1", "read"); /* and because of a command under way */
	struct bg before;
	bg_submit(dev, &before, read_one, FAKE_IN);
	reached("medium1", "read begins", 1);
	begin(&c, "medium1", "medium2");
	end(&c, ETIMEDOUT, "nothing was changed");
	assert_int_equal(count(trace("medium2"), "open begins"), 1);
	ASSERT_OUTCOME(tur(dev), GOOD);
	let_go("medium1", "read");
	bg_wait(&before);
	assert_int_equal(before.cmd.status, 0);
	begin(&c, "medium1", "medium2");
	end(&c, 0, "");
	ASSERT_OUTCOME(tur(dev), MEDIUM_CHANGED);
	stop();
}

/* The new one cannot be opened, nor can the old one for a while. */
static void old_one_is_lost(void **state)
{
	struct fake_dev *dev;
	struct caller c;
	struct bg bg;

	(void)state;
	start_usual(all_handlers());
	dev = slow_lun("medium1");
	spoil("medium1", "open", true);
	spoil("medium2", "open", true);
	begin(&c, "medium1", "medium2");
	end(&c, EIO, "cannot be opened");
	bg_submit(dev, &bg, read_one, FAKE_IN);
	assert_int_equal(proc_expect(&w.d, "its commands wait", LONG_MS), 0);
	begin(&c, "medium1", "medium2");
	end(&c, EAGAIN, "not served just now");
	assert_false(atomic_load(&bg.done));
	spoil("medium1", "open", false);
	bg_wait(&bg);
	ASSERT_OUTCOME(outcome(&bg.cmd), GOOD);
	stop();
}

static void killed_or_removed_or_stopped(void **state)
{
	struct fake_dev *dev;
	struct caller c;

	(void)state;
	for (int how = 0; how < 3; how++) {
		start_usual(all_handlers());
		dev = slow_lun("medium1");
		hold("medium2", "open");
		begin(&c, "medium1", "medium2");
		reached("medium2", "open begins", (unsigned int)how + 1);
		if (how == 0) {
			proc_kill(&w.d);
			end(&c, -1, "");
			start_usual(all_handlers());
			reached("medium1", "open begins", 2);
			ASSERT_OUTCOME(tur(dev), GOOD); /* it is the old one */
			assert_int_equal(count(trace("medium2"), "open begins"), 1);
			assert_true(bus_wait_name(client, SERVICE, true));
		} else if (how == 1) {
			assert_int_equal(fake_dev_remove(dev), 0); /* after 5 s */
			dev = NULL;
			let_go("medium2", "open");
			end_somehow(&c);
		} else {
			kill(w.d.pid, SIGTERM);
			usleep(50000);
			let_go("medium2", "open");
			end_somehow(&c);
			assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
			start_usual(all_handlers());
			unsigned int first = tur(dev); /* the change may have been first */
			assert_true(first == GOOD || first == MEDIUM_CHANGED);
		}
		let_go("medium2", "open");
		if (dev)
			assert_int_equal(fake_dev_remove(dev), 0);
		stop();
	}
}

/* ---- nobody reads or writes the wrong one ---- */

static _Atomic(bool) over;
static _Atomic(unsigned int) now_in; /* 2n: n changes are over; 2n + 1: another one is under way */

static void *reads(void *arg)
{
	struct fake_dev *dev = arg;
	unsigned long good = 0;

	while (!atomic_load(&over)) {
		unsigned int before = atomic_load(&now_in), after;
		struct fake_cmd cmd;
		uint8_t buf[512];

		fake_cmd_init(&cmd, read_one, 16, FAKE_IN, buf, sizeof(buf));
		if (fake_exec(fake_dev_ring(dev), &cmd, LONG_MS))
			return NULL;
		after = atomic_load(&now_in);
		if (cmd.status && outcome(&cmd) != MEDIUM_CHANGED)
			return NULL;
		/* With no change meanwhile, only one of the two can be the answer. */
		if (!cmd.status && before == after && !(before & 1) &&
		    buf[0] != (before / 2 % 2 ? 0xbb : 0xaa))
			return NULL;
		good += !cmd.status;
	}
	return (void *)good;
}

static void beside_reads(void **state)
{
	pthread_t reader[3];
	struct fake_dev *dev;

	(void)state;
	open_files();
	start_usual(TCMU_HANDLERS);
	dev = lun("disk", "a", ";removable");
	atomic_store(&over, false);
	atomic_store(&now_in, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, reads, dev), 0);
	for (unsigned int i = 0; i < scaled(200); i++) {
		atomic_fetch_add(&now_in, 1);
		change_file("disk", MIB, i % 2 ? "a" : "b", ";removable", 0, "");
		atomic_fetch_add(&now_in, 1);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 3; i++) {
		void *good;

		pthread_join(reader[i], &good);
		assert_non_null(good);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, bus_open, bus_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(changed),
		T(nobody_was_told),
		T(refused),
		T(commands_wait),
		T(too_slow),
		T(old_one_is_lost),
		T(killed_or_removed_or_stopped),
		T(beside_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
