/* phiz VERB ...: finds the verb, parses its arguments, runs it. */
#include <errno.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/bytes.h"
#include "core/base/parse.h"
#include "tools/args.h"
#include "tools/tools.h"

volatile sig_atomic_t phiz_interrupted;
bool phiz_quiet;
static bool verbose;

int phiz_report(const struct phiz_ctx *ctx)
{
	fprintf(stderr, "phiz: %s\n", phiz_ctx_message(ctx));
	return PHIZ_EXIT_FAILED;
}

int phiz_usage(const struct phiz_verb *verb, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "phiz %s: ", verb->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, " (phiz %s --help tells more)\n", verb->name);
	return PHIZ_EXIT_USAGE;
}

void phiz_print_json(struct phiz_ctx *ctx, const char *text)
{
	struct phiz_bytes b;

	phiz_bytes_init(&b, ctx);
	phiz_bytes_json(&b, text);
	fputs(phiz_bytes_status(&b) ? "null" : b.data, stdout);
	phiz_bytes_free(&b);
}

static void on_signal(int number)
{
	if (phiz_interrupted)
		_exit(128 + number);
	phiz_interrupted = number;
}

static void log_line(void *user, enum phiz_log_level level, const char *line)
{
	(void)user;
	if (level == PHIZ_LOG_DEBUG && !verbose)
		return;
	if (level == PHIZ_LOG_INFO && phiz_quiet)
		return;
	fprintf(stderr, "%s%s\n", level == PHIZ_LOG_ERROR ? "error: " : level == PHIZ_LOG_WARN ? "warning: " : "", line);
}

/* OpenBLAS chooses kernels of half the speed on processors that are younger than itself (it knows their AVX2, not
 * their AVX-512). It reads its choice from the environment when it is loaded, so the program starts itself anew. */
