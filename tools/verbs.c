/* The table of verbs, in the order in which a newcomer meets them. One line each. */
#include "tools/tools.h"

extern const struct phiz_verb phiz_verb_data_detect;
#ifdef PHIZ_HAVE_TRAIN
extern const struct phiz_verb phiz_verb_data_synth;
extern const struct phiz_verb phiz_verb_data_blend;
extern const struct phiz_verb phiz_verb_data_list;
extern const struct phiz_verb phiz_verb_data_extract;
extern const struct phiz_verb phiz_verb_data_split;
extern const struct phiz_verb phiz_verb_data_check;
extern const struct phiz_verb phiz_verb_data_bench;
extern const struct phiz_verb phiz_verb_train;
extern const struct phiz_verb phiz_verb_eval;
#endif
extern const struct phiz_verb phiz_verb_cluster;
extern const struct phiz_verb phiz_verb_models;
extern const struct phiz_verb phiz_verb_models_fetch;
extern const struct phiz_verb phiz_verb_models_remove;
extern const struct phiz_verb phiz_verb_models_path;
extern const struct phiz_verb phiz_verb_import;
extern const struct phiz_verb phiz_verb_export;
extern const struct phiz_verb phiz_verb_predict;
extern const struct phiz_verb phiz_verb_embed;
extern const struct phiz_verb phiz_verb_enroll;
extern const struct phiz_verb phiz_verb_identify;
extern const struct phiz_verb phiz_verb_verify;
extern const struct phiz_verb phiz_verb_gallery_list;
extern const struct phiz_verb phiz_verb_gallery_show;
extern const struct phiz_verb phiz_verb_gallery_rename;
extern const struct phiz_verb phiz_verb_gallery_merge;
extern const struct phiz_verb phiz_verb_gallery_remove;
extern const struct phiz_verb phiz_verb_gallery_reject;
extern const struct phiz_verb phiz_verb_gallery_calibrate;
extern const struct phiz_verb phiz_verb_gallery_export;
extern const struct phiz_verb phiz_verb_gallery_import;
extern const struct phiz_verb phiz_verb_gallery_audit;
extern const struct phiz_verb phiz_verb_gallery_purge;
extern const struct phiz_verb phiz_verb_gallery_bench;
extern const struct phiz_verb phiz_verb_info;
extern const struct phiz_verb phiz_verb_bench;
extern const struct phiz_verb phiz_verb_devices;
extern const struct phiz_verb phiz_verb_doctor;
extern const struct phiz_verb phiz_verb_deploy;

const struct phiz_verb *const phiz_verbs[] = {
#ifdef PHIZ_HAVE_TRAIN
	&phiz_verb_data_synth,
	&phiz_verb_data_blend,
	&phiz_verb_data_list,
	&phiz_verb_data_extract,
	&phiz_verb_data_split,
	&phiz_verb_data_check,
	&phiz_verb_data_bench,
#endif
	&phiz_verb_data_detect,
#ifdef PHIZ_HAVE_TRAIN
	&phiz_verb_train,
	&phiz_verb_eval,
#endif
	&phiz_verb_cluster,
	&phiz_verb_models,
	&phiz_verb_models_fetch,
	&phiz_verb_models_remove,
	&phiz_verb_models_path,
	&phiz_verb_import,
	&phiz_verb_export,
	&phiz_verb_predict,
	&phiz_verb_embed,
	&phiz_verb_enroll,
	&phiz_verb_identify,
	&phiz_verb_verify,
	&phiz_verb_gallery_list,
	&phiz_verb_gallery_show,
	&phiz_verb_gallery_rename,
	&phiz_verb_gallery_merge,
	&phiz_verb_gallery_remove,
	&phiz_verb_gallery_reject,
	&phiz_verb_gallery_calibrate,
	&phiz_verb_gallery_export,
	&phiz_verb_gallery_import,
	&phiz_verb_gallery_audit,
	&phiz_verb_gallery_purge,
	&phiz_verb_gallery_bench,
	&phiz_verb_info,
	&phiz_verb_bench,
	&phiz_verb_devices,
	&phiz_verb_doctor,
	&phiz_verb_deploy,
};
const int phiz_n_verbs = PHIZ_COUNT(phiz_verbs);
