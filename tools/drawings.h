/* Photos with drawings on them, into a folder: `--draw DIR` of several verbs. */
#ifndef PHIZ_TOOLS_DRAWINGS_H
#define PHIZ_TOOLS_DRAWINGS_H

#include <phiz/image.h>

#include "core/base/file.h"

struct phiz_drawings {
	const char *folder; /* NULL: nothing is drawn */
	struct phiz_names taken; /* names in use */
};

/* Makes the folder, if one is wanted. IO. */
enum phiz_status phiz_drawings_begin(struct phiz_ctx *ctx, struct phiz_drawings *d, const char *folder);
/* Writes the picture that was made of photo `file` as FOLDER/NAME.jpg, with a number behind NAME where several photos
 * have one name. */
enum phiz_status phiz_drawings_write(struct phiz_ctx *ctx, struct phiz_drawings *d, const char *file,
                                     const struct phiz_image *image);
void phiz_drawings_end(struct phiz_ctx *ctx, struct phiz_drawings *d);

#endif
