#include "core/base/error.h"
#include "tools/extract.h"

enum phiz_status extract_video(struct extract *e, struct extract_source *s)
{
	return phiz_fail(e->ctx, PHIZ_E_UNSUPPORTED, "%s: videos cannot be read yet", s->path);
}
