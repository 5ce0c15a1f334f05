/* Photos as verbs are given them: files, folders, lists. */
#ifndef PHIZ_TOOLS_PHOTOS_H
#define PHIZ_TOOLS_PHOTOS_H

#include "core/base/file.h"

/* Appends the paths of photos. what: a photo; a folder, searched through with all below it, in order of names, for
 * files named .jpg, .jpeg, .png, .pgm or .ppm (hidden ones, and folders whose names begin with '_', left out); or a
 * list, a file named .txt, .lst or .list with a path a line ('#' begins a comment), relative to the folder that the
 * list is in, or to the current one where it is not there.
 * Errors: NOTFOUND, ARG (a folder without photos), FORMAT, LIMIT (folders nested deeper than 32), IO, NOMEM. */
enum phiz_status phiz_photo_paths_add(struct phiz_ctx *ctx, const char *what, struct phiz_names *paths);

#endif
