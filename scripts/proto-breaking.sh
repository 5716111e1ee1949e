#!/usr/bin/env bash
# Compares the contracts with the newest earlier ones: the last release's, or
# those of the commit before. Usage: proto-breaking.sh BUF
set -euo pipefail
cd "$(dirname "$0")/.."
buf=$PWD/$1

base=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || git rev-parse --verify --quiet 'HEAD^' || true)
if [ -z "$base" ] || ! git cat-file -e "$base:proto/buf.yaml" 2>/dev/null; then
  echo "no earlier contracts to compare with"
  exit 0
fi
earlier=$(mktemp -d)
trap 'rm -rf "$earlier"' EXIT
git archive "$base" proto | tar -x -C "$earlier"
cd proto
"$buf" breaking --against "$earlier/proto"
echo "contracts are compatible with $base"
