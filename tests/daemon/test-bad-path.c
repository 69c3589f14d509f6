/* SPDX-License-Identifier: Apache-2.0 */
/* What may be at the path of a unit and is of no use: refused at once with the right errno, whatever it
 * is, and nothing of it stays open. */
#include "crowd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define AT_ONCE_MS 8000 /* and not only when something gives up; on a machine that is busy */

static void make_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
}

static void make_link(const char *to, const char *name)
{
	assert_int_equal(symlink(to, world_path(&w, name)), 0);
}

/* The name of a terminal, which is held open by *fd. */
static const char *make_terminal(int *fd)
{
	*fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*fd >= 0 && !grantpt(*fd) && !unlockpt(*fd));
	return ptsname(*fd);
}

static void make_everything(void)
{
	mkdir(world_path(&w, "dir"), 0700);
	assert_int_equal(mkfifo(world_path(&w, "fifo"), 0600), 0);
	make_socket(world_path(&w, "socket"));
	make_link("loop2", "loop1");
	make_link("loop1", "loop2");
	make_link("nothing", "dangling");
	make_link("dir", "to-dir");
	make_link("fifo", "to-fifo");
	make_link("good", "to-good");
	world_file(&w, "good", MIB);
	world_file(&w, "linked", MIB);
	/* One each: who opens a file, if only to refuse it then, has it meanwhile. */
	world_file(&w, "short", MIB - 1);
	world_file(&w, "short2", MIB - 1);
	world_file(&w, "short3", MIB - 1);
	world_file(&w, "empty", 0);
	world_file(&w, "empty2", 0);
}

/* '@': the directory of this test. */
static const struct {
	const char *path; /* with options */
	int ret;
} kinds[] = {
	{ "@/missing", -ENOENT },
	{ "@/missing;ro", -ENOENT },
	{ "@/missing;direct", -ENOENT },
	{ "@/no/dir;create", -ENOENT },
	{ "@/dir", -EISDIR },
	{ "@/dir/", -EISDIR },
	{ "@/dir;ro", -EISDIR },
	{ "@/dir;create", -EISDIR },
	{ "@/to-dir", -EISDIR },
	{ "@/fifo", -EINVAL },
	{ "@/fifo;ro", -EINVAL },
	{ "@/fifo;create", -EINVAL },
	{ "@/fifo;direct", -EINVAL },
	{ "@/to-fifo;ro", -EINVAL },
	{ "@/socket", -EINVAL },
	{ "@/socket;ro", -EINVAL },
	{ "/dev/null", -EINVAL },
	{ "/dev/null;create", -EINVAL },
	{ "/dev/zero;ro", -EINVAL },
	{ "/dev/tty", -EINVAL },
	{ "/dev/stdout", -EINVAL }, /* our own log, and smaller than dev_size */
	{ "/proc/self/mem;ro", -EINVAL },
	{ "/proc/self/fd;ro", -EISDIR },
	{ "@/loop1", -ELOOP },
	{ "@/loop2;create", -ELOOP },
	{ "@/dangling", -ENOENT },
	{ "@/good/x", -ENOTDIR },
	{ "@/good/x;create", -ENOTDIR },
	{ "@/short", -EINVAL },
	{ "@/short2;ro", -EINVAL },
	{ "@/short3;create", -EINVAL },
	{ "@/empty", -EINVAL },
	{ "@/empty2;create", 0 },
	{ "@/to-good", 0 },
	{ "@/dir/../linked", 0 },
};

static char *config_of(const char *path)
{
	char *text;

	if (asprintf(&text, "file/%s%s", *path == '@' ? w.dir : "", path + (*path == '@')) < 0)
		text = NULL;
	assert_non_null(text);
	return text;
}

static void of_all_kinds(void **state)
{
	enum { N = sizeof(kinds) / sizeof(kinds[0]) };
	static struct shell sh[N];
	static char name[N][16];
	struct usage before;
	char *text;
	int terminal;

	(void)state;
	start_usual(TCMU_HANDLERS);
	usage_now(&before);
	witness_start(1);
	make_everything();
	for (int i = 0; i < N; i++) {
		snprintf(name[i], sizeof(name[i]), "kind%d", i);
		sh[i] = (struct shell) { .name = name[i],
					 .config = config_of(kinds[i].path),
					 .size = MIB };
		shell_create(&sh[i]);
	}
	for (int i = 0; i < N; i++) {
		if (shell_wait(&sh[i]) != kinds[i].ret || sh[i].ms > AT_ONCE_MS)
			fail_msg("'%s': %d instead of %d, in %u ms", sh[i].config, sh[i].ret,
				 kinds[i].ret, sh[i].ms);
		if (!sh[i].ret)
			assert_int_equal(fake_dev_remove(sh[i].dev), 0);
		free((void *)(uintptr_t)sh[i].config);
	}
	text = config_of(make_terminal(&terminal));
	assert_int_equal(lun_create(&w, "terminal", text, MIB, &sh[0].dev), -EINVAL);
	close(terminal);
	free(text);
	witness_end();
	assert_true(usage_is_back(&before));
	log_is_clean();
}

/* ---- in use ---- */

static int create_at(const char *name, const char *path, struct fake_dev **dev)
{
	char *config = config_of(path);
	int ret = lun_create(&w, name, config, MIB, dev);

	free(config);
	return ret;
}

