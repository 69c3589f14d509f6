/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever lies in the handlers' directory: each that is of no use is named with its reason, the good
 * ones beside it serve. */
#include "crowd.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_HANDLER TCMU_HANDLERS "/handler_file.so"

static char *slurp(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st = { 0 };
	char *text;

	assert_true(fd >= 0 && !fstat(fd, &st));
	text = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	*len = (size_t)st.st_size;
	return text;
}

static void make(const char *name, const void *text, size_t len)
{
	int fd = open(world_path(&w, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

static void make_link(const char *to, const char *name)
{
	assert_int_equal(symlink(to, world_path(&w, name)), 0);
}

/* Has the daemon a line with both of this? */
static bool said_of(const char *name, const char *text)
{
	const char *log = said(), *end;

	for (; (end = strchr(log, '\n')); log = end + 1) {
		const char *at = memmem(log, (size_t)(end - log), name, strlen(name));

		if (at && memmem(at, (size_t)(end - at), text, strlen(text)))
			return true;
	}
	return false;
}

static void start_here(void)
{
	char dir[160];

	snprintf(dir, sizeof(dir), "%s/handlers", w.dir);
	start(dir, "60", "10");
}

static void still_serves(void)
{
	struct fake_dev *dev = file_lun(&w, "lun", MIB);

	assert_int_equal(test_unit_ready(dev), 0);
	assert_int_equal(fake_dev_remove(dev), 0);
	stop();
	log_is_clean();
}

static int open_world(void **state)
{
	crowd_open(state);
	return mkdir(world_path(&w, "handlers"), 0700);
}

/* ---- files ---- */

#define NOT_ELF  "it is not a 64-bit shared object"
#define NOT_FILE "it is not a regular file"
#define NO_OPEN  "it cannot be opened for reading"

static void no_shared_objects(void **state)
{
	static const struct {
		const char *name, *why;
	} rows[] = {
		{ "handler_a_dir.so", NOT_FILE },         { "handler_a_fifo.so", NOT_FILE },
		{ "handler_a_null.so", NOT_FILE },        { "handler_a_dangling.so", NO_OPEN },
		{ "handler_a_loop.so", NO_OPEN },         { "handler_a_socket.so", NO_OPEN },
		{ "handler_a_empty.so", NOT_ELF },        { "handler_a_text.so", NOT_ELF },
		{ "handler_a_magic.so", NOT_ELF },        { "handler_a_32bit.so", NOT_ELF },
		{ "handler_a\\x0a\\x1b[2J.so", NOT_ELF },
	};
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char *good;
	size_t len;

	(void)state;
	mkdir(world_path(&w, "handlers/handler_a_dir.so"), 0700);
	mkfifo(world_path(&w, "handlers/handler_a_fifo.so"), 0600);
	make_link("/dev/null", "handlers/handler_a_null.so");
	make_link("nowhere", "handlers/handler_a_dangling.so");
	make_link("handler_a_loop.so", "handlers/handler_a_loop.so");
	strcpy(addr.sun_path, world_path(&w, "handlers/handler_a_socket.so"));
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	make("handlers/handler_a_empty.so", "", 0);
	make("handlers/handler_a_text.so", "#!/bin/sh\nexit 0\n", 17);
	make("handlers/handler_a\n\x1b[2J.so", "x", 1);
	make("handlers/not_a_handler.so", "x", 1);
	make("handlers/handler_backup.so.orig", "x", 1);
	good = slurp(FILE_HANDLER, &len);
	make("handlers/handler_a_magic.so", good, 16);
	good[4] = 1; /* ELFCLASS32 */
	make("handlers/handler_a_32bit.so", good, len);
	free(good);
	make_link(FILE_HANDLER, "handlers/handler_good.so");
	start_here();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!said_of(rows[i].name, rows[i].why))
			fail_msg("%s: not '%s', but: %s", rows[i].name, rows[i].why, said());
	assert_false(said_of("not_a_handler", ""));
	assert_false(said_of("backup", ""));
	still_serves();
	close(fd);
}

/* How far the loader maps the file: what follows are sections for people. */
static size_t mapped_bytes(const char *elf)
{
	const Elf64_Ehdr *eh = (const void *)elf;
	size_t end = 0;

	for (int i = 0; i < eh->e_phnum; i++) {
		const Elf64_Phdr *ph = (const void *)(elf + eh->e_phoff + (size_t)i * sizeof(*ph));

		if (ph->p_type == PT_LOAD && ph->p_offset + ph->p_filesz > end)
			end = ph->p_offset + ph->p_filesz;
	}
	return end;
}

/* A copy that ended early, wherever that was. */
static void truncated(void **state)
{
	enum { N = 80 };
	char name[64], *good;
	size_t len, at;

	(void)state;
	good = slurp(FILE_HANDLER, &len);
	len = mapped_bytes(good);
	assert_true(len > 4096);
	for (size_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "handlers/handler_part%02zu.so", i);
		at = i < 20 ? i * 16 : i < N - 1 ? len * (i - 19) / (N - 20) : len - 1;
		make(name, good, at);
	}
	free(good);
	make_link(FILE_HANDLER, "handlers/handler_zgood.so");
	start_here();
	for (size_t i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "/handler_part%02zu.so: ", i);
		if (!said_of(name, i < 4 ? NOT_ELF : "the file is truncated"))
			fail_msg("%s: nothing, or another reason: %s", name, said());
	}
	still_serves();
}

