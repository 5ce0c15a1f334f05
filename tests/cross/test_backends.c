/* label: full
 * Whole networks one way and another: the CPU's instruction sets and the reference against double, rewritten graphs
 * against plain ones, one thread against several. */
#include "cross/cross_net.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/cpu/features.h"
#include "support/tolerance.h"

enum { CLASSES = 7, IMAGES = 4 };

static const struct {
	const char *net;
	int size;
	int64_t batch;
	bool large; /* only with the fast kernels */
} nets[] = {{"tiny", 64, 4, false}, {"resnet18", 64, 2, true}};
enum { NETS = sizeof(nets) / sizeof(nets[0]) };

static const struct {
	const char *word; /* of PHIZ_CPU */
	unsigned needs;
} cpus[] = {{"reference", 0},
            {"sse2", 0},
            {"avx2", PHIZ_CPU_AVX2},
            {"avx512", PHIZ_CPU_AVX512},
            {"neon", PHIZ_CPU_NEON}};
enum { CPUS = sizeof(cpus) / sizeof(cpus[0]) };

static struct cross_options options_of(int net, bool training, bool rewritten, int image)
{
	return (struct cross_options){.net = nets[net].net, .size = nets[net].size, .classes = CLASSES,
	                              .batch = nets[net].batch, .real = PHIZ_F32, .training = training,
	                              .rewritten = rewritten, .backend = phiz_backend_cpu(), .seed = (uint64_t)image};
}

struct worst {
	double used;
	char name[200];
};

static void compare(struct worst *worst, enum precision precision, const char *name, const struct phiz_tensor *got,
                    const struct phiz_tensor *want)
{
	double used;

	if (!got && !want)
		return;
	if (!got || !want)
		fail_msg("%s: only one of two networks has it", name);
	used = tolerance_used(NULL, precision, got, want, NULL);
	if (used > worst->used || isnan(used)) {
		worst->used = used;
		snprintf(worst->name, sizeof(worst->name), "%s of %s", precision_name(precision), name);
	}
}

/* Results, and when training running statistics and gradients. */
static struct worst compare_nets(const struct cross_net *got, const struct cross_net *want, bool training)
{
	const struct phiz_model *model = want->model;
	struct worst worst = {0};

	compare(&worst, PRECISION_F32, "output", cross_output(got), cross_output(want));
	for (size_t e = 0; training && e < model->n_entries; e++) {
		const char *name = model->entry[e].name;

		compare(&worst, PRECISION_F32, name, cross_parameter(got, name), cross_parameter(want, name));
		compare(&worst, PRECISION_F32_GRADIENT, name, cross_gradient(got, name), cross_gradient(want, name));
	}
	return worst;
}

/* Sets PHIZ_CPU for the plans that follow; NULL: as it was. */
static void choose_cpu(const char *word)
{
	static char before[64];
	static bool kept;

	if (!kept) {
		snprintf(before, sizeof(before), "%s", getenv("PHIZ_CPU") ? getenv("PHIZ_CPU") : "");
		kept = true;
	}
	if (!word)
		word = before;
	if (*word)
		setenv("PHIZ_CPU", word, 1);
	else
		unsetenv("PHIZ_CPU");
}

/* What is wanted: the nets of some images in double, run when they are first asked for. */
struct wanted {
	struct cross_net net[IMAGES];
	bool there[IMAGES];
};

static const struct cross_net *want_image(struct wanted *w, int net, bool training, int image)
{
	struct cross_options o = options_of(net, training, false, image);

	o.real = PHIZ_F64;
	o.backend = phiz_backend_reference();
	if (!w->there[image]) {
		cross_start(&w->net[image], &o, 1);
		cross_run(&w->net[image]);
		w->there[image] = true;
	}
	return &w->net[image];
}

/* A relu whose input is within rounding of 0 has its gradient in one run and not in the other; then other images are
 * tried. What is wrong is wrong on all of them. */
static void check_way(struct wanted *w, int net, bool training, bool rewritten, const char *cpu)
{
	struct worst worst = {.used = (double)INFINITY};
	int image = 0;

	for (; !(worst.used <= 1) && image < (training ? IMAGES : 1); image++) {
		struct cross_options o = options_of(net, training, rewritten, image);
		struct cross_net got;

		cross_start(&got, &o, 2);
		cross_run(&got);
		worst = compare_nets(&got, want_image(w, net, training, image), training);
		cross_done(&got);
	}
	print_message("           %s %s %s%s: %.2g of the tolerance used (image %d, worst: %s)\n", nets[net].net,
	              training ? "training" : "inference", cpu, rewritten ? " rewritten" : "", worst.used, image,
	              worst.name);
	if (!(worst.used <= 1))
		fail_msg("%s differs on %d images", worst.name, image);
}

static void check_net(int net, bool training)
{
	struct wanted w = {.there = {false}};

	for (int cpu = 0; cpu < CPUS; cpu++) {
		if (cpus[cpu].needs & ~phiz_cpu_features() || (nets[net].large && !cpus[cpu].needs))
			continue;
		choose_cpu(cpus[cpu].word);
		check_way(&w, net, training, false, cpus[cpu].word);
		check_way(&w, net, training, true, cpus[cpu].word);
	}
	choose_cpu(NULL);
	for (int i = 0; i < IMAGES; i++)
		if (w.there[i])
			cross_done(&w.net[i]);
}

static void check_mode(bool training)
{
	for (int net = 0; net < NETS; net++)
		check_net(net, training);
}

static void trains_alike(void **state)
{
	(void)state;
	check_mode(true);
}

static void infers_alike(void **state)
{
	(void)state;
	check_mode(false);
}

/* Bit by bit: what resuming relies on. */
static void same_for_any_threads(void **state)
{
	struct cross_options o = options_of(0, true, true, 0);
	struct cross_net one, more;

	(void)state;
	cross_start(&one, &o, 1);
	cross_run(&one);
	for (int threads = 2; threads <= 5; threads += 3) {
		cross_start(&more, &o, threads);
		cross_run(&more);
		for (size_t e = 0; e < one.model->n_entries; e++) {
			const char *name = one.model->entry[e].name;
			const struct phiz_tensor *a = cross_gradient(&one, name), *b = cross_gradient(&more, name);

			if (a && memcmp(a->data, b->data, phiz_tensor_bytes(a)) != 0)
				fail_msg("the gradient of %s changes with %d threads", name, threads);
			a = cross_parameter(&one, name);
			b = cross_parameter(&more, name);
			if (memcmp(a->data, b->data, phiz_tensor_bytes(a)) != 0)
				fail_msg("%s changes with %d threads", name, threads);
		}
		cross_done(&more);
	}
	cross_done(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(infers_alike),
		cmocka_unit_test(trains_alike),
		cmocka_unit_test(same_for_any_threads),
	};

	return cmocka_run_group_tests_name("backends", tests, NULL, NULL);
}
