/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glfs-lun: the runner and its handlers in one process with the fake kernel and an initiator, led by lines on stdin. Each
 * is answered by a line on stdout. A line that begins with "@TAG " is carried out beside the others, and so is the answer
 * marked. The daemon's messages are on stderr. See commands[] at the end.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lun.h"
#include "runner/control.h"
#include "runner/load.h"
#include "runner/manager.h"
#include "runner/registry.h"
#include "tests/bench/native/tasks.h"
#include "tests/ring/journal-rig.h"
#include "util/be.h"

#define WORDS_MAX 16
#define REPLY_MS                                                                                   \
	120000 /* a configfs writer's patience: how long something takes is the test's to judge */
#define EXEC_MS 120000

static struct fake_kernel *kernel;
static GMainLoop *loop;
static bool failed;
static GMutex lock; /* guards luns and errors */
static GHashTable *luns;
static GHashTable *errors; /* what was said last, by device */

struct lun {
	struct fake_dev *dev;
	struct stress *stress;
	uint64_t size;
};

static void sink(const struct tcmu_log_record *record, void *arg)
{
	static const char *const levels[] = { "?", "error", "warning", "info", "debug" };
	const char *device = record->device ? record->device : "";

	(void)arg;
	fprintf(stderr, "%" PRIu64 " %s: %s%s%s\n", fake_now_ms(), levels[record->level], device,
		*device ? ": " : "", record->message);
	if (record->level != TCMU_LOG_ERROR)
		return;
	g_mutex_lock(&lock);
	g_hash_table_replace(errors, g_strdup(device), g_strdup(record->message));
	g_mutex_unlock(&lock);
}

/* ---- the words of a line ---- */

/* NAME=N among the words, or what it is by default. */
static unsigned int option(char **words, const char *name, unsigned int otherwise)
{
	size_t len = strlen(name);

	for (; *words; words++)
		if (!strncmp(*words, name, len) && (*words)[len] == '=')
			return (unsigned int)strtoul(*words + len + 1, NULL, 0);
	return otherwise;
}

static const char *text_option(char **words, const char *name)
{
	size_t len = strlen(name);

	for (; *words; words++)
		if (!strncmp(*words, name, len) && (*words)[len] == '=')
			return *words + len + 1;
	return NULL;
}

static uint64_t number(const char *word)
{
	return word ? strtoull(word, NULL, 0) : 0;
}

static struct lun *find(const char *name)
{
	struct lun *l;

	g_mutex_lock(&lock);
	l = g_hash_table_lookup(luns, name);
	g_mutex_unlock(&lock);
	return l;
}

/* ---- units ---- */

/* add NAME CONFIG SIZE [wce=0] */
static void do_add(char **words, FILE *out)
{
	struct fake_dev_cfg cfg = { .name = words[0],
				    .config = words[1],
				    .ring = FAKE_RING_CFG_DEFAULT };
	g_autofree char *device = g_strdup_printf("user_0/%s", words[0]);
	struct lun *l = g_new0(struct lun, 1);
	const char *error;
	int ret;

	cfg.size = l->size = number(words[2]);
	journal_cfg(&cfg.ring);
	g_mutex_lock(&lock);
	g_hash_table_remove(errors, device);
	g_mutex_unlock(&lock);
	ret = fake_dev_create(kernel, &cfg, &l->dev);
	if (!ret && text_option(words, "wce"))
		ret = fake_dev_reconfig(l->dev, "emulate_write_cache", text_option(words, "wce"));
	g_mutex_lock(&lock);
	error = g_hash_table_lookup(errors, device);
	if (ret) {
		fprintf(out, "failed %d %s\n", ret, error ? error : "nothing was said");
		g_free(l);
	} else {
		l->stress = stress_new(fake_dev_ring(l->dev));
		g_hash_table_replace(luns, g_strdup(words[0]), l);
		fprintf(out, "ok\n");
	}
	g_mutex_unlock(&lock);
}

static int remove_lun(struct lun *l)
{
	struct stress_outcome outcome;
	int ret;

	if (stress_runs(l->stress))
		stress_end(l->stress, 0, &outcome);
	ret = fake_dev_remove(l->dev);
	stress_free(l->stress);
	g_free(l);
	return ret;
}

