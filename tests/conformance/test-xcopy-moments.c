/* SPDX-License-Identifier: Apache-2.0 */
/* EXTENDED COPY while units go, the daemon stops, and others want the same blocks. */
#include "copies.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct removal {
	pthread_t thread;
	struct fake_dev *dev;
	uint64_t begun; /* fake_now_ms() */
	int ret;
	_Atomic(bool) done;
};

static void *remove_it(void *arg)
{
	struct removal *r = arg;

	r->ret = fake_dev_remove(r->dev);
	atomic_store(&r->done, true);
	return NULL;
}

static void begin_removal(struct removal *r, struct fake_dev *dev)
{
	r->dev = dev;
	r->begun = fake_now_ms();
	atomic_store(&r->done, false);
	assert_int_equal(pthread_create(&r->thread, NULL, remove_it, r), 0);
}

static void end_removal(struct removal *r)
{
	pthread_join(r->thread, NULL);
	assert_int_equal(r->ret, 0);
}

static void submit_long(struct fake_dev *dev, struct bg *cmd)
{
	struct list l;

	list_begin(&l, 1, 0);
	list_cscd(&l, a);
	list_cscd(&l, b);
	list_segment(&l, 0, 1, 0, 0, 8 * PIECE);
	xcopy_submit(dev, cmd, &l);
}

/* Until a copy from c does not find it any more: it has been told to stop. */
static void wait_until_leaving(struct fake_dev *c, struct list *to_it)
{
	uint64_t end = fake_now_ms() + 1000;
	unsigned int what = GOOD;
	struct bg cmd;

	/* Its ports cannot be read any more before the daemon hears of it, and a question that hangs
	 * in configfs keeps its thread from that. */
	while (what == GOOD && fake_now_ms() < end) {
		usleep(1000);
		xcopy_submit(c, &cmd,
			     to_it); /* not again while BUSY, which may be until it is gone */
		bg_wait(&cmd);
		what = outcome(&cmd.cmd);
	}
	if (what != NOT_REACHABLE)
		usleep(100000);
}

/* The other unit goes while a piece is in it: it waits for that piece, and the copy ends. */
static void other_goes(void **state)
{
	struct removal removal;
	struct fake_dev *c;
	struct list l;
	struct bg cmd;

	(void)state;
	two();
	c = lun("c", 3);
	for (int source = 0; source < 2; source++) {
		struct fake_dev *gone = source ? a : b, *stays = source ? b : a;
		const char *name = source ? "a" : "b", *call = source ? "read" : "write";

		list_begin(&l, 0, 3);
		list_cscd(&l, c);
		list_cscd(&l, gone);
		list_segment(&l, 0, 1, 0, 0, 0);
		ASSERT_OUTCOME(xcopy(c, &l), GOOD);
		hold(name, call);
		submit_long(stays, &cmd);
		reached(name, call, 1);
		begin_removal(&removal, gone);
		wait_until_leaving(c, &l);
		/* Should it be after 5 s, the daemon has answered for a unit that is still closing. */
		if (atomic_load(&removal.done))
			fail_msg("%s is removed with a piece in it: %d, %llu ms after", name,
				 removal.ret, (unsigned long long)(fake_now_ms() - removal.begun));
		assert_false(atomic_load(&cmd.done));
		let_go(name, call);
		end_removal(&removal);
		bg_wait(&cmd);
		ASSERT_OUTCOME(outcome(&cmd.cmd), NOT_REACHABLE);
		assert_int_equal(count(trace(name), call), 1);
		ASSERT_OUTCOME(tur(stays), GOOD);
		unlink(world_path(&w, "a.trace"));
		unlink(world_path(&w, "b.trace"));
		if (source)
			a = lun("a", 1);
		else
			b = lun("b", 2);
	}
	/* and while no piece is in it: it does not wait at all */
	hold("b", "write");
	submit_long(b, &cmd);
	reached("b", "write", 1);
	reached("a", "read", 2);
	usleep(50000); /* the second piece has been read */
	assert_int_equal(fake_dev_remove(a), 0);
	assert_false(atomic_load(&cmd.done));
	let_go("b", "write");
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), NOT_REACHABLE);
	assert_int_equal(fake_dev_remove(b), 0);
	assert_int_equal(fake_dev_remove(c), 0);
}

