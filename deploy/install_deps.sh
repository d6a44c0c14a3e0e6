#!/usr/bin/env bash
# Installs everything that building, running and testing G2LL needs on Debian 12.
# The lists are data: deploy/deps/*.txt. Run it as often as you like: where
# nothing is missing it does nothing and needs no root.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: deploy/install_deps.sh [--tools] [--cuda] [--list | --download DIR | --from DIR]

Installs missing Debian packages (apt-get) and unpacks pinned wheels (digests
checked) below ${G2LL_DEPS:-~/.cache/g2ll}.

  --tools          also what only the tests need
  --cuda           also torch's CUDA 13.0 libraries, for a host with a GPU
  --list           print the exact packages and end
  --download DIR   fetch all of it into DIR, install nothing
  --from DIR       install from such a DIR, without a network
EOF
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here deps="$here/deps" python=/usr/bin/python3
readonly store="${G2LL_DEPS:-$HOME/.cache/g2ll}"

# Room that each part needs in MB, the downloaded file included (measured).
readonly wheels_mb=1800 cuda_mb=5000 tools_mb=200
# Wheels name the oldest C library they run with; Debian 12 runs all of these.
readonly platforms=(manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_26_x86_64
  manylinux_2_25_x86_64 manylinux_2_24_x86_64 manylinux_2_18_x86_64 manylinux_2_17_x86_64
  manylinux2014_x86_64)

say() { printf '%s\n' "$*"; }
fail() { printf 'install_deps.sh: %s\n' "$*" >&2; exit 1; }

