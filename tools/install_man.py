#!/usr/bin/env python3
"""Writes the manual pages, rubato.1 and rubato-COMMAND.1, as the program itself prints them.

    install_man.py RUBATO FOLDER"""
import os
import subprocess
import sys


def printed(rubato, *args):
    return subprocess.run([rubato, *args], check=True, capture_output=True, text=True).stdout


def main():
    rubato, folder = sys.argv[1], sys.argv[2]
    prefix = os.environ.get("MESON_INSTALL_DESTDIR_PREFIX")
    folder = os.path.join(prefix, folder) if prefix else folder
    os.makedirs(folder, exist_ok=True)
    pages = {"rubato": ["--man"]}
    for name in printed(rubato, "--commands").splitlines():
        pages["rubato-" + name.replace(" ", "-")] = ["--man"] + name.split()
    for page, args in pages.items():
        with open(os.path.join(folder, page + ".1"), "w") as file:
            file.write(printed(rubato, *args))


if __name__ == "__main__":
    main()
