/** Light and dark, from phones to wide screens. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#fffdf9, #191613); --raised: light-dark(#f7f2e9, #221d18); --line: light-dark(#e5dccd, #3a3129);
  --ink: light-dark(#2a231c, #ece4d9); --soft: light-dark(#6b5e51, #b0a293); --wash: light-dark(#fbeadb, #3a2717);
  --flame: light-dark(#b8430b, #fb923c); --best: light-dark(#17753b, #6ee7a0); --bad: light-dark(#b42318, #fda29b);
}
*, ::before, ::after { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 96rem; margin: 0 auto; padding: 1.2rem 1.4rem 3rem; }
h1 { font-size: 1.35rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
.soft { color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .3rem 0 1.1rem; padding: 0; list-style: none; color: var(--soft); }
.facts b { color: var(--ink); font-weight: 600; }
.best { border: 1px solid var(--line); border-left: 4px solid var(--best); border-radius: 8px; background: var(--raised); padding: .8rem 1rem; margin-bottom: 1.2rem; }
.best strong { font-size: 1.5rem; color: var(--best); font-variant-numeric: tabular-nums; }
.best code { margin-right: 1rem; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: 1rem; }
.parts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: .6rem; }
section { border: 1px solid var(--line); border-radius: 8px; padding: .8rem 1rem; margin-bottom: 1rem; min-width: 0; }
.charts section { margin: 0; }
svg { display: block; width: 100%; height: auto; max-height: 24rem; }
svg text { fill: var(--soft); font-size: 12px; font-family: inherit; }
svg .caption { fill: var(--ink); }
svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; font-size: 11px; }
.grid { stroke: var(--line); }
.axis { stroke: var(--soft); }
.dot { fill: var(--flame); fill-opacity: .75; cursor: pointer; }
.dot.pruned { fill: none; stroke: var(--soft); }
.dot.broken { fill: none; stroke: var(--flame); }
.dot.front { fill: var(--best); fill-opacity: 1; }
.dot.failed { fill: var(--bad); }
.best-line { fill: none; stroke: var(--best); stroke-width: 2; }
.curve, .thread { fill: none; stroke: var(--flame); stroke-width: 1.4; cursor: pointer; }
.curve { stroke-opacity: .55; }
.curve.pruned { stroke: var(--soft); stroke-opacity: .45; }
.curve.running { stroke-dasharray: 4 3; }
.curve-end { fill: var(--flame); }
.curve-end.pruned { fill: var(--soft); }
.bar { fill: var(--flame); }
.marked.dot, .marked.curve-end { fill: var(--best); fill-opacity: 1; stroke: var(--ink); stroke-width: 1.5; r: 6px; }
.marked.curve, .marked.thread { stroke: var(--best); stroke-width: 3; stroke-opacity: 1; opacity: 1 !important; }
tr.marked { background: var(--wash); }
.scroll { overflow-x: auto; }
.scroll svg { min-width: 30rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: left; padding: .28rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td.number, th.number { text-align: right; }
td.error { white-space: normal; min-width: 16rem; max-width: 32rem; color: var(--bad); overflow-wrap: anywhere; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
tbody tr { cursor: pointer; }
:focus-visible { outline: 2px solid var(--flame); outline-offset: 2px; }
`;
