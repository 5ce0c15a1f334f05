/* phiz data synth: sample people who do not exist. */
#include <stdio.h>
#include <string.h>

#include "core/base/bytes.h"
#include "datasets/synth.h"
#include "tools/tools.h"

extern const struct phiz_verb phiz_verb_data_synth;

struct synth_settings {
	int64_t people, photos, size, seed, first;
	double burst;
	const char *sheet;
	bool json;
};

static const struct synth_settings synth_defaults = {.people = 10, .photos = 30, .size = 160, .seed = 1};

static const struct phiz_option synth_options[] = {
	PHIZ_OPTION(struct synth_settings, "--people", INT, people, "N", 1, 100000, "how many people (default 10)"),
	PHIZ_OPTION(struct synth_settings, "--photos", INT, photos, "N", 1, 10000, "photos of each (default 30)"),
	PHIZ_OPTION(struct synth_settings, "--size", INT, size, "S", 32, 1024, "side of a photo in pixels (default 160)"),
	PHIZ_OPTION(struct synth_settings, "--seed", INT, seed, "K", 0, 9007199254740991.0, "other people (default 1)"),
	PHIZ_OPTION(struct synth_settings, "--first", INT, first, "N", 0, 1000000000,
                "number of the first one: people of other numbers are other people (default 0)"),
	PHIZ_OPTION(struct synth_settings, "--burst", REAL, burst, "P", 0, 0.9,
                "chance that a photo nearly repeats the one before it (default 0)"),
	PHIZ_OPTION(struct synth_settings, "--sheet", TEXT, sheet, "FILE", 0, 0,
                "a contact sheet of all of them as .png or .jpg, instead of a folder"),
	PHIZ_OPTION(struct synth_settings, "--json", FLAG, json, NULL, 0, 0, "one JSON object on standard output"),
};

static bool show(void *user, int64_t done, int64_t total)
{
	phiz_progress_show(user, (double)done, (double)total, done == total, "%lld of %lld photos", (long long)done,
	                   (long long)total);
	return !phiz_interrupted;
}

static int write_sheet(struct phiz_ctx *ctx, const struct synth_settings *s, const struct phiz_synth_options *o)
{
	struct phiz_image sheet;
	enum phiz_status status = phiz_synth_sheet(ctx, o, o->people, o->photos, 2, &sheet);

	if (status)
		return phiz_report(ctx);
	status = phiz_image_write(ctx, s->sheet, &sheet, 90);
	phiz_image_free(ctx, &sheet);
	return status ? phiz_report(ctx) : PHIZ_EXIT_DONE;
}

static void print_result(struct phiz_ctx *ctx, const struct synth_settings *s, const char *dir,
                         const struct phiz_synth_result *r)
{
	struct phiz_bytes b;

	if (!s->json) {
		if (!phiz_quiet)
			fprintf(stderr, "%s: %lld people, %lld photos each, %lld rendered now, %lld were there\n", dir,
			        (long long)s->people, (long long)s->photos, (long long)r->written, (long long)r->kept);
		return;
	}
	phiz_bytes_init(&b, ctx);
	phiz_bytes_text(&b, "{\"dir\":");
	phiz_bytes_json(&b, dir);
	phiz_bytes_printf(&b, ",\"people\":%lld,\"photos\":%lld,\"written\":%lld,\"kept\":%lld}", (long long)s->people,
	                  (long long)s->photos, (long long)r->written, (long long)r->kept);
	if (!phiz_bytes_status(&b))
		puts(b.data);
	phiz_bytes_free(&b);
}

static int run_synth(struct phiz_ctx *ctx, void *settings, int n_args, char **args)
{
	const struct synth_settings *s = settings;
	struct phiz_synth_options o;
	struct phiz_synth_result result;
	struct phiz_progress progress;
	enum phiz_status status;

	phiz_synth_defaults(&o);
	o.people = (int)s->people;
	o.photos = (int)s->photos;
	o.size = (int)s->size;
	o.seed = (uint64_t)s->seed;
	o.first_person = (int)s->first;
	o.burst = s->burst;
	if (s->sheet)
		return n_args == 0 ? write_sheet(ctx, s, &o)
		                   : phiz_usage(&phiz_verb_data_synth, "a folder or --sheet, not both");
	if (n_args != 1)
		return phiz_usage(&phiz_verb_data_synth, "want a folder to write to");
	phiz_progress_start(&progress);
	status = phiz_synth_write(ctx, &o, args[0], show, &progress, &result);
	phiz_progress_clear(&progress);
	if (status)
		return phiz_report(ctx);
	print_result(ctx, s, args[0], &result);
	return PHIZ_EXIT_DONE;
}

const struct phiz_verb phiz_verb_data_synth = {
	"data synth",
	"render photos of people who do not exist",
	"DIR [--people 10] [--photos 30] [--size 160] [--seed K] [--first N] [--burst P]",
	"DIR gets a folder for each person with 0001.jpg and so on, and truth.csv: for each\n"
	"photo the face's box, the places of eyes, nose tip and mouth corners, the pose in\n"
	"degrees, what is worn, and the photo that opens the burst.\n"
	"\n"
	"A person's face, colouring and hair stay; pose, light, expression, clothes,\n"
	"background and the camera's faults change. The same seed gives the same people,\n"
	"and more people or photos extend what is there. Broken off, the same command goes\n"
	"on. A folder that holds anything else is not touched.",
	synth_options,
	PHIZ_COUNT(synth_options),
	sizeof(struct synth_settings),
	&synth_defaults,
	0,
	1,
	run_synth,
};
