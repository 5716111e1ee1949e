#!/usr/bin/env bash
# Installs what is missing on a Debian or Ubuntu machine that has Rust.
#   setup.sh build      what compiling needs
#   setup.sh services   what `make services` starts
#   setup.sh test       both, and what else the tests need
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
  apt_get_install "${missing[@]}"
}

apt_get_install() {
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
  fi
  echo "installing $*"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@"
}

setup_build() {
  if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing: install it from https://rustup.rs, then run this again" >&2
    exit 1
  fi
  # ring and SQLite are compiled from C, librdkafka and OpenSSL from C, C++ and Perl.
  apt_install cc gcc c++ g++ make make perl perl ar binutils
}

# The Python in which the example client runs, with the packages it names.
setup_python() {
  local wanted=examples/python/requirements.txt
  cmp -s "$wanted" .tools/python/requirements.txt && return
  # Debian keeps what makes such an environment in a package of its own.
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_get_install python3-venv
  python3 -m venv .tools/python
  .tools/python/bin/pip install --quiet --disable-pip-version-check -r "$wanted"
  cp "$wanted" .tools/python/requirements.txt
}

# What `make services` runs, except for what the environment says somebody else runs.
setup_services() {
  [ "${TALLY_SERVICES:-}" != docker ] || return 0
  if [ -n "${DATABASE_URL:-}" ]; then
    apt_install psql postgresql-client
  elif ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null 2>&1; then
    install_postgresql
  fi
  if [ -z "${KAFKA_BROKERS:-}" ]; then
    apt_install mvn maven
    install_java
    ./scripts/services.sh fetch-kafka
  fi
}

# Debian's package makes a cluster on port 5432 and starts it. Nobody asked for one.
install_postgresql() {
  local config=/etc/postgresql-common/createcluster.conf sudo=()
  [ "$(id -u)" -eq 0 ] || sudo=(sudo)
  apt_get_install postgresql-common
  "${sudo[@]}" cp -p "$config" "$config.before-tally"
  "${sudo[@]}" sed -i 's/^#\?create_main_cluster *=.*/create_main_cluster = false/' "$config"
  apt_get_install postgresql
  "${sudo[@]}" mv "$config.before-tally" "$config"
}

install_java() {
  local major
  major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  [ "${major:-0}" -ge 17 ] && return
  apt_get_install default-jre-headless
  major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  [ "${major:-0}" -ge 17 ] || apt_get_install openjdk-17-jre-headless
}

setup_test() {
  setup_build
  setup_services
  if command -v rustup >/dev/null 2>&1; then
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
  fi
  apt_install npm npm node nodejs python3 python3 git git
  setup_python
  if ! .tools/node_modules/.bin/buf --version 2>/dev/null | grep -qx "$BUF_VERSION"; then
    mkdir -p .tools
    npm install --silent --no-audit --no-fund --no-save --prefix .tools "@bufbuild/buf@$BUF_VERSION"
  fi
}

case "${1:-}" in
  build) setup_build ;;
  services) setup_services ;;
  test) setup_test ;;
  *) echo "usage: setup.sh build|services|test" >&2; exit 2 ;;
esac
