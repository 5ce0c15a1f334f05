/* Findings in words. */
#include <math.h>
#include <string.h>

#include "datasets/doctor.h"
#include "datasets/names.h"

static const struct {
	const char *name, *title;
	enum phiz_fault_weight weight;
} fault[PHIZ_N_FAULTS] = {
	[PHIZ_FAULT_UNREADABLE] = {"unreadable", "Cannot be read", PHIZ_FAULT_ERROR},
	[PHIZ_FAULT_NO_PICTURE] = {"no-picture", "No photos", PHIZ_FAULT_NOTE},
	[PHIZ_FAULT_MISPLACED] = {"misplaced", "In the wrong place", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_ODD_NAME] = {"odd-name", "Odd names", PHIZ_FAULT_NOTE},
	[PHIZ_FAULT_NO_FACE] = {"no-face", "No face", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_SEVERAL_FACES] = {"several-faces", "Several faces", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_SMALL] = {"small", "Too small", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_BLURRED] = {"blurred", "Blurred", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_DARK] = {"dark", "Dark", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_BURNT_OUT] = {"burnt-out", "Burnt out", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_POSE] = {"pose", "Extreme pose", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_COPY] = {"copy", "Exact copies", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_NEAR_DUPLICATE] = {"near-duplicate", "Near duplicates", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_TWO_NAMES] = {"two-names", "One photo under two names", PHIZ_FAULT_ERROR},
	[PHIZ_FAULT_WRONG_PERSON] = {"wrong-person", "The wrong person", PHIZ_FAULT_ERROR},
	[PHIZ_FAULT_MIXED_FOLDER] = {"mixed-folder", "Two people in one folder", PHIZ_FAULT_ERROR},
	[PHIZ_FAULT_SAME_PERSON] = {"same-person", "One person in two folders", PHIZ_FAULT_ERROR},
	[PHIZ_FAULT_LEAK] = {"leak", "On both sides of the split", PHIZ_FAULT_ERROR},
	[PHIZ_FAULT_FEW] = {"few", "Too few photos", PHIZ_FAULT_WARNING},
	[PHIZ_FAULT_IMBALANCE] = {"imbalance", "Many more or fewer photos than others", PHIZ_FAULT_NOTE},
};

const char *phiz_fault_name(enum phiz_fault f)
{
	return fault[f].name;
}

const char *phiz_fault_title(enum phiz_fault f)
{
	return fault[f].title;
}

enum phiz_fault_weight phiz_fault_weight(enum phiz_fault f)
{
	return fault[f].weight;
}

const char *phiz_fault_weight_name(enum phiz_fault_weight weight)
{
	return weight == PHIZ_FAULT_ERROR ? "error" : weight == PHIZ_FAULT_WARNING ? "warning" : "note";
}

bool phiz_fault_parse(const char *name, enum phiz_fault *out)
{
	for (int i = 0; i < PHIZ_N_FAULTS; i++)
		if (strcmp(name, fault[i].name) == 0) {
			*out = (enum phiz_fault)i;
			return true;
		}
	return false;
}

static void add_person(const struct phiz_checkup *c, int person, struct phiz_bytes *out)
{
	if (person >= 0)
		phiz_name_show(c->people.name[person], out);
	else
		phiz_bytes_text(out, "nobody");
}

static void add_photo(const struct phiz_checkup *c, int64_t photo, struct phiz_bytes *out)
{
	if (photo >= 0)
		phiz_name_show(c->photo[photo].path, out);
}

static const char *format_name(int format)
{
	static const char *const name[] = {"", "JPEG", "PNG", "PGM or PPM", "GIF", "BMP", "WebP", "TIFF", "HEIF"};

	return format > 0 && format < 9 ? name[format] : "";
}

static bool is_decodable(int format)
{
	return format == PHIZ_IMAGE_JPEG || format == PHIZ_IMAGE_PNG || format == PHIZ_IMAGE_PNM;
}

