#!/bin/bash
# From nothing to digits read from images: installs what is missing, builds mncc in build/release,
# which compiles digits.mn and the program around it, and classifies the samples.
set -euo pipefail
cd "$(dirname "$0")/../.."

test/setup.sh build
cmake --preset release
cmake --build --preset release --target mncc digits
cd examples/digits
../../build/release/examples/digits/digits samples/*.pgm
