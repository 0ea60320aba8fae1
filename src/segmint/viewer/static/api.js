// Everything that is asked of the server.

const by = (() => {
  const known = localStorage.getItem("segmint-by");
  if (known && /^[A-Za-z0-9_-]{1,40}$/.test(known)) return known;
  const made = Array.from(crypto.getRandomValues(new Uint8Array(8)), (b) => b.toString(16).padStart(2, "0")).join("");
  localStorage.setItem("segmint-by", made);
  return made;
})();

async function answer(response) {
  const type = response.headers.get("content-type") || "";
  const body = type.includes("json") ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Error(body.error || `the viewer answered ${response.status}`);
  return body;
}

export function address(path, parameters = {}) {
  const search = new URLSearchParams(parameters);
  return `/api/${path}${[...search].length ? `?${search}` : ""}`;
}

export async function get(path, parameters = {}, signal = undefined) {
  return answer(await fetch(address(path, parameters), { signal }));
}

async function post(path, body) {
  const headers = { "content-type": "application/json", "x-segmint": "1" };
  return answer(await fetch(address(path), { method: "POST", headers, body: JSON.stringify(body) }));
}

export const decide = (item, state) => post("decisions", { item, state, by });
export const decideTogether = (items, state, why) => post("decisions/together", { items, state, by, why });
export const undo = (imported = false) => post("undo", { by, imported });
export const itemPath = (id, what = "") => `item/${encodeURIComponent(id)}${what}`;
export const thumbnail = (id, maskSet, look, stamp) =>
  address(`thumbnail/${encodeURIComponent(id)}`, { mask_set: maskSet, look, v: stamp });
