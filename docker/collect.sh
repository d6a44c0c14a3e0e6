#!/usr/bin/env bash
# collect.sh BIN OUT: for each image, its programs, the Debian packages of the shared
# libraries that they load, and of LibTorch only the files that they load.
set -euo pipefail
bin=$1 out=$2
deps=${G2LL_DEPS:?}

# /lib is a link to /usr/lib, and a package may name either.
package_of() {
  { dpkg -S "$1" 2>/dev/null || dpkg -S "${1#/usr}"; } | cut -d: -f1
}

collect() {  # collect IMAGE PROGRAM...
  local image=$1 program library
  shift
  mkdir -p "$out/$image/bin"
  for program in "$@"; do
    cp "$bin/$program" "$out/$image/bin/"
    strip --strip-debug "$out/$image/bin/$program"
  done
  (cd "$bin" && ldd "$@") | awk '$2 == "=>" {print $3}' | sort -u | while read -r library; do
    if [[ $library == "$deps"/* ]]; then
      mkdir -p "$out/$image/deps/$(dirname "${library#"$deps"/}")"
      cp "$library" "$out/$image/deps/${library#"$deps"/}"
    else
      package_of "$(realpath "$library")"
    fi
  done | sort -u >"$out/$image/packages.txt"
}

collect g2ll-coordinator g2ll-coordinator
collect g2ll g2ll
collect worker g2ll-worker g2ll-trainer
