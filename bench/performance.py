#!/usr/bin/env python3
"""Writes what each op and the training step should take on a GPU, and what they took where that was measured.
`make performance` runs it.

  performance.py --programs DIR [--doc FILE] [--results DIR] [--check]

It counts bytes, operations and launches in dry runs of gradtrack and gradtrack_bench, which --programs holds, built with
CUDA or with its emulation. It reads measurements from the results folder. It writes RESULTS/predictions.md, and the tables
of the document between the markers <!-- NAME --> and <!-- end -->. --check writes nothing and fails if a file is stale."""
import argparse, csv, glob, json, os, re, subprocess, sys, tempfile

CONFIG = "configs/kvasir.yaml"
PRECISIONS = ["f32", "tf32", "bf16"]
BATCHES = [8, 64]
GOAL = 0.85  # share of the floor's rate

# Bytes/s, and FLOP/s of f32 in the cores and of dense products in tensor cores.
CARDS = {
    "H200": dict(bytes=4.3e12, f32=66.9e12, tf32=494.7e12, bf16=790e12,
                 source="copy bandwidth and bf16 measured, the others of the data sheet"),
    "H100": dict(bytes=3.35e12, f32=66.9e12, tf32=494.7e12, bf16=989.4e12, source="data sheet, SXM5"),
    "A100": dict(bytes=2.039e12, f32=19.5e12, tf32=156e12, bf16=312e12, source="data sheet, SXM4 80 GB"),
    "RTX 4090": dict(bytes=1.008e12, f32=82.6e12, tf32=82.6e12, bf16=165.2e12, source="data sheet"),
    "L4": dict(bytes=0.3e12, f32=30.3e12, tf32=60e12, bf16=121e12, source="data sheet"),
}
CARD = "H200"  # the tables show its floors and measurements
MOVED_MUCH = 100e6  # bytes: well over the L2 cache of an H200
GOAL_OPS = ["splat", "track_distance", "track_attention", "group_norm_leaky_relu", "bce_", "dice_", "sgd_", "adamw_"]
OP_GROUPS = {"conv2d": "convolutions", "conv_transpose2x2": "transposed convolutions", "norm": "GroupNorm + LeakyReLU",
             "track_attention": "Track Attention", "concat": "concatenation", "max_pool2x2": "pooling",
             "multi_tensor_step": "optimiser"}  # by the start of an op's name


def floor(op, precision, card):
    """The floor of an op's time in seconds, and what bounds it. Only libraries use tensor cores."""
    peak = card[precision if op["library_calls"] else "f32"]
    memory, compute = op["bytes"] / card["bytes"], op["flops"] / peak
    return max(memory, compute), "memory" if memory >= compute else "compute"


def launches(op):
    return str(op["kernels"]) + (f" + {op['library_calls']}" if op["library_calls"] else "")


def table(head, rows, left=1):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * left + "---:|" * (len(head) - left)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


# ---- What was measured --------------------------------------------------------------------------------------------------

class Results:
    """What `.ci/gpu --keep` measured on CARD. A file that is missing gives empty results."""

    def __init__(self, root):
        folders = [f for f in sorted(glob.glob(f"{root}/*")) if CARD.replace(" ", "-") in os.path.basename(f)]
        self.folder = folders[-1] if folders else None
        rows = self.json("bench.json").get("rows", [])
        self.bench = {(r["op"], r["size"], r.get("type", "f32"), r["pass"]): r
                      for r in rows if r["device"] == "cuda" and "ms" in r}
        self.speed = {(r["precision"], int(r["batch"])): float(r["images_per_s"]) for r in self.csv("speed.csv")
                      if r["device"] == "cuda" and r["cuda_graph"] == "true"}

    def open(self, name):
        path = os.path.join(self.folder or "", name)
        return open(path) if self.folder and os.path.exists(path) else None

    def json(self, name):
        file = self.open(name)
        return json.load(file) if file else {}

    def csv(self, name):
        file = self.open(name)
        return list(csv.DictReader(file)) if file else []

    def share(self):
        """The lowest rate of GOAL_OPS at large sizes, as a share of the copy bandwidth, with its op and pass."""
        bandwidth = self.json("bench.json").get("roofs", {}).get("cuda", {}).get("gb_per_s")
        shares = [(r["gb_per_s"] / bandwidth, f"{key[0]}, {key[3]}") for key, r in self.bench.items()
                  if r.get("bytes", 0) >= MOVED_MUCH and key[0].startswith(tuple(GOAL_OPS))]
        return "{:.0%} ({})".format(*min(shares)) if shares else ""

    def milliseconds(self, row):
        """The measured time of a row of the op table. None if the bytes differ: the measured work was different."""
        measured = self.bench.get((row["op"], row["size"], row["type"], row["pass"]))
        return measured["ms"] if measured and abs(measured["bytes"] / row["bytes"] - 1) < 0.01 else None

    def protocol(self):
        return "".join(f"{float(r['seconds']):.0f} s" for r in self.csv("protocol.csv"))

    def peers(self, *works):
        """PyTorch's time over GradTrack's, for the works that have a goal and start with one of the given names."""
        rows = [r for r in self.json("peers.json") or [] if "goal" in r and "ours_ms" in r and r["work"].startswith(works)]
        return "; ".join(f"{r['work']} {r['ratio']:.1f} ({r['setting']})" for r in rows)

    def curves(self):
        rows = self.csv("curves.csv")
        off = [abs(float(r["cuda_f32"]) / float(r["cpu_f32"]) - 1) for r in rows]
        return f"{max(off):.1e}" if off else ""

    def twice(self):
        return ", ".join(f"{r['precision']} {r['bits']}" for r in self.csv("twice.csv"))


