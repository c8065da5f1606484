// A job's priority, as a person chooses it.
import { make, attempt } from "./dom.js";
import * as jobs from "./jobs.js";

const names = new Map([[-10, "Low priority"], [0, "Normal priority"], [10, "High priority"]]);
const set = attempt(jobs.setPriority);

// The field; another program may have given a priority between these.
export function choice(job) {
  const select = make("select", { className: "priority", ariaLabel: `Priority of ${job.request.prompt}`,
    onchange: () => set(job.id, Number(select.value)) });
  show(select, job);
  return select;
}

// Shows the priority that the job has, unless it is shown or somebody is choosing.
export function show(select, job) {
  if (select.value === `${job.priority}` || select.matches(":focus:active")) return;
  const values = [...new Set([...names.keys(), job.priority])].sort((a, b) => b - a);
  select.replaceChildren(...values.map((value) => make("option", { value: `${value}` }, names.get(value) ?? `Priority ${value}`)));
  select.value = `${job.priority}`;
}
