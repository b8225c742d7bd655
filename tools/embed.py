#!/usr/bin/env python3
"""embed.py OUT.c NAME FILE...: files as C byte arrays NAME_<stem>[] and NAME_<stem>_n, so that the
binary needs no data folder."""
import pathlib
import sys


def main():
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