static void choose_openblas_kernels(char **argv)
{
#if defined(__x86_64__) && defined(__GNUC__)
	if (getenv("OPENBLAS_CORETYPE") || !__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
		return;
	if (setenv("OPENBLAS_CORETYPE", "SKYLAKEX", 0) == 0)
		execv("/proc/self/exe", argv); /* on failure: go on with what OpenBLAS chose */
#else
	(void)argv;
#endif
}

static void print_verbs(FILE *out)
{
	fprintf(out, "phiz " PHIZ_VERSION ": trains face recognisers and runs them\n\nusage: phiz VERB [arguments]\n\n");
	for (int i = 0; i < phiz_n_verbs; i++)
		fprintf(out, "  %-18s %s\n", phiz_verbs[i]->name, phiz_verbs[i]->summary);
	fprintf(out, "\n'phiz help VERB' or 'phiz VERB --help' tells about one of them.\n");
}

static bool is_two_words(const char *name, int argc, char **argv)
{
	const char *space = strchr(name, ' ');

	return space && argc >= 2 && strlen(argv[0]) == (size_t)(space - name) &&
	       !strncmp(argv[0], name, (size_t)(space - name)) && !strcmp(argv[1], space + 1);
}

/* The verb that argv begins with (two words or one), and how many words it took. */
static const struct phiz_verb *find_verb(int argc, char **argv, int *words)
{
	for (*words = 2; *words > 0; --*words)
		for (int i = 0; i < phiz_n_verbs; i++) {
			const char *name = phiz_verbs[i]->name;
			if (*words == 2 ? is_two_words(name, argc, argv) : argc >= 1 && !strcmp(argv[0], name))
				return phiz_verbs[i];
		}
	return NULL;
}

static int unknown_verb(int argc, char **argv)
{
	const char *names[64];
	char typed[128];
	bool group = false; /* the first word alone begins a verb of two words */

	for (int i = 0; i < phiz_n_verbs && i < 64; i++) {
		const char *space = strchr(phiz_verbs[i]->name, ' ');
		names[i] = phiz_verbs[i]->name;
		if (space && !strncmp(argv[0], names[i], (size_t)(space - names[i])) && !argv[0][space - names[i]])
			group = true;
	}
	snprintf(typed, sizeof typed, "%s%s%s", argv[0], group && argc > 1 ? " " : "", group && argc > 1 ? argv[1] : "");
	if (group && argc == 1) {
		fprintf(stderr, "phiz: '%s' wants a second word:", argv[0]);
		for (int i = 0; i < phiz_n_verbs; i++)
			if (!strncmp(names[i], argv[0], strlen(argv[0])) && names[i][strlen(argv[0])] == ' ')
				fprintf(stderr, " %s", names[i] + strlen(argv[0]) + 1);
		fprintf(stderr, "\n");
		return PHIZ_EXIT_USAGE;
	}
	const char *near = phiz_suggest(typed, names, (size_t)phiz_n_verbs);
	if (near)
		fprintf(stderr, "phiz: no verb '%s'; did you mean '%s'?\n", typed, near);
	else
		fprintf(stderr, "phiz: no verb '%s' ('phiz help' lists them)\n", typed);
	return PHIZ_EXIT_USAGE;
}

static int run_verb(const struct phiz_verb *verb, int argc, char **argv)
{
	struct phiz_ctx_options options = {0, log_line, NULL, 0};
	struct phiz_common common = {0, false, false, false};
	struct phiz_ctx *ctx = NULL, *parse_ctx = NULL;
	void *settings = NULL;
	int n_args = 0, status = PHIZ_EXIT_FAILED;

	if (phiz_ctx_create(&options, &parse_ctx)) {
		fprintf(stderr, "phiz: out of memory\n");
		return PHIZ_EXIT_FAILED;
	}
	settings = phiz_calloc(parse_ctx, 1, verb->settings_size + 1);
	if (!settings)
		goto done;
	if (verb->defaults)
		memcpy(settings, verb->defaults, verb->settings_size);
	status = phiz_args_parse(parse_ctx, verb, argc, argv, settings, &common, &n_args);
	if (status)
		goto done;
	if (common.help) {
		phiz_help_print(verb);
		goto done;
	}
	phiz_quiet = common.quiet;
	verbose = common.verbose;
	options.threads = common.threads;
	status = PHIZ_EXIT_FAILED;
	if (phiz_ctx_create(&options, &ctx)) {
		fprintf(stderr, "phiz: out of memory\n");
		goto done;
	}
	argv[n_args] = NULL;
	status = verb->run(ctx, settings, n_args, argv);
done:
	phiz_free(parse_ctx, settings);
	phiz_ctx_free(&ctx);
	phiz_ctx_free(&parse_ctx);
	return status;
}

/* What was printed must have arrived: a full disk or a closed pipe behind stdout is a failure too. */
static int flush_stdout(int status)
{
	if (fflush(stdout) || ferror(stdout)) {
		if (errno != EPIPE)
			fprintf(stderr, "phiz: cannot write to standard output: %s\n", strerror(errno));
		return status ? status : PHIZ_EXIT_FAILED;
	}
	return status;
}

/* Memory of a large block goes back to the system when it is freed. glibc alone keeps more and more of it: each block
 * that is freed raises its idea of what is large. Of smaller ones a few MiB are kept for each thread: a picture after
 * the other is made and freed, and where each time the pages went back and came again, that took a quarter of the time
 * of loading photos. */
static void return_large_blocks(void)
{
#if defined(__GLIBC__)
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

int main(int argc, char **argv)
{
	struct sigaction action;
	int words = 0;

	choose_openblas_kernels(argv);
	memset(&action, 0, sizeof action);
	action.sa_handler = on_signal;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);

	argc--, argv++;
	return_large_blocks();
	if (argc == 0) {
		print_verbs(stderr);
		return PHIZ_EXIT_USAGE;
	}
	if (!strcmp(argv[0], "--version") || !strcmp(argv[0], "version")) {
		printf("phiz " PHIZ_VERSION "\n");
		return flush_stdout(0);
	}
	if (!strcmp(argv[0], "help") && argc == 2 && !strcmp(argv[1], "--man")) {
		phiz_manual_print();
		return flush_stdout(0);
	}
	if (!strcmp(argv[0], "help") && argc == 2 && !strcmp(argv[1], "--completion")) {
		phiz_completion_print();
		return flush_stdout(0);
	}
	if (!strcmp(argv[0], "help") || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h")) {
		if (argc == 1) {
			print_verbs(stdout);
			return flush_stdout(0);
		}
		const struct phiz_verb *verb = find_verb(argc - 1, argv + 1, &words);
		if (!verb)
			return unknown_verb(argc - 1, argv + 1);
		phiz_help_print(verb);
		return flush_stdout(0);
	}
	const struct phiz_verb *verb = find_verb(argc, argv, &words);
	if (!verb)
		return unknown_verb(argc, argv);
	return flush_stdout(run_verb(verb, argc - words, argv + words));
}
