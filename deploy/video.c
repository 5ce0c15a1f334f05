/* Videos through GStreamer: filesrc ! decodebin ! videoconvert ! videoflip ! appsink, put together by hand, so that a
 * file's name is a property and never a part of a text that is parsed. No main loop: frames are pulled. */
#include <phiz/video.h>

#include <stdatomic.h>
#include <string.h>

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/thread.h"

#define PULL_NANOSECONDS ((GstClockTime)100 * 1000 * 1000)
#define ORIENTATION_AUTO 8 /* of videoflip's video-direction: as the file's tags say */
enum { QUEUED_FRAMES = 2, USUAL_FPS = 25 };

struct phiz_video {
	struct phiz_ctx *ctx;
	char *path;
	struct phiz_video_options o;
	GstElement *pipeline, *sink, *convert;
	GstBus *bus;
	int64_t index;      /* of the next frame */
	double due;         /* with fps: when the next frame is wanted */
	char *missing;      /* what a plugin is missing for */
	atomic_bool linked; /* a stream of pictures was found; set by GStreamer's threads */
	atomic_bool nothing; /* all streams are known, and none is of pictures */
};

bool phiz_video_available(void) { return true; }

bool phiz_video_has_element(const char *name)
{
	GstElementFactory *found = gst_init_check(NULL, NULL, NULL) ? gst_element_factory_find(name) : NULL;

	if (found)
		gst_object_unref(found);
	return found != NULL;
}

/* --- Messages. --- */

static void one_line(char *text)
{
	size_t n = strlen(text);

	while (n && (text[n - 1] == '\n' || text[n - 1] == '.' || text[n - 1] == ' '))
		text[--n] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < ' ')
			*text = ' ';
}

static enum phiz_status missing(struct phiz_video *v)
{
	return phiz_fail(v->ctx, PHIZ_E_UNSUPPORTED,
	                 "%s: GStreamer has no plugin here for: %s (Debian: gstreamer1.0-libav, gstreamer1.0-plugins-good "
	                 "or -bad)", v->path, v->missing);
}

static enum phiz_status failed(struct phiz_video *v, GstMessage *message)
{
	GError *error = NULL;
	gchar *debug = NULL;
	enum phiz_status status;

	gst_message_parse_error(message, &error, &debug);
	if (v->missing) {
		status = missing(v);
	} else if (error) {
		one_line(error->message);
		status = phiz_fail(v->ctx, error->domain == GST_RESOURCE_ERROR ? PHIZ_E_IO : PHIZ_E_FORMAT,
		                   "%s: cannot be read as a video: %s", v->path, error->message);
	} else {
		status = phiz_fail(v->ctx, PHIZ_E_FORMAT, "%s: cannot be read as a video", v->path);
	}
	g_clear_error(&error);
	g_free(debug);
	return status;
}

static enum phiz_status note_missing(struct phiz_video *v, GstMessage *message)
{
	const GstStructure *s = gst_message_get_structure(message);
	const char *name = s && gst_structure_has_name(s, "missing-plugin") ? gst_structure_get_string(s, "name") : NULL;

	if (!name || v->missing)
		return PHIZ_OK;
	v->missing = phiz_strdup(v->ctx, name);
	return v->missing ? PHIZ_OK : PHIZ_E_NOMEM;
}

/* Empties the bus; the first error on it is returned. */
static enum phiz_status read_bus(struct phiz_video *v)
{
	enum phiz_status status = PHIZ_OK;
	GstMessage *message;

	while ((message = gst_bus_pop(v->bus))) {
		if (!status && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
			status = failed(v, message);
		else if (!status && GST_MESSAGE_TYPE(message) == GST_MESSAGE_ELEMENT)
			status = note_missing(v, message);
		gst_message_unref(message);
	}
	return status;
}

/* Of a long film there are many messages; only what is read here is kept. Called by GStreamer's threads. */
static GstBusSyncReply sift(GstBus *bus, GstMessage *message, gpointer user)
{
	const GstStructure *s = gst_message_get_structure(message);
	bool kept = GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR ||
	            (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ELEMENT && s && gst_structure_has_name(s, "missing-plugin"));

	(void)bus, (void)user;
	if (!kept)
		gst_message_unref(message);
	return kept ? GST_BUS_PASS : GST_BUS_DROP;
}

/* --- The pipeline. Called back by GStreamer's threads. --- */

static void pad_added(GstElement *decoder, GstPad *pad, gpointer user)
{
	struct phiz_video *v = user;
	GstCaps *caps = gst_pad_get_current_caps(pad);
	GstPad *to;

	(void)decoder;
	if (!caps)
		caps = gst_pad_query_caps(pad, NULL);
	if (caps && gst_caps_get_size(caps) > 0 &&
	    g_str_has_prefix(gst_structure_get_name(gst_caps_get_structure(caps, 0)), "video/x-raw") &&
	    !atomic_load(&v->linked)) {
		to = gst_element_get_static_pad(v->convert, "sink");
		if (to && gst_pad_link(pad, to) == GST_PAD_LINK_OK)
			atomic_store(&v->linked, true);
		if (to)
			gst_object_unref(to);
	}
	if (caps)
		gst_caps_unref(caps);
}

static void no_more_pads(GstElement *decoder, gpointer user)
{
	struct phiz_video *v = user;

	(void)decoder;
	if (!atomic_load(&v->linked))
		atomic_store(&v->nothing, true);
}

static GstElement *element(struct phiz_video *v, const char *kind)
{
	GstElement *e = gst_element_factory_make(kind, NULL);

	if (!e)
		phiz_fail(v->ctx, PHIZ_E_UNSUPPORTED,
		          "%s: GStreamer's element '%s' is not installed (Debian: gstreamer1.0-plugins-base)", v->path, kind);
	else
		gst_bin_add(GST_BIN(v->pipeline), e); /* which owns it from here on */
	return e;
}

/* Turning needs a plugin of the "good" set; without it frames stay as they are stored. */
static GstElement *turner(struct phiz_video *v)
{
	GstElement *e = gst_element_factory_make("videoflip", NULL);

	if (!e)
		return NULL;
	if (g_object_class_find_property(G_OBJECT_GET_CLASS(e), "video-direction"))
		g_object_set(e, "video-direction", ORIENTATION_AUTO, NULL);
	gst_bin_add(GST_BIN(v->pipeline), e);
	return e;
}

static enum phiz_status build(struct phiz_video *v)
{
	GstElement *source, *decoder, *turn, *last;
	GstCaps *caps;

