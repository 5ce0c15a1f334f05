/* What is wrong with a folder of photos. Pure: it judges measurements (a record per file), touches no file and knows no
 * network, so it can be tested on records that are made up. tools/cmd_check.c measures. */
#ifndef PHIZ_DATASETS_DOCTOR_H
#define PHIZ_DATASETS_DOCTOR_H

#include "core/image/quality.h"
#include "datasets/phash.h"
#include "datasets/scan.h"

enum phiz_fault {
	PHIZ_FAULT_UNREADABLE, /* named as a photo, cannot be decoded */
	PHIZ_FAULT_NO_PICTURE, /* a file in a person's folder that is not named as a photo */
	PHIZ_FAULT_MISPLACED,  /* a photo in no person's folder, a folder inside a person's */
	PHIZ_FAULT_ODD_NAME,
	PHIZ_FAULT_NO_FACE,
	PHIZ_FAULT_SEVERAL_FACES,
	PHIZ_FAULT_SMALL,
	PHIZ_FAULT_BLURRED,
	PHIZ_FAULT_DARK,
	PHIZ_FAULT_BURNT_OUT,
	PHIZ_FAULT_POSE,
	PHIZ_FAULT_COPY,         /* byte for byte, of one person, in one part */
	PHIZ_FAULT_NEAR_DUPLICATE, /* the same photo in another size or quality, or the next frame */
	PHIZ_FAULT_TWO_NAMES,    /* one photo in two people's folders */
	PHIZ_FAULT_WRONG_PERSON,
	PHIZ_FAULT_MIXED_FOLDER, /* two people in one folder */
	PHIZ_FAULT_SAME_PERSON,  /* one person in two folders */
	PHIZ_FAULT_LEAK,         /* one moment on both sides of a split */
	PHIZ_FAULT_FEW,
	PHIZ_FAULT_IMBALANCE,
	PHIZ_N_FAULTS
};

/* error: training or validation will go wrong because of it. warning: worth a look. note: good to know. */
enum phiz_fault_weight { PHIZ_FAULT_NOTE, PHIZ_FAULT_WARNING, PHIZ_FAULT_ERROR };

enum phiz_file_kind {
	PHIZ_FILE_PHOTO, /* named as a photo, in a person's folder */
	PHIZ_FILE_LOOSE, /* named as a photo, in nobody's folder */
	PHIZ_FILE_OTHER, /* in a person's folder, not named as a photo */
	PHIZ_FILE_FOLDER /* inside of a person's folder */
};

/* A file. Figures that were not measured stay 0. */
struct phiz_photo {
	char *path; /* relative to the folder that is checked; any bytes */
	int person; /* index into people; -1: lies in nobody's folder */
	enum phiz_part part; /* SKIP: the split says nothing of it */
	enum phiz_file_kind kind;
	enum phiz_image_format format; /* OTHER: what it is by its content */
	bool readable;
	char *trouble; /* of a PHOTO that is not readable: why */
	int width, height;
	int64_t bytes;
	int64_t modified; /* nanoseconds since 1970: with path and bytes what tells a file that was measured before */
	unsigned char digest[32]; /* SHA-256 of the file */
	bool looked;              /* a detector has looked for faces */
	int faces;                /* that it found */
	struct phiz_face face;    /* the largest of them */
	float second;             /* side of the next largest (root of its area) / that of the largest, 0..1 */
	bool measured;
	struct phiz_quality quality; /* of the face, or of the whole picture where nothing looked for a face */
	bool embedded;
};

struct phiz_checkup {
	struct phiz_names people; /* folder names; may lack photos */
	struct phiz_photo *photo;
	size_t count, capacity;
	struct phiz_phash *hash; /* [count] */
	float *embedding;        /* [count][dim], L2-normalised; of photos that are not embedded anything */
	int dim;                 /* 0: there are no embeddings */
	double threshold;        /* of the embedder: the cosine from which on two faces are one person; NAN: not known */
	bool crops;              /* the photos are crops of faces */
	bool split;              /* parts are known */
};

void phiz_checkup_free(struct phiz_ctx *ctx, struct phiz_checkup *checkup);