/* ---- objects ---- */

static void odd_ones(void **state)
{
	static const struct {
		const char *name, *why;
	} rows[] = {
		{ "slash", "its .subtype is not of the form" },
		{ "empty", "it has no .subtype" },
		{ "digit", "its .subtype is not of the form" },
		{ "newline", "its .subtype is not of the form" },
		{ "no_subtype", "it has no .subtype" },
		{ "no_name", "it has no .name" },
		{ "no_open", "it has no .open callback" },
		{ "no_close", "it has no .close callback" },
		{ "no_write", "it has neither .handle_cmd nor both .read and .write" },
		{ "threads", "its .nr_threads is negative" },
		{ "memory", "its .cmd_priv_size is above 65536" },
		{ "init", "its init() failed with -5 (Input/output error)" },
		{ "init_plus", "its init() failed with 5 (Input/output error)" },
		{ "taken", "its subtype 'file' is taken by" },
		{ "tiny", "it has no .name" },
		{ "no_struct", "its entry point returned no handler" },
		{ "silent", "its handler_init() registered no handler" },
		{ "failing", "its handler_init() failed" },
		{ "twice", "its subtype 'twice' is taken by" },
		{ "version", "was built for version 99" },
		{ "entry", "it has no entry point" },
		{ "old", "tcmur_register_handler" },
	};
	static const char *const used[] = { "twice", "larger" };
	char name[64], to[160];
	glob_t all;

	(void)state;
	assert_int_equal(glob(TCMU_ODD_HANDLERS "/handler_*.so", 0, NULL, &all), 0);
	for (size_t i = 0; i < all.gl_pathc; i++) {
		snprintf(name, sizeof(name), "handlers/%s", strrchr(all.gl_pathv[i], '/') + 1);
		make_link(all.gl_pathv[i], name);
	}
	globfree(&all);
	make_link(TCMU_ABI_VERSION, "handlers/handler_odd_version.so");
	make_link(TCMU_ABI_ENTRY, "handlers/handler_odd_entry.so");
	make_link(TCMU_ABI_OLD, "handlers/handler_odd_old.so");
	make_link(FILE_HANDLER, "handlers/handler_file.so");
	snprintf(to, sizeof(to), "handler_file.so");
	make_link(to, "handlers/handler_file_again.so");
	start_here();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(name, sizeof(name), "/handler_odd_%s.so", rows[i].name);
		if (!said_of(name, rows[i].why))
			fail_msg("%s: not '%s', but: %s", name, rows[i].why, said());
	}
	assert_true(said_of("/handler_file_again.so", "its subtype 'file' is taken by"));
	assert_true(said_of("ready: 3 handlers (", "file"));
	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
		struct fake_dev *dev;

		assert_true(said_of("ready: 3 handlers (", used[i]));
		snprintf(to, sizeof(to), "%s/x", used[i]);
		assert_int_equal(lun_create(&w, "odd", to, MIB, &dev), -ENXIO);
	}
	still_serves();
}

/* ---- nothing at all ---- */

/* The daemon ends with a sentence instead of serving nobody. */
static void ends(const char *dir, const char *why)
{
	char lock[160];
	char *argv[] = { (char *)(uintptr_t)TCMU_RUNNER_FAKE,
			 (char *)(uintptr_t) "--handler-path",
			 (char *)(uintptr_t)dir,
			 (char *)(uintptr_t) "--lock-file",
			 lock,
			 NULL };

	snprintf(lock, sizeof(lock), "%s/lock", w.dir);
	proc_spawn(&w.d, argv);
	assert_int_equal(proc_wait(&w.d, LONG_MS), 1);
	if (!proc_said(&w.d, why))
		fail_msg("'%s': not '%s', but: %s", dir, why, said());
	log_is_clean();
}

static void no_handlers(void **state)
{
	char dir[160];

	(void)state;
	ends("/nonexistent\n\x1b[2J",
	     "cannot read the handler directory /nonexistent\\x0a\\x1b[2J");
	ends("", "cannot read the handler directory");
	ends("/dev/null", "cannot read the handler directory /dev/null: Not a directory");
	snprintf(dir, sizeof(dir), "%s/handlers", w.dir);
	ends(dir, "no usable handler_*.so in");
	make("handlers/handler_empty.so", "", 0);
	ends(dir, "no usable handler_*.so in");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, open_world, crowd_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_shared_objects),
		T(truncated),
		T(odd_ones),
		T(no_handlers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) + world_failures();
}
