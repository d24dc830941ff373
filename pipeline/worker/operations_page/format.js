// Numbers, times and elements. Text from outside goes in as text and never as HTML.

const time = new Intl.DateTimeFormat("en-GB", {
  timeZone: "UTC", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const day = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short" });

export const count = (value) => (value === null ? "?" : value.toLocaleString("en", { maximumFractionDigits: 1 }));
export const clock = (instant) => (instant ? time.format(instant) : "none");
export const moment = (instant) => (instant ? `${day.format(instant)}, ${time.format(instant)}` : "none");

/** Milliseconds as "850 ms", "12.3 s", "4 min", "3 h". */
export function duration(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 120_000) return `${(milliseconds / 1000).toFixed(1)} s`;
  if (milliseconds < 7_200_000) return `${Math.round(milliseconds / 60_000)} min`;
  return `${Math.round(milliseconds / 3_600_000)} h`;
}

/** Bytes of a producer as they may be looked at: what can't be seen, or turns the reading direction, is a sign. */
export const visible = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd");

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class" || name === "scope" || name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export const fill = (id, ...children) => document.getElementById(id).replaceChildren(...children);

/** Fill a table: heads, and rows of cells; a cell is a text or an element. Columns named in `numeric` are right-aligned. */
export function fillTable(id, heads, rows, numeric, empty) {
  const kind = (i) => (numeric.includes(heads[i]) ? "number" : "text");
  const head = make("tr", {}, ...heads.map((text, i) => make("th", { scope: "col", class: kind(i) }, text)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, i) => make("td", { class: kind(i) }, cell))));
  const none = make("tr", {}, make("td", { colSpan: heads.length, class: "muted" }, empty));
  fill(id, make("thead", {}, head), make("tbody", {}, ...(body.length ? body : [none])));
}
