/* The detector from inside: what each decoder (detector_NAME.c) is given and what it fills in. */
#ifndef PHIZ_DEPLOY_DETECTOR_H
#define PHIZ_DEPLOY_DETECTOR_H

#include <phiz/detector.h>
#include <phiz/plan.h>

#include "deploy/boxes.h"

/* Photos are not given to a decoder larger than this because of a small min_face alone. */
enum { PHIZ_DETECTOR_MAX_SIDE = 2048 };

/* A decoder. Scores and boxes are in pixels of the image that run is given. */
struct phiz_detector_kind {
	const char *name;                       /* as in meta "detector" */
	/* What 0 in an option stands for; min_face: of the smallest face that it finds well, pixels of what it is given */
	struct phiz_detector_options standard;
	bool filters_size;                      /* boxes below min_face are dropped (else run sees to it) */
	enum phiz_status (*open)(struct phiz_detector *d); /* sets d->state; UNSUPPORTED if the model is not its own */
	/* Appends to d->boxes (empty before); landmarks in value[]. Need not be sorted. min_face: in pixels of image, 0 if
	 * none was asked for. */
	enum phiz_status (*run)(struct phiz_detector *d, const struct phiz_image *image, double min_face);
	void (*close)(struct phiz_detector *d);
};
extern const struct phiz_detector_kind phiz_detector_mtcnn, phiz_detector_yunet, phiz_detector_ultralight;

struct phiz_detector {
	struct phiz_ctx *ctx;
	struct phiz_model *model; /* owned, optimised */
	const struct phiz_detector_kind *kind;
	struct phiz_detector_options options; /* with no zeros left, but for min_face and max_side */
	struct phiz_ctx *scratch; /* a recycling fork: frames of one size ask for no new memory */
	struct phiz_boxes boxes;
	void *state;
};

/* --- Parts of a model's graph, each planned by itself. --- */

enum { PHIZ_SUBNET_OUTPUTS = 16 };
struct phiz_subnet {
	struct phiz_detector *detector;
	struct phiz_graph *graph;
	int input, output[PHIZ_SUBNET_OUTPUTS]; /* values of the graph */
};

/* The part from the input of this name (NULL: the only one) to the values of these names (n <= PHIZ_SUBNET_OUTPUTS).
 * UNSUPPORTED, naming it, if one is missing. */
enum phiz_status phiz_subnet_cut(struct phiz_detector *d, const char *input, const char *const *output, int n,
                                 struct phiz_subnet *out);
void phiz_subnet_free(struct phiz_subnet *net);
/* On the detector's backend; where that cannot and there is a fallback, on this, and so are all plans from then on. */
enum phiz_status phiz_subnet_plan(const struct phiz_subnet *net, int64_t batch, int height, int width,
                                  struct phiz_plan **out);
/* Of a plan of the subnet. */
static inline float *phiz_subnet_input(const struct phiz_subnet *net, struct phiz_plan *plan)
{
	return phiz_plan_tensor(plan, net->input)->data;
}
static inline const struct phiz_tensor *phiz_subnet_output(const struct phiz_subnet *net, struct phiz_plan *plan, int i)
{
	return phiz_plan_tensor(plan, net->output[i]);
}

#endif