mode=install folder='' tools=no cuda=no
while (($#)); do
  case $1 in
    --tools) tools=yes ;;
    --cuda) cuda=yes ;;
    --list) mode=list ;;
    --download | --from)
      [[ $# -ge 2 ]] || fail "$1 needs a folder"
      mode=${1#--}
      folder=$2
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail "unknown option '$1'" ;;
  esac
  shift
done

# --- the lists ---------------------------------------------------------------

names() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$@"; }  # packages of a list
pins() { grep '==' "$1"; }                                             # wheels of a list
# The folder's name: cmake/FindLibTorch.cmake computes the same.
digest() { pins "$1" | sha256sum | cut -c1-16; }

debian_lists=("$deps/debian.txt")
wheel_lists=("$deps/wheels.txt")
if [[ $tools == yes ]]; then
  debian_lists+=("$deps/debian-tools.txt")
  wheel_lists+=("$deps/wheels-tools.txt")
fi
if [[ $cuda == yes ]]; then wheel_lists+=("$deps/wheels-cuda.txt"); fi
root="$store/$(digest "$deps/wheels.txt")"
venv="$store/tools-$(digest "$deps/wheels-tools.txt")"
readonly root venv

# --- helpers -----------------------------------------------------------------

work=''
cleanup() { if [[ -n $work ]]; then rm -rf "$work"; fi; }
trap cleanup EXIT
trap 'exit 130' INT TERM

# retry COMMAND...: three times, because mirrors fail now and then.
retry() {
  local try
  for try in 1 2 3; do
    if "$@"; then return 0; fi
    if ((try < 3)); then say "failed, trying again: $1" >&2; sleep $((try * 3)); fi
  done
  return 1
}

# need_room FOLDER MB WHAT: FOLDER may not exist yet.
need_room() {
  local place=$1 free
  while [[ ! -d $place ]]; do place=$(dirname "$place"); done
  free=$(df -Pm "$place" | awk 'NR == 2 {print $4}')
  ((free >= $2)) || fail "$3 needs $2 MB below $place, $free MB are free: make room or set G2LL_DEPS"
}

as_root() {
  if ((EUID == 0)); then
    env DEBIAN_FRONTEND=noninteractive "$@"
  else
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

# apt with lists and cache of its own in $work, so that no root is needed.
private_apt() {
  apt-get -qq -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
    -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@"
}

missing_packages() {
  local name
  for name in $(names "${debian_lists[@]}"); do
    if [[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) != installed ]]; then
      say "$name"
    fi
  done
}

fetch_wheels() {  # fetch_wheels LIST TO
  retry "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir \
    --require-hashes --no-deps --python-version 3.11 --only-binary=:all: \
    "${platforms[@]/#/--platform=}" --dest "$2" -r "$1" ||
    fail "the wheels of $1 could not be downloaded: is there a network?"
}

# wheel_of PIN FOLDER: prints the file whose SHA-256 is the pinned one.
wheel_of() {
  local hash=${1##*sha256:} file name=${1%%==*}
  for file in "$2"/*.whl; do
    [[ ${file##*/} == "${name//-/_}"-* ]] || continue
    if [[ $(sha256sum "$file" | cut -d' ' -f1) == "$hash" ]]; then say "$file"; return; fi
  done
  fail "${1%% *}: no file in $2 has the pinned digest"
}

unpack_wheels() {  # unpack_wheels LIST FROM TO
  local pin file
  while read -r pin; do
    file=$(wheel_of "$pin" "$2") || exit 1
    unzip -q -o "$file" -d "$3"
  done < <(pins "$1")
}

# --- --list ------------------------------------------------------------------

list_packages() {
  local packages
  mapfile -t packages < <(names "${debian_lists[@]}" "$deps/debian-unpack.txt")
  LC_ALL=C apt-cache policy "${packages[@]}" 2>/dev/null |
    awk '/^[^ ]/ {sub(":$", ""); name = $1} /Candidate:/ {print "debian " name "=" $2}'
  local list
  for list in "${wheel_lists[@]}"; do pins "$list" | sed 's/^/wheel /; s/--hash=//'; done
}

# --- --download --------------------------------------------------------------

# Every package with all that it stands on, and an index, so that --from works
# on a machine that has nothing but a base system.
download_all() {
  need_room "$folder" $((2500 + (${#wheel_lists[@]} - 1) * 200)) "the download"
  if [[ $cuda == yes ]]; then say "CUDA wheels: about 2.5 GB to download"; fi
  mkdir -p "$folder/debian" "$folder/wheels"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  retry private_apt update || fail "apt-get update failed: is there a network?"
  : >"$work/status"
  mapfile -t wanted < <(names "${debian_lists[@]}" "$deps/debian-unpack.txt")
  retry private_apt -o Dir::State::status="$work/status" install --download-only -y \
    --no-install-recommends "${wanted[@]}" >/dev/null ||
    fail "the Debian packages could not be downloaded"
  cp "$work"/cache/archives/*.deb "$folder/debian/"
  local file
  for file in "$folder"/debian/*.deb; do
    dpkg-deb -f "$file"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "${file##*/}" "$(stat -c %s "$file")" \
      "$(sha256sum "$file" | cut -d' ' -f1)"
  done >"$folder/debian/Packages"
  local list
  for list in "${wheel_lists[@]}"; do fetch_wheels "$list" "$folder/wheels"; done
  say "downloaded to $folder: $(du -sm "$folder" | cut -f1) MB; install with --from $folder"
}

# --- install -----------------------------------------------------------------

install_debian() {
  local apt=(apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0) missing size
  mapfile -t missing < <(missing_packages)
  if ((${#missing[@]} == 0)); then return; fi
  say "Debian packages to install: ${missing[*]}"
  if ((EUID != 0)) && ! { command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }; then
    fail "packages are missing and this is not root; run: apt-get install --no-install-recommends ${missing[*]}"
  fi
  if [[ $mode == from ]]; then
    [[ -f $folder/debian/Packages ]] || fail "$folder has no debian/Packages: make it with --download"
    say "deb [trusted=yes] file:$(realpath "$folder")/debian ./" >"$work/sources.list"
    mkdir -p "$work/lists/partial"
    chmod 755 "$work"
    apt+=(-o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
      -o Dir::State::lists="$work/lists" -o APT::Sandbox::User=root)
  fi
  retry as_root "${apt[@]}" update >"$work/apt.log" 2>&1 || fail "apt-get update failed: $(tail -n 1 "$work/apt.log")"
  size=$(LC_ALL=C apt-get "${apt[@]:1}" install --no-install-recommends --assume-no "${missing[@]}" 2>/dev/null |
    sed -n 's/^After this operation, \([0-9,.]*\) \([kMG]\)B.*/\1 \2/p' |
    awk '{gsub(",", "", $1); print int($2 == "G" ? $1 * 1024 : $2 == "k" ? 1 : $1)}')
  need_room /usr $((${size:-1500} * 3 / 2)) "installing the Debian packages"
  retry as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >"$work/apt.log" 2>&1 || {
    tail -n 20 "$work/apt.log" >&2
    fail "apt-get install failed"
  }
}

install_wheels() {
  if [[ -e $root/.complete ]]; then return; fi
  need_room "$store" $wheels_mb "LibTorch"
  say "LibTorch: unpacking $(pins "$deps/wheels.txt" | sed 's/ .*//' | paste -sd' ') into $root"
  local from=$work/wheels gloo new="$store/.new.$$"
  if [[ $mode == from ]]; then from=$folder/wheels; else fetch_wheels "$deps/wheels.txt" "$from"; fi
  rm -rf "$new"
  mkdir -p "$new"
  unpack_wheels "$deps/wheels.txt" "$from" "$new"
  if [[ $mode == from ]]; then
    gloo=$(echo "$folder"/debian/libgloo-dev_*.deb)
  else
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    retry private_apt update || fail "apt-get update failed: is there a network?"
    (cd "$work" && retry private_apt download libgloo-dev) || fail "libgloo-dev could not be downloaded"
    gloo=$(echo "$work"/libgloo-dev_*.deb)
  fi
  dpkg-deb -x "$gloo" "$new/gloo"
  touch "$new/.complete"
  rm -rf "$root"
  mv "$new" "$root"
}

install_cuda() {
  if [[ -e $root/.complete-cuda ]]; then return; fi
  say "CUDA 13.0 libraries for a GPU host: $cuda_mb MB needed (2700 MB stay) in $root"
  need_room "$store" $cuda_mb "CUDA"
  local from=$work/cuda
  if [[ $mode == from ]]; then from=$folder/wheels; else fetch_wheels "$deps/wheels-cuda.txt" "$from"; fi
  unpack_wheels "$deps/wheels-cuda.txt" "$from" "$root"
  touch "$root/.complete-cuda"
}

install_tools() {
  if [[ -e $venv/.complete ]]; then return; fi
  need_room "$store" $tools_mb "the test tools"
  say "test tools: $(pins "$deps/wheels-tools.txt" | sed 's/ .*//' | paste -sd' ') into $venv"
  local from=$work/tools
  if [[ $mode == from ]]; then from=$folder/wheels; else fetch_wheels "$deps/wheels-tools.txt" "$from"; fi
  rm -rf "$venv"
  "$python" -m venv --system-site-packages "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
    --require-hashes --find-links "$from" -r "$deps/wheels-tools.txt"
  touch "$venv/.complete"
}

if [[ $mode == list ]]; then
  list_packages
  exit 0
fi
command -v apt-get >/dev/null || fail "this needs Debian 12: there is no apt-get"
if [[ $mode == from && ! -d $folder/wheels ]]; then fail "$folder: not a folder made by --download"; fi
mkdir -p "$store"
work=$(mktemp -d "$store/.work.XXXXXX")
if [[ $mode == download ]]; then
  download_all
  exit 0
fi
exec 9>"$store/.lock"
flock 9  # two runs at once: the second finds nothing to do
install_debian
install_wheels
if [[ $cuda == yes ]]; then install_cuda; fi
if [[ $tools == yes ]]; then install_tools; fi
