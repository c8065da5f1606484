// DOM elements, and numbers formatted for people.

// Creates an element: attributes, listeners (on…), then children.
export function make(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const find = (selector, root = document) => root.querySelector(selector);

const shapes = {
  up: "M8 13V3M4 7l4-4 4 4",
  down: "M8 3v10M4 9l4 4 4-4",
  grip: "M6 3.5v.01M10 3.5v.01M6 8v.01M10 8v.01M6 12.5v.01M10 12.5v.01",
};

export function shape(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  const given = { viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": name === "grip" ? 2 : 1.6,
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(given)) svg.setAttribute(key, value);
  path.setAttribute("d", shapes[name]);
  svg.append(path);
  return svg;
}

export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "";
  if (seconds < 1) return "less than 1 s";
  seconds = Math.round(seconds);
  const both = (first, rest) => rest.startsWith("0 ") ? first : `${first} ${rest}`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return both(`${Math.floor(seconds / 60)} min`, `${seconds % 60} s`);
  return both(`${Math.floor(seconds / 3600)} h`, `${Math.floor((seconds % 3600) / 60)} min`);
}

// An approximate time in one unit, of which there are at least two (except seconds).
export function roughly(seconds) {
  if (seconds >= 7200) return `${Math.round(seconds / 3600)} h`;
  if (seconds >= 120) return `${Math.round(seconds / 60)} min`;
  return `${Math.max(1, Math.round(seconds))} s`;
}

export function bytes(count) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit += 1; }
  return `${count >= 10 || unit === 0 ? Math.round(count) : count.toFixed(1)} ${units[unit]}`;
}

export const whole = (count) => Math.round(count).toLocaleString("en");
export const size = (job) => `${job.width} × ${job.height}`;
export const plural = (count, word) => `${whole(count)} ${word}${count === 1 ? "" : "s"}`;

export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  if (past < 3600) return `${plural(Math.floor(past / 60), "minute")} ago`;
  if (past < 86400) return `${plural(Math.floor(past / 3600), "hour")} ago`;
  return new Date(seconds * 1000).toLocaleDateString();
}

let timer = 0;
export function say(text) {
  const note = find("#note");
  note.textContent = text;
  note.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => note.classList.remove("shown"), 4000);
}

// Runs a user's action; an error is shown instead of lost.
export const attempt = (work) => async (...given) => {
  try { return await work(...given); } catch (error) { say(error.message); return null; }
};

// Debounces: calls `work` once, `wait` ms after the last request.
export function later(work, wait) {
  let waiting = 0;
  return () => { clearTimeout(waiting); waiting = setTimeout(work, wait); };
}
