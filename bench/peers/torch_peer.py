"""PyTorch's side of bench/peers: runs one workload on request, so that peers.py can alternate it with GradTrack's.

    torch_peer.py WORK FILE... --threads N [--device cpu|cuda] [--setting WORD]...

The workload starts from the inputs and weights that gradtrack_peer wrote to the first FILE. Its first values and gradients
are compared with GradTrack's in each FILE. The program answers the lines of gradtrack_peer: run N, memory (see ours.cpp).

Settings:
    contiguous, channels_last  memory format
    amp, tf32                  bf16 by autocast; TF32 products
    separable, broadcast       splat by a product of matrices, or by the direct formula
    compiled                   torch.compile; on CUDA with CUDA graphs

A step's batch stays on the device, whereas GradTrack uploads one in each step."""

import argparse
import json
import math
import re
import sys
import time

import torch
from safetensors import safe_open

import torch_gradtrack as twin

MAPS, SIDE = 4, 224


def device():
    return torch.get_default_device()


def on_cuda():
    return device().type == "cuda"


def read(path, prefix):
    """The tensors of FILE whose names start with the prefix, by the rest of their names, on the device."""
    with safe_open(path, "pt") as file:
        return {k[len(prefix):]: file.get_tensor(k).clone().to(device()) for k in file.keys() if k.startswith(prefix)}


def status_mb(key):
    """A line of /proc/self/status, in MB (10^6 bytes)."""
    with open("/proc/self/status") as status:
        return int(re.search(rf"^{key}:\s+(\d+)", status.read(), re.M)[1]) * 1024e-6


def compiled(function, settings):
    if "compiled" not in settings:
        return function
    return torch.compile(function, mode="reduce-overhead" if on_cuda() else "default")


class Clock:
    """Seconds of a function, measured as in bench/clock.h: on CUDA by events, after the L2 cache is overwritten."""

    def __init__(self):
        self.spoiler = torch.empty(512 << 20, dtype=torch.uint8) if on_cuda() else None

    def __call__(self, function):
        if self.spoiler is None:
            start = time.perf_counter()
            function()
            return time.perf_counter() - start
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.spoiler.zero_()
        start.record()
        function()
        stop.record()
        stop.synchronize()
        return 1e-3 * start.elapsed_time(stop)


# ---- The workloads ------------------------------------------------------------------------------------------------------


class Step:
    def __init__(self, path, settings):
        memory_format = torch.channels_last if "channels_last" in settings else torch.contiguous_format
        with safe_open(path, "pt") as file:
            options = json.loads(file.metadata()["options"])
        self.batch = twin.collate(read(path, "input."), memory_format)
        self.before = status_mb("VmRSS")
        weights = read(path, "parameter.")
        make, prefix = {"gradtrack": (twin.GradTrack, ""), "gazemedseg": (twin.GazeMedSeg, "level_1.encoder.")}[
            options["recipe"]]
        features = [weights[f"{prefix}{block}.conv_1.conv.weight"].shape[0] for block in
                    ("conv_0", "down_1.convs", "down_2.convs", "down_3.convs", "down_4.convs", "upcat_1.convs")]
        self.model = make(features, self.batch["images"].shape[1], options, "amp" in settings)
        self.model.load_state_dict(weights)
        self.model.to(memory_format=memory_format)
        self.optimiser = torch.optim.SGD(self.model.parameters(), options["lr"], options["momentum"],
                                         nesterov=options["nesterov"], weight_decay=options["weight_decay"], fused=True)
        self.losses = compiled(self.model.losses, settings)

    def first(self):
        total, terms = self.losses(self.batch)
        total.backward()
        values = {"total": total} | terms
        gradients = {name: p.grad for name, p in self.model.named_parameters()}
        values = {k: v.detach().clone() for k, v in values.items()}  # the next run overwrites a CUDA graph's memory
        self.optimiser.zero_grad()
        return values, gradients

    def update(self):
        self.optimiser.step()
        self.optimiser.zero_grad()

    def run(self, times):
        return self.run_as_one(times) if on_cuda() else self.run_in_parts(times)

    def run_in_parts(self, times):
        stamps = [0, 0, 0, 0]
        for _ in range(times):
            start = time.perf_counter()
            total = self.losses(self.batch)[0]
            stamps[1] += time.perf_counter() - start
            total.backward()
            stamps[2] += time.perf_counter() - start
            self.update()
            stamps[3] += time.perf_counter() - start
        return {"forward": stamps[1], "backward": stamps[2] - stamps[1], "optimiser": stamps[3] - stamps[2],
                "whole step": stamps[3]}

    def run_as_one(self, times):
        """Times all runs as one; the host waits for the device only at the end."""
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(times):
            torch.compiler.cudagraph_mark_step_begin()
            self.losses(self.batch)[0].backward()
            self.update()
        torch.cuda.synchronize()
        return {"whole step": time.perf_counter() - start}


