#!/bin/bash
# Builds mncc, installs its peers from PyPI into a virtual environment of the build folder, and times
# all of them: see docs/performance.md. Arguments go to bench.py; --skip-missing, which is one of them,
# also goes on where a peer cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip=
for argument; do
  [ "$argument" != --skip-missing ] || skip=1
done

test/setup.sh build
cmake --preset release >/dev/null
cmake --build --preset release

work=build/bench
environment=$work/environment
mkdir -p "$work"
[ -x "$environment/bin/pip" ] || python3 -m venv "$environment" ||
  { echo "python3 cannot make virtual environments (Debian: python3-venv)" >&2; exit 3; }
install() {
  "$environment/bin/pip" install --quiet --disable-pip-version-check "$@"
}
install numpy
# TVM reads ONNX by that package, and onnx writes the models of ONNX Runtime and OpenVINO too.
for peer in "onnx onnxruntime" "ai-edge-litert flatbuffers" "onnx openvino" "onnx apache-tvm" ncnn; do
  # shellcheck disable=SC2086 # these are words
  install $peer || [ "$skip" ] || { echo "cannot install $peer; --skip-missing goes on without" >&2; exit 3; }
done

exec "$environment/bin/python" test/bench/bench.py --mncc=build/release/mncc --work="$work" \
  --json="$work/results.json" --svg="$work/results.svg" "$@"