static void do_remove(char **words, FILE *out)
{
	struct lun *l = find(words[0]);
	int ret;

	g_mutex_lock(&lock);
	g_hash_table_remove(luns, words[0]);
	g_mutex_unlock(&lock);
	ret = remove_lun(l);
	fprintf(out, ret ? "failed %d\n" : "ok\n", ret);
}

/* resize NAME BYTES */
static void do_resize(char **words, FILE *out)
{
	struct lun *l = find(words[0]);
	int ret = fake_dev_reconfig(l->dev, "dev_size", words[1]);

	if (!ret)
		l->size = number(words[1]);
	fprintf(out, ret ? "failed %d\n" : "ok\n", ret);
}

/* check CONFIG: "good MS" or "bad MS REASON" */
static void do_check(char **words, FILE *out)
{
	g_autofree char *subtype = g_strndup(words[0], strcspn(words[0], "/"));
	const struct runner_handler *entry = runner_registry_find(subtype);
	g_autofree char *config = entry ? runner_config_for_handler(words[0]) : NULL;
	char *reason = NULL;
	uint64_t begun = fake_now_ms();
	bool good;

	if (!entry || !entry->handler.check_config) {
		fprintf(out, "bad 0 there is no handler %s that checks\n", subtype);
		return;
	}
	good = entry->handler.check_config(config, &reason);
	fprintf(out, "%s %" PRIu64 " %s\n", good ? "good" : "bad", fake_now_ms() - begun,
		reason ? reason : "");
	free(reason);
}

/* ---- loads ---- */

/* The WCE bit of the Caching page, MODE SENSE(10). */
static bool is_cached(struct lun *l)
{
	uint8_t cdb[10] = { 0x5a, 0x08, 0x08, [8] = 64 }, data[64] = { 0 };
	struct fake_cmd cmd;

	lun_exec(fake_dev_ring(l->dev), &cmd, cdb, sizeof(cdb), FAKE_IN, data, sizeof(data),
		 EXEC_MS);
	return !cmd.status && data[8 + 2] & 4;
}

/* start NAME [depth=N] [max=BLOCKS] [seed=N] [flush=N] [unmap=N] [read=N] [rate=N] [blocks=N] [anyloses=1] [wavers=1] */
static void do_start(char **words, FILE *out)
{
	struct lun *l = find(words[0]);
	struct stress_cfg cfg = {
		.blocks = option(words, "blocks", (unsigned int)(l->size / STRESS_BLOCK)),
		.depth = option(words, "depth", 32),
		.max_io = option(words, "max", 64),
		.seed = option(words, "seed", 1),
		.rate = option(words, "rate", 0),
		.flush = option(words, "flush", 1),
		.unmap = option(words, "unmap", 5),
		.reading = option(words, "read", 40),
		.cached = is_cached(l),
		.any_loses = option(words, "anyloses", 0),
		.wavers = option(words, "wavers", 0),
	};

	if (stress_runs(l->stress)) {
		fprintf(out, "failed: it is under load\n");
		return;
	}
	stress_begin(l->stress, &cfg);
	fprintf(out, "ok %s\n", cfg.cached ? "cached" : "through");
}

static void do_stats(char **words, FILE *out)
{
	stress_print(find(words[0])->stress, out);
}

/* progress NAME N TIMEOUT_MS */
static void do_progress(char **words, FILE *out)
{
	unsigned long n = (unsigned long)number(words[1]);
	unsigned long came = stress_progress(find(words[0])->stress, n, (int)number(words[2]));

	fprintf(out, came >= n ? "ok %lu\n" : "late %lu\n", came);
}

/* stop NAME [timeout=MS] */
static void do_stop(char **words, FILE *out)
{
	struct lun *l = find(words[0]);
	struct stress_outcome o;

	if (!stress_runs(l->stress)) {
		fprintf(out, "failed: it is under no load\n");
		return;
	}
	stress_end(l->stress, (int)option(words, "timeout", 60000), &o);
	if (o.stuck)
		fprintf(out, "stuck %u\n", o.stuck);
	else if (o.unread)
		fprintf(out, "unread %" PRIu64 "\n", o.unread);
	else if (o.wrong)
		fprintf(out, "wrong %u\n", o.wrong);
	else
		fprintf(out, "ok %" PRIu64 "\n", o.read);
}

/* ---- single commands ---- */

