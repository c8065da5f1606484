// Requests to the service, with the token if one is needed.

const key = "tessera-token";
const base = document.baseURI;
let token = sessionStorage.getItem(key);
let asking = null;

export class Refusal extends Error {
  constructor(status, error) {
    super(error?.message ?? `The service answered ${status}.`);
    Object.assign(this, { status, field: error?.field ?? null });
  }
}

export const hasToken = () => token !== null;

export function forgetToken() {
  sessionStorage.removeItem(key);
  location.reload();
}

// One dialog, however many requests are waiting for the token.
function askForToken(why) {
  asking ??= new Promise((resolve) => {
    const dialog = document.querySelector("#sign-in");
    const form = dialog.querySelector("form");
    dialog.querySelector(".error").textContent = why;
    form.reset();
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", () => {
      token = form.elements.token.value.trim();
      sessionStorage.setItem(key, token);
      asking = null;
      resolve();
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

async function send(path, options = {}) {
  for (;;) {
    const used = token;
    const headers = { ...options.headers };
    if (used) headers.Authorization = `Bearer ${used}`;
    // Without credentials the browser does not show its own login dialog.
    const answer = await fetch(new URL(path, base), { ...options, headers, credentials: "omit" }).catch((error) => {
      throw error instanceof TypeError ? new Error("The service does not answer.") : error;
    });
    if (answer.status !== 401) return answer;
    // Another request may have obtained a new token in the meantime.
    if (used === token) await askForToken(used ? "This token is invalid or has expired." : "");
  }
}

async function checked(answer) {
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  throw new Refusal(answer.status, body?.error);
}

export async function get(path, options) {
  return (await checked(await send(path, options))).json();
}

export async function post(path, body, { method = "POST", ...options } = {}) {
  const given = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const answer = await checked(await send(path, { method, ...given, ...options }));
  return answer.status === 204 ? null : answer.json();
}

export async function upload(file) {
  const type = file.type.startsWith("image/") ? file.type : "image/png";
  const answer = await send("api/v1/pictures", { method: "POST", body: file, headers: { "Content-Type": type } });
  return (await checked(answer)).json();
}

export async function blob(path, options) {
  return (await checked(await send(path, options))).blob();
}

// Server-sent events. EventSource cannot send a token, so the stream is read here.
export async function follow(path, { opened, event, signal }) {
  const answer = await checked(await send(path, { headers: { Accept: "text/event-stream" }, signal }));
  opened();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const kind = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (kind && data) event(kind, JSON.parse(data));
    }
  }
}
