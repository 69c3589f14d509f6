/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/blame.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "libtcmu.h"

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
static struct sigaction before[G_N_ELEMENTS(signals)];

static char *file;
static int fd = -1;

static _Thread_local const char *volatile blamed;
/* A stack overflow leaves no stack for the handler. Mapped, it costs nothing until then; as a thread-local
 * array it would be written to when the thread starts. Room for two frames with all that a processor has for registers,
 * and for ThreadSanitizer between them. */
#define OTHER_STACK 65536
static _Thread_local void *other_stack;

/* ---- in the signal handler: system calls and plain memory only ---- */

/* The decimal digits of n before end; where they begin. */
static char *put_number(char *end, uint64_t n)
{
	do
		*--end = (char)('0' + n % 10);
	while (n /= 10);
	return end;
}

static size_t put_name(char *to, size_t size, const char *name)
{
	size_t n = 0;

	for (; name[n] && n < size; n++)
		to[n] = name[n] < ' ' || name[n] == 0x7f ? '?' : name[n];
	return n;
}

static void leave_line(int signum)
{
	char line[512], digits[24], *end = digits + sizeof(digits), *at;
	struct timespec now;
	size_t len = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	at = put_number(end, (uint64_t)now.tv_sec);
	memcpy(line, at, (size_t)(end - at));
	len += (size_t)(end - at);
	line[len++] = ' ';
	at = put_number(end, (uint64_t)signum);
	memcpy(line + len, at, (size_t)(end - at));
	len += (size_t)(end - at);
	line[len++] = ' ';
	len += put_name(line + len, sizeof(line) - len - 1, blamed);
	line[len++] = '\n';
	if (write(fd, line, len) < 0)
		return; /* there is nobody to tell */
}

static void on_death(int signum, siginfo_t *info, void *context)
{
	int saved = errno;

	(void)context;
	/* A signal of another process, as from a watchdog, is taken by whatever thread is the first to run. */
	if (blamed && fd >= 0 && (info->si_code > 0 || info->si_pid == getpid()))
		leave_line(signum);
	blamed = NULL;
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
		if (signals[i] == signum)
			sigaction(signum, &before[i], NULL);
	}
	/* What the processor has refused it refuses again when we return: the core dump shows where. What
	 * somebody has sent, abort() included, would be over. */
	if (info->si_code <= 0)
		raise(signum);
	errno = saved;
}

void runner_blame_thread(const char *name)
{
	stack_t stack = { .ss_size = OTHER_STACK };

	blamed = name;
	if (fd < 0)
		return;
	if (name && !other_stack) {
		stack.ss_sp = mmap(NULL, OTHER_STACK, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
			return;
		other_stack = stack.ss_sp;
	} else if (!name && other_stack) {
		stack.ss_flags = SS_DISABLE;
		sigaltstack(&stack, NULL);
		munmap(other_stack, OTHER_STACK);
		other_stack = NULL;
	}
}

/* ---- the file ---- */

/* A line's parts; false: it is none of ours, or old. */
static bool parse_line(const char *line, time_t now, int *signum, const char **name)
{
	gint64 at;
	char *end;

	at = g_ascii_strtoll(line, &end, 10);
	if (end == line || *end != ' ' || at > now + RUNNER_BLAME_SEC ||
	    at < now - RUNNER_BLAME_SEC)
		return false;
	line = end + 1;
	*signum = (int)g_ascii_strtoll(line, &end, 10);
	if (end == line || *end != ' ' || !end[1])
		return false;
	*name = end + 1;
	return true;
}

static char **read_lines(void)
{
	g_autofree char *text = NULL;

	return file && g_file_get_contents(file, &text, NULL, NULL) ? g_strsplit(text, "\n", -1)
								    : NULL;
}

unsigned int runner_blame_count(const char *name)
{
	g_auto(GStrv) lines = read_lines();
	char clean[512] = "";
	unsigned int n = 0;
	const char *who;
	int signum;

	put_name(clean, sizeof(clean) - 1, name);
	for (char **line = lines; line && *line; line++)
		n += parse_line(*line, time(NULL), &signum, &who) && !strcmp(who, clean);
	return n;
}

/* Only the lines that still count; they are few. */
static void forget_old(void)
{
	g_auto(GStrv) lines = read_lines();
	g_autoptr(GString) kept = g_string_new(NULL);
	const char *who = NULL;
	int signum = 0;

	for (char **line = lines; line && *line; line++) {
		if (parse_line(*line, time(NULL), &signum, &who))
			g_string_append_printf(kept, "%s\n", *line);
	}
	if (kept->len)
		tcmu_warn("%s: the last to end a process was %s (signal %d, %s)", file, who, signum,
			  strsignal(signum));
	if (ftruncate(fd, 0) || write(fd, kept->str, kept->len) != (ssize_t)kept->len)
		tcmu_warn("cannot write %s: %s", file, strerror(errno));
}

const char *runner_blame_file(void)
{
	return file ? file : "";
}

void runner_blame_init(const char *path)
{
	struct sigaction act = { .sa_sigaction = on_death,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	if (!path)
		return;
	file = g_strdup(path);
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0) {
		tcmu_warn("cannot open %s: %s; a device that ends the daemon again and again "
			  "will not be recognized",
			  path, strerror(errno));
		return;
	}
	forget_old();
	for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
		sigaction(signals[i], &act, &before[i]);
}
