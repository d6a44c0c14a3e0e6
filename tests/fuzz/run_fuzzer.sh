#!/usr/bin/env bash
# run_fuzzer.sh NAME SECONDS: runs one fuzzer on its corpus and on what it makes of
# it. What it finds stays in build/asan-ubsan/fuzz/NAME/.
set -euo pipefail

name=$1 seconds=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
found=$(cd "$here/../.." && pwd)/build/asan-ubsan/fuzz/$name
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir -p "$found"
# Leaks are looked for in the corpus only: each look takes as long as a thousand inputs.
options=(-timeout=25 -rss_limit_mb=1024 -max_len=8192 -artifact_prefix="$found/")
if [[ -f $here/$name.dict ]]; then options+=(-dict="$here/$name.dict"); fi
run() { "$here/../sanitizers/run_binary.sh" asan-ubsan "${name}_fuzz" "${options[@]}" "$@"; }
if ! run -runs=0 "$here/corpus/$name" ||
  ! run -max_total_time="$seconds" -detect_leaks=0 -print_final_stats=1 "$new" "$here/corpus/$name"; then
  echo "run_fuzzer.sh: the input is in $found; run it again with:" \
    "build/asan-ubsan/bin/${name}_fuzz FILE" >&2
  exit 1
fi
