#!/usr/bin/env python3
"""With --iterations a plan document is the same, byte for byte, for 1, 2 and 8 threads (seconds left
out), for both kinds of study: one that the MIP takes and one that block pricing takes. Prints TAP."""
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def document(rubato, study, threads):
    run = subprocess.run([rubato, "plan", study, "--iterations", "2", "--threads", str(threads), "--gap", "0", "--no-files",
                          "--no-worth", "--json"], cwd=ROOT, stdin=subprocess.DEVNULL, text=True, capture_output=True)
    if run.returncode != 0:
        return f"exit status {run.returncode}: {run.stderr}", None
    plan = json.loads(run.stdout)
    plan.pop("seconds", None)
    del plan["solve"]["seconds"]
    return json.dumps(plan, sort_keys=True), plan["solve"]["method"]


def main():
    rubato = os.path.abspath(sys.argv[1])
    studies = [("examples/tiny.yaml", "MIP"), ("tests/determinism/priced.yaml", "pricing")]
    failed = 0
    print(f"1..{len(studies)}")
    for i, (study, kind) in enumerate(studies, 1):
        one, method = document(rubato, study, 1)
        same = method is not None and kind in method and all(document(rubato, study, t)[0] == one for t in (2, 8))
        failed += not same
        print(f"{'ok' if same else 'not ok'} {i} - {study}: one plan for 1, 2 and 8 threads")
        if not same:
            print(f"# method {method}; with one thread: {one[:300]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
