"""Rounds of blocks: who is asked when, which rounds count, and what comes of them.

A round is one block of each competitor. While it lasts, each of them measures the machine too
(machine.c), which says whether the machine was itself: a virtual machine's cores may be two halves of
one for a while, or far from each other. Rounds in which it was not are set aside for all competitors
alike, by what the machine showed and not by anyone's time, and more are run instead."""

import json
import os
import random
import statistics
import subprocess
import sys
import time

import competitors

HERE = os.path.dirname(os.path.abspath(__file__))
SETTLE_SECONDS = 0.03  # what the threads of the block before may still spin
PEAK_SHARE = 0.9  # of the highest peak that was seen
FEWEST_ROUNDS = 5  # that must count; else all do, and the result says so
MOST_ROUNDS = 3  # times as many as were asked for


class Process:
    """A competitor's worker."""

    def __init__(self, name, folder, threads, cores, library):
        self.name, self.count = name, 1
        self.log = open(os.path.join(folder, f"{name}-{threads}.log"), "w+")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "worker.py"), name, folder, str(threads), library],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, universal_newlines=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores))
        self.ready = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        status = self.process.wait()
        self.log.seek(0)
        return {"failed": f"exit status {status}: {self.log.read()[-500:].strip()}"}

    def block(self, warm, count):
        try:
            self.process.stdin.write(json.dumps({"warm": warm, "count": count}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # answer() says why
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.log.close()


class Conditions:
    """When a round counts: every block has seen the machine's peak and, with several threads, cores that
    are near each other."""

    def __init__(self, machine, threads, near, patience):
        self.machine, self.threads, self.near, self.patience = machine, threads, near, patience
        # One thread has it even where two cores are halves of one.
        self.peak = threads * max(machine.peak(1) for _ in range(20))

    def undisturbed(self, rounds):
        """Those of the rounds that count."""
        blocks = [block for blocks in rounds for block in blocks.values() if "failed" not in block]
        peak = PEAK_SHARE * max([self.peak] + [max(block["peaks"]) for block in blocks])
        trips = [block["round_trip"] for block in blocks if block["round_trip"]]
        farthest = 1e-9 * self.near if self.near else 2 * min(trips, default=0)

        def counts(block):
            return "failed" in block or (max(block["peaks"]) >= peak and (block["round_trip"] or 0) <= farthest)

        return [blocks for blocks in rounds if all(map(counts, blocks.values()))]

    def wait(self):
        """Until the cores are near each other and not halves of one, while patience lasts."""
        start = time.monotonic()
        while self.threads > 1 and self.near and time.monotonic() - start < self.patience and (
                self.machine.round_trip() > 1e-9 * self.near
                or self.machine.peak(self.threads) < PEAK_SHARE * self.peak):
            time.sleep(0.2)
        self.patience -= time.monotonic() - start


def go_round(options, workers, conditions):
    """A list of rounds, each {name: block}: as many as were asked for that count, if they can be had in
    MOST_ROUNDS times as many. The first block of each worker only says how long its others should be."""
    order, rounds = random.Random(1), []
    for worker in workers:
        first = worker.block(options.warm, 3)
        if "failed" not in first:
            worker.count = max(1, min(options.most, round(options.block / statistics.median(first["seconds"]))))
    while len(rounds) < MOST_ROUNDS * options.rounds and len(conditions.undisturbed(rounds)) < options.rounds:
        conditions.wait()
        order.shuffle(workers)
        blocks = {}
        for worker in workers:
            if conditions.threads > 1:
                time.sleep(SETTLE_SECONDS)
            blocks[worker.name] = worker.block(options.warm if worker.count > 1 else 0, worker.count)
        rounds.append(blocks)
    return rounds


def summarize(macs, workers, rounds):
    """Medians over rounds of each block's median, smallest times, and ratios within rounds, into the
    workers' results. Returns the name of the peer with the smallest median."""
    for worker in workers:
        blocks = [blocks[worker.name] for blocks in rounds]
        failed = [block["failed"] for block in blocks if "failed" in block]
        if failed:
            worker.result.update(status="failed", reason=failed[0])
            continue
        medians = [statistics.median(block["seconds"]) for block in blocks]
        peaks = [max(block["peaks"]) for block in blocks]
        worker.result.update(
            median_ms=1e3 * statistics.median(medians), rounds_ms=[1e3 * value for value in medians],
            min_ms=1e3 * min(value for block in blocks for value in block["seconds"]),
            inferences=sum(len(block["seconds"]) for block in blocks),
            peak_gflops=[1e-9 * value for value in peaks],
            of_peak=statistics.median(2 * macs / value / peak for value, peak in zip(medians, peaks)))
    timed = [worker.result for worker in workers if worker.result["status"] == "timed"]
    peers = [result for result in timed if result["name"] in competitors.PEERS]
    best = min(peers, key=lambda result: result["median_ms"], default=None)
    for result in timed if best else []:
        result["speed_against_best_peer"] = statistics.median(
            theirs / own for theirs, own in zip(best["rounds_ms"], result["rounds_ms"]))
    return best["name"] if best else None
