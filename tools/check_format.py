#!/usr/bin/env python3
"""Checks that clang-format would change no C file. Prints TAP; skipped where clang-format is absent."""
import os
import shutil
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def main():
    print("1..1")
    if not shutil.which("clang-format"):
        print("ok 1 - format # SKIP skipped: no clang-format")
        return 0
    files = []
    for top in ("src", "include", "tests", "bench"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            files += [os.path.join(folder, n) for n in names if n.endswith((".c", ".h"))]
    run = subprocess.run(["clang-format", "--dry-run", "-Werror"] + sorted(files), stderr=subprocess.PIPE, text=True)
    print("ok 1 - format" if run.returncode == 0 else "not ok 1 - format")
    for line in run.stderr.splitlines()[:20]:
        print("# " + line)
    return 0 if run.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
