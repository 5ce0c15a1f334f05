/* The shapes that kern_bench times, in groups: what networks are made of. N is the batch (--batch). */
#ifndef PHIZ_TESTS_KERN_CASES_H
#define PHIZ_TESTS_KERN_CASES_H

#define PAD(p) " pad_top=" #p " pad_left=" #p " pad_bottom=" #p " pad_right=" #p
#define STRIDE(s) " stride_h=" #s " stride_w=" #s

static const struct {
	const char *group, *text;
} kern_cases[] = {
	{"resnet18_224", "conv2d [N,3,224,224] [64,3,7,7]" STRIDE(2) PAD(3)},
	{"resnet18_224", "conv2d [N,64,56,56] [64,64,3,3]" PAD(1)},
	{"resnet18_224", "conv2d [N,64,56,56] [128,64,3,3]" STRIDE(2) PAD(1)},
	{"resnet18_224", "conv2d [N,64,56,56] [128,64,1,1]" STRIDE(2)},
	{"resnet18_224", "conv2d [N,128,28,28] [128,128,3,3]" PAD(1)},
	{"resnet18_224", "conv2d [N,128,28,28] [256,128,3,3]" STRIDE(2) PAD(1)},
	{"resnet18_224", "conv2d [N,128,28,28] [256,128,1,1]" STRIDE(2)},
	{"resnet18_224", "conv2d [N,256,14,14] [256,256,3,3]" PAD(1)},
	{"resnet18_224", "conv2d [N,256,14,14] [512,256,3,3]" STRIDE(2) PAD(1)},
	{"resnet18_224", "conv2d [N,256,14,14] [512,256,1,1]" STRIDE(2)},
	{"resnet18_224", "conv2d [N,512,7,7] [512,512,3,3]" PAD(1)},
	{"resnet18_112", "conv2d [N,3,112,112] [64,3,7,7]" STRIDE(2) PAD(3)},
	{"resnet18_112", "conv2d [N,64,28,28] [64,64,3,3]" PAD(1)},
	{"resnet18_112", "conv2d [N,64,28,28] [128,64,3,3]" STRIDE(2) PAD(1)},
	{"resnet18_112", "conv2d [N,128,14,14] [128,128,3,3]" PAD(1)},
	{"resnet18_112", "conv2d [N,256,7,7] [256,256,3,3]" PAD(1)},
	{"resnet18_112", "conv2d [N,512,4,4] [512,512,3,3]" PAD(1)},
	{"pointwise", "conv2d [N,64,56,56] [256,64,1,1]"},
	{"pointwise", "conv2d [N,256,56,56] [64,256,1,1]"},
	{"pointwise", "conv2d [N,512,28,28] [128,512,1,1]"},
	{"pointwise", "conv2d [N,1024,14,14] [256,1024,1,1]"},
	{"pointwise", "conv2d [N,2048,7,7] [512,2048,1,1]"},
	{"pointwise", "conv2d [N,128,28,28] [64,128,1,1]"},
	{"depthwise", "conv2d [N,64,56,56] [64,1,3,3] groups=64" PAD(1)},
	{"depthwise", "conv2d [N,128,56,56] [128,1,3,3] groups=128" STRIDE(2) PAD(1)},
	{"depthwise", "conv2d [N,128,28,28] [128,1,3,3] groups=128" PAD(1)},
	{"depthwise", "conv2d [N,256,14,14] [256,1,3,3] groups=256" PAD(1)},
	{"depthwise", "conv2d [N,512,14,14] [512,1,3,3] groups=512" STRIDE(2) PAD(1)},
	{"depthwise", "conv2d [N,512,7,7] [512,1,7,7] groups=512"},
	{"pnet", "conv2d [N,3,480,640] [10,3,3,3] [10]"},
	{"pnet", "prelu [N,10,478,638] [10]"},
	{"pnet", "max_pool2d [N,10,478,638] kernel_h=2 kernel_w=2 stride_h=2 stride_w=2 ceil_mode=1"},
	{"pnet", "conv2d [N,10,239,319] [16,10,3,3] [16]"},
	{"pnet", "conv2d [N,16,237,317] [32,16,3,3] [32]"},
	{"pnet", "conv2d [N,32,235,315] [4,32,1,1] [4]"},
	/* As inference runs them: bias, residual and ReLU in the convolution. */
	{"fused", "conv2d [N,64,56,56] [64,64,3,3] [64]" PAD(1) " act=1"},
	{"fused", "conv2d [N,128,28,28] [128,128,3,3] [128] [N,128,28,28]" PAD(1) " act=1"},
	{"fused", "conv2d [N,256,14,14] [256,256,3,3] [256] [N,256,14,14]" PAD(1) " act=1"},
	{"fused", "conv2d [N,512,7,7] [512,512,3,3] [512] [N,512,7,7]" PAD(1) " act=1"},
	{"norm", "batch_norm [N,64,112,112] [64] [64] [64] [64] act=1 training=1"},
	{"norm", "batch_norm [N,64,56,56] [64] [64] [64] [64] training=1"},
	{"norm", "batch_norm [N,256,14,14] [256] [256] [256] [256] training=1"},
	{"elementwise", "relu [N,64,112,112]"},
	{"elementwise", "add [N,64,56,56] [N,64,56,56] act=1"},
	{"pool", "max_pool2d [N,64,112,112] kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_h=1 pad_w=1"},
	{"pool", "avg_pool2d [N,64,56,56] kernel_h=2 kernel_w=2 stride_h=2 stride_w=2"},
	{"pool", "global_avg_pool [N,512,7,7]"},
	{"linear", "linear [N,512] [1000,512] [1000]"},
	{"linear", "linear [N,25088] [512,25088] [512]"},
	{"margin_linear", "margin_linear [N,512] [1140,512] i32[N] angle=0.5 training=1"},
	{"margin_linear", "margin_linear [N,512] [50000,512] i32[N] angle=0.5 training=1"},
	{"loss", "softmax_cross_entropy [N,1000] i32[N] smoothing=0.1"},
};

#endif
