/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCKETS_KEPT 20 /* see usage.sockets */

/* ---- shells ---- */

static void *creates(void *arg)
{
	struct shell *sh = arg;
	uint64_t begin = fake_now_ms();

	sh->ret = lun_create(&w, sh->name, sh->config, sh->size, &sh->dev);
	sh->ms = (unsigned int)(fake_now_ms() - begin);
	atomic_store(&sh->done, true);
	return NULL;
}

static void *removes(void *arg)
{
	struct shell *sh = arg;
	uint64_t begin = fake_now_ms();

	sh->ret = fake_dev_remove(sh->dev);
	sh->ms = (unsigned int)(fake_now_ms() - begin);
	atomic_store(&sh->done, true);
	return NULL;
}

static void *reconfigures(void *arg)
{
	struct shell *sh = arg;
	uint64_t begin = fake_now_ms();

	sh->ret = fake_dev_reconfig(sh->dev, sh->attr, sh->val);
	sh->ms = (unsigned int)(fake_now_ms() - begin);
	atomic_store(&sh->done, true);
	return NULL;
}

static void begin(struct shell *sh, void *(*what)(void *arg))
{
	atomic_store(&sh->done, false);
	assert_int_equal(pthread_create(&sh->thread, NULL, what, sh), 0);
}

void shell_create(struct shell *sh)
{
	sh->dev = NULL;
	begin(sh, creates);
}

void shell_remove(struct shell *sh)
{
	begin(sh, removes);
}

void shell_reconfig(struct shell *sh)
{
	begin(sh, reconfigures);
}

int shell_wait(struct shell *sh)
{
	pthread_join(sh->thread, NULL);
	return sh->ret;
}

const char *all_handlers(void)
{
	static const char *const list[] = { TCMU_HANDLERS "/handler_file.so",
					    TCMU_TEST_HANDLERS "/handler_slow.so",
					    TCMU_TEST_HANDLERS "/handler_foreign.so",
					    TCMU_TEST_HANDLERS "/handler_volatile.so" };
	static char dir[160];
	char name[64];

	snprintf(dir, sizeof(dir), "%s", world_path(&w, "handlers"));
	mkdir(dir, 0700);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		snprintf(name, sizeof(name), "handlers%s", strrchr(list[i], '/'));
		if (symlink(list[i], world_path(&w, name)) && errno != EEXIST)
			fail_msg("%s: %s", name, strerror(errno));
	}
	return dir;
}

/* ---- the witness ---- */

#define WITNESS_SIZE (4 * MIB)

static struct fake_dev *witness;
static struct load *witness_load;

int crowd_open(void **state)
{
	int ret = faults_open(state);

	if (SLOWER > 1)
		fake_kernel_set_patience(w.k, 3000 * SLOWER, 20000 * SLOWER);
	return ret;
}

/* After a test that failed: nothing may go on that uses what ends now. */
int crowd_close(void **state)
{
	if (witness_load)
		load_abandon(witness_load);
	witness_load = NULL;
	return faults_close(state);
}

void witness_start(unsigned int seed)
{
	struct load_cfg cfg = {
		.blocks = WITNESS_SIZE / 512, .depth = 4, .max_io = 16, .unmap = true, .seed = seed
	};

	witness = file_lun(&w, "witness", WITNESS_SIZE);
	witness_load = load_start(fake_dev_ring(witness), &cfg);
	assert_int_equal(load_progress(witness_load, 20, LONG_MS), 0);
}

void witness_end(void)
{
	struct load *l = witness_load;

	assert_int_equal(load_progress(l, 20, LONG_MS), 0);
	witness_load = NULL;
	assert_int_equal(load_finish(l), 0);
	assert_int_equal(fake_wait_idle(fake_dev_ring(witness), LONG_MS), 0);
	assert_int_equal(fake_dev_remove(witness), 0);
}

/* ---- what the daemon has ---- */

static void look_at_files(struct usage *u)
{
	char path[64], link[64];
	struct dirent *ent;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)w.d.pid);
	dir = opendir(path);
	while (dir && (ent = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), ent->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (!strncmp(link, "socket:", strlen("socket:")))
			u->sockets++;
		else
			u->files++;
	}
	if (dir)
		closedir(dir);
}

static void look_at_threads(struct usage *u)
{
	char path[400], name[32];
	struct dirent *ent;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)w.d.pid);
	dir = opendir(path);
	while (dir && (ent = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", (int)w.d.pid, ent->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f))
			u->devices += !strcmp(name, "tcmu-device\n");
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
}

static void look_at_maps(struct usage *u)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)w.d.pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		u->rings += strstr(line, "/memfd:") != NULL;
	if (f)
		fclose(f);
}

void usage_now(struct usage *u)
{
	*u = (struct usage) { 0 };
	look_at_files(u);
	look_at_threads(u);
	look_at_maps(u);
}

bool usage_is_back(const struct usage *before)
{
	uint64_t end = fake_now_ms() + LONG_MS / 4;
	struct usage now;

	do {
		usage_now(&now);
		if (now.devices <= before->devices && now.files <= before->files &&
		    now.rings <= before->rings && now.sockets <= before->sockets + SOCKETS_KEPT)
			return true;
		usleep(10000);
	} while (fake_now_ms() < end);
	fprintf(stderr,
		"the daemon has %u threads of devices (before: %u), %u files (%u), %u sockets "
		"(%u), %u rings (%u)\n",
		now.devices, before->devices, now.files, before->files, now.sockets,
		before->sockets, now.rings, before->rings);
	return false;
}

/* ---- what it says ---- */

/* Bytes of the character at p if it is one that may stand in a log, 0 otherwise. */
static size_t shown(const unsigned char *p)
{
	static const uint32_t least[] = { 0, 0, 0xa0, 0x800, 0x10000 };
	size_t n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
	uint32_t c = *p & (0xffu >> (n + 1));

	if (*p < 0x80)
		return (*p >= ' ' && *p != 0x7f) || *p == '\n';
	if (*p < 0xc0 || *p > 0xf7)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c >= least[n] && c <= 0x10ffff && c >> 11 != 0xd800 >> 11 ? n : 0;
}

void log_is_clean(void)
{
	static const char start_of_line[] = "tcmu-runner: ";
	const char *log = said(), *line = log;
	size_t n;

	for (const char *p = log; *p; p += n) {
		n = shown((const unsigned char *)p);
		if (!n)
			fail_msg("byte %02x in the log: %.200s", (unsigned char)*p, line);
		if (*p != '\n')
			continue;
		if (strncmp(line, start_of_line, strlen(start_of_line)) ||
		    strstr(line, "forged") == line + strlen(start_of_line))
			fail_msg("a line that it did not begin: %.200s", line);
		line = p + 1;
	}
}

/* ---- how much ---- */

unsigned int scaled(unsigned int n)
{
	return n / SLOWER ? n / SLOWER : 1;
}

unsigned int test_seed(unsigned int usual)
{
	const char *text = getenv("TCMU_TEST_SEED");
	unsigned int seed = text && *text ? (unsigned int)strtoul(text, NULL, 0) : usual;

	print_message("TCMU_TEST_SEED=%u\n", seed);
	return seed;
}
