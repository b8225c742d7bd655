#!/usr/bin/env python3
"""rubato plan over MPI ranks: one plan for 1, 2 and 4 ranks; what-ifs shared out; a killed rank ends the job,
and its checkpoint is gone on from. Prints TAP."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PRICED = "tests/determinism/priced.yaml"
ENV = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def start(rubato, ranks, *options):
    return subprocess.Popen(["mpirun", "-n", str(ranks), "--oversubscribe", rubato, "plan", *options], cwd=ROOT, env=ENV,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def without_seconds(x):
    if isinstance(x, dict):
        return {k: without_seconds(v) for k, v in x.items() if k != "seconds"}
    return [without_seconds(v) for v in x] if isinstance(x, list) else x


def document(rubato, ranks, *options):
    job = start(rubato, ranks, *options, "--threads", "1", "--no-files", "--json")
    out, err = job.communicate(timeout=250)
    if job.returncode != 0:
        return f"exit status {job.returncode}: {err}"
    return json.dumps(without_seconds(json.loads(out)), sort_keys=True)


def same_plan(rubato, *options, ranks=(2, 4)):
    one = document(rubato, 1, *options)
    other = {n: document(rubato, n, *options) for n in ranks}
    wrong = [n for n in other if other[n] != one]
    return one.startswith("{") and not wrong, f"ranks that differ: {wrong}; one rank: {one[:300]}"


def children(pid):
    """Processes started by pid, and by those."""
    out = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,comm="], capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in out.splitlines()]
    found = {pid}
    for _ in range(4):
        found |= {int(r[0]) for r in rows if int(r[1]) in found}
    return [int(r[0]) for r in rows if int(r[0]) in found and r[2] == "rubato"]


def killed_rank(rubato):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint")
        job = start(rubato, 2, PRICED, "--threads", "1", "--no-files", "--no-worth", "--gap", "0", "--time-limit", "100",
                    "--checkpoint", path, "--checkpoint-every", "0")
        deadline = time.time() + 90
        while not os.path.exists(path) and job.poll() is None and time.time() < deadline:
            time.sleep(0.05)
        ranks = children(job.pid)
        if len(ranks) != 2 or not os.path.exists(path):
            job.kill()
            return False, f"ranks {ranks}, checkpoint {os.path.exists(path)}: {job.communicate()[1][:300]}"
        os.kill(ranks[1], signal.SIGKILL)
        err = job.communicate(timeout=60)[1]
        if job.returncode == 0 or "signal 9" not in err:
            return False, f"exit status {job.returncode}: {err[:300]}"
        resumed = document(rubato, 1, PRICED, "--resume", path, "--iterations", "1", "--gap", "0", "--no-worth")
        return resumed.startswith("{"), resumed[:300]


def interrupted_rank(rubato):
    """One rank hears of Ctrl-C before the others do: all leave out the same, none waits for ever."""
    job = start(rubato, 2, PRICED, "--threads", "1", "--no-files", "--iterations", "4", "--gap", "0",
                "--evaluate", "2000", "--json")  # ten seconds alone: interrupted well before its end, on any machine
    deadline = time.time() + 60
    while len(children(job.pid)) != 2 and job.poll() is None and time.time() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    ranks = children(job.pid)
    if len(ranks) != 2:
        job.kill()
        return False, f"ranks {ranks}: {job.communicate()[1][:300]}"
    os.kill(ranks[1], signal.SIGINT)
    try:
        out, err = job.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        for pid in ranks:
            os.kill(pid, signal.SIGKILL)
        job.kill()
        return False, "the ranks wait for one another: " + job.communicate()[1][:300]
    return job.returncode in (0, 130), f"exit status {job.returncode}: {err[:300]}"


def main():
    rubato = os.path.abspath(sys.argv[1])
    tests = [
        ("one plan for 1, 2 and 4 ranks", lambda: same_plan(rubato, PRICED, "--iterations", "3", "--gap", "0", "--no-worth")),
        ("one answer with what-ifs and option values shared out",
         lambda: same_plan(rubato, "examples/tiny.yaml", "--iterations", "2", "--what-if", "study.discount=12%/yr",
                           "--what-if", "study.discount=4%/yr")),
        ("one answer with other trees shared out",
         lambda: same_plan(rubato, PRICED, "--iterations", "1", "--gap", "0", "--no-worth", "--stability", "3", ranks=(2,))),
        ("a killed rank ends the job, its checkpoint is gone on from", lambda: killed_rank(rubato)),
        ("a rank interrupted alone keeps none waiting", lambda: interrupted_rank(rubato)),
    ]
    failed = 0
    probe = subprocess.run(["mpirun", "-n", "2", "--oversubscribe", "true"], env=ENV, capture_output=True, text=True)
    if probe.returncode != 0:  # a sandbox without sockets, say
        print("1..1\nok 1 - ranks # SKIP skipped: mpirun cannot start processes here: " + probe.stderr.strip()[:200].replace("\n", " "))
        return 0
    print(f"1..{len(tests)}")
    for i, (name, test) in enumerate(tests, 1):
        good, why = test()
        failed += not good
        print(f"{'ok' if good else 'not ok'} {i} - {name}")
        if not good:
            print("# " + why.replace("\n", " "))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
