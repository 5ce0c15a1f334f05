/* Names the face in a picture:  cc name_face.c $(pkg-config --cflags --libs phiz) && ./a.out team.phiz photo.jpg */
#include <phiz/session.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct phiz_ctx *ctx = NULL;
	struct phiz_runtime *runtime = NULL;
	struct phiz_session *session = NULL;
	struct phiz_image image = {0};
	int status = 1;

	if (argc != 3) {
		fprintf(stderr, "usage: %s MODEL.phiz IMAGE\n", argv[0]);
		return 2;
	}
	if (phiz_ctx_create(NULL, &ctx)) {
		fprintf(stderr, "out of memory\n");
		return 1;
	}
	if (phiz_runtime_open(ctx, argv[1], &runtime) || phiz_session_create(runtime, ctx, NULL, &session) ||
	    phiz_image_read(ctx, argv[2], NULL, &image) ||
	    phiz_session_run(session, image.data, image.width, image.height, 3 * (size_t)image.width)) {
		fprintf(stderr, "%s\n", phiz_ctx_message(ctx));
	} else {
		const struct phiz_result *result = phiz_session_result(session);
		printf("%s %.3f\n", result->name, result->confidence);
		status = 0;
	}
	phiz_image_free(ctx, &image);
	phiz_session_free(&session);
	phiz_runtime_close(&runtime);
	phiz_ctx_free(&ctx);
	return status;
}
