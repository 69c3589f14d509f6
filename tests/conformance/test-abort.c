/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task management through the whole daemon: the commands that a TMR names are answered as soon as that
 * is right, wherever they are, with KEEP_BUF if need be. Verdicts 16 (kept buffers) and 19 (aborted
 * commands) of the fake kernel stay silent.
 */
#include "state.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE (4 * MIB)

#define ABORT_TASK 1
#define LUN_RESET  5

#define PATIENCE_MS 1000 /* that the runner has with a handler */
/* Before the handler is let go, which would be never. Whether it was without KEEP_BUF, kept() tells. */
#define SOON_MS 10000

static struct fake_dev *lun_of(const char *subtype, const char *name, uint16_t ring_flags)
{
	struct fake_dev_cfg cfg = { .name = name, .size = SIZE, .ring = FAKE_RING_CFG_DEFAULT };
	struct fake_dev *dev = NULL;
	char config[200];

	snprintf(config, sizeof(config), "%s/%s", subtype, world_path(&w, name));
	cfg.config = config;
	cfg.ring.pos_off = 76;
	cfg.ring.flags = ring_flags;
	assert_int_equal(fake_dev_create(w.k, &cfg, &dev), 0);
	return dev;
}

static void tmr(struct fake_dev *dev, uint8_t type, struct bg *bg)
{
	struct fake_cmd *cmd = &bg->cmd;

	fake_ring_tmr(fake_dev_ring(dev), type, &cmd, 1);
}

/* ABORT TASK, and its end within this time. */
static void abort_within(struct fake_dev *dev, struct bg *bg, unsigned int ms)
{
	uint64_t begin = fake_now_ms(), took;

	tmr(dev, ABORT_TASK, bg);
	bg_wait(bg);
	took = fake_now_ms() - begin;
	if (took > ms)
		fail_msg("answered after %llu ms", (unsigned long long)took);
	assert_int_equal(bg->cmd.status, 0x40);
}

/* Commands on the ring for which the initiator does not wait any more. */
static unsigned int kept(struct fake_dev *dev)
{
	struct fake_ring_stats st;

	fake_ring_get_stats(fake_dev_ring(dev), &st);
	return (unsigned int)(st.in_flight - st.unanswered);
}

static void wait_freed(struct fake_dev *dev)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	while (kept(dev) && fake_now_ms() < end)
		usleep(1000);
	assert_int_equal(fake_wait_idle(fake_dev_ring(dev), LONG_MS), 0);
}

static void write_letter(struct fake_dev *dev, struct bg *bg, uint8_t lba, uint8_t letter)
{
	memset(bg->buf, letter, sizeof(bg->buf));
	bg_submit(dev, bg, CDB(0x8a, [9] = lba, [13] = 1), FAKE_OUT);
}

static uint8_t letter_at(struct fake_dev *dev, uint8_t lba)
{
	uint8_t buf[512];

	ASSERT_OUTCOME(read_block(dev, lba, buf), GOOD);
	return buf[0];
}

static bool notified(struct fake_dev *dev)
{
	char buf[16] = "";

	return fake_dev_attr(dev, "attrib/tmr_notification", buf, sizeof(buf)) && buf[0] == '1';
}

static void wait_notified(struct fake_dev *dev)
{
	uint64_t end = fake_now_ms() + LONG_MS;

	while (!notified(dev)) {
		assert_true(fake_now_ms() < end);
		usleep(1000);
	}
}

/* Turned on at the start, and left as it is then. */
static void asks_for_notification(void **state)
{
	struct fake_dev *dev, *old;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "asks", 0);
	old = lun_of("led", "old", 1);
	wait_notified(dev);
	fake_dev_set_attr(dev, "attrib/tmr_notification", "0");
	ASSERT_OUTCOME(tur(dev), GOOD);
	ASSERT_OUTCOME(tur(old), GOOD);
	usleep(50000);
	assert_false(notified(dev));
	assert_false(notified(old)); /* its kernel has no TMRs on the ring */
	restart(TCMU_LED_HANDLERS, true);
	wait_notified(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(fake_dev_remove(old), 0);
}

