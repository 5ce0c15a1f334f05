/* What a machine is like that is to run models, check by check, from the files that Linux and NVIDIA's JetPack show it
 * in. */
#ifndef PHIZ_TOOLS_DOCTOR_H
#define PHIZ_TOOLS_DOCTOR_H

#include <phiz/ctx.h>

enum phiz_finding_state { PHIZ_FINDING_OK, PHIZ_FINDING_WARNING, PHIZ_FINDING_FAILED };

struct phiz_finding {
	enum phiz_finding_state state;
	const char *what; /* "memory" */
	char value[256];  /* what there is */
	char cure[256];   /* what to do where the state is not OK; "" elsewhere */
	const char *package; /* of a GStreamer element: Debian's package that brings it; NULL elsewhere */
};

/* Told once for each check, in an order that a reader would want. */
typedef void (*phiz_finding_fn)(void *user, const struct phiz_finding *finding);

/* Looks at the board, its release, processor, clocks, power mode, temperature, memory, swap, disk, cameras and, where
 * phiz was built with GStreamer, at its elements that cameras and videos need (those of this machine, whatever the
 * root). root: "" or, for tests, a folder with proc/, sys/, etc/ and dev/ of another machine. A file that is not there
 * leaves its check out, but for memory, disk and processor. Errors: NOMEM. */
enum phiz_status phiz_doctor_look(struct phiz_ctx *ctx, const char *root, phiz_finding_fn tell, void *user);

#endif
