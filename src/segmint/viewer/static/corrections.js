// Masks that were corrected elsewhere and imported: where they stand, beside what was minted, and how to take them back.

import { $, el, number } from "./dom.js";
import { store, undo } from "./store.js";

const words = (count) => (count === 1 ? "1 mask" : `${number(count)} masks`);

// Above the grid: what was imported last. `show` turns to the corrected images.
export function showCorrections(corrections, show) {
  const box = $("corrections");
  box.hidden = !corrections;
  if (!corrections) return;
  box.replaceChildren(
    el("span", {}, `${words(corrections.items)} came back corrected, as the mask set “${corrections.masks}”. Exports, reports and trainings take them.`),
    el("button", { type: "button", id: "show-corrected", onclick: () => show(corrections.masks) }, "Show the changed"),
    el("button", { type: "button", id: "undo-import", onclick: () => undo(true) }, "Undo the import"));
}

// On an item's page: that its mask was changed, and a way to lay the minted one beside it.
export function correctionCard(shown, addressOf) {
  const corrected = shown.detail.corrected_in;
  if (corrected === null) return null;
  const other = shown.maskSet === corrected ? "" : corrected;
  const beside = shown.maskSet === corrected ? "Lay the minted mask beside it" : "Lay the corrected mask beside it";
  return el("div", { class: "card correction" },
    el("h2", {}, "Corrected by hand"),
    el("p", { class: "soft" }, shown.maskSet === corrected ? "This is the corrected mask; the minted one is kept." : "This is the minted mask; a corrected one stands for it."),
    el("a", { id: "beside", href: addressOf(shown.other === other ? null : other) }, shown.other === other ? "One mask alone" : beside),
    store.status.corrections ? el("button", { type: "button", onclick: () => undo(true) }, `Undo the import of ${words(store.status.corrections.items)}`) : null);
}