/* The unit that has the command goes: the command ends first. */
static void manager_goes(void **state)
{
	struct removal removal;
	struct bg cmd;

	(void)state;
	two();
	hold("b", "write");
	submit_long(a, &cmd);
	reached("b", "write", 1);
	begin_removal(&removal, a);
	usleep(50000);
	let_go("b", "write");
	end_removal(&removal);
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), GOOD);
	assert_blocks("b", 0, 8 * PIECE, 1, 0);
	assert_int_equal(fake_dev_remove(b), 0);
}

/* The daemon stops: the next one does it all, unless that would be something else. */
static void daemon_stops(void **state)
{
	struct bg cmd;
	struct list l;

	(void)state;
	two();
	hold("b", "write");
	submit_long(a, &cmd);
	reached("b", "write", 1);
	assert_int_equal(kill(w.d.pid, SIGTERM), 0);
	assert_int_equal(proc_expect(&w.d, "stopping", LONG_MS), 0);
	usleep(200000); /* the devices are told right after that */
	let_go("b", "write");
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), BUSY_STATUS); /* also if b has stopped first */
	start_usual(TCMU_LED_HANDLERS);
	ASSERT_OUTCOME(copy(a, a, b, 0, 0, 8 * PIECE), GOOD);
	assert_blocks("b", 0, 8 * PIECE, 1, 0);

	/* it reads where it has written: once is not as good as twice */
	hold("a", "write");
	list_begin(&l, 1, 0);
	list_cscd(&l, a);
	list_segment(&l, 0, 0, 0, 100, 8 * PIECE);
	xcopy_submit(a, &cmd, &l);
	reached("a", "write", 1);
	assert_int_equal(kill(w.d.pid, SIGTERM), 0);
	assert_int_equal(proc_expect(&w.d, "stopping", LONG_MS), 0);
	usleep(200000); /* the devices are told right after that */
	let_go("a", "write");
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), GOOD);
	assert_blocks("a", 100, 8 * PIECE, 1, 0);
	start_usual(TCMU_LED_HANDLERS);
	/* inside one unit, without an overlap: BUSY */
	unlink(world_path(&w, "a.trace"));
	number_blocks("a", 1);
	hold("a", "write");
	l.len = 16 + 32;
	list_segment(&l, 0, 0, 0, 4096, 4 * PIECE);
	xcopy_submit(a, &cmd, &l);
	reached("a", "write", 1);
	assert_int_equal(kill(w.d.pid, SIGTERM), 0);
	assert_int_equal(proc_expect(&w.d, "stopping", LONG_MS), 0);
	usleep(200000); /* the devices are told right after that */
	let_go("a", "write");
	assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), BUSY_STATUS);
	start_usual(TCMU_LED_HANDLERS);
	ASSERT_OUTCOME(xcopy(a, &l), GOOD);
	assert_blocks("a", 4096, 4 * PIECE, 1, 0);
	remove_two();
}

/* One that runs ends after the piece that is under way, one that waits for it at once. */
static void aborted(void **state)
{
	struct fake_cmd *victims[2];
	struct bg runs, waits;

	(void)state;
	two();
	hold("b", "write");
	submit_long(a, &runs);
	reached("b", "write", 1);
	submit_long(a, &waits);
	usleep(50000);
	victims[0] = &waits.cmd;
	fake_ring_tmr(fake_dev_ring(a), 1, victims, 1); /* ABORT TASK */
	bg_wait(&waits);
	assert_false(atomic_load(&runs.done));
	submit_long(a, &waits);
	usleep(50000);
	victims[0] = &runs.cmd;
	victims[1] = &waits.cmd;
	fake_ring_tmr(fake_dev_ring(a), 5, victims, 2); /* LOGICAL UNIT RESET */
	bg_wait(&waits);
	let_go("b", "write");
	bg_wait(&runs);
	assert_int_equal(count(trace("b"), "write"), 1);
	ASSERT_OUTCOME(copy(a, a, b, 0, 0, 8 * PIECE), GOOD);
	assert_blocks("b", 0, 8 * PIECE, 1, 0);
	remove_two();
}

