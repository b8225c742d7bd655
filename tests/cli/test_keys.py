#!/usr/bin/env python3
"""docs/study.md holds every key as the program prints it. Prints TAP."""
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def main():
    keys = subprocess.run([os.path.abspath(sys.argv[1]), "check", "--keys"], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True).stdout
    with open(os.path.join(ROOT, "docs", "study.md")) as file:
        same = len(keys) > 1000 and file.read().endswith(keys)
    print("1..1")
    print(f"{'ok' if same else 'not ok'} 1 - docs/study.md is what rubato check --keys prints")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
