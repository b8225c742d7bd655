#!/usr/bin/env bash
# Proves the two commands of the README in a bare Debian 12: debootstraps one into FOLDER (with git and
# nothing else), clones this repository into it, runs scripts/demo twice and scripts/test. Needs root.
# Usage: tools/check_fresh.sh FOLDER [scripts to run]
set -eu
root=$(realpath -m "$1"); shift
here=$(cd "$(dirname "$0")/.." && pwd)
if [ ! -e "$root/etc/debian_version" ]; then
    mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -1)
    mirror=${mirror:-$(grep -rhoE '^URIs: .*' /etc/apt/sources.list.d 2>/dev/null | sed 's/URIs: //' | tr ' ' '\n' | grep debian | head -1)}
    debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" ${mirror:+$mirror}
    cp -r /etc/apt/sources.list* /etc/apt/apt.conf.d "$root/etc/apt/" 2>/dev/null || true
    cp /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
    [ ! -d /usr/local/share/ca-certificates ] || cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
fi
for fs in proc dev; do mountpoint -q "$root/$fs" || mount --rbind "/$fs" "$root/$fs"; done
trap 'umount -l "$root/dev" "$root/proc" 2>/dev/null || true' EXIT
rm -rf "$root/srv/rubato"
git clone -q "$here" "$root/srv/rubato"
[ $# -gt 0 ] || set -- scripts/demo scripts/demo scripts/test
for script in "$@"; do
    echo "== $script in a bare Debian $(cat "$root/etc/debian_version")"
    start=$(date +%s)
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 ${http_proxy:+http_proxy=$http_proxy} \
        ${https_proxy:+https_proxy=$https_proxy} bash -c "cd /srv/rubato && $script"
    echo "== $script took $(($(date +%s) - start)) s"
done
