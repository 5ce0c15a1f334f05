#include "core/image/draw.h"

#include <stdlib.h>
#include <string.h>

#include "core/image/font.h"

enum { FAR = 1 << 20 }; /* pixels: coordinates beyond are cut to this, so that sums stay in an int */

static void put(struct phiz_image *image, int x, int y, const uint8_t rgb[3])
{
	if (x >= 0 && y >= 0 && x < image->width && y < image->height)
		memcpy(image->data + ((size_t)y * (size_t)image->width + (size_t)x) * 3, rgb, 3);
}

static int bounded(double v)
{
	if (!(v > -FAR))
		return -FAR;
	return v < FAR ? (int)v : FAR;
}

/* phiz_font_fill walks the whole box, so that one that reaches far outside is cut first. */
static void fill(struct phiz_image *image, int x, int y, int w, int h, const uint8_t rgb[3])
{
	int x0 = x > 0 ? x : 0, y0 = y > 0 ? y : 0;
	int x1 = x + w < image->width ? x + w : image->width, y1 = y + h < image->height ? y + h : image->height;

	if (x1 > x0 && y1 > y0)
		phiz_font_fill(image, x0, y0, x1 - x0, y1 - y0, rgb);
}

void phiz_draw_frame(struct phiz_image *image, int x, int y, int w, int h, int thick, const uint8_t rgb[3])
{
	x = bounded(x), y = bounded(y), w = bounded(w), h = bounded(h);
	fill(image, x - thick, y - thick, w + 2 * thick, thick, rgb);
	fill(image, x - thick, y + h, w + 2 * thick, thick, rgb);
	fill(image, x - thick, y, thick, h, rgb);
	fill(image, x + w, y, thick, h, rgb);
}

void phiz_draw_dot(struct phiz_image *image, int x, int y, int r, const uint8_t rgb[3])
{
	x = bounded(x), y = bounded(y);
	for (int v = -r; v <= r; v++)
		for (int u = -r; u <= r; u++)
			if (u * u + v * v <= r * r)
				put(image, x + u, y + v, rgb);
}

void phiz_draw_line(struct phiz_image *image, int x0, int y0, int x1, int y1, int thick, const uint8_t rgb[3])
{
	x0 = bounded(x0), y0 = bounded(y0), x1 = bounded(x1), y1 = bounded(y1);
	int dx = x1 - x0, dy = y1 - y0, n = abs(dx) > abs(dy) ? abs(dx) : abs(dy);

	for (int i = 0; i <= n; i++) {
		int64_t half = n / 2; /* rounds */
		int x = x0 + (n ? (int)(((int64_t)dx * i + (dx < 0 ? -half : half)) / n) : 0);
		int y = y0 + (n ? (int)(((int64_t)dy * i + (dy < 0 ? -half : half)) / n) : 0);
		if (thick <= 1)
			put(image, x, y, rgb);
		else
			fill(image, x - (thick - 1) / 2, y - (thick - 1) / 2, thick, thick, rgb);
	}
}

void phiz_draw_label(struct phiz_image *image, int x, int y, int scale, const char *text, const uint8_t rgb[3])
{
	static const uint8_t black[3] = {0, 0, 0}, white[3] = {255, 255, 255};
	size_t unknown, n = phiz_font_length(text, &unknown);
	int w = (int)(n < 1000 ? n : 1000) * PHIZ_FONT_ADVANCE * scale + scale, h = (PHIZ_FONT_HEIGHT + 2) * scale;
	bool bright = 299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] > 127500;

	x = bounded(x), y = bounded(y);
	x = x + w > image->width ? image->width - w : x;
	y = y > image->height ? image->height : y;
	x = x < 0 ? 0 : x;
	y = y < h ? h : y;
	fill(image, x, y - h, w, h, rgb);
	phiz_font_draw(image, x + scale, y - h + scale, scale, false, bright ? black : white, text);
}

void phiz_draw_face(struct phiz_image *image, const struct phiz_face *face, const char *text, const uint8_t rgb[3])
{
	static const uint8_t dark[3] = {20, 20, 20};
	int longer = image->width > image->height ? image->width : image->height;
	int thick = longer / 400 + 1, scale = longer / 600 + 1;
	int x = bounded((double)face->box[0]), y = bounded((double)face->box[1]);
	int w = bounded((double)face->box[2]), h = bounded((double)face->box[3]);

	phiz_draw_frame(image, x, y, w, h, thick, rgb);
	for (int k = 0; k < PHIZ_LANDMARKS; k++) {
		int px = bounded((double)face->landmark[k][0]), py = bounded((double)face->landmark[k][1]);
		phiz_draw_dot(image, px, py, thick + 1, dark); /* a rim, to be seen on any skin */
		phiz_draw_dot(image, px, py, thick, rgb);
	}
	if (text)
		phiz_draw_label(image, x - thick, y - thick, scale, text, rgb);
}
