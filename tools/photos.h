/* Photos as verbs are given them: files, folders, lists. */
#ifndef PHIZ_TOOLS_PHOTOS_H
#define PHIZ_TOOLS_PHOTOS_H

#include "core/base/file.h"

enum { PHIZ_PHOTOS_DEEP = 32 }; /* depth of folders in which whatever lies below is wanted */

/* Is it named as a photo: .jpg .jpeg .png .pgm .ppm in any case? */
bool phiz_is_photo(const char *path);

/* Appends the paths of photos. what: a folder, of which the photos in it and in folders up to `depth` below it are
 * taken in order of names; a list, that is a file named .txt, .lst or .list; or any other file, as a photo (reading it
 * says what is wrong with it). Hidden files and folders are left out, and folders below that are named _... (what verbs
 * set aside, contact sheets). A list has a path a line ('#' begins a comment) of a photo or a folder, relative to
 * the folder that the list is in, the one above it or the current one.
 * Errors: NOTFOUND ("LIST:3: ..."), ARG (a folder or list without photos), FORMAT, LIMIT (folders nested deeper than
 * PHIZ_PHOTOS_DEEP where that is asked for), IO, NOMEM. */
enum phiz_status phiz_photo_paths_add(struct phiz_ctx *ctx, const char *what, int depth, struct phiz_names *paths);
/* The same; a file is a list, whatever its name. */
enum phiz_status phiz_photo_paths_add_list(struct phiz_ctx *ctx, const char *what, int depth, struct phiz_names *paths);

#endif
