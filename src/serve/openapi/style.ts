/** The look of the page at /docs: light and dark, from narrow phones to wide screens. */
export const style = `
:root { color-scheme: light dark; --ink: #2b2118; --soft: #6b5d4f; --paper: #fbf7f0; --raised: #f3ebde; --line: #d9cbb6; --flame: #c2410c; --get: #1d6b52; --delete: #b91c1c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #efe6da; --soft: #b3a492; --paper: #1c1712; --raised: #2a231b; --line: #4a3d2f; --flame: #fb923c; --get: #6ee7b7; --delete: #fca5a5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 0 1.25rem 3rem; background: var(--paper); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
h1 { font: 600 1.4rem/1.3 Georgia, "Noto Serif", serif; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }
h1 span, a { color: var(--flame); }
h2 { font: 600 1.15rem/1.3 Georgia, "Noto Serif", serif; margin: 2rem 0 0; }
header p, section > p:not(.operation) { color: var(--soft); margin: .25rem 0 .75rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
code { font: .92em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
details, .operation { border: 1px solid var(--line); border-radius: 8px; margin: .4rem 0; padding: .5rem .9rem; }
.operation { padding-left: 1.95rem; }
summary { cursor: pointer; }
summary span, .operation span { color: var(--soft); margin-left: .5rem; }
b { display: inline-block; min-width: 3.9rem; font-size: .8rem; letter-spacing: .04em; color: var(--flame); }
b.get { color: var(--get); }
b.delete { color: var(--delete); }
.table { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; margin: .6rem 0 .2rem; font-size: .92em; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--soft); border-top: 0; }
td:nth-child(2) { white-space: nowrap; color: var(--soft); }
em { font-style: normal; font-size: .8em; color: var(--flame); }
:focus-visible { outline: 2px solid var(--flame); outline-offset: 2px; }
`;
