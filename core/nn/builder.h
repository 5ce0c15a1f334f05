/* Building a model's graph layer by layer: each call makes the node and its parameters, named as PyTorch names them
 * (NODE.weight, NODE.bias, NODE.running_mean ...), and initialises them as torchvision's networks are: convolutions
 * normal with std sqrt(2/fan_out) (He et al. 2015), linear layers uniform in +-1/sqrt(fan_in), batch norm 1 and 0,
 * PReLU 0.25. */
#ifndef PHIZ_NN_BUILDER_H
#define PHIZ_NN_BUILDER_H

#include <phiz/model.h>

struct phiz_builder {
	struct phiz_model *model;
	uint64_t seed;
	uint64_t drawn; /* how many tensors were initialised: each has its own randomness */
};

struct phiz_conv_spec {
	int64_t filters, kernel_h, kernel_w, stride, pad_h, pad_w, dilation, groups;
	bool bias;
};

/* Each adds NAME, reading value `in`, and gives its output. Errors as phiz_graph_add. */
enum phiz_status phiz_build_conv(struct phiz_builder *b, const char *name, int in, const struct phiz_conv_spec *spec,
                                 int *out);
enum phiz_status phiz_build_batch_norm(struct phiz_builder *b, const char *name, int in, double eps, double momentum,
                                       int *out);
enum phiz_status phiz_build_linear(struct phiz_builder *b, const char *name, int in, int64_t outputs, bool bias,
                                   int *out);
enum phiz_status phiz_build_prelu(struct phiz_builder *b, const char *name, int in, int *out);
/* Times a number that is the network's own: NAME.scale_factor, a buffer that no file of weights need have. */
enum phiz_status phiz_build_scale(struct phiz_builder *b, const char *name, int in, double factor, int *out);
#define PHIZ_SCALE_SUFFIX ".scale_factor"
/* NAME.conv, NAME.bn and NAME.relu. */
enum phiz_status phiz_build_conv_unit(struct phiz_builder *b, const char *name, int in,
                                      const struct phiz_conv_spec *spec, double eps, int *out);
/* Any op without parameters, by the op's name. */
enum phiz_status phiz_build_plain(struct phiz_builder *b, const char *op, const char *name, const int *in, int n_in,
                                  const struct phiz_attr_arg *attr, int n_attrs, int *out);
/* ResNet's blocks (He et al. 2015, torchvision's layout: NAME.conv1, NAME.bn1, ..., NAME.downsample.0, .1; the stride
 * of a bottleneck is in its 3x3). filters: of the 3x3 convolutions; a bottleneck has 4 times as many outputs. */
enum phiz_status phiz_build_basic_block(struct phiz_builder *b, const char *name, int in, int64_t filters,
                                        int64_t stride, int *out);
enum phiz_status phiz_build_bottleneck(struct phiz_builder *b, const char *name, int in, int64_t filters,
                                       int64_t stride, int *out);

/* The blocks of Inception-ResNet v1 (Szegedy et al. 2016) as facenet-pytorch names them: NAME.branch0,
 * NAME.branch1.0 ..., side by side, through the 1x1 convolution NAME.conv2d, times scale, added to what the block
 * reads; then NAME.relu if `relu`. kind: which, by the side of the maps that it was made for. */
enum phiz_inception_kind { PHIZ_INCEPTION_35, PHIZ_INCEPTION_17, PHIZ_INCEPTION_8 };
enum phiz_status phiz_build_inception_resnet(struct phiz_builder *b, const char *name, int in,
                                             enum phiz_inception_kind kind, double scale, bool relu, int *out);

/* Initialisers, also for a head that is replaced. `which` picks the randomness. */
void phiz_init_he_normal(struct phiz_tensor *t, double fan, uint64_t seed, uint64_t which);
void phiz_init_uniform(struct phiz_tensor *t, double bound, uint64_t seed, uint64_t which);
void phiz_init_constant(struct phiz_tensor *t, double value);

#endif
