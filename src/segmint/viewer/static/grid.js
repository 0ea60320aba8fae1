// A grid of any length: only the tiles in sight exist, and items come in pages of a frozen order.

import * as api from "./api.js";
import { $, dot, el, notice, number, percent } from "./dom.js";
import { colourOf, decide, listing, MEASURES, onDecision, store, undo } from "./store.js";

const PAGE = 100;
const PAGES_HELD = 40;
const CAPTION_PX = 48;
const OVERSCAN_ROWS = 2;

const pages = new Map();
const tiles = new Map();
let asked = new Set();
let generation = 0;
let columns = 1;
let rowHeight = 200;
let queued = false;
let open = () => {};

export function setUpGrid(openItem) {
  open = openItem;
  const scroller = $("scroller");
  scroller.addEventListener("scroll", draw, { passive: true });
  new ResizeObserver(draw).observe(scroller);
  const size = $("tile-size");
  size.value = localStorage.getItem("segmint-tile") || size.value;
  size.addEventListener("input", () => {
    localStorage.setItem("segmint-tile", size.value);
    const first = Math.floor(scroller.scrollTop / rowHeight) * columns;
    layOut();
    scroller.scrollTop = Math.floor(first / columns) * rowHeight;
    draw();
  });
  $("sheet").addEventListener("keydown", keys);
  onDecision((states) => {
    for (const page of pages.values()) for (const item of page) if (item.id in states) item.state = states[item.id];
    for (const tile of tiles.values()) if (tile.item && tile.item.id in states) fill(tile, tile.item);
  });
}

// Ask anew: `keepPlace` for a run that grew, else from the top.
export async function reload(keepPlace = false) {
  const mine = ++generation;
  const offset = keepPlace ? Math.floor(firstVisible() / PAGE) * PAGE : 0;
  try {
    const page = await api.get("items", { ...listing(), offset, limit: PAGE });
    if (mine !== generation) return;
    pages.clear();
    asked = new Set();
    accept(page);
    if (!keepPlace) {
      $("scroller").scrollTop = 0;
      store.current = 0;
    }
    for (const tile of tiles.values()) tile.item = null;
    draw();
  } catch (error) {
    notice(error.message);
  }
}

function accept(page) {
  store.order = page.order;
  store.total = page.total;
  pages.set(page.offset / PAGE, page.items);
  while (pages.size > PAGES_HELD) pages.delete(pages.keys().next().value);
  $("count").textContent = page.total === 1 ? "1 image" : `${number(page.total)} images`;
}

async function load(index) {
  if (asked.has(index)) return;
  asked.add(index);
  const mine = generation;
  try {
    const page = await api.get("items", { ...listing(), offset: index * PAGE, limit: PAGE, order: store.order });
    if (mine !== generation) return;
    accept(page);
    draw();
  } catch (error) {
    notice(error.message);
  }
  asked.delete(index);
}

export function itemAt(position) {
  return pages.get(Math.floor(position / PAGE))?.[position % PAGE] ?? null;
}

export async function fetchAt(position) {
  if (position < 0 || position >= store.total) return null;
  if (!itemAt(position)) await load(Math.floor(position / PAGE));
  return itemAt(position);
}

export function positionOf(id) {
  for (const [index, page] of pages) {
    const at = page.findIndex((item) => item.id === id);
    if (at >= 0) return index * PAGE + at;
  }
  return -1;
}

function layOut() {
  const width = $("scroller").clientWidth - 32;
  columns = Math.max(1, Math.round(width / Number($("tile-size").value)));
  const side = width / columns;
  rowHeight = side + CAPTION_PX - 10;
  $("sheet").style.height = `${Math.ceil(store.total / columns) * rowHeight + 16}px`;
  return side;
}

const firstVisible = () => Math.floor($("scroller").scrollTop / rowHeight) * columns;

export function draw() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => {
    queued = false;
    drawNow();
  });
}

function drawNow() {
  const scroller = $("scroller");
  if (!scroller.clientWidth) return;
  const side = layOut();
  const top = Math.floor(scroller.scrollTop / rowHeight) - OVERSCAN_ROWS;
  const rows = Math.ceil(scroller.clientHeight / rowHeight) + 2 * OVERSCAN_ROWS;
  const first = Math.max(0, top * columns);
  const last = Math.min(store.total, (top + rows + 1) * columns);
  const free = [];
  for (const [position, tile] of tiles) {
    if (position >= first && position < last) continue;
    if (tile.cell.contains(document.activeElement)) continue;
    tiles.delete(position);
    free.push(tile);
  }
  const wanted = new Set();
  for (let position = first; position < last; position += 1) {
    const item = itemAt(position);
    if (!item) wanted.add(Math.floor(position / PAGE));
    let tile = tiles.get(position);
    if (!tile) {
      tile = free.pop() ?? makeTile();
      tiles.set(position, tile);
      tile.item = undefined;
    }
    place(tile, position, side);
    if (tile.item !== item) fill(tile, item);
  }
  for (const tile of free) tile.cell.remove();
  for (const [position, tile] of tiles) if (position >= store.total) { tile.cell.remove(); tiles.delete(position); }
  for (const index of wanted) load(index);
  $("sheet").classList.toggle("empty", store.total === 0);
}

