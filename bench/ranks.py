#!/usr/bin/env python3
"""Compares the speed of one training by 1 process with 2 threads and by 2 processes with 1 thread.

ranks.py PROGRAM DATA [ROUNDS] [KEY=VALUE ...]: PROGRAM is build/gradtrack, DATA a data set. Both train
configs/kvasir_small.yaml for 200 steps, in turn, ROUNDS times (default 9). Needs a quiet machine.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

CONFIG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../configs/kvasir_small.yaml")


def images_per_second(launcher, program, keys):
    """The speed over the steps 101 to 200 of a training."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*launcher, program, "train", CONFIG, *keys, "--out", f"{folder}/run", "--device", "cpu"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = [json.loads(line) for line in open(f"{folder}/run/metrics.jsonl")]
    return next(line["images_per_s"] for line in reversed(lines) if "images_per_s" in line)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, data = os.path.abspath(sys.argv[1]), sys.argv[2]
    rest = sys.argv[3:]
    rounds = int(rest.pop(0)) if rest and rest[0].isdigit() else 9
    keys = [f"data.root={data}", "data.threads=1", "train.iterations=200", "train.log_every=100", "train.val_every=200",
            "train.checkpoint_every=200", *rest]
    mpirun = ["mpirun", "-np", "2", "--oversubscribe", "--bind-to", "none"]
    subprocess.run([program, "pack", CONFIG, *keys], check=True, stdout=subprocess.DEVNULL)
    ratios = []
    for k in range(rounds):
        threads = images_per_second([], program, [*keys, "threads=2"])
        processes = images_per_second(mpirun, program, [*keys, "threads=1"])
        ratios.append(processes / threads)
        print(f"round {k + 1}: 1 process x 2 threads {threads:6.1f}, 2 processes x 1 thread {processes:6.1f} images/s, "
              f"ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})")


if __name__ == "__main__":
    main()