static void explain_file(const struct phiz_checkup *c, const struct phiz_finding *f, struct phiz_bytes *out)
{
	if (f->fault == PHIZ_FAULT_UNREADABLE) {
		const char *trouble = c->photo[f->photo].trouble;
		phiz_name_show(trouble ? trouble : "cannot be decoded", out);
	} else if (f->fault == PHIZ_FAULT_NO_PICTURE) {
		if (f->detail)
			phiz_bytes_printf(out, "is a %s, but not named .jpg, .jpeg, .png, .pgm or .ppm", format_name(f->detail));
		else
			phiz_bytes_text(out, "is no picture");
	} else if (f->fault == PHIZ_FAULT_MISPLACED) {
		phiz_bytes_text(out, f->detail ? "is a folder inside of a person's folder, which is not looked into"
		                               : "lies in no person's folder");
	} else {
		const char *name = f->photo >= 0 ? phiz_path_base(c->photo[f->photo].path) : c->people.name[f->person];
		phiz_name_describe((unsigned)f->detail, name, out);
	}
}

static void explain_quality(const struct phiz_finding *f, struct phiz_bytes *out)
{
	switch (f->fault) {
	case PHIZ_FAULT_NO_FACE:
		phiz_bytes_printf(out, "the detector found no face (with a score of %.2f and more)", f->limit);
		break;
	case PHIZ_FAULT_SEVERAL_FACES:
		phiz_bytes_printf(out, "%d faces, the second of %.0f %% of the size of the first (limit %.0f %%)", f->detail,
		                  100 * f->value, 100 * f->limit);
		break;
	case PHIZ_FAULT_SMALL:
		phiz_bytes_printf(out, f->detail ? "short side of %.0f pixels (limit %.0f)"
		                                 : "%.1f pixels between the eyes (limit %.0f)", f->value, f->limit);
		break;
	case PHIZ_FAULT_BLURRED:
		phiz_bytes_printf(out, "sharpness %.1f (variance of the Laplacian at 112 pixels; limit %.0f)", f->value,
		                  f->limit);
		break;
	case PHIZ_FAULT_DARK:
	case PHIZ_FAULT_BURNT_OUT:
		if (f->detail)
			phiz_bytes_printf(out, "%.0f %% of the face is %s (limit %.0f %%)", 100 * f->value,
			                  f->fault == PHIZ_FAULT_DARK ? "black" : "white", 100 * f->limit);
		else
			phiz_bytes_printf(out, "mean brightness %.0f %% (limit %.0f %%)", 100 * f->value, 100 * f->limit);
		break;
	default:
		phiz_bytes_printf(out, "%s by %.0f degrees (limit %.0f)", f->detail == 0   ? "turned to the side"
		                                                          : f->detail == 1 ? "looks up or down"
		                                                                           : "leans", fabs(f->value), f->limit);
	}
}

static void explain_copy(const struct phiz_checkup *c, const struct phiz_finding *f, struct phiz_bytes *out)
{
	switch (f->fault) {
	case PHIZ_FAULT_COPY:
		phiz_bytes_text(out, "the same bytes as ");
		break;
	case PHIZ_FAULT_NEAR_DUPLICATE:
		phiz_bytes_printf(out, "%.0f of %.0f bits of the difference hash differ from ", f->value, f->limit);
		break;
	case PHIZ_FAULT_TWO_NAMES:
		phiz_bytes_text(out, f->detail ? "the same bytes under the name " : "the same photo under the name ");
		add_person(c, f->other_person, out);
		phiz_bytes_printf(out, " (%.0f of %.0f bits differ): ", f->value, f->limit);
		break;
	default:
		phiz_bytes_printf(out, "%s, and %s is for %s (%.0f of %.0f bits differ): ",
		                  phiz_part_name(c->photo[f->photo].part), f->detail & 2   ? "another photo of its burst"
		                                                           : f->detail & 1 ? "an exact copy of it"
		                                                                           : "a near duplicate of it",
		                  phiz_part_name(c->photo[f->other].part), f->value, f->limit);
	}
	add_photo(c, f->other, out);
}

