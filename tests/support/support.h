/* Helpers for cmocka tests. Include this first: it brings in what cmocka.h needs. */
#ifndef PHIZ_TESTS_SUPPORT_H
#define PHIZ_TESTS_SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <phiz/tensor.h>

/* A context with so many threads that logs warnings and errors to stderr (everything if PHIZ_TEST_LOG is set). */
struct phiz_ctx *test_ctx(int threads);
/* Fails the test if the context has live memory (a leak), and frees it. */
void test_ctx_done(struct phiz_ctx **ctx);

/* The call must succeed; the context's message is printed otherwise. */
#define assert_ok(ctx, call) test_status(ctx, PHIZ_OK, call, #call, __FILE__, __LINE__)
/* The call must fail with this status, and leave a message of one line. */
#define assert_fails(ctx, status, call) test_status(ctx, status, call, #call, __FILE__, __LINE__)
void test_status(struct phiz_ctx *ctx, enum phiz_status want, enum phiz_status got, const char *call, const char *file,
                 int line);
/* The context's message must contain text. */
#define assert_message(ctx, text) test_message(ctx, text, __FILE__, __LINE__)
void test_message(struct phiz_ctx *ctx, const char *text, const char *file, int line);

/* Runs fn with the k-th allocation failing, for k = 1, 2, 3 ... until it succeeds. fn must return NOMEM whenever an
 * allocation failed, and leave as much memory alive as it found, each time. */
typedef enum phiz_status (*test_oom_fn)(struct phiz_ctx *ctx, void *user);
void test_every_oom(struct phiz_ctx *ctx, test_oom_fn fn, void *user);

/* got against want, |got - want| <= absolute + relative * |want| for each element; NaN matches NaN, Inf the same Inf.
 * Prints the worst element and the part of its tolerance that was used. */
void test_close_f32(const char *what, const float *got, const float *want, size_t count, double absolute,
                    double relative);
void test_close_f64(const char *what, const double *got, const double *want, size_t count, double absolute,
                    double relative);

/* A new empty folder for files of a test; test_folder_done deletes it with all that is in it. */
void test_folder(char path[256]);
void test_folder_done(const char *path);
/* "PHIZ_SOURCE/tests/golden/NAME" into path; fails if the file is not there. */
const char *test_golden(const char *name, char path[1024]);
/* "PHIZ_DATA/NAME" into path; NULL, with a message, if it is not there: the test then calls skip(). A test program
 * whose tests were all skipped should return 77. */
const char *test_data(const char *name, char path[1024]);
/* Is a file with this in its path mapped into the program, such as a library? */
bool test_is_loaded(const char *name);
/* "PHIZ_SOURCE/NAME" into path. */
const char *test_source(const char *name, char path[1024]);

#endif
