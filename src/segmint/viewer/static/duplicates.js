// Pairs of images that look alike, side by side: the nearest first, and beyond the distance those that nearly are.

import * as api from "./api.js";
import { $, el, notice, number } from "./dom.js";
import { decide, decideTogether, onDecision, undo } from "./store.js";

const BY = [["hash", "By picture"], ["features", "By features"]];
const STEP = { hash: 1, features: 0.01 };
const chosen = { by: sessionStorage.getItem("segmint-alike") || "hash", distance: { hash: null, features: null } };
let timer = 0;
let asked = 0;
let duplicates = [];
const states = new Map();

export function setUpDuplicates() {
  onDecision((changed) => {
    for (const [id, state] of Object.entries(changed)) states.set(id, state);
    showStates();
  });
}

export function showDuplicates() {
  const radios = BY.map(([value, label]) => el("label", {},
    el("input", { type: "radio", name: "alike-by", value, checked: chosen.by === value, onchange: () => {
      chosen.by = value;
      sessionStorage.setItem("segmint-alike", value);
      refresh();
    } }), label));
  const slider = el("input", { type: "range", id: "distance", min: 0, "aria-label": "Distance within which two images are alike" });
  slider.addEventListener("input", () => {
    chosen.distance[chosen.by] = Number(slider.value);
    showDistance(Number(slider.value));
    clearTimeout(timer);
    timer = setTimeout(refresh, 150);
  });
  $("page-duplicates").replaceChildren(
    el("div", { class: "duplicates-head" }, el("h1", {}, "Duplicates"),
      el("div", { class: "segments", role: "radiogroup", "aria-label": "Compare" }, ...radios),
      el("label", { class: "slider" }, "Alike within", slider, el("output", { id: "distance-text", for: "distance" })),
      el("button", { type: "button", id: "reject-all", disabled: true, onclick: rejectAll }, "Reject")),
    el("p", { id: "alike-count", class: "soft", role: "status" }, "Reading …"),
    el("div", { id: "alike" }));
  refresh();
}

export function leaveDuplicates() {
  clearTimeout(timer);
  asked += 1;
}

async function refresh() {
  clearTimeout(timer);
  const mine = ++asked;
  const distance = chosen.distance[chosen.by];
  try {
    const page = await api.get("alike", { by: chosen.by, ...(distance === null ? {} : { distance }) });
    if (mine === asked) show(page);
  } catch (error) {
    if (mine === asked) notice(error.message);
  }
}

function show(page) {
  const slider = $("distance");
  Object.assign(slider, { max: page.most, step: STEP[chosen.by], value: page.distance });
  showDistance(page.distance);
  duplicates = page.duplicates;
  states.clear();
  for (const pair of [...page.taken, ...page.left]) for (const item of pair.items) states.set(item.id, item.state);
  $("alike").replaceChildren(
    el("h2", {}, "Alike"), el("div", { class: "pairs" }, ...page.taken.map(card)),
    el("h2", {}, "Not alike, the nearest first"), el("div", { class: "pairs beyond" }, ...page.left.map(card)));
  $("alike").hidden = !page.taken.length && !page.left.length;
  $("alike-count").textContent = told(page);
  showStates();
  if (page.done < page.total) timer = setTimeout(refresh, page.done ? 1500 : 400);
}

function told(page) {
  if (page.done < page.total) return `reading images: ${number(page.done)} of ${number(page.total)}`;
  if (page.without === page.total) return "No item has its features: compare by picture, or mint with --keep-features.";
  const count = page.duplicates.length;
  const found = count === 1 ? "1 image looks" : `${number(count)} images look`;
  const shown = count > page.taken.length ? ` (the nearest ${page.taken.length} are shown)` : "";
  const without = page.without ? `; ${number(page.without)} without features are not compared` : "";
  return `${found} like another of ${number(page.total)}${shown}${without}. Of each pair the left one has the higher agreement.`;
}

function showDistance(value) {
  $("distance-text").textContent = chosen.by === "hash" ? `${value} of 63 bits` : value.toFixed(2);
}

function card(pair) {
  const distance = chosen.by === "hash" ? `${pair.distance} bits` : pair.distance.toFixed(3);
  return el("figure", { class: "pair card" }, ...pair.items.map(half), el("figcaption", {}, distance));
}

function half(item) {
  const toggle = () => decide(item.id, states.get(item.id) === "rejected" ? "undecided" : "rejected");
  return el("div", { class: "half", "data-item": item.id },
    el("a", { href: `#/item/${encodeURIComponent(item.id)}`, title: item.prompt },
      el("img", { src: api.thumbnail(item.id, "", "image", item.stamp), alt: `${item.id}: ${item.prompt.slice(0, 120)}`, loading: "lazy" })),
    el("p", { class: "prompt" }, item.prompt),
    el("button", { type: "button", class: "reject", onclick: toggle, "aria-label": `Reject ${item.id}` }, "Reject"));
}

function showStates() {
  for (const node of document.querySelectorAll("#alike .half")) {
    const state = states.get(node.dataset.item);
    node.dataset.state = state;
    const button = node.querySelector("button");
    button.setAttribute("aria-pressed", state === "rejected");
    button.textContent = state === "rejected" ? "Rejected" : "Reject";
  }
  const all = $("reject-all");
  if (!all) return;
  const left = open();
  all.disabled = !left.length;
  all.textContent = left.length ? `Reject the right image of ${number(left.length)}` : "Reject the right images";
}

const open = () => duplicates.filter((id) => states.get(id) !== "rejected").slice(0, 500);

function rejectAll() {
  const distance = $("distance-text").textContent;
  decideTogether(open(), "rejected", `duplicates within ${distance} by ${chosen.by}, in the viewer`);
}

export function duplicatesKeys(event) {
  if (event.key === "u") undo();
}
