/* A small bitmap font, for words in pictures. */
#ifndef PHIZ_IMAGE_FONT_H
#define PHIZ_IMAGE_FONT_H

#include <phiz/image.h>

/* In pixels at scale 1: a character is 5 wide and 7 tall, the next begins 6 to the right. */
enum { PHIZ_FONT_ADVANCE = 6, PHIZ_FONT_HEIGHT = 7 };

/* Characters of the UTF-8 text, and how many of them the font lacks: it has ASCII, and Latin letters with accents as
 * letters without. Those it lacks are drawn as a box. */
size_t phiz_font_length(const char *text, size_t *unknown);

/* Into an RGB image, cut at its edges. (x, y) is the top left of the first character; upwards: the text is turned by
 * 90 degrees to the left, and (x, y) is the bottom left of the first character's place. */
void phiz_font_draw(struct phiz_image *image, int x, int y, int scale, bool upwards, const uint8_t rgb[3],
                    const char *text);
/* A rectangle, cut likewise. */
void phiz_font_fill(struct phiz_image *image, int x, int y, int w, int h, const uint8_t rgb[3]);

#endif
