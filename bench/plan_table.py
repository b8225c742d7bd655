#!/usr/bin/env python3
"""Time, gap and memory of rubato plan against sites and leaves. Prints a Markdown table; with --log FILE appends
CSV rows with commit and machine. Seconds are the clock's and the processor's: on a busy machine the second tells.

  bench/plan_table.py build/rubato --sites 10,30,100 --leaves 16,64,1024 --quarters 24 --limit 60
"""
import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import time


def numbers(text):
    return [int(x) for x in text.split(",")]


def machine():
    name = "unknown processor"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            name = line.split(":")[1].strip()
            break
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def commit():
    out = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return out.stdout.strip() or "unknown"


def one(rubato, sites, blocks, quarters, leaves, seed, limit, gap, more):
    with tempfile.TemporaryDirectory() as folder:
        study = os.path.join(folder, "study.yaml")
        subprocess.run([rubato, "study", "make", "--sites", str(sites), "--blocks-per-site", str(blocks),
                        "--quarters", str(quarters), "--leaves", str(leaves), "--seed", str(seed), "--out", study],
                       check=True)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        run = subprocess.run([rubato, "plan", study, "--no-worth", "--no-files", "--json", "--gap", str(gap),
                              "--time-limit", str(limit), *more], capture_output=True, text=True)
        wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    if run.returncode not in (0, 1):
        return {"error": run.stderr.strip()}
    document = json.loads(run.stdout)
    return {"blocks": document["blocks"], "nodes": document["nodes"], "solver_s": document["seconds"], "wall_s": wall,
            "cpu_s": cpu, "gap": document.get("gap"), "value": document.get("value"), "bound": document.get("bound"),
            "peak_mb": after.ru_maxrss / 1024}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("rubato")
    p.add_argument("--sites", type=numbers, default=[10, 30, 100])
    p.add_argument("--leaves", type=numbers, default=[16, 64])
    p.add_argument("--blocks-per-site", type=int, default=3)
    p.add_argument("--quarters", type=int, default=24)
    p.add_argument("--limit", type=float, default=60)
    p.add_argument("--gap", type=float, default=0.5, help="percent")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--log")
    p.add_argument("more", nargs="*", help="after --: further options of rubato plan")
    a = p.parse_args()
    print(f"{machine()}, commit {commit()}, limit {a.limit:g} s, gap asked {a.gap:g} %\n")
    print("| sites | blocks | leaves | nodes | gap | solver s | command s | CPU s | peak MB so far |")
    print("|---|---|---|---|---|---|---|---|---|")
    for sites in a.sites:
        for leaves in a.leaves:
            r = one(a.rubato, sites, a.blocks_per_site, a.quarters, leaves, a.seed, a.limit, a.gap, a.more)
            if "error" in r:
                print(f"| {sites} | | {leaves} | | {r['error']} | | | | |", flush=True)
                continue
            gap = "none" if r["gap"] is None else f"{100 * r['gap']:.2f} %"
            print(f"| {sites} | {r['blocks']} | {leaves} | {r['nodes']} | {gap} | {r['solver_s']:.1f} | {r['wall_s']:.1f} | "
                  f"{r['cpu_s']:.1f} | {r['peak_mb']:.0f} |", flush=True)
            if a.log:
                with open(a.log, "a") as file:
                    file.write(f"{commit()},\"{machine()}\",{sites},{r['blocks']},{a.quarters},{leaves},{r['nodes']},"
                               f"{r['gap']},{r['solver_s']:.3f},{r['wall_s']:.3f},{r['cpu_s']:.3f},{r['peak_mb']:.0f}\n")


if __name__ == "__main__":
    main()