# ---- The tables -------------------------------------------------------------------------------------------------------

def cards_table():
    rates = lambda c: [f"{c['bytes'] / 1e12:.2f}"] + [f"{c[p] / 1e12:.0f}" for p in PRECISIONS]
    return table(["card", "TB/s", "f32 TFLOP/s", "TF32", "bf16", "source"],
                 [[name, *rates(card), card["source"]] for name, card in CARDS.items()])


def goals_table(results):
    rows = [
        ["splat, distance, track attention, GroupNorm + LeakyReLU, losses, optimiser, at sizes well over L2",
         "at least 85 % of the copy bandwidth of the same run", results.share()],
        ["training step, bf16, full size, batch 8 and 64", "1.5 times PyTorch's AMP, 1.1 times its `torch.compile`",
         results.peers("training step, full size")],
        ["splat; distance; attention", "10; 10; 3 times PyTorch",
         results.peers("splat", "track distance", "track attention")],
        ["15,000 iterations, batch 8, 224 pixels, with loading", "under 3 minutes", results.protocol()],
        ["loss on CUDA against the CPU, f32, 100 iterations", "off by 1e-3 at most", results.curves()],
        ["the same seed twice", "the same bits", results.twice()],
    ]
    return table(["what", "goal", "measured"], rows, left=3)


def step_floor(plan, card):
    return sum(floor(op, plan["precision"], card)[0] for op in plan["ops"])


def step_table(plans, results):
    rows = []
    for plan in plans:
        keys = ["bytes", "flops", "kernels", "library_calls", "copies"]
        total = {key: sum(op[key] for op in plan["ops"]) for key in keys}
        least, batch = step_floor(plan, CARDS[CARD]), plan["batch"]
        measured = results.speed.get((plan["precision"], batch))
        rows.append([plan["precision"], batch, f"{total['bytes'] / 1e9:.1f}", f"{total['flops'] / 1e12:.2f}",
                     total["kernels"], total["library_calls"], total["copies"], f"{1e3 * least:.2f}",
                     f"{1e3 * least / GOAL:.2f}", f"{batch / least:.0f}",
                     f"{1e3 * batch / measured:.2f}" if measured else ""])
    return table(["precision", "batch", "GB", "TFLOP", "kernels", "library calls", "copies", "floor ms",
                  f"floor / {GOAL} ms", "images/s at the floor", "measured ms"], rows)


def other_cards_table(plans):
    rows = [[plan["precision"], plan["batch"]] + [f"{1e3 * step_floor(plan, card):.1f}" for card in CARDS.values()]
            for plan in plans]
    return table(["precision", "batch", *CARDS], rows)


def memory_table(plans):
    parts = ["parameters", "optimizer", "batch", "activations", "gradients", "peak"]
    rows = [[plan["precision"], plan["batch"]] + [f"{plan['memory'][part] / 2**20:.0f}" for part in parts] +
            [plan["memory"]["peak_in"]] for plan in plans]
    return table(["precision", "batch", *parts, "peak in"], rows)


def loading_table(plans, results):
    needed = max(plan["batch"] / step_floor(plan, CARDS[CARD]) for plan in plans)
    rows = [["needed by the fastest step at its floor", "", f"{needed:.0f}"]]
    rows += [[f"measured, {r['threads']} threads", f"{r['loaded_per_s']:.0f}", f"{r['batched_per_s']:.0f}"]
             for r in (results.json("loader.json") or [])]
    return table(["images/s", "read, decoded, resized (once a run)", "in batches (once a step)"], rows)


def op_name(op):
    return op["op"] if op["body"] else f"({op['op']}, outside ops)"


def op_group(op):
    return next((group for start, group in OP_GROUPS.items() if op["op"].startswith((start + "_", start + "<"))),
                "augmentation, maps, losses, the rest")


