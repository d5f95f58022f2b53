#!/bin/bash
# Installs the Debian packages that mncc needs: `test/setup.sh build` those to build it,
# `test/setup.sh` those for the tests as well. Does nothing, and needs no rights, where all are there.
set -euo pipefail

build=(gcc libc6-dev cmake ninja-build flex bison pkg-config libjansson-dev libstb-dev llvm-19-dev)
test=(g++ clang-19 libclang-rt-19-dev llvm-19-tools
      llvm-22-dev clang-22 libclang-rt-22-dev llvm-22-tools make python3 python3-numpy python3-torch python3-sklearn
      qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi
      qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
      gcc-riscv64-linux-gnu libc6-dev-riscv64-cross lld-19 nodejs valgrind zsh fish vim mandoc)

wanted=("${build[@]}")
[ "${1-}" = build ] || wanted+=("${test[@]}")
missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || state=
  [ "$state" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get -q update
"${as_root[@]}" apt-get -q install -y --no-install-recommends "${missing[@]}"
