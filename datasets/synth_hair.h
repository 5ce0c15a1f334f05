/* Hair: what the styles are made of, and the guides that strands follow. */
#ifndef PHIZ_DATASETS_SYNTH_HAIR_H
#define PHIZ_DATASETS_SYNTH_HAIR_H

#include "datasets/synth_internal.h"

#define SYNTH_GUIDE_POINTS 13

/* A style in numbers; lengths in cm. Regions: top, front (the fringe), side, back. */
struct synth_cut {
	float top, front, side, back;      /* lengths */
	float cover_top, cover_side;       /* thickness of the cap below the strands */
	float lift;                        /* how far strands rise from the scalp, 0 flat .. 1 upright */
	float forward, sideways, backward; /* combing on the top of the head */
	float fringe;                      /* combing of the front: 1 down over the forehead, -1 back */
	float weight;                      /* how soon strands hang */
	float curl, turns;                 /* radius and number of turns of the curls */
	float clump;                       /* how far strands spread from their guide */
	float fuzz;                        /* disorder of directions */
	float strands;                     /* density, 1 is ordinary */
	float start;                       /* strands begin this far through the cap: 0 at the scalp, 1 at its surface */
	bool curtain;                      /* long: hair hangs beside and behind the neck */
	bool knot;                         /* gathered behind */
};

/* The person's cut on the day of the photo. */
void synth_cut_make(const struct synth_person *p, const struct synth_photo *f, struct synth_cut *cut);

struct synth_guide {
	struct v3 point[SYNTH_GUIDE_POINTS]; /* head space */
	struct v3 out;                       /* from the head outwards at the root */
	float depth;                         /* layer: 0 inner .. 1 outer */
	uint32_t id;
};

/* Grows a hair from the scalp at (angle, u). layer 0..1. */
void synth_guide_grow(const struct synth_stage *s, const struct synth_cut *cut, float angle, float u, float layer,
                      uint32_t id, struct synth_guide *g);
/* Height parameter of the skull at height y (its inverse). */
float synth_skull_u(const struct synth_person *p, float y);

/* A hair that is drawn: points in head space, its width in cm, colour of root and tip, and how much light it gets. */
struct synth_strand {
	struct v3 point[SYNTH_GUIDE_POINTS];
	int count;
	float width;
	struct v3 root, tip; /* colours, before light */
	struct v3 out;       /* head space: the side it turns to the world */
	float key, open;
	float shine;
	float lift; /* nearness added, so that it is not lost in the surface below; cm */
};

void synth_strand_draw(struct synth_stage *s, const struct synth_strand *strand);
/* Brows and beard. */
enum phiz_status synth_face_hair_draw(struct synth_stage *s);

#endif
