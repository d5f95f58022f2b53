"""Checks `mncc bench --format=json` of a network that is divided for three threads against the same on one."""

import json
import sys

three, one = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:3])
assert three["threads"] == 3 and one["threads"] == 1
assert three["macs"] == one["macs"] and three["peak_gflops"] > 0
calls = [{stage["path"]: stage["calls"] for stage in report["stages"]} for report in (three, one)]
assert calls[0].keys() == calls[1].keys(), calls
# Every stage runs, and some have parts.
assert all(n > 0 for n in calls[0].values()), calls
assert any(calls[0][path] > calls[1][path] for path in calls[0]), calls
