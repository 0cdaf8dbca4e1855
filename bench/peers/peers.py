"""Compares the speed of GradTrack and PyTorch on one machine in one run. docs/cpu.md describes the comparison.

Two processes run each workload, gradtrack_peer (ours.cpp) and torch_peer.py. They start from the same inputs and weights.
PyTorch's first values and gradients must agree with GradTrack's, else the workload fails. Then GradTrack and PyTorch's
settings run alternately, one run of each in a round.

A row compares GradTrack with PyTorch's fastest setting. On CUDA there is a row for the fastest eager setting and one for
the fastest compiled one. It gives the median times, and the median, minimum and maximum over rounds of the ratio
PyTorch's time / GradTrack's time. On CUDA the JSON file also holds nvidia-smi's driver, clocks, power and temperature
before and after. Exit status: 0 done, 1 a workload failed, 2 wrong usage."""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 1e-3  # of the difference of two tensors, relative to the norm
TF32_TOLERANCE, BF16_TOLERANCE = 2e-2, 0.2  # both networks round to 11 or 8 bits after every layer
MAX_SLOWDOWN = 1.5  # a setting of PyTorch that is slower than the fastest by more than this factor is dropped
QUIET = 0.05  # share of the processors that other programs may take in a round


@dataclass
class Variant:
    """GradTrack with these keys of the configuration. Goals are ratios by part, or by part and kind of PyTorch's
    settings."""
    name: str = ""
    overrides: tuple = ()
    goals: dict = field(default_factory=dict)


@dataclass
class Work:
    """A workload."""
    name: str
    ours: tuple  # arguments of gradtrack_peer
    settings: tuple  # of PyTorch; the fastest is also tried compiled
    judged: str  # the part by which settings are compared
    variants: tuple = (Variant(),)
    memory: bool = False
    kinds: tuple = ("any",)  # kinds of PyTorch's settings; the fastest of each kind has a row
    busy: int = 0  # other programs that each keep a processor busy during the rounds
    tolerance: float = TOLERANCE


LAYOUTS = (("contiguous",), ("channels_last",))
SMALL = ("step", "--config", "configs/kvasir_small.yaml")
WORKS = (
    Work("training step, kvasir_small at 64 pixels", SMALL, LAYOUTS, "whole step", (Variant(goals={"whole step": 3}),)),
    Work("training step, kvasir_small at 64 pixels, beside a busy loop", SMALL, LAYOUTS, "whole step", busy=1),
    Work("training step, gazemedseg, kvasir_small at 64 pixels", (*SMALL, "recipe=gazemedseg"), LAYOUTS, "whole step"),
    Work("training step, kvasir_small at 128 pixels", ("step", "--config", "configs/kvasir_small.yaml", "data.size=128"),
         LAYOUTS, "whole step", (Variant(goals={"whole step": 1.5}),)),
    Work("training step, full size", ("step", "--config", "configs/kvasir.yaml"), LAYOUTS, "whole step",
         (Variant("direct", ("conv=direct",), {"whole step": 1.2}),
          Variant("auto: Winograd", ("conv=auto",), {"whole step": 1.6}),
          Variant("norms computed again", ("train.recompute=norm",))), memory=True),
    Work("splat, 8 images, 4 levels of 224x224", ("splat",), (("separable",), ("broadcast",)), "forward",
         (Variant(goals={"forward": 20}),)),
    Work("splat, direct formula", ("splat",), (("broadcast",),), "forward"),
    Work("track distance, 8 images, 4 levels of 224x224", ("distance",), ((),), "forward"),
    Work("track attention, 8x224x224x64", ("attention",), LAYOUTS, "forward and backward",
         (Variant(goals={"forward and backward": 3}),)),
)

BOTH = ("eager", "compiled")


def step_on_cuda(name, config, settings, *overrides, tolerance=TOLERANCE, goals=None):
    return Work(f"training step, {name}", ("step", "--config", config, *overrides), settings, "whole step",
                (Variant(goals=goals or {}),), True, BOTH, tolerance)


