#!/usr/bin/env python3
"""Prints the time of each kernel in the last training step that ncu profiled. `make gpu` runs it.

  ncu --csv --metrics gpu__time_duration.sum,dram__bytes.sum ... > ncu.csv
  kernels.py ncu.csv

A step ends with the optimiser's kernel. Kernels are timed one by one, with the caches in the state that the kernel before
left."""
import csv, re, sys

UNITS = {"ns": 1e-3, "us": 1, "ms": 1e3, "byte": 1e-6, "Kbyte": 1e-3, "Mbyte": 1, "Gbyte": 1e3}  # to us and MB
LAST_OF_A_STEP = re.compile(r"step_kernel<.*(Sgd|AdamW)Update")


def kernels_of(path):
    """The kernels that ran, in order: name, us, and MB of device memory read and written."""
    kernels = {}
    with open(path) as file:
        for row in csv.DictReader(line for line in file if line.startswith('"')):
            kernel = kernels.setdefault(int(row["ID"]), {"name": row["Kernel Name"]})
            value = float(row["Metric Value"].replace(",", "")) * UNITS[row["Metric Unit"]]
            kernel["us" if row["Metric Name"] == "gpu__time_duration.sum" else "mb"] = value
    return list(kernels.values())


def last_step(kernels):
    """The kernels between the last two ends of a step."""
    ends = [i for i, k in enumerate(kernels) if LAST_OF_A_STEP.search(k["name"])]
    if len(ends) < 2:
        sys.exit(f"kernels.py: {len(ends)} ends of steps among {len(kernels)} kernels, expected at least 2")
    return kernels[ends[-2] + 1:ends[-1] + 1]


def short(name):
    """A kernel's name without namespaces, return type and parameters."""
    return re.sub(r"void |gt::|<unnamed>::|\(anonymous namespace\)::", "", name).split("(")[0]


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    step = last_step(kernels_of(sys.argv[1]))
    sums = {}
    for kernel in step:
        calls, us, mb = sums.get(short(kernel["name"]), (0, 0, 0))
        sums[short(kernel["name"])] = calls + 1, us + kernel["us"], mb + kernel["mb"]
    all_us, all_mb = sum(s[1] for s in sums.values()), sum(s[2] for s in sums.values())
    print(f"{'kernel':<96} {'calls':>5} {'us':>8} {'share':>6} {'MB':>8} {'GB/s':>6}")
    for name, (calls, us, mb) in [*sorted(sums.items(), key=lambda s: -s[1][1]), ("total", (len(step), all_us, all_mb))]:
        print(f"{name[:96]:<96} {calls:5} {us:8.1f} {us / all_us:6.1%} {mb:8.1f} {1e3 * mb / us:6.0f}")


if __name__ == "__main__":
    main()
