#!/usr/bin/env python3
"""What bench.py measured, as text, Markdown or a picture.

    report.py RESULTS.json ... [--markdown] [--svg=FILE]

Several files are put together; a later run of a network with as many threads replaces an earlier one."""

import argparse
import json
import sys
from xml.sax.saxutils import escape

COLOURS = {"mncc-gcc": "#1b6ca8", "mncc-clang": "#3d93d0", "mncc-object": "#86c1ea", "onnxruntime": "#b5651d",
           "litert": "#e0a030", "openvino": "#7a9a3a", "tvm": "#999999", "ncnn": "#a04668"}
TITLES = {"mncc-gcc": "mncc, C by gcc", "mncc-clang": "mncc, C by clang", "mncc-object": "mncc, object",
          "onnxruntime": "ONNX Runtime", "litert": "LiteRT (XNNPACK)", "openvino": "OpenVINO", "tvm": "TVM, not tuned",
          "ncnn": "ncnn"}


def plural(count, word):
    return f"{count} {word}" + ("" if count == 1 else "s")


def peak_range(run):
    """The smallest and largest peak that any block has seen."""
    peaks = [value for result in run["competitors"] for value in result.get("peak_gflops", [])]
    return (min(peaks), max(peaks)) if peaks else (0, 0)


def table(run):
    low, high = peak_range(run)
    trips = run.get("core_round_trip_ns")
    apart = f", {trips[0]:.0f} to {trips[-1]:.0f} ns between cores and back" if trips else ""
    aside = f" ({run['rounds_set_aside']} set aside)" if run.get("rounds_set_aside") else ""
    aside += ", the machine disturbed in most" if run.get("disturbed") else ""
    lines = [f"{run['title']}, {plural(run['threads'], 'thread')}: {run['macs'] / 1e6:.1f} MMAC, "
             f"{plural(run['rounds'], 'round')}{aside}, peak {low:.0f} to {high:.0f} GFLOP/s{apart}",
             f"  {'':20} {'median ms':>10} {'min ms':>9} {'of peak':>8} {'speed*':>7} {'difference':>11}"]
    for result in run["competitors"]:
        title = TITLES[result["name"]]
        if result["status"] != "timed":
            lines.append(f"  {title:20} {result['status']}: {result['reason'].splitlines()[0]}")
            continue
        speed = result.get("speed_against_best_peer")
        lines.append(f"  {title:20} {result['median_ms']:10.4f} {result['min_ms']:9.4f} {100 * result['of_peak']:6.1f} % "
                     f"{f'{speed:.3f}' if speed else '':>7} {result['difference']:11.1e}")
    if run["best_peer"]:
        lines.append(f"  * against {TITLES[run['best_peer']]}, the best peer here; median of the rounds' ratios")
    return "\n".join(lines) + "\n"


# ---- Markdown ----


def cell(run, name):
    result = next((r for r in run["competitors"] if r["name"] == name), None)
    if result is None or result["status"] == "missing":
        return "–"
    if result["status"] != "timed":
        return result["status"]
    text = f"{result['median_ms']:.3g}" if result["median_ms"] < 100 else f"{result['median_ms']:.0f}"
    if result["of_peak"] >= 0.01:
        text += f" ({100 * result['of_peak']:.0f} %)"
    return text


def best_of(run, ours):
    timed = [r for r in run["competitors"] if r["status"] == "timed" and r["name"].startswith("mncc") == ours]
    return min(timed, key=lambda r: r["median_ms"], default=None)


def markdown(runs):
    lines = []
    for threads in sorted({run["threads"] for run in runs}):
        chosen = [run for run in runs if run["threads"] == threads]
        names = [name for name in TITLES if any(r["name"] == name for run in chosen for r in run["competitors"])]
        lines += [f"| ms, {plural(threads, 'thread')} (of peak) | " + " | ".join(TITLES[name] for name in names)
                  + " | mncc's speed, the best peer's = 1 |",
                  "| --- |" + " --- |" * (len(names) + 1)]
        for run in chosen:
            own, best = best_of(run, True), run["best_peer"]
            ratio = f"{own['speed_against_best_peer']:.2f} ({TITLES[best]})" if own and best else "–"
            lines.append(f"| {run['title']} | " + " | ".join(cell(run, name) for name in names) + f" | {ratio} |")
        lines.append("")
    return "\n".join(lines)


# ---- a picture ----

BAR, GAP, LEFT, WIDTH = 11, 16, 190, 560


def bars(run, top):
    """One network: a bar for each competitor, as long as its share of the peak."""
    parts = [f'<text x="{LEFT - 10}" y="{top + 11}" text-anchor="end" font-weight="bold">{escape(run["title"])}</text>']
    timed = [result for result in run["competitors"] if result["status"] == "timed"]
    for i, result in enumerate(timed):
        y = top + i * BAR
        length = WIDTH * result["of_peak"]
        label = f"{result['median_ms']:.3g} ms, {100 * result['of_peak']:.0f} %"
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 1}" fill="{COLOURS[result["name"]]}">'
                     f'<title>{escape(TITLES[result["name"]])}: {label}</title></rect>'
                     f'<text x="{LEFT + length + 4:.1f}" y="{y + 9}" font-size="9">{label}</text>')
    return parts, top + len(timed) * BAR + GAP


def axis(top, bottom):
    return [f'<line x1="{LEFT + WIDTH * share}" y1="{top - 4}" x2="{LEFT + WIDTH * share}" y2="{bottom}" stroke="#ccc"/>'
            f'<text x="{LEFT + WIDTH * share}" y="{top - 8}" text-anchor="middle" font-size="9">{100 * share:.0f} %</text>'
            for share in (0, 0.25, 0.5, 0.75, 1)]


def svg(results):
    """Shares of the measured peak of multiply-adds: a group for each network, longer is faster."""
    runs = [run for run in results["runs"] if best_of(run, True) or best_of(run, False)]
    used = [name for name in TITLES if any(r["name"] == name and r["status"] == "timed"
                                           for run in runs for r in run["competitors"])]
    parts = [f'<text x="10" y="20" font-size="14">Share of the measured peak of f32 multiply-adds, '
             f'{escape(results["processor"])}; longer is faster</text>']
    for i, name in enumerate(used):
        x, y = 10 + 200 * (i % 4), 32 + 14 * (i // 4)
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{COLOURS[name]}"/>'
                     f'<text x="{x + 14}" y="{y + 9}">{escape(TITLES[name])}</text>')
    top = 78
    for threads in sorted({run["threads"] for run in runs}):
        parts.append(f'<text x="10" y="{top}" font-size="13">{plural(threads, "thread")}</text>')
        top += 24
        begin, behind, groups = top, len(parts), []
        for run in runs:
            if run["threads"] == threads:
                more, top = bars(run, top)
                groups += more
        parts[behind:] = axis(begin, top - GAP) + groups
        top += 10
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 110}" height="{top}" '
            f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(parts) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--svg")
    parser.add_argument("--json", help="the runs, put together")
    parser.add_argument("results", nargs="+")
    options = parser.parse_args()
    runs = {}
    for path in options.results:
        with open(path) as file:
            results = json.load(file)
        runs.update({(run["threads"], run["network"]): run for run in results["runs"]})
    results["runs"] = list(runs.values())
    print(markdown(results["runs"]) if options.markdown else "\n".join(map(table, results["runs"])))
    for path, text in ((options.svg, svg(results)), (options.json, json.dumps(results, indent=1))):
        if path:
            with open(path, "w") as file:
                file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
