#!/usr/bin/env bash
# Installs what is missing on a Debian or Ubuntu machine that has Rust.
#   setup.sh build   what compiling needs
#   setup.sh test    that, and what the tests need
set -euo pipefail
cd "$(dirname "$0")/.."

readonly BUF_VERSION=1.75.0

apt_install() {
  local missing=()
  while [ $# -gt 0 ]; do
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -eq 0 ] && return
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
  fi
  echo "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

setup_build() {
  if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing: install it from https://rustup.rs, then run this again" >&2
    exit 1
  fi
  # ring and SQLite are compiled from C.
  apt_install cc gcc make make ar binutils
}

setup_test() {
  setup_build
  if command -v rustup >/dev/null 2>&1; then
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
  fi
  apt_install npm npm node nodejs python3 python3 git git
  if ! .tools/node_modules/.bin/buf --version 2>/dev/null | grep -qx "$BUF_VERSION"; then
    mkdir -p .tools
    npm install --silent --no-audit --no-fund --no-save --prefix .tools "@bufbuild/buf@$BUF_VERSION"
  fi
}

case "${1:-}" in
  build) setup_build ;;
  test) setup_test ;;
  *) echo "usage: setup.sh build|test" >&2; exit 2 ;;
esac
