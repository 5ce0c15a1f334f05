#!/usr/bin/env python3
"""Makes image.bin and augment.bin: what Pillow and torchvision make of generated pictures.

usage: make_image.py [FOLDER]     (needs Pillow 9.4, torchvision 0.14; FOLDER: where this script is)
Each case is a line of text
    OP NAME N_PARAMS PARAMS... IN_W IN_H IN_CHANNELS SEED BLOB_BYTES OUT_TYPE OUT_W OUT_H OUT_CHANNELS
followed by the blob (an encoded image, for OP decode) and by the output (u8, or f4 little endian). The input picture
is pattern(IN_W, IN_H, IN_CHANNELS, SEED), which cases.h makes in the same way.
"""
import io, os, sys
import numpy as np
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms import functional as F

NEAREST, BILINEAR = T.InterpolationMode.NEAREST, T.InterpolationMode.BILINEAR
FOLDER = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))


def pattern(w, h, c, seed):
    """Ramps with noise on them; from seed 100 on, noise alone."""
    out, s = np.empty(w * h * c, np.uint8), seed
    for i in range(w * h * c):
        s = (s * 1664525 + 1013904223) & 0xffffffff
        x, y = i // c % w, i // c // w
        ramp = (x * 191 // w, y * 191 // h, 191 - (x + y) * 191 // (w + h))[i % c]
        out[i] = s >> 24 if seed >= 100 else ramp + (s >> 26)
    return out.reshape(h, w, c)


def picture(a):
    return Image.fromarray(a if a.shape[2] == 3 else a[..., 0])


class Writer:
    def __init__(self, name):
        self.path, self.data, self.count = os.path.join(FOLDER, name), b"", 0

    def add(self, op, name, params, shape, seed, out, blob=b""):
        out = np.asarray(out)
        kind = "f4" if out.dtype == np.float32 else "u8"
        if out.ndim == 2:
            out = out[..., None]
        h, w, c = out.shape
        fields = [op, name, len(params)] + [repr(float(p)) for p in params]
        fields += list(shape) + [seed, len(blob), kind, w, h, c]
        self.data += (" ".join(str(f) for f in fields) + "\n").encode() + blob
        self.data += out.astype("<f4" if kind == "f4" else "u1").tobytes()
        self.count += 1

    def close(self):
        with open(self.path, "wb") as f:
            f.write(self.data)
        print(f"{os.path.basename(self.path)}: {self.count} cases, {len(self.data)} bytes")


def encode(a, fmt, **options):
    b = io.BytesIO()
    im = a if isinstance(a, Image.Image) else picture(a)
    im.save(b, fmt, **options)
    return b.getvalue()


def decoded(blob):
    from PIL import ImageOps
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(blob))).convert("RGB"))


def add_decode(w, name, blob):
    w.add("decode", name, [], (0, 0, 0), 0, decoded(blob), blob)