def bf16_step(batch, settings):
    return step_on_cuda(f"full size, batch {batch}, bf16", "configs/kvasir.yaml", settings, "precision=bf16",
                        f"train.batch={batch}", tolerance=BF16_TOLERANCE,
                        goals={("whole step", "eager"): 1.5, ("whole step", "compiled"): 1.1})


def op_on_cuda(name, ours, settings, judged, goal, tolerance=TOLERANCE):
    return Work(name, (ours,), settings, judged, (Variant(goals={(judged, "eager"): goal}),), kinds=BOTH,
                tolerance=tolerance)


CUDA_WORKS = (
    bf16_step(8, (("channels_last", "amp"),)),  # contiguous takes 1.5 times as long
    bf16_step(64, (("channels_last", "amp"),)),
    step_on_cuda("full size, batch 8, TF32", "configs/kvasir.yaml", (("contiguous", "tf32"), ("channels_last", "tf32")),
                 "precision=tf32", tolerance=TF32_TOLERANCE),
    step_on_cuda("full size, batch 8, f32", "configs/kvasir.yaml", LAYOUTS),
    op_on_cuda("splat, 8 images, 4 levels of 224x224", "splat", (("separable",), ("broadcast",)), "forward", 10),
    # If two segments are equally near, rounding decides which one gets a pixel's gradient.
    op_on_cuda("track distance, 8 images, 4 levels of 224x224", "distance", ((),), "forward", 10, tolerance=5e-3),
    op_on_cuda("track attention, 8x224x224x64", "attention", LAYOUTS, "forward and backward", 3),
)

TINY = ("data.size=32", "train.batch=2", "model.features=[8,8,8,8,8,8]", "model.groups=2")
REHEARSED = (
    step_on_cuda("rehearsal, f32", "configs/demo.yaml", (("channels_last",),), *TINY),
    step_on_cuda("rehearsal, bf16", "configs/demo.yaml", (("channels_last", "amp"),), *TINY, "precision=bf16",
                 tolerance=BF16_TOLERANCE),
)


@dataclass
class Round:
    """One run of each program."""
    ours: list  # milliseconds by part, of each variant
    torch: dict  # milliseconds by part, of each setting
    others: float  # share of all processors' time that other programs took


class Failed(Exception):
    """A workload or a setting that cannot be timed; the message says why."""


class Peer:
    """A process that answers each line of stdin by a line of JSON, and is ready once constructed. Its stderr goes to a log,
    which errors quote."""

    def __init__(self, command, threads, log, limit):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
        compiled = os.path.abspath(os.path.join(os.path.dirname(log), "compiled"))
        environment.setdefault("TORCHINDUCTOR_CACHE_DIR", compiled)
        self.log = log
        with open(log, "w") as messages:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=messages,
                                            text=True, env=environment)
        self.first = self.read(limit)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def read(self, limit=600):
        killer = threading.Timer(limit, self.process.kill)
        killer.start()
        line = self.process.stdout.readline()
        in_time = killer.is_alive()
        killer.cancel()
        if line:
            return json.loads(line)
        self.process.kill()
        self.process.wait()
        with open(self.log) as log:
            lines = log.read().strip().splitlines() or ["no message"]
        errors = [line for line in lines if re.search(r"\b\w*(Error|Exception|Unsupported)\b", line)]
        raise Failed((errors or lines)[-1].strip() if in_time else f"no answer within {limit} seconds")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    def run(self, times):
        return self.ask(f"run {times}")


def log(line):
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def text_of(setting):
    return ", ".join(setting if "compiled" in setting else (*setting, "eager"))


def kind_of(setting):
    return "compiled" if "compiled" in setting else "eager"


def of_kind(settings, kind):
    return [s for s in settings if kind in ("any", kind_of(s))]


def gpu_state():
    """What nvidia-smi prints of the GPU, by field; empty without one."""
    query = ("name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem,power.draw,power.limit,"
             "temperature.gpu,clocks_event_reasons.active")
    try:
        lines = subprocess.run(["nvidia-smi", "--id=0", f"--query-gpu={query}", "--format=csv"], capture_output=True,
                              text=True, timeout=30, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(lines[0].split(", "), lines[1].split(", ")))


