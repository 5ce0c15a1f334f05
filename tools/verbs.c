/* The table of verbs, in the order in which a newcomer meets them. */
#include "tools/tools.h"

#ifdef PHIZ_HAVE_TRAIN
extern const struct phiz_verb phiz_verb_data_list, phiz_verb_data_split;
#endif
extern const struct phiz_verb phiz_verb_info, phiz_verb_bench, phiz_verb_import;

const struct phiz_verb *const phiz_verbs[] = {
#ifdef PHIZ_HAVE_TRAIN
	&phiz_verb_data_list, &phiz_verb_data_split,
#endif
	&phiz_verb_info,
};
const int phiz_n_verbs = PHIZ_COUNT(phiz_verbs);
