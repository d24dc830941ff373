// Asks for the API key.

import { byId } from "./elements.js";

const FORM = /^am_live_[a-z0-9]{34}$/;
const LENGTH = "am_live_".length + 34;

/** Wires the form; `enter` gets a key that at least looks like one. */
export function startKeyForm(enter) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const key = byId("key").value.trim();
    const problem = keyProblem(key);
    showKeyProblem(problem);
    if (!problem) enter(key);
  });
}

function keyProblem(key) {
  if (!key) return "Enter a key first.";
  if (FORM.test(key)) return "";
  return `A key is am_live_ and 34 letters or digits, ${LENGTH} characters in all; this one has ${key.length}.`;
}

/** Show the form, with why it is shown again. */
export function askForKey(problem = "", key = "") {
  byId("key-form").hidden = false;
  byId("key").value = key;
  showKeyProblem(problem);
  byId("key").focus();
}

export function hideKeyForm() {
  byId("key-form").hidden = true;
  byId("key").value = "";
}

function showKeyProblem(problem) {
  byId("key-problem").textContent = problem;
  byId("key").setAttribute("aria-invalid", String(Boolean(problem)));
}
