#!/usr/bin/env python3
"""Runs meson's tests of build folders and sums up single test cases: N passed, M failed, K skipped."""
import json
import os
import re
import subprocess
import sys


def cases(test):
    """(passed, failed, skipped) of one test program, from the TAP that it printed."""
    passed = failed = skipped = 0
    for line in test.get("stdout", "").splitlines():
        verdict = re.match(r"(not )?ok\b", line)
        if verdict and re.search(r"#\s*skip", line, re.I):  # cmocka writes "not ok 1 # SKIP"
            skipped += 1
        elif verdict and verdict.group(1):
            failed += 1
        elif verdict:
            passed += 1
    if test.get("returncode", 0) != 0 and failed == 0:
        failed = 1  # it crashed, timed out or leaked
    return passed, failed, skipped


def run(build):
    total = [0, 0, 0]
    log = os.path.join(build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "-q", "--timeout-multiplier", "4"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    with open(log) as file:
        tests = [json.loads(line) for line in file]
    for test in sorted(tests, key=lambda t: t["name"]):
        counts = cases(test)
        total = [a + b for a, b in zip(total, counts)]
        print(f"{build}: {test['name']}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped"
              f" ({test['duration']:.1f} s)")
        for line in test.get("stdout", "").splitlines():
            if re.search(r"skipped: ", line):
                print("    " + line)
        if counts[1]:
            print(test.get("stdout", "")[-6000:])
            print(test.get("stderr", "")[-6000:])
    return total


def main():
    total = [0, 0, 0]
    for build in sys.argv[1:]:
        total = [a + b for a, b in zip(total, run(build))]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or total[0] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
