// Pages, keys that work everywhere, and the pulse that notices a run that grows.

import * as api from "./api.js";
import { $, el, notice, number, typing } from "./dom.js";
import { showCorrections } from "./corrections.js";
import { duplicatesKeys, leaveDuplicates, setUpDuplicates, showDuplicates } from "./duplicates.js";
import { buildFilters, showCounts } from "./filters.js";
import { draw, fetchAt, positionOf, reload, select, setUpGrid } from "./grid.js";
import { currentItem, itemKeys, setUpItem, showItem } from "./item.js";
import { leaveStatistics, showStatistics } from "./statistics.js";
import { DEFAULTS, store } from "./store.js";

const PULSE_MS = 2000;
const PAGES = ["grid", "item", "duplicates", "statistics"];
const openItem = (id) => { location.hash = `#/item/${encodeURIComponent(id)}`; };

function route() {
  const [path, search] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean);
  if (parts[0] === "item" && parts[1]) {
    let id = parts[1];
    try { id = decodeURIComponent(parts[1]); } catch { /* shown as it is */ }
    return { page: "item", id, compare: new URLSearchParams(search ?? "").get("compare") };
  }
  return { page: PAGES.includes(parts[0]) ? parts[0] : "grid" };
}

function turn() {
  const there = route();
  for (const page of PAGES) $(`page-${page}`).hidden = page !== there.page;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === there.page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  leaveStatistics();
  leaveDuplicates();
  const run = store.run.name;
  if (there.page === "item") {
    document.title = `${there.id} · ${run} · segmint`;
    const position = positionOf(there.id);
    if (position >= 0) store.current = position;
    showItem(there.id, there.compare);
  } else if (there.page === "statistics") {
    document.title = `Statistics · ${run} · segmint`;
    showStatistics();
  } else if (there.page === "duplicates") {
    document.title = `Duplicates · ${run} · segmint`;
    showDuplicates();
  } else {
    document.title = `${run} · segmint`;
    draw();
    if (currentItem()) requestAnimationFrame(() => select(store.current));
  }
}

async function step(by) {
  const item = await fetchAt(store.current + by);
  if (!item) { notice(by > 0 ? "this is the last image" : "this is the first image"); return; }
  store.current += by;
  const { compare } = route();
  location.replace(`#/item/${encodeURIComponent(item.id)}${compare === null ? "" : `?compare=${encodeURIComponent(compare)}`}`);
}

function keys(event) {
  if (typing(event)) return;
  if (event.key === "/") { event.preventDefault(); location.hash = "#/"; setTimeout(() => $("search").focus()); return; }
  if (route().page === "duplicates") duplicatesKeys(event);
  if (route().page !== "item") return;
  const onSlider = event.target instanceof HTMLInputElement && event.target.type === "range";
  if (event.key === "ArrowLeft" && !onSlider) step(-1);
  else if (event.key === "ArrowRight" && !onSlider) step(1);
  else if (event.key === "Escape") location.hash = "#/";
  else itemKeys(event);
}

async function pulse() {
  if (!document.hidden) {
    try {
      const status = await api.get("status", { mask_set: store.maskSet });
      const before = store.status;
      store.status = status;
      showStatus(status);
      const grew = before && before.version !== status.version;
      const decided = status.decisions !== store.decisions;
      store.decisions = status.decisions;
      if (grew || decided) await reload(true);
      if (before && before.methods.join() !== status.methods.join()) buildFilters($("filters"), () => reload());
      if (JSON.stringify(before?.corrections) !== JSON.stringify(status.corrections)) await follow(before?.corrections, status);
      if (before && before.mask_sets.join() !== status.mask_sets.join()) showMaskSets(status.mask_sets);
    } catch (error) {
      $("live").textContent = "the viewer does not answer";
      $("live").dataset.live = "no";
    }
  }
  setTimeout(pulse, PULSE_MS);
}

// Corrections that came stand for what was minted; those that were taken back no longer do.
async function follow(before, status) {
  const now = status.corrections?.masks ?? "";
  if (now ? await covers(now, status.items) : store.maskSet === before?.masks) await turnTo(now);
  showMaskSets(status.mask_sets);
  showCorrections(status.corrections, (masks) => {
    Object.assign(store.filters, DEFAULTS, { method: "corrected" });
    location.hash = "#/";
    turnTo(masks).then(() => { buildFilters($("filters"), () => reload()); showCounts(store.status); });
  });
}

async function covers(maskSet, items) {
  return (await api.get("status", { mask_set: maskSet })).items >= items;
}

async function turnTo(maskSet) {
  store.maskSet = maskSet;
  store.status = await api.get("status", { mask_set: maskSet });
  showMaskSets(store.status.mask_sets);
  showStatus(store.status);
  await reload();
  turn();
}

function showStatus(status) {
  const missing = status.planned - status.items - status.failed;
  const parts = [`${number(status.items)} of ${number(Math.max(status.planned, status.items))} images`];
  if (status.failed) parts.push(`${number(status.failed)} failed`);
  $("live").textContent = missing > 0 || status.failed ? parts.join(" · ") : `${number(status.items)} images`;
  $("live").dataset.live = missing > 0 ? "yes" : "no";
  showCounts(status);
}

function showMaskSets(names) {
  $("mask-set-field").hidden = names.length < 2;
  $("mask-set").replaceChildren(...names.map((name) => {
    const option = el("option", { value: name }, name || "original");
    option.selected = name === store.maskSet;
    return option;
  }));
}

async function start() {
  store.run = await api.get("run");
  store.status = await api.get("status");
  store.decisions = store.status.decisions;
  $("run-name").textContent = store.run.name;
  showMaskSets(store.run.mask_sets);
  $("mask-set").addEventListener("change", () => turnTo($("mask-set").value));
  buildFilters($("filters"), () => reload());
  showStatus(store.status);
  setUpGrid((id, position) => { store.current = position; openItem(id); });
  setUpItem();
  setUpDuplicates();
  $("page-item").addEventListener("click", (event) => {
    const by = event.target.closest?.("[data-step]")?.dataset.step;
    if (by) step(Number(by));
  });
  document.addEventListener("keydown", keys);
  addEventListener("hashchange", turn);
  await reload();
  turn();
  await follow(null, store.status);
  setTimeout(pulse, PULSE_MS);
}

start().catch((error) => {
  $("main").replaceChildren(el("div", { class: "empty" }, el("h1", {}, "The viewer cannot start"), el("p", {}, error.message)));
});