/* At the start of the daemon the other unit may still be opened: it is known, so it comes. */
static void daemon_starts(void **state)
{
	struct list names;
	struct bg cmd;

	(void)state;
	two();
	list_begin(&names, 1, 0);
	list_cscd(&names, a);
	list_cscd(&names, b);
	list_segment(&names, 0, 1, 0, 0, 8 * PIECE);
	stop();
	hold("b", "open");
	start_usual(TCMU_LED_HANDLERS);
	ASSERT_OUTCOME(tur(a), GOOD);
	xcopy_submit(a, &cmd, &names);
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), BUSY_STATUS);
	let_go("b", "open");
	ASSERT_OUTCOME(tur(b), GOOD);
	xcopy_submit(a, &cmd, &names);
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), GOOD);
	assert_blocks("b", 0, 8 * PIECE, 1, 0);
	/* another name is nobody's */
	names.bytes[16 + 32 + 12] ^= 1;
	xcopy_submit(a, &cmd, &names);
	bg_wait(&cmd);
	ASSERT_OUTCOME(outcome(&cmd.cmd), NOT_REACHABLE);
	remove_two();
}

/* A format of the destination waits for the piece. */
static void range_and_format(void **state)
{
	struct bg cmd, format;

	(void)state;
	two();
	hold("b", "write");
	submit_long(a, &cmd);
	reached("b", "write", 1);
	memset(format.buf, 0, sizeof(format.buf));
	bg_submit(b, &format, CDB(0x04), FAKE_NONE); /* FORMAT UNIT: waits for the piece */
	while (tur(b) != FORMAT_IN_PROGRESS)
		usleep(1000);
	assert_false(atomic_load(&format.done));
	let_go("b", "write");
	bg_wait(&cmd);
	bg_wait(&format);
	ASSERT_OUTCOME(outcome(&format.cmd), GOOD);
	/* Or the format was over before the next piece came. */
	if (outcome(&cmd.cmd) != GOOD) {
		ASSERT_OUTCOME(outcome(&cmd.cmd), DEVICE_FAILURE);
		assert_true(medium_is("b", 0));
	}
	remove_two();
}

/* Copies in all directions while units come and go: for the sanitizers. */
static void storm(void **state)
{
	static struct bg cmds[30];
	struct fake_dev *c;
	struct list l;

	(void)state;
	two();
	for (unsigned int round = 0; round < 4; round++) {
		struct fake_dev *ends[3];

		c = lun("c", 3);
		ends[0] = a;
		ends[1] = b;
		ends[2] = c;
		for (unsigned int i = 0; i < 30; i++) {
			struct fake_dev *whom = ends[i % 2];

			list_begin(&l, 1, 0);
			for (unsigned int n = 0; n < 3; n++)
				list_cscd(&l, ends[n]);
			list_segment(&l, (uint16_t)(i % 2), (uint16_t)(i / 2 % 3), 0, 100 * i, 70);
			list_segment(&l, (uint16_t)(i / 3 % 3), (uint16_t)(i % 2), 0, 4000, 700);
			xcopy_submit(whom, &cmds[i], &l);
		}
		assert_int_equal(fake_dev_remove(c), 0);
		for (unsigned int i = 0; i < 30; i++) {
			unsigned int what;

			bg_wait(&cmds[i]);
			what = outcome(&cmds[i].cmd);
			/* Whose ports cannot be read any more, is not allowed to copy. */
			assert_true(what == GOOD || what == NOT_REACHABLE ||
				    what == NOT_AUTHORIZED);
		}
	}
	remove_two();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(other_goes),    T(manager_goes),     T(daemon_stops), T(aborted),
		T(daemon_starts), T(range_and_format), T(storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
