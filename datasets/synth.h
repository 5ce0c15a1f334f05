/* Rendered sample people. Nobody here exists: a person is some sixty numbers (the form of the skull, the colours of
 * skin, eyes and hair, a hair style), a photo is some eighty more (pose, light, expression, background, glasses, the
 * camera's faults), and a small software renderer makes the picture. Everything is a function of
 * (seed, person, photo), whatever the number of threads. */
#ifndef PHIZ_DATASETS_SYNTH_H
#define PHIZ_DATASETS_SYNTH_H

#include <stdbool.h>

#include <phiz/image.h>

#ifdef __cplusplus
extern "C" {
#endif

struct phiz_synth_options {
	int people; /* 1 .. 100000 */
	int photos; /* of each person, 1 .. 10000 */
	int size;   /* side of the square picture in pixels, 32 .. 1024 */
	uint64_t seed;
	int first_person; /* number of the first one: people of other ranges are other people (0 .. 1000000000) */
	double burst;     /* chance that a photo is the near-duplicate of the one before it, 0 .. 0.9 */
};

/* 10 people, 30 photos, 160 pixels, seed 1, no bursts. */
PHIZ_API void phiz_synth_defaults(struct phiz_synth_options *options);
/* ARG, naming the setting and its range. */
PHIZ_API enum phiz_status phiz_synth_check(struct phiz_ctx *ctx, const struct phiz_synth_options *options);

enum phiz_synth_wear {
	PHIZ_SYNTH_GLASSES = 1,
	PHIZ_SYNTH_SUNGLASSES = 2,
	PHIZ_SYNTH_HAT = 4,
	PHIZ_SYNTH_MASK = 8,
	PHIZ_SYNTH_OCCLUDED = 16 /* something out of focus stands before a part of the face */
};

/* What is to be seen, in pixels of the picture; (0, 0) is the upper left corner of the upper left pixel. */
struct phiz_face_truth {
	double x, y, w, h;       /* the face: chin to the upper forehead, cheek to cheek; clipped to the picture */
	double landmark[5][2];   /* left eye, right eye, nose tip, left and right mouth corner, as seen in the picture */
	double yaw, pitch, roll; /* degrees; yaw > 0 looks to the right of the picture, pitch > 0 up, roll > 0 clockwise */
	unsigned wear;           /* of enum phiz_synth_wear */
	int burst;               /* the photo that opens the burst this one belongs to; its own number if none */
};

/* Renders photo `photo` (from 0) of person options->first_person + person (person from 0). out is created as RGB; with
 * out NULL only the truth is made, which is several times quicker. truth may be NULL. options->people and ->photos
 * do not limit the numbers. Errors: ARG, NOMEM. */
PHIZ_API enum phiz_status phiz_synth_render(struct phiz_ctx *ctx, const struct phiz_synth_options *options, int person,
                                            int photo, struct phiz_image *out, struct phiz_face_truth *truth);

/* The folder name of a person: a first name for the first few dozens, "person_061" beyond. Writes at most size bytes
 * with the NUL; 32 are enough. */
PHIZ_API void phiz_synth_name(int person, char *out, size_t size);

/* Called from the thread that called phiz_synth_write, a few times a second. Returning false breaks off. */
typedef bool (*phiz_synth_progress_fn)(void *user, int64_t done, int64_t total);

struct phiz_synth_result {
	int64_t written, kept; /* photos made now, and photos that were there from an earlier run */
};

/* Writes DIR/NAME/0001.jpg ... for every person, DIR/truth.csv and DIR/synth.cfg (the settings, which mark the folder
 * as ours). DIR is made where it is missing. A folder that is not empty and not ours, or was made with other settings,
 * is refused (ARG); a larger number of people or photos extends it, and what is there is kept, so a run that was broken
 * off goes on where it stopped. progress and result may be NULL. Errors: ARG, IO, NOMEM, CANCELLED. */
PHIZ_API enum phiz_status phiz_synth_write(struct phiz_ctx *ctx, const struct phiz_synth_options *options,
                                           const char *dir, phiz_synth_progress_fn progress, void *user,
                                           struct phiz_synth_result *result);

/* A contact sheet: a row of columns pictures for each of `rows` people, gap pixels of white between them. */
PHIZ_API enum phiz_status phiz_synth_sheet(struct phiz_ctx *ctx, const struct phiz_synth_options *options, int rows,
                                           int columns, int gap, struct phiz_image *out);

#ifdef __cplusplus
}
#endif
#endif
