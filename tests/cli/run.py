#!/usr/bin/env python3
"""Exact-output tests of the command line. Each case in cases/*.txt is

    $ arguments of rubato            what is run, in the project's root
    ? 2                              expected exit status (0 when the line is not there)
    > text                           expected standard output, line by line
    ! text                           expected standard error, line by line
    * text                           only: standard output contains this line's text somewhere

A '>' or '!' list is exact; with '*' lines the rest of standard output may be anything. Cases that name
../shared are skipped where it is not there. Prints TAP."""
import os
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")


def read(path):
    cases, case = [], None
    with open(path) as file:
        for line in file:
            line = line.rstrip("\n")
            if line.startswith("$ "):
                case = {"args": line[2:], "rc": 0, "out": [], "err": [], "has": [], "file": os.path.basename(path)}
                cases.append(case)
            elif line[:1] == "?":
                case["rc"] = int(line[1:])
            elif line[:1] in (">", "!", "*"):
                case[{">": "out", "!": "err", "*": "has"}[line[0]]].append(line[2:])
    return cases


def check(rubato, case):
    run = subprocess.run([rubato] + shlex.split(case["args"]), cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                         capture_output=True)
    wrong = []
    if run.returncode != case["rc"]:
        wrong.append(f"exit status {run.returncode}, expected {case['rc']}")
    if case["err"] or not case["has"]:
        if run.stderr.splitlines() != case["err"]:
            wrong.append(f"standard error {run.stderr!r}, expected {case['err']!r}")
    if case["has"]:
        wrong += [f"standard output lacks {text!r}: {run.stdout[:600]!r}" for text in case["has"] if text not in run.stdout]
    elif run.stdout.splitlines() != case["out"]:
        wrong.append(f"standard output {run.stdout[:1500]!r}, expected {case['out']!r}")
    return wrong


def main():
    rubato = os.path.abspath(sys.argv[1])
    shared = os.path.isdir(os.path.join(ROOT, "..", "shared"))
    folder = os.path.join(HERE, "cases")
    cases = [c for name in sorted(os.listdir(folder)) if name.endswith(".txt") for c in read(os.path.join(folder, name))]
    failed = 0
    print(f"1..{len(cases)}")
    for i, case in enumerate(cases, 1):
        title = f"{case['file']}: rubato {case['args']}".replace("#", "")
        if "../shared" in case["args"] and not shared:
            print(f"ok {i} - {title} # SKIP skipped: no ../shared")
            continue
        wrong = check(rubato, case)
        print(f"{'not ok' if wrong else 'ok'} {i} - {title}")
        for line in wrong:
            print("# " + line)
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
