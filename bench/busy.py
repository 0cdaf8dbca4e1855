#!/usr/bin/env python3
"""Times training steps on a quiet machine and beside other programs.

    bench/busy.py build/gradtrack                      the program of this tree
    bench/busy.py old/gradtrack build/gradtrack        two programs in turn, with the ratio of their medians

Each cell is the median time of a training step in ms over the rounds, with minimum and maximum. The columns are the
neighbours: none, one and two busy loops, and a second training of the same kind that runs all the time. The rows are
networks, each with one thread and with all. The data are synthetic. Nothing else may run on the machine; a figure
"quiet" that is far from that of a second call says that something did."""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"
WORKS = {  # name: configuration, keys, iterations
    "tiny": ("demo.yaml", ["data.size=32", "model.features=[4,4,8,8,8,4]"], 120),
    "demo": ("demo.yaml", [], 40),
    "small 64": ("kvasir_small.yaml", ["recipe=full", "augment={}"], 40),
    "small 128": ("kvasir_small.yaml", ["recipe=full", "augment={}", "data.size=128"], 15),
}
NEIGHBOURS = ["quiet", "1 loop", "2 loops", "training"]
START = 5  # iterations that are not counted


def command(program, work, threads, out, data, iterations):
    config, keys, _ = WORKS[work]
    keys = keys + [f"data.root={data}", "pseudo.refine=none", f"threads={threads}", "data.threads=1",
                   f"train.iterations={iterations}", "train.log_every=1", f"train.val_every={iterations}",
                   f"train.checkpoint_every={iterations}"]
    return [program, "train", str(CONFIGS / config), *keys, "--out", str(out), "--device", "cpu"]


def step_ms(program, work, threads, folder):
    """Mean time of the steps of one training after the first START, in ms."""
    out = folder / f"run_{os.getpid()}"
    subprocess.run(["rm", "-rf", out], check=True)
    iterations = WORKS[work][2]
    done = subprocess.run(command(program, work, threads, out, folder / "data", iterations), stderr=subprocess.PIPE,
                          text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip().splitlines()[-1])
    lines = [json.loads(line) for line in open(out / "metrics.jsonl")]
    seconds = {line["iteration"]: line["seconds"] for line in lines if "loss" in line}
    return 1e3 * (seconds[iterations] - seconds[START]) / (iterations - START)


class Neighbours:
    """Programs that run beside the measured one."""

    def __init__(self, kind, program, work, folder):
        self.processes = []
        if kind == "training":
            out = folder / "neighbour"
            subprocess.run(["rm", "-rf", out], check=True)
            self.start(command(program, work, 0, out, folder / "data", 1000000))
        for _ in range({"1 loop": 1, "2 loops": 2}.get(kind, 0)):
            self.start(["sh", "-c", "while :; do :; done"])

    def start(self, arguments):
        self.processes.append(subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
            process.wait()


def cell(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f}..{max(values):.1f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="PROGRAM", help="one or two gradtrack programs")
    parser.add_argument("--work", action="append", choices=WORKS, help="only this network (may be repeated)")
    parser.add_argument("--rounds", type=int, default=5, help="trainings per cell and program (default 5)")
    parser.add_argument("--json", help="also write every time to this file")
    o = parser.parse_args()
    threads_of = [1, os.cpu_count()]
    times = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([o.programs[-1], "synth", "--out", folder / "data", "--count", "40", "--size", "128"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print("step time, ms      threads  program    " + "".join(f"{n:>24}" for n in NEIGHBOURS))
        for work in o.work or WORKS:
            for threads in threads_of:
                row = {(n, p): [] for n in NEIGHBOURS for p in range(len(o.programs))}
                for _ in range(o.rounds):
                    for neighbour in NEIGHBOURS:
                        for p, program in enumerate(o.programs):
                            with Neighbours(neighbour, program, work, folder):
                                row[neighbour, p].append(step_ms(program, work, threads, folder))
                for p in range(len(o.programs)):
                    print(f"{work:<18} {threads:>7}  {p + 1:>7}    " +
                          "".join(f"{cell(row[n, p]):>24}" for n in NEIGHBOURS), flush=True)
                    times[f"{work}, {threads} threads, program {p + 1}"] = {n: row[n, p] for n in NEIGHBOURS}
                if len(o.programs) == 2:
                    ratio = {n: statistics.median(row[n, 0]) / statistics.median(row[n, 1]) for n in NEIGHBOURS}
                    print(f"{work:<18} {threads:>7}    1 : 2    " + "".join(f"{ratio[n]:>24.2f}" for n in NEIGHBOURS),
                          flush=True)
    if o.json:
        pathlib.Path(o.json).write_text(json.dumps({"programs": o.programs, "ms": times}, indent=1))


if __name__ == "__main__":
    main()
