#!/usr/bin/env bash
# run_binary.sh PRESET BINARY [ARGUMENT...]: runs a test of a sanitized build tree with
# the settings that every such run has. A report of a sanitizer is a failure.
set -euo pipefail

preset=$1 name=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=$(cd "$here/../.." && pwd)/build/$preset/bin/$name
if [[ ! -x $binary ]]; then
  echo "run_binary.sh: $binary is not built; tests/run.sh does that, or:" \
    "cmake --preset $preset && cmake --build --preset $preset --target $name" >&2
  exit 1
fi
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export LSAN_OPTIONS=suppressions=$here/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=suppressions=$here/tsan.supp:second_deadlock_stack=1:print_suppressions=0
exec "$binary" "$@"
