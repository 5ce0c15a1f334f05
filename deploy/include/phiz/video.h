/* Frames of a video file as upright RGB pictures with their times, through GStreamer.
 *
 * GStreamer keeps what it has loaded (its registry of plugins, its log) once for the whole process, and its decoders
 * run in threads of their own; deploy/video.c is the only file that knows it. Up to GStreamer 1.16 the first video of a
 * process must not be opened by two threads at once. */
#ifndef PHIZ_VIDEO_H
#define PHIZ_VIDEO_H

#include <phiz/image.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Used by one thread at a time. */
struct phiz_video;

struct phiz_video_options {
	int64_t every; /* each every-th frame, from the first one on; 0: 1 */
	double fps;    /* > 0: at most so many frames a second of the film instead, 0.001..1000 */
	double stall;  /* seconds without a frame after which it is an error; 0: 30 */
};

struct phiz_frame {
	struct phiz_image image; /* RGB, turned upright; its size may change inside of a film. phiz_image_free it */
	int64_t index;           /* of all frames of the film, from 0 */
	double time;             /* seconds from the beginning, as the file says; index / 25 where it says nothing */
};

/* Was phiz built with GStreamer? Without, phiz_video_open gives UNSUPPORTED. */
PHIZ_API bool phiz_video_available(void);

/* Is GStreamer's element of this name ("rtspsrc") installed? False without GStreamer, too. */
PHIZ_API bool phiz_video_has_element(const char *name);

/* path: of a file of any kind that an installed GStreamer plugin reads. ctx must outlive the video. Errors: NOTFOUND,
 * ARG (options), UNSUPPORTED (built without GStreamer, or a plugin is missing: the message names it), FORMAT (not a
 * video), IO. What is wrong further in comes from phiz_video_next. */
PHIZ_API enum phiz_status phiz_video_open(struct phiz_ctx *ctx, const char *path,
                                          const struct phiz_video_options *options, struct phiz_video **out);
PHIZ_API void phiz_video_free(struct phiz_video **video);

/* The next frame; *end is set, and no frame given, after the last one. Not more than a few frames are held in memory.
 * Errors: FORMAT (damaged; a stream without pictures), UNSUPPORTED (a missing decoder is named), IO (nothing came for
 * options.stall seconds), LIMIT, NOMEM. */
PHIZ_API enum phiz_status phiz_video_next(struct phiz_video *video, struct phiz_frame *out, bool *end);
/* Seconds; 0 where it is not known (before the first frame it may not be). */
PHIZ_API double phiz_video_duration(const struct phiz_video *video);

#ifdef __cplusplus
}
#endif
#endif
