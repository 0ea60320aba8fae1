// The page of one item: layers, classes, decision, reasons; with a second mask set beside it on demand.

import * as api from "./api.js";
import { $, dot, el, notice, percent } from "./dom.js";
import { correctionCard } from "./corrections.js";
import { count, loadAgreement, loadLabels, makeStack } from "./layers.js";
import { badges, colourOfObject, loadObjects, objectRows } from "./objects.js";
import { colourOf, decide, MEASURES, onDecision, store, undo } from "./store.js";

const DIFFERENT = [255, 0, 160];
const view = { opacity: 0.55, hidden: new Set([0]), why: sessionStorage.getItem("segmint-why") === "yes", parts: "classes" };
let shown = null;
let ticket = 0;

export const currentItem = () => shown?.id ?? null;

export function setUpItem() {
  onDecision((states) => {
    if (shown && shown.id in states) {
      shown.state = states[shown.id];
      showState();
    }
  });
}

export async function showItem(id, compare) {
  const mine = ++ticket;
  const page = $("page-item");
  try {
    const maskSet = store.maskSet;
    const detail = await api.get(api.itemPath(id), { mask_set: maskSet });
    if (mine !== ticket) return;
    const other = compare !== null && compare !== maskSet && detail.mask_sets.includes(compare) ? compare : null;
    shown = { id, detail, state: detail.state, maskSet, other, labels: null, agreement: null, otherLabels: null, objects: null, panes: [] };
    page.replaceChildren(head(), detail.problem ? el("p", { class: "warning", role: "alert" }, `This item cannot be shown whole: ${detail.problem}.`) : null ?? "", body());
    showState();
    if (!detail.problem) await loadLayers(mine);
    showWhy();
  } catch (error) {
    if (mine !== ticket) return;
    shown = null;
    page.replaceChildren(el("div", { class: "empty" }, el("h1", {}, "This item cannot be shown"), el("p", {}, error.message),
      el("p", {}, el("a", { href: "#/" }, "Back to all images"))));
  }
}

function head() {
  const { record } = shown.detail;
  return el("div", { class: "item-head" },
    el("div", { class: "text" }, el("h1", {}, record.id), el("p", { class: "prompt" }, record.prompt)),
    el("button", { type: "button", id: "previous", "data-step": "-1" }, "← Previous"),
    el("button", { type: "button", id: "next", "data-step": "1" }, "Next →"),
    el("a", { href: "#/" }, "All images"));
}

function body() {
  const panes = el("div", { class: "panes card", id: "panes" });
  const correction = correctionCard(shown, addressOf);
  const side = el("div", { class: "side" }, decisionCard(), ...(correction ? [correction] : []), layerCard(), factsCard());
  return el("div", {}, el("div", { class: "item-body" }, panes, side), whyCard());
}

function decisionCard() {
  const toggle = (state) => decide(shown.id, shown.state === state ? "undecided" : state);
  return el("div", { class: "card" },
    el("div", { class: "decide", role: "group", "aria-label": "Decision" },
      el("button", { type: "button", id: "keep", class: "keep", onclick: () => toggle("kept") }, "Keep ", el("kbd", {}, "k")),
      el("button", { type: "button", id: "reject", class: "reject", onclick: () => toggle("rejected") }, "Reject ", el("kbd", {}, "r")),
      el("button", { type: "button", id: "undo", class: "undo", onclick: undo }, "Undo the last decision ", el("kbd", {}, "u"))));
}

function showState() {
  const keep = $("keep");
  if (!keep) return;
  keep.setAttribute("aria-pressed", shown.state === "kept");
  $("reject").setAttribute("aria-pressed", shown.state === "rejected");
}

function layerCard() {
  const opacity = el("input", { type: "range", id: "opacity", min: 0, max: 100, value: 100 * view.opacity });
  const written = el("output", { for: "opacity" }, `${Math.round(100 * view.opacity)} %`);
  opacity.addEventListener("input", () => {
    view.opacity = Number(opacity.value) / 100;
    written.textContent = `${opacity.value} %`;
    paint();
  });
  const sets = shown.detail.mask_sets;
  const parts = [["classes", "Classes"], ["objects", "Objects"]].map(([value, label]) => el("label", {},
    el("input", { type: "radio", name: "parts", value, checked: view.parts === value, onchange: () => { view.parts = value; showParts(); } }), label));
  return el("div", { class: "card" },
    el("label", { class: "slider" }, "Opacity", opacity, written),
    el("div", { class: "segments", role: "radiogroup", "aria-label": "Colours tell" }, ...parts),
    el("div", { class: "toggles", id: "toggles", role: "group", "aria-label": "Labels shown" }),
    el("div", { id: "object-list", hidden: true }),
    sets.length > 1 ? compareField(sets) : null);
}

