/** A page that needs nothing else: no network, no file beside it. */

/** A text in HTML. */
export const escaped = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Colours of curves, each for light and for dark. */
const colours = [
  ["#1f5fbf", "#7db1ff"],
  ["#b4530a", "#f2a45c"],
  ["#1d7a4c", "#63c795"],
  ["#a0297a", "#ee8acb"],
  ["#6a4fc4", "#b3a0ff"],
  ["#5f6368", "#b9bec4"],
] as const;
/** How many curves a chart can tell apart. */
export const MOST_CURVES: number = colours.length;

const variables = (index: 0 | 1) => colours.map((pair, i) => `--curve-${i}:${pair[index]}`).join(";");

const styles = `
:root{color-scheme:light dark;--ground:#fff;--text:#1c1e21;--faint:#62676d;--line:#dfe2e6;--panel:#f6f7f9;${variables(0)}}
@media(prefers-color-scheme:dark){:root{--ground:#15171a;--text:#e7e9ec;--faint:#a3a9b0;--line:#343a41;--panel:#1e2226;${variables(1)}}}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px 20px 64px;max-width:1120px;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:36px 0 12px}p{margin:6px 0}
.faint{color:var(--faint)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:20px 0}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:10px 14px}
.tile b{display:block;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:16px}
figure{margin:0;background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:12px;position:relative;min-width:0}
thead th{overflow-wrap:normal}
.charts figure{max-width:760px}
figcaption{font-weight:600;margin-bottom:4px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--faint);font-size:12px;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px;margin-bottom:4px}
.key{display:inline-block;width:14px;height:3px;border-radius:2px;vertical-align:middle;margin-right:6px}
.reading{min-height:20px;font-size:13px;color:var(--faint);font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:14px}
th,td{text-align:left;padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600;color:var(--faint)}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
pre{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:12px;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.5 ui-monospace,monospace}
h3{font-size:15px;margin:20px 0 6px}
details{border-top:1px solid var(--line);padding:6px 0}summary{cursor:pointer;font-weight:600}
.matrix{max-height:80vh;overflow:auto;border:1px solid var(--line);border-radius:8px;width:fit-content;max-width:100%}
.matrix table{border-collapse:separate;border-spacing:0;font-variant-numeric:tabular-nums}
.matrix td,.matrix th{border:0;border-right:1px solid var(--line);border-bottom:1px solid var(--line);vertical-align:middle;white-space:nowrap;overflow-wrap:normal}
.matrix thead>tr>*{position:sticky;top:0;z-index:1;background:var(--panel)}
.matrix tbody th{position:sticky;left:0;background:var(--panel)}
.matrix thead td{left:0;z-index:2}
.matrix th span{display:block;max-width:200px;overflow:hidden;text-overflow:ellipsis}
.matrix .hit{box-shadow:inset 0 0 0 1px var(--faint)}
.wide td,.wide th{padding:6px 12px;text-align:right}.wide tbody th{text-align:left}
.wide small{display:block;color:var(--faint);font-size:12px}
.wide td[style] small{color:inherit}
.dense{font-size:11px}.dense td{padding:0 2px;min-width:25px;height:22px;text-align:center}
.dense tbody th{padding:0 8px;font-size:12px}
.dense thead th{padding:6px 2px;vertical-align:bottom}
.dense thead span{writing-mode:vertical-rl;transform:rotate(180deg);max-width:none;max-height:200px;font-size:12px}
.dense small{display:none;font-size:inherit}
.confusion:has(.shares:checked) .dense small{display:inline}.confusion:has(.shares:checked) .dense span:not(th span){display:none}
.mistakes img{display:block;height:72px;max-width:160px;object-fit:contain;image-rendering:pixelated;border:1px solid var(--line);margin-bottom:4px}
.mistakes .example{max-width:70ch;white-space:pre-wrap}.mistakes td:not(:first-child){white-space:nowrap}
`;

/** Shows the numbers under the pointer, or under a step that is picked with the arrow keys. */
const script = `
for(const figure of document.querySelectorAll("figure[data-curves]")){
const {curves,left,right,top,bottom,first,last}=JSON.parse(figure.dataset.curves);
const svg=figure.querySelector("svg"),line=svg.querySelector(".cursor"),reading=figure.querySelector(".reading");
const empty=reading.textContent;const steps=[...new Set(curves.flatMap(c=>c.points.map(p=>p[0])))].sort((a,b)=>a-b);let at=-1;
const show=i=>{at=Math.max(0,Math.min(steps.length-1,i));const step=steps[at];
const x=left+(last===first?0:(step-first)/(last-first))*(right-left);
line.setAttribute("x1",x);line.setAttribute("x2",x);line.style.display="";
const near=points=>points.reduce((a,b)=>Math.abs(b[0]-step)<Math.abs(a[0]-step)?b:a);
reading.textContent="step "+step+": "+curves.map(c=>(curves.length>1?c.name+" ":"")+Number(near(c.points)[1].toPrecision(5))).join(", ")};
const hide=()=>{line.style.display="none";reading.textContent=empty;at=-1};
svg.addEventListener("pointermove",e=>{const box=svg.getBoundingClientRect();
const x=(e.clientX-box.left)/box.width*svg.viewBox.baseVal.width;const step=first+(x-left)/(right-left)*(last-first);
show(steps.reduce((best,s,i)=>Math.abs(s-step)<Math.abs(steps[best]-step)?i:best,0))});
svg.addEventListener("pointerleave",hide);svg.addEventListener("blur",hide);
svg.addEventListener("keydown",e=>{const by={ArrowLeft:-1,ArrowRight:1}[e.key];if(by){e.preventDefault();show(at<0?steps.length-1:at+by)}});
}`;

/** @param body HTML, in which all texts are escaped */
export const page = (title: string, body: string): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>${escaped(title)}</title>
<style>${styles}</style>
</head>
<body>
${body}
<script>${script}</script>
</body>
</html>
`;

/** A cell of a table: a number stands to the right. */
export type Cell = string | { number: string };

/** A table; the first row is its header. */
export function tableHtml(rows: readonly (readonly Cell[])[]): string {
  const cell = (tag: "th" | "td") => (value: Cell) =>
    typeof value === "string"
      ? `<${tag}>${escaped(value)}</${tag}>`
      : `<${tag} class="number">${escaped(value.number)}</${tag}>`;
  const [header, ...body] = rows;
  const lines = body.map((row) => `<tr>${row.map(cell("td")).join("")}</tr>`);
  return `<div class="scroll"><table><thead><tr>${header.map(cell("th")).join("")}</tr></thead><tbody>${lines.join("")}</tbody></table></div>`;
}

/** @param body HTML, or nothing: then there is no section */
export const section = (title: string, body: string | undefined): string =>
  body ? `<section><h2>${escaped(title)}</h2>${body}</section>` : "";
