/* Built instead of video.c where there is no GStreamer (-DPHIZ_VIDEO). */
#include <phiz/video.h>

#include "core/base/error.h"

bool phiz_video_available(void) { return false; }

bool phiz_video_has_element(const char *name)
{
	(void)name;
	return false;
}

enum phiz_status phiz_video_open(struct phiz_ctx *ctx, const char *path, const struct phiz_video_options *options,
                                 struct phiz_video **out)
{
	(void)options;
	*out = NULL;
	return phiz_fail(ctx, PHIZ_E_UNSUPPORTED,
	                 "%s: this phiz was built without GStreamer, so it reads no videos (cmake -DPHIZ_VIDEO=ON)", path);
}

void phiz_video_free(struct phiz_video **video)
{
	if (video)
		*video = NULL;
}

enum phiz_status phiz_video_next(struct phiz_video *video, struct phiz_frame *out, bool *end)
{
	(void)video;
	*out = (struct phiz_frame){ .index = 0 };
	*end = true;
	return PHIZ_E_UNSUPPORTED;
}

double phiz_video_duration(const struct phiz_video *video)
{
	(void)video;
	return 0;
}
