/* The man page and bash's completion, from the same tables as --help. */
#include <stdio.h>
#include <string.h>

#include "tools/args.h"

/* Text for troff: backslashes and hyphens escaped, a leading dot or quote made harmless. */
static void roff(const char *text)
{
	if (*text == '.' || *text == '\'')
		printf("\\&");
	for (; *text; text++) {
		if (*text == '\\')
			printf("\\e");
		else if (*text == '-')
			printf("\\-");
		else
			putchar(*text);
		if (*text == '\n' && (text[1] == '.' || text[1] == '\''))
			printf("\\&");
	}
}

static void roff_option(const struct phiz_option *o)
{
	printf(".TP\n.B ");
	roff(o->name);
	if (o->value) {
		printf(" \\fI");
		roff(o->value);
		printf("\\fR");
	}
	printf("\n");
	roff(o->help);
	printf("\n");
}

static void roff_verb(const struct phiz_verb *v)
{
	printf(".SS phiz %s ", v->name);
	roff(v->synopsis);
	printf("\n");
	roff(v->summary);
	printf(".\n");
	if (v->text) {
		printf(".PP\n");
		roff(v->text);
		printf("\n");
	}
	for (int i = 0; i < v->n_options; i++)
		roff_option(&v->options[i]);
}

void phiz_manual_print(void)
{
	int n;
	const struct phiz_option *common = phiz_common_options(&n);

	printf(".TH PHIZ 1 \"\" \"phiz " PHIZ_VERSION "\" \"User Commands\"\n"
	       ".SH NAME\nphiz \\- trains face recognisers and runs them\n"
	       ".SH SYNOPSIS\n.B phiz\n.I VERB\n[\\fIarguments\\fR]\n.br\n.B phiz help\n[\\fIVERB\\fR]\n"
	       ".SH DESCRIPTION\n"
	       "phiz fine\\-tunes a residual network on photographs of people, resumes where it was broken off,\n"
	       "evaluates, exports one portable model file and runs it. The result of a verb goes to standard output\n"
	       "(with \\-\\-json: one JSON object, or one a line), progress and complaints to standard error.\n"
	       ".SH VERBS\n");
	for (int i = 0; i < phiz_n_verbs; i++)
		roff_verb(phiz_verbs[i]);
	printf(".SH OPTIONS OF EVERY VERB\n");
	for (int i = 0; i < n; i++)
		roff_option(&common[i]);
	printf(".SH EXIT STATUS\n0 done, 1 failed (one line on standard error says what, where and what to do), 2 wrong\n"
	       "usage.\n"
	       ".SH ENVIRONMENT\n.TP\n.B PHIZ_CPU\nuse no instruction set above this one: reference, sse2, avx2, avx512,\n"
	       "vnni, avx512bf16, neon\n"
	       ".TP\n.B OPENBLAS_CORETYPE\nwhich kernels OpenBLAS uses; phiz chooses where it is not set\n"
	       ".SH FILES\nA model is one file, NAME.phiz: a safetensors file with the graph, labels, preprocessing and\n"
	       "threshold in its metadata. A run of \\fBphiz train\\fR is a folder with recipe.cfg, log.jsonl,\n"
	       "metrics.csv, curves.svg, last.phiz and best.phiz.\n");
}

static void completion_case(const struct phiz_verb *v)
{
	int n;
	const struct phiz_option *common = phiz_common_options(&n);

	printf("\t'%s') words='", v->name);
	for (int i = 0; i < v->n_options; i++)
		printf("%s ", v->options[i].name);
	for (int i = 0; i < n; i++)
		printf("%s%s", common[i].name, i + 1 < n ? " " : "");
	printf("' ;;\n");
}

/* Is this the first verb of its first word? */
static bool first_of_group(int k)
{
	size_t n = strcspn(phiz_verbs[k]->name, " ");

	for (int i = 0; i < k; i++)
		if (strcspn(phiz_verbs[i]->name, " ") == n && !strncmp(phiz_verbs[i]->name, phiz_verbs[k]->name, n))
			return false;
	return true;
}

static void second_words(const char *group, size_t n)
{
	for (int i = 0; i < phiz_n_verbs; i++)
		if (!strncmp(phiz_verbs[i]->name, group, n) && phiz_verbs[i]->name[n] == ' ')
			printf("%s ", phiz_verbs[i]->name + n + 1);
}

void phiz_completion_print(void)
{
	printf("# bash completion for phiz\n_phiz() {\n"
	       "\tlocal current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words=\n"
	       "\tif ((COMP_CWORD == 1)); then\n\t\tCOMPREPLY=($(compgen -W 'help ");
	for (int i = 0; i < phiz_n_verbs; i++)
		if (first_of_group(i))
			printf("%.*s ", (int)strcspn(phiz_verbs[i]->name, " "), phiz_verbs[i]->name);
	printf("' -- \"$current\"))\n\t\treturn\n\tfi\n\tcase $verb in\n");
	for (int i = 0; i < phiz_n_verbs; i++) {
		size_t n = strcspn(phiz_verbs[i]->name, " ");
		if (!phiz_verbs[i]->name[n] || !first_of_group(i))
			continue;
		printf("\t%.*s)\n\t\tif ((COMP_CWORD == 2)); then\n\t\t\tCOMPREPLY=($(compgen -W '", (int)n,
		       phiz_verbs[i]->name);
		second_words(phiz_verbs[i]->name, n);
		printf("' -- \"$current\"))\n\t\t\treturn\n\t\tfi\n\t\tverb=\"$verb ${COMP_WORDS[2]}\" ;;\n");
	}
	printf("\tesac\n\tcase $verb in\n");
	for (int i = 0; i < phiz_n_verbs; i++)
		completion_case(phiz_verbs[i]);
	printf("\tesac\n\tif [[ $current == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	       "\telse\n\t\tCOMPREPLY=($(compgen -f -- \"$current\"))\n\tfi\n}\ncomplete -o filenames -F _phiz phiz\n");
}
