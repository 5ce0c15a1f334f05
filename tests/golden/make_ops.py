#!/usr/bin/env python3
"""Makes ops.safetensors and quantized.safetensors: PyTorch's operators, forward and backward, for
tests/golden/test_ops.c.

Everything is computed in double from values that float holds exactly. The metadata has a text per case, such as
"conv2d training=1 stride_h=2", and the tensors are CASE.inI (f32, i32: labels, u8, i8), CASE.out, CASE.dout (f32),
CASE.dinI, CASE.afterI (running statistics after a training step); f64 unless said. Made with PyTorch 1.13.
"""
import json, os, struct
import numpy as np, torch, torch.nn.functional as F

rng = np.random.default_rng(5)
tensors, texts = {}, {}


def values(*shape):
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32).astype(np.float64))


def integers(*shape):
    return torch.from_numpy(rng.integers(-2, 3, size=shape).astype(np.float64))


def positive(*shape):
    return torch.from_numpy(rng.uniform(0.3, 2, size=shape).astype(np.float32).astype(np.float64))


def put(name, t, dtype):
    tensors[name] = np.array(t.detach().numpy(), dtype, order="C")


def case(name, text, inputs, forward, grad=None, after=()):
    """inputs: by index, None where absent. grad: which get a gradient (none: forward only)."""
    grad = [i for i, t in enumerate(inputs) if t is not None and t.is_floating_point()] if grad is None else grad
    x = [None if t is None else t.clone() for t in inputs]
    for i in grad:
        x[i].requires_grad_()
    for i, t in enumerate(inputs):
        if t is not None:
            put("%s.in%d" % (name, i), t, {torch.uint8: np.uint8, torch.int8: np.int8}.get(
                t.dtype, np.float32 if t.is_floating_point() else np.int32))
    y = forward(*x)
    texts[name] = text
    put(name + ".out", y.double(), np.float64)
    for i in after:
        put("%s.after%d" % (name, i), x[i], np.float64)
    if not grad:
        return
    # A gradient that the output's dtype holds exactly.
    dy = values(*y.shape).to(y.dtype)
    put(name + ".dout", dy.double(), np.float32)
    y.backward(dy)
    for i in grad:
        put("%s.din%d" % (name, i), x[i].grad, np.float64)


