// What the pages share: the run, the filters, the frozen order, and who listens when a decision falls.

import * as api from "./api.js";
import { notice } from "./dom.js";

export const DEFAULTS = {
  text: "", state: "", classes: "", area_class: "", area_min: 0, area_max: 1, uncertain_min: 0, uncertain_max: 1,
  method: "", sort: "index", descending: false, look: "overlay",
};

// Numbers of which the worst can be looked at first; `high` says that more is worse.
export const MEASURES = {
  agreement: { title: "Agreement" }, presence: { title: "Presence" }, consistency: { title: "Consistency" },
  separability: { title: "Separability" }, specks: { title: "Specks", high: true },
  uncertain: { title: "Uncertain share", high: true }, smallest: { title: "Smallest named class" },
};

export const store = {
  run: null,
  status: null,
  maskSet: "",
  filters: { ...DEFAULTS, ...JSON.parse(sessionStorage.getItem("segmint-filters") || "{}") },
  order: "",
  total: 0,
  current: 0,
  decisions: 0,
};

const listeners = new Set();
export const onDecision = (listener) => listeners.add(listener);

export function keepFilters() {
  sessionStorage.setItem("segmint-filters", JSON.stringify(store.filters));
}

export function listing() {
  const { look, ...rest } = store.filters;
  return { ...rest, descending: rest.descending !== Boolean(MEASURES[rest.sort]?.high), mask_set: store.maskSet };
}

export function colourOf(name) {
  if (name === "background") return [28, 34, 43];
  if (name === "uncertain") return [224, 224, 192];
  return store.run.classes.find((each) => each.name === name)?.colour ?? [128, 128, 128];
}

function tell(states, decisions) {
  store.decisions = decisions;
  for (const listener of listeners) listener(states);
}

export async function decide(item, state) {
  try {
    const done = await api.decide(item, state);
    tell({ [done.item]: done.state }, done.decisions);
    notice(`${done.item}: ${done.state}`);
  } catch (error) {
    notice(error.message);
  }
}

export async function decideTogether(items, state, why) {
  try {
    const done = await api.decideTogether(items, state, why);
    tell(done.states, done.decisions);
    notice(`${items.length} images: ${state} (u takes it back)`);
  } catch (error) {
    notice(error.message);
  }
}

export async function undo(imported = false) {
  try {
    const done = await api.undo(imported);
    const items = Object.entries(done.states);
    tell(done.states, done.decisions);
    const few = items.slice(0, 3).map(([item, state]) => `${item} is ${state} again`).join(", ");
    notice(items.length ? `undone: ${few}${items.length > 3 ? ` and ${items.length - 3} more` : ""}` : "nothing left to undo");
  } catch (error) {
    notice(error.message);
  }
}
