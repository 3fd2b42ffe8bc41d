#!/bin/bash
# Installs the clients that the runners use: Bazel from Debian, BuildGrid's `bgd` and Coordinate's client from PyPI, each
# release into a virtual environment of its own below CLIENTS_HOME. Does nothing where they are installed already.
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

# The last releases of what it needs that run on Python 2.7. psycopg2, which it names, wants PostgreSQL's headers; the one
# with the library inside serves as well, therefore pip is not asked to resolve what coordinate needs.
COORDINATE_NEEDS=(cbor==1.0.0 pytest==4.6.11 psutil==5.6.7 pyyaml==5.4.1 setproctitle==1.1.10 lockfile==0.12.2
  python-daemon==2.2.4 dblogger==0.4.14 yakonfig==0.7.7 psycopg2-binary==2.8.6)
if ! "$PYTHON2" -c 'import coordinate' 2>/dev/null; then
  if ! interpreter=$(python2); then
    echo "clients: Coordinate's client needs Python 2.7, which no registry has any more: its cases are skipped"
  else
    echo "clients: installing coordinate $COORDINATE_RELEASE with $("$interpreter" --version 2>&1) ..."
    environment=$CLIENTS_HOME/coordinate-$COORDINATE_RELEASE
    tools=$CLIENTS_HOME/virtualenv-2.7
    rm -rf "$environment" "$tools"
    "$interpreter" -m pip install --quiet --disable-pip-version-check --target "$tools" virtualenv==20.15.1 2>/dev/null
    PYTHONPATH=$tools "$interpreter" -m virtualenv --quiet "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check "${COORDINATE_NEEDS[@]}" 2>/dev/null
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps "coordinate==$COORDINATE_RELEASE" 2>/dev/null
    "$PYTHON2" -c 'import coordinate'
  fi
fi