def busy_seconds():
    """CPU seconds of all programs on the machine, plus the time that its host withheld (steal)."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Race:
    """Times the variants of a workload and PyTorch's settings alternately."""

    def __init__(self, work, options, folder):
        self.work, self.options, self.folder = work, options, folder
        self.data = [os.path.join(folder, f"{work.ours[0]}{i}.safetensors") for i in range(len(work.variants))]
        self.ours, self.torch = [], {}  # processes, by variant and by setting
        self.loops = []  # processes
        self.tried = {}  # by setting: ms of the judged part
        self.seconds, self.torch_mb, self.skipped = {}, {}, {}  # by setting

    def start_ours(self, variant, data):
        command = [self.options.program, *self.work.ours, *variant.overrides, "--threads", str(self.options.threads),
                   "--device", self.options.device, "--export", data]
        return Peer(command, self.options.threads, os.path.join(self.folder, "gradtrack.log"), 300)

    def start_torch(self, setting):
        command = [sys.executable, os.path.join(HERE, "torch_peer.py"), self.work.ours[0], *self.data,
                   "--threads", str(self.options.threads),
                   "--device", "cpu" if self.options.rehearse else self.options.device]
        for word in setting:
            command += ["--setting", word]
        peer = Peer(command, self.options.threads, os.path.join(self.folder, "torch.log"),
                    self.options.compile_limit if "compiled" in setting else 300)
        if not peer.first["difference"] <= self.work.tolerance:
            peer.__exit__()
            raise Failed(f"{peer.first['of']} is off by {peer.first['difference']:.2g}, allowed "
                         f"{self.work.tolerance:g}")
        return peer

    def trial(self, setting):
        """Starts PyTorch with a setting and runs it for about 3 seconds."""
        log(f"  PyTorch {text_of(setting)}")
        try:
            peer = self.torch[setting] = self.start_torch(setting)
        except Failed as error:
            log(f"    skipped: {error}")
            self.skipped[setting] = str(error)
            return
        runs = [peer.run(1)["ms"]]
        while len(runs) < 7 and sum(sum(r.values()) for r in runs) < 3000:
            runs.append(peer.run(1)["ms"])
        self.tried[setting] = min(r[self.work.judged] for r in runs)
        self.seconds[setting] = 1e-3 * min(sum(r.values()) for r in runs)
        if self.work.memory:
            self.torch_mb[setting] = peer.ask("memory")["peak_mb"]
        log(f"    {self.work.judged} {self.tried[setting]:.4g} ms; first values and gradients within "
            f"{peer.first['difference']:.1g} of GradTrack's")

    def start_contenders(self):
        """Tries PyTorch's settings. Drops those much slower than the fastest of their kind."""
        for setting in self.work.settings:
            self.trial(setting)
        if not self.tried:
            raise Failed("PyTorch: " + "; ".join(self.skipped.values()))
        if not self.options.quick:
            self.trial((*min(self.tried, key=self.tried.get), "compiled"))
        for kind in self.work.kinds:
            tried = of_kind(self.tried, kind)
            for setting in tried:
                if self.tried[setting] > MAX_SLOWDOWN * min(self.tried[s] for s in tried):
                    self.torch.pop(setting).__exit__()

    def rounds(self):
        """Rounds of one run of each program. They are repeated until enough of them are quiet, at most three times as
        often. Returns the quietest."""
        peers = (*self.ours, *self.torch.values())
        took = [1e-3 * sum(peer.run(1)["ms"].values()) for peer in self.ours] + [self.seconds[s] for s in self.torch]
        times = [max(1, math.ceil(0.25 / t)) for t in took]
        long = max(took) > 5
        needed = 1 if self.options.quick and long else 3 if self.options.quick or long else 21
        rounds = []
        self.loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.work.busy)]
        while len(rounds) < 3 * needed and sum(r.others <= QUIET for r in rounds) < needed:
            before, start = busy_seconds() - self.loops_seconds(), time.perf_counter()
            runs = [peer.run(n) for peer, n in zip(peers, times)]
            wall = time.perf_counter() - start
            others = (busy_seconds() - self.loops_seconds() - before - sum(r["cpu_s"] for r in runs)) / (wall * os.cpu_count())
            ms = [r["ms"] for r in runs]
            rounds.append(Round(ms[: len(self.ours)], dict(zip(self.torch, ms[len(self.ours):])), max(0.0, others)))
            if long or len(rounds) % 7 == 0:
                log(f"  {len(rounds)} rounds, needed {needed}; other programs took {100 * rounds[-1].others:.0f} % of "
                    "the processors in the last one")
        return sorted(rounds, key=lambda r: r.others)[:needed]

    def loops_seconds(self):
        """CPU seconds that the busy loops have taken."""
        seconds = 0
        for loop in self.loops:
            with open(f"/proc/{loop.pid}/stat") as stat:
                seconds += sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
        return seconds

    def run(self):
        log(self.work.name)
        before = gpu_state() if self.options.device == "cuda" else {}
        try:
            for variant, data in zip(self.work.variants, self.data):
                log(f"  GradTrack {' '.join(variant.overrides)}".rstrip())
                self.ours.append(self.start_ours(variant, data))
            self.start_contenders()
            rounds = self.rounds()
            for setting, peer in self.torch.items():
                self.tried[setting] = statistics.median(r.torch[setting][self.work.judged] for r in rounds)
                self.version = peer.first["torch"]
            after = gpu_state() if self.options.device == "cuda" else {}
            rows = []
            for i, variant in enumerate(self.work.variants):
                for kind in self.work.kinds:
                    rows += self.rows(i, variant, kind, rounds)
                if self.work.memory:
                    rows.append(self.memory_row(variant, self.ours[i].ask("memory")))
            return [row | {"torch": self.version} | ({"gpu_before": before, "gpu_after": after} if after else {})
                    for row in rows]
        finally:
            for peer in (*self.ours, *self.torch.values()):
                peer.__exit__()
            for loop in self.loops:
                loop.kill()
                loop.wait()

    def title(self, variant, part):
        return ", ".join(filter(None, (self.work.name, variant.name))) + ": " + part

    def rows(self, i, variant, kind, rounds):
        """A row per part, compared with the fastest setting of a kind; no rows if none of that kind ran."""
        settings = of_kind(self.torch, kind)
        if not settings:
            return []
        setting = min(settings, key=self.tried.get)
        rows = []
        for part in (p for p in rounds[0].torch[setting] if p in rounds[0].ours[i]):
            ours, torch = [r.ours[i][part] for r in rounds], [r.torch[setting][part] for r in rounds]
            ratios = [t / o for o, t in zip(ours, torch)]
            row = {
                "work": self.title(variant, part),
                "ours_ms": statistics.median(ours),
                "torch_ms": statistics.median(torch),
                "ratio": statistics.median(ratios),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
                "setting": text_of(setting),
                "pairs": len(ratios),
                "others": max(r.others for r in rounds),
            }
            if part == self.work.judged:
                row["tried_ms"] = {text_of(s): ms for s, ms in self.tried.items()}
                row["skipped"] = {text_of(s): why for s, why in self.skipped.items()}
            rows.append(with_goal(row, variant.goals.get(part, variant.goals.get((part, kind)))))
        return rows

    def memory_row(self, variant, memory):
        setting = min(self.torch_mb, key=self.torch_mb.get)
        ratio = self.torch_mb[setting] / memory["peak_mb"]
        goal = 1 / 0.75 if "train.recompute=norm" in variant.overrides else 1
        return with_goal({"work": self.title(variant, "peak memory"), "ours_mb": memory["peak_mb"],
                          "ours_buffers_mb": memory["buffers_mb"], "torch_mb": self.torch_mb[setting], "ratio": ratio,
                          "ratio_min": ratio, "ratio_max": ratio, "setting": text_of(setting)}, round(goal, 2))