/* Whatever name it is called by; and only readers share. */
static void used_by_another_unit(void **state)
{
	struct fake_dev *owner, *dev, *other;

	(void)state;
	start_usual(TCMU_HANDLERS);
	make_everything();
	assert_int_equal(create_at("owner", "@/good", &owner), 0);
	assert_int_equal(create_at("same", "@/good", &dev), -EBUSY);
	assert_int_equal(create_at("reader", "@/good;ro", &dev), -EBUSY);
	assert_int_equal(create_at("maker", "@/good;create", &dev), -EBUSY);
	assert_int_equal(create_at("symbolic", "@/to-good", &dev), -EBUSY);
	assert_int_equal(create_at("around", "@/dir/..//good", &dev), -EBUSY);
	{
		char hard[400];

		snprintf(hard, sizeof(hard), "%s/hard", w.dir);
		assert_int_equal(link(world_path(&w, "good"), hard), 0);
	}
	assert_int_equal(create_at("hard", "@/hard", &dev), -EBUSY);
	assert_true(proc_said(&w.d, "in use by user_0/owner"));
	assert_int_equal(test_unit_ready(owner), 0);
	assert_int_equal(fake_dev_remove(owner), 0);

	assert_int_equal(create_at("reader1", "@/good;ro", &dev), 0);
	assert_int_equal(create_at("reader2", "@/hard;ro", &other), 0);
	assert_int_equal(create_at("writer", "@/good", &owner), -EBUSY);
	assert_int_equal(fake_dev_remove(dev), 0);
	assert_int_equal(create_at("writer", "@/good", &owner), -EBUSY);
	assert_int_equal(fake_dev_remove(other), 0);
	assert_int_equal(create_at("writer", "@/good", &owner), 0);
	assert_int_equal(fake_dev_remove(owner), 0);
}

/* Somebody else's lock is waited for, a while, and only by who wants that file. */
static void used_by_another_process(void **state)
{
	struct shell sh = { .name = "locked", .size = MIB };
	struct fake_dev *dev;
	int fd;

	(void)state;
	start_usual(TCMU_HANDLERS);
	witness_start(2);
	make_everything();
	fd = open(world_path(&w, "good"), O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	sh.config = config_of("@/good");
	shell_create(&sh);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(create_at("other", "@/linked", &dev), 0);
		assert_int_equal(fake_dev_remove(dev), 0);
		usleep(10000);
	}
	assert_false(atomic_load(&sh.done));
	close(fd);
	assert_int_equal(shell_wait(&sh), 0);
	assert_int_equal(test_unit_ready(sh.dev), 0);
	assert_int_equal(fake_dev_remove(sh.dev), 0);
	free((void *)(uintptr_t)sh.config);
	witness_end();
}

/* Many want to make the same file: exactly one has it in the end. */
static void made_by_many(void **state)
{
	enum { N = 8 };
	struct shell sh[N];
	char name[N][16];
	struct stat st;

	(void)state;
	start_usual(TCMU_HANDLERS);
	for (unsigned int round = 0; round < 10; round++) {
		struct fake_dev *owner = NULL;
		char *config = config_of("@/made;create");

		unlink(world_path(&w, "made"));
		for (int i = 0; i < N; i++) {
			snprintf(name[i], sizeof(name[i]), "maker%d", i);
			sh[i] = (struct shell) { .name = name[i], .config = config, .size = MIB };
			shell_create(&sh[i]);
		}
		for (int i = 0; i < N; i++) {
			if (shell_wait(&sh[i]))
				continue;
			assert_null(owner);
			owner = sh[i].dev;
			assert_int_equal(capacity(owner), MIB);
			assert_int_equal(stat(world_path(&w, "made"), &st), 0);
			assert_int_equal(st.st_size, MIB);
		}
		assert_non_null(owner);
		assert_int_equal(fake_dev_remove(owner), 0);
		free(config);
	}
}

/* ---- not permitted ---- */

static void not_permitted(void **state)
{
	static const char *const without[] = { "/usr/bin/setpriv",
					       "--bounding-set",
					       "-dac_override,-dac_read_search",
					       "--inh-caps",
					       "-dac_override,-dac_read_search",
					       NULL };
	static const struct {
		const char *path;
		int ret;
	} rows[] = {
		{ "@/forbidden", -EACCES },
		{ "@/forbidden;ro", -EACCES },
		{ "@/forbidden;create", -EACCES },
		{ "@/readable", -EACCES },
		{ "@/readable;ro", 0 },
		{ "@/closed/file", -EACCES },
		{ "@/closed/file;ro", -EACCES },
		{ "@/closed/new;create", -EACCES },
		{ "@/readable-dir/new;create", -EACCES },
	};
	struct fake_dev *dev;
	struct usage before;

	(void)state;
	if (!geteuid() && access(without[0], X_OK))
		skip();
	assert_int_equal(daemon_start(&w, geteuid() ? NULL : without), 0);
	usage_now(&before);
	mkdir(world_path(&w, "closed"), 0700);
	mkdir(world_path(&w, "readable-dir"), 0500);
	world_file(&w, "closed/file", MIB);
	assert_int_equal(chmod(world_path(&w, "closed"), 0), 0);
	assert_int_equal(chmod(world_file(&w, "forbidden", MIB), 0), 0);
	assert_int_equal(chmod(world_file(&w, "readable", MIB), 0400), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int ret = create_at("mine", rows[i].path, &dev);

		if (ret != rows[i].ret)
			fail_msg("'%s': %d instead of %d", rows[i].path, ret, rows[i].ret);
		if (!ret)
			assert_int_equal(fake_dev_remove(dev), 0);
	}
	assert_int_equal(chmod(world_path(&w, "closed"), 0700), 0);
	assert_true(usage_is_back(&before));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, crowd_open, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(of_all_kinds), T(used_by_another_unit), T(used_by_another_process),
		T(made_by_many), T(not_permitted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