/* cdb NAME HEX [out=HEX] [in=LEN] [retry=1] */
static void do_cdb(char **words, FILE *out)
{
	int (*exec)(struct fake_ring *, struct fake_cmd *, const uint8_t *, size_t, enum fake_dir,
		    void *, size_t, int) = option(words, "retry", 0) ? lun_exec : lun_once;
	const char *text = text_option(words, "out");
	size_t len = text ? strlen(text) / 2 : option(words, "in", 0), cdb_len;
	enum fake_dir dir = text ? FAKE_OUT : len ? FAKE_IN : FAKE_NONE;
	g_autofree uint8_t *data = g_malloc0(len + 1);
	uint8_t cdb[FAKE_CDB_MAX];
	struct fake_cmd cmd;
	int ret;

	if (text)
		lun_unhex(text, data, len);
	cdb_len = lun_unhex(words[1], cdb, sizeof(cdb));
	ret = exec(fake_dev_ring(find(words[0])->dev), &cmd, cdb, cdb_len, dir, data, len, EXEC_MS);
	lun_print_status(&cmd, ret, out);
	if (dir == FAKE_IN && !ret && !cmd.status) {
		fputc(' ', out);
		for (size_t i = 0; i < len - cmd.residual; i++)
			fprintf(out, "%02x", data[i]);
	}
	fputc('\n', out);
}

static void rw(struct lun *l, uint8_t opcode, uint64_t lba, uint32_t blocks, uint8_t *data,
	       FILE *out)
{
	size_t len = (size_t)blocks * STRESS_BLOCK;
	enum fake_dir dir = opcode == 0x88 ? FAKE_IN : opcode == 0x91 ? FAKE_NONE : FAKE_OUT;
	uint8_t cdb[16] = { opcode };
	struct fake_cmd cmd;
	int ret;

	put_be64(cdb + 2, lba);
	put_be32(cdb + 10, blocks);
	ret = lun_exec(fake_dev_ring(l->dev), &cmd, cdb, sizeof(cdb), dir, data,
		       opcode == 0x93 ? STRESS_BLOCK : len, EXEC_MS);
	lun_print_status(&cmd, ret, out);
	if (!ret && !cmd.status && opcode == 0x88) {
		g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_MD5, data, len);

		fprintf(out, " %s ", sum);
		fprintf(out, memcmp(data, data + 1, len - 1) ? "mixed" : "%02x", data[0]);
	}
	fputc('\n', out);
}

/* write NAME LBA BLOCKS BYTE; same: as WRITE SAME, without the UNMAP bit */
static void do_write(char **words, FILE *out)
{
	uint32_t blocks = (uint32_t)number(words[2]);
	g_autofree uint8_t *data = g_malloc((size_t)blocks * STRESS_BLOCK);

	memset(data, (int)number(words[3]), (size_t)blocks * STRESS_BLOCK);
	rw(find(words[0]), option(words, "same", 0) ? 0x93 : 0x8a, number(words[1]), blocks, data,
	   out);
}

/* read NAME LBA BLOCKS: the MD5 sum, and the byte in hex or "mixed" */
static void do_read(char **words, FILE *out)
{
	uint32_t blocks = (uint32_t)number(words[2]);
	g_autofree uint8_t *data = g_malloc0((size_t)blocks * STRESS_BLOCK);

	rw(find(words[0]), 0x88, number(words[1]), blocks, data, out);
}

static void do_flush(char **words, FILE *out)
{
	rw(find(words[0]), 0x91, 0, 0, NULL, out);
}

/* unmap NAME LBA BLOCKS */
static void do_unmap(char **words, FILE *out)
{
	uint8_t cdb[10] = { 0x42, [8] = 24 }, list[24] = { 0, 22, 0, 16 };
	struct fake_cmd cmd;
	int ret;

	put_be64(list + 8, number(words[1]));
	put_be32(list + 16, (uint32_t)number(words[2]));
	ret = lun_exec(fake_dev_ring(find(words[0])->dev), &cmd, cdb, sizeof(cdb), FAKE_OUT, list,
		       sizeof(list), EXEC_MS);
	lun_print_status(&cmd, ret, out);
	fputc('\n', out);
}

/* ---- this process ---- */

static unsigned int entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n - 2; /* . and .. */
}

