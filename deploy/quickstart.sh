#!/usr/bin/env bash
# From a fresh Debian 12 machine to a segmented lesion: installs what is missing,
# builds, starts a coordinator and two workers on loopback, pre-trains, fine-tunes,
# measures, writes a report, and stops everything.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: deploy/quickstart.sh [--data DIR] [--dir DIR] [--recipe NAME]

  --data DIR      dermoscopy images with lesion masks: an ISIC folder as
                  downloaded, or images/ and masks/. Default: generated images
  --dir DIR       gets report.html, report.json, overlays/ and model/
                  (default ./g2ll-quickstart)
  --recipe NAME   smoke (default, minutes on two cores), paper or plus
EOF
}

fail() { printf 'quickstart.sh: %s\n' "$1" >&2; exit "${2:-1}"; }
step() { printf '== %s (%d s)\n' "$*" "$SECONDS"; }

data='' dir=./g2ll-quickstart recipe=smoke
while (($#)); do
  case $1 in
    --data | --dir | --recipe)
      [[ $# -ge 2 && -n $2 ]] || { usage >&2; fail "$1 needs a value" 2; }
      declare "${1#--}=$2"
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; fail "unknown option '$1'" 2 ;;
  esac
  shift
done
case $recipe in smoke | paper | plus) ;; *) fail "no recipe '$recipe': smoke, paper or plus" 2 ;; esac
if [[ -n $data ]]; then
  [[ -d $data ]] || fail "--data: no folder $data" 2
  data=$(realpath "$data")
fi
mkdir -p "$dir" || fail "--dir: $dir cannot be made" 2
dir=$(realpath "$dir")
[[ -w $dir ]] || fail "--dir: $dir cannot be written" 2

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$repo/build/release/bin
run=$(date +%Y%m%d-%H%M%S)  # makes the names of this run's jobs new
submitted=no up=no child=''

# Whatever happens, nothing is left running and no half-done job goes on next time.
stop() {
  local code=$? job
  trap - EXIT
  trap '' INT TERM
  if [[ -n $child ]]; then kill "$child" 2>/dev/null || true; fi
  if [[ $submitted == yes && $code -ne 0 ]]; then
    for job in evaluate finetune pretrain; do
      timeout 20 "$bin/g2ll" cancel "$job-$run" >/dev/null 2>&1 || true
    done
  fi
  if [[ $up == yes ]]; then "$bin/g2ll" local down --dir "$dir/local" >/dev/null || true; fi
  exit "$code"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# in_front COMMAND...: runs it so that a signal ends this script at once, not after it.
in_front() {
  local code=0
  "$@" &
  child=$!
  wait "$child" || code=$?
  child=''
  return "$code"
}

# json KEY: the value under a dotted key of the object on standard input.
json() {
  python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[int(key)] if isinstance(value, list) else value[key]
print(value)' "$1"
}

step "installing what is missing"
"$repo/deploy/install_deps.sh"

step "building"
(
  cd "$repo"
  { cmake --preset release && cmake --build --preset release --target \
    g2ll-coordinator g2ll-worker g2ll-trainer g2ll; } >"$dir/build.log" 2>&1
) || { tail -n 30 "$dir/build.log" >&2; fail "the build failed, see $dir/build.log"; }

step "starting a coordinator and two workers"
up=yes
"$bin/g2ll" local up --workers 2 --dir "$dir/local"
G2LL_SERVER=$("$bin/g2ll" local status --dir "$dir/local" -o json | json address)
export G2LL_SERVER

sed -E "s/quickstart-(pretrain|finetune|evaluate)/\1-$run/g" "$repo/deploy/jobs/quickstart.yaml" >"$dir/jobs.yaml"
settings=(--set "spec.recipe=$recipe")
if [[ -n $data ]]; then settings+=(--set "spec.data.source=$data"); fi
submitted=yes
"$bin/g2ll" submit -f "$dir/jobs.yaml" "${settings[@]}" -o name

for job in pretrain finetune evaluate; do
  step "$job"
  in_front "$bin/g2ll" watch "$job-$run" || true
  in_front "$bin/g2ll" wait "$job-$run" >/dev/null || {
    "$bin/g2ll" why "$job-$run" >&2 || true
    fail "$job-$run did not finish"
  }
done

step "writing the report"
rm -rf "$dir/model" "$dir/overlays"
"$bin/g2ll" report "evaluate-$run" --to "$dir"
# The checkpoint that was measured, not a later one.
checkpoint=$("$bin/g2ll" get "evaluate-$run" -o json | json lineage.0.checkpoint)
"$bin/g2ll" checkpoints export "$checkpoint" --what segmenter --to "$dir/model"

"$bin/g2ll" local down --dir "$dir/local"
up=no
step "done"
python3 - "$dir/report.json" <<'EOF'
import json, sys
r = json.load(open(sys.argv[1]))
rows = [("this model", r["dice"]["mean"], r["iou"]["mean"])]
for key, name in (("constantMask", "constant mask"), ("centeredEllipse", "centred ellipse")):
    rows.append((name, r["baselines"][key]["dice"], r["baselines"][key]["iou"]))
print(f"{r['images']} held images    Dice    IoU")
for name, dice, iou in rows:
    print(f"  {name:<16} {dice:7.3f} {iou:6.3f}")
EOF
echo "report: $dir/report.html"