def with_goal(row, goal):
    """The row with its goal and, if other programs did not disturb it, whether the goal is met."""
    quiet = row.get("others", 0) <= QUIET
    return row if goal is None else row | {"goal": goal} | ({"met": row["ratio"] >= goal} if quiet else {})


def table(rows):
    cells = [("work", "GradTrack", "PyTorch", "ratio", "(min .. max)", "goal", "PyTorch's setting")]
    for r in rows:
        if "failed" in r:
            cells.append((r["work"], "FAILED: " + r["failed"], "", "", "", "", ""))
            continue
        unit = "MB" if "ours_mb" in r else "ms"
        verdict = {True: "met", False: "MISSED", None: "disturbed"}[r.get("met")]
        goal = f"{r['goal']:g} {verdict}" if "goal" in r else ""
        cells.append((r["work"], *(f"{r[who + unit.lower()]:.4g} {unit}" for who in ("ours_", "torch_")),
                      f"{r['ratio']:.2f}", f"({r['ratio_min']:.2f} .. {r['ratio_max']:.2f})", goal, r["setting"]))
    widths = [max(len(c[i]) for c in cells if not c[1].startswith("FAILED")) for i in range(len(cells[0]))]
    left = (0, 5, 6)
    lines = [[c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))] for line in cells]
    return "\n".join("  ".join(line).rstrip() for line in lines)