class SingleOp:
    before = 0

    def __init__(self, path, op, differentiable, settings):
        inputs = read(path, "input.")
        self.op, self.clock = compiled(op, settings), Clock()
        self.seeds = []
        while (name := f"d{len(self.seeds)}") in inputs:
            self.seeds.append(inputs.pop(name))
        self.inputs = inputs
        self.differentiable = {k: inputs[k].requires_grad_() for k in differentiable}

    def forward(self):
        with torch.no_grad():
            return self.op(self.inputs)

    def both(self):
        for x in self.differentiable.values():
            x.grad = None
        torch.autograd.backward(self.op(self.inputs), self.seeds)

    def first(self):
        values = {str(i): y.clone() for i, y in enumerate(self.forward())}
        self.both()
        return values, {k: x.grad for k, x in self.differentiable.items()}

    def run(self, times):
        seconds = [0, 0]
        for _ in range(times):
            for i, function in enumerate((self.forward, self.both)):
                torch.compiler.cudagraph_mark_step_begin()
                seconds[i] += self.clock(function)
        return {"forward": seconds[0], "forward and backward": seconds[1]}


def splat(path, settings):
    draw = twin.splat_broadcast if "broadcast" in settings else twin.splat_separable

    def op(x):
        batch = x["sigma"].shape[1]
        xy, weight = x["xy"].view(batch, -1, 2), x["weight"].view(MAPS, batch, -1)
        return [draw(xy, weight[l], x["sigma"][l], SIDE, SIDE) for l in range(MAPS)]

    return SingleOp(path, op, ("xy", "weight", "sigma"), settings)


def distance(path, settings):
    levels = twin.padded(read(path, "input.kept")[""])

    def op(x):
        return [twin.track_distance(x["xy"][start], x["xy"][end], SIDE, SIDE) for _, _, start, end in levels]

    return SingleOp(path, op, ("xy",), settings)


def attention(path, settings):
    """Track attention, with the features channels_last in memory, as in GradTrack, or contiguous."""
    def op(x):
        return twin.track_attention(x["features"], x["w"], x["b"], x["map"])

    work = SingleOp(path, op, ("w", "b"), settings)
    planes = lambda t: t.permute(0, 3, 1, 2).contiguous(
        memory_format=torch.channels_last if "channels_last" in settings else torch.contiguous_format)
    work.inputs["features"] = work.differentiable["features"] = planes(work.inputs["features"]).requires_grad_()
    work.seeds[0] = planes(work.seeds[0])
    return work


WORKS = {"step": Step, "splat": splat, "distance": distance, "attention": attention}


# ---- The process ----------------------------------------------------------------------------------------------------


def compare(path, prefix, ours, together=False):
    """The largest relative difference |a - b| / |b| of a tensor, and the tensor's name. If `together`, the relative
    difference of all tensors as one vector."""
    worst, apart, size = (0.0, ""), 0.0, 0.0
    for name, theirs in read(path, prefix).items():
        a = ours[name]
        if a.dim() == 4 and a.shape != theirs.shape:
            a = a.permute(0, 2, 3, 1)
        difference, norm = float((a - theirs).norm()), float(theirs.norm())
        worst = max(worst, (difference / max(norm, 1e-30), prefix + name))
        apart, size = math.hypot(apart, difference), math.hypot(size, norm)
    return (apart / size, prefix + "*") if together else worst


def ready(work, paths, settings):
    """The first answer: the largest difference from GradTrack's first values and gradients.

    With amp and tf32 a network rounds after every layer. An input of a leaky ReLU near 0 may then have either sign, which
    makes the gradients of small tensors noisy. Their gradients are therefore compared as one vector."""
    values, gradients = work.first()
    rounded = "amp" in settings or "tf32" in settings
    off, of = max(max(compare(path, "value.", values), compare(path, "gradient.", gradients, rounded))
                  for path in paths)
    return {"ready": True, "difference": off, "of": of, "torch": versions()}


def versions():
    if not on_cuda():
        return torch.__version__
    return (f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, "
            f"{torch.cuda.get_device_name()}")


def run(work, times):
    before = time.process_time()
    sums = work.run(times)
    return {"ms": {part: 1e3 * s / times for part, s in sums.items()}, "cpu_s": time.process_time() - before}


def memory(work):
    return {"peak_mb": 1e-6 * torch.cuda.max_memory_allocated() if on_cuda() else status_mb("VmHWM") - work.before}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--setting", action="append", default=[],
                        choices=("contiguous", "channels_last", "amp", "tf32", "separable", "broadcast", "compiled"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.set_default_device(options.device)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = "tf32" in options.setting

    def answer(value):
        print(json.dumps(value), flush=True)

    work = WORKS[options.work](options.files[0], options.setting)
    first = ready(work, options.files, options.setting)
    if on_cuda():
        work.run(3)  # records graphs and tunes kernels before the first measurement
        torch.cuda.reset_peak_memory_stats()
    answer(first)
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # resets VmHWM
    for line in sys.stdin:
        if line.strip() == "memory":
            answer(memory(work))
        else:
            answer(run(work, int(line.split()[1])))


if __name__ == "__main__":
    main()
