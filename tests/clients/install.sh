#!/bin/bash
# Installs the clients that the runners use: Bazel from Debian, BuildGrid's `bgd` from PyPI, each release into a virtual
# environment of its own below CLIENTS_HOME. Does nothing where they are installed already.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

apt_install() {
  if [ "$(id -u)" != 0 ]; then
    echo "clients: please run: sudo apt-get install --no-install-recommends $*" >&2
    exit 1
  fi
  echo "clients: installing $* ..."
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" >/dev/null
}

packages=()
[ -x "$BAZEL" ] || packages+=(bazel-bootstrap)
/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
[ ${#packages[@]} = 0 ] || apt_install "${packages[@]}"

mkdir -p "$CLIENTS_HOME"
while IFS=: read -r release python; do
  [ -x "$(bgd_of "$release")" ] && continue
  if ! interpreter=$(python_at_least "$python"); then
    echo "clients: bgd $release needs Python $python, which is not here: its cases are skipped"
    continue
  fi
  echo "clients: installing bgd $release with $("$interpreter" --version) ..."
  environment=$CLIENTS_HOME/bgd-$release
  rm -rf "$environment"
  "$interpreter" -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check "buildgrid==$release"
done <<<"$BGD_RELEASES"
