#!/usr/bin/env python3
"""embed.py OUT.c NAME FILE...: files as C byte arrays NAME_<stem>[] and NAME_<stem>_n, so that the
binary needs no data folder. embed.py OUT.c --table FILE...: files of data/calibration as one table."""
import pathlib
import sys


def c_bytes(data):
    lines = [','.join(str(b) for b in data[i:i + 40]) + ',' for i in range(0, len(data), 40)]
    return '\n'.join(lines + ['0'])


def table(out, files):
    parts = ['/* Made by tools/embed.py from data/calibration/. */', '#include "perf/calibration.h"', '']
    for i, path in enumerate(files):
        parts.append(f'static const unsigned char file_{i}[] = {{\n{c_bytes(path.read_bytes())}}};')
    rows = [f'    {{"{p.name}", file_{i}, sizeof file_{i} - 1}},' for i, p in enumerate(files)]
    parts += ['const rub_embedded_file rub_calibration_file[] = {', *rows, '};',
              f'const size_t rub_calibration_file_n = {len(files)};', '']
    pathlib.Path(out).write_text('\n'.join(parts))


def main():
    if sys.argv[2] == '--table':
        return table(sys.argv[1], [pathlib.Path(p) for p in sys.argv[3:]])
    out, prefix, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    parts = ['/* Made by tools/embed.py from data/. */', '#include "catalog/embedded.h"', '']
    for path in map(pathlib.Path, files):
        name = f'{prefix}_{path.stem}'
        data = path.read_bytes()
        parts.append(f'const unsigned char {name}[] = {{')
        for i in range(0, len(data), 20):
            parts.append(','.join(str(b) for b in data[i:i + 20]) + ',')
        parts += ['0};', f'const size_t {name}_n = {len(data)};', '']
    pathlib.Path(out).write_text('\n'.join(parts))


main()
