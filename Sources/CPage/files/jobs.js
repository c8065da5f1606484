// The page's copy of the jobs: loaded once, then kept up to date by events.
import { get, post, follow } from "./api.js";

const page = 24;
const jobs = new Map();
const listeners = new Set();
let next = null;
let older = false;

export const changes = { connected: () => {}, lost: () => {}, views: () => {}, workers: () => {}, deleted: () => {} };
export const watch = (listener) => listeners.add(listener);
let isDue = false;
function tell() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; for (const listener of listeners) listener(); });
}

const byTurn = (a, b) => b.priority - a.priority || a.position - b.position;
const all = (...states) => [...jobs.values()].filter((job) => states.includes(job.state));
export const running = () => all("running");
export const waiting = () => all("queued", "paused").sort(byTurn);
export const finished = () => all("done", "failed").sort((a, b) => b.finished - a.finished || b.number - a.number);
export const hasOlder = () => older;
export const job = (id) => jobs.get(id);

// Seconds per UNet call, from the model's last three pictures; null if there are none yet.
export function secondsPerCall(model) {
  const last = all("done").filter((job) => job.model === model && job.started)
    .sort((a, b) => b.finished - a.finished).slice(0, 3);
  const calls = last.reduce((sum, job) => sum + job.unetCalls, 0);
  return calls ? last.reduce((sum, job) => sum + job.finished - job.started, 0) / calls : null;
}

function keep(job) {
  const known = jobs.get(job.id);
  // The list has no progress for this job yet, but an event may have brought some.
  if (known?.progress && job.progress === null && job.state === "running") job.progress = known.progress;
  jobs.set(job.id, job);
}

async function load() {
  const lists = await Promise.all(["running", "queued", "paused", "done", "failed"].map((state) =>
    get(`api/v1/jobs?state=${state}&limit=${state === "queued" ? 1000 : state === "done" ? page : 50}`, { signal: AbortSignal.timeout(30_000) })));
  jobs.clear();
  for (const list of lists) list.jobs.forEach(keep);
  next = lists[3].next;
  older = next !== null;
  tell();
}

export async function loadOlder() {
  const list = await get(`api/v1/jobs?state=done&limit=${page}&before=${next}`);
  list.jobs.forEach(keep);
  next = list.next;
  older = next !== null;
  tell();
}

async function refresh(id) {
  try {
    keep(await get(`api/v1/jobs/${id}`));
  } catch (error) {
    if (error.status !== 404) throw error;
    jobs.delete(id);
  }
  tell();
}

export async function submit(request) {
  const job = await post("api/v1/jobs", request);
  keep(job);
  tell();
  return job;
}

export async function change(id, what) {
  keep(await post(`api/v1/jobs/${id}/${what}`));
  tell();
}

export async function remove(id) {
  await post(`api/v1/jobs/${id}`, undefined, { method: "DELETE" });
  jobs.delete(id);
  tell();
}

// If the service refuses, the job is unchanged: listeners draw it again.
export async function setPriority(id, priority) {
  try {
    keep(await post(`api/v1/jobs/${id}`, { priority }, { method: "PATCH" }));
  } finally {
    await refresh(id);
  }
}

// The waiting jobs with the same user and priority, among which a job can be moved.
export function peers(id) {
  const job = jobs.get(id);
  return waiting().filter((other) => other.user === job.user && other.priority === job.priority);
}

// Keeps the same positions, in another order.
function permute(id, before) {
  const list = peers(id);
  const places = list.map((job) => job.position);
  const [job] = list.splice(list.findIndex((other) => other.id === id), 1);
  const to = list.findIndex((other) => other.id === before);
  list.splice(to < 0 ? list.length : to, 0, job);
  list.forEach((other, index) => { other.position = places[index]; });
  tell();
}

// Moves a job before another one, or to the end; shown at once, and undone if the service refuses.
export async function move(id, before) {
  permute(id, before);
  try {
    await post(`api/v1/jobs/${id}/move`, { before });
  } finally {
    const list = await get("api/v1/jobs?state=queued&limit=1000");
    const paused = await get("api/v1/jobs?state=paused&limit=1000");
    [...list.jobs, ...paused.jobs].forEach(keep);
    tell();
  }
}

// Loads everything again, once for many changes, and retries later if the service is busy.
let reloading = 0;
function reload(wait) {
  clearTimeout(reloading);
  reloading = setTimeout(() => load().catch(() => reload(2000)), wait);
}

function take(kind, data) {
  if (kind === "state") refresh(data.job).catch(() => {});
  if (kind === "queue") reload(300);
  if (kind === "deleted") {
    jobs.delete(data.job);
    tell();
    changes.deleted(data.job);
  }
  if (kind === "views") changes.views(data);
  if (kind === "workers") changes.workers(data.workers);
  if (kind !== "progress") return;
  const known = jobs.get(data.job);
  if (!known) return void refresh(data.job).catch(() => {});
  known.progress = data;
  tell();
}

// Keeps a stream of events open; after a disconnection everything is loaded again.
export async function stay() {
  for (let wait = 1; ; wait = Math.min(wait * 2, 20)) {
    try {
      await follow("api/v1/events?views=true", {
        opened: async () => { wait = 1; await load(); changes.connected(); },
        event: take,
      });
    } catch (error) { changes.lost(error); }
    changes.lost(null);
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
}
