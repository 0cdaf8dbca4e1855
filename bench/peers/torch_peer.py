"""PyTorch's side of bench/peers: does one work on request, so that peers.py can time it in turn with GradTrack's.

    torch_peer.py WORK FILE... --threads N [--setting WORD]...

WORK starts from the inputs and weights that gradtrack_peer left in the first FILE; its first values and gradients are
compared with GradTrack's in each of them. Then the same lines as gradtrack_peer's: ready, run N, memory (see ours.cpp).
The settings are contiguous or channels_last; of splat separable (a product of matrices) or broadcast (the formula as it
stands); and compiled (torch.compile)."""

import argparse
import json
import re
import sys
import time

import torch
from safetensors import safe_open

import torch_gradtrack as twin

MAPS, SIDE = 4, 224


def read(path, prefix):
    """The tensors of FILE whose names start with the prefix, by the rest of their names."""
    with safe_open(path, "pt") as file:
        return {k[len(prefix):]: file.get_tensor(k).clone() for k in file.keys() if k.startswith(prefix)}


def status_mb(key):
    """A line of /proc/self/status, in MB of 10^6 bytes."""
    with open("/proc/self/status") as status:
        return int(re.search(rf"^{key}:\s+(\d+)", status.read(), re.M)[1]) * 1024e-6


# ---- The works ------------------------------------------------------------------------------------------------------


class Step:
    def __init__(self, path, settings):
        memory_format = torch.channels_last if "channels_last" in settings else torch.contiguous_format
        with safe_open(path, "pt") as file:
            options = json.loads(file.metadata()["options"])
        self.batch = twin.collate(read(path, "input."), memory_format)
        self.before = status_mb("VmRSS")
        weights = read(path, "parameter.")
        features = [weights[f"{block}.conv_1.conv.weight"].shape[0] for block in
                    ("conv_0", "down_1.convs", "down_2.convs", "down_3.convs", "down_4.convs", "upcat_1.convs")]
        self.model = twin.GradTrack(features, self.batch["images"].shape[1], options)
        self.model.load_state_dict(weights)
        self.model.to(memory_format=memory_format)
        self.optimiser = torch.optim.SGD(self.model.parameters(), options["lr"], options["momentum"],
                                         weight_decay=options["weight_decay"], fused=True)
        self.losses = torch.compile(self.model.losses) if "compiled" in settings else self.model.losses

    def first(self):
        total, segmentation, track = self.losses(self.batch)
        total.backward()
        values = {"total": total, "segmentation": segmentation} | {f"track_{l}": t for l, t in enumerate(track)}
        gradients = {name: p.grad for name, p in self.model.named_parameters()}
        self.optimiser.zero_grad()
        return {k: v.detach() for k, v in values.items()}, gradients

    def run(self):
        times = [time.perf_counter()]
        total = self.losses(self.batch)[0]
        times.append(time.perf_counter())
        total.backward()
        times.append(time.perf_counter())
        self.optimiser.step()
        self.optimiser.zero_grad()
        times.append(time.perf_counter())
        return {"forward": times[1] - times[0], "backward": times[2] - times[1], "optimiser": times[3] - times[2],
                "whole step": times[3] - times[0]}


class SingleOp:
    before = 0

    def __init__(self, path, op, differentiable, settings):
        inputs = read(path, "input.")
        self.op = torch.compile(op) if "compiled" in settings else op
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
        values = {str(i): y for i, y in enumerate(self.forward())}
        self.both()
        return values, {k: x.grad for k, x in self.differentiable.items()}

    def run(self):
        times = [time.perf_counter()]
        self.forward()
        times.append(time.perf_counter())
        self.both()
        times.append(time.perf_counter())
        return {"forward": times[1] - times[0], "forward and backward": times[2] - times[1]}


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
    """The features stay in memory as GradTrack has them (channels_last), or channel by channel."""
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


def compare(path, prefix, ours):
    """The largest relative difference, |a - b| / |b| over a tensor's elements, and its tensor's name."""
    worst = (0.0, "")
    for name, theirs in read(path, prefix).items():
        a = ours[name]
        if a.dim() == 4 and a.shape != theirs.shape:
            a = a.permute(0, 2, 3, 1)
        worst = max(worst, (float((a - theirs).norm() / theirs.norm().clamp_min(1e-30)), prefix + name))
    return worst


def ready(work, paths):
    values, gradients = work.first()
    off, of = max(compare(path, prefix, ours) for path in paths
                  for prefix, ours in (("value.", values), ("gradient.", gradients)))
    return {"ready": True, "difference": off, "of": of}


def run(work, times):
    sums = {}
    before = time.process_time()
    for _ in range(times):
        for part, seconds in work.run().items():
            sums[part] = sums.get(part, 0) + seconds
    return {"ms": {part: 1e3 * s / times for part, s in sums.items()}, "cpu_s": time.process_time() - before}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--setting", action="append", default=[],
                        choices=("contiguous", "channels_last", "separable", "broadcast", "compiled"))
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    def answer(value):
        print(json.dumps(value), flush=True)

    work = WORKS[options.work](options.files[0], options.setting)
    answer(ready(work, options.files))
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # VmHWM starts anew
    for line in sys.stdin:
        if line.strip() == "memory":
            answer({"peak_mb": status_mb("VmHWM") - work.before})
        else:
            answer(run(work, int(line.split()[1])))


if __name__ == "__main__":
    main()
