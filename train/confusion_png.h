/* The confusion matrix as a picture. */
#ifndef PHIZ_TRAIN_CONFUSION_PNG_H
#define PHIZ_TRAIN_CONFUSION_PNG_H

#include "core/base/bytes.h"
#include "train/evaluate.h"

/* How many people a picture shows at most: of more, those with the most mistakes. */
enum { PHIZ_CONFUSION_PEOPLE = 1000 };

/* A row per person, by names; a column per name given. Shown are the people who have photos or were named. A cell's
 * colour is its share of the row: blue on the diagonal, red beside it. Up to 110 people have names beside their cells
 * (a name in letters that the font lacks is written as #NUMBER, its place among the model's classes from 1 on), more
 * have numbers. */
enum phiz_status phiz_confusion_draw(const struct phiz_eval *eval, struct phiz_image *out);
enum phiz_status phiz_confusion_png(const struct phiz_eval *eval, struct phiz_bytes *out);

#endif
