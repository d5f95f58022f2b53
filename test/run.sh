#!/bin/bash
# Installs what is missing, builds mncc in build/release and runs all its tests.
set -euo pipefail
cd "$(dirname "$0")/.."

test/setup.sh
cmake --preset release
cmake --build --preset release
ctest --preset release