def parts_table(plan, head, part):
    """The step's sums over the ops for which `part` returns the same name."""
    sums = {}
    for op in plan["ops"]:
        name = part(op)
        seconds, bound = floor(op, plan["precision"], CARDS[CARD])
        s = sums.setdefault(name, dict(calls=0, bytes=0, flops=0, kernels=0, library_calls=0, seconds=0, memory=0))
        for key in ["calls", "bytes", "flops", "kernels", "library_calls"]:
            s[key] += op[key]
        s["seconds"] += seconds
        s["memory"] += seconds * (bound == "memory")
    all_seconds = sum(s["seconds"] for s in sums.values())
    rows = [[name, s["calls"], f"{s['bytes'] / 1e6:.1f}", f"{s['flops'] / 1e9:.1f}", launches(s),
             f"{1e6 * s['seconds']:.1f}", f"{s['seconds'] / all_seconds:.1%}",
             f"{s['memory'] / s['seconds']:.0%}" if s["seconds"] else ""]
            for name, s in sorted(sums.items(), key=lambda item: (-item[1]["seconds"], item[0]))]
    return table([head, "calls", "MB", "GFLOP", "launches", "floor µs", "share", "of it by memory"], rows)


def ops_table(rows, results):
    lines = []
    for row in rows:
        seconds, bound = floor(row, row["type"], CARDS[CARD])
        ms = results.milliseconds(row)
        lines.append([row["op"], row["size"], row["type"], row["pass"], f"{row['bytes'] / 1e6:.2f}",
                      f"{row['flops'] / 1e9:.2f}" if row["flops"] else "", launches(row), f"{1e6 * seconds:.2f}", bound,
                      f"{1e3 * ms:.1f}" if ms else "", f"{1e3 * seconds / ms:.0%}" if ms else ""])
    return table(["op", "size", "type", "pass", "MB", "GFLOP", "launches", "floor µs", "bound by", "measured µs",
                  "floor / measured"], lines, left=4)


# ---- The files -------------------------------------------------------------------------------------------------------

PREDICTIONS = """# What a GPU should take: every table

`make performance` writes this file from dry runs and from the measurements in the folders next to it.
[docs/performance.md](../../docs/performance.md) says how the figures are counted and holds the summary.
Floors and measured times are those of an {card}. An empty *measured* means that nobody has measured this work.

## The step on other cards

Floor in ms of a training step of `{config}`.

{cards}

## Memory of the step

In MiB, without the workspaces of cuDNN and cuBLASLt. *Activations* are what the forward pass keeps for the backward pass.

{memory}

## Loading

`gradtrack_bench --loader DIR` measures how many images are loaded per second. A data set is decoded once and kept in memory.

{loading}

## The step by op

In bf16 at batch 8.

{parts}

## Every op

The rows of the op table at the sizes that `make bench` times; *both* is forward with backward. Smaller sizes fit in the L2
cache of an H200 (60 MB), so the bandwidth of memory does not bound them. The benchmark overwrites the cache before each call.

{ops}
"""


def ask(program, *arguments):
    """Runs a program and returns what it writes to its --json."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "answer.json")
        done = subprocess.run([program, *arguments, "--json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        if done.returncode != 0:
            sys.exit(f"performance.py: {' '.join(done.args)}: {done.stderr.strip()}")
        with open(path) as file:
            return json.load(file)


def read(path):
    if not os.path.exists(path):
        return ""
    with open(path) as file:
        return file.read()


def replace(path, text):
    """Writes a file completely or not at all."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def fill(path, tables):
    """The text of a file with each table between its markers."""
    text = read(path)
    for name, content in tables.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
        if not marked.search(text):
            sys.exit(f"performance.py: {path} has no place <!-- {name} --> .. <!-- end -->")
        text = marked.sub(lambda m: f"{m[1]}\n{content}\n\n{m[2]}", text)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, metavar="DIR")
    parser.add_argument("--doc", default="docs/performance.md", metavar="FILE")
    parser.add_argument("--results", default="bench/results", metavar="DIR")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if a file is stale")
    options = parser.parse_args()
    plans = [ask(f"{options.programs}/gradtrack", "info", "--plan", CONFIG, f"train.batch={batch}",
                 f"precision={precision}", "--device", "cuda") for precision in PRECISIONS for batch in BATCHES]
    rows = ask(f"{options.programs}/gradtrack_bench", "--predict")
    results = Results(options.results)
    small_bf16 = next(plan for plan in plans if plan["precision"] == "bf16" and plan["batch"] == BATCHES[0])
    files = {
        options.doc: fill(options.doc, {"goals": goals_table(results), "cards": cards_table(),
                                        "step": step_table(plans, results),
                                        "step by group": parts_table(small_bf16, "ops", op_group)}),
        f"{options.results}/predictions.md": PREDICTIONS.format(
            card=CARD, config=CONFIG, cards=other_cards_table(plans), memory=memory_table(plans),
            loading=loading_table(plans, results), parts=parts_table(small_bf16, "op", op_name),
            ops=ops_table(rows, results))}
    stale = [path for path, text in files.items() if text != read(path)]
    if options.check:
        sys.exit(f"stale: {', '.join(stale)}: make performance" if stale else 0)
    for path in stale:
        replace(path, files[path])
    print("written: " + ", ".join(stale) if stale else "nothing has changed")


if __name__ == "__main__":
    main()
