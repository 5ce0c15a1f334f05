/* What the renderer's files share. Lengths are centimetres. The head's own space: origin between the eyes' height and
 * the ears' axis, x to the right of the picture when seen from the front, y up, z towards the viewer. View space has
 * the same axes with the camera on +z. Colours are linear light. */
#ifndef PHIZ_DATASETS_SYNTH_INTERNAL_H
#define PHIZ_DATASETS_SYNTH_INTERNAL_H

#include <stdbool.h>

#include "core/base/rng.h"
#include "datasets/synth.h"
#include "datasets/synth_math.h"

/* --- Identity: drawn once for a person (synth_person.c). --- */

enum synth_style {
	SYNTH_BALD,
	SYNTH_BUZZ,
	SYNTH_CROP,
	SYNTH_SIDE_PART,
	SYNTH_SWEPT,
	SYNTH_CURLS,
	SYNTH_AFRO,
	SYNTH_PIXIE,
	SYNTH_BOB,
	SYNTH_FRINGE,
	SYNTH_LONG,
	SYNTH_WAVES,
	SYNTH_BUN,
	SYNTH_STYLES
};

enum synth_beard { SYNTH_SHAVEN, SYNTH_STUBBLE, SYNTH_MOUSTACHE, SYNTH_GOATEE, SYNTH_FULL_BEARD };

#define SYNTH_MOLES 6

struct synth_person {
	uint32_t noise; /* seed of everything that is patterned on the skin */
	bool female;
	float age;    /* years */
	float wear;   /* how marked the signs of age are, 0..1 */
	float weight; /* -1 thin .. 1 heavy */
	/* skull */
	float head_w, head_d, head_h; /* factors of breadth, depth and height above the eyes */
	float cheek_w, jaw_w, chin_w, chin_len, chin_out, jaw_square;
	float brow_ridge, forehead_slope, cheekbone, cheek_full, temple;
	/* eyes */
	float eye_x, eye_w, eye_h, eye_tilt, eye_deep, lid_fold, lid_heavy, iris_r;
	struct v3 iris;
	/* brows */
	float brow_y, brow_arch, brow_thick, brow_len, brow_tilt, brow_gap, brow_dense;
	/* nose */
	float nose_len, nose_root, nose_out, nose_hump, nose_w, nose_tip, nose_up, nose_alar;
	/* mouth */
	float mouth_y, mouth_w, lip_up, lip_low, lip_out, mouth_curve, cupid;
	/* ears, neck */
	float ear_size, ear_out, neck_w, shoulder_w;
	/* skin */
	float melanin, blood, freckles, blotch, shadow_eyes, oily;
	float lip_red;
	struct v3 mole[SYNTH_MOLES]; /* x, y on the face and radius; radius 0: none */
	/* hair */
	enum synth_style style;
	enum synth_beard beard;
	struct v3 hair;      /* colour, the grey ones aside */
	struct v3 hair_mean; /* with them */
	float grey;          /* share of grey hairs */
	float hairline;      /* height of the front hairline */
	float recede;        /* how far the temples are bare */
	float hair_len, hair_volume, hair_curl, hair_part, hair_fine;
	/* habits */
	float glasses_chance, lipstick_chance, smile_habit;
	int frame; /* of the glasses that are theirs */
	struct v3 frame_colour;
};

void synth_person_draw(struct synth_person *p, uint64_t seed, uint32_t number);
/* Is the person of this number called by a woman's name? */
bool synth_name_female(uint32_t number, uint32_t draw);

/* --- Conditions: drawn for each photo (synth_photo.c). --- */

#define SYNTH_LIGHTS 10 /* the key light, and the surroundings seen from nine sides */

struct synth_light {
	struct v3 dir; /* towards the light, in view space */
	struct v3 colour;
};

enum synth_scene {
	SYNTH_WALL,
	SYNTH_STUDIO,
	SYNTH_BOKEH,
	SYNTH_FOLIAGE,
	SYNTH_SHELVES,
	SYNTH_WINDOW,
	SYNTH_STREET,
	SYNTH_SEASIDE,
	SYNTH_SCENES
};

