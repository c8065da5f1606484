// A job's priority, as the user chooses it.
import { make, attempt } from "./dom.js";
import * as jobs from "./jobs.js";

const names = new Map([[-10, "Low priority"], [0, "Normal priority"], [10, "High priority"]]);
const set = attempt(jobs.setPriority);

// The priority selector; another program may have set a priority between these.
export function choice(job) {
  const select = make("select", { className: "priority", ariaLabel: `Priority of ${job.request.prompt}`,
    onchange: () => set(job.id, Number(select.value)) });
  show(select, job);
  return select;
}

// Shows the job's priority, unless it is already shown or the user is choosing one.
export function show(select, job) {
  if (select.value === `${job.priority}` || select.matches(":focus:active")) return;
  const values = [...new Set([...names.keys(), job.priority])].sort((a, b) => b - a);
  select.replaceChildren(...values.map((value) => make("option", { value: `${value}` }, names.get(value) ?? `Priority ${value}`)));
  select.value = `${job.priority}`;
}
