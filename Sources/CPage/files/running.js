// The job that is being rendered.
import { get, blob } from "./api.js";
import { make, find, duration, size, whole, attempt } from "./dom.js";
import * as jobs from "./jobs.js";
import { colour, draw as drawViews } from "./overlay.js";

const stages = { preparing: "Preparing", denoising: "Denoising", encoding: "Encoding", enlarging: "Enlarging", decoding: "Decoding" };
const change = attempt(jobs.change);
const panels = new Map();

function panel(job) {
  const parts = {
    canvas: make("canvas", { width: job.width, height: job.height, role: "img", ariaLabel: "The picture as it is so far" }),
    over: make("canvas", { className: "over", ariaHidden: "true" }),
    windows: make("input", { type: "checkbox", checked: true }),
    waiting: make("p", { className: "waiting" }, "Preparing"),
    bar: make("progress", { max: 1, value: 0, ariaLabel: "Share that is done" }),
    share: make("b"), left: make("span"), facts: make("dl", { className: "facts" }), workers: make("ul", { className: "workers" }),
  };
  // Enough for a screen, whatever the size of the picture.
  const scale = Math.min(1, 1024 / Math.max(job.width, job.height));
  parts.canvas.width = Math.round(job.width * scale);
  parts.canvas.height = Math.round(job.height * scale);
  [parts.over.width, parts.over.height] = [parts.canvas.width, parts.canvas.height];
  parts.windows.addEventListener("change", () => { parts.over.hidden = !parts.windows.checked; });
  const root = make("article", { className: "card running" },
    make("div", { className: "stage" }, make("div", { className: "layers" }, parts.canvas, parts.over), parts.waiting,
      make("label", { className: "toggle" }, parts.windows, "Workers' views")),
    make("div", { className: "about" }, make("p", { className: "prompt" }, job.request.prompt),
      make("div", {}, parts.bar, make("p", { className: "left" }, parts.share, parts.left)),
      parts.facts, parts.workers,
      make("div", { className: "actions" },
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
  if (progress?.viewsPerSecond) list.push(["Views per second", progress.viewsPerSecond.toFixed(2)]);
  return list.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}

export function draw() {
  const section = find("#running");
  const list = jobs.running();
  for (const [id, parts] of panels) {
    if (list.some((job) => job.id === id)) continue;
    parts.root.remove();
    panels.delete(id);
  }
  for (const job of list) {
    if (!panels.has(job.id)) {
      panels.set(job.id, panel(job));
      section.append(panels.get(job.id).root);
    }
    const parts = panels.get(job.id);
    const progress = job.progress;
    parts.bar.value = progress?.share ?? 0;
    parts.share.textContent = `${Math.floor((progress?.share ?? 0) * 100)} %`;
    parts.left.textContent = progress?.stage === "decoding" ? "almost done"
      : progress?.secondsLeft ? `${duration(progress.secondsLeft)} left` : "";
    parts.facts.replaceChildren(...facts(job, progress));
    if (!parts.hasPicture) parts.waiting.textContent = progress?.phase ? "The picture appears after the first step" : "Preparing";
  }
  section.hidden = list.length === 0;
}

async function paint(id, parts) {
  if (parts.isLoading) return;
  parts.isLoading = true;
  try {
    const content = await blob(`api/v1/jobs/${id}/preview`);
    if (content.size === 0) return;
    const image = await createImageBitmap(content);
    const context = parts.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, parts.canvas.width, parts.canvas.height);
    image.close();
    parts.hasPicture = true;
    parts.waiting.textContent = "";
  } catch { /* The next one will come. */ } finally { parts.isLoading = false; }
}

async function paintViews(id, parts) {
  if (!parts.windows.checked || parts.isDrawing) return;
  parts.isDrawing = true;
  try { drawViews(parts.over, await get(`api/v1/jobs/${id}/views`)); } catch { /* The next ones will come. */ } finally { parts.isDrawing = false; }
}

async function look() {
  if (panels.size === 0 || document.hidden) return;
  const { workers } = await get("api/v1/workers");
  const rows = workers.map((worker, index) => {
    const square = make("i");
    square.style.background = colour(index);
    const rate = worker.busySeconds > 0 ? `${(worker.views / worker.busySeconds).toFixed(2)} views/s` : "";
    return make("li", {}, square, make("span", { title: worker.processor }, worker.name), make("b", {}, worker.active ? rate : "left"));
  });
  for (const [id, parts] of panels) {
    parts.workers.replaceChildren(...rows.map((row) => row.cloneNode(true)));
    paint(id, parts);
  }
}

export function start() {
  setInterval(() => look().catch(() => {}), 1000);
  setInterval(() => { if (!document.hidden) for (const [id, parts] of panels) paintViews(id, parts); }, 400);
}