	v->pipeline = gst_pipeline_new(NULL);
	if (!v->pipeline)
		return phiz_fail(v->ctx, PHIZ_E_NOMEM, "%s: no memory for a video", v->path);
	v->bus = gst_element_get_bus(v->pipeline);
	gst_bus_set_sync_handler(v->bus, sift, NULL, NULL);
	if (!(source = element(v, "filesrc")) || !(decoder = element(v, "decodebin")) ||
	    !(v->convert = element(v, "videoconvert")) || !(v->sink = element(v, "appsink")))
		return PHIZ_E_UNSUPPORTED;
	/* Turned first, so that what comes is RGB. */
	turn = turner(v);
	last = turn ? turn : v->convert;
	g_object_set(source, "location", v->path, NULL);
	caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "RGB", NULL);
	g_object_set(v->sink, "caps", caps, "max-buffers", QUEUED_FRAMES, "sync", FALSE, "drop", FALSE, NULL);
	gst_caps_unref(caps);
	if (!gst_element_link(source, decoder) || (turn && !gst_element_link(v->convert, turn)) ||
	    !gst_element_link(last, v->sink))
		return phiz_fail(v->ctx, PHIZ_E_INTERNAL, "%s: GStreamer's elements do not fit together", v->path);
	g_signal_connect(decoder, "pad-added", G_CALLBACK(pad_added), v);
	g_signal_connect(decoder, "no-more-pads", G_CALLBACK(no_more_pads), v);
	if (gst_element_set_state(v->pipeline, GST_STATE_PLAYING) == GST_STATE_CHANGE_FAILURE) {
		enum phiz_status status = read_bus(v);
		return status ? status : phiz_fail(v->ctx, PHIZ_E_IO, "%s: GStreamer cannot start", v->path);
	}
	return PHIZ_OK;
}

static enum phiz_status start(struct phiz_video *v)
{
	GError *error = NULL;
	enum phiz_status status;

	if (gst_init_check(NULL, NULL, &error))
		return build(v);
	if (error)
		one_line(error->message);
	status = phiz_fail(v->ctx, PHIZ_E_UNSUPPORTED, "%s: GStreamer cannot start: %s", v->path,
	                   error ? error->message : "no reason given");
	g_clear_error(&error);
	return status;
}

enum phiz_status phiz_video_open(struct phiz_ctx *ctx, const char *path, const struct phiz_video_options *options,
                                 struct phiz_video **out)
{
	struct phiz_video_options o = {0, 0, 0};
	struct phiz_video *v;
	enum phiz_status status;

	*out = NULL;
	if (options)
		o = *options;
	if (o.every < 0 || !(o.fps >= 0 && o.fps <= 1000) || (o.fps > 0 && o.fps < 0.001) || !(o.stall >= 0))
		return phiz_fail(ctx, PHIZ_E_ARG, "%s: every: want 1 and more; fps: want 0.001 to 1000", path);
	if (!phiz_path_is_file(path))
		return phiz_fail(ctx, PHIZ_E_NOTFOUND, "%s: no such file", path);
	o.every = o.every ? o.every : 1;
	o.stall = o.stall > 0 ? o.stall : 30;
	v = phiz_calloc(ctx, 1, sizeof *v);
	if (!v)
		return PHIZ_E_NOMEM;
	v->ctx = ctx;
	v->o = o;
	v->path = phiz_strdup(ctx, path);
	status = v->path ? start(v) : PHIZ_E_NOMEM;
	if (status)
		phiz_video_free(&v);
	*out = v;
	return status;
}

