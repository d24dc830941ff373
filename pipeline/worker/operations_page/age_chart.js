// The age of as_of as a small line, drawn as SVG.

import { clock, duration, fill } from "/page/format.js";

const SPACE = "http://www.w3.org/2000/svg";
const [HEIGHT, LEFT, BOTTOM] = [200, 60, 22];
const HOUR = 3_600_000;
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

function draw(tag, attributes, text) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Show [instant, age] pairs (milliseconds) over the hour that ends now. */
export function showAge(history, now) {
  const oldest = Math.max(...history.map(([, age]) => age), 1000);
  const step = 1000 * (STEPS.find((seconds) => (oldest / 1000 / seconds) <= 4) ?? oldest / 4000);
  const ceiling = Math.ceil(oldest / step) * step;
  const width = document.getElementById("age").clientWidth;
  const x = (instant) => LEFT + ((instant - now + HOUR) / HOUR) * (width - LEFT - 8);
  const y = (age) => 8 + (1 - age / ceiling) * (HEIGHT - BOTTOM - 8);
  const label = `The age of as_of over the last hour, at most ${duration(oldest)}`;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label });
  for (let age = 0; age <= ceiling; age += step) svg.append(...gridLine(age, y(age), width - 8));
  for (let minutes = 60; minutes >= 0; minutes -= 15) svg.append(tick(now - minutes * 60_000, x));
  const points = history.map(([instant, age]) => `${x(instant).toFixed(1)},${y(age).toFixed(1)}`);
  svg.append(draw("polyline", { points: points.join(" "), class: "line" }));
  fill("age", svg);
}

function gridLine(age, y, right) {
  return [
    draw("line", { x1: LEFT, x2: right, y1: y, y2: y, class: "grid" }),
    draw("text", { x: LEFT - 8, y: y + 4, class: "axis end" }, duration(age).replace(".0", "")),
  ];
}

function tick(instant, x) {
  return draw("text", { x: x(instant) + 6, y: HEIGHT - 4, class: "axis end" }, clock(instant).slice(0, 5));
}
