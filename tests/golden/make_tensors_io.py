#!/usr/bin/python3
"""Makes tensors_{zip,zip64,legacy,deflated,proto4,old}.pth and tensors.safetensors: one tensor of each dtype, views, a
scalar, an empty tensor, a parameter, checkpoint clutter. Element i of each is (7 i mod 13) - 5 (unsigned: 7 i mod 13;
bool: i even). Run in this folder; needs torch, and safetensors for the last."""
import collections
import pickle
import struct
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

# The same archive with a zip64 directory, as files of 4 GB have: sizes and offsets stand in extra fields.
data = open("tensors_zip.pth", "rb").read()
entries = zipfile.ZipFile("tensors_zip.pth").infolist()
start = struct.unpack("<I", data[-6:-2])[0]
directory = b""
for e in entries:
    extra = struct.pack("<HHQQQ", 1, 24, e.file_size, e.compress_size, e.header_offset)
    directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014b50, 45, 45, 0, 0, 0, 33, e.CRC, 0xffffffff, 0xffffffff,
                             len(e.filename), len(extra), 0, 0, 0, 0, 0xffffffff) + e.filename.encode() + extra
end64 = start + len(directory)
with open("tensors_zip64.pth", "wb") as f:
    f.write(data[:start] + directory)
    f.write(struct.pack("<IQHHIIQQQQ", 0x06064b50, 44, 45, 45, 0, 0, len(entries), len(entries), len(directory), start))
    f.write(struct.pack("<IIQI", 0x07064b50, 0, end64, 1))
    f.write(struct.pack("<IHHHHIIH", 0x06054b50, 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0))
assert torch.equal(torch.load("tensors_zip64.pth")["state_dict"]["whole"], base)

# As PyTorch 0.2 wrote under Python 2, which is how torchvision's first weights came: byte strings for text, an
# OrderedDict as a list of pairs, Parameters by their class with their state behind them, _rebuild_tensor without _v2.
def short(text):
    return b"U" + bytes([len(text)]) + text.encode()


def old_tensor(key, count, size, stride, parameter):
    tensor = (b"ctorch._utils\n_rebuild_tensor\n((" + short("storage") + b"ctorch\nFloatStorage\n" + short(key) +
              short("cpu") + b"K" + bytes([count]) + b"NtQK\0(" + b"".join(b"K" + bytes([s]) for s in size) + b"t(" +
              b"".join(b"K" + bytes([s]) for s in stride) + b"ttR")
    if not parameter:
        return tensor
    return b"ctorch.nn.parameter\nParameter\n" + tensor + b"\x85R(\x88\x89ccollections\nOrderedDict\n]\x85Rtb"


with open("tensors_old.pth", "wb") as f:
    for value in (0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True}):
        pickle.dump(value, f, protocol=2)
    f.write(b"\x80\x02ccollections\nOrderedDict\n](")
    for name, tensor in (("fc.weight", old_tensor("7", 6, (2, 3), (3, 1), True)),
                         ("bn.running_mean", old_tensor("8", 2, (2,), (1,), False))):
        f.write(b"](" + short(name) + tensor + b"e")
    f.write(b"e\x85R.")
    pickle.dump(["8", "7"], f, protocol=2)
    for values in (ramp(2, dtype=torch.float32), ramp(6, dtype=torch.float32)):
        f.write(struct.pack("<q", values.numel()) + values.numpy().tobytes())
print({name: t.shape for name, t in torch.load("tensors_old.pth").items()})

try:
    from safetensors.torch import save_file
    save_file(plain, "tensors.safetensors", metadata={"format": "pt", "note": "a \"quoted\" näme"})
except ImportError:
    print("no safetensors package: tensors.safetensors not made")