static void explain_people(const struct phiz_checkup *c, const struct phiz_finding *f, struct phiz_bytes *out)
{
	switch (f->fault) {
	case PHIZ_FAULT_WRONG_PERSON:
		if (f->detail == 1) {
			phiz_bytes_text(out, "is like no other photo of ");
			add_person(c, f->person, out);
			phiz_bytes_printf(out, " (median cosine %.2f, limit %.2f), nor like anybody else of the set", f->value,
			                  f->limit);
			break;
		}
		phiz_bytes_text(out, "looks like ");
		add_person(c, f->other_person, out);
		phiz_bytes_printf(out, " (median cosine %.2f) and not like ", f->limit);
		add_person(c, f->person, out);
		phiz_bytes_printf(out, " (%.2f)%s", f->value, f->detail == 2 ? ", with others of this folder" : "");
		break;
	case PHIZ_FAULT_MIXED_FOLDER:
		phiz_bytes_printf(out, "%d photos or more look like one another but not like the rest (mean cosine between the "
		                  "two groups %.2f, limit %.2f)", f->detail, f->value, f->limit);
		break;
	case PHIZ_FAULT_SAME_PERSON:
		phiz_bytes_text(out, "looks like ");
		add_person(c, f->other_person, out);
		phiz_bytes_printf(out, " (median cosine between the folders %.2f, limit %.2f)", f->value, f->limit);
		break;
	case PHIZ_FAULT_FEW:
		phiz_bytes_printf(out, "%.0f photos that can be used (want at least %.0f)", f->value, f->limit);
		break;
	default:
		phiz_bytes_printf(out, "%.0f photos, where half of the people have %g or %s", f->value, f->limit,
		                  f->detail ? "fewer" : "more");
	}
}

void phiz_finding_reason(const struct phiz_checkup *c, const struct phiz_finding *f, struct phiz_bytes *out)
{
	if (f->fault <= PHIZ_FAULT_ODD_NAME)
		explain_file(c, f, out);
	else if (f->fault <= PHIZ_FAULT_POSE)
		explain_quality(f, out);
	else if (f->fault <= PHIZ_FAULT_TWO_NAMES || f->fault == PHIZ_FAULT_LEAK)
		explain_copy(c, f, out);
	else
		explain_people(c, f, out);
}

const char *phiz_finding_advice(const struct phiz_checkup *c, const struct phiz_finding *f)
{
	switch (f->fault) {
	case PHIZ_FAULT_UNREADABLE:
		return "get it from its source again, or put it aside";
	case PHIZ_FAULT_NO_PICTURE:
		return !f->detail ? "put it aside" : is_decodable(f->detail) ? "rename it" : "convert it to JPEG or PNG";
	case PHIZ_FAULT_MISPLACED:
		return f->detail ? "move its photos up into the person's folder, or to a folder of their own"
		                 : "move it into the folder of the person whom it shows";
	case PHIZ_FAULT_ODD_NAME:
		return f->photo >= 0 && c->photo[f->photo].part != PHIZ_PART_SKIP && c->split
		               ? "rename it, in the split too" : "rename it";
	case PHIZ_FAULT_NO_FACE:
		return "look at it: if there is a face after all, cut it out by hand; else put it aside";
	case PHIZ_FAULT_SEVERAL_FACES:
		return "cut out the person's own face: phiz data extract";
	case PHIZ_FAULT_SMALL:
		return "get a larger version, or put it aside";
	case PHIZ_FAULT_BLURRED:
	case PHIZ_FAULT_DARK:
	case PHIZ_FAULT_BURNT_OUT:
		return "put it aside, unless the camera will see such faces too";
	case PHIZ_FAULT_POSE:
		return "put it aside, unless such views are to be recognised";
	case PHIZ_FAULT_COPY:
	case PHIZ_FAULT_NEAR_DUPLICATE:
		return "keep one of them; that one counts for all";
	case PHIZ_FAULT_TWO_NAMES:
		return "look who it is, and take it out of the other folder";
	case PHIZ_FAULT_WRONG_PERSON:
		return f->other_person >= 0 ? "look at it: move it to the other folder, or put it aside"
		                            : "look at it: put it aside if it is somebody else";
	case PHIZ_FAULT_MIXED_FOLDER:
		return "look at the folder: give the second person a folder of their own";
	case PHIZ_FAULT_SAME_PERSON:
		return "look at both: if they are one person, merge the folders";
	case PHIZ_FAULT_LEAK:
		return "put one of them aside, or make the split anew: phiz data split keeps such photos together";
	case PHIZ_FAULT_FEW:
		return "add photos of other days and other light";
	case PHIZ_FAULT_IMBALANCE:
	case PHIZ_N_FAULTS:
		break;
	}
	return f->detail ? "no harm if training draws people evenly (balanced order); else take some out" : "add photos";
}