def make_image():
    w = Writer("image.bin")
    for name, (iw, ih, c, seed), (ow, oh), box in [
            ("shrink", (37, 29, 3, 1), (16, 11), None), ("grow", (13, 9, 3, 2), (31, 22), None),
            ("shrink_noise", (64, 48, 3, 100), (7, 5), None), ("grey", (41, 23, 1, 3), (17, 19), None),
            ("same_width", (20, 33, 3, 4), (20, 12), None), ("same_height", (33, 20, 3, 5), (12, 20), None),
            ("same", (12, 12, 3, 6), (12, 12), None), ("one_pixel", (1, 1, 3, 7), (9, 6), None),
            ("to_one", (50, 40, 3, 101), (1, 1), None),
            ("box", (40, 30, 3, 8), (18, 14), (3.25, 1.5, 31.75, 28.125)),
            ("box_whole", (40, 30, 3, 9), (16, 16), (5, 6, 21, 22)),
            ("box_grow", (40, 30, 1, 102), (24, 24), (10.5, 3, 14.1, 6.9)),
            ("line", (600, 1, 3, 103), (40, 3), None), ("column", (1, 500, 3, 104), (2, 30), None)]:
        p = list(box) if box else []
        out = picture(pattern(iw, ih, c, seed)).resize((ow, oh), Image.BILINEAR, box=box)
        w.add("resize", name, p, (iw, ih, c), seed, out)
    for i, (m, size, fill) in enumerate([
            ((0.9, -0.3, 4.0, 0.25, 1.1, -3.0), (30, 26), (0, 0, 0)),
            ((1.7, 0, -2.5, 0, 0.6, 3.25), (28, 24), (9, 99, 200)),
            ((-1, 0, 32, 0, 1, 0), (32, 24), (1, 2, 3)),
            ((3.1, 2.2, -20, -1.9, 2.7, 5), (20, 20), (255, 0, 128)),
            ((2000.0, 1.0, -9000.5, 0.5, 0.5, 1.0), (24, 16), (7, 7, 7)),
            ((1, 1e-4, 0, -1e-4, 1, 0), (32, 24), (0, 0, 0))]):
        for bilinear in (0, 1):
            a = pattern(32, 24, 3, 110 + i)
            filter = Image.BILINEAR if bilinear else Image.NEAREST
            out = picture(a).transform(size, Image.AFFINE, m, filter, fillcolor=fill)
            w.add("affine", f"{i}_{bilinear}", list(m) + [bilinear] + list(fill), (32, 24, 3), 110 + i, out)
    w.add("gray", "rgb", [], (24, 18, 3), 120, picture(pattern(24, 18, 3, 120)).convert("L"))
    for name, mode, crop, resize, size, (iw, ih), seed in [
            ("stretch", 0, 1.0, 0, 24, (61, 43), 10), ("stretch_crop", 0, 0.6, 0, 20, (61, 43), 11),
            ("torchvision", 1, 1.0, 28, 24, (61, 43), 12), ("tall", 1, 1.0, 25, 24, (31, 57), 13),
            ("pad", 1, 0.875, 15, 22, (40, 64), 14), ("pad_both", 1, 1.0, 9, 24, (12, 12), 15),
            ("grow", 1, 0.5, 30, 21, (18, 17), 16)]:
        im = picture(pattern(iw, ih, 3, seed))
        if crop < 1:
            cw, ch = iw * crop, ih * crop
            im = im.crop((round((iw - cw) / 2), round((ih - ch) / 2), round((iw + cw) / 2), round((ih + ch) / 2)))
        im = T.Resize((size, size))(im) if mode == 0 else T.CenterCrop(size)(T.Resize(resize)(im))
        w.add("geometry", name, [mode, crop, resize, size], (iw, ih, 3), seed, im)
    im = picture(pattern(16, 12, 3, 121))
    out = F.normalize(F.to_tensor(im), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).numpy()
    w.add("normalize", "imagenet", [], (16, 12, 3), 121, np.ascontiguousarray(out.reshape(3 * 12, 16)))
    smooth = np.asarray(picture(pattern(9, 7, 3, 20)).resize((45, 37), Image.BICUBIC))
    for name, options in [("420", {}), ("422", {"subsampling": 1}), ("444", {"subsampling": 0, "quality": 95}),
                          ("progressive", {"progressive": True}), ("optimize", {"optimize": True, "quality": 40})]:
        add_decode(w, "jpeg_" + name, encode(smooth, "JPEG", **options))
    add_decode(w, "jpeg_grey", encode(picture(smooth).convert("L"), "JPEG"))
    add_decode(w, "jpeg_cmyk", encode(picture(smooth).convert("CMYK"), "JPEG", quality=90))
    small = smooth[:11, :17]
    for o in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = o
        add_decode(w, f"jpeg_orientation_{o}", encode(small, "JPEG", exif=exif))
    add_decode(w, "png_rgb", encode(small, "PNG"))
    add_decode(w, "png_grey", encode(picture(small).convert("L"), "PNG"))
    add_decode(w, "png_grey_alpha", encode(picture(small).convert("LA"), "PNG"))
    add_decode(w, "png_palette", encode(picture(small).quantize(7), "PNG"))
    add_decode(w, "png_bits", encode(picture(small).convert("1"), "PNG"))
    add_decode(w, "pnm_p6", encode(small, "PPM"))
    add_decode(w, "pnm_p5", encode(picture(small).convert("L"), "PPM"))
    add_decode(w, "pnm_p3", b"P3 # a comment\n2 2\n7\n0 1 2  3 4 5\n6 7 0 1 2 3")
    add_decode(w, "pnm_p2", b"P2\n3\n# another\n1 10 1 3 9")
    add_decode(w, "pnm_p6_maxval", b"P6 2 1 100\n" + bytes([0, 50, 100, 1, 2, 3]))
    add_decode(w, "pnm_p6_16", b"P6 1 2 1000\n" + bytes([0, 0, 3, 232, 1, 144, 0, 100, 2, 3, 0, 7]))
    w.close()


