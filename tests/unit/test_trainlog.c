/* What a run writes for people and other programs: TensorBoard events, metrics.csv, curves.svg; and the moving average.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/reader.h"
#include "train/ema.h"
#include "train/events.h"
#include "train/history.h"

/* RFC 3720, B.4, and the check value of the CRC catalogue. */
static void test_crc32c(void **state)
{
	unsigned char data[32];
	int i;

	(void)state;
	memset(data, 0, sizeof data);
	assert_int_equal(phiz_crc32c(data, 32), 0x8a9136aau);
	memset(data, 0xff, sizeof data);
	assert_int_equal(phiz_crc32c(data, 32), 0x62a8ab43u);
	for (i = 0; i < 32; i++)
		data[i] = (unsigned char)i;
	assert_int_equal(phiz_crc32c(data, 32), 0x46dd794eu);
	assert_int_equal(phiz_crc32c("123456789", 9), 0xe3069283u);
}

static const unsigned char *record(struct phiz_reader *r, uint64_t *size)
{
	const unsigned char *data, *length;
	uint32_t crc;
	size_t at = r->pos;

	assert_true(phiz_reader_u64(r, size));
	length = r->data + at;
	assert_true(phiz_reader_u32(r, &crc));
	assert_int_equal(crc, phiz_crc32c_masked(length, 8));
	assert_true(phiz_reader_take(r, *size, &data));
	assert_true(phiz_reader_u32(r, &crc));
	assert_int_equal(crc, phiz_crc32c_masked(data, *size));
	return data;
}

static void test_events(void **state)
{
	/* By hand from event.proto and summary.proto: wall_time 1.0, step 300, value{tag "a/b", simple_value 0.5} */
	static const unsigned char want[] = {
		0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02, 0x2a, 0x0c, 0x0a, 0x0a, 0x0a, 0x03, 'a', '/', 'b',
		0x15, 0, 0, 0, 0x3f};
	/* the first record of every event file of wall time 1.0 */
	static const unsigned char head[] = {0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x1a, 0x0d, 'b', 'r', 'a', 'i', 'n', '.',
	                                     'E', 'v', 'e', 'n', 't', ':', '2'};
	struct phiz_ctx *ctx = *state;
	struct phiz_bytes bytes;
	struct phiz_reader r;
	const unsigned char *data;
	uint64_t size;

	phiz_bytes_init(&bytes, ctx);
	phiz_events_header(&bytes, 1.0);
	phiz_events_scalar(&bytes, 1.0, 300, "a/b", 0.5);
	memset(&r, 0, sizeof r);
	r.data = (const unsigned char *)bytes.data;
	r.size = bytes.size;
	data = record(&r, &size);
	assert_int_equal(size, sizeof head);
	assert_memory_equal(data, head, sizeof head);
	data = record(&r, &size);
	assert_int_equal(size, sizeof want);
	assert_memory_equal(data, want, sizeof want);
	assert_int_equal(phiz_reader_left(&r), 0);
	phiz_bytes_free(&bytes);
}

static void fill(struct phiz_ctx *ctx, struct phiz_history *h, int epochs, bool val)
{
	int i;

	memset(h, 0, sizeof *h);
	for (i = 1; i <= epochs; i++) {
		struct phiz_epoch_record r;

		memset(&r, 0, sizeof r);
		r.epoch = i;
		r.steps = 10 * i;
		r.train_loss = 2.5 * exp(-0.12 * i);
		r.train_top1 = 1 - exp(-0.2 * i);
		r.val_loss = val ? 2.5 * exp(-0.08 * i) + 0.1 * (i % 3) : (double)NAN;
		r.val_top1 = val ? 0.9 - 0.8 * exp(-0.15 * i) : (double)NAN;
		r.lr = 0.001 * (1 + cos(3.14159 * i / epochs)) / 2;
		r.seconds = 1.5;
		r.images_per_s = 100;
		assert_int_equal(phiz_history_add(ctx, h, &r), PHIZ_OK);
	}
}