def write_json(path, rows):
    with open(path + ".new", "w") as file:
        json.dump(rows, file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)


def main():
    names = "\n".join(f"  {w.name}" for w in WORKS) + "\nand with --device cuda:\n"
    names += "\n".join(f"  {w.name}" for w in CUDA_WORKS)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"workloads:\n{names}\n\nexamples:\n  make bench-peers ARGS='--quick --work kvasir_small'\n"
               "  make bench-peers ARGS='--device cuda'\n"
               "  make bench-peers BUILD=build/rehearsal CUDA=EMULATE ARGS='--device cuda --rehearse'")
    parser.add_argument("--program", required=True, help="gradtrack_peer")
    parser.add_argument("--json", required=True, metavar="FILE", help="file to write the rows to")
    parser.add_argument("--work", action="append", default=[], metavar="NAME",
                        help="only workloads whose name contains NAME; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and nothing compiled, for a first impression")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rehearse", action="store_true",
                        help="with --device cuda: a test of this program at tiny sizes, with GradTrack on the emulated "
                             "device and PyTorch on the CPU; its times mean nothing")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                        help="threads of each program; all processors by default")
    parser.add_argument("--compile-limit", type=int, default=300, metavar="SECONDS",
                        help="time limit of torch.compile, after which the setting is skipped (%(default)s)")
    options = parser.parse_args()
    if options.rehearse and options.device != "cuda":
        parser.error("--rehearse needs --device cuda")
    works = REHEARSED if options.rehearse else CUDA_WORKS if options.device == "cuda" else WORKS
    chosen = [w for w in works if not options.work or any(word in w.name for word in options.work)]
    if not chosen:
        parser.error(f"--work: no workload of device {options.device} has such a name; the workloads are:\n{names}")
    folder = os.path.join(os.path.dirname(os.path.abspath(options.json)), "peers")
    os.makedirs(folder, exist_ok=True)
    rows = []
    for work in chosen:
        try:
            rows += Race(work, options, folder).run()
        except Failed as error:
            log(f"  FAILED: {error}")
            rows.append({"work": work.name, "failed": str(error)})
        write_json(options.json, rows)
    if options.rehearse:
        print("\nA rehearsal: the times below mean nothing.")
    print(f"\n{options.threads} threads each. The ratio is PyTorch's time (or memory) / GradTrack's.\n")
    print(table(rows))
    disturbed = max((r.get("others", 0) for r in rows), default=0)
    if disturbed > QUIET:
        print(f"\nOther programs took up to {100 * disturbed:.0f} % of the processors. Run it again on an idle machine.")
    return int(any("failed" in r for r in rows))


if __name__ == "__main__":
    sys.exit(main())
