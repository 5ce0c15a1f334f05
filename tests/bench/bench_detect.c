/* Milliseconds of one detection: bench_detect MODEL.phiz PHOTO THREADS SECONDS; see tools/bench_detect. The photo is in
 * memory, the detector has seen one of its size before. Prints the median, processor time a run, and the faces. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <phiz/detector.h>

enum { MAX_RUNS = 5000, WARM = 3 };

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static enum phiz_status measure(struct phiz_ctx *ctx, struct phiz_detector *d, const struct phiz_image *photo,
                                double limit)
{
	static double ms[MAX_RUNS];
	struct phiz_faces faces = {0};
	enum phiz_status status = PHIZ_OK;
	int n = 0;

	for (int i = 0; i < WARM && !status; i++)
		status = phiz_detector_run(d, photo, &faces);
	double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), now = start;
	for (; n < MAX_RUNS && (n < 5 || now - start < limit) && !status; n++) {
		double before = now;
		status = phiz_detector_run(d, photo, &faces);
		now = seconds(CLOCK_MONOTONIC);
		ms[n] = 1e3 * (now - before);
	}
	cpu = 1e3 * (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / n;
	qsort(ms, (size_t)n, sizeof ms[0], compare);
	if (!status)
		printf("%.4f %.4f %d\n", ms[n / 2], cpu, faces.n);
	phiz_faces_free(ctx, &faces);
	return status;
}

int main(int argc, char **argv)
{
	struct phiz_ctx_options options = {0};
	struct phiz_ctx *ctx;
	struct phiz_detector *d = NULL;
	struct phiz_image photo = {0};

	if (argc != 5) {
		fprintf(stderr, "usage: bench_detect MODEL.phiz PHOTO THREADS SECONDS\n");
		return 2;
	}
	options.threads = atoi(argv[3]);
	if (phiz_ctx_create(&options, &ctx))
		return 1;
	enum phiz_status status = phiz_image_read(ctx, argv[2], NULL, &photo);
	if (!status)
		status = phiz_detector_open(ctx, argv[1], NULL, &d);
	if (!status)
		status = measure(ctx, d, &photo, atof(argv[4]));
	if (status)
		fprintf(stderr, "bench_detect: %s\n", phiz_ctx_message(ctx));
	phiz_detector_free(&d);
	phiz_image_free(ctx, &photo);
	phiz_ctx_free(&ctx);
	return status ? 1 : 0;
}
