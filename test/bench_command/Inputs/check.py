"""Checks that the numbers of `mncc bench tiny.mn --format=json` fit together."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    report = json.load(file)
stages = {stage["path"]: stage for stage in report["stages"]}
assert report["network"] == "tiny" and report["target"] == "generic" and report["rounds"] == 3
assert sum(stage["macs"] for stage in stages.values()) == report["macs"] == 5664, report
assert stages["separable0.depthwise0"]["calls"] == stages["separable0.conv0"]["calls"] == 4, stages
assert stages["conv0"]["calls"] == 1
assert 0 < report["least_ms"] <= report["ms_10"] <= report["ms"] <= report["ms_90"], report
assert report["peak_gflops"] > 0 and report["peak"]
for stage in stages.values():
    assert stage["ms"] > 0, stage
    assert abs(stage["gflops"] - 2e-6 * stage["macs"] / stage["ms"]) <= 0.02 * stage["gflops"] + 1e-3, stage
    assert abs(stage["of_peak"] * report["peak_gflops"] - stage["gflops"]) <= 0.02 * stage["gflops"] + 1e-3, stage
