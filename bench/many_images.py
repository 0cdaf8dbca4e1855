#!/usr/bin/env python3
"""Packs and trains on a data set of many images, and prints the peak of resident memory of each.

many_images.py PROGRAM FOLDER [COUNT]: PROGRAM is build/gradtrack; FOLDER is made, and takes 10 GB for a million images.
The images are links to 500 synthetic ones of 32 pixels, each under many names, so that making them takes a minute.
"""
import os
import resource
import subprocess
import sys
import time


def link_images(base, root, count):
    """Makes a data set of `count` training images from those of `base`."""
    for part in ("images", "masks"):
        os.makedirs(f"{root}/{part}")
    suffix = {part: os.path.splitext(os.listdir(f"{base}/{part}")[0])[1] for part in ("images", "masks")}

    def link(name, new):
        for part, end in suffix.items():
            os.link(f"{base}/{part}/{name}{end}", f"{root}/{part}/{new}{end}")

    names = open(f"{base}/train.txt").read().split()[:500]
    with open(f"{root}/train.txt", "w") as train, open(f"{root}/gaze.csv", "w") as gaze:
        header, *rows = open(f"{base}/gaze.csv")
        gaze.write(header)
        tracks = {}
        for row in rows:
            name, rest = row.split(",", 1)
            tracks.setdefault(name, []).append(rest)
        for i in range(count):
            name, new = names[i % len(names)], f"{names[i % len(names)]}_{i // len(names)}"
            link(name, new)
            train.write(new + "\n")
            gaze.writelines(f"{new},{rest}" for rest in tracks[name][:4])
    with open(f"{root}/val.txt", "w") as val:
        for name in open(f"{base}/val.txt").read().split():
            link(name, name)
            val.write(name + "\n")


def run(title, command):
    """Runs a command and prints its time and the peak of its resident memory."""
    start = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ,
                         file_actions=[(os.POSIX_SPAWN_OPEN, stream, "/dev/null", os.O_WRONLY, 0) for stream in (1, 2)])
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"{title}: failed: {' '.join(command)}")
    print(f"{title:30} {time.monotonic() - start:8.1f} s {usage.ru_maxrss / 1024:8.0f} MiB", flush=True)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    program, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 1_000_000
    os.makedirs(folder)
    subprocess.run([program, "synth", "--out", f"{folder}/base", "--count", "1000", "--size", "32"], check=True)
    link_images(f"{folder}/base", f"{folder}/data", count)
    config = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../configs/kvasir_small.yaml")
    keys = [f"data.root={folder}/data", "data.size=32", f"data.cache={folder}/cache", "pseudo.refine=none",
            "train.iterations=200", "train.val_every=100", "train.checkpoint_every=100"]
    print(f"{count} images, peaks of resident memory")
    for recipe in ("full", "gradtrack"):
        run(f"{recipe}: pack", [program, "pack", config, *keys, f"recipe={recipe}"])
        run(f"{recipe}: train 200 steps", [program, "train", config, *keys, f"recipe={recipe}", "--out",
                                           f"{folder}/{recipe}"])


if __name__ == "__main__":
    main()
