"""Runs each case in processes of its own, C# and Python in turn, and prints the table of docs/performance.md.

    compare.py PROGRAM [--quick] [--rounds N] [--cases ab] [--seconds S] [--device cuda] [--settings csharp|both|none]

A process is one sample: the median of its steps, or its peak memory, or the time from its start to its first line. What is printed is the
median over the rounds and, in brackets, the least and the greatest; the ratio is that of the two medians, with the least and the greatest
ratio of any round. It needs no torch, so that the memory of a child is its own.
"""
import argparse
import hashlib
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time

AGAINST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "against.py")
TOLERANCE = 1e-5


# What the calls of HostSettings do from within the C# program.
SETTINGS = {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**30), "GOMP_SPINCOUNT": "20000"}


def run(command, environment=None):
    """The first line that a process prints, the seconds until it came, and the process's peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    lines = [process.stdout.readline()]
    seconds = time.perf_counter() - start
    lines += process.stdout.readlines()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}.")
    return lines, seconds, usage.ru_maxrss / 1024


def median_of_steps(lines, seconds, memory):
    return statistics.median(json.loads(lines[0]))


def until_done(lines, seconds, memory):
    return seconds * 1e3


def peak_memory(lines, seconds, memory):
    return memory


def cases(seconds, quick):
    """Name, the case of both programs and its argument, what is taken from a process, unit, and the ratio to reach."""
    return {
        "a": ("U-Net, training step", "unet-step", seconds, median_of_steps, "ms", 0.75),
        "b": ("U-Net, 50 steps of DDIM", "ddim", seconds, median_of_steps, "ms", 0.8),
        "c": ("MLP, training step", "mlp-step", seconds / 4, median_of_steps, "ms", 0.5),
        "d": ("U-Net, peak memory of training", "unet-steps", 2 if quick else 10, peak_memory, "MiB", 0.7),
        "e": ("U-Net, start to first step done", "unet-steps", 1, until_done, "ms", 0.45),
        "f": ("MLP, start to first step done", "mlp-steps", 1, until_done, "ms", 0.45),
    }


def libtorch(path):
    """What identifies a libtorch: the hash of its CPU library, and the library of matrix products inside or beside it."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        products = "MKL" if content.find(b"mkl_blas_") >= 0 else "OpenBLAS or another BLAS"
        return hashlib.sha256(content).hexdigest(), products


def describe(ours, theirs):
    """One line on the libtorch of both sides."""
    (our_hash, our_products), (their_hash, their_products) = libtorch(ours["library"]), libtorch(theirs["library"])
    ours_named, theirs_named = f"libtorch {ours['version']} ({our_products})", f"libtorch {theirs['version']} ({their_products})"
    if our_hash == their_hash:
        return f"C# and Python on the very same file, {ours_named}."
    if ours_named == theirs_named:
        return f"C# and Python on builds of the same release, {ours_named}; the files differ."
    return f"C# on {ours_named}, Python on {theirs_named}: not the same libtorch."


def check(program, device):
    """Both sides from the same weights, batches and draws: nothing is timed unless their losses agree."""
    with tempfile.TemporaryDirectory() as folder:
        python = [sys.executable, AGAINST]
        run([*python, "prepare", folder])
        theirs, _, _ = run([*python, "check", folder, device])
        ours, _, _ = run([program, "check", folder, device])
    for line, other in zip(map(json.loads, ours[1:]), map(json.loads, theirs[1:]), strict=True):
        worst = max(abs(a - b) for a, b in zip(line["losses"], other["losses"], strict=True))
        same = line["case"] == other["case"] and line["parameters"] == other["parameters"] and worst <= TOLERANCE
        print(f"{line['case']}: {line['parameters']:,} parameters; the losses of three steps and of the average differ by {worst:.1e} at most.", flush=True)
        if not same:
            raise SystemExit(f"The two sides do not compute the same: C# {line}, Python {other}.")
    print(describe(json.loads(ours[0]), json.loads(theirs[0])), flush=True)


def spread(values, digits):
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", help="the C# program, as published")
    parser.add_argument("--quick", action="store_true", help="one round of short processes: a smoke run")
    parser.add_argument("--rounds", type=int, help="processes of each side; 5, or 1 with --quick")
    parser.add_argument("--seconds", type=float, help="of steps in each process; 20, or 1 with --quick")
    parser.add_argument("--cases", default="abcdef", help="which cases; abcdef")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda where both sides have it")
    parser.add_argument("--settings", default="csharp", choices=["csharp", "both", "none"],
                        help="which side has the settings of memory and threads that docs/performance.md names: C# (default), both, none")
    options = parser.parse_args()
    our_environment = {"DEFAULT_SETTINGS": "1"} if options.settings == "none" else {}
    their_environment = SETTINGS if options.settings == "both" else {}
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = options.seconds or (1.0 if options.quick else 20.0)

    check(options.program, options.device)
    print(f"\n| case | C# | Python | ratio | target |\n|---|---|---|---|---|", flush=True)
    for key, (title, case, argument, take, unit, target) in cases(seconds, options.quick).items():
        if key not in options.cases:
            continue
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(take(*run([options.program, case, str(argument), options.device], our_environment)))
            theirs.append(take(*run([sys.executable, AGAINST, case, str(argument), options.device], their_environment)))
        ratio = statistics.median(ours) / statistics.median(theirs)
        ratios = [a / b for a, b in zip(ours, theirs)]
        digits = 2 if statistics.median(ours) < 100 else 0
        print(
            f"| {title} | {spread(ours, digits)} {unit} | {spread(theirs, digits)} {unit} "
            f"| {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {target} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
