# Sourced by scripts/demo and scripts/test: what both need before they begin. Says each slow step, with how long it took.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PROJECT=$PWD
CACHE=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}
export PROJECT CACHE
# Some machines forbid Python to keep what it compiled: each ssod would take three times as long to start, each Ansible twice.
unset PYTHONDONTWRITEBYTECODE

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step TEXT COMMAND...: one line with the time it took; what it printed only when it failed.
step() {
  local text=$1 log started=$SECONDS
  shift
  log=$(mktemp)
  printf '  - %s ... ' "$text" >&2
  if "$@" >"$log" 2>&1; then
    printf '%ss\n' "$((SECONDS - started))" >&2
    rm -f "$log"
  else
    printf 'failed\n' >&2
    tail -n 60 "$log" >&2
    rm -f "$log"
    return 1
  fi
}

need_root() {
  [ "$(id -u)" = 0 ] || die "this boots machines with systemd-nspawn and needs root: run it with sudo"
}

# packages NAME...: Debian packages that are not there yet.
packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  step "install Debian packages: ${missing[*]}" _install "${missing[@]}"
}

_install() {
  export DEBIAN_FRONTEND=noninteractive
  # A test machine must not start the servers that come with the packages we use as tools.
  local policy=/usr/sbin/policy-rc.d made=
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made=1
  fi
  local status=0
  { apt-get update -q && apt-get install -q -y --no-install-recommends "$@"; } || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return "$status"
}

# interpreters: the supported Pythons that are here, a line each: VERSION PATH, the machine's own first.
interpreters() {
  local version path
  for version in 3.11 3.13; do
    for path in "/usr/bin/python$version" "$(command -v "python$version" || true)" \
                "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/"python$version"; do
      if [ -x "$path" ] && "$path" -c 'import ensurepip, venv' 2>/dev/null &&
         [ "$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
        printf '%s %s\n' "$version" "$path"
        break
      fi
    done
  done
}

# virtual_environment VERSION PATH LOCK...: makes or completes .venv-VERSION by the hashed locks, and names it in VENV.
virtual_environment() {
  local version=$1 python=$2 wanted
  shift 2
  VENV=$PROJECT/.venv-$version
  export VENV
  wanted=$(cat "$@" | sha256sum | cut -d' ' -f1)
  [ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV"
  [ "$(cat "$VENV/.holdfast-lock" 2>/dev/null)" = "$wanted" ] && return 0
  step "install the locked Python packages for Python $version" _fill "$wanted" "$@"
}

_fill() {
  local wanted=$1 lock arguments=()
  shift
  for lock in "$@"; do arguments+=(-r "$lock"); done
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check uv==0.13.9
  # uv is quicker by far; pip knows an index that only pip's configuration names.
  "$VENV/bin/uv" pip install -q --python "$VENV/bin/python" --require-hashes "${arguments[@]}" ||
    "$VENV/bin/python" -m pip install -q --require-hashes "${arguments[@]}"
  printf '%s\n' "$wanted" >"$VENV/.holdfast-lock"
}

# The checkout as the collection holdfast.sso, for Ansible.
collection_link() {
  mkdir -p "$PROJECT/collections/ansible_collections/holdfast"
  [ -e "$PROJECT/collections/ansible_collections/holdfast/sso" ] ||
    ln -s ../../.. "$PROJECT/collections/ansible_collections/holdfast/sso"
  export ANSIBLE_COLLECTIONS_PATH=$PROJECT/collections
}
