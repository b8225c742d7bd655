# Sourced by scripts/demo, scripts/test and .ci/run: installs what is missing on Debian 12, builds.
# A second run finds everything and makes no call of apt.

set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BUILD_PACKAGES="gcc libc6-dev meson ninja-build pkg-config python3 libyaml-dev libjansson-dev zlib1g-dev libzstd-dev coinor-libclp-dev coinor-libcbc-dev libcmocka-dev"

# need PACKAGE...: installs those that dpkg does not know as installed.
need() {
    local missing=""
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    local as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "missing packages:$missing; run as root, or install sudo" >&2; exit 2; }
        as_root=sudo
    fi
    echo "installing:$missing" >&2
    # a fresh system has no package lists; an old list is refreshed when a package is not found in it
    ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || $as_root apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing >&2 ||
        { $as_root apt-get update -q >&2; DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing >&2; }
}

# build FOLDER [meson options]: configures once, builds quietly unless it fails.
build() {
    local folder=$1; shift
    [ -f "$folder/build.ninja" ] || meson setup "$folder" "$@" >"$folder.log" 2>&1 || { cat "$folder.log" >&2; exit 1; }
    rm -f "$folder.log"
    ninja -C "$folder" >"$folder/build.log" 2>&1 || { tail -40 "$folder/build.log" >&2; exit 1; }
}