/* Beyond these a photo is reported. datasets/README.md says how they were found and how often they are wrong. */
struct phiz_doctor_limits {
	double eyes;        /* distance of the eyes in pixels, at least */
	double crop_side;   /* crops: short side in pixels, at least */
	double second;      /* size of a second face against the first, below */
	double score;       /* of the detector, at least, or it is no face */
	double sharpness;   /* at least */
	double mean_low, mean_high; /* of the grey values, 0..1 */
	double dark, bright; /* share of pixels that are black, white, at most */
	double yaw, pitch, roll; /* degrees, at most */
	int few;            /* photos of a person, at least */
	double imbalance;   /* times the median of photos a person, at most; and at least the median over that */
	struct phiz_similar_options similar;
	double certainty;   /* standard deviations above what strangers have in common; see phiz_doctor_run */
	bool look_for[PHIZ_N_FAULTS];
};
void phiz_doctor_defaults(struct phiz_doctor_limits *limits);

struct phiz_finding {
	enum phiz_fault fault;
	int64_t photo, other; /* index, -1: none. Faults of people: examples */
	int person, other_person; /* index, -1: none */
	double value, limit;  /* what was measured, and the limit that it is beyond */
	int detail;           /* which measure, where a fault has several; for phiz_finding_reason */
	bool move;            /* may be put aside without asking: `photo` */
};

/* Sorted by fault, then by how bad, then by photo. */
struct phiz_findings {
	struct phiz_finding *finding;
	size_t count, capacity;
	size_t of_fault[PHIZ_N_FAULTS];
	/* What the cosines of different people are like in this folder, and what follows (0 without embeddings). */
	double stranger_mean, stranger_sigma; /* robust: median, 1.4826 * median absolute deviation */
	double same;   /* from this cosine on two photos show one person */
	double inside; /* median over folders of what the photos of one have in common */
	bool alike;    /* inside is below same: the embedder cannot tell these people apart, so nobody was judged */
};

/* Judges. People are judged by cosines. `same` is stranger_mean + certainty * stranger_sigma, from photos of different
 * folders (at least three people and a hundred pairs), else the embedder's own threshold, else 0.35.
 *
 * A photo shows the wrong person if the median of its cosines to the other photos of its folder is below `same`, and
 * either the median to somebody else's photos is above it (by as much more as keeps chance finds among many people
 * unlikely) and above the first by 0.1 (then that is who it is), or it is like none of its own folder's at all (median
 * within 0.5 sigma of strangers, none beyond 2 sigma; folders of four and more, photos without another fault).
 * A folder is mixed if average linkage, stopped where clusters have no more in common than strangers, leaves two
 * clusters of three and more. Where the smaller one is somebody else of the set its photos are wrong persons instead.
 * Two folders show one person if the median of cosines between them is above `same` and at least 0.6 of what each has
 * inside; folders of one or two photos need as much more as makes a chance find among so many pairs unlikely (5 %), and
 * folders of n photos 2/n of that addition.
 *
 * Where most folders have less in common than `same`, the embedder is not made for such photos, and nobody is judged.
 *
 * Deterministic, whatever the threads. Errors: NOMEM. */
enum phiz_status phiz_doctor_run(struct phiz_ctx *ctx, const struct phiz_checkup *checkup,
                                 const struct phiz_doctor_limits *limits, struct phiz_findings *out);
void phiz_findings_free(struct phiz_ctx *ctx, struct phiz_findings *findings);

/* "no-face", and so on; what a heading says; how much it matters. */
const char *phiz_fault_name(enum phiz_fault fault);
const char *phiz_fault_title(enum phiz_fault fault);
enum phiz_fault_weight phiz_fault_weight(enum phiz_fault fault);
const char *phiz_fault_weight_name(enum phiz_fault_weight weight);
bool phiz_fault_parse(const char *name, enum phiz_fault *out);
/* What was measured, with the limit, in words; and what to do. UTF-8, no line ends. */
void phiz_finding_reason(const struct phiz_checkup *checkup, const struct phiz_finding *finding,
                         struct phiz_bytes *out);
const char *phiz_finding_advice(const struct phiz_checkup *checkup, const struct phiz_finding *finding);

#endif
