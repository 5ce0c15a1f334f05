#!/usr/bin/python3
"""Makes tensors_{zip,legacy,deflated,proto4}.pth and tensors.safetensors: one tensor of each dtype, views, a scalar, an
empty tensor, a parameter, checkpoint clutter. Element i of each is (7 i mod 13) - 5 (unsigned: 7 i mod 13; bool: i
even). Run in this folder; needs torch, and safetensors for the last."""
import collections
import zipfile

import torch


def ramp(*shape, dtype):
    n = 1
    for d in shape:
        n *= d
    v = [7 * i % 13 for i in range(n)]
    if dtype == torch.bool:
        v = [i % 2 == 0 for i in range(n)]
    elif dtype != torch.uint8:
        v = [x - 5 for x in v]
    return torch.tensor(v).to(dtype).reshape(shape)


DTYPES = {"f32": torch.float32, "f64": torch.float64, "f16": torch.float16, "bf16": torch.bfloat16, "i8": torch.int8,
          "u8": torch.uint8, "bool": torch.bool, "i32": torch.int32, "i64": torch.int64}

plain = collections.OrderedDict((name, ramp(2, 3, dtype=dtype)) for name, dtype in DTYPES.items())
plain["scalar"] = torch.tensor(2.5)
plain["empty"] = torch.zeros(0, 4)
plain["rank6"] = ramp(1, 2, 1, 3, 1, 2, dtype=torch.float32)

views = collections.OrderedDict(plain)
base = ramp(4, 5, 6, dtype=torch.float32)
views["whole"] = base
views["permuted"] = base.permute(2, 0, 1)   # [6, 4, 5]
views["sliced"] = base[1:3, ::2, 1:5]       # [2, 3, 4]
views["stepped"] = base[:, 2, ::3]          # [4, 2]
views["parameter"] = torch.nn.Parameter(ramp(3, dtype=torch.float32))
views._metadata = collections.OrderedDict({"": {"version": 1}})

checkpoint = {"epoch": 3, "best": 0.5, "big": 1 << 70, "none": None, "flags": [True, False, -1, 300, 70000, -2.5e300],
              "arch": "näme", "blob": (1, (2, [3])), "state_dict": views,
              "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}}

torch.save(checkpoint, "tensors_zip.pth")
torch.save(checkpoint, "tensors_legacy.pth", _use_new_zipfile_serialization=False)
torch.save(views, "tensors_proto4.pth", pickle_protocol=4)
with zipfile.ZipFile("tensors_zip.pth") as a, zipfile.ZipFile("tensors_deflated.pth", "w", zipfile.ZIP_DEFLATED) as b:
    for name in a.namelist():
        b.writestr(zipfile.ZipInfo(name), a.read(name), zipfile.ZIP_DEFLATED)

try:
    from safetensors.torch import save_file
    save_file(plain, "tensors.safetensors", metadata={"format": "pt", "note": "a \"quoted\" näme"})
except ImportError:
    print("no safetensors package: tensors.safetensors not made")