function makeTile() {
  const image = el("img", { alt: "", decoding: "async", draggable: "false" });
  const mark = el("span", { class: "mark" });
  const corrected = el("span", { class: "mark corrected" }, "corrected");
  const prompt = el("span", { class: "prompt" });
  const facts = el("span", { class: "facts" });
  const button = el("button", { type: "button", class: "tile", tabindex: "-1" },
    el("span", { class: "frame" }, image), el("span", { class: "words" }, prompt, facts), mark, corrected);
  const cell = el("div", { class: "cell", role: "listitem" }, button);
  const tile = { cell, button, image, mark, corrected, prompt, facts, item: undefined, position: 0 };
  button.addEventListener("click", () => { if (tile.item) { select(tile.position, false); open(tile.item.id, tile.position); } });
  button.addEventListener("focus", () => select(tile.position, false));
  $("sheet").append(cell);
  return tile;
}

function place(tile, position, side) {
  tile.position = position;
  const row = Math.floor(position / columns);
  tile.cell.style.transform = `translate(${(position % columns) * side}px, ${row * rowHeight}px)`;
  tile.cell.style.width = `${side}px`;
  tile.cell.style.height = `${rowHeight}px`;
  tile.cell.setAttribute("aria-setsize", store.total);
  tile.cell.setAttribute("aria-posinset", position + 1);
  tile.button.tabIndex = position === store.current ? 0 : -1;
  tile.button.dataset.current = position === store.current ? "yes" : "no";
}

function fill(tile, item) {
  tile.item = item;
  tile.button.classList.toggle("waiting", !item);
  tile.image.hidden = !item;
  tile.button.dataset.state = item?.state ?? "";
  tile.button.dataset.item = item?.id ?? "";
  tile.mark.textContent = { kept: "kept", rejected: "rejected" }[item?.state] ?? "";
  tile.mark.hidden = !tile.mark.textContent;
  tile.corrected.hidden = !item?.corrected;
  tile.prompt.textContent = item ? item.problem ?? item.prompt : "";
  tile.facts.replaceChildren();
  if (!item) return;
  const source = api.thumbnail(item.id, store.maskSet, store.filters.look, item.stamp);
  if (tile.image.getAttribute("src") !== source) tile.image.src = source;
  const names = Object.keys(item.areas);
  tile.button.title = item.prompt;
  tile.button.setAttribute("aria-label",
    `${item.id}, ${item.state}: ${item.prompt.slice(0, 120)}. Shows ${names.join(", ") || "no class"}; ${percent(item.uncertain)} uncertain`);
  tile.facts.append(...names.slice(0, 8).map((name) => dot(colourOf(name))), el("span", { class: "share" }, measured(item)));
}

// The number that the grid is sorted by, so that one sees where the good ones begin.
function measured(item) {
  const by = store.filters.sort in MEASURES ? store.filters.sort : "uncertain";
  const value = item[by];
  if (by === "uncertain") return `${percent(value, 0)} uncertain`;
  return `${MEASURES[by].title.toLowerCase()} ${value === null ? "–" : Number.isInteger(value) ? value : value.toFixed(3)}`;
}

export function select(position, focus = true) {
  store.current = Math.max(0, Math.min(position, store.total - 1));
  for (const tile of tiles.values()) {
    tile.button.tabIndex = tile.position === store.current ? 0 : -1;
    tile.button.dataset.current = tile.position === store.current ? "yes" : "no";
  }
  if (!focus) return;
  const scroller = $("scroller");
  const top = Math.floor(store.current / columns) * rowHeight;
  if (top < scroller.scrollTop) scroller.scrollTop = top;
  else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + rowHeight - scroller.clientHeight;
  drawNow();
  tiles.get(store.current)?.button.focus({ preventScroll: true });
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const pageRows = Math.max(1, Math.floor($("scroller").clientHeight / rowHeight));
  const moves = {
    ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
    PageUp: -columns * pageRows, PageDown: columns * pageRows, Home: -store.total, End: store.total,
  };
  if (event.key in moves) {
    event.preventDefault();
    select(store.current + moves[event.key]);
    return;
  }
  const item = itemAt(store.current);
  if (event.key === "k" && item) decide(item.id, item.state === "kept" ? "undecided" : "kept");
  else if (event.key === "r" && item) decide(item.id, item.state === "rejected" ? "undecided" : "rejected");
  else if (event.key === "u") undo();
}
