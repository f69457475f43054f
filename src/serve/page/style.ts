/** The frame of the page: colours, panels, the field at the bottom. Light and dark, from phones to wide screens. */
export const style = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#fffdf9, #191613); --side: light-dark(#f7f2e9, #14110f); --raised: light-dark(#f3ece0, #2c251d);
  --line: light-dark(#e5dccd, #3a3129); --edge: light-dark(#8f7f6c, #8a7a69);
  --ink: light-dark(#2a231c, #ece4d9); --soft: light-dark(#6b5e51, #b0a293);
  --flame: light-dark(#b8430b, #fb923c); --on-flame: light-dark(#ffffff, #1c1208); --wash: light-dark(#fbeadb, #3a2717);
  --bad: light-dark(#b42318, #fda29b); --bad-wash: light-dark(#fdecea, #3b1d1a);
  --code: light-dark(#f8f4ec, #131110); --shade: light-dark(#2a231c1f, #00000080);
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  --serif: ui-serif, "Iowan Old Style", Georgia, "Noto Serif", "Songti SC", "Noto Serif CJK SC", serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Noto Sans Mono", "DejaVu Sans Mono", monospace;
  --column: 46rem;
}
[data-theme=light] { color-scheme: light; }
[data-theme=dark] { color-scheme: dark; }
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
html { height: 100%; }
body { margin: 0; height: 100%; overflow: hidden; background: var(--paper); color: var(--ink); font: 16px/1.6 var(--sans); -webkit-text-size-adjust: 100%; }
#page { display: flex; height: 100dvh; }
main { flex: 1; min-width: 0; display: flex; flex-direction: column; }
h1, h2, h3, p, dl, ul { margin: 0; padding: 0; }
button, input, select, textarea { font: inherit; color: inherit; }
button { cursor: pointer; border: 0; background: none; border-radius: 8px; padding: .4rem .6rem; }
button:disabled { cursor: default; opacity: .4; }
:focus-visible { outline: 2px solid var(--flame); outline-offset: 2px; }
.thread:focus-visible { outline-offset: -2px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: fixed; z-index: 9; left: 1rem; top: -4rem; padding: .5rem .9rem; border-radius: 8px; background: var(--flame); color: var(--on-flame); }
.skip:focus { top: .6rem; }
.icon { width: 18px; height: 18px; flex: none; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
.small { font-size: 13px; line-height: 1.5; color: var(--soft); }
.row { display: flex; gap: .4rem; align-items: center; }
.space { flex: 1; }
.ghost { display: inline-flex; padding: .35rem; color: var(--soft); }
.ghost:hover:not(:disabled), .quiet:hover { background: var(--raised); color: var(--ink); }
.quiet { display: inline-flex; gap: .4rem; align-items: center; font-size: 14px; color: var(--soft); border: 1px solid var(--line); padding: .3rem .65rem; }
.primary { background: var(--flame); color: var(--on-flame); font-weight: 600; font-size: 14px; padding: .4rem .9rem; }
.primary:hover { filter: brightness(1.07); }
textarea, input:not([type=checkbox], [type=radio]), select { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: .4rem .6rem; }
textarea { display: block; width: 100%; resize: vertical; line-height: 1.5; }
::placeholder { color: var(--soft); opacity: 1; }
select { max-width: 100%; padding: .3rem .4rem; font-size: 14px; }

#sidebar { width: 17.5rem; flex: none; display: flex; flex-direction: column; gap: .6rem; padding: .8rem .75rem; background: var(--side); border-right: 1px solid var(--line); }
#sidebar > header { display: flex; align-items: center; gap: .5rem; padding: .15rem .4rem .35rem; }
.wordmark { flex: 1; font: 600 1.15rem/1.2 var(--serif); letter-spacing: -.01em; }
#sidebar .narrow { display: none; }
.begin { display: flex; gap: .5rem; align-items: center; text-align: left; border: 1px solid var(--line); background: var(--paper); font-size: 14.5px; padding: .5rem .7rem; }
.begin:hover { border-color: var(--flame); }
.begin .icon { color: var(--flame); }
.search { position: relative; }
.search .icon { position: absolute; left: .6rem; top: .62rem; width: 16px; height: 16px; color: var(--soft); }
.search input { width: 100%; font-size: 14px; background: none; padding-left: 2rem !important; }
#sidebar nav { flex: 1; overflow-y: auto; margin: 0 -.35rem; padding: 0 .35rem; }
#sidebar nav > .small { padding: .3rem .5rem; }
.conversations { list-style: none; }
.conversations li { position: relative; display: flex; align-items: center; border-radius: 8px; margin-bottom: 1px; }
.conversations li:hover, .conversations li:focus-within { background: var(--raised); }
.conversations li.current { background: var(--wash); }
.conversations .open { flex: 1; min-width: 0; display: flex; gap: .4rem; align-items: center; text-align: left; font-size: 14.5px; padding: .42rem .6rem; }
.conversations .title { flex: 1; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.conversations .mark { display: flex; color: var(--flame); }
.conversations .mark .icon, .conversations .actions .icon { width: 15px; height: 15px; }
.conversations .actions { display: flex; padding-right: .2rem; position: absolute; right: 0; border-radius: 8px; opacity: 0; pointer-events: none; }
.conversations li:hover .actions, .conversations li:focus-within .actions { position: static; opacity: 1; pointer-events: auto; }
.conversations .actions .ghost { padding: .28rem; }
.rename { flex: 1; min-width: 0; font-size: 14.5px; margin: 2px; }
.pulse { width: 8px; height: 8px; border-radius: 50%; background: var(--flame); animation: pulse 1.2s ease-in-out infinite; }
#sidebar footer { display: flex; flex-direction: column; gap: .4rem; padding-top: .5rem; border-top: 1px solid var(--line); }
#sidebar footer .row > * { flex: 1; justify-content: center; }

main > header { display: flex; align-items: center; gap: .3rem; padding: .55rem .8rem; min-height: 3.2rem; }
main h1 { font-size: 15px; font-weight: 600; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; padding-left: .3rem; }
main > header select { border-color: transparent; font-weight: 600; font-size: 15px; background: none; min-width: 0; }
main > header select option { background: var(--paper); color: var(--ink); }
.thread-frame { position: relative; flex: 1; min-height: 0; }
.thread { height: 100%; overflow-y: auto; padding: 0 1.25rem; scrollbar-gutter: stable both-edges; overscroll-behavior: contain; }
.latest { position: absolute; bottom: .5rem; left: 50%; translate: -50%; display: flex; padding: .45rem; border-radius: 50%; border: 1px solid var(--line); background: var(--paper); box-shadow: 0 2px 10px var(--shade); }

#composer { width: 100%; max-width: calc(var(--column) + 2.5rem); margin: 0 auto; padding: .35rem 1.25rem max(.55rem, env(safe-area-inset-bottom)); }
.field { display: grid; grid-template-columns: auto 1fr auto; align-items: end; gap: .15rem; border: 1px solid var(--line); border-radius: 18px; padding: .4rem; background: var(--paper); box-shadow: 0 2px 14px var(--shade); }
.field:focus-within { border-color: var(--edge); }
.field textarea { grid-column: 2; border: 0; background: none; outline: none; resize: none; max-height: 40dvh; padding: .38rem .55rem; }
.field .attach { grid-column: 1; grid-row: 2; padding: .5rem; }
.field textarea, .field .round { grid-row: 2; }
.round { grid-column: 3; display: flex; border-radius: 50%; padding: .55rem; }
.round[data-state=stop] .icon { fill: currentColor; }
.previews { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .5rem; }
.previews:empty { display: none; }
.previews span { position: relative; }
.previews img { display: block; height: 72px; max-width: 140px; object-fit: cover; border-radius: 10px; }
.previews button { position: absolute; top: -.4rem; right: -.4rem; display: flex; padding: .15rem; border-radius: 50%; background: var(--ink); color: var(--paper); }
.previews .icon { width: 14px; height: 14px; }
.hint { margin-top: .4rem; text-align: center; font-size: 12.5px; color: var(--soft); }

#settings { width: 20rem; flex: none; overflow-y: auto; background: var(--side); border-left: 1px solid var(--line); padding: .55rem 1rem 2rem; }
#settings > header, dialog header { display: flex; align-items: center; justify-content: space-between; min-height: 2.2rem; }
#settings h2, dialog h2 { font: 600 1.1rem/1.3 var(--serif); }
.panel-content { display: flex; flex-direction: column; gap: .9rem; padding-top: .4rem; }
label { display: block; font-size: 14px; }
label > span:first-child { display: block; color: var(--soft); font-size: 13px; margin-bottom: .2rem; }
.switch { display: flex; gap: .5rem; align-items: center; }
.switch > span { color: var(--ink) !important; font-size: 14px !important; margin: 0 !important; }
.switch + .small { margin-top: -.6rem; }
input[type=checkbox], input[type=radio] { accent-color: var(--flame); width: 16px; height: 16px; margin: 0; flex: none; }
fieldset { border: 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); margin: 0; padding: .9rem 0; display: flex; flex-direction: column; gap: .7rem; min-width: 0; }
legend { float: left; width: 100%; padding: 0; font-weight: 600; font-size: 14px; }
fieldset > .small { clear: both; }
fieldset > .quiet { align-self: start; }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: .7rem; }
.grid input { width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
#settings textarea { font-size: 14px; }
#settings .code-area { font: 12.5px/1.5 var(--mono); }
[aria-invalid=true] { border-color: var(--bad) !important; }
.fault { display: block; margin-top: .2rem; font-size: 12.5px; color: var(--bad); }

dialog { border: 1px solid var(--line); border-radius: 16px; background: var(--paper); color: var(--ink); padding: 1rem 1.4rem 1.4rem; max-width: min(28rem, 92vw); width: 100%; box-shadow: 0 12px 48px var(--shade); }
dialog::backdrop { background: #0006; }
dialog form { display: flex; flex-direction: column; gap: .8rem; }
dialog form input[type=password] { width: 100%; }
dialog form a { color: var(--flame); text-underline-offset: 2px; }
dialog form .row { justify-content: flex-end; }
dialog dl > div { display: flex; justify-content: space-between; gap: 1rem; padding: .38rem 0; border-bottom: 1px solid var(--line); font-size: 14.5px; }
dialog dl > div:last-child { border: 0; }
dd { margin: 0; white-space: nowrap; }
kbd { display: inline-block; font: 12px/1.4 var(--mono); border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 5px; padding: .05rem .4rem; margin-left: .2rem; background: var(--raised); }
#notices { position: fixed; z-index: 8; bottom: 7.5rem; left: 50%; translate: -50%; display: flex; flex-direction: column; gap: .5rem; width: max-content; max-width: 92vw; }
.notice { display: flex; gap: .7rem; align-items: center; padding: .5rem .6rem .5rem 1rem; font-size: 14px; border-radius: 12px; border: 1px solid var(--line); background: var(--raised); box-shadow: 0 6px 24px var(--shade); }
.notice span { max-width: 34rem; }
.notice.bad { background: var(--bad-wash); color: var(--bad); }
.notice .quiet { color: var(--ink); }

@media (max-width: 820px) {
  #sidebar, #settings { position: fixed; z-index: 5; inset: 0 auto 0 0; width: min(20rem, 88vw); box-shadow: 0 0 0 100vmax #0006; }
  #settings { inset: 0 0 0 auto; width: min(22rem, 94vw); }
  #sidebar .narrow { display: inline-flex; }
  .wide { display: none; }
  .thread { padding: 0 .9rem; scrollbar-gutter: auto; }
  #composer { padding-inline: .7rem; }
  textarea, input, select { font-size: 16px !important; }
}
@media (hover: none) { .conversations li.current .actions { position: static; opacity: 1; pointer-events: auto; } .hint { display: none; } }
@media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important; transition: none !important; } }
@keyframes pulse { 50% { opacity: .3; } }
`;
