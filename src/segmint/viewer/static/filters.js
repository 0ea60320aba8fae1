// The form beside the grid. Every change is told at once; typing after a short rest.

import { dot, el, number } from "./dom.js";
import { DEFAULTS, keepFilters, MEASURES, store } from "./store.js";

const STATES = [["", "All"], ["undecided", "Open"], ["kept", "Kept"], ["rejected", "Rejected"]];
const LOOKS = [["overlay", "Overlay"], ["image", "Image"], ["mask", "Mask"]];
const SORTS = [["area", "Area of the class below"], ["state", "Kept / rejected"], ["method", "Method"]];

let counts = new Map();

export function buildFilters(form, changed) {
  const apply = () => { keepFilters(); changed(); };
  const set = (key, value) => { store.filters[key] = value; apply(); };
  form.replaceChildren(
    search(set),
    segments("Decision", "state", STATES, set),
    segments("Show", "look", LOOKS, set),
    sorting(set),
    classes(set),
    areas(set),
    range("Uncertain share", "uncertain", set),
    methods(set),
    el("button", { type: "button", id: "clear", onclick: () => {
      Object.assign(store.filters, DEFAULTS);
      buildFilters(form, changed);
      apply();
    } }, "Clear filters"),
  );
  form.onsubmit = (event) => event.preventDefault();
}

export function showCounts(status) {
  for (const [name, node] of counts) node.textContent = number(status.shown[name] ?? 0);
}

function search(set) {
  let timer = 0;
  const input = el("input", { type: "search", id: "search", value: store.filters.text, placeholder: "prompt or id" });
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => set("text", input.value), 180);
  });
  return el("label", {}, el("span", { class: "field-name" }, "Search"), input);
}

function segments(title, key, choices, set) {
  const radios = choices.map(([value, label]) =>
    el("label", {}, el("input", { type: "radio", name: key, value, checked: store.filters[key] === value, onchange: () => set(key, value) }), label));
  return el("fieldset", {}, el("legend", {}, title), el("div", { class: "segments" }, ...radios));
}

function sorting(set) {
  const chosen = store.filters.sort;
  const measures = Object.entries(MEASURES).map(([value, { title }]) => option(value, `Worst by ${title.toLowerCase()}`, chosen));
  const words = el("span");
  const tell = () => { words.textContent = select.value in MEASURES ? "best first" : "last first"; };
  const select = el("select", { id: "sort", onchange: () => { tell(); set("sort", select.value); } },
    option("index", "Order of the run", chosen), el("optgroup", { label: "Worst first" }, ...measures),
    el("optgroup", { label: "Other" }, ...SORTS.map(([value, label]) => option(value, label, chosen))));
  const down = el("input", { type: "checkbox", id: "descending", checked: store.filters.descending, onchange: () => set("descending", down.checked) });
  tell();
  return el("fieldset", {}, el("legend", {}, "Sort by"), el("label", {}, el("span", { class: "soft", hidden: true }, "Sort by"), select),
    el("label", { class: "inline" }, down, words));
}

function classes(set) {
  const chosen = new Set(store.filters.classes.split("\n").filter(Boolean));
  counts = new Map();
  const boxes = store.run.classes.map((each) => {
    const count = el("span", { class: "number" });
    counts.set(each.name, count);
    const box = el("input", { type: "checkbox", checked: chosen.has(each.name), onchange: () => {
      if (box.checked) chosen.add(each.name); else chosen.delete(each.name);
      set("classes", [...chosen].join("\n"));
    } });
    return el("label", {}, box, dot(each.colour), el("span", { class: "name" }, each.name), count);
  });
  return el("fieldset", {}, el("legend", {}, "Shows all of"), el("div", { class: "class-list" }, ...boxes));
}

function areas(set) {
  const select = el("select", { id: "area-class", "aria-label": "Class whose area counts", onchange: () => set("area_class", select.value) },
    option("", "no class", store.filters.area_class), ...store.run.classes.map((each) => option(each.name, each.name, store.filters.area_class)));
  const box = range("Area of a class", "area", set);
  box.insertBefore(select, box.children[1]);
  return box;
}

function range(title, key, set) {
  const bound = (end, label) => {
    const name = `${key}_${end}`;
    const input = el("input", {
      type: "number", min: 0, max: 100, step: "any", id: name, "aria-label": `${title}, ${label}, per cent`,
      value: 100 * store.filters[name],
    });
    input.addEventListener("change", () => set(name, Math.min(1, Math.max(0, Number(input.value) / 100 || 0))));
    return input;
  };
  return el("fieldset", {}, el("legend", {}, title),
    el("div", { class: "row" }, bound("min", "at least"), "to", bound("max", "at most"), el("span", { class: "soft" }, "%")));
}

function methods(set) {
  const known = store.status?.methods ?? [];
  const select = el("select", { id: "method", onchange: () => set("method", select.value) },
    option("", "any", store.filters.method), ...known.map((name) => option(name, name, store.filters.method)));
  return el("label", {}, el("span", { class: "field-name" }, "Method"), select);
}

function option(value, label, chosen) {
  const node = el("option", { value }, label);
  node.selected = value === chosen;
  return node;
}
