#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test without the label
# `nightly`, in one ctest call whose closing line comes last.
set -euo pipefail

usage() { echo "usage: tests/run.sh [-L LABEL] [-R REGEX]    labels: unit dist gpu e2e bench nightly"; }

label='' select=()
while (($#)); do
  case $1 in
    -L) label=${2:?"-L needs a label"}; select+=(-L "$2"); shift ;;
    -R) select+=(-R "${2:?"-R needs a pattern"}"); shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; echo "tests/run.sh: unknown option '$1'" >&2; exit 2 ;;
  esac
  shift
done
if [[ $label != nightly ]]; then select+=(-LE nightly --no-tests=error); fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
step() { printf '== %s (%d s)\n' "$*" "$SECONDS"; }

step "installing what is missing"
deploy/install_deps.sh --tools
step "configuring"
cmake --preset release --log-level=WARNING
step "building"
cmake --build --preset release -j "$(nproc)"
step "testing"
exec ctest --test-dir build/release --output-on-failure -j "$(nproc)" "${select[@]}"
