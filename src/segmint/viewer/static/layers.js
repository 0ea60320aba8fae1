// One image with its labels over it, drawn in the browser: opacity and classes change at once.

import * as api from "./api.js";
import { el } from "./dom.js";

const UNCERTAIN = 255;

async function pixels(address, wide = false) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const values = new (wide ? Uint16Array : Uint8Array)(canvas.width * canvas.height);
  for (let i = 0; i < values.length; i += 1) values[i] = wide ? data[4 * i] + 256 * data[4 * i + 1] : data[4 * i];
  return { values, width: canvas.width, height: canvas.height };
}

export async function loadLabels(id, maskSet) {
  return pixels(api.address(api.itemPath(id, "/labels"), { mask_set: maskSet }));
}

export async function loadNumbers(id, maskSet) {
  return pixels(api.address(api.itemPath(id, "/numbers"), { mask_set: maskSet }), true);
}

export async function loadAgreement(id, maskSet) {
  return pixels(api.address(api.itemPath(id, "/agreement"), { mask_set: maskSet }));
}

// A stack of the image and a canvas. `paint(label, position)` gives [r, g, b, alpha 0–1] or null.
export function makeStack(id, title, onPoint) {
  const image = el("img", { alt: title, src: api.address(api.itemPath(id, "/image")) });
  const canvas = el("canvas", { "aria-hidden": "true" });
  const stack = el("div", { class: "stack" }, image, canvas);
  let size = { width: 1, height: 1 };
  stack.addEventListener("mousemove", (event) => {
    const box = stack.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * size.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * size.height);
    if (x >= 0 && y >= 0 && x < size.width && y < size.height) onPoint({ x, y, position: y * size.width + x });
  });
  stack.addEventListener("mouseleave", () => onPoint(null));
  const draw = (labels, paint) => {
    size = labels;
    canvas.width = labels.width;
    canvas.height = labels.height;
    const context = canvas.getContext("2d");
    const layer = context.createImageData(labels.width, labels.height);
    for (let i = 0; i < labels.values.length; i += 1) {
      const colour = paint(labels.values[i], i);
      if (!colour) continue;
      layer.data[4 * i] = colour[0];
      layer.data[4 * i + 1] = colour[1];
      layer.data[4 * i + 2] = colour[2];
      layer.data[4 * i + 3] = 255 * colour[3];
    }
    context.putImageData(layer, 0, 0);
  };
  return { stack, draw };
}

export function count(labels) {
  const counts = new Map();
  for (const label of labels.values) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => (a === UNCERTAIN) - (b === UNCERTAIN) || a - b);
}