/* In KiB; not the rings. */
static void do_rss(char **words, FILE *out)
{
	(void)words;
	fprintf(out, "%zu\n", tasks_private_memory(getpid()) / 1024);
}

static void do_threads(char **words, FILE *out)
{
	(void)words;
	fprintf(out, "%u\n", entries("/proc/self/task"));
}

static void do_fds(char **words, FILE *out)
{
	(void)words;
	fprintf(out, "%u\n", entries("/proc/self/fd") - 1);
}

/* ---- lines ---- */

static const struct command {
	const char *name;
	unsigned int words; /* after the name, at least */
	bool of_lun;        /* the first one is the name of one that is there */
	void (*carry_out)(char **words, FILE *out);
} commands[] = {
	{ "add", 3, false, do_add },          { "remove", 1, true, do_remove },
	{ "resize", 2, true, do_resize },     { "check", 1, false, do_check },
	{ "start", 1, true, do_start },       { "stats", 1, true, do_stats },
	{ "progress", 3, true, do_progress }, { "stop", 1, true, do_stop },
	{ "cdb", 2, true, do_cdb },           { "write", 4, true, do_write },
	{ "read", 3, true, do_read },         { "flush", 1, true, do_flush },
	{ "unmap", 3, true, do_unmap },       { "rss", 0, false, do_rss },
	{ "threads", 0, false, do_threads },  { "fds", 0, false, do_fds },
};

static void carry_out(char **words, FILE *out)
{
	for (size_t i = 0; *words && i < G_N_ELEMENTS(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(words[0], c->name))
			continue;
		if (g_strv_length(words + 1) < c->words)
			fprintf(out, "failed: %s wants %u words\n", c->name, c->words);
		else if (c->of_lun && !find(words[1]))
			fprintf(out, "failed: there is no %s\n", words[1]);
		else
			c->carry_out(words + 1, out);
		return;
	}
	fprintf(out, "failed: what is %s?\n", *words ? *words : "an empty line");
}

/* The answer in one piece, since others may be answering too. Frees line. */
static void *answer_line(void *arg)
{
	g_autofree char *line = arg;
	g_auto(GStrv) words = g_strsplit(line, " ", WORDS_MAX);
	bool tagged = words[0] && words[0][0] == '@';
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (tagged)
		fprintf(out, "%s ", words[0]);
	carry_out(words + tagged, out);
	fclose(out);
	fputs(text, stdout);
	fflush(stdout);
	free(text);
	return NULL;
}

static void stopped(unsigned int hung)
{
	failed |= hung != 0;
	if (hung)
		fprintf(stderr, "%u devices hang\n", hung);
	g_main_loop_quit(loop);
}

static gboolean stop(gpointer arg)
{
	(void)arg;
	runner_stop(stopped);
	return G_SOURCE_REMOVE;
}

static void remove_all(void)
{
	g_autoptr(GList) all = g_hash_table_get_values(luns);

	for (GList *i = all; i; i = i->next)
		remove_lun(i->data);
}

static void *reading(void *arg)
{
	char line[1 << 16];

	(void)arg;
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strcmp(line, "quit"))
			break;
		if (line[0] == '@')
			g_thread_unref(g_thread_new("beside", answer_line, g_strdup(line)));
		else
			answer_line(g_strdup(line));
	}
	remove_all();
	g_idle_add(stop, NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	struct runner_limits limits = {
		.open_sec = 60, .close_sec = 30, .stop_sec = 60, .gather_usec = 5000
	};
	GThread *thread;

	(void)argc;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "none:", 1); /* none of ours */
	luns = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	errors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	tcmu_set_log_sink(sink, NULL);
	tcmu_set_log_level(TCMU_LOG_DEBUG);
	kernel = fake_kernel_new();
	fake_kernel_set_patience(kernel, 3000, REPLY_MS);
	if (runner_load_dir(argv[1] ? argv[1] : TCMU_HANDLERS) <= 0 || runner_start(&limits, NULL))
		return 1;
	loop = g_main_loop_new(NULL, FALSE);
	thread = g_thread_new("reading", reading, NULL);
	g_main_loop_run(loop);
	g_thread_join(thread);
	if (fake_verdicts_total(fake_kernel_verdicts(kernel), stderr))
		failed = true;
	if (failed)
		_exit(1);
	fake_kernel_free(kernel);
	runner_registry_free();
	return 0;
}
