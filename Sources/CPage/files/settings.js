// Fields for all settings of the service, built from its own description of them.
import { make, find } from "./dom.js";

// The form has its own fields for these.
const own = new Set(["size", "seed"]);
let schemas = {};

const kind = (schema) => {
  if (schema.enum) return "choice";
  if (schema.type === "boolean") return "check";
  return schema.type === "integer" || schema.type === "number" ? "number" : "text";
};

function control(name, schema) {
  const id = `setting-${name}`;
  switch (kind(schema)) {
    case "choice":
      return make("select", { id, name }, make("option", { value: "" }, "default"),
        ...schema.enum.map((word) => make("option", { value: word }, word)));
    case "check": return make("input", { id, name, type: "checkbox" });
    case "number": {
      const step = schema.type === "integer" ? "1" : "any";
      return make("input", { id, name, type: "number", step, placeholder: "default" });
    }
    default: return make("input", { id, name, type: "text", placeholder: "default" });
  }
}

export function build(description) {
  schemas = Object.fromEntries(Object.entries(description).filter(([name]) => !own.has(name))
    .sort(([a], [b]) => a.localeCompare(b)));
  find("#settings").replaceChildren(...Object.entries(schemas).map(([name, schema]) => {
    const isCheck = kind(schema) === "check";
    const label = make("label", { htmlFor: `setting-${name}` }, name.replaceAll("-", " "));
    const parts = isCheck ? [control(name, schema), label] : [label, control(name, schema)];
    return make("div", { className: `field setting${isCheck ? " check" : ""}` }, ...parts,
      make("small", {}, schema.description ?? ""));
  }));
}

// Text that may represent a number, a list or a word.
function value(text) {
  try { return JSON.parse(text); } catch { return text.includes(",") ? text.split(",").map((part) => value(part.trim())) : text; }
}

export function read(form) {
  const settings = {};
  for (const [name, schema] of Object.entries(schemas)) {
    const field = form.elements[name];
    switch (kind(schema)) {
      case "check": if (field.checked) settings[name] = true; break;
      case "number": if (field.value !== "") settings[name] = Number(field.value); break;
      case "choice": if (field.value !== "") settings[name] = field.value; break;
      default: if (field.value.trim() !== "") settings[name] = schema.type === "string" ? field.value.trim() : value(field.value.trim());
    }
  }
  return settings;
}

export function fill(form, settings) {
  for (const [name, schema] of Object.entries(schemas)) {
    const given = settings[name];
    const field = form.elements[name];
    if (kind(schema) === "check") field.checked = given === true;
    else field.value = given === undefined || given === null ? "" : typeof given === "object" ? JSON.stringify(given) : given;
  }
}
