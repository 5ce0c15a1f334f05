/* phiz deploy: sources and a model onto a board, built, tested and timed there. Each step leaves a mark on the board
 * with the bundle's hash, so that a second run goes on where the first one ended. */
#define _DEFAULT_SOURCE /* mkdtemp */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/system.h"
#include "core/base/thread.h"
#include "tools/models.h"
#include "tools/remote.h"
#include "tools/tools.h"

struct settings {
	const char *dir, *source, *bundle, *step, *service, *config;
	bool dry, again, json;
};

static const struct phiz_option options[] = {
	PHIZ_OPTION(struct settings, "--dry-run", FLAG, dry, NULL, 0, 0, "print the steps and do nothing"),
	PHIZ_OPTION(struct settings, "--bundle", TEXT, bundle, "FILE.tar.gz", 0, 0,
	            "only make the bundle, for a board without network, and say what to do with it there"),
	PHIZ_OPTION(struct settings, "--step", TEXT, step, "NAME", 0, 0,
	            "do only this step, again: check, copy, unpack, build, test, bench, install or service"),
	PHIZ_OPTION(struct settings, "--again", FLAG, again, NULL, 0, 0, "do all steps, also those that are done"),
	PHIZ_OPTION(struct settings, "--service", TEXT, service, "ARGUMENTS", 0, 0,
	            "install and start a systemd unit of the user that runs 'phiz ARGUMENTS' (quoted as in a shell)"),
	PHIZ_OPTION(struct settings, "--dir", TEXT, dir, "DIR", 0, 0, "on the board (default: phiz, in the home folder)"),
	PHIZ_OPTION(struct settings, "--source", TEXT, source, "DIR", 0, 0,
	            "phiz's sources (default: those that this program was built from)"),
	PHIZ_OPTION(struct settings, "--ssh-config", TEXT, config, "FILE", 0, 0, "ssh's -F"),
	PHIZ_OPTION(struct settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object a step on standard output"),
};

struct deploy {
	struct phiz_ctx *ctx;
	const struct settings *settings;
	const char *target;
	char folder[64];  /* of our own, for the bundle and ssh's socket */
	char bundle[512];
	char hash[65];
	char source[32], file[48]; /* in the board's folder: "src-HASH", "bundle-HASH.tar.gz" */
	char *model;
	struct phiz_bytes dir, command, output; /* dir: the board's folder, as a word for its shell */
	struct phiz_bytes service;              /* the unit's command, the same */
};

/* --- Here --- */

static enum phiz_status hash_file(struct deploy *d)
{
	struct phiz_sha256 h;
	char part[65536];
	size_t n;
	FILE *f = fopen(d->bundle, "rb");

	if (!f)
		return phiz_fail_system(d->ctx, d->bundle, "cannot be opened", errno);
	phiz_sha256_init(&h);
	while ((n = fread(part, 1, sizeof part, f)) > 0)
		phiz_sha256_add(&h, part, n);
	bool failed = ferror(f) != 0;
	fclose(f);
	if (failed)
		return phiz_fail(d->ctx, PHIZ_E_IO, "%s: cannot be read", d->bundle);
	phiz_sha256_hex(&h, d->hash);
	snprintf(d->source, sizeof d->source, "src-%.12s", d->hash);
	snprintf(d->file, sizeof d->file, "bundle-%.12s.tar.gz", d->hash);
	return PHIZ_OK;
}

/* The same sources and model make the same bytes. */
static enum phiz_status make_bundle(struct deploy *d)
{
	const char *from = d->settings->source ? d->settings->source : PHIZ_SOURCE_DIR;
	char link[128];
	char *argv[] = {"tar", "-czhf", d->bundle, "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner",
	                "--exclude=__pycache__", "--exclude=deploy/trunks", "-C", (char *)from, "CMakeLists.txt", "LICENSE",
	                "README.md", "core", "deploy", "tools", "configs", "-C", d->folder, "model.phiz", NULL};
	char *real = realpath(d->model, NULL); /* libc's memory */
	int code;

	snprintf(link, sizeof link, "%s/model.phiz", d->folder);
	bool linked = real && symlink(real, link) == 0;
	(free)(real);
	if (!linked)
		return phiz_fail_system(d->ctx, d->model, "cannot be taken along", errno);
	snprintf(d->bundle, sizeof d->bundle, "%s%s", d->settings->bundle ? "" : d->folder,
	         d->settings->bundle ? d->settings->bundle : "/bundle.tar.gz");
	enum phiz_status status = phiz_program_run(d->ctx, argv, -1, NULL, &code);
	if (!status && code)
		status = phiz_fail(d->ctx, PHIZ_E_IO, "tar could not bundle %s (above): --source DIR names phiz's sources",
		                   from);
	return status ? status : hash_file(d);
}

/* --- There --- */

/* The one place where ssh is called: all calls share the connection that the first one opens. command: what the board's
 * shell is to do; or NULL, and control is what becomes of the connection (ssh's -O), without a word from ssh. */
static enum phiz_status call_ssh(struct deploy *d, const char *control, const char *command, int input,
                                 struct phiz_bytes *output, int *code)
{
	char socket[128];
	char *argv[24];
	int n = 0;

	snprintf(socket, sizeof socket, "ControlPath=%s/%%C", d->folder);
	argv[n++] = "ssh";
	if (d->settings->config) {
		argv[n++] = "-F";
		argv[n++] = (char *)d->settings->config;
	}
	argv[n++] = "-oControlMaster=auto";
	argv[n++] = "-o";
	argv[n++] = socket;
	argv[n++] = "-oControlPersist=60";
	argv[n++] = "-oConnectTimeout=20";
	argv[n++] = "-oServerAliveInterval=15";
	if (control) {
		argv[n++] = "-q";
		argv[n++] = "-O";
		argv[n++] = (char *)control;
	}
	argv[n++] = "--";
	argv[n++] = (char *)d->target;
	argv[n++] = (char *)command;
	argv[n] = NULL;
	return phiz_program_run(d->ctx, argv, input, output, code);
}

/* d->command, on the board. */
static enum phiz_status ssh(struct deploy *d, int input, struct phiz_bytes *output, int *code)
{
	enum phiz_status status = phiz_bytes_status(&d->command);
	return status ? status : call_ssh(d, NULL, d->command.data, input, output, code);
}

/* A lost connection is ssh's 255. */
static enum phiz_status check_code(struct deploy *d, const char *step, int code)
{
	if (code == 0)
		return PHIZ_OK;
	if (code == 255)
		return phiz_fail(d->ctx, PHIZ_E_IO, "%s: no connection to %s (above): the same command goes on where this one "
		                 "ended", step, d->target);
	return phiz_fail(d->ctx, PHIZ_E_IO, "%s: failed on %s (above)", step, d->target);
}

/* "cd DIR && " and the rest, where S is the folder of the sources and B the bundle. */
static void say(struct deploy *d, const char *text)
{
	phiz_bytes_clear(&d->command);
	phiz_bytes_printf(&d->command, "S=%s; B=%s; cd %s && { %s; }", d->source, d->file, d->dir.data, text);
}

static const char check_text[] =
	"for p in cmake gcc make tar sha256sum flock; do command -v $p >/dev/null || { echo \"$p is "
	"missing: sudo apt-get install build-essential cmake tar coreutils util-linux\" >&2; exit 1; }; done; "
	"free=$(df -Pk . | awk 'NR==2 {print $4}'); "
	"[ \"$free\" -ge 300000 ] || { echo \"$free KiB are free in $PWD, and 300000 are needed\" >&2; exit 1; }; "
	"(tr -d '\\0' </proc/device-tree/model || uname -n) 2>/dev/null; uname -m; "
	"head -1 /etc/nv_tegra_release 2>/dev/null; "
	"grep -E 'MemTotal|SwapTotal' /proc/meminfo";
/* What the board is at outlives its connection: until then nobody else builds in DIR, or changes the sources. All that
 * the shell starts has descriptor 9, and is of its process group. */
#define LOCK \
	"exec 9>>lock; flock -n 9 || { read -r group of <lock; echo \"a build whose connection was lost is still at " \
	"work in $PWD/$of: wait until it has ended and give the same command again, or end it there: kill -- " \
	"-$group\" >&2; exit 1; }; echo \"$$ $S\" >lock; "
static const char unpack_text[] =
	LOCK "rm -rf \"$S.new\" && mkdir \"$S.new\" && tar -xzf \"$B\" -C \"$S.new\" && rm -rf \"$S\" && "
	"mv \"$S.new\" \"$S\"";
/* Two compilers at once where there is memory for no more. */
static const char build_text[] =
	LOCK "n=$(nproc); [ \"$(awk '/MemTotal/ {print $2}' /proc/meminfo)\" -ge 6000000 ] || n=2; "
	"PATH=$PATH:/usr/local/cuda/bin; mkdir -p \"$S/build\" && cd \"$S/build\" && { cmake .. -DCMAKE_BUILD_TYPE=Release "
	"-DPHIZ_TRAIN=OFF -DPHIZ_TESTS=OFF && make -j$n phiz && "
	"{ ! grep -q phiz_cuda_module Makefile || make phiz_cuda_module; }; } "
	">build.log 2>&1 || { tail -30 build.log >&2; exit 1; }";
static const char test_text[] = "\"$S/build/tools/phiz\" doctor \"$S/model.phiz\"";
static const char bench_text[] = "\"$S/build/tools/phiz\" bench \"$S/model.phiz\" --tune --runs 30 --seconds 20";
static const char install_text[] =
	"ln -sfn \"$S\" current && current/build/tools/phiz info current/model.phiz >/dev/null";

static enum phiz_status run_text(struct deploy *d, const char *step, const char *text)
{
	int code;

	say(d, text);
	enum phiz_status status = ssh(d, -1, NULL, &code);
	return status ? status : check_code(d, step, code);
}

static enum phiz_status ask(struct deploy *d, const char *step, const char *text)
{
	int code;

	say(d, text);
	phiz_bytes_clear(&d->output);
	enum phiz_status status = ssh(d, -1, &d->output, &code);
	return status ? status : check_code(d, step, code);
}

/* What arrived before is kept, the rest is sent, and the whole is held against its hash. */
static enum phiz_status copy(struct deploy *d)
{
	int file, code;
	enum phiz_status status =
		ask(d, "copy", "[ -e \"$B\" ] && echo whole || stat -c %s \"$B.part\" 2>/dev/null || echo 0");

	if (status || (d->output.size && !strncmp(d->output.data, "whole", 5)))
		return status;
	long long there = d->output.size ? strtoll(d->output.data, NULL, 10) : 0;
	file = open(d->bundle, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return phiz_fail_system(d->ctx, d->bundle, "cannot be opened", errno);
	off_t size = lseek(file, 0, SEEK_END);
	if (there < 0 || there > (long long)size)
		there = 0; /* of another file by this name: the hash will say */
	if (lseek(file, (off_t)there, SEEK_SET) < 0)
		there = 0;
	if (there > 0)
		phiz_log(d->ctx, PHIZ_LOG_INFO, "copy: goes on at %.1f of %.1f MiB", (double)there / 1048576,
		         (double)size / 1048576);
	say(d, there > 0 ? "cat >>\"$B.part\"" : "cat >\"$B.part\"");
	status = ssh(d, file, NULL, &code);
	close(file);
	if (!status)
		status = check_code(d, "copy", code);
	if (status)
		return status;
	phiz_bytes_clear(&d->command);
	phiz_bytes_printf(&d->command,
	                  "cd %s && if echo '%s  %s.part' | sha256sum -c - >/dev/null 2>&1; then mv %s.part %s; else rm -f "
	                  "%s.part; echo 'what arrived is not what was sent: try again' >&2; exit 1; fi",
	                  d->dir.data, d->hash, d->file, d->file, d->file, d->file);
	status = ssh(d, -1, NULL, &code);
	return status ? status : check_code(d, "copy", code);
}

/* A unit of the user's own manager. systemd runs no program whose path has quotes in it, and DIR may: its shell goes
 * there by the working folder, in which only % has a meaning, and becomes phiz. */
static const char unit_begin[] =
	"U=~/.config/systemd/user/phiz.service; D=$(pwd | sed 's/%/%%/g'); mkdir -p \"${U%/*}\" && printf '%s\\n' '[Unit]' "
	"'Description=phiz' '[Service]' \"WorkingDirectory=$D/current\" ";
static const char unit_end[] =
	" 'Restart=on-failure' 'RestartSec=5' '[Install]' 'WantedBy=default.target' >\"$U.new\" && mv \"$U.new\" \"$U\" && "
	"export XDG_RUNTIME_DIR=\"${XDG_RUNTIME_DIR:-/run/user/$(id -u)}\" && systemctl --user daemon-reload && "
	"systemctl --user enable phiz.service && systemctl --user restart phiz.service && { loginctl enable-linger || "
	"echo \"it will end with your session: sudo loginctl enable-linger $(id -un)\" >&2; } && sleep 1 && { "
	"systemctl --user is-active phiz.service >/dev/null || { systemctl --user --no-pager status phiz.service >&2; "
	"echo 'the service does not stay up: journalctl --user -u phiz tells more' >&2; exit 1; }; }";

static enum phiz_status service(struct deploy *d)
{
	struct phiz_bytes text;

	phiz_bytes_init(&text, d->ctx);
	phiz_bytes_text(&text, unit_begin);
	phiz_bytes_text(&text, d->service.data);
	phiz_bytes_text(&text, unit_end);
	enum phiz_status status = phiz_bytes_status(&text);
	if (!status)
		status = run_text(d, "service", text.data);
	phiz_bytes_free(&text);
	return status;
}

/* Before anything is done: are the arguments ones? */
static enum phiz_status read_service(struct deploy *d)
{
	struct phiz_bytes line;

	if (!d->settings->service)
		return PHIZ_OK;
	phiz_bytes_init(&line, d->ctx);
	phiz_bytes_text(&line, "ExecStart=/bin/sh -c \"exec build/tools/phiz \\\"$$@\\\"\" phiz");
	enum phiz_status status = phiz_systemd_words(d->ctx, &line, d->settings->service);
	if (!status)
		phiz_shell_word(&d->service, line.data);
	phiz_bytes_free(&line);
	return status ? status : phiz_bytes_status(&d->service);
}

/* --- Steps --- */

static const struct step {
	const char *name, *what, *text; /* text NULL: copy and service */
	bool always;                    /* quick, and not the bundle's alone: an older one may have been installed since */
} steps[] = {
	{"check", "what the board has: compiler, CMake, disk, memory", check_text, false},
	{"copy", "the bundle of sources and model; goes on where a lost connection ended", NULL, false},
	{"unpack", "into a folder of its own", unpack_text, false},
	{"build", "core and deploy, with CUDA where its compiler is", build_text, false},
	{"test", "phiz doctor with the model: against reference kernels, in each precision", test_text, false},
	{"bench", "phiz bench --tune with the model", bench_text, false},
	{"install", "this version becomes DIR/current", install_text, true},
	{"service", "a systemd unit that runs it", NULL, true},
};

static enum phiz_status do_step(struct deploy *d, const struct step *s)
{
	if (s->text)
		return run_text(d, s->name, s->text);
	return strcmp(s->name, "copy") ? service(d) : copy(d);
}

static void report(struct deploy *d, const struct step *s, const char *state, double seconds)
{
	if (d->settings->json)
		printf("{\"step\":\"%s\",\"state\":\"%s\",\"seconds\":%.2f}\n", s->name, state, seconds);
	else
		printf("%-8s %-7s %6.1f s\n", s->name, state, seconds);
	fflush(stdout);
}

/* The board's marks of this bundle, into d->output: "check copy ...". Makes the folder. */
static enum phiz_status read_marks(struct deploy *d)
{
	int code;

	phiz_bytes_clear(&d->command);
	phiz_bytes_clear(&d->output);
	phiz_bytes_printf(&d->command, "mkdir -p %s/marks && cd %s/marks && for f in *-%.12s; do echo \"${f%%-*}\"; done",
	                  d->dir.data, d->dir.data, d->hash);
	enum phiz_status status = ssh(d, -1, &d->output, &code);
	if (!status)
		status = check_code(d, "connect", code);
	phiz_bytes_text(&d->output, "\n");
	return status ? status : phiz_bytes_status(&d->output);
}

static bool is_done(const struct phiz_bytes *marks, const char *name)
{
	char line[32];

	snprintf(line, sizeof line, "%s\n", name);
	for (const char *at = marks->data; (at = strstr(at, line)) != NULL; at++)
		if (at == marks->data || at[-1] == '\n')
			return true;
	return false;
}

static enum phiz_status mark(struct deploy *d, const struct step *s)
{
	char text[128];

	snprintf(text, sizeof text, "touch marks/%s-%.12s", s->name, d->hash);
	return run_text(d, s->name, text);
}

static bool is_wanted(const struct deploy *d, const struct step *s)
{
	if (d->settings->step)
		return !strcmp(d->settings->step, s->name);
	return strcmp(s->name, "service") || d->settings->service;
}

static enum phiz_status do_steps(struct deploy *d)
{
	struct phiz_bytes marks;
	enum phiz_status status = read_marks(d);

	phiz_bytes_init(&marks, d->ctx);
	if (!status)
		phiz_bytes_text(&marks, d->output.data);
	for (int i = 0; i < PHIZ_COUNT(steps) && !status && !phiz_interrupted; i++) {
		const struct step *s = &steps[i];
		double begun = phiz_time();
		if (!is_wanted(d, s))
			continue;
		if (is_done(&marks, s->name) && !s->always && !d->settings->again && !d->settings->step) {
			report(d, s, "done", 0);
			continue;
		}
		status = do_step(d, s);
		if (!status)
			status = mark(d, s);
		report(d, s, status ? "failed" : "ok", phiz_time() - begun);
	}
	phiz_bytes_free(&marks);
	return status;
}

static void print_plan(const struct deploy *d)
{
	for (int i = 0; i < PHIZ_COUNT(steps); i++)
		if (is_wanted(d, &steps[i]))
			printf("%-8s %s\n", steps[i].name, steps[i].what);
}

static void print_bundle(const struct deploy *d)
{
	printf("%s: SHA-256 %s\non the board:\n  sha256sum %s\n  mkdir -p phiz/%s && tar -xzf %s -C phiz/%s && cd phiz/%s\n"
	       "  mkdir -p build && cd build && cmake .. -DCMAKE_BUILD_TYPE=Release -DPHIZ_TRAIN=OFF -DPHIZ_TESTS=OFF && "
	       "make -j2\n"
	       "  tools/phiz doctor ../model.phiz && tools/phiz bench ../model.phiz --tune\n",
	       d->bundle, d->hash, phiz_path_base(d->bundle), d->source, phiz_path_base(d->bundle), d->source, d->source);
}

/* The connection ends, then what we made goes. ssh takes its socket away a moment after it has said yes. */
static void leave(struct deploy *d)
{
	static const struct timespec moment = {0, 10 * 1000 * 1000};
	char path[128];
	int code;

	if (!d->folder[0])
		return;
	phiz_bytes_clear(&d->output);
	if (d->target)
		(void)call_ssh(d, "exit", NULL, -1, &d->output, &code);
	snprintf(path, sizeof path, "%s/model.phiz", d->folder);
	unlink(path);
	snprintf(path, sizeof path, "%s/bundle.tar.gz", d->folder);
	unlink(path);
	for (int i = 0; rmdir(d->folder) && (errno == ENOTEMPTY || errno == EEXIST) && i < 200; i++)
		nanosleep(&moment, NULL);
}

static enum phiz_status prepare(struct deploy *d, const char *model)
{
	enum phiz_status status = phiz_find_model_file(d->ctx, model, &d->model);

	snprintf(d->folder, sizeof d->folder, "/tmp/phiz-deploy-XXXXXX");
	if (!status && !mkdtemp(d->folder)) {
		status = phiz_fail_system(d->ctx, d->folder, "cannot be made", errno);
		d->folder[0] = '\0';
	}
	phiz_shell_word(&d->dir, d->settings->dir ? d->settings->dir : "phiz");
	if (!status)
		status = phiz_bytes_status(&d->dir);
	return status ? status : make_bundle(d);
}

extern const struct phiz_verb phiz_verb_deploy;

static int check_usage(const struct settings *s, int n_args, char **args)
{
	bool known = !s->step;

	for (int i = 0; i < PHIZ_COUNT(steps); i++)
		known = known || !strcmp(s->step, steps[i].name);
	if (!known)
		return phiz_usage(&phiz_verb_deploy, "--step %s: want check, copy, unpack, build, test, bench, install or "
		                  "service", s->step);
	if (s->step && !strcmp(s->step, "service") && !s->service)
		return phiz_usage(&phiz_verb_deploy, "--step service: --service ARGUMENTS says what it runs");
	if (s->bundle ? n_args != 1 : n_args != 2)
		return phiz_usage(&phiz_verb_deploy,
		                  s->bundle ? "--bundle FILE takes a MODEL alone" : "want USER@HOST MODEL");
	if (!s->bundle && !phiz_is_ssh_target(args[0]))
		return phiz_usage(&phiz_verb_deploy, "'%s': want USER@HOST or HOST (letters, digits, '.', '_' and '-'; ports "
		                  "and keys go into ~/.ssh/config)", args[0]);
	return 0;
}

static int deploy(struct deploy *d, const char *model)
{
	enum phiz_status status = read_service(d);

	if (status == PHIZ_E_ARG)
		return phiz_usage(&phiz_verb_deploy, "--service %s: %s", d->settings->service, phiz_ctx_message(d->ctx));
	if (!status)
		status = prepare(d, model);
	if (!status && d->settings->bundle)
		print_bundle(d);
	else if (!status)
		status = do_steps(d);
	if (status)
		phiz_report(d->ctx);
	return status || phiz_interrupted ? PHIZ_EXIT_FAILED : PHIZ_EXIT_DONE;
}

static int run(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	struct deploy d = {.ctx = ctx, .settings = settings};
	int code = check_usage(settings, n_args, args);

	if (code)
		return code;
	if (d.settings->dry) {
		print_plan(&d);
		return PHIZ_EXIT_DONE;
	}
	d.target = d.settings->bundle ? NULL : args[0];
	phiz_bytes_init(&d.dir, ctx);
	phiz_bytes_init(&d.command, ctx);
	phiz_bytes_init(&d.output, ctx);
	phiz_bytes_init(&d.service, ctx);
	code = deploy(&d, args[n_args - 1]);
	leave(&d);
	phiz_free(ctx, d.model);
	phiz_bytes_free(&d.dir);
	phiz_bytes_free(&d.command);
	phiz_bytes_free(&d.output);
	phiz_bytes_free(&d.service);
	return code;
}

static const struct settings defaults;

const struct phiz_verb phiz_verb_deploy = {
	"deploy", "a model and phiz itself onto a board, over ssh",
	"USER@HOST MODEL [--service ARGUMENTS] [--dry-run]; or --bundle FILE.tar.gz MODEL",
	"Bundles core, deploy, tools and the model, copies them, builds there without training,\n"
	"runs the self-test (phiz doctor MODEL), tunes and times it, and makes this version the\n"
	"current one. The same sources and model make the same bundle: a second run skips what\n"
	"is done, and goes on in the middle of a file where a connection was lost. Nothing on\n"
	"the board outside of DIR is touched, but for the unit that --service asks for.\n"
	"Keys, ports and jump hosts are ssh's own affair (~/.ssh/config).",
	options, PHIZ_COUNT(options), sizeof(struct settings), &defaults, 0, 2, run,
};
