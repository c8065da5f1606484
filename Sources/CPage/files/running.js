// The jobs that are being rendered.
import { blob } from "./api.js";
import { make, find, duration, size, whole, attempt } from "./dom.js";
import * as jobs from "./jobs.js";
import * as priority from "./priority.js";
import { colour, draw as drawViews } from "./overlay.js";

const stages = { preparing: "Preparing", denoising: "Denoising", encoding: "Encoding", enlarging: "Enlarging", decoding: "Decoding" };
const change = attempt(jobs.change);
const panels = new Map();
// The latest events: views by job, and the workers.
const views = new Map();
let workers = [];

function panel(job) {
  const parts = {
    canvas: make("canvas", { width: job.width, height: job.height, role: "img", ariaLabel: "Preview of the picture" }),
    over: make("canvas", { className: "over", ariaHidden: "true" }),
    windows: make("input", { type: "checkbox", checked: true }),
    waiting: make("p", { className: "waiting" }, "Preparing"),
    bar: make("progress", { max: 1, value: 0, ariaLabel: "Progress" }),
    share: make("b"), left: make("span"), facts: make("dl", { className: "facts" }), workers: make("ul", { className: "workers" }),
  };
  // Enough pixels for a screen, whatever the size of the picture.
  const scale = Math.min(1, 1024 / Math.max(job.width, job.height));
  parts.canvas.width = Math.round(job.width * scale);
  parts.canvas.height = Math.round(job.height * scale);
  [parts.over.width, parts.over.height] = [parts.canvas.width, parts.canvas.height];
  parts.windows.addEventListener("change", () => { parts.over.hidden = !parts.windows.checked; look(); });
  parts.priority = priority.choice(job);
  const root = make("article", { className: "card running" },
    make("div", { className: "stage" }, make("div", { className: "layers" }, parts.canvas, parts.over), parts.waiting,
      make("label", { className: "toggle" }, parts.windows, "Workers' views")),
    make("div", { className: "about" }, make("p", { className: "prompt" }, job.request.prompt),
      make("div", {}, parts.bar, make("p", { className: "left" }, parts.share, parts.left)),
      parts.facts, parts.workers,
      make("div", { className: "actions" }, parts.priority,
        make("button", { onclick: () => change(job.id, "pause") }, "Pause"),
        make("button", { className: "danger", onclick: () => change(job.id, "cancel") }, "Cancel"))));
  root.dataset.id = job.id;
  return { ...parts, root };
}

function facts(job, progress) {
  const isTiled = ["encoding", "enlarging", "decoding"].includes(progress?.stage);
  const list = [["Stage", job.stopping ? "Stopping" : stages[progress?.stage] ?? "Preparing"], ["Size", size(job)]];
  if (progress?.phase) list.push(["Phase", `${progress.phase} of ${progress.phases}`]);
  if (progress?.phase && !isTiled) list.push(["Step", `${progress.step} of ${progress.steps}`]);
  if (progress?.allViews) list.push(["Views", `${whole(progress.views)} of ${whole(progress.allViews)}`]);
  if (isTiled) list.push(["Tiles", `${progress.tiles} of ${progress.allTiles}`]);
  if (progress?.viewsPerSecond) list.push(["Views per second, mean", progress.viewsPerSecond.toFixed(2)]);
  return list.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}

export function draw() {
  const section = find("#running");
  const list = jobs.running();
  for (const [id, parts] of panels) {
    if (list.some((job) => job.id === id)) continue;
    parts.root.remove();
    panels.delete(id);
    views.delete(id);
  }
  for (const job of list) {
    if (!panels.has(job.id)) {
      panels.set(job.id, panel(job));
      section.append(panels.get(job.id).root);
      // A resumed job still has its earlier estimate.
      paint(job.id, panels.get(job.id), null);
      look();
    }
    const parts = panels.get(job.id);
    const progress = job.progress;
    parts.bar.value = progress?.share ?? 0;
    parts.share.textContent = `${Math.floor((progress?.share ?? 0) * 100)} %`;
    parts.left.textContent = progress?.stage === "decoding" ? "almost done"
      : progress?.secondsLeft ? `${duration(progress.secondsLeft)} left` : "";
    priority.show(parts.priority, job);
    parts.facts.replaceChildren(...facts(job, progress));
    if (!parts.hasPicture) parts.waiting.textContent = progress?.phase ? "The picture appears after the first step" : "Preparing";
  }
  section.hidden = list.length === 0;
}

// Fetches the estimate of the picture if there is a newer one than the one shown.
async function paint(id, parts, estimate) {
  if (parts.isLoading || estimate === 0 || parts.estimate === estimate) return;
  parts.isLoading = true;
  try {
    const content = await blob(`api/v1/jobs/${id}/preview`);
    if (content.size === 0) return;
    const image = await createImageBitmap(content);
    const context = parts.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, parts.canvas.width, parts.canvas.height);
    image.close();
    parts.estimate = estimate;
    parts.hasPicture = true;
    parts.waiting.textContent = "";
  } catch { /* The next one will come. */ } finally { parts.isLoading = false; }
}

function worker(told, index) {
  const square = make("i");
  square.style.background = colour(index);
  const rate = told.busySeconds > 0 ? `${(told.views / told.busySeconds).toFixed(2)} views/s` : "";
  return make("li", {}, square, make("span", { title: told.processor }, told.name), make("b", {}, told.active ? rate : "left"));
}

// Draws the latest events; a hidden page draws and fetches nothing.
let isDue = false;
function look() {
  if (isDue || document.hidden) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const [id, parts] of panels) {
      parts.workers.replaceChildren(...workers.map(worker));
      const told = views.get(id);
      if (!told) continue;
      if (parts.windows.checked) drawViews(parts.over, told);
      paint(id, parts, told.estimate);
    }
  });
}

export function start() {
  jobs.changes.views = (told) => { views.set(told.job, told); look(); };
  jobs.changes.workers = (told) => { workers = told; look(); };
  document.addEventListener("visibilitychange", look);
}
