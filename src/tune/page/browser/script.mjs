// Sorts the table, marks a trial in all charts, and asks the server for what is new.
const main = /** @type {HTMLElement} */ (document.querySelector("main"));
const INTERVAL_MS = 2000;
/** @type {{ column: number, isDescending: boolean } | undefined} */
let order;
/** @type {string | undefined} */
let marked;

/** @param {Element} row @param {number} column */
function keyOf(row, column) {
  const cell = /** @type {HTMLElement} */ (row.children[column]);
  const number = cell.dataset.number;
  return number === undefined ? cell.textContent : Number(number);
}

/**
 * Empty cells come last in both orders.
 * @param {string | number} a
 * @param {string | number} b
 * @param {boolean} isDescending
 */
function compare(a, b, isDescending) {
  if (a === "" || b === "") return a === b ? 0 : a === "" ? 1 : -1;
  const order = a < b ? -1 : a > b ? 1 : 0;
  return isDescending ? -order : order;
}

function sort() {
  if (!order) return;
  const { column, isDescending } = order;
  const body = /** @type {HTMLElement} */ (main.querySelector("tbody"));
  const rows = [...body.children];
  rows.sort((a, b) => compare(keyOf(a, column), keyOf(b, column), isDescending));
  body.replaceChildren(...rows);
  for (const [i, head] of main.querySelectorAll("th").entries()) {
    if (i === column) head.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function mark() {
  for (const element of main.querySelectorAll("[data-trial]"))
    element.classList.toggle("marked", element.getAttribute("data-trial") === marked);
}

main.addEventListener("click", ({ target }) => {
  const element = /** @type {Element} */ (target);
  const head = element.closest("th");
  if (head?.querySelector("button")) {
    const column = head.cellIndex;
    order = { column, isDescending: order?.column === column && !order.isDescending };
    sort();
    return;
  }
  const number = element.closest("[data-trial]")?.getAttribute("data-trial") ?? undefined;
  if (number === undefined) return;
  marked = marked === number ? undefined : number;
  mark();
});

let shown = "";

async function refresh() {
  try {
    const response = await fetch("content");
    const text = response.ok ? await response.text() : shown;
    if (text === shown) return;
    const focused = [...main.querySelectorAll("th button")].indexOf(/** @type {Element} */ (document.activeElement));
    main.replaceChildren(...new DOMParser().parseFromString(text, "text/html").body.childNodes);
    shown = text;
    sort();
    mark();
    /** @type {HTMLElement | undefined} */ ([...main.querySelectorAll("th button")][focused])?.focus();
  } catch {
    // the server has ended: what there is stays
  }
}

if (document.body.dataset.live !== undefined) setInterval(refresh, INTERVAL_MS);
