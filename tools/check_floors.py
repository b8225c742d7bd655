#!/usr/bin/env python3
"""Checks docs/decisions/002: a file includes only from its own room or rooms on lower floors, and no
headers include each other in a circle. Prints TAP."""
import os
import re
import sys

FLOOR = {"base": 0, "catalog": 1, "trace": 1, "study": 1, "perf": 2, "forecast": 2, "serve": 3, "jobs": 3, "size": 4,
         "validate": 4, "portfolio": 4, "plan": 5, "replay": 6, "report": 6, "store": 6, "web": 7, "cli": 8}
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def sources():
    for top in ("src", "include"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def room_of(path):
    parts = path.split(os.sep)
    return parts[1] if parts[0] == "src" else parts[2][:-2]


def main():
    wrong, graph = [], {}
    for path in sources():
        room = room_of(path)
        if room not in FLOOR:
            wrong.append(f"{path}: room '{room}' is on no floor")
            continue
        with open(os.path.join(ROOT, path), errors="replace") as file:
            text = file.read()
        graph[path] = []
        for name in re.findall(r'^#include "([^"]+)"', text, re.M):
            target = "include/" + name if name.startswith("rubato/") else "src/" + name
            graph[path].append(target)
            other = room_of(target)
            if other not in FLOOR:
                wrong.append(f"{path}: includes {name} of no room")
            elif FLOOR[other] > FLOOR[room] or (FLOOR[other] == FLOOR[room] and other != room):
                wrong.append(f"{path} (floor {FLOOR[room]}) includes {name} (floor {FLOOR[other]})")
    state = {}

    def visit(node, trail):
        state[node] = 1
        for target in graph.get(node, []):
            if state.get(target) == 1:
                wrong.append("include circle: " + " -> ".join(trail + [node, target]))
            elif target not in state:
                visit(target, trail + [node])
        state[node] = 2

    for path in graph:
        if path not in state:
            visit(path, [])
    print("1..1")
    print("not ok 1 - floors" if wrong else "ok 1 - floors")
    for line in wrong:
        print("# " + line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
