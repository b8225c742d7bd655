#!/usr/bin/env python3
"""speed_errors.py DATE FITTED.csv SYSTEM=CARRIED.csv...: data/errors.yaml on standard output, from rows of
`rubato validate --fit --rows FITTED.csv` (constants fitted without each row's pair of model and system) and, for
each SYSTEM, rows predicted by a build without that system's calibration."""
import csv
import sys

SHARES = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98]


def speeds(path):
    """(system, throughput measured / predicted) of aggregated vLLM rows."""
    with open(path) as file:
        for row in csv.DictReader(file):
            if row["mode"] == "agg" and row["engine"] == "vllm" and row["throughput_predicted"]:
                yield row["system"].upper().replace("_", "-"), float(row["throughput_measured"]) / float(row["throughput_predicted"])


def quantiles(values):
    values = sorted(values)
    out = []
    for share in SHARES:
        at = share * (len(values) - 1)
        low = int(at)
        high = min(low + 1, len(values) - 1)
        out.append(values[low] + (at - low) * (values[high] - values[low]))
    return ", ".join(f"{x:.4f}" for x in out)


def main():
    by_system = {}
    for system, speed in speeds(sys.argv[2]):
        by_system.setdefault(system, []).append(speed)
    carried = []
    for pair in sys.argv[3:]:
        name, path = pair.split("=")
        carried += [speed for system, speed in speeds(path) if system == name]
    print("""# How many times as fast as predicted measured deployments ran: quantiles of measured / predicted output tokens per
# second and accelerator at the same requests in flight, vLLM, aggregated. Made by tools/speed_errors.py from
# `rubato validate --fit --folds 12 --rows` on the 3,269 measurements of ai-dynamo/aiconfigurator at 095f58a
# (Apache-2.0): each row is predicted with engine constants fitted without its pair of model and system. 'carried':
# accelerators that were not measured; what was seen of measured ones when their own calibration was taken
# away and the nearest one's efficiencies carried over (engine constants as shipped).
# Rows: [accelerator, measurements, [speeds at the shares]].""")
    print(f"date: {sys.argv[1]}\nshares: [{', '.join(map(str, SHARES))}]\nspeeds:")
    for system in sorted(by_system):
        if len(by_system[system]) >= 20:
            print(f"  - [{system}, {len(by_system[system])}, [{quantiles(by_system[system])}]]")
    print(f"  - [carried, {len(carried)}, [{quantiles(carried)}]]")


main()