static void test_csv(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_history h;
	struct phiz_bytes csv;

	phiz_bytes_init(&csv, ctx);
	fill(ctx, &h, 1, false);
	h.record[0].train_loss = 0.25;
	h.record[0].train_top1 = 0.5;
	h.record[0].lr = 0.125;
	assert_int_equal(phiz_history_csv(&h, &csv), PHIZ_OK);
	assert_string_equal(csv.data, "epoch,steps,train_loss,train_top1,val_loss,val_top1,lr,seconds,images_per_s\n"
	                              "1,10,0.25,0.5,,,0.125,1.5,100\n");
	phiz_history_free(ctx, &h);
	phiz_bytes_free(&csv);
}

/* Every element that is opened is closed, no figure is NaN or Inf. PHIZ_TEST_SVG keeps the drawing to look at. */
static void check_svg(struct phiz_ctx *ctx, int epochs, bool val)
{
	struct phiz_history h;
	struct phiz_bytes svg;
	int depth = 0;
	const char *p, *keep = getenv("PHIZ_TEST_SVG");

	phiz_bytes_init(&svg, ctx);
	fill(ctx, &h, epochs, val);
	assert_int_equal(phiz_history_svg(&h, "Ann & <Bob>", epochs / 2, &svg), PHIZ_OK);
	for (p = svg.data; (p = strchr(p, '<')) != NULL; p++) {
		const char *end = strchr(p, '>');

		assert_non_null(end);
		depth += p[1] == '/' ? -1 : end[-1] == '/' ? 0 : 1;
		assert_true(depth >= 0);
	}
	assert_int_equal(depth, 0);
	assert_null(strstr(svg.data, "nan"));
	assert_null(strstr(svg.data, "inf"));
	assert_non_null(strstr(svg.data, "Ann &amp; &lt;Bob&gt;"));
	if (keep) {
		FILE *f = fopen(keep, "wb");

		assert_non_null(f);
		assert_int_equal(fwrite(svg.data, 1, svg.size, f), svg.size);
		fclose(f);
	}
	phiz_history_free(ctx, &h);
	phiz_bytes_free(&svg);
}

static void test_svg(void **state)
{
	check_svg(*state, 0, false);
	check_svg(*state, 1, false);
	check_svg(*state, 1, true);
	check_svg(*state, 400, true);
	check_svg(*state, 25, true);
}

static void test_ema(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_shape shape = phiz_shape_1d(3);
	struct phiz_tensor *w;
	struct phiz_ema *ema;
	double shadow = 0;
	int i;

	assert_int_equal(phiz_tensor_create(ctx, PHIZ_F32, &shape, &w), PHIZ_OK);
	assert_int_equal(phiz_ema_create(ctx, 0.9, &ema), PHIZ_OK);
	assert_int_equal(phiz_ema_add(ema, "w", w), PHIZ_OK);
	assert_int_equal(phiz_ema_add(ema, "w", w), PHIZ_OK);
	assert_int_equal(ema->count, 1);
	for (i = 1; i <= 300; i++) {
		double d = fmin(0.9, (1.0 + i) / (10.0 + i));

		((float *)w->data)[1] = (float)sin(i);
		phiz_ema_update(ema);
		shadow = d * shadow + (1 - d) * (double)(float)sin(i);
		assert_true(fabs((double)((float *)ema->entry[0].shadow->data)[1] - shadow) < 1e-6);
	}
	phiz_ema_swap(ema);
	assert_true(ema->swapped);
	assert_true(fabs((double)((float *)w->data)[1] - shadow) < 1e-6);
	phiz_ema_swap(ema);
	assert_true(((float *)w->data)[1] == (float)sin(300));
	phiz_ema_free(&ema);
	phiz_tensor_free(ctx, &w);
}

static int set_up(void **state)
{
	struct phiz_ctx *ctx;

	if (phiz_ctx_create(NULL, &ctx))
		return -1;
	*state = ctx;
	return 0;
}

static int tear_down(void **state)
{
	struct phiz_ctx *ctx = *state;
	struct phiz_memory_stats stats;

	phiz_ctx_memory(ctx, &stats);
	assert_int_equal(stats.live_blocks, 0);
	phiz_ctx_free(&ctx);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_csv),
		cmocka_unit_test(test_svg),
		cmocka_unit_test(test_ema),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
