/* SPDX-License-Identifier: Apache-2.0 */
/* The judge judged: what a reader may see, and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "model.h"

#define BLOCK 64u
#define LBA   3u

static struct fake_verdicts v;
static struct model *m;

/* A write of one block, and what it has written. */
struct written {
	uint64_t io;
	uint8_t data[BLOCK];
};

static const struct written zeros;

static void begin(struct written *wr)
{
	wr->io = model_write(m, LBA, 1, wr->data);
}

static void good(const struct written *wr)
{
	model_answered(m, wr->io, true, NULL);
}

static struct written written(void)
{
	struct written wr;

	begin(&wr);
	good(&wr);
	return wr;
}

static struct written written_through(void)
{
	struct written wr;

	begin(&wr);
	model_through(m, wr.io);
	good(&wr);
	return wr;
}

static uint64_t ask(void)
{
	return model_read(m, LBA, 1);
}

static void brings(uint64_t io, const struct written *wr)
{
	model_answered(m, io, true, wr->data);
}

static void reads(const struct written *wr)
{
	brings(ask(), wr);
}

static void flush(bool well)
{
	model_answered(m, model_flush(m), well, NULL);
}

static void fine(void)
{
	assert_true(fake_verdicts_only(&v, FAKE_V_NONE));
}

/* Exactly this, and all is forgotten. */
static void accused(enum fake_verdict kind)
{
	assert_true(fake_verdicts_only(&v, kind));
	fake_verdicts_clear(&v);
}

static int setup(void **state)
{
	(void)state;
	fake_verdicts_init(&v);
	m = model_new(8, BLOCK, &v);
	return 0;
}

