#!/usr/bin/env python3
"""One competitor on one network, in a process of its own.

    worker.py COMPETITOR FOLDER THREADS MACHINE.so

bench.py writes a line of JSON for each thing to do and reads one in answer. The first answer, unasked,
says that the competitor is ready, or why not. `{"warm": 3, "count": 10}` runs so many inferences and
times so many more, each one by itself, with the machine's peak of multiply-adds measured between
them, and before them how far two cores are from each other."""

import json
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import competitors  # noqa: E402
import machine  # noqa: E402


def difference(files, outputs):
    """The largest over all outputs of the largest difference from what mncc's reference evaluator says,
    relative to that output's largest magnitude."""
    worst = 0.0
    for name, about in files.outputs.items():
        want = np.load(files.path(f"want.{name}.npy")).ravel().astype(np.float64)
        got = outputs[name].astype(np.float64)
        if got.shape != want.shape:
            return float("inf")
        worst = max(worst, np.abs(got - want).max() / np.abs(want).max())
    return float(worst) if np.isfinite(worst) else float("inf")


def block(run, measured, threads, warm, count):
    trip = measured.round_trip() if threads > 1 else None
    for _ in range(warm):
        run()
    times, peaks = [], []
    for i in range(count):
        if i % max(1, count // 4) == 0:
            peaks.append(measured.peak(threads))
            run()  # what the peak's threads left behind is not the competitor's
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    peaks.append(measured.peak(threads))
    return {"seconds": times, "peaks": peaks, "round_trip": trip}


def main():
    name, folder, threads, library = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    # Libraries print what they like; answers have a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    measured = machine.Machine(library)
    files = competitors.Files(folder)
    try:
        competitor = competitors.ALL[name](files, threads)
        version = competitor.version()
        competitor.run()
        worst = difference(files, competitor.outputs())
    except ImportError as error:
        return answer({"missing": str(error)})
    except Exception as error:  # whatever a peer throws is a fact about that peer
        return answer({"failed": f"{type(error).__name__}: {error}"})
    answer({"version": version, "difference": worst, "note": competitor.note})
    for line in sys.stdin:
        asked = json.loads(line)
        answer(block(competitor.run, measured, threads, asked["warm"], asked["count"]))


if __name__ == "__main__":
    main()