enum synth_cloth { SYNTH_CREW, SYNTH_VNECK, SYNTH_SHIRT, SYNTH_ROLLNECK, SYNTH_HOODIE, SYNTH_JACKET, SYNTH_CLOTHS };
enum synth_pattern { SYNTH_PLAIN, SYNTH_STRIPES, SYNTH_CHECKS, SYNTH_DOTS, SYNTH_PATTERNS };

struct synth_photo {
	uint32_t noise; /* seed of everything that is patterned: background, folds, hair out of place */
	uint32_t grain; /* of the sensor's noise */
	/* pose, radians */
	float yaw, pitch, roll, body_yaw, body_roll;
	float gaze_x, gaze_y; /* of the eyes in the head */
	/* camera */
	float distance;           /* cm */
	float face_px;            /* pixels a centimetre at the face, for a picture of side 1 */
	float offset_x, offset_y; /* of the face's middle from the picture's, for a picture of side 1 */
	/* expression, each 0..1 but brow -1..1 */
	float smile, open, teeth, brow, frown, squint, blink, pucker;
	/* light */
	struct v3 key_dir, key, sky, ground, window, window_dir;
	float softness; /* of the key's shadows */
	/* what is worn */
	unsigned wear;
	int frame;
	struct v3 frame_colour;
	float lipstick, make_up, stubble, flush;
	struct v3 lip_colour;
	float tousle, part_shift;
	bool tied;
	enum synth_cloth cloth;
	enum synth_pattern pattern;
	struct v3 cloth_a, cloth_b, hat;
	enum synth_scene scene;
	struct v3 scene_a, scene_b, scene_c;
	struct v3 occluder; /* x, y, radius for a picture of side 1 */
	struct v3 occluder_colour;
	/* the camera's faults */
	float exposure, contrast, saturation, warmth, tint;
	float blur, motion, motion_angle, noise_amount, lowres, vignette;
	int quality; /* of the JPEG file */
	int burst;   /* the photo that opened the burst */
};

void synth_photo_draw(struct synth_photo *f, const struct synth_person *p, const struct phiz_synth_options *options,
                      uint32_t number, uint32_t photo);
void synth_photo_lights(const struct synth_photo *f, struct synth_light light[SYNTH_LIGHTS]);

/* --- Memory of one rendering: everything goes at once at the end. --- */

struct synth_pool {
	struct phiz_ctx *ctx;
	void *block[48];
	int count;
};

void *synth_pool_get(struct synth_pool *pool, size_t n, size_t size);
void synth_pool_free(struct synth_pool *pool);

/* --- Meshes (synth_mesh.c). --- */

enum synth_material {
	SYNTH_SKIN,
	SYNTH_EAR,
	SYNTH_NECK,
	SYNTH_SCALP,
	SYNTH_CURTAIN,
	SYNTH_CLOTH,
	SYNTH_FRAME,
	SYNTH_HAT,
	SYNTH_MASKED
};

struct synth_vertex {
	struct v3 rest;   /* in the head's space before any expression: where on the face this is */
	struct v3 pos;    /* view space */
	struct v3 normal; /* view space */
	struct v3 light;  /* what falls on it: key and surroundings, shadows included */
	float sx, sy, sz; /* on the screen; sz is nearness, larger is nearer */
	float occlusion;  /* 1 open .. 0 hidden from the surroundings */
	float reach;      /* what the surroundings would give were nothing hidden */
	float key;        /* share of the key light that arrives */
	float extra;      /* of the material */
};

/* A rows x columns grid of vertices. */
struct synth_mesh {
	enum synth_material material;
	int rows, columns;
	bool closed; /* the last column joins the first (both are stored) */
	bool two_sided;
	bool casts; /* shadows */
	struct synth_vertex *vertex;
};

#define SYNTH_MESHES 24

/* What a pixel of the screen sees. */
struct synth_hit {
	float z;       /* nearness; 0: nothing there */
	uint32_t cell; /* mesh << 26 | row << 13 | column */
	uint16_t a, b; /* place within the cell along columns and rows, of 65535 */
};

