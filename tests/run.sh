#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test without the label
# `nightly` or `deep`, in one ctest call whose closing line comes last.
set -euo pipefail

usage() {
  echo "usage: tests/run.sh [-L LABEL] [-R REGEX]"
  echo "labels: unit dist gpu e2e fault fuzz sanitizer bench deep nightly (docs/testing.md)"
}

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
# `deep` tests run when they are asked for by a label of theirs.
exclude='nightly|deep'
if [[ $label == sanitizer || $label == fuzz ]]; then exclude=nightly; fi
if [[ $label != nightly ]]; then select+=(-LE "$exclude" --no-tests=error); fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
step() { printf '== %s (%d s)\n' "$*" "$SECONDS"; }

step "installing what is missing"
deploy/install_deps.sh --tools
step "configuring"
cmake --preset release --log-level=WARNING
step "building"
cmake --build --preset release -j "$(nproc)"

# Sanitized and fuzzing binaries have build trees of their own, made where a test that
# will run needs them.
selected=$(ctest --test-dir build/release -N "${select[@]}")
target=submit_tests
if [[ $label == nightly ]]; then target=nightly_tests; fi
build_tree() {  # build_tree PRESET PATTERN
  if ! grep -qE "Test +#[0-9]+: ($2)_" <<<"$selected"; then return; fi
  step "building $target with $1"
  cmake --preset "$1" --log-level=WARNING
  cmake --build --preset "$1" -j "$(nproc)" --target "$target"
}
build_tree asan-ubsan 'asan|fuzz'
build_tree tsan tsan
step "testing"
exec ctest --test-dir build/release --output-on-failure -j "$(nproc)" "${select[@]}"