def conv(name, text, n, c, h, w, k, r, s, bias=True, pad=(0, 0, 0, 0), stride=(1, 1), dilation=(1, 1), groups=1):
    """pad: top, left, bottom, right."""
    args = " ".join("%s=%d" % a for a in zip(
        "pad_top pad_left pad_bottom pad_right stride_h stride_w dilation_h dilation_w groups".split(),
        (*pad, *stride, *dilation, groups)))
    inputs = [values(n, c, h, w), values(k, c // groups, r, s)] + ([values(k)] if bias else [])

    def forward(x, w, b=None):
        top, left, bottom, right = pad
        return F.conv2d(F.pad(x, (left, right, top, bottom)), w, b, stride, 0, dilation, groups)
    case(name, "conv2d " + args + text, inputs, forward)
    return inputs


conv("conv_3x3", "", 2, 3, 6, 5, 4, 3, 3, pad=(1, 1, 1, 1))
conv("conv_7x7", "", 1, 3, 11, 12, 4, 7, 7, bias=False, pad=(3, 3, 3, 3), stride=(2, 2))
conv("conv_1x1_stride", "", 2, 4, 7, 6, 3, 1, 1, bias=False, stride=(2, 2))
conv("conv_1x1", "", 2, 5, 4, 3, 6, 1, 1)
conv("conv_groups", "", 1, 6, 5, 5, 4, 3, 3, pad=(1, 1, 1, 1), groups=2)
conv("conv_depthwise", "", 2, 4, 6, 6, 8, 3, 2, pad=(1, 0, 1, 0), stride=(2, 1), groups=4)
conv("conv_dilated", "", 1, 2, 9, 8, 3, 3, 3, pad=(2, 3, 2, 3), dilation=(2, 3))
conv("conv_asymmetric", "", 1, 2, 5, 6, 3, 3, 3, pad=(0, 1, 2, 3), stride=(2, 3))
conv("conv_all", "", 2, 6, 8, 7, 6, 2, 3, pad=(1, 2, 0, 1), stride=(3, 2), dilation=(2, 1), groups=3)
same = "conv2d pad_top=1 pad_left=1 pad_bottom=1 pad_right=1 "
case("conv_relu", same + "act=1", [values(1, 3, 5, 4), values(4, 3, 3, 3), values(4)],
     lambda x, w, b: F.relu(F.conv2d(x, w, b, padding=1)), [])
case("conv_leaky", same + "act=2 act_slope=0.125", [values(1, 3, 5, 4), values(4, 3, 3, 3)],
     lambda x, w: F.leaky_relu(F.conv2d(x, w, padding=1), 0.125), [])
case("conv_residual", same + "act=1", [values(1, 3, 5, 4), values(4, 3, 3, 3), values(4), values(1, 4, 5, 4)],
     lambda x, w, b, z: F.relu(F.conv2d(x, w, b, padding=1) + z), [])


def norm(name, shape, training, affine=True, text="", momentum=0.1, eps=1e-5, act=lambda y: y, grad=None):
    c = shape[1]
    inputs = [values(*shape) * 2 + 0.5] + [values(c) if affine else None for _ in range(2)] + [values(c), positive(c)]
    inputs[0] = inputs[0].float().double()

    def forward(x, w, b, m, v):
        return act(F.batch_norm(x, m, v, w, b, training, momentum, eps))
    case(name, "batch_norm" + text, inputs, forward, [0, 1, 2] if affine else [0], (3, 4))


norm("bn_train", (3, 4, 3, 2), True, text=" training=1")
norm("bn_features", (6, 5), True, text=" training=1")
norm("bn_plain", (4, 3, 2, 2), True, affine=False, text=" training=1")
norm("bn_settings", (5, 3, 1, 2), True, text=" training=1 momentum=0.25 eps=0.001", momentum=0.25, eps=1e-3)
norm("bn_eval", (2, 4, 3, 2), False)
norm("bn_frozen", (2, 4, 3, 2), False, text=" training=1 frozen=1")
norm("bn_relu", (3, 4, 3, 2), True, text=" training=1 act=1", act=F.relu)
norm("bn_leaky", (3, 4, 3, 2), True, text=" training=1 act=2 act_slope=0.25", act=lambda y: F.leaky_relu(y, 0.25))
norm("bn_frozen_relu", (2, 4, 3, 2), False, text=" training=1 frozen=1 act=1", act=F.relu)

case("relu", "relu", [integers(2, 3, 4)], F.relu)
case("leaky_relu", "leaky_relu slope=0.2", [integers(2, 3, 4)], lambda x: F.leaky_relu(x, 0.2))
case("prelu_channels", "prelu", [integers(2, 3, 4, 2), values(3)], F.prelu)
case("prelu_one", "prelu", [values(2, 3, 4), values(1)], F.prelu)
case("prelu_features", "prelu", [values(4, 3), values(3)], F.prelu)
case("sigmoid", "sigmoid", [values(3, 7) * 8], torch.sigmoid)
case("softmax", "softmax", [values(4, 6) * 4], lambda x: F.softmax(x, 1))
case("softmax_last", "softmax axis=-1", [values(2, 3, 2, 4)], lambda x: F.softmax(x, -1))
case("softmax_channels", "softmax axis=1", [values(2, 3, 2, 4)], lambda x: F.softmax(x, 1))
case("softmax_first", "softmax axis=0", [values(3, 4)], lambda x: F.softmax(x, 0))


def pool(op, name, x, kernel, stride, pad, ceil, count=True):
    text = "%s_pool2d kernel_h=%d kernel_w=%d stride_h=%d stride_w=%d pad_h=%d pad_w=%d ceil_mode=%d" % (
        op, *kernel, *stride, *pad, ceil)
    if op == "max":
        case(name, text, [x], lambda x: F.max_pool2d(x, kernel, stride, pad, ceil_mode=ceil))
    else:
        case(name, text + " count_include_pad=%d" % count, [x],
             lambda x: F.avg_pool2d(x, kernel, stride, pad, ceil, count))


for op in "max", "avg":
    pool(op, op + "_resnet", values(2, 2, 7, 6), (3, 3), (2, 2), (1, 1), False)
    pool(op, op + "_ceil", values(1, 2, 6, 7), (3, 3), (2, 2), (0, 0), True)
    pool(op, op + "_ceil_pad", values(1, 2, 6, 8), (3, 3), (2, 3), (1, 1), True)
    # ceil would begin a window in the right padding: it is dropped.
    pool(op, op + "_ceil_drop", values(1, 2, 5, 4), (2, 2), (3, 2), (1, 1), True)
    pool(op, op + "_odd", values(1, 3, 9, 5), (4, 2), (1, 3), (2, 1), False)
pool("max", "max_ties", integers(2, 3, 8, 8), (3, 3), (2, 2), (1, 1), False)
pool("avg", "avg_exclude", values(1, 2, 6, 8), (3, 3), (2, 3), (1, 1), True, False)
pool("avg", "avg_exclude_floor", values(1, 2, 5, 5), (4, 3), (2, 2), (2, 1), False, False)
case("global_avg_pool", "global_avg_pool", [values(2, 3, 5, 4)], lambda x: F.adaptive_avg_pool2d(x, 1))

case("linear", "linear", [values(3, 10), values(4, 10), values(4)], F.linear)
case("linear_plain", "linear", [values(2, 7), values(5, 7)], F.linear)
case("linear_relu", "linear act=1", [values(3, 6), values(4, 6), values(4)], lambda *a: F.relu(F.linear(*a)))
case("linear_leaky", "linear act=2 act_slope=0.5", [values(3, 6), values(4, 6), values(4)],
     lambda *a: F.leaky_relu(F.linear(*a), 0.5))

case("add", "add", [values(2, 3, 4), values(2, 3, 4)], torch.add)
case("add_relu", "add act=1", [integers(2, 3, 4), integers(2, 3, 4)], lambda a, b: F.relu(a + b))
case("mul", "mul", [values(2, 3, 4), values(2, 3, 4)], torch.mul)
case("mul_gate", "mul", [values(2, 3, 4, 2), values(2, 3, 1, 1)], torch.mul)
case("concat", "concat", [values(2, 1, 3), values(2, 4, 3), values(2, 2, 3)], lambda *x: torch.cat(x, 1))
case("concat_first", "concat axis=0", [values(1, 4), values(3, 4)], lambda *x: torch.cat(x, 0))
case("concat_last", "concat axis=-1", [values(2, 2, 3, 1), values(2, 2, 3, 4)], lambda *x: torch.cat(x, -1))
case("flatten", "flatten", [values(2, 3, 2, 2)], lambda x: torch.flatten(x, 1))
case("flatten_late", "flatten start=2", [values(2, 3, 2, 2)], lambda x: torch.flatten(x, 2))
case("reshape", "reshape ndim=3 d0=0 d1=-1 d2=4", [values(2, 3, 2, 2)], lambda x: x.reshape(2, -1, 4))
case("dropout_eval", "dropout p=0.5", [values(3, 4)], lambda x: F.dropout(x, 0.5, False))
case("l2", "l2_normalize", [values(3, 5)], lambda x: F.normalize(x))
case("l2_images", "l2_normalize", [values(2, 3, 2, 2)], lambda x: F.normalize(x))
case("l2_short", "l2_normalize eps=0.5", [values(3, 4) * 0.25], lambda x: F.normalize(x, eps=0.5))
DTYPES = {"f64": (1, torch.float64), "f16": (2, torch.float16), "bf16": (3, torch.bfloat16)}
for name, (number, dtype) in DTYPES.items():
    case("cast_" + name, "cast dtype=%d" % number, [values(3, 7)], lambda x: x.to(dtype))

LOGITS, Y = (6, 4), torch.tensor([2, 0, 3, 1, 1, 0])
IGNORED = torch.tensor([2, -1, 3, 1, -1, 0])


def entropy(name, text, y, weight=None, smoothing=0.0, scale=1.0):
    case(name, "softmax_cross_entropy" + text, [(values(*LOGITS) * scale).float().double(), y, weight],
         lambda x, y, w: F.cross_entropy(x, y, w, ignore_index=-1, label_smoothing=smoothing), [0])


entropy("ce", "", Y)
entropy("ce_far", "", Y, scale=200)
entropy("ce_ignore", "", IGNORED)
entropy("ce_weight", "", Y, positive(4))
entropy("ce_smooth", " smoothing=0.1", Y, smoothing=0.1)
entropy("ce_all", " smoothing=0.2", IGNORED, positive(4), 0.2)


def mixed(x, y, w, b, lam, smoothing):
    """MixUp with class weights: numerator and weight mixed sample by sample."""
    one = torch.ones(x.shape[1], dtype=torch.float64) if w is None else w
    loss, total = 0, 0
    for labels, share in (y, lam), (b, 1 - lam):
        for n in range(len(labels)):
            if labels[n] >= 0:
                loss = loss + share[n] * F.cross_entropy(x[n:n + 1], labels[n:n + 1], one, reduction="sum",
                                                         label_smoothing=smoothing)
                total = total + share[n] * one[labels[n]]
    return loss / total


B = torch.tensor([1, 0, 0, 2, 3, 1])
LAMBDA = positive(6) / 2
# Without class weights that is PyTorch's cross entropy with probabilities as targets.
share = LAMBDA[:, None] * F.one_hot(Y, 4) + (1 - LAMBDA[:, None]) * F.one_hot(B, 4)
x = values(*LOGITS)
assert abs(mixed(x, Y, None, B, LAMBDA, 0.1) - F.cross_entropy(x, share, label_smoothing=0.1)) < 1e-12
case("ce_mixup", "softmax_cross_entropy smoothing=0.1", [x, Y, None, B, LAMBDA],
     lambda x, y, w, b, lam: F.cross_entropy(x, share, label_smoothing=0.1), [0])
case("ce_mixup_all", "softmax_cross_entropy smoothing=0.1", [values(*LOGITS), IGNORED, positive(4), B, LAMBDA],
     lambda x, y, w, b, lam: mixed(x, y, w, b, lam, 0.1), [0])

case("ce_none", "softmax_cross_entropy allow_none=1", [values(2, 3), torch.tensor([-1, -1])],
     lambda x, y: x.sum() * 0, [0])


def margin_logits(x, w, y, scale, angle, cosine, share=1):
    """ArcFace's and CosFace's logits as insightface has them (easy_margin off); share: of the margins, [N, 1]."""
    cos = F.normalize(x) @ F.normalize(w).T
    if y is None:
        return scale * cos
    angle, cosine = share * torch.tensor(angle, dtype=cos.dtype), share * cosine
    theta_plus = torch.cos(torch.acos(cos) + angle)
    kept = torch.where(cos > torch.cos(np.pi - angle), theta_plus, cos - torch.sin(np.pi - angle) * angle) - cosine
    own = torch.zeros_like(cos, dtype=torch.bool)
    for i, label in enumerate(y):
        if label >= 0:
            own[i, label] = True
    return scale * torch.where(own, kept, cos)


def margin(name, text, labels, scale, angle, cosine, training=True, opposite=False):
    x, w = values(6, 5), values(4, 5)
    if opposite:  # beyond pi with the margin
        x[0] = -w[labels[0]] + 0.0625 * values(5)
        x = x.float().double()
    y = torch.tensor(labels) if labels else None
    case(name, "margin_linear scale=%g angle=%g cosine=%g training=%d%s" % (scale, angle, cosine, training, text),
         [x, w, y] if labels else [x, w],
         lambda x, w, y=None: margin_logits(x, w, y if training else None, scale, angle, cosine), [0, 1])


LABELS = [0, 3, 1, -1, 2, 3]
margin("arcface", "", LABELS, 64, 0.5, 0)
margin("arcface_opposite", "", LABELS, 8, 0.5, 0, opposite=True)
margin("cosface", "", LABELS, 64, 0, 0.35)
# A margin that grows: each sample with its share, from none to all.
case("margin_both", "margin_linear scale=30 angle=0.25 cosine=0.125 training=1",
     [values(6, 5), values(4, 5), torch.tensor(LABELS), torch.tensor([0, 0.25, 0.5, 0.75, 1, 0.125]).double()],
     lambda x, w, y, share: margin_logits(x, w, y, 30, 0.25, 0.125, share[:, None]), [0, 1])
margin("margin_none", "", None, 16, 0.5, 0)
margin("margin_inference", "", LABELS, 16, 0.5, 0, training=False)


def triplets(x, y, margin, mining):
    """Every triplet looked at by itself."""
    u = F.normalize(x)
    d = ((u[:, None] - u[None]) ** 2).sum(2)
    n, terms = len(y), []
    for a in range(n):
        own = [p for p in range(n) if p != a and y[p] == y[a] >= 0]
        other = [k for k in range(n) if y[k] >= 0 and y[k] != y[a]]
        if mining == 2 and own and other:
            terms.append(max(d[a, p] for p in own) - min(d[a, k] for k in other) + margin)
        for p in own if mining < 2 else []:
            if mining == 0:
                terms += [d[a, p] - d[a, k] + margin for k in other if d[a, p] - d[a, k] + margin > 0]
            elif other:
                farther = [d[a, k] for k in other if d[a, k] > d[a, p]]
                terms.append(d[a, p] - (min(farther) if farther else max(d[a, k] for k in other)) + margin)
    return torch.stack([F.relu(t) for t in terms]).mean() if terms else x.sum() * 0


PEOPLE = [0, 1, 0, 2, -1, 1, 0, 2, 1]
for mining, what in enumerate(["all", "semi_hard", "hard"]):
    case("triplet_" + what, "triplet_loss margin=0.25 mining=%d" % mining, [values(9, 4), torch.tensor(PEOPLE)],
         lambda x, y: triplets(x, y, 0.25, mining), [0])
case("triplet_alone", "triplet_loss", [values(3, 4), torch.tensor([0, 1, 2])], lambda x, y: triplets(x, y, 0.2, 1), [0])


def centers(x, y, c, rate):
    """Wen et al. 2016, equations 2 to 4, with the mean over the batch; c moves."""
    kept = [i for i in range(len(y)) if y[i] >= 0]
    loss = ((x[kept] - c.clone()[y[kept]]) ** 2).sum() / 2 / max(1, len(kept))
    with torch.no_grad():
        before = c.clone()
        for j in set(y[kept].tolist()):
            own = [i for i in kept if y[i] == j]
            c[j] -= rate * (before[j] - x[own]).sum(0) / (1 + len(own))
    return loss


case("center", "center_loss rate=0.25 training=1", [values(9, 4), torch.tensor(PEOPLE), values(4, 4)],
     lambda x, y, c: centers(x, y, c, 0.25), [0], (2,))
case("center_still", "center_loss", [values(9, 4), torch.tensor(PEOPLE), values(4, 4)],
     lambda x, y, c: centers(x, y, c, 0), [0], (2,))


def distill(a, b, weight):
    s, t = F.normalize(a), F.normalize(b)
    return (1 - F.cosine_similarity(a, b)).mean() + weight * F.mse_loss(s @ s.T, t @ t.T)


for weight in (0, 1, 20):
    case("distill_%d" % weight, "distill_loss similarity=%d" % weight, [values(7, 5), values(7, 5)],
         lambda a, b: distill(a, b, weight), [0])
case("exp", "exp", [values(2, 5)], torch.exp)
case("clamp", "clamp min=-0.5 max=1", [values(3, 5)], lambda x: x.clamp(-0.5, 1))
case("clamp_one", "clamp max=0.25", [values(3, 5)], lambda x: x.clamp(max=0.25))
case("affine", "affine", [values(2, 3, 2, 1), values(1, 3, 1, 1), values(1, 3, 1, 1)], lambda x, a, b: x * a + b)
case("affine_scale", "affine", [values(2, 3, 4), values(1, 1, 1)], torch.mul)
case("affine_shift", "affine", [values(2, 3, 4), None, values(1, 3, 4)], lambda x, a, b: x + b)
case("affine_last", "affine", [values(2, 2, 3), values(2, 1, 3), values(1, 1, 3)], lambda x, a, b: x * a + b)
case("permute", "permute p1=2 p2=3 p3=1", [values(2, 2, 3, 2)], lambda x: x.permute(0, 2, 3, 1))
case("permute_all", "permute p0=2 p1=0 p2=1", [values(2, 3, 4)], lambda x: x.permute(2, 0, 1))
case("slice", "slice axis=2 start=1 end=3", [values(2, 3, 5)], lambda x: x[:, :, 1:3])
case("slice_end", "slice start=-2", [values(2, 5, 3)], lambda x: x[:, -2:])
case("pad2d", "pad2d top=1 left=2 bottom=3 right=0", [values(1, 2, 3, 2)], lambda x: F.pad(x, (2, 0, 1, 3)))
case("pad2d_value", "pad2d left=1 right=1 value=-0.5", [values(1, 2, 2, 2)],
     lambda x: F.pad(x, (1, 1, 0, 0), value=-0.5))
case("resize", "resize_nearest scale_h=2 scale_w=2", [values(1, 2, 3, 2)], lambda x: F.interpolate(x, scale_factor=2))
case("resize_odd", "resize_nearest scale_h=3 scale_w=1", [values(1, 2, 3, 2)],
     lambda x: F.interpolate(x, size=(9, 2), mode="nearest"))
for norm in 1, 2, 3:  # PyTorch takes no absolute values of odd powers, and its ceil_mode scales windows that are cut
    case("lp_pool_%d" % norm, "lp_pool2d kernel_h=3 kernel_w=2 stride_h=2 stride_w=1 norm=%d" % norm,
         [positive(1, 2, 5, 4)], lambda x: F.lp_pool2d(x, norm, (3, 2), (2, 1)))
case("lp_pool_signs", "lp_pool2d kernel_h=3 kernel_w=3 stride_h=3 stride_w=3", [values(1, 2, 6, 7)],
     lambda x: F.lp_pool2d(x, 2, 3, 3))
case("lp_pool_pad", "lp_pool2d kernel_h=3 kernel_w=3 stride_h=2 stride_w=2 pad_h=1 pad_w=1", [values(1, 2, 4, 5)],
     lambda x: F.lp_pool2d(F.pad(x, (1, 1, 1, 1)), 2, 3, 2))
case("lrn", "local_response_norm size=5", [values(2, 7, 2, 1)], lambda x: F.local_response_norm(x, 5))
case("lrn_settings", "local_response_norm size=3 alpha=0.5 beta=0.6 k=2", [values(2, 4, 2, 3)],
     lambda x: F.local_response_norm(x, 3, 0.5, 0.6, 2))



def unsigned(*shape):
    return torch.from_numpy(rng.integers(0, 256, size=shape).astype(np.uint8))


def signed(*shape):
    return torch.from_numpy(rng.integers(-127, 128, size=shape).astype(np.int8))


def to_bytes(t, zero):
    return torch.clamp(torch.round(t) + zero, 0, 255)


# Quantised values. PyTorch's own sums of bytes round their bias first, so these sums are exact ones in double, and what
# follows is float32, operation by operation.
for zero in 0, 77:
    q = dict(scale=0.03125 if zero else 0.02, zero=zero)
    case("quantize_%d" % zero, "quantize scale=%(scale)g zero=%(zero)d" % q, [2 * values(5, 9)],
         lambda x: torch.quantize_per_tensor(x.float(), q["scale"], zero, torch.quint8).int_repr(), [])
    case("dequantize_%d" % zero, "dequantize scale=%(scale)g zero=%(zero)d" % q, [unsigned(3, 7)],
         lambda x: torch._make_per_tensor_quantized_tensor(x, q["scale"], zero).dequantize(), [])
    case("quantized_pool_%d" % zero, "quantized_global_avg_pool scale=%(scale)g zero=%(zero)d" % q,
         [unsigned(2, 3, 4, 4)],
         lambda x: np.float32(q["scale"] / 16) * (x.double() - zero).sum((2, 3), keepdim=True).float(), [])
    case("quantized_linear_%d" % zero, "quantized_linear input_zero=%d" % zero,
         [unsigned(3, 70), signed(5, 70), positive(5) / 1024, values(5)],
         lambda x, w, s, b: s.float() * F.linear(x.double() - zero, w.double()).float() + b.float(), [])


def quantized_conv(name, x, w, residual=None, slope=None, relu=False, pad=0, stride=1, groups=1, zeros=(0, 0, 0)):
    scale, bias = positive(w.shape[0]) / (8 * w[0].numel()), 32 * values(w.shape[0]) + 32
    text = ("quantized_conv2d pad_top={0} pad_left={0} pad_bottom={0} pad_right={0} stride_h={1} stride_w={1} "
            "groups={2} input_zero={3} residual_zero={4} output_zero={5} residual_scale=0.375 relu={6}").format(
                pad, stride, groups, *zeros, int(relu))

    def forward(x, w, s, b, z=None, slope=None):
        total = F.conv2d(x.double() - zeros[0], w.double(), None, stride, pad, 1, groups).float()
        t = s.float()[:, None, None] * total + b.float()[:, None, None]
        if z is not None:
            t = t + np.float32(0.375) * (z.float() - zeros[1])
        if slope is not None:
            t = torch.where(t <= 0, slope.float()[:, None, None] * t, t)
        return to_bytes(F.relu(t) if relu else t, zeros[2])
    case(name, text, [x, w, scale, bias, residual, slope], forward, [])


quantized_conv("quantized_conv", unsigned(2, 5, 6, 7), signed(4, 5, 3, 3), pad=1, relu=True)
quantized_conv("quantized_conv_zeros", unsigned(1, 70, 5, 4), signed(6, 70, 3, 3), pad=1, zeros=(131, 0, 120))
quantized_conv("quantized_conv_residual", unsigned(1, 64, 5, 5), signed(64, 64, 3, 3), unsigned(1, 64, 5, 5), pad=1,
               relu=True, zeros=(0, 128, 0))
quantized_conv("quantized_conv_slope", unsigned(2, 8, 5, 5), signed(16, 8, 1, 1), slope=values(16), stride=2,
               zeros=(12, 0, 90))
quantized_conv("quantized_conv_photo", unsigned(1, 3, 17, 15), signed(8, 3, 7, 7), pad=3, stride=2, relu=True,
               zeros=(114, 0, 0))
quantized_conv("quantized_conv_groups", unsigned(1, 6, 5, 4), signed(6, 2, 3, 3), unsigned(1, 6, 3, 2), groups=3,
               zeros=(3, 5, 7))


# As torchvision does it: to_tensor, normalize, erase.
def normalized(x, boxes=None):
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    y = x.float().div(255).sub(mean).div(std)
    for i, (left, top, width, height) in enumerate([] if boxes is None else boxes.tolist()):
        y[i, :, top:top + height, left:left + width] = 0
    return y


normalize = "normalize_bytes mean0=0.485 mean1=0.456 mean2=0.406 std0=0.229 std1=0.224 std2=0.225"
case("normalize", normalize, [unsigned(2, 3, 16, 11)], normalized, [])
case("normalize_erased", normalize, [unsigned(3, 3, 5, 7), torch.tensor([[0, 0, 0, 0], [2, 1, 3, 4], [0, 0, 7, 5]])],
     normalized, [])


def write(name, texts):
    header, data = {"__metadata__": texts}, b""
    for key, array in tensors.items():
        if key.split(".")[0] not in texts:
            continue
        kind = {"float32": "F32", "float64": "F64", "int32": "I32", "uint8": "U8", "int8": "I8"}[array.dtype.name]
        header[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 64)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    print("%s: %d cases, %d bytes" % (name, len(texts), len(text) + len(data)))


bytewise = {name: text for name, text in texts.items() if "quantize" in text or "normalize_bytes" in text}
write("quantized.safetensors", bytewise)
write("ops.safetensors", {name: text for name, text in texts.items() if name not in bytewise})
