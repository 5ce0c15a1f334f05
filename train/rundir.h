/* The folder of a run: its lock, its checkpoints' names, files that grow. Everything else in it is written atomically.
 */
#ifndef PHIZ_TRAIN_RUNDIR_H
#define PHIZ_TRAIN_RUNDIR_H

#include <stdbool.h>

#include <phiz/ctx.h>

#define PHIZ_LAST "last.phiz"
#define PHIZ_BEST "best.phiz"
#define PHIZ_TEACHER "teacher.safetensors" /* the embeddings that are distilled, so that resuming need not wait */

struct phiz_rundir {
	struct phiz_ctx *ctx;
	char *path;
	int lock; /* file descriptor, -1: none */
};

/* Makes the folder if need be, locks it against other trainings, and deletes what killed writers left in it.
 * Errors: IO, ARG (another training is at work in it). */
enum phiz_status phiz_rundir_open(struct phiz_ctx *ctx, const char *path, struct phiz_rundir *out);
void phiz_rundir_close(struct phiz_rundir *dir);

/* "path/name" as a new string. */
char *phiz_rundir_join(const struct phiz_rundir *dir, const char *name);
bool phiz_rundir_has(const struct phiz_rundir *dir, const char *name);

/* Makes `name` another name of the file `from` of the folder, atomically: a hard link, or where the file system has
 * none a copy. */
enum phiz_status phiz_rundir_link(const struct phiz_rundir *dir, const char *from, const char *name);
/* "epoch-0007.phiz" into name. */
void phiz_rundir_epoch_name(int64_t epoch, char name[40]);
/* The newest epoch that has a checkpoint of its own, 0 if none has. */
int64_t phiz_rundir_newest(const struct phiz_rundir *dir);
/* Deletes the checkpoints of single epochs but for the `keep` newest up to `epoch`; later ones go too. */
enum phiz_status phiz_rundir_prune(const struct phiz_rundir *dir, int64_t epoch, int64_t keep);
/* Deletes `name` if it is there. */
enum phiz_status phiz_rundir_delete(const struct phiz_rundir *dir, const char *name);

/* A file that is added to. */
struct phiz_append {
	struct phiz_ctx *ctx;
	char *path;
	int fd;
	int64_t size;
};

/* Opens path, cut to `size` bytes (shorter files stay as they are, with a warning; missing ones are made). */
enum phiz_status phiz_append_open(struct phiz_ctx *ctx, const char *path, int64_t size, struct phiz_append *out);
/* All of it or, cut off again, nothing. IO. */
enum phiz_status phiz_append_add(struct phiz_append *file, const void *data, size_t size);
/* Waits until it is on the disk. */
enum phiz_status phiz_append_sync(struct phiz_append *file);
void phiz_append_close(struct phiz_append *file);

#endif
