/* Where the faces are in the photos that are to be judged, so that a classifier sees crops as it was trained on. */
#ifndef PHIZ_TOOLS_FIND_FACES_H
#define PHIZ_TOOLS_FIND_FACES_H

#include <phiz/model.h>

#include "datasets/landmarks.h"
#include "tools/device_args.h"

/* Runs a detector (path of a .phiz, on `device`) on the photos of `part` and the strangers', on all cores, with
 * progress: out->face is the one that each photo is of (phiz_main_face); its score is -1 where there is none and where
 * the photo cannot be read, which is not told. CANCELLED when phiz_interrupted is set. Free out with
 * phiz_landmarks_free, also on failure. */
enum phiz_status phiz_find_faces(struct phiz_ctx *ctx, const struct phiz_dataset *dataset, enum phiz_part part,
                                 const char *detector, const struct phiz_device_choice *device,
                                 struct phiz_landmarks *out);

/* The same from the landmarks.csv of the photos' folders, for a model that has faces cut out as align says; a photo
 * that such a file does not have becomes SKIP, as in training. Nothing is found (out->face NULL, the photos are crops
 * already) where align is NONE, in folders that phiz data extract cut in this way, and, with a warning, in others
 * without such a file. ARG if the files have no boxes and align needs them. */
enum phiz_status phiz_read_faces(struct phiz_ctx *ctx, struct phiz_dataset *dataset, const struct phiz_align *align,
                                 struct phiz_landmarks *out);

#endif
