/* What each epoch came to: the source of metrics.csv, curves.svg and the stopping rule. */
#ifndef PHIZ_TRAIN_HISTORY_H
#define PHIZ_TRAIN_HISTORY_H

#include <stdbool.h>

#include "core/base/bytes.h"

/* Where there is no validation, val_loss and val_top1 are NaN. */
struct phiz_epoch_record {
	int64_t epoch; /* from 1 */
	int64_t steps; /* of the optimiser, so far */
	double train_loss, train_top1; /* means over the epoch as it went; accuracies are 0..1 */
	double val_loss, val_top1;
	double lr;     /* optimizer.lr as the schedule had it at the epoch's last step */
	double seconds, images_per_s; /* of the epoch, validation included; of training alone */
};

struct phiz_history {
	struct phiz_epoch_record *record;
	size_t count, capacity;
};

enum phiz_status phiz_history_add(struct phiz_ctx *ctx, struct phiz_history *history,
                                  const struct phiz_epoch_record *record);
void phiz_history_free(struct phiz_ctx *ctx, struct phiz_history *history);

/* "epoch,steps,train_loss,train_top1,val_loss,val_top1,lr,seconds,images_per_s" and a line an epoch; an empty field
 * where there is no figure. */
enum phiz_status phiz_history_csv(const struct phiz_history *history, struct phiz_bytes *out);
/* A drawing of loss, accuracy and learning rate over the epochs: one SVG that stands alone and follows the viewer's
 * light or dark scheme. title is escaped. best: the epoch to mark, 0: none. */
enum phiz_status phiz_history_svg(const struct phiz_history *history, const char *title, int64_t best,
                                  struct phiz_bytes *out);

#endif
