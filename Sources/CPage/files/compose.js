// The form: the request and its estimated cost.
import { get, post, upload } from "./api.js";
import { make, find, plural, roughly, bytes, later, attempt, say, whole } from "./dom.js";
import * as jobs from "./jobs.js";
import * as settings from "./settings.js";

const form = find("#compose");
const fields = form.elements;
const sizes = [["Square", 1024, 1024], ["Landscape", 1536, 1024], ["Portrait", 1024, 1536], ["2K", 2048, 2048], ["4K", 4096, 4096]];
const formats = { png: "PNG", jpeg: "JPEG", webp: "WebP", tif: "TIFF" };
const presets = {
  "": "What the model itself suggests.", draft: "Quick, to see whether the prompt and the seed are right.", standard: "For a picture to keep.",
  fine: "More overlap and more steps, for the best quality.", reference: "The slow method of the paper, with every scale.",
};
let initImage = null;
// Fields that the form does not show, kept from a picture that is rendered again.
let hidden = {};

function segments(names) {
  find("#presets").replaceChildren(...["", ...names].map((name) => make("label", {},
    make("input", { type: "radio", name: "preset", value: name, checked: name === "" }), name || "default", make("small"))));
}

function chips() {
  const box = find("#size-choices");
  box.replaceChildren(...sizes.map(([name, width, height]) => make("button", {
    type: "button", title: `${width} × ${height}`,
    onclick: () => { fields.width.value = width; fields.height.value = height; changed(); },
  }, name)));
}

function markSize() {
  [...find("#size-choices").children].forEach((chip, index) => {
    const [, width, height] = sizes[index];
    chip.setAttribute("aria-pressed", Number(fields.width.value) === width && Number(fields.height.value) === height);
  });
}

// What prevents the form from being sent, worded like the service's refusals; the invalid field gets the focus.
function problem() {
  const field = [...fields].find((field) => !field.checkValidity());
  if (!field) return "";
  const folded = field.closest("details");
  if (folded) folded.open = true;
  field.focus();
  const name = field.labels?.[0]?.firstChild.textContent.trim() || field.name;
  return `${name}: ${field.validity.valueMissing ? "it is missing." : field.validationMessage}`;
}

function request() {
  const chosen = { ...settings.read(form), size: `${fields.width.value}x${fields.height.value}` };
  // As text: a seed may have more digits than a JavaScript number can represent exactly.
  const seed = fields.seed.value.trim();
  if (seed !== "") chosen.seed = Number.isSafeInteger(Number(seed)) ? Number(seed) : seed;
  const loras = [...find("#lora-list").children].filter((row) => find("[type=checkbox]", row).checked)
    .map((row) => ({ name: row.dataset.name, weight: Number(find("[type=number]", row).value) }));
  return Object.fromEntries(Object.entries({
    ...hidden, prompt: fields.prompt.value, negativePrompt: fields.negativePrompt.value || null, model: fields.model.value || null,
    preset: fields.preset.value || null, format: fields.format.value, settings: chosen, initImage,
    loras: loras.length ? loras : null,
  }).filter(([, value]) => value !== null));
}

let asked = 0;
const price = later(async () => {
  const number = ++asked;
  const output = find("#price");
  const body = request();
  if (!body.prompt) body.prompt = "a picture";
  try {
    const plan = await post("api/v1/plan", body);
    if (number !== asked) return;
    const time = timeOf(plan, body.model);
    output.replaceChildren(make("strong", {}, `${time && `about ${time}, `}${plural(plan.unetCalls, "UNet call")}`),
      `${plural(plan.phases.length, "phase")}, ${plural(plan.views, "view")}, ${bytes(plan.latentBytes + plan.decodeBytes)} to and from workers`);
    find("#compose-error").textContent = "";
  } catch (error) {
    if (number !== asked) return;
    output.replaceChildren();
    find("#compose-error").textContent = error.message;
  }
  for (const label of find("#presets").children) {
    if (number === asked) await pricePreset(label, body);
  }
}, 350);

// Estimated from the model's most recent pictures; empty if there are none yet.
function timeOf(plan, model) {
  const each = jobs.secondsPerCall(model);
  return each === null ? "" : roughly(each * plan.unetCalls);
}

// Shows next to each preset what the picture would cost with it.
async function pricePreset(label, { preset, ...body }) {
  const name = find("input", label).value;
  const small = find("small", label);
  try {
    const plan = await post("api/v1/plan", name ? { ...body, preset: name } : body);
    const time = timeOf(plan, body.model);
    small.replaceChildren(whole(plan.unetCalls), make("span", { className: "unseen" }, " calls"), time && `\n${time}`);
    small.title = "";
  } catch (error) {
    small.textContent = "not possible";
    small.title = error.message;
  }
}

