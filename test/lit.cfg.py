"""How the tests in the folders beside this file are run: which files are tests, what the words in
their RUN lines stand for and which of them need what this build or machine may not have.

Everything that depends on the build comes from lit.site.cfg.py, which CMake writes."""

import os
import platform
import shutil
import sys

import lit.formats

config.name = "mncc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mn", ".mnl", ".test"]
# Networks that tests read (Inputs), and folders whose programs CTest or the tests themselves run.
config.excludes = ["Inputs", "tools", "unit", "lint", "install"]
config.test_source_root = os.path.dirname(__file__)

# The same output everywhere: no translated message, no colour, no user's LLVM or Python settings.
config.environment["LC_ALL"] = "C"
config.environment["NO_COLOR"] = "1"
config.environment["PYTHONDONTWRITEBYTECODE"] = "1"
# FileCheck, not, llvm-nm and others are called by their plain names, whatever LLVM's version.
config.environment["PATH"] = os.pathsep.join([config.llvm_tools, config.environment["PATH"]])
if config.sanitize:
    config.environment["ASAN_OPTIONS"] = "strict_string_checks=1:detect_stack_use_after_return=1"
    config.environment["UBSAN_OPTIONS"] = "print_stacktrace=1"

config.substitutions += [
    ("%mncc", config.mncc),
    ("%cc", config.cc),
    ("%clang", config.clang or "clang-is-missing"),
    ("%python", config.python),
    ("%examples", os.path.join(config.source, "examples")),
    ("%runtime", os.path.join(config.source, "runtime")),
    ("%source", config.source),
    ("%build", config.build),
]

sys.path.insert(0, os.path.join(config.test_source_root, "tools"))
from networks import levels_here  # noqa: E402

config.available_features.update(levels_here())

# A feature is named in `REQUIRES:`; a test without it is reported as unsupported.
# What the tests of other processors compile and run with.
have = shutil.which
for feature, present in [
    ("run-aarch64", have("aarch64-linux-gnu-gcc") and have("qemu-aarch64")),
    ("run-armv7", have("arm-linux-gnueabihf-gcc") and have("qemu-arm")),
    ("run-riscv64", have("riscv64-linux-gnu-gcc") and have("qemu-riscv64")),
    ("run-wasm32", (have("wasm-ld") or have("wasm-ld-19")) and have("node")),
    ("x86-64", platform.machine() == "x86_64"),
    ("llvm", config.has_llvm),
    ("pictures", config.has_images),
    ("examples", config.has_examples),
    ("clang", config.clang),
    ("torch", config.has_torch),
    ("numpy", config.has_numpy),
    ("sklearn", config.has_sklearn),
    ("qemu-arm", config.qemu_arm and config.arm_gcc),
    ("sanitize", config.sanitize),
    ("valgrind", have("valgrind")),
    ("bash", have("bash")),
    ("vim", have("vim")),
    ("zsh", have("zsh")),
    ("fish", have("fish")),
    ("mandoc", have("mandoc")),
    ("bison", have("bison")),
]:
    if present:
        config.available_features.add(feature)
