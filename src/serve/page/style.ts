/** The look of the page: light and dark, from narrow phones to wide screens. */
export const style = `
:root { color-scheme: light dark; --ink: #2b2118; --soft: #6b5d4f; --paper: #fbf7f0; --raised: #f3ebde; --line: #d9cbb6; --flame: #c2410c; --on-flame: #fff; --new: #9a3412; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #efe6da; --soft: #b3a492; --paper: #1c1712; --raised: #2a231b; --line: #4a3d2f; --flame: #fb923c; --on-flame: #1c1712; --new: #fdba74; --bad: #fca5a5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; min-height: 100dvh; padding: 0 1.25rem; display: flex; flex-direction: column; background: var(--paper); color: var(--ink); font: 17px/1.6 Georgia, "Noto Serif", "Noto Serif CJK SC", serif; }
header { display: flex; align-items: baseline; justify-content: space-between; gap: .25rem 1rem; flex-wrap: wrap; padding: 1.5rem 0 .75rem; }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
h1 span { color: var(--flame); }
header small, summary, label, button, #status { font: 14px/1.4 system-ui, sans-serif; }
header small { color: var(--soft); }
main { flex: 1; display: flex; flex-direction: column; gap: .75rem; }
details { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .9rem; }
summary { cursor: pointer; color: var(--soft); }
.fields { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; padding: .5rem 0 .25rem; }
label.wide { width: 100%; }
textarea, input { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: 8px; }
textarea { width: 100%; padding: .6rem .8rem; resize: vertical; font: 17px/1.5 Georgia, "Noto Serif", "Noto Serif CJK SC", serif; }
label.wide textarea { margin-top: .25rem; font-size: 15px; }
input[type=number] { width: 6rem; padding: .25rem .4rem; margin-left: .25rem; }
:focus-visible { outline: 2px solid var(--flame); outline-offset: 2px; }
#output { flex: 1; display: flex; flex-direction: column; gap: .75rem; }
#output > div { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem .9rem; border-radius: 10px; }
.user { align-self: flex-end; max-width: 85%; background: var(--raised); }
.assistant { border-left: 3px solid var(--flame); border-radius: 0 !important; }
.assistant:empty::before { content: "…"; color: var(--soft); }
.text { border: 1px solid var(--line); min-height: 10rem; }
.text b { font-weight: inherit; color: var(--new); }
#status { min-height: 1.4em; color: var(--soft); overflow-wrap: anywhere; }
#status.bad { color: var(--bad); }
form { position: sticky; bottom: 0; padding: .5rem 0 1rem; background: var(--paper); }
.buttons { display: flex; flex-wrap: wrap; gap: .35rem; margin-top: .4rem; }
button { padding: .55rem .7rem; border: 1px solid var(--line); border-radius: 8px; background: transparent; color: inherit; cursor: pointer; }
button.main { border-color: var(--flame); background: var(--flame); color: var(--on-flame); font-weight: 600; min-width: 5rem; }
button:disabled { opacity: .45; cursor: default; }
`;
