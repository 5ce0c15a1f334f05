#!/usr/bin/env python3
"""Makes trainer.safetensors: whole trainings of trainer_net.cfg in PyTorch, for tests/golden/test_trainer_curve.c.

photo [12, 32, 32, 3] u8 and label [12] i32: all of them are one batch, so that the order does not matter; the same
photos are validated in eval mode. init.NAME: the weights at the start. For each CASE: CASE.loss [epochs] f64, the loss
before each step; CASE.val [epochs] f64, the cross entropy in eval mode after it (of the averaged weights where there is
an average); CASE.end.NAME: weights and statistics in the end. Made with PyTorch 1.13.1, torchvision 0.14.1.
"""
import copy, json, os, struct
import numpy as np, torch
from torch import nn
from torchvision.models.resnet import BasicBlock

EPOCHS = 16
torch.set_num_threads(1)
torch.manual_seed(4)
rng = np.random.default_rng(4)
label = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2], np.int32)
photo = rng.integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
for i, c in enumerate(label):
    photo[i, ..., c] = photo[i, ..., c] // 2 + 100


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        down = nn.Sequential(nn.Conv2d(8, 16, 1, stride=2, bias=False), nn.BatchNorm2d(16))
        self.layer1 = nn.Sequential(BasicBlock(8, 16, 2, down))
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        x = self.layer1(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(x.mean((2, 3)))


start = Net().state_dict()
x = torch.from_numpy(photo.transpose(0, 3, 1, 2).copy()).float() / 255
x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
y = torch.from_numpy(label.astype(np.int64))
out = {"photo": photo, "label": label}
plain = nn.CrossEntropyLoss()


def keep(prefix, net):
    for name, value in net.state_dict().items():
        if "num_batches" not in name:
            out[prefix + name] = value.detach().numpy().astype(np.float32)


def train(case, make, loss, schedule, frozen=(), fixed_norm=False, move_norm=False, clip=0.0,
          ema=0.0):
    net = Net()
    net.load_state_dict(start)
    for name, p in net.named_parameters():
        p.requires_grad = not name.startswith(tuple(frozen))
    opt = make(net)
    sch = schedule(opt)
    mean = copy.deepcopy(net)
    losses, vals = [], []
    for t in range(EPOCHS):
        net.train()
        for name, m in net.named_modules():
            still = fixed_norm or (not move_norm and name.startswith(tuple(frozen)))
            if isinstance(m, nn.BatchNorm2d) and still:
                m.eval()
        opt.zero_grad()
        value = loss(net(x), y)
        value.backward()
        losses.append(value.item())
        if clip:
            nn.utils.clip_grad_norm_([p for p in net.parameters() if p.requires_grad], clip)
        opt.step()
        sch.step()
        d = min(ema, (2 + t) / (11 + t))
        with torch.no_grad():
            for a, b in zip(mean.state_dict().values(), net.state_dict().values()):
                a.copy_(d * a + (1 - d) * b if ema and a.is_floating_point() else b)
        mean.eval()
        with torch.no_grad():
            vals.append(plain(mean(x), y).item())
    out[case + ".loss"] = np.array(losses)
    out[case + ".val"] = np.array(vals)
    keep(case + ".end.", mean)


first = Net()
first.load_state_dict(start)
keep("init.", first)
steps = lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.1)
cosine = lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, EPOCHS)
balanced = torch.tensor([12 / (3 * 6), 12 / (3 * 4), 12 / (3 * 2)])
train("sgd", lambda n: torch.optim.SGD(n.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4), plain, steps)
train("adam", lambda n: torch.optim.Adam(n.parameters(), lr=0.01, weight_decay=1e-4), plain, steps)
train("classic", lambda n: torch.optim.Adam(n.fc.parameters(), lr=0.01, weight_decay=1e-4), plain, steps,
      frozen=["conv1", "bn1", "layer1"], move_norm=True)
groups = lambda n: [{"params": n.layer1.parameters(), "lr": 0.002}, {"params": n.fc.parameters()}]
train("faces", lambda n: torch.optim.AdamW(groups(n), lr=0.02, weight_decay=0.01),
      nn.CrossEntropyLoss(label_smoothing=0.1, weight=balanced), cosine, frozen=["conv1", "bn1"], fixed_norm=True,
      clip=0.3, ema=0.9)

head, data = {"__metadata__": {"made_by": "make_trainer.py, PyTorch " + torch.__version__}}, b""
kinds = {"float32": "F32", "float64": "F64", "uint8": "U8", "int32": "I32"}
for key, value in out.items():
    raw = np.ascontiguousarray(value).tobytes()
    head[key] = {"dtype": kinds[str(value.dtype)], "shape": list(value.shape),
                 "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(head, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "trainer.safetensors")
with open(path, "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)
print(path, os.path.getsize(path), "bytes;", len(out), "tensors")
