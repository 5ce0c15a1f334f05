/* Shared by the files of the doctor. */
#ifndef PHIZ_DATASETS_DOCTOR_INTERNAL_H
#define PHIZ_DATASETS_DOCTOR_INTERNAL_H

#include "datasets/doctor.h"

struct doctor {
	struct phiz_ctx *ctx;
	const struct phiz_checkup *c;
	const struct phiz_doctor_limits *limits;
	struct phiz_findings *out;
	bool *faulty; /* [count]: has a fault of quality, so that its embedding says little */
	bool *gone;   /* [count]: will be put aside */
};

/* Appends it, unless its fault is not looked for. move: puts the photo aside, if it is not so already. */
enum phiz_status phiz_doctor_add(struct doctor *d, struct phiz_finding finding);
/* A finding about one photo. */
struct phiz_finding phiz_doctor_of_photo(const struct doctor *d, enum phiz_fault fault, size_t photo);

/* doctor_copies.c: copies, near-duplicates, two names, leaks. */
enum phiz_status phiz_doctor_copies(struct doctor *d);
/* doctor_people.c: wrong persons, mixed folders, one person in two folders. */
enum phiz_status phiz_doctor_people(struct doctor *d);

#endif
