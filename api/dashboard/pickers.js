// The pickers: range, granularity, grouping and view, as radio buttons, so that a keyboard works without any code.

import { byId, make } from "./elements.js";
import { RANGES, WIDTHS, refusal } from "./period.js";
import { GROUPS, VIEWS } from "./state.js";

const GRANULARITIES = { minute: "Minute", hour: "Hour", day: "Day" };

/** Builds the pickers once; `choose` gets the part of the selection that has changed. */
export function startPickers(choose) {
  const ranges = Object.entries(RANGES).map(([name, { label }]) => [name, label]);
  fill("range", ranges, (range) => choose(range === "custom" ? { range, ...readCustom() } : { range }));
  fill("granularity", Object.entries(GRANULARITIES), (granularity) => choose({ granularity }));
  fill("group", Object.entries(GROUPS), (group) => choose({ group }));
  fill("view", Object.entries(VIEWS), (view) => choose({ view }));
  for (const id of ["custom-from", "custom-to"]) {
    byId(id).addEventListener("change", () => chooseCustom(choose));
  }
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
}

function fill(name, options, chosen) {
  for (const [value, label] of options) {
    const radio = make("input", { type: "radio", name, value, id: `${name}-${value}` });
    radio.addEventListener("change", () => chosen(value));
    byId(name).append(make("label", {}, radio, make("span", {}, label)));
  }
}

/** Show a selection, and what cannot be selected together with the reason. */
export function showSelection(selection, granularity, allowed, now) {
  const shown = { ...selection, granularity };
  for (const name of ["range", "granularity", "group", "view"]) {
    byId(`${name}-${shown[name]}`).checked = true;
  }
  byId("custom").hidden = selection.range !== "custom";
  if (selection.range === "custom") writeCustom(selection);
  showRefusals(selection, allowed, now);
}

function showRefusals(selection, allowed, now) {
  const reasons = [];
  for (const name of Object.keys(WIDTHS)) {
    const reason = refusal(name, selection, allowed, now);
    const radio = byId(`granularity-${name}`);
    radio.disabled = reason !== null;
    radio.parentElement.title = reason ? `${GRANULARITIES[name]}: ${reason}` : "";
    if (reason) reasons.push(`${GRANULARITIES[name]}: ${reason}.`);
  }
  byId("granularity-hint").textContent = reasons.join(" ");
}

// -- the custom range: fields without a zone, read as UTC ----------------------------------------------------------

function readCustom() {
  return { from: Date.parse(`${byId("custom-from").value}Z`), to: Date.parse(`${byId("custom-to").value}Z`) };
}

function writeCustom({ from, to }) {
  byId("custom-from").value = new Date(from).toISOString().slice(0, 16);
  byId("custom-to").value = new Date(to).toISOString().slice(0, 16);
}

/** The fields begin with the range that was shown before. */
export function prefillCustom(window) {
  if (!byId("custom-from").value) writeCustom(window);
}

function chooseCustom(choose) {
  const { from, to } = readCustom();
  const problem = customProblem(from, to);
  byId("custom-problem").textContent = problem;
  if (!problem) choose({ range: "custom", from, to });
}

function customProblem(from, to) {
  if (Number.isNaN(from) || Number.isNaN(to)) return "Fill in both ends of the range.";
  return from < to ? "" : "The range must end after it begins.";
}
