#!/usr/bin/env python3
"""Times mncc against other runtimes of neural networks on the same weights.

    bench.py --mncc=MNCC [--networks=v1,v2] [--threads=1,2] [--skip-missing] [--json=FILE] [--svg=FILE]

For each network, mncc's forms (C by gcc, C by clang, its own object) and the peers are built from one
set of random weights. Each is a process that waits, pinned to as many cores as it has threads, until
it is asked for a block of inferences; the blocks go round, in another order each round, so that what
disturbs the machine disturbs all. The outputs are compared first: what differs from mncc's reference
evaluator by more than rounding is reported and not timed. A block also measures the machine's peak
of f32 multiply-adds, in the same process and between its inferences.

test/bench/run.sh installs the peers and calls this; docs/performance.md explains the figures."""

import argparse
import json
import os
import platform
import shlex
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import competitors  # noqa: E402
import machine  # noqa: E402
import models  # noqa: E402
import network  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "examples")
NETWORKS = {
    "v1": ("MobileNetV1 1.0-224", "mobilenet_v1.mn", []),
    "v1-0.25-128": ("MobileNetV1 0.25-128", "mobilenet_v1.mn", ["--alpha=1/4", "--resolution=128"]),
    "v2": ("MobileNetV2 1.0-224", "mobilenet_v2.mn", []),
    "v3-large": ("MobileNetV3-Large 1.0-224", "mobilenet_v3_large.mn", []),
    "v3-small": ("MobileNetV3-Small 1.0-224", "mobilenet_v3_small.mn", []),
    "lite0": ("EfficientNet-Lite0", "efficientnet_lite0.mn", []),
    "call": ("a call", os.path.join(HERE, "Inputs", "call.mn"), []),
}
BOUND = 1e-4  # of the largest output: rounding through some tens of layers
BLOCK_SECONDS = 0.04


def start(options, folder, names, threads, library, problems):
    """The workers whose outputs are right, and a result for every one of the others."""
    cores = set(sorted(os.sched_getaffinity(0))[-threads:])
    workers, results = [], []
    for name in names:
        if name in problems:
            results.append({"name": name, "status": "missing", "reason": problems[name]})
            continue
        worker = rounds.Process(name, folder, threads, cores, library)
        ready = worker.ready
        result = {"name": name, "status": "timed", "version": ready.get("version"),
                  "note": ready.get("note"), "difference": ready.get("difference")}
        results.append(result)
        for status in ("missing", "failed"):
            if status in ready:
                result.update(status=status, reason=ready[status])
        if result["status"] == "timed" and not ready["difference"] <= options.bound:
            result.update(status="differs", reason=f"output differs by {ready['difference']:.2g} of its largest")
        if result["status"] == "timed":
            worker.result = result
            workers.append(worker)
        else:
            worker.close()
    return workers, results


def measure(options, key, threads):
    title, file, arguments = options.table[key]
    source = os.path.join(EXAMPLES, file)
    folder = os.path.join(options.work, key.replace("/", "_"))
    about = models.prepare(folder, source, arguments, options)
    library, problems = models.build_machine(folder, options), {}
    for name in options.competitors:
        if name in competitors.MNCC:
            try:
                models.build_mncc(folder, competitors.MNCC[name].form, source, arguments, options, threads)
            except models.Unavailable as problem:
                problems[name] = str(problem)
    if options.build_only:
        return None
    workers, results = start(options, folder, options.competitors, threads, library, problems)
    with options.lock:
        conditions = rounds.Conditions(machine.Machine(library), threads, options.near, options.patience)
        run = rounds.go_round(options, workers, conditions)
    used = conditions.undisturbed(run)
    disturbed = len(used) < min(rounds.FEWEST_ROUNDS, options.rounds)
    used = run if disturbed else used
    best = rounds.summarize(about["macs"], workers, used)
    for worker in workers:
        worker.close()
    trips = [1e9 * block["round_trip"] for blocks in used for block in blocks.values() if block.get("round_trip")]
    return {"network": key, "title": title, "macs": about["macs"], "threads": threads, "rounds": len(used),
            "rounds_set_aside": len(run) - len(used), "disturbed": disturbed,
            "core_round_trip_ns": sorted(trips), "best_peer": best, "competitors": results}


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