function changed() {
  markSize();
  find("#preset-help").textContent = presets[fields.preset?.value] ?? "";
  price();
}

// Each finished picture improves the time estimates.
let measured = 0;
jobs.watch(() => {
  const count = jobs.finished().length;
  if (count !== measured && fields.preset) price();
  measured = count;
});

async function setInit(file) {
  const stored = await upload(file);
  showInit(stored.id, URL.createObjectURL(file));
  // Same aspect ratio as the uploaded picture, same area as requested.
  const area = Number(fields.width.value) * Number(fields.height.value);
  const scale = Math.sqrt(area / (stored.width * stored.height));
  fields.width.value = Math.max(8, Math.round(stored.width * scale / 8) * 8);
  fields.height.value = Math.max(8, Math.round(stored.height * scale / 8) * 8);
  changed();
}

function showInit(id, source) {
  initImage = id;
  const shown = find("#init-shown");
  const image = find("img", shown);
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
  image.hidden = !source;
  if (source) image.src = source; else image.removeAttribute("src");
  shown.hidden = id === null;
  find("#drop > label").hidden = id !== null;
}

function acceptDrops() {
  const drop = find("#drop");
  const over = (isOver) => drop.classList.toggle("over", isOver);
  const take = attempt(setInit);
  drop.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  drop.addEventListener("dragleave", () => over(false));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    const file = event.dataTransfer.files[0];
    if (file) take(file); else say("That was not a picture file.");
  });
  find("#init-file").addEventListener("change", (event) => {
    if (event.target.files[0]) take(event.target.files[0]);
    event.target.value = "";
  });
  find("#init-shown button").addEventListener("click", () => { showInit(null); changed(); });
}

// Fills the form with a picture's settings.
export function fill(of, { seed = true, scale = 1 } = {}) {
  const { prompt, negativePrompt, model, preset, format, loras, settings: chosen = {}, initImage: init, ...rest } = of.request;
  hidden = rest;
  Object.assign(fields.prompt, { value: prompt });
  fields.negativePrompt.value = negativePrompt ?? "";
  fields.model.value = model ?? of.model;
  fields.preset.value = preset ?? "";
  fields.format.value = format ?? "png";
  fields.width.value = of.width * scale;
  fields.height.value = of.height * scale;
  fields.seed.value = seed ? chosen.seed ?? "" : "";
  settings.fill(form, chosen);
  for (const row of find("#lora-list").children) {
    const used = loras?.find((lora) => lora.name === row.dataset.name);
    find("[type=checkbox]", row).checked = Boolean(used);
    find("[type=number]", row).value = used?.weight ?? 1;
  }
  showInit(init ?? null);
  changed();
  form.scrollIntoView({ block: "start" });
  fields.prompt.focus();
}

export async function start() {
  const [models, loras, api] = await Promise.all([get("api/v1/models"), get("api/v1/loras"), get("api/v1/openapi.json")]);
  const parts = api.components.schemas;
  segments(parts.JobRequest.properties.preset.enum);
  chips();
  settings.build(parts.Settings.properties);
  fields.format.append(...parts.JobRequest.properties.format.enum.map((name) => make("option", { value: name }, formats[name] ?? name)));
  fields.model.append(...models.models.map((model) => make("option", { value: model.name, selected: model.default }, model.name)));
  find("#model-field").hidden = models.models.length < 2;
  find("#loras").hidden = loras.loras.length === 0;
  find("#lora-list").replaceChildren(...loras.loras.map(({ name }) => {
    const row = make("div", { className: "lora" }, make("label", {}, make("input", { type: "checkbox" }), name),
      make("input", { type: "number", step: "0.05", value: "1", ariaLabel: `Weight of ${name}` }));
    row.dataset.name = name;
    return row;
  }));
  acceptDrops();
  form.addEventListener("input", changed);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wrong = problem();
    find("#compose-error").textContent = wrong;
    if (wrong) return;
    const button = find("[type=submit]", form);
    button.disabled = true;
    try {
      const job = await jobs.submit(request());
      say(`Queued: ${whole(job.unetCalls)} UNet calls`);
      // On a phone the running picture is above the form.
      if (matchMedia("(max-width: 900px)").matches) scrollTo({ top: 0, behavior: "smooth" });
    } catch (error) {
      find("#compose-error").textContent = error.message;
    }
    button.disabled = false;
  });
  changed();
}
