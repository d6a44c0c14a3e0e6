#include "worker/report/page_style.h"

namespace g2ll::report {

const char kPageStyle[] = R"css(
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b1f24; --soft: #5b6570; --line: #d9dee4;
  --c0: #0072b2; --c1: #d55e00; --c2: #00805f; --c3: #a8527f; --bar: #7fb2d6; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171a; --card: #1d2126; --text: #e6e9ec; --soft: #9aa5b1; --line: #353c44;
  --c0: #56b4e9; --c1: #e69f00; --c2: #2cc295; --c3: #e0a3c6; --bar: #3d7ba6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 18px 0 8px; }
p { margin: 0 0 8px; }
.soft { color: var(--soft); }
.wrap { overflow-wrap: anywhere; }
.mono { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 13px; }
.card, .chart { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.numbers { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr));
  margin-top: 20px; }
.number { padding: 14px 16px; }
.number b { display: block; font-size: 34px; line-height: 1.15; font-variant-numeric: tabular-nums; }
.number .name { font-weight: 600; }
.number .soft { font-size: 13px; }
.scroll { overflow-x: auto; }
.scroll + p { margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 8px 14px; text-align: right; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); font-size: 13px; }
th:first-child, td:first-child, .left { text-align: left; }
td + td { white-space: nowrap; }
details td:first-child { overflow-wrap: anywhere; min-width: 140px; }
tr:last-child td { border-bottom: 0; }
tr.own td:first-child { font-weight: 600; }
meter { width: 110px; height: 10px; margin-right: 10px; vertical-align: middle; }
.charts { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.chart { margin: 0; padding: 12px 14px 10px; min-width: 0; max-width: 560px; }
.chart figcaption { font-weight: 600; margin-bottom: 6px; }
.chart svg { display: block; width: 100%; height: auto; }
.chart svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
.chart svg .label { fill: var(--text); }
.chart svg .end { text-anchor: end; }
.chart svg .mid { text-anchor: middle; }
.grid { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.marker { stroke: var(--c1); stroke-width: 2; stroke-dasharray: 5 3; }
.bar { fill: var(--bar); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.raw { fill: none; stroke-width: 1; opacity: .3; }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); }
.k0 { background: var(--c0); } .k1 { background: var(--c1); } .k2 { background: var(--c2); }
.k3 { background: var(--c3); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; font-size: 13px; }
.key { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 6px;
  vertical-align: middle; }
.hint { color: var(--soft); }
.pictures { display: grid; gap: 12px; grid-template-columns: repeat(4, 1fr); }
.picture { margin: 0; overflow: hidden; }
.picture img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #000; }
.picture figcaption { padding: 6px 10px 8px; font-size: 13px; overflow-wrap: anywhere; }
.strips { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); }
.strip { margin: 0; padding: 12px; min-width: 0; }
.strip figcaption { margin-top: 8px; font-size: 13px; overflow-wrap: anywhere; }
.panels { display: grid; gap: 8px; }
.p2 { grid-template-columns: 1fr 1fr; } .p3 { grid-template-columns: 1fr 1fr 1fr; }
.panel img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 3px; }
.panel span { display: block; font-size: 12px; margin-top: 2px; }
.warning { margin: 12px 0 0; padding: 10px 16px; border-left: 4px solid var(--c1); }
.remark { margin: 2px 0 0; font-size: 13px; color: var(--soft); }
.settings td, .settings th { text-align: left; padding: 5px 14px; }
.settings td + td { white-space: normal; overflow-wrap: anywhere; }
.settings tr.own td { background: color-mix(in srgb, var(--bar) 18%, transparent); }
details.inline { padding: 4px 0 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 6px 18px; margin: 0; padding: 14px 16px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
details { padding: 10px 16px; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 560px) {
  h1 { font-size: 22px; } .number b { font-size: 28px; }
  .numbers { grid-template-columns: 1fr 1fr; } .number { padding: 10px 12px; }
  meter { display: none; } th, td { padding: 8px 10px; }
  .pictures { grid-template-columns: 1fr 1fr; }
  .chart svg text { font-size: 14px; }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: 8px; }
}
@media print { .card, .chart, .picture { break-inside: avoid; } }
)css";

}  // namespace g2ll::report