void phiz_video_free(struct phiz_video **video)
{
	struct phiz_video *v = video ? *video : NULL;

	if (!v)
		return;
	*video = NULL;
	if (v->pipeline) {
		gst_element_set_state(v->pipeline, GST_STATE_NULL); /* its threads have ended after this */
		gst_object_unref(v->pipeline);
	}
	if (v->bus)
		gst_object_unref(v->bus);
	phiz_free(v->ctx, v->missing);
	phiz_free(v->ctx, v->path);
	phiz_free(v->ctx, v);
}

double phiz_video_duration(const struct phiz_video *video)
{
	gint64 nanoseconds;

	if (!gst_element_query_duration(video->pipeline, GST_FORMAT_TIME, &nanoseconds) || nanoseconds < 0)
		return 0;
	return (double)nanoseconds / 1e9;
}

/* --- Frames. --- */

/* The next decoded frame; NULL in *out after the last one. Frames that came before an error are good: it is looked for
 * when there are no more. */
static enum phiz_status pull(struct phiz_video *v, GstSample **out)
{
	double began = phiz_time();

	for (;;) {
		*out = gst_app_sink_try_pull_sample(GST_APP_SINK(v->sink), PULL_NANOSECONDS);
		enum phiz_status status = *out ? PHIZ_OK : read_bus(v);
		if (status || *out)
			return status;
		if (gst_app_sink_is_eos(GST_APP_SINK(v->sink)))
			return v->missing && v->index == 0 ? missing(v) : PHIZ_OK;
		if (atomic_load(&v->nothing))
			return v->missing ? missing(v) : phiz_fail(v->ctx, PHIZ_E_FORMAT, "%s: holds no pictures", v->path);
		if (phiz_time() - began > v->o.stall)
			return phiz_fail(v->ctx, PHIZ_E_IO, "%s: no frame came for %.0f seconds", v->path, v->o.stall);
	}
}

static enum phiz_status copy_pixels(struct phiz_video *v, GstVideoFrame *from, struct phiz_image *out)
{
	int width = GST_VIDEO_FRAME_WIDTH(from), height = GST_VIDEO_FRAME_HEIGHT(from);
	const uint8_t *row = GST_VIDEO_FRAME_PLANE_DATA(from, 0);
	enum phiz_status status = phiz_image_create(v->ctx, width, height, 3, out);

	for (int y = 0; y < height && !status; y++, row += GST_VIDEO_FRAME_PLANE_STRIDE(from, 0))
		memcpy(out->data + (size_t)y * (size_t)width * 3, row, (size_t)width * 3);
	return status;
}

static enum phiz_status take_pixels(struct phiz_video *v, GstSample *sample, struct phiz_image *out)
{
	GstVideoInfo info;
	GstVideoFrame frame;
	GstCaps *caps = gst_sample_get_caps(sample);
	GstBuffer *buffer = gst_sample_get_buffer(sample);
	enum phiz_status status;

	if (!caps || !buffer || !gst_video_info_from_caps(&info, caps) ||
	    GST_VIDEO_INFO_FORMAT(&info) != GST_VIDEO_FORMAT_RGB ||
	    !gst_video_frame_map(&frame, &info, buffer, GST_MAP_READ))
		return phiz_fail(v->ctx, PHIZ_E_FORMAT, "%s: frame %lld is no picture", v->path, (long long)v->index);
	status = copy_pixels(v, &frame, out);
	gst_video_frame_unmap(&frame);
	return status;
}

static double time_of(const struct phiz_video *v, GstSample *sample)
{
	GstBuffer *buffer = gst_sample_get_buffer(sample);
	GstSegment *segment = gst_sample_get_segment(sample);
	GstClockTime t = buffer ? GST_BUFFER_PTS(buffer) : GST_CLOCK_TIME_NONE;

	if (GST_CLOCK_TIME_IS_VALID(t) && segment && segment->format == GST_FORMAT_TIME)
		t = gst_segment_to_stream_time(segment, GST_FORMAT_TIME, t);
	return GST_CLOCK_TIME_IS_VALID(t) ? (double)t / 1e9 : (double)v->index / USUAL_FPS;
}

static bool wanted(struct phiz_video *v, double time)
{
	if (v->o.fps <= 0)
		return v->index % v->o.every == 0;
	if (time + 1e-6 < v->due)
		return false;
	/* By the grid of 1 / fps, so that late frames do not make it drift. */
	v->due += 1 / v->o.fps;
	if (v->due <= time)
		v->due = time + 1 / v->o.fps;
	return true;
}

enum phiz_status phiz_video_next(struct phiz_video *v, struct phiz_frame *out, bool *end)
{
	GstSample *sample;
	enum phiz_status status;
	bool take;

	*out = (struct phiz_frame){ .index = 0 };
	*end = false;
	do {
		status = pull(v, &sample);
		if (status || !sample) {
			*end = !status;
			if (!status && v->index == 0)
				return phiz_fail(v->ctx, PHIZ_E_FORMAT, "%s: holds no pictures", v->path);
			return status;
		}
		out->time = time_of(v, sample);
		out->index = v->index;
		take = wanted(v, out->time);
		if (take)
			status = take_pixels(v, sample, &out->image);
		gst_sample_unref(sample);
		v->index++;
	} while (!take);
	return status;
}
