// The statistics page. Its figures come as markup from the server's templates, which escape every text.

import * as api from "./api.js";
import { $, el, notice, number } from "./dom.js";
import { store } from "./store.js";

let timer = 0;

export function showStatistics() {
  const rejected = el("input", { type: "checkbox", id: "with-rejected", onchange: refresh });
  $("page-statistics").replaceChildren(
    el("div", { class: "statistics-head" }, el("h1", {}, "Statistics"), el("label", { class: "inline" }, rejected, "count rejected images too"),
      el("span", { id: "reading", class: "soft", role: "status" })),
    el("div", { id: "figures", class: "figures" }),
  );
  refresh();
}

export function leaveStatistics() {
  clearTimeout(timer);
}

async function refresh() {
  clearTimeout(timer);
  try {
    const page = await api.get("statistics", { mask_set: store.maskSet, rejected: $("with-rejected").checked });
    const parsed = new DOMParser().parseFromString(page.html, "text/html");
    $("figures").replaceChildren(...parsed.body.childNodes);
    const rest = page.total - page.done;
    $("reading").textContent = rest > 0 ? `reading masks: ${number(page.done)} of ${number(page.total)}` : "";
    if (rest > 0) timer = setTimeout(refresh, page.done ? 1500 : 400);
  } catch (error) {
    notice(error.message);
  }
}