class Lock:
    """Nothing, or a file that is locked while times are taken, for those who share a machine."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        if self.path:
            import fcntl

            self.file = open(self.path, "a")
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        if self.path:
            self.file.close()


def first_program(names):
    return next((name for name in names if shutil.which(name)), "")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mncc", required=True, help="the compiler")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="some of " + ", ".join(NETWORKS))
    parser.add_argument("--network", action="append", default=[], metavar="'FILE.mn OPTIONS'",
                        help="another network, the whole quoted; instead of the usual ones")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--competitors", default=",".join(competitors.ALL), help="some of " + ", ".join(competitors.ALL))
    parser.add_argument("--skip-missing", action="store_true", help="go on without peers that are not installed")
    parser.add_argument("--build-only", action="store_true", help="make the models and time nothing")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--near", type=float, metavar="NS",
                        help="set rounds aside in which a round trip between the cores takes longer (default: twice the shortest)")
    parser.add_argument("--patience", type=float, default=0, metavar="SECONDS",
                        help="how long to wait in all until the machine is undisturbed")
    parser.add_argument("--warm", type=int, default=3, help="inferences before those of a block that are timed")
    parser.add_argument("--block", type=float, default=BLOCK_SECONDS, metavar="SECONDS", help="length of a block")
    parser.add_argument("--most", type=int, default=200, help="inferences in a block at most")
    parser.add_argument("--bound", type=float, default=BOUND, help="largest difference, of the largest output")
    parser.add_argument("--work", default=os.path.join("build", "bench"), help="folder for models and what else is made")
    parser.add_argument("--json", help="where the results go")
    parser.add_argument("--svg", help="where the chart goes")
    parser.add_argument("--lock", type=Lock, default=Lock(None), metavar="FILE", help="locked while times are taken")
    parser.add_argument("--target", default="native", help="mncc's target")
    parser.add_argument("--cc", default=first_program(["gcc", "cc"]))
    parser.add_argument("--clang", default=first_program(["clang", "clang-22", "clang-21", "clang-20", "clang-19"]))
    parser.add_argument("--cflags", default="-O2 -march=native", type=shlex.split)
    options = parser.parse_args()
    options.competitors = options.competitors.split(",")
    unknown = set(options.competitors) - set(competitors.ALL)
    if unknown:
        parser.error(f"no competitor {', '.join(sorted(unknown))}; there are {', '.join(competitors.ALL)}")
    options.table = dict(NETWORKS)
    options.keys = options.networks.split(",") if not options.network else []
    for text in options.network:
        file, *arguments = shlex.split(text)
        key = os.path.splitext(os.path.basename(file))[0] + "".join(arguments)
        options.table[key] = (" ".join([os.path.basename(file)] + arguments), os.path.abspath(file), arguments)
        options.keys.append(key)
    if unknown := [key for key in options.keys if key not in options.table]:
        parser.error(f"no network {', '.join(unknown)}; there are {', '.join(NETWORKS)}")
    options.mncc, options.work = os.path.abspath(options.mncc), os.path.abspath(options.work)
    options.llvm = "with LLVM" in models.run([options.mncc, "--version"])
    return options


def is_wrong(options, result):
    """Whether a run with that result is not what was asked for. That a peer is wrong is a result too."""
    if result["name"] in competitors.MNCC:
        return result["status"] in ("failed", "differs")
    return result["status"] == "missing" and not options.skip_missing


def main():
    options = parse_options()
    results = {"processor": processor(), "cores": os.cpu_count(), "runs": []}
    status = 0
    for threads in map(int, options.threads.split(",")):
        for key in options.keys:
            try:
                run = measure(options, key, threads)
            except (models.Unavailable, network.Unsupported) as problem:
                print(f"{key}: {problem}", file=sys.stderr)
                return 1
            if not run:
                continue
            results["runs"].append(run)
            print(report.table(run), flush=True)
            status |= any(is_wrong(options, result) for result in run["competitors"])
    if options.build_only:
        return int(status)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)
    if options.svg:
        with open(options.svg, "w") as file:
            file.write(report.svg(results))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
