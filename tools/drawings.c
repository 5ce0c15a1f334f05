/* Photos with drawings on them, into a folder. */
#include "tools/drawings.h"

#include <string.h>

#include "core/base/alloc.h"

enum { QUALITY = 92 };

enum phiz_status phiz_drawings_begin(struct phiz_ctx *ctx, struct phiz_drawings *d, const char *folder)
{
	*d = (struct phiz_drawings){.folder = folder};
	return folder ? phiz_dir_make(ctx, folder) : PHIZ_OK;
}

static bool is_taken(const struct phiz_drawings *d, const char *name)
{
	for (size_t i = 0; i < d->taken.count; i++)
		if (!strcmp(d->taken.name[i], name))
			return true;
	return false;
}

static char *path_for(struct phiz_ctx *ctx, struct phiz_drawings *d, const char *file)
{
	const char *base = phiz_path_base(file), *dot = strrchr(base, '.');
	int length = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
	char *name = phiz_asprintf(ctx, "%.*s.jpg", length, base), *path = NULL;

	for (int n = 2; name && is_taken(d, name); n++) {
		phiz_free(ctx, name);
		name = phiz_asprintf(ctx, "%.*s-%d.jpg", length, base, n);
	}
	if (name && !phiz_names_add(ctx, &d->taken, name))
		path = phiz_path_join(ctx, d->folder, name);
	phiz_free(ctx, name);
	return path;
}

enum phiz_status phiz_drawings_write(struct phiz_ctx *ctx, struct phiz_drawings *d, const char *file,
                                     const struct phiz_image *image)
{
	char *path = path_for(ctx, d, file);
	enum phiz_status status = path ? phiz_image_write(ctx, path, image, QUALITY) : PHIZ_E_NOMEM;

	phiz_free(ctx, path);
	return status;
}

void phiz_drawings_end(struct phiz_ctx *ctx, struct phiz_drawings *d) { phiz_names_free(ctx, &d->taken); }