function compareField(sets) {
  const select = el("select", { id: "compare" }, el("option", { value: "-" }, "nothing"),
    ...sets.filter((name) => name !== shown.maskSet).map((name) => {
      const option = el("option", { value: `=${name}` }, name || "original masks");
      option.selected = shown.other === name;
      return option;
    }));
  select.addEventListener("change", () => { location.hash = addressOf(select.value === "-" ? null : select.value.slice(1)); });
  return el("label", { class: "inline" }, "Compare with", select);
}

function addressOf(compare) {
  const id = encodeURIComponent(shown.id);
  return compare === null ? `#/item/${id}` : `#/item/${id}?compare=${encodeURIComponent(compare)}`;
}

function factsCard() {
  const { record } = shown.detail;
  const facts = [
    ["Named", record.classes.join(", ")], ["Method", record.method], ["Uncertain", percent(record.uncertain_fraction)],
    ["Agreement", percent(record.agreement)], ...["presence", "consistency"].flatMap((name) => {
      const value = shown.detail.summary[name];
      return value === null ? [] : [[MEASURES[name].title, value.toFixed(3)]];
    }), ...(record.absent.length ? [["Not found", record.absent.join(", ")]] : []), ["Seed", String(record.seed)], ["Model", record.model], ["Licence", record.model_licence ?? "not recorded"],
    ["Size", `${record.width_px} × ${record.height_px} px`],
  ];
  return el("div", { class: "card" }, el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

async function loadLayers(mine) {
  const { id, maskSet, other, detail } = shown;
  const labels = await loadLabels(id, maskSet);
  const agreement = detail.has_agreement ? await loadAgreement(id, maskSet) : null;
  const otherLabels = other === null ? null : await loadLabels(id, other);
  if (mine !== ticket) return;
  Object.assign(shown, { labels, agreement, otherLabels });
  const panes = [pane(shown.maskSet || "Original masks", labels, "mask")];
  if (otherLabels) panes.push(pane(other || "Original masks", otherLabels, "mask"), pane(`Differences: ${percent(differing())} of the pixels`, labels, "difference"));
  shown.panes = panes;
  $("panes").replaceChildren(...panes.map((each) => each.node), el("p", { class: "readout", id: "readout" }, "Point at the image for the label under the cursor."));
  toggles();
  await showParts();
}

// Classes by their colours, or single objects by theirs, with a list of them.
async function showParts() {
  const mine = ticket;
  const objects = view.parts === "objects";
  try {
    if (objects && !shown.objects) shown.objects = await loadObjects(shown.id, shown.maskSet);
  } catch (error) {
    notice(error.message);
    view.parts = "classes";
    return;
  }
  if (mine !== ticket || !shown.labels) return;
  $("toggles").hidden = objects;
  $("object-list").hidden = !objects;
  for (const node of document.querySelectorAll(".badge")) node.remove();
  if (objects) {
    $("object-list").replaceChildren(...objectRows(shown.objects, light));
    shown.panes[0].node.querySelector(".stack").append(...badges(shown.objects));
  }
  paint();
}

function light(number) {
  shown.objects.lit = number;
  paint();
}

function pane(title, labels, kind) {
  const { stack, draw } = makeStack(shown.id, `${title}: ${shown.detail.record.prompt.slice(0, 200)}`, readOut);
  const heading = shown.otherLabels ? el("h2", {}, title) : null;
  return { node: el("div", { class: "pane" }, heading, stack), draw, labels, kind };
}

function nameOf(label) {
  if (label === 0) return "background";
  if (label === 255) return "uncertain";
  return store.run.classes.find((each) => each.id === label)?.name ?? `label ${label}`;
}

function toggles() {
  const total = shown.labels.values.length;
  const rows = new Map(count(shown.labels));
  if (shown.otherLabels) for (const [label] of count(shown.otherLabels)) if (!rows.has(label)) rows.set(label, 0);
  $("toggles").replaceChildren(...[...rows].map(([label, pixels]) => {
    const box = el("input", { type: "checkbox", checked: !view.hidden.has(label), onchange: () => {
      if (box.checked) view.hidden.delete(label); else view.hidden.add(label);
      paint();
    } });
    return el("label", {}, box, dot(colourOf(nameOf(label))), el("span", { class: "name" }, nameOf(label)), el("span", { class: "number" }, percent(pixels / total)));
  }));
}

function paint() {
  if (!shown?.labels) return;
  const colours = Array.from({ length: 256 }, (_, label) => view.hidden.has(label) ? null : [...colourOf(nameOf(label)), view.opacity]);
  const a = shown.labels.values;
  const b = shown.otherLabels?.values;
  const objects = view.parts === "objects" ? shown.objects : null;
  for (const [place, each] of shown.panes.entries()) {
    if (objects && place === 0) each.draw(objects.numbers, objectPaint(objects));
    else if (each.kind === "difference") each.draw(each.labels, (_, i) => (a[i] === b[i] ? [0, 0, 0, 0.25] : [...DIFFERENT, 0.85]));
    else each.draw(each.labels, (label) => colours[label]);
  }
}

function objectPaint({ objects, lit }) {
  const colours = [null, ...objects.map(({ number }) =>
    [...colourOfObject(number), lit && lit !== number ? 0.2 * view.opacity : Math.min(1, view.opacity + 0.15)])];
  return (number) => colours[number];
}

function differing() {
  const a = shown.labels.values;
  const b = shown.otherLabels.values;
  let different = 0;
  for (let i = 0; i < a.length; i += 1) different += a[i] !== b[i];
  return different / a.length;
}

function readOut(point) {
  const box = $("readout");
  if (!box) return;
  if (!point) { box.textContent = "Point at the image for the label under the cursor."; return; }
  const name = nameOf(shown.labels.values[point.position]);
  const parts = [dot(colourOf(name)), el("b", {}, name)];
  if (shown.otherLabels) parts.push("against", el("b", {}, nameOf(shown.otherLabels.values[point.position])));
  if (shown.agreement) parts.push(`agreement ${Math.round(shown.agreement.values[point.position] / 2.55)} %`);
  box.replaceChildren(...parts, `at ${point.x}, ${point.y}`);
}

function whyCard() {
  const box = el("details", { class: "why card", id: "why" }, el("summary", {}, "Why this mask"), el("div", { id: "stages" }));
  box.open = view.why;
  box.addEventListener("toggle", () => {
    view.why = box.open;
    sessionStorage.setItem("segmint-why", box.open ? "yes" : "no");
    showWhy();
  });
  return box;
}

async function showWhy() {
  const target = $("stages");
  if (!target || !view.why || target.dataset.item === shown.id) return;
  if (!shown.detail.has_features) {
    target.replaceChildren(el("p", { class: "soft" }, "This run kept no attention features. Mint with --keep-features to see every stage here."));
    return;
  }
  const mine = ticket;
  target.dataset.item = shown.id;
  target.replaceChildren(el("p", { class: "soft" }, "Making the mask again from the stored features …"));
  try {
    const stages = await api.get(api.itemPath(shown.id, "/stages"), { mask_set: shown.maskSet });
    if (mine !== ticket) return;
    const groups = Map.groupBy(stages, (stage) => stage.group);
    target.replaceChildren(...[...groups].map(([title, members]) =>
      el("div", { class: "stage-group" }, el("h3", {}, title), el("div", { class: "stage-row" }, ...members.map(figure)))));
  } catch (error) {
    if (mine === ticket) target.replaceChildren(el("p", { class: "warning" }, error.message));
  }
}

function figure(stage) {
  const source = api.address(api.itemPath(shown.id, `/stage/${stage.key}`), { mask_set: shown.maskSet });
  return el("figure", {}, el("img", { src: source, alt: `${stage.title}: ${stage.caption}`, loading: "lazy" }),
    el("figcaption", {}, stage.title, el("span", {}, stage.caption)));
}

export function itemKeys(event) {
  if (!shown) return false;
  if (event.key === "k") $("keep").click();
  else if (event.key === "r") $("reject").click();
  else if (event.key === "u") undo();
  else return false;
  return true;
}

export function reportMissing(text) {
  notice(text);
}