def tensor(im):
    return F.normalize(F.to_tensor(im), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def planes(t):
    a = t.numpy()
    return np.ascontiguousarray(a.reshape(a.shape[0] * a.shape[1], a.shape[2]))


def add_geometry(w):
    for i, (angle, size, fill) in enumerate([
            (17.0, (24, 24), (0, 0, 0)), (-30.0, (29, 20), (4, 50, 90)), (90.0, (20, 20), (0, 0, 0)),
            (-90.0, (20, 20), (0, 0, 0)), (90.0, (22, 16), (8, 8, 8)), (180.0, (19, 14), (0, 0, 0)),
            (0.0, (9, 9), (0, 0, 0)), (45.0, (23, 23), (255, 255, 255)), (1e-3, (18, 18), (0, 0, 0))]):
        for bilinear in (0, 1):
            im = picture(pattern(*size, 3, 30 + i))
            out = F.rotate(im, angle, BILINEAR if bilinear else NEAREST, fill=fill)
            w.add("rotate", f"{i}_{bilinear}", [angle, bilinear, *fill], (*size, 3), 30 + i, out)
    for i, (dx, dy, zoom) in enumerate([(3, -2, 1.0), (0, 0, 1.25), (-4, 5, 0.8), (1, 1, 1.1)]):
        for bilinear in (0, 1):
            im = picture(pattern(25, 21, 3, 40 + i))
            out = F.affine(im, 0, [dx, dy], zoom, [0.0, 0.0], BILINEAR if bilinear else NEAREST, fill=[5, 6, 7])
            w.add("shift", f"{i}_{bilinear}", [dx, dy, zoom, bilinear, 5, 6, 7], (25, 21, 3), 40 + i, out)
    boxes = [(0, 0, 40, 30, 24), (7, 3, 21, 26, 24), (30, 20, 10, 10, 17), (5, 5, 1, 2, 9)]
    for i, (x, y, cw, ch, size) in enumerate(boxes):
        im = picture(pattern(40, 30, 3, 130 + i))
        out = F.resized_crop(im, y, x, ch, cw, [size, size])
        w.add("resized_crop", str(i), [x, y, cw, ch, size], (40, 30, 3), 130 + i, out)


def add_colour(w):
    for seed in (50, 140):
        im = picture(pattern(20, 16, 3, seed))
        for op in ("brightness", "contrast", "saturation"):
            for factor in (0.0, 0.37, 1.0, 1.2, 2.75):
                w.add(op, f"{seed}_{factor}", [factor], (20, 16, 3), seed, getattr(F, "adjust_" + op)(im, factor))
        for factor in (-0.5, -0.2, 0.0, 0.013, 0.5):
            w.add("hue", f"{seed}_{factor}", [factor], (20, 16, 3), seed, F.adjust_hue(im, factor))
        w.add("grayscale", str(seed), [], (20, 16, 3), seed, F.rgb_to_grayscale(im, 3))
    for kernel, sigma, seed in [(3, 0.1, 60), (5, 1.0, 61), (9, 2.0, 150), (23, 4.0, 151)]:
        out = F.gaussian_blur(picture(pattern(26, 22, 3, seed)), kernel, sigma)
        w.add("blur", f"{kernel}_{sigma}", [kernel, sigma], (26, 22, 3), seed, out)
    for quality, seed in [(1, 62), (30, 63), (75, 152), (95, 64), (100, 153)]:
        im = picture(pattern(27, 21, 3, seed))
        w.add("jpeg", str(quality), [quality], (27, 21, 3), seed, decoded(encode(im, "JPEG", quality=quality)))


def add_recipes(w):
    """Crop, flip, rotate, jitter, grey, normalise, erase, in the order of the reference recipe."""
    names = ("brightness", "contrast", "saturation", "hue")
    for i, (crop, box, flip, angle, order, factors, gray, erase) in enumerate([
            (1.0, (4, 2, 30, 28), 1, 21.5, (3, 0, 2, 1), (1.13, 0.84, 1.19, -0.17), 0, (0, 0, 0, 0)),
            (0.6, (1, 1, 17, 19), 0, -12.25, (1, 2, 0, 3), (0.8, 1.2, 0.9, 0.2), 1, (0, 0, 0, 0)),
            (0.8, (0, 0, 32, 26), 1, 3.0, (2, 1, 3, 0), (1.0, 1.01, 0.5, 0.05), 0, (4, 6, 9, 11))]):
        size, seed = 24, 70 + i
        im = picture(pattern(40, 34, 3, seed))
        if crop < 1:
            cw, ch = 40 * crop, 34 * crop
            im = im.crop(tuple(round(v / 2) for v in (40 - cw, 34 - ch, 40 + cw, 34 + ch)))
        x, y, cw, ch = box
        im = F.resized_crop(im, y, x, ch, cw, [size, size])
        if flip:
            im = F.hflip(im)
        im = F.rotate(im, angle)
        for k in order:
            im = getattr(F, "adjust_" + names[k])(im, factors[k])
        if gray:
            im = F.rgb_to_grayscale(im, 3)
        t = tensor(im)
        if erase[2]:
            ex, ey, ew, eh = erase
            t = F.erase(t, ey, ex, eh, ew, torch.zeros(3, 1, 1))
        params = [crop, *box, flip, angle, *order, *[factors[k] for k in order], gray, *erase, size]
        w.add("recipe", str(i), params, (40, 34, 3), seed, planes(t))


def make_augment():
    w = Writer("augment.bin")
    add_geometry(w)
    add_colour(w)
    add_recipes(w)
    w.close()


if __name__ == "__main__":
    make_image()
    make_augment()
