#!/usr/bin/env python3
"""The command line against Vidur: 'rubato simulate' in the forms that scripts rely on, its --requests file and
its JSON. Every file of ../shared/reference/vidur with one pipeline stage must match per request to 1e-6 s,
restarts included. Prints TAP."""
import csv
import gzip
import json
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RUBATO = os.path.abspath(sys.argv[1])
SHARED = os.path.join(ROOT, "..", "shared")
TRACE = os.path.join(SHARED, "data", "traces", "azure_2023_conv.csv.gz")
HEADER = "id,arrival_s,input_tok,output_tok,scheduled_s,first_token_s,finish_s,restarts"
NINE = re.compile(r"\d+\.\d{9}$")
SARATHI = ["--policy", "sarathi", "--max-seqs", "256", "--chunk", "512"]
V0 = ["--policy", "vllm-v0", "--max-seqs", "256", "--max-batch-tokens", "16384"]
CASES = {
    "sarathi_conv_1x": [*SARATHI, "--kv-blocks", "20000", "--time-scale", "1.0"],
    "vllm_conv_1x": [*V0, "--kv-blocks", "20000"],
    "sarathi_conv_tight": [*SARATHI, "--kv-blocks", "2600", "--time-scale", "0.8"],
    "vllm_conv_tight": [*V0, "--kv-blocks", "2600", "--time-scale", "0.8"],
    "sarathi_conv_rr4": [*SARATHI, "--kv-blocks", "20000", "--replicas", "4", "--router", "round-robin",
                         "--time-scale", "0.25"],
}


def simulate(args, out):
    args = [RUBATO, "simulate", "--trace", TRACE, "--perf", "linear:6e-3,2.2e-5,8.2e-8,3.4e-9", *args,
            "--block-size", "16", "--requests", out, "--json"]
    return subprocess.run(args, capture_output=True, text=True, check=True).stdout


def compare(name, out):
    """The largest difference [s] and the number of restarts; an exception where something does not match."""
    with open(out) as file, gzip.open(os.path.join(SHARED, "reference", "vidur", name + ".csv.gz"), "rt") as other:
        assert file.readline().rstrip("\n") == HEADER, "header"
        theirs = csv.DictReader(other)
        most, restarts, n = 0.0, 0, 0
        for line, row in zip(file, theirs, strict=True):
            cell = line.rstrip("\n").split(",")
            assert int(cell[0]) == int(row["id"]) == n and len(cell) == 8, line
            assert all(NINE.match(cell[k]) for k in (1, 4, 5, 6)), f"not nine decimals: {line}"
            if int(row["restarts"]) == 0:
                assert int(cell[2]) == int(float(row["num_prefill_tokens"])), line
            for k, key in ((1, "arrived_at"), (4, "scheduled_at"), (5, "prefill_completed_at"), (6, "completed_at")):
                difference = abs(float(cell[k]) - float(row[key]))
                assert difference <= 1e-6, f"{key} {cell[k]}, Vidur {row[key]}, request {n}"
                most = max(most, difference)
            assert int(cell[7]) == int(row["restarts"]), line
            restarts += int(cell[7])
            n += 1
    assert n == 19366, n
    return most, restarts


def routers(folder):
    """Each router serves every request; the same command gives the same bytes."""
    for router in ("round-robin", "least-waiting", "least-outstanding", "random"):
        texts = []
        for name in ("a.csv", "b.csv"):
            out = os.path.join(folder, name)
            document = json.loads(simulate([*SARATHI, "--kv-blocks", "20000", "--replicas", "4", "--router", router,
                                            "--time-scale", "0.25"], out))
            with open(out, "rb") as file:
                texts.append(file.read())
        assert texts[0] == texts[1], f"{router}: another run, other bytes"
        assert texts[0].count(b"\n") == 19367 and b",-1\n" not in texts[0], router
        assert isinstance(document, dict), router


def main():
    print(f"1..{len(CASES) + 1}")
    if not os.path.exists(TRACE):
        for i in range(1, len(CASES) + 2):
            print(f"ok {i} - vidur # SKIP skipped: no ../shared")
        return 0
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, (name, args) in enumerate(CASES.items(), 1):
            out = os.path.join(folder, "out.csv")
            try:
                simulate(args, out)
                most, restarts = compare(name, out)
                print(f"ok {i} - {name}: largest difference {most:.2g} s, {restarts} restarts")
            except (AssertionError, subprocess.CalledProcessError, ValueError) as error:
                failed += 1
                print(f"not ok {i} - {name}\n# {error!r}")
        try:
            routers(folder)
            print(f"ok {len(CASES) + 1} - every router")
        except AssertionError as error:
            failed += 1
            print(f"not ok {len(CASES) + 1} - every router\n# {error!r}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
