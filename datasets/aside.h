/* Putting photos aside: moving them out of a folder into another one of the same structure, so that nothing is lost
 * whatever happens meanwhile, and all can be put back.
 *
 * The journal ASIDE/journal names every move before the first file is touched. A move is one rename; from one file
 * system to another a copy to a temporary name, a sync, a rename, and only then is the original removed. So at every
 * moment each file is whole in one of the two places (or, between the last two steps, in both), and undo needs no more
 * than the journal and a look at what is where. */
#ifndef PHIZ_DATASETS_ASIDE_H
#define PHIZ_DATASETS_ASIDE_H

#include <stdbool.h>

#include "core/base/bytes.h"

struct phiz_aside_move {
	char *from; /* relative to the folder; no "..", no empty parts */
	char *to;   /* relative to ASIDE; NULL when asked for: chosen (the same as from, if that is free) */
	char *why;  /* one word */
};

/* Zero it before use. The strings are owned. */
struct phiz_aside_moves {
	struct phiz_aside_move *move;
	size_t count, capacity;
};

struct phiz_aside_result {
	size_t moved;    /* now, into the other place */
	size_t already;  /* were there before: an earlier run was broken off */
	size_t missing;  /* in neither place: somebody else took them */
	size_t conflict; /* undo: another file stands where it came from: left in ASIDE */
};

/* Called after each move; false breaks off (CANCELLED): what is moved is moved, the journal stands. May be NULL. */
typedef bool (*phiz_aside_progress)(void *user, size_t done, size_t total);

enum phiz_status phiz_aside_add(struct phiz_ctx *ctx, struct phiz_aside_moves *moves, const char *from,
                                const char *why);
void phiz_aside_moves_free(struct phiz_ctx *ctx, struct phiz_aside_moves *moves);

/* Moves them from dir to aside (made if need be; not inside of dir), and says in `to` where each went. A file that is
 * in the journal already keeps its place there. Errors: ARG (aside is in dir, or the other way round), FORMAT (a
 * journal that is damaged), IO (another process is at it, disk full), CANCELLED. After an error what is moved stays
 * moved: run it again, or undo it. */
enum phiz_status phiz_aside_put(struct phiz_ctx *ctx, const char *dir, const char *aside,
                                struct phiz_aside_moves *moves, phiz_aside_progress progress, void *user,
                                struct phiz_aside_result *result);
/* Puts everything back, the last move first, and removes the journal and the folders that are empty then. What cannot
 * go back (conflict) stays, and stays in the journal. NOTFOUND if there is no journal. */
enum phiz_status phiz_aside_undo(struct phiz_ctx *ctx, const char *dir, const char *aside,
                                 phiz_aside_progress progress, void *user, struct phiz_aside_result *result);

/* The journal as text. Parsing is strict: FORMAT ("NAME:LINE: ...") for anything that phiz_aside_format does not
 * write, a path that leads out of its folder included. */
enum phiz_status phiz_aside_parse(struct phiz_ctx *ctx, const char *text, size_t size, const char *name,
                                  struct phiz_aside_moves *out);
void phiz_aside_format(const struct phiz_aside_moves *moves, struct phiz_bytes *out);

#endif
