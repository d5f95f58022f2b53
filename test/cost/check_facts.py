"""Compares `mncc cost` with what the papers' networks are known to cost.

facts.csv and networks.csv were computed from the published definitions, apart
from mncc; their numbers must be met exactly, by the text for people to sum up and by both
machine-readable forms. Also checks exit statuses.
"""
import csv
import json
import os
import subprocess
import sys

mncc = sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
examples = os.path.join(here, "..", "..", "examples")
files = {"v1": "mobilenet_v1.mn", "v2": "mobilenet_v2.mn"}
failures = 0


def run(*arguments):
    return subprocess.run([*mncc, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)


def check(what, found, expected):
    global failures
    if found != expected:
        failures += 1
        print("%s: found %s, expected %s" % (what, found, expected))


with open(os.path.join(here, "facts.csv")) as f:
    facts = list(csv.DictReader(f))

for row in facts:
    name = "%(net)s alpha %(alpha)s, %(resolution)s x %(resolution)s" % row
    result = run("cost", os.path.join(examples, files[row["net"]]), "--alpha", row["alpha"],
                 "--resolution", row["resolution"], "--format=json")
    check(name + " exit status", result.returncode, 0)
    if result.returncode:
        print(result.stderr)
        continue
    cost = json.loads(result.stdout)
    for key in "macs", "weights", "parameters":
        check(name + " " + key, cost["total"][key], int(row[key]))
        check(name + " sum of " + key, sum(layer[key] for layer in cost["layers"]), int(row[key]))
    check(name + " activation bytes", cost["total"]["activation_bytes"],
          sum(layer["activation_bytes"] for layer in cost["layers"]))

for net in files:
    rows = [row for row in facts if row["net"] == net]
    alphas = sorted({row["alpha"] for row in rows})
    resolutions = sorted({row["resolution"] for row in rows})
    result = run("cost", os.path.join(examples, files[net]), "--alpha", ",".join(alphas),
                 "--resolution", ",".join(resolutions), "--format=csv")
    table = {(r["alpha"], r["resolution"]): r for r in csv.DictReader(result.stdout.splitlines())}
    check(net + " combinations", len(table), len(alphas) * len(resolutions))
    for row in rows:
        found = table[row["alpha"], row["resolution"]]
        for key in "macs", "weights", "parameters":
            check("%s table %s" % (net, key), found[key], row[key])

# MobileNetV1, table 2: the shares of multiply-accumulates and parameters.
cost = json.loads(run("cost", os.path.join(examples, files["v1"]), "--format=json").stdout)
for kind, macs in ("pointwise", 94.86), ("depthwise", 3.06), ("dense", 0.18), ("standard", 1.91):
    share = 100 * cost["kinds"][kind]["macs"] / cost["total"]["macs"]
    check("share of " + kind, "%.2f" % share, "%.2f" % macs)
# A separable convolution costs 1/N + 1/D_K^2 of a standard one.
outputs = {layer["name"]: layer["output"] for layer in cost["layers"]}
check("separable blocks", len(cost["separable"]), 13)
for pair in cost["separable"]:
    n = outputs[pair["pointwise"]][-1]
    check("ratio of " + pair["depthwise"], "%.6f" % pair["ratio"], "%.6f" % (1 / n + 1 / 9))

with open(os.path.join(here, "networks.csv")) as f:
    for row in csv.DictReader(f):
        name = "%(network)s %(options)s" % row
        result = run("cost", os.path.join(examples, row["network"] + ".mn"), *row["options"].split(),
                     "--format=json")
        check(name + " exit status", result.returncode, 0)
        total = json.loads(result.stdout)["total"] if result.returncode == 0 else {}
        for key in "macs", "weights", "parameters":
            check(name + " " + key, total.get(key), int(row[key]))

check("visual wake words", json.loads(run("cost", os.path.join(examples, "vww.mn"),
                                          "--format=json").stdout)["total"]["macs"], 7489664)

example = os.path.join(examples, files["v1"])
check("wrong option", run("cost", example, "--bogus").returncode, 2)
check("wrong value", run("cost", example, "--rho", "16/21").returncode, 1)
check("no such file", run("cost", example + ".none").returncode, 3)
check("nowhere to write", run("cost", example, "-o", os.path.join(here, "none", "x")).returncode, 3)

sys.exit(1 if failures else 0)
