#!/usr/bin/env python3
"""calibration_table.py data/calibration/*.json: the table of errors in docs/perf.md (Markdown). Each cell is
median / p90 of the absolute error on rows left out, in %, as the files state it."""
import json
import sys


def cell(curve):
    star = "*" if curve["note"] else ""
    return f'{100 * curve["median"]:.1f} / {100 * curve["p90"]:.1f}{star}'


def main():
    print("| system | library | operator | format: median / p90 |\n|---|---|---|---|")
    for path in sys.argv[1:]:
        with open(path) as file:
            document = json.load(file)
        rows = {}
        for c in document["curves"]:
            rows.setdefault((c["library"], c["family"]), []).append(f'{c["variant"]} {cell(c)}')
        for (library, family), cells in sorted(rows.items()):
            print(f'| {document["system"]} | {library} | {family} | {"; ".join(cells)} |')


main()
