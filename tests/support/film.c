#include "support/film.h"

#include <stddef.h>

#ifdef TEST_HAVE_VIDEO

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gst/app/gstappsrc.h>
#include <gst/gst.h>

struct test_film {
	GstElement *pipeline, *source;
	int fps, frames, width, height;
};

struct test_film *test_film_open(const char *path, enum test_film_kind kind, int fps)
{
	static const char *const text[] = {
		"appsrc name=s ! videoconvert ! jpegenc quality=95 ! avimux ! filesink name=f",
		"appsrc name=s ! videoconvert ! vp8enc deadline=1 target-bitrate=4000000 ! webmmux ! filesink name=f",
		"appsrc name=s ! videoconvert ! theoraenc quality=60 ! oggmux ! filesink name=f",
	};
	struct test_film *film;
	GError *error = NULL;
	GstElement *sink;

	if (!gst_init_check(NULL, NULL, NULL))
		return NULL;
	film = calloc(1, sizeof *film);
	film->fps = fps;
	film->pipeline = gst_parse_launch_full(text[kind], NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
	g_clear_error(&error);
	if (!film->pipeline) {
		free(film);
		return NULL;
	}
	film->source = gst_bin_get_by_name(GST_BIN(film->pipeline), "s");
	sink = gst_bin_get_by_name(GST_BIN(film->pipeline), "f");
	g_object_set(sink, "location", path, NULL);
	gst_object_unref(sink);
	g_object_set(film->source, "format", GST_FORMAT_TIME, "block", TRUE, NULL);
	gst_element_set_state(film->pipeline, GST_STATE_PLAYING);
	return film;
}

bool test_film_add(struct test_film *film, const struct phiz_image *image)
{
	size_t row = (size_t)image->width * 3, stride = (row + 3) & ~(size_t)3;
	GstBuffer *buffer = gst_buffer_new_allocate(NULL, stride * (size_t)image->height, NULL);

	if (image->width != film->width || image->height != film->height) {
		GstCaps *caps = gst_caps_new_simple("video/x-raw", "format", G_TYPE_STRING, "RGB", "width", G_TYPE_INT,
		                                    image->width, "height", G_TYPE_INT, image->height, "framerate",
		                                    GST_TYPE_FRACTION, film->fps, 1, NULL);
		gst_app_src_set_caps(GST_APP_SRC(film->source), caps);
		gst_caps_unref(caps);
		film->width = image->width;
		film->height = image->height;
	}
	for (int y = 0; y < image->height; y++)
		gst_buffer_fill(buffer, stride * (size_t)y, image->data + row * (size_t)y, row);
	GST_BUFFER_PTS(buffer) = gst_util_uint64_scale((guint64)film->frames, GST_SECOND, (guint64)film->fps);
	GST_BUFFER_DURATION(buffer) = GST_SECOND / (guint64)film->fps;
	film->frames++;
	return gst_app_src_push_buffer(GST_APP_SRC(film->source), buffer) == GST_FLOW_OK;
}

bool test_film_close(struct test_film **at)
{
	struct test_film *film = *at;
	GstMessage *message;
	GstBus *bus;
	bool good;

	*at = NULL;
	if (!film)
		return false;
	gst_app_src_end_of_stream(GST_APP_SRC(film->source));
	bus = gst_element_get_bus(film->pipeline);
	message = gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);
	good = message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
	if (message)
		gst_message_unref(message);
	gst_object_unref(bus);
	gst_element_set_state(film->pipeline, GST_STATE_NULL);
	gst_object_unref(film->source);
	gst_object_unref(film->pipeline);
	free(film);
	return good;
}

#else

struct test_film *test_film_open(const char *path, enum test_film_kind kind, int fps)
{
	(void)path, (void)kind, (void)fps;
	return NULL;
}

bool test_film_add(struct test_film *film, const struct phiz_image *image) { return film && image; }

bool test_film_close(struct test_film **film) { return *film != NULL; }

#endif