/* Four workers have four writes, which hang; the others have not begun. */
static void not_begun(void **state)
{
	static struct bg bg[7];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "queue", 0);
	hold("queue", "write");
	for (uint8_t i = 0; i < 7; i++)
		write_letter(dev, &bg[i], i, (uint8_t)('a' + i));
	reached("queue", "write", 4);
	for (int i = 5; i >= 4; i--) /* one in the middle, the first; the last remains */
		abort_within(dev, &bg[i], SOON_MS);
	assert_int_equal(kept(dev), 0);
	let_go("queue", "write");
	for (int i = 0; i < 7; i++)
		bg_wait(&bg[i]);
	assert_int_equal(count(trace("queue"), "write"), 5);
	assert_int_equal(letter_at(dev, 3), 'd');
	assert_int_equal(letter_at(dev, 4), 0);
	assert_int_equal(letter_at(dev, 5), 0);
	assert_int_equal(letter_at(dev, 6), 'g');
	wait_freed(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* Engine calls of an fd-based handler: its 16 workers hang in something else. */
static void engine_call_not_begun(void **state)
{
	static struct bg bg[17];
	struct fake_dev *dev;

	(void)state;
	if (strcmp(engine_option(), "--engine=workers"))
		skip(); /* with io_uring a read waits for no worker */
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("lede", "engine", 0);
	hold("engine", "write");
	for (uint8_t i = 0; i < 16; i++)
		write_letter(dev, &bg[i], i, 'w');
	reached("engine", "write", 16);
	bg_submit(dev, &bg[16], read_one, FAKE_IN);
	usleep(20000);
	abort_within(dev, &bg[16], SOON_MS);
	assert_int_equal(kept(dev), 0);
	assert_int_equal(access(world_path(&w, "engine.cancelled"), F_OK), 0);
	let_go("engine", "write");
	for (int i = 0; i < 16; i++)
		bg_wait(&bg[i]);
	assert_int_equal(letter_at(dev, 0), 'w');
	wait_freed(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* With a handler that can be asked. */
static void cancelled(void **state)
{
	static struct bg bg[2];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("ledc", "asked", 0);
	hold("asked", "write");
	hold("asked", "read");
	write_letter(dev, &bg[0], 0, 'a');
	bg_submit(dev, &bg[1], read_one, FAKE_IN);
	reached("asked", "write", 1);
	reached("asked", "read", 1);
	abort_within(dev, &bg[0], SOON_MS);
	abort_within(dev, &bg[1], SOON_MS);
	assert_int_equal(kept(dev), 0);
	let_go("asked", "write");
	let_go("asked", "read");
	assert_int_equal(letter_at(dev, 0), 0);
	wait_freed(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* The handler hangs and cannot be asked: answered early, and all that it uses is kept. */
static void buffers_are_kept(void **state)
{
	static struct bg bg[3];
	struct fake_dev *dev;
	uint64_t begin;
	uint8_t buf[512];
	uint16_t id;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "keeps", 0);
	medium_fill("keeps", 'm');
	hold("keeps", "write");
	hold("keeps", "read");
	write_letter(dev, &bg[0], 1, 'a');
	bg_submit(dev, &bg[1], read_one, FAKE_IN);
	reached("keeps", "write", 1);
	reached("keeps", "read", 1);
	id = fake_ring_cmd_id(fake_dev_ring(dev), &bg[0].cmd);
	begin = fake_now_ms();
	tmr(dev, LUN_RESET, &bg[0]);
	tmr(dev, LUN_RESET, &bg[1]);
	bg_wait(&bg[0]);
	bg_wait(&bg[1]);
	assert_true(fake_now_ms() - begin >= PATIENCE_MS - 100);
	assert_int_equal(bg[0].cmd.status, 0x40);
	assert_int_equal(bg[1].cmd.status, 0x40);
	assert_int_equal(kept(dev), 2);

	/* Life goes on, with other blocks and ids. */
	let_go("keeps", "read");
	reached("keeps", "read", 1);
	for (int i = 0; i < 50; i++) {
		ASSERT_OUTCOME(read_block(dev, 2, buf), GOOD);
		assert_int_equal(buf[511], 'm');
		bg_submit(dev, &bg[2], CDB(0), FAKE_NONE);
		assert_int_not_equal(fake_ring_cmd_id(fake_dev_ring(dev), &bg[2].cmd), id);
		bg_wait(&bg[2]);
	}
	assert_int_equal(kept(dev), 1); /* the read is over */
	let_go("keeps", "write");
	wait_freed(dev);
	assert_int_equal(letter_at(dev, 1),
			 'a');            /* what the initiator had sent, not somebody else's */
	for (uint8_t i = 0; i < 8; i++) { /* the ids again */
		write_letter(dev, &bg[0], i, (uint8_t)('0' + i));
		bg_wait(&bg[0]);
		assert_int_equal(bg[0].cmd.status, 0);
		assert_int_equal(letter_at(dev, i), '0' + i);
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* It is answered when it is over, as there is no other way. */
static void ring_without_keep_buf(void **state)
{
	static struct bg bg;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "plain", 1 | 4);
	hold("plain", "write");
	write_letter(dev, &bg, 0, 'a');
	reached("plain", "write", 1);
	tmr(dev, ABORT_TASK, &bg);
	usleep((PATIENCE_MS + 200) * 1000);
	assert_false(atomic_load(&bg.done));
	let_go("plain", "write");
	bg_wait(&bg);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* COMPARE AND WRITE hangs in its read; who waits for its range is taken out of the queue. Aborted itself,
 * it has its range for as long as its read goes on, and writes nothing. */
static void waiting_for_a_range(void **state)
{
	static uint8_t buf[1024];
	static struct fake_cmd caw;
	static struct bg bg[2];
	struct fake_cmd *cmd = &caw;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "range", 0);
	hold("range", "read");
	memset(buf + 512, 'c', 512);
	fake_cmd_init(&caw, CDB(0x89, [13] = 1), 16, FAKE_OUT, buf, sizeof(buf));
	fake_ring_submit(fake_dev_ring(dev), &caw);
	reached("range", "read", 1);
	write_letter(dev, &bg[0], 0, 'a');
	write_letter(dev, &bg[1], 0, 'b');
	usleep(20000);
	abort_within(dev, &bg[0], SOON_MS);
	fake_ring_tmr(fake_dev_ring(dev), LUN_RESET, &cmd, 1);
	usleep((PATIENCE_MS + 200) * 1000);
	assert_int_equal(kept(dev), 1);
	assert_false(atomic_load(&bg[1].done));
	assert_int_equal(count(trace("range"), "write"), 0);
	let_go("range", "read");
	bg_wait(&bg[1]);
	assert_int_equal(bg[1].cmd.status, 0);
	wait_freed(dev);
	assert_int_equal(count(trace("range"), "write"), 1);
	assert_int_equal(letter_at(dev, 0), 'b');
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* VERIFY, of which one at a time has the buffer that it reads into. */
static void waiting_for_the_bounce_buffer(void **state)
{
	static const uint8_t verify[16] = { 0x8f, [13] = 1 };
	static struct bg bg[4];
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "bounce", 0);
	hold("bounce", "read");
	for (int i = 0; i < 4; i++)
		bg_submit(dev, &bg[i], verify, FAKE_OUT);
	reached("bounce", "read", 1);
	abort_within(dev, &bg[3], SOON_MS);
	abort_within(dev, &bg[1], SOON_MS);
	tmr(dev, ABORT_TASK, &bg[0]);
	bg_wait(&bg[0]);
	assert_int_equal(kept(dev), 1);
	assert_false(atomic_load(&bg[2].done)); /* the read still writes there */
	let_go("bounce", "read");
	bg_wait(&bg[2]);
	assert_int_equal(bg[2].cmd.status, 0);
	wait_freed(dev);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* WRITE SAME: no further piece. */
static void between_pieces(void **state)
{
	static struct bg bg;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "pieces", 0);
	hold("pieces", "write");
	memset(bg.buf, 's', sizeof(bg.buf));
	bg_submit(dev, &bg, CDB(0x93, [12] = 0x08), FAKE_OUT); /* 1 MiB */
	reached("pieces", "write", 1);
	tmr(dev, ABORT_TASK, &bg);
	usleep(20000);
	let_go("pieces", "write");
	bg_wait(&bg);
	wait_freed(dev);
	assert_int_equal(count(trace("pieces"), "write"), 1);
	assert_int_equal(letter_at(dev, 0), 's');
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* PREVENT ALLOW MEDIUM REMOVAL ends with a reset, not with the abort of a command. */
static void reset_allows_removal(void **state)
{
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	led_mark("resets", "removable");
	dev = lun_of("led", "resets", 0);
	ASSERT_OUTCOME(send_cmd(dev, CDB(0x1e, 0, 0, 0, 1), FAKE_NONE, NULL, 0), GOOD);
	fake_ring_tmr(fake_dev_ring(dev), ABORT_TASK, NULL, 0);
	ASSERT_OUTCOME(start_stop(dev, 0x02), REMOVAL_PREVENTED);
	fake_ring_tmr(fake_dev_ring(dev), LUN_RESET, NULL, 0);
	ASSERT_OUTCOME(start_stop(dev, 0x02), GOOD);
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* A daemon that is told to stop waits for the late completion; of one that is killed the kernel takes the
 * buffer back. */
static void end_of_the_daemon(void **state)
{
	static struct bg bg;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "ends", 0);
	for (int killed = 0; killed < 2; killed++) {
		hold("ends", "write");
		write_letter(dev, &bg, 0, (uint8_t)('0' + killed));
		reached("ends", "write", 1 + (unsigned int)killed);
		tmr(dev, ABORT_TASK, &bg);
		bg_wait(&bg);
		assert_int_equal(kept(dev), 1);
		if (killed) {
			proc_kill(&w.d);
		} else {
			assert_int_equal(kill(w.d.pid, SIGTERM), 0);
			usleep(300000);
			assert_int_equal(kill(w.d.pid, 0), 0);
			assert_int_equal(kept(dev), 1);
		}
		let_go("ends", "write");
		if (!killed)
			assert_int_equal(proc_wait(&w.d, LONG_MS), 0);
		start_usual(TCMU_LED_HANDLERS);
		wait_freed(dev);
		assert_int_equal(letter_at(dev, 0), '0');
	}
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* The device is removed while a buffer is kept. */
static void removal(void **state)
{
	static struct bg bg;
	struct fake_dev *dev;

	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	dev = lun_of("led", "gone", 0);
	hold("gone", "write");
	write_letter(dev, &bg, 0, 'a');
	reached("gone", "write", 1);
	tmr(dev, LUN_RESET, &bg);
	bg_wait(&bg);
	assert_int_equal(fake_dev_remove(dev), 0); /* answered at its deadline */
	let_go("gone", "write");
	dev = lun_of("led", "gone", 0); /* waits for the end of the old one */
	ASSERT_OUTCOME(write_block(dev, 0, 'b'), GOOD);
	assert_int_equal(letter_at(dev, 0), 'b');
	assert_int_equal(fake_dev_remove(dev), 0);
}

/* ---- many at once ---- */

#define SLOTS 24

static void submit_any(struct fake_dev *dev, struct bg *bg, unsigned int *seed)
{
	uint8_t lba = (uint8_t)(rand_r(seed) % 8), letter = (uint8_t)rand_r(seed);

	memset(bg->buf, letter, sizeof(bg->buf));
	switch (rand_r(seed) % 6) {
	case 0:
		bg_submit(dev, bg, CDB(0x88, [9] = lba, [13] = 1), FAKE_IN);
		break;
	case 1:
		bg_submit(dev, bg, CDB(0x8f, [9] = lba, [13] = 8), FAKE_OUT);
		break;
	case 2:
		bg_submit(dev, bg, CDB(0x8b, [9] = lba, [13] = 1), FAKE_OUT);
		break;
	case 3:
		bg_submit(dev, bg, CDB(0x93, [9] = lba, [12] = 0x06), FAKE_OUT);
		break;
	default:
		bg_submit(dev, bg, CDB(0x8a, rand_r(seed) & 8, [9] = lba, [13] = 1), FAKE_OUT);
	}
}

static void storm_on(struct fake_dev *dev, const char *name)
{
	static struct bg bg[SLOTS];
	struct fake_cmd *named[SLOTS];
	uint64_t end = fake_now_ms() + 3000;
	unsigned int seed = 42;

	for (int i = 0; i < SLOTS; i++)
		atomic_store(&bg[i].done, true);
	for (unsigned int round = 0; fake_now_ms() < end; round++) {
		size_t n = 0;

		for (int i = 0; i < SLOTS; i++) {
			if (atomic_load(&bg[i].done))
				submit_any(dev, &bg[i], &seed);
		}
		if (round % 64 == 8)
			hold(name, rand_r(&seed) % 2 ? "write" : "read");
		for (int i = 0; i < SLOTS; i++) {
			if (!atomic_load(&bg[i].done) && rand_r(&seed) % 8 == 0)
				named[n++] = &bg[i].cmd;
		}
		fake_ring_tmr(fake_dev_ring(dev), rand_r(&seed) % 2 ? ABORT_TASK : LUN_RESET, named,
			      n);
		usleep((unsigned int)rand_r(&seed) % 2000);
		if (round % 64 == 40) {
			let_go(name, "write");
			let_go(name, "read");
		}
	}
	let_go(name, "write");
	let_go(name, "read");
	for (int i = 0; i < SLOTS; i++)
		bg_wait(&bg[i]);
	wait_freed(dev);
	ASSERT_OUTCOME(write_block(dev, 3, 'z'), GOOD);
	assert_int_equal(letter_at(dev, 3), 'z');
	assert_int_equal(fake_dev_remove(dev), 0);
}

static void storm(void **state)
{
	(void)state;
	start_usual(TCMU_LED_HANDLERS);
	storm_on(lun_of("led", "storm", 0), "storm");
	storm_on(lun_of("ledc", "stormc", 0), "stormc");
	storm_on(lun_of("lede", "storme", 0), "storme");
}

/* Calls that were never made are no errors of the file, and no lost writes. */
static void storm_on_a_file(void **state)
{
	(void)state;
	start_usual(TCMU_HANDLERS);
	storm_on(file_lun(&w, "stormf", SIZE), "stormf");
	assert_null(strstr(said(), "failed"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, faults_open, faults_close)
	const struct CMUnitTest tests[] = {
		T(asks_for_notification),
		T(not_begun),
		T(engine_call_not_begun),
		T(cancelled),
		T(buffers_are_kept),
		T(ring_without_keep_buf),
		T(waiting_for_a_range),
		T(waiting_for_the_bounce_buffer),
		T(between_pieces),
		T(reset_allows_removal),
		T(end_of_the_daemon),
		T(removal),
		T(storm),
		T(storm_on_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
