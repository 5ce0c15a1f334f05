/* How good a detector is: boxes that people drew, and what of them was found. */
#ifndef PHIZ_DEPLOY_TRUTH_H
#define PHIZ_DEPLOY_TRUTH_H

#include <phiz/detector.h>

struct phiz_true_box {
	double box[4]; /* x, y, width, height, pixels of the upright photo */
	bool ignore;   /* neither missed nor wrong: detections that match it are not counted */
};

/* A photo and its boxes; one without is a photo without faces. */
struct phiz_true_photo {
	char *file; /* as the file of truth names it */
	struct phiz_true_box *box;
	size_t n, capacity;
};

struct phiz_truth {
	struct phiz_true_photo *photo;
	size_t count, capacity;
};

/* Text of either form, by content; name is for messages ("NAME:LINE: ...").
 * CSV: a line "file,x,y,w,h" first, then a line a box; a line with the file alone ("photo.jpg,,,,") is a photo without
 * faces. Lines of a photo need not be together. '#' begins a comment.
 * dlib's XML (imglab): <image file='...'> elements with <box top left width height ignore> in them; other elements and
 * attributes are passed over.
 * Errors: FORMAT, LIMIT (over a million boxes), NOMEM. */
enum phiz_status phiz_truth_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  struct phiz_truth *out);
enum phiz_status phiz_truth_read(struct phiz_ctx *ctx, const char *path, struct phiz_truth *out);
void phiz_truth_free(struct phiz_ctx *ctx, struct phiz_truth *truth);

/* Sums over photos. */
struct phiz_match {
	double iou;      /* intersection over union that counts as found; set by the caller */
	size_t truth;    /* boxes that should be found */
	size_t found;    /* detections (those of ignored boxes left out) */
	size_t matched;  /* pairs of the two */
};
/* Adds a photo: faces, best first, each take the free box that they overlap most, if that is at least m->iou. NOMEM. */
enum phiz_status phiz_match_add(struct phiz_ctx *ctx, struct phiz_match *m, const struct phiz_true_photo *photo,
                                const struct phiz_faces *faces);

#endif