static int setup_cache(void **state)
{
	setup(state);
	model_set_cache(m, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	model_free(m);
	fake_verdicts_destroy(&v);
	return 0;
}

/* ---- without a cache ---- */

static void the_last_one(void **state)
{
	struct written a = written(), b = written();

	(void)state;
	reads(&b);
	fine();
	reads(&a);
	accused(FAKE_V_RESTART);
	reads(&zeros);
	accused(FAKE_V_RESTART);
}

static void either_of_two(void **state)
{
	struct written a, b;
	uint64_t early;

	(void)state;
	begin(&a);
	begin(&b);
	early = ask();
	reads(&zeros);
	good(&b);
	good(&a);
	fine();
	reads(&a);
	fine();
	reads(&b); /* both are answered: it does not change any more */
	accused(FAKE_V_RESTART);
	brings(early, &b);
	fine();
}

static void no_way_back(void **state)
{
	struct written a = written(), b;

	(void)state;
	begin(&b);
	reads(&a);
	reads(&b);
	fine();
	reads(&a);
	accused(FAKE_V_RESTART);
}

static void failed_or_not(void **state)
{
	struct written a = written(), b, c;

	(void)state;
	begin(&b);
	model_answered(m, b.io, false, NULL);
	reads(&a);
	fine();
	reads(&b); /* after its answer */
	accused(FAKE_V_RESTART);
	begin(&b);
	model_answered(m, b.io, false, NULL);
	c = written();
	reads(&b);
	accused(FAKE_V_RESTART);
	reads(&c);
	fine();
}

static void answered_once(void **state)
{
	struct written a = written(), b;

	(void)state;
	begin(&b);
	model_quiet(m);
	accused(FAKE_V_RESTART);
	good(&a);
	accused(FAKE_V_RESTART);
}

static void half_a_block(void **state)
{
	struct written a = written(), b, mix = a;

	(void)state;
	begin(&b);
	memcpy(mix.data, b.data, BLOCK / 2);
	reads(&mix);
	accused(FAKE_V_RESTART);
	model_let_tear(m);
	reads(&mix);
	fine();
	mix.data[BLOCK - 1] ^= 1;
	reads(&mix);
	accused(FAKE_V_RESTART);
	mix.data[BLOCK - 1] ^= 1;
	good(&b);
	reads(&mix); /* nobody is at it any more */
	accused(FAKE_V_RESTART);
}

static void failed_and_wavering(void **state)
{
	struct written a = written(), b, c;

	(void)state;
	begin(&b);
	model_answered(m, b.io, false, NULL);
	reads(&b);
	fine();
	reads(&a);
	accused(FAKE_V_RESTART);
	begin(&c);
	model_answered(m, c.io, false, NULL);
	model_let_waver(m);
	reads(&c);
	reads(&b);
	reads(&c);
	fine();
	reads(&a); /* that was over before */
	accused(FAKE_V_RESTART);
	a = written();
	reads(&a);
	fine();
	reads(&c);
	accused(FAKE_V_RESTART);
}

/* ---- with one ---- */

static void power_takes_back(void **state)
{
	struct written a = written(), b;

	(void)state;
	flush(true);
	b = written();
	reads(&a);
	accused(FAKE_V_RESTART);
	model_power_cut(m);
	reads(&a);
	fine();
	reads(&b); /* what is there is there */
	accused(FAKE_V_LOST);
	model_power_cut(m);
	reads(&b);
	accused(FAKE_V_LOST);
	reads(&a);
	fine();
}

static void power_need_not_take(void **state)
{
	struct written a = written(), b = written();

	(void)state;
	model_power_cut(m);
	reads(&b);
	fine();
	reads(&a);
	accused(FAKE_V_LOST);
	model_power_cut(m);
	reads(&zeros);
	accused(FAKE_V_LOST);
}

static void a_flush_promises(void **state)
{
	struct written a = written(), b = written();

	(void)state;
	flush(true);
	model_power_cut(m);
	reads(&a);
	accused(FAKE_V_LOST);
	reads(&zeros);
	accused(FAKE_V_LOST);
	reads(&b);
	fine();
}

/* Only what was answered before it was sent, and only if it is GOOD. */
static void a_flush_promises_no_more(void **state)
{
	struct written a = written(), b;
	uint64_t io;

	(void)state;
	flush(false);
	begin(&b);
	io = model_flush(m);
	good(&b);
	model_answered(m, io, true, NULL);
	model_power_cut(m);
	io = ask();
	reads(&a);
	fine();
	reads(&zeros);
	accused(FAKE_V_LOST);
	brings(io, &b); /* asked before it was known */
	fine();
}

static void a_flush_across_the_cut(void **state)
{
	struct written a = written();
	uint64_t io = model_flush(m);

	(void)state;
	model_power_cut(m);
	model_answered(m, io, true, NULL);
	reads(&zeros);
	fine();
	reads(&a);
	accused(FAKE_V_LOST);
}

static void fua_promises(void **state)
{
	struct written a = written(), b = written_through(), c = written();

	(void)state;
	model_power_cut(m);
	reads(&a);
	accused(FAKE_V_LOST);
	reads(&b);
	fine();
	reads(&c);
	accused(FAKE_V_LOST);
}

static void no_cache_no_loss(void **state)
{
	struct written a = written(), b;

	(void)state;
	model_set_cache(m, false);
	b = written();
	model_power_cut(m);
	reads(&a);
	accused(FAKE_V_LOST);
	reads(&b);
	fine();
}

/* One in flight meanwhile may come after it. */
static void cache_turned_on(void **state)
{
	struct written a = written(), b, c;

	(void)state;
	flush(true);
	model_set_cache(m, false);
	begin(&b);
	model_set_cache(m, true);
	good(&b);
	model_power_cut(m);
	reads(&a);
	fine();
	model_set_cache(m, false);
	begin(&c);
	model_through(m, c.io);
	model_set_cache(m, true);
	good(&c);
	model_power_cut(m);
	reads(&a);
	accused(FAKE_V_LOST);
}

static void a_fua_read_promises(void **state)
{
	struct written a = written();
	uint64_t io = ask();

	(void)state;
	model_through(m, io);
	brings(io, &a);
	model_power_cut(m);
	reads(&zeros);
	accused(FAKE_V_LOST);
	reads(&a);
	fine();
}

/* It was done before the cut and is answered after it; who takes over may not do it again. */
static void in_flight_at_the_cut(void **state)
{
	struct written a = written(), b, c;

	(void)state;
	flush(true);
	begin(&b);
	begin(&c);
	model_through(m, c.io);
	model_power_cut(m);
	good(&b);
	reads(&a);
	fine();
	good(&c);
	reads(&a);
	accused(FAKE_V_LOST);
	reads(&c);
	fine();
}

#define T(fn)      cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define CACHED(fn) cmocka_unit_test_setup_teardown(fn, setup_cache, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_last_one),
		T(either_of_two),
		T(no_way_back),
		T(failed_or_not),
		T(answered_once),
		T(half_a_block),
		T(failed_and_wavering),
		CACHED(power_takes_back),
		CACHED(power_need_not_take),
		CACHED(a_flush_promises),
		CACHED(a_flush_promises_no_more),
		CACHED(a_flush_across_the_cut),
		CACHED(fua_promises),
		CACHED(no_cache_no_loss),
		CACHED(cache_turned_on),
		CACHED(a_fua_read_promises),
		CACHED(in_flight_at_the_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
