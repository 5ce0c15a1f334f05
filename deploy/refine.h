/* A second look at a face: finer landmarks from a detector that reads them off in one go, at whatever size the face
 * has in the photo.
 *
 * The face is cut out with its surroundings, the detector is run on the cut at several sizes at which it is at its
 * best (a face of 50 to 110 pixels), and the landmarks are the mean of what it says. One look at a small, turned or
 * partly hidden face is off by more than the alignment of an embedder forgives; on photos of celebrities this halves
 * the faces that are taken for somebody else or for nobody. */
#ifndef PHIZ_DEPLOY_REFINE_H
#define PHIZ_DEPLOY_REFINE_H

#include <phiz/detector.h>

struct phiz_refiner;

/* Is there anything to gain for this detector? YuNet: yes. MTCNN looks again itself; Ultra-Light has no landmarks. */
bool phiz_refine_helps(const struct phiz_detector *detector);
/* path: the detector's file. options: of these backend and fallback; may be NULL. Errors: those of
 * phiz_detector_open. */
enum phiz_status phiz_refiner_open(struct phiz_ctx *ctx, const char *path, const struct phiz_detector_options *options,
                                   struct phiz_refiner **out);
void phiz_refiner_free(struct phiz_refiner **refiner);
/* Moves the face's landmarks; leaves them where no look finds the face again, and leaves box and score. Errors: those
 * of phiz_detector_run. */
enum phiz_status phiz_refine_face(struct phiz_refiner *refiner, const struct phiz_image *image,
                                  struct phiz_face *face);

#endif
