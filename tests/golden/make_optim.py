#!/usr/bin/env python3
"""Makes optim.safetensors: PyTorch's optimisers and learning rate schedules, for tests/golden/test_optim.c.

grads [steps, 68] holds the gradients of two parameters, a [7, 5] and b [33], one behind the other; start [68] their
values. opt.CASE [steps, 68] holds the values after each step, lr.CASE [steps] the rates of a schedule (f64).
Made with PyTorch 1.13.1.
"""
import json, os, struct
import numpy as np, torch
from torch.optim import lr_scheduler as S

STEPS, EPOCHS, PER = 24, 30, 4
rng = np.random.default_rng(11)
start = rng.normal(size=68).astype(np.float32)
grads = (rng.normal(size=(STEPS, 68)) * np.exp(rng.normal(size=(STEPS, 1)))).astype(np.float32)
out = {"start": start, "grads": grads}


def run(name, make, clip=0.0, schedule=None, every=1):
    a = torch.nn.Parameter(torch.from_numpy(start[:35].reshape(7, 5).copy()))
    b = torch.nn.Parameter(torch.from_numpy(start[35:].copy()))
    opt = make(a, b)
    sch = schedule(opt) if schedule else None
    rows = []
    for t in range(STEPS):
        a.grad = torch.from_numpy(grads[t, :35].reshape(7, 5).copy())
        b.grad = torch.from_numpy(grads[t, 35:].copy())
        if clip:
            torch.nn.utils.clip_grad_norm_([a, b], clip)
        opt.step()
        if sch and (t + 1) % every == 0:
            sch.step()
        rows.append(np.concatenate([a.detach().numpy().ravel(), b.detach().numpy()]))
    out["opt." + name] = np.stack(rows).astype(np.float32)


SGD, Adam, AdamW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
run("sgd", lambda a, b: SGD([a, b], lr=0.05))
run("sgd_momentum", lambda a, b: SGD([a, b], lr=0.02, momentum=0.9, weight_decay=0.01))
run("sgd_dampening", lambda a, b: SGD([a, b], lr=0.02, momentum=0.8, dampening=0.3))
run("sgd_nesterov", lambda a, b: SGD([a, b], lr=0.02, momentum=0.9, weight_decay=0.001, nesterov=True))
run("adam", lambda a, b: Adam([a, b], lr=0.01))
run("adam_decay", lambda a, b: Adam([a, b], lr=0.01, weight_decay=0.1, betas=(0.8, 0.99), eps=1e-4))
run("adam_clip", lambda a, b: Adam([a, b], lr=0.01), clip=2.0)
run("adam_step", lambda a, b: Adam([a, b], lr=0.01), schedule=lambda o: S.StepLR(o, 7, 0.1))
run("adamw", lambda a, b: AdamW([a, b], lr=0.01, weight_decay=0.05))
run("adamw_groups", lambda a, b: AdamW([{"params": [a], "lr": 0.001}, {"params": [b], "weight_decay": 0.0}],
                                       lr=0.01, weight_decay=0.2))


def rates(name, make, per_step=False, lr=0.1):
    p = torch.nn.Parameter(torch.zeros(1))
    p.grad = torch.zeros(1)
    opt = SGD([p], lr=lr)
    by_epoch, by_step = make(opt)
    rows = []
    for _ in range(EPOCHS):
        for _ in range(PER):
            rows.append(opt.param_groups[0]["lr"])
            opt.step()
            if by_step:
                by_step.step()
        if by_epoch:
            by_epoch.step()
    out["lr." + name] = np.array(rows, np.float64)


warm = lambda o: S.LinearLR(o, 0.1, 1.0, 10)
rates("step", lambda o: (S.StepLR(o, 7, 0.1), None))
rates("multistep", lambda o: (S.MultiStepLR(o, [5, 12, 20], 0.3), None))
rates("cosine", lambda o: (S.CosineAnnealingLR(o, EPOCHS, 1e-4), None))
rates("cosine_per_step", lambda o: (None, S.CosineAnnealingLR(o, EPOCHS * PER, 1e-4)))
rates("warm", lambda o: (None, warm(o)))
rates("step_warm", lambda o: (S.StepLR(o, 3, 0.5), warm(o)))
rates("cosine_warm", lambda o: (None, S.ChainedScheduler([warm(o), S.CosineAnnealingLR(o, EPOCHS * PER)])))

metric = np.abs(1 / (1 + 0.2 * np.arange(60)) + 0.05 * rng.normal(size=60))
out["plateau.metric"] = metric


def plateau(name, lr=0.1, **kw):
    p = torch.nn.Parameter(torch.zeros(1))
    opt = SGD([p], lr=lr)
    sch = S.ReduceLROnPlateau(opt, **kw)
    rows = []
    for m in metric:
        sch.step(m if kw["mode"] == "min" else 1 - m)
        rows.append(opt.param_groups[0]["lr"])
    out["plateau." + name] = np.array(rows, np.float64)


plateau("min", mode="min", factor=0.5, patience=2, threshold=0.01, cooldown=0, min_lr=0.002)
plateau("max", mode="max", factor=0.3, patience=1, threshold=0.001, cooldown=3, min_lr=0)

head, data = {"__metadata__": {"made_by": "make_optim.py, PyTorch " + torch.__version__}}, b""
for key, value in out.items():
    raw = np.ascontiguousarray(value).tobytes()
    head[key] = {"dtype": {"float32": "F32", "float64": "F64"}[str(value.dtype)], "shape": list(value.shape),
                 "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(head, separators=(",", ":")).encode()
text += b" " * (-len(text) % 8)
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "optim.safetensors")
with open(path, "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)
print(path, os.path.getsize(path), "bytes;", len(out), "tensors")
