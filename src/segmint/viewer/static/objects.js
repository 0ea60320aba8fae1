// Objects of a mask: their colours, a list of them, and their numbers over the image.

import * as api from "./api.js";
import { el, percent } from "./dom.js";
import { loadNumbers } from "./layers.js";

const GOLDEN = 0.381966;

export async function loadObjects(id, maskSet) {
  const [told, numbers] = await Promise.all([
    api.get(api.itemPath(id, "/objects"), { mask_set: maskSet }), loadNumbers(id, maskSet),
  ]);
  return { ...told, numbers, lit: 0 };
}

// Hues far apart, in two calm lightnesses, as the explanations have them.
export function colourOfObject(number) {
  const hue = (0.58 + number * GOLDEN) % 1;
  const light = number % 2 ? 0.58 : 0.46;
  const a = 0.62 * Math.min(light, 1 - light);
  return [0, 8, 4].map((n) => {
    const k = (n + hue * 12) % 12;
    return Math.round(255 * (light - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}

export function objectRows(found, light) {
  const rows = found.objects.map((each) => {
    const swatch = el("span", { class: "number-swatch" }, String(each.number));
    swatch.style.background = `rgb(${colourOfObject(each.number).join(" ")})`;
    return el("li", { tabindex: 0, "data-object": each.number,
      onmouseenter: () => light(each.number), onmouseleave: () => light(0), onfocus: () => light(each.number), onblur: () => light(0) },
    swatch, el("span", { class: "name" }, each.class), el("span", { class: "number" }, `${each.pixels.toLocaleString("en")} px · ${percent(each.area)}`));
  });
  const specks = found.dropped === 1 ? "1 speck" : `${found.dropped} specks`;
  return [
    rows.length ? el("ol", { class: "objects", "aria-label": "Objects" }, ...rows) : el("p", { class: "soft" }, "No object."),
    found.dropped ? el("p", { class: "soft small" }, `${specks} under ${percent(found.least)} of the image left out, as exports do.`) : null,
  ].filter(Boolean);
}

export function badges(found) {
  return found.objects.map((each) => {
    const badge = el("span", { class: "badge", "aria-hidden": "true" }, String(each.number));
    badge.style.left = `${100 * each.x}%`;
    badge.style.top = `${100 * each.y}%`;
    return badge;
  });
}
