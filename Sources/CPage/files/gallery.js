// Finished pictures.
import { blob } from "./api.js";
import { make, find, size, ago, attempt } from "./dom.js";
import * as jobs from "./jobs.js";
import { open } from "./viewer.js";

const thumbs = new Map();
const remove = attempt(jobs.remove);

// Previews are fetched when they come into view. An `img` URL would not do: it cannot carry a token.
const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    sight.unobserve(entry.target);
    load(entry.target.firstChild);
  }
}, { rootMargin: "400px" });

async function load(image, tries = 0) {
  const id = image.dataset.id;
  try {
    if (!thumbs.has(id)) thumbs.set(id, URL.createObjectURL(await blob(`api/v1/jobs/${id}/preview`, { signal: AbortSignal.timeout(30_000) })));
    image.src = thumbs.get(id);
    image.hidden = false;
  } catch (error) {
    // Retry while a large picture is being cut into tiles or the service is busy; other client errors are permanent.
    const isFinal = error.status >= 400 && error.status < 500 && error.status !== 429;
    if (!isFinal && tries < 1000 && items.has(id)) setTimeout(() => load(image, tries + 1), 2000);
  }
}

function picture(job) {
  const image = make("img", { alt: job.request.prompt, hidden: true });
  image.dataset.id = job.id;
  const button = make("button", { className: "shot", ariaLabel: `Open: ${job.request.prompt}`, onclick: () => open(job) }, image);
  sight.observe(button);
  return button;
}

function item(job) {
  const failed = job.state === "failed";
  const small = make("small", {}, failed ? `failed ${ago(job.finished)}` : `${size(job)} · ${ago(job.finished)}`);
  const element = make("li", { className: "card" },
    failed ? make("div", { className: "shot failed" }, job.error ?? "It failed.") : picture(job),
    make("div", { className: "caption" }, make("p", { title: job.request.prompt }, job.request.prompt),
      make("div", { className: "foot" }, small,
        failed ? make("button", { className: "quiet danger", onclick: () => remove(job.id) }, "Delete") : null)));
  element.dataset.id = job.id;
  return element;
}

const items = new Map();
export function draw() {
  const list = jobs.finished();
  const gallery = find("#gallery");
  for (const [id, element] of items) {
    if (list.some((job) => job.id === id)) continue;
    element.remove();
    items.delete(id);
    URL.revokeObjectURL(thumbs.get(id));
    thumbs.delete(id);
  }
  list.forEach((job, index) => {
    if (!items.has(job.id)) items.set(job.id, item(job));
    const element = items.get(job.id);
    if (gallery.children[index] !== element) gallery.insertBefore(element, gallery.children[index] ?? null);
  });
  find("#picture-count").textContent = list.length ? (jobs.hasOlder() ? `${list.length} newest` : list.length) : "";
  find("#no-pictures").hidden = list.length > 0;
  find("#more").hidden = !jobs.hasOlder();
}

export function start() {
  find("#more").addEventListener("click", attempt(jobs.loadOlder));
}