/* The camera, and the picture while it is being made. */
struct synth_stage {
	struct synth_pool pool;
	const struct synth_person *person;
	const struct synth_photo *photo;
	int size;     /* of the screen, supersampled */
	float detail; /* 1 at 160 pixels; grids and strands follow it */
	float focal, distance, centre_x, centre_y;
	struct m3 head; /* head space -> view space, about the neck's joint */
	struct v3 joint, place;
	struct m3 body;
	struct synth_light light[SYNTH_LIGHTS];
	struct synth_mesh mesh[SYNTH_MESHES];
	int meshes;
	struct synth_hit *hit;
	struct v3 *colour;
	float eye_z[2];        /* centre of the eyeballs in head space */
	struct v3 landmark[5]; /* head space, posed */
};

struct v3 synth_to_view(const struct synth_stage *s, struct v3 head);
struct v3 synth_body_to_view(const struct synth_stage *s, struct v3 p);
void synth_project(const struct synth_stage *s, struct v3 view, float *x, float *y, float *nearness);

/* Adds a grid; NULL on failure. */
struct synth_mesh *synth_mesh_add(struct synth_stage *s, enum synth_material material, int rows, int columns);
/* Normals from the positions, and the place on the screen. outward: -1 flips the normals. */
void synth_mesh_finish(const struct synth_stage *s, struct synth_mesh *m, float outward);
void synth_mesh_draw(struct synth_stage *s, int mesh);
/* Light on every vertex of every mesh, with shadows. */
enum phiz_status synth_light_all(struct synth_stage *s);
/* The light on a free point with a normal, without shadows but for the key's share given. */
struct v3 synth_light_at(const struct synth_stage *s, struct v3 normal, float key, float open);

/* --- Geometry. --- */

/* The plan of the face that geometry and skin share: curves in rest coordinates. */
float synth_lip_line(const struct synth_person *p, float x);  /* y where the lips meet */
float synth_lip_upper(const struct synth_person *p, float x); /* thickness of the upper lip's red */
float synth_lip_lower(const struct synth_person *p, float x);
float synth_brow_line(const struct synth_person *p, float x);    /* y of the brow's middle, |x| */
float synth_hairline(const struct synth_person *p, float angle); /* y of the hairline at an angle from the front */
#define SYNTH_LIP_GAP 0.1f                                       /* rest height over which the mouth opens */

/* The skull without features: u runs up from the pole below the chin to the crown, angle from the front. */
struct v3 synth_skull(const struct synth_person *p, float angle, float u, struct v3 *normal);
#define SYNTH_U_LOW (-14.9f)
#define SYNTH_U_CHIN (-10.9f)
#define SYNTH_U_HIGH 16.794247f /* 2.5 + 9.1 * pi / 2 */
float synth_skull_height(const struct synth_person *p, float u);

enum phiz_status synth_head_build(struct synth_stage *s);
enum phiz_status synth_ears_build(struct synth_stage *s);
enum phiz_status synth_body_build(struct synth_stage *s);
enum phiz_status synth_glasses_build(struct synth_stage *s);
enum phiz_status synth_hat_build(struct synth_stage *s);
void synth_landmarks(struct synth_stage *s, struct phiz_face_truth *truth, float size);

/* --- Colour. --- */

struct v3 synth_skin_colour(float melanin, float blood);
enum phiz_status synth_shade(struct synth_stage *s);
/* The eye's opening at a place on the face: > 0 inside. side -1 or 1. local: coordinates within the eye. */
float synth_eye_open(const struct synth_person *p, const struct synth_photo *f, float x, float y, int side, float *ex,
                     float *upper, float *lower);
struct v3 synth_eyeball(const struct synth_stage *s, struct v3 pos, int side, struct v3 light, float lid_shadow);
struct v3 synth_cloth_colour(const struct synth_stage *s, const struct synth_vertex *v);

enum phiz_status synth_hair_build(struct synth_stage *s); /* meshes below the strands */
enum phiz_status synth_hair_draw(struct synth_stage *s);  /* strands: hair, brows, beard */
void synth_glasses_lens(struct synth_stage *s);

enum phiz_status synth_scene_paint(struct synth_stage *s); /* fills colour */
enum phiz_status synth_camera_develop(struct synth_stage *s, struct phiz_image *out);

#endif
