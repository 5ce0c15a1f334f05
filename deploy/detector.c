/* Detectors: none can be opened yet. */
#include <phiz/detector.h>

#include "core/base/alloc.h"
#include "core/base/error.h"

enum phiz_status phiz_detector_open(struct phiz_ctx *ctx, const char *path, const struct phiz_detector_options *options,
                                    struct phiz_detector **out)
{
	(void)options;
	*out = NULL;
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED, "%s: this phiz runs no detectors yet", path);
}

void phiz_detector_free(struct phiz_detector **detector)
{
	if (detector)
		*detector = NULL;
}

enum phiz_status phiz_detector_run(struct phiz_detector *detector, const struct phiz_image *image,
                                   struct phiz_faces *faces)
{
	(void)detector, (void)image;
	faces->n = 0;
	return PHIZ_OK;
}

void phiz_faces_free(struct phiz_ctx *ctx, struct phiz_faces *faces)
{
	phiz_free(ctx, faces->face);
	faces->face = NULL;
	faces->n = faces->capacity = 0;
}
