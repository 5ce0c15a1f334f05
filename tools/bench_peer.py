#!/usr/bin/env python3
"""One peer, timed on one piece of work, in a process of its own; `bench_peers` runs it. Prints one JSON object.

usage: bench_peer.py export FILE.onnx --net resnet18 --batch 1 --size 224x224   (needs torch and torchvision)
       bench_peer.py convert PEER FILE.onnx                                     (for ncnn and MNN)
       bench_peer.py quantize FILE.onnx OUT.onnx                                (needs onnxruntime and onnx)
       bench_peer.py time PEER FORM --net N --mode infer|train --precision fp32|bf16|int8 --batch B --size HxW
                     --freeze F --threads T --seconds S [--onnx FILE.onnx]
       bench_peer.py version PEER

Peers and their forms: torch (nchw, nhwc, frozen; nhwc_malloc trains with memory that malloc keeps, as a planned arena
would), onnxruntime, openvino, ncnn, mnn (default). A network is torchvision's of that name, or else phiz's own
(bench_nets.py). For int8, onnxruntime and openvino run what ONNX Runtime's static
quantisation makes of the network: 8 bits, scales per output channel, calibrated on made-up pictures.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

FROZEN = {"none": (), "layer4": ("conv1", "bn1", "layer1", "layer2", "layer3"),
          "fc": ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")}

OUTPUTS = {"mtcnn_pnet": ["y", "z"]}  # of others: y


def outputs_of(args):
    return OUTPUTS.get(args.net, ["y"])


def shape_of(args):
    return [args.batch, 3, *args.size]


def made_up(args):
    import numpy
    return numpy.random.randn(*shape_of(args)).astype("f")


def torch_net(args, x):
    import torchvision
    known = getattr(torchvision.models, args.net, None)
    if known:
        return known()
    import bench_nets
    return bench_nets.Net(args.net, x)


def torch_step(args):
    import torch
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    x = torch.randn(*shape_of(args))
    net = torch_net(args, x)
    if args.form.startswith("nhwc"):
        net = net.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    cast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16")
    if args.mode == "infer":
        net.eval()
        with torch.inference_mode():
            if args.form == "frozen":
                net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))

        def run():
            with torch.inference_mode(), cast:
                net(x)
        return run
    net.train()
    for name in FROZEN[args.freeze]:
        part = getattr(net, name)
        part.eval()
        for p in part.parameters():
            p.requires_grad = False
    y = torch.randint(0, 1000, (args.batch,))
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-6, momentum=0.9, weight_decay=1e-4)

    def step():
        with cast:
            loss = torch.nn.functional.cross_entropy(net(x).float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()
    return step


def onnxruntime_step(args):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = args.threads, 1
    session = onnxruntime.InferenceSession(args.onnx, options, providers=["CPUExecutionProvider"])
    x = made_up(args)
    return lambda: session.run(None, {"x": x})


def openvino_step(args):
    import openvino
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": args.threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if args.precision == "fp32":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    request = core.compile_model(args.onnx, "CPU", settings).create_infer_request()
    x = made_up(args)
    return lambda: request.infer([x])


def ncnn_step(args):
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = args.threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = args.precision == "bf16"
    base = os.path.splitext(args.onnx)[0]
    if net.load_param(base + ".ncnn.param") or net.load_model(base + ".ncnn.bin"):
        sys.exit("bench_peer: ncnn does not read what pnnx wrote")
    x = made_up(args)

    def run():
        for picture in x:  # ncnn knows no batches
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(picture))
            for name in net.output_names():
                extractor.extract(name)
    return run


def mnn_step(args):
    import MNN.expr
    import MNN.nn
    config = {"backend": "CPU", "numThread": args.threads, "precision": "high" if args.precision == "fp32" else "low"}
    manager = MNN.nn.create_runtime_manager((config,))
    net = MNN.nn.load_module_from_file(os.path.splitext(args.onnx)[0] + ".mnn", ["x"], outputs_of(args),
                                        runtime_manager=manager)
    x = MNN.expr.const(made_up(args), shape_of(args), MNN.expr.NCHW)
    x = MNN.expr.convert(x, MNN.expr.NC4HW4)
    return lambda: [y.read() for y in net.onForward([x])]


STEPS = {"torch": torch_step, "onnxruntime": onnxruntime_step, "openvino": openvino_step, "ncnn": ncnn_step,
         "mnn": mnn_step}


def measure(args):
    step = STEPS[args.peer](args)
    for _ in range(2):
        step()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or (time.perf_counter() - begin < args.seconds and len(times) < 1000):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return {"ms": statistics.median(times) * 1e3, "ms_min": min(times) * 1e3, "runs": len(times),
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def version(peer):
    module = __import__({"mnn": "MNN"}.get(peer, peer))
    if peer == "torch":
        import torchvision  # noqa: F401 (its networks are what is timed)
    return {"version": module.version() if peer == "mnn" else module.__version__}


def export(args):
    import torch
    torch.manual_seed(0)
    x = torch.randn(*shape_of(args))
    torch.onnx.export(torch_net(args, x).eval(), x, args.file, opset_version=13, input_names=["x"],
                      output_names=outputs_of(args))
    return {"file": args.file}


def convert(args):
    base = os.path.splitext(args.file)[0]
    if args.peer == "ncnn":
        import importlib.util
        program = os.path.join(importlib.util.find_spec("pnnx").submodule_search_locations[0], "pnnx")
        command, made = [program, args.file], base + ".ncnn.bin"
    else:
        command = [os.path.join(os.path.dirname(sys.executable), "mnnconvert"), "-f", "ONNX", "--modelFile", args.file,
                   "--MNNModel", base + ".mnn", "--bizCode", "bench"]
        made = base + ".mnn"
    done = subprocess.run(command, cwd=os.path.dirname(os.path.abspath(args.file)), capture_output=True, text=True)
    if not os.path.exists(made):
        sys.exit(f"bench_peer: {command[0]} made no {made}: {(done.stderr or done.stdout).strip()[-300:]}")
    return {"file": made}


def quantize(args):
    import numpy
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    dims = onnx.load(args.file).graph.input[0].type.tensor_type.shape.dim
    shape, rng = [d.dim_value for d in dims], numpy.random.default_rng(1)

    class MadeUp(CalibrationDataReader):
        left = 8

        def get_next(self):
            self.left -= 1
            return {"x": rng.standard_normal(shape, dtype="f")} if self.left >= 0 else None

    quant_pre_process(args.file, args.out)
    quantize_static(args.out, args.out, MadeUp(), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return {"file": args.out}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    work = argparse.ArgumentParser(add_help=False)
    work.add_argument("--net", default="resnet18")
    work.add_argument("--mode", default="infer", choices=("infer", "train"))
    work.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "int8"))
    work.add_argument("--batch", type=int, default=1)
    work.add_argument("--size", type=lambda text: [int(side) for side in text.split("x")], default=[224, 224])
    work.add_argument("--freeze", default="none", choices=FROZEN)
    work.add_argument("--threads", type=int, default=1)
    work.add_argument("--seconds", type=float, default=4)
    work.add_argument("--onnx")
    one = commands.add_parser("export", parents=[work])
    one.add_argument("file")
    one = commands.add_parser("convert")
    one.add_argument("peer", choices=("ncnn", "mnn"))
    one.add_argument("file")
    one = commands.add_parser("quantize")
    one.add_argument("file")
    one.add_argument("out")
    one = commands.add_parser("time", parents=[work])
    one.add_argument("peer", choices=STEPS)
    one.add_argument("form")
    commands.add_parser("version").add_argument("peer", choices=STEPS)
    args = parser.parse_args()
    commands = {"export": export, "convert": convert, "quantize": quantize, "time": measure,
                "version": lambda a: version(a.peer)}
    print(json.dumps(commands[args.command](args)))


if __name__ == "__main__":
    main()
