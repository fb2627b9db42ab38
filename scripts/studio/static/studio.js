// What htmx does not do: keeps what was typed, takes arriving images, fills the form from an image, holds the machine.
"use strict";

const one = (selector) => document.querySelector(selector);
const form = one("#form");
const announce = (text) => { one("#announced").textContent = text; };

// What was typed outlives a reload, and a studio that was ended and started again.
const KEPT = "sd-studio-form";
function keep() {
  const values = [...new FormData(form)].filter(([, value]) => typeof value === "string");
  sessionStorage.setItem(KEPT, JSON.stringify(values));
}
function fill(values) {
  if (!form) { // a grid or a run alone: the form is on the studio's page
    const before = JSON.parse(sessionStorage.getItem(KEPT) || "[]");
    sessionStorage.setItem(KEPT, JSON.stringify([...new Map([...before, ...values])]));
    location.href = "/";
    return;
  }
  for (const [name, value] of values) {
    const field = form.elements[name];
    if (field) field.value = value;
  }
  showStart();
  document.body.dispatchEvent(new Event("filled"));
  keep();
}
if (form) {
  const kept = sessionStorage.getItem(KEPT);
  if (kept) fill(JSON.parse(kept));
  form.addEventListener("input", keep);
  form.addEventListener("change", keep);
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const inPrompt = event.target === form.elements.Prompt && (event.ctrlKey || event.metaKey);
    if (event.repeat) { // a key that is held is one press: each press draws other images, which cost money
      if (inPrompt || event.target.localName !== "textarea") event.preventDefault();
    } else if (inPrompt) one("#draw").click(); // which does nothing until the press before it is answered
  });
}

// An image's values in the place of all that was typed, but for the prompt of who asks for no more than a seed.
function useAll(values) {
  if (!form) {
    sessionStorage.removeItem(KEPT);
    fill(Object.entries(values));
    return;
  }
  const fields = [...form.elements].filter((field) => field.name && !["X", "Xs", "Y", "Ys", "Quality"].includes(field.name));
  form.elements.Quality.value = "good";
  fill([...fields.map((field) => [field.name, ""]), ...Object.entries(values)]);
}
function showStart() {
  const key = form && form.elements.InitImage.value;
  const place = one("#start-image");
  if (!place) return;
  place.hidden = !key;
  const shown = key && key.match(/^runs\/([^/]+)\/(?:txt|img)2img-samples\/samples\/(\d{5})\.png$/);
  place.querySelector("span").textContent = key
    ? `Starts from ${shown ? "this image" : key}${form.elements.InitMask.value ? ", within the mask" : ""}.` : "";
  const image = place.querySelector("img");
  image.hidden = !shown;
  if (shown) image.src = `/runs/${shown[1]}/images/${Number(shown[2])}.png`;
}
if (form) form.elements.InitImage.addEventListener("input", showStart);

// Everything that a button does here and not on the server.
const DOES = {
  "use-all": (at) => { useAll(at.values); done("All options are those of the image."); },
  "use-prompt": (at) => {
    fill([["Prompt", at.values.Prompt], ["NegativePrompt", at.values.NegativePrompt || ""]]);
    done("The prompt is the image's.");
  },
  "use-seed": (at) => { fill([["Seed", at.values.Seed]]); done("The seed is the image's."); },
  "upscale": (at) => { useAll({ ...at.values, Upscale: "2" }); done("Twice as large: look at the price, then draw."); },
  "start-from": (at) => {
    fill([["Prompt", at.values.Prompt], ["InitImage", at.key], ["InitMask", ""], ["Height", ""], ["Width", ""], ["Upscale", ""]]);
    done("Starts from the image: say what is to become of it.");
  },
  "inpaint": (at) => { one("#details").close(); window.paintMask(at); },
  "forget-image": () => { fill([["InitImage", ""], ["InitMask", ""]]); done("Starts from noise."); },
  "close": (at, button) => button.closest("dialog").close(),
};
function done(text) {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  if (!form) return;
  one("#options").open = Boolean(form.elements.Upscale.value) || one("#options").open;
  form.elements.Prompt.focus();
  announce(text);
}
window.studio = { DOES, fill, done, announce };

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.copy) {
    navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = "Copied"; });
  }
  const act = DOES[button.dataset.do];
  if (!act) return;
  const place = button.closest("[data-values]");
  act(place ? { values: JSON.parse(place.dataset.values), key: place.dataset.key, image: place.dataset.image } : null, button);
});

// A dialog at the side: what is typed stays where it is.
document.addEventListener("htmx:afterSwap", (event) => {
  const opener = event.detail.requestConfig && event.detail.requestConfig.elt;
  const opens = opener && opener.dataset.opens;
  if (opens) {
    const dialog = document.getElementById(opens);
    if (!dialog.open) dialog.showModal();
  }
});
document.addEventListener("htmx:afterSettle", () => {
  for (const sentence of document.querySelectorAll("#form .field .refusal")) {
    const field = sentence.closest(".field").querySelector("[name]");
    if (sentence.textContent) field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    const hidden = sentence.textContent && sentence.closest("details");
    if (hidden) hidden.open = true;
  }
  dropDoubles(); // before anything is painted, because htmx settles at once here (defaultSettleDelay)
  follow();
});
// A run that is asked for again is on the page already; and one may have appeared before the answer to its press.
function dropDoubles() {
  const seen = new Set([...document.querySelectorAll("td[data-run]")].map((cell) => `run-${cell.dataset.run}`));
  for (const run of document.querySelectorAll("#runs article[id], #runs .kept")) {
    if (seen.has(run.id)) {
      run.remove();
      followed = null; // the images that it had are told again
    }
    seen.add(run.id);
  }
  if (one("#runs article")) one("#runs > .nothing")?.remove();
  for (const tell of early.splice(0)) tell(); // a card may have come by the answer to a press, too
}
for (const name of ["htmx:sendError", "htmx:timeout"]) document.addEventListener(name, () => isAway(true));
// A studio that was started again does not know this page's cookie: that is told where its end is told.
const isRefused = (event) => event.detail.xhr.status === 403 && Boolean(one("#away"));
document.addEventListener("htmx:beforeSwap", (event) => { if (isRefused(event)) event.detail.shouldSwap = false; });
document.addEventListener("htmx:afterOnLoad", (event) => isAway(isRefused(event)));
// A run that nobody drew any more goes on with the instance that was started for it.
document.addEventListener("htmx:afterRequest", (event) => {
  const [, run] = event.detail.pathInfo.requestPath.match(/^\/runs\/([^/]+)\/start$/) || [];
  if (!run || !event.detail.successful) return;
  for (const place of document.querySelectorAll(`[data-run="${CSS.escape(run)}"]`)) delete place.dataset.over;
  follow();
});
function isAway(away) { if (one("#away")) one("#away").hidden = !away; }

// Images as they arrive, for the runs that are not over.
let stream = null;
let followed = null; // the runs that the stream tells of, some of which may be over
const early = []; // what was told of a run while its card was still on its way
document.addEventListener("visibilitychange", () => { // nobody looks: nothing is asked of AWS
  if (document.hidden && stream) { stream.close(); isAway(false); } else follow();
});
function follow() {
  if (document.hidden) return;
  const all = new Set([...document.querySelectorAll("[data-run]:not([data-over])")].map((run) => run.dataset.run));
  const runs = [...all].slice(0, 50); // as many as a stream takes: one that is over makes room
  // A new stream takes the runs that are there for known, so that one that appears meanwhile would be missed.
  if (stream && followed && runs.every((run) => followed.has(run)) && stream.readyState !== EventSource.CLOSED) return;
  if (stream) stream.close();
  followed = new Set(runs);
  stream = new EventSource(`/events?${runs.map((run) => `run=${encodeURIComponent(run)}`).join("&")}`);
  stream.addEventListener("machine", (event) => {
    swap("machine", event.data);
    document.body.dispatchEvent(new Event("filled")); // a price holds for the machine as it was
  });
  stream.addEventListener("known", catchUp);
  stream.addEventListener("appeared", (event) => {
    followed?.add(event.data);
    appear(event.data);
  });
  stream.addEventListener("kept", (event) => { // what was pressed before the local cloud was there
    const { id } = parsed(event.data);
    swap(id, event.data);
    const place = document.getElementById(id);
    const sent = place?.querySelector("[data-run]");
    if (sent) {
      // It may have appeared already, without what the press is told.
      const appeared = one(`#runs > article[data-run="${CSS.escape(sent.dataset.run)}"]`);
      if (appeared) { appeared.remove(); followed = null; }
      place.replaceWith(...place.childNodes); // each stream tells it anew, as it was when it was sent
    }
    dropDoubles();
    follow();
  });
  stream.addEventListener("image", (event) => arrive(event.data));
  stream.addEventListener("run", (event) => goOn(event.data));
  stream.onerror = () => { // by itself it would come back for the runs that it began with
    isAway(true);
    stream.close();
    setTimeout(follow, 3000);
  };
  stream.onopen = () => isAway(false);
}
function goOn(html) {
  const doing = parsed(html);
  if (!document.getElementById(doing.id)) early.push(() => goOn(html));
  swap(doing.id, html);
  if ("over" in doing.dataset) {
    for (const run of document.querySelectorAll(`[data-run="${CSS.escape(doing.dataset.of)}"]`)) run.dataset.over = "";
    follow();
  }
}
async function appear(run) {
  const isHere = () => document.querySelector(`[data-run="${CSS.escape(run)}"]`);
  if (!one("#runs") || isHere()) return;
  const [card] = await cards(`/runs/${encodeURIComponent(run)}`);
  if (!card || isHere()) return;
  one("#runs").prepend(card);
  htmx.process(card);
  dropDoubles();
  follow();
}
// A stream tells of the runs that appear while it is there: what has appeared before it, while the page was hidden or
// the studio away, is put where it belongs.
async function catchUp() {
  if (!one("#runs")) return;
  let older = null;
  for (const card of (await cards("/runs")).reverse()) {
    const before = document.querySelector(`[data-run="${CSS.escape(card.dataset.run)}"]`);
    if (!before) {
      one("#runs").insertBefore(card, older);
      htmx.process(card);
    }
    older = before ? before.closest("#runs > *") : card;
  }
  dropDoubles();
  follow();
}
// The runs that are shown at an address; none where it cannot be reached, which the next stream makes good.
async function cards(address) {
  try {
    const answer = await fetch(address, { headers: { "HX-Request": "true" } });
    const template = document.createElement("template");
    if (answer.ok) template.innerHTML = await answer.text();
    return [...template.content.querySelectorAll("article[data-run]")];
  } catch { return []; }
}
function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}
function swap(id, html) {
  const before = document.getElementById(id);
  if (!before) return;
  const focused = before.contains(document.activeElement) ? document.activeElement.textContent : null;
  const after = parsed(html);
  before.replaceWith(after);
  htmx.process(after);
  // A person who was about to press a button in it finds it as it was.
  if (focused !== null) [...after.querySelectorAll("button")].find((one) => one.textContent === focused)?.focus();
}
function arrive(html) {
  const picture = parsed(html);
  const list = document.getElementById(`images-${picture.dataset.in}`);
  if (!list) early.push(() => arrive(html));
  if (!list || document.getElementById(picture.id)) return;
  picture.classList.add("new");
  list.append(picture);
  htmx.process(picture);
  announce(`${picture.querySelector("img").alt} has arrived.`);
}
if (one("#machine") || one("[data-run]")) follow();

// A dropped file: what it was made from.
async function restore(file) {
  const told = one("#drop-told");
  const sent = new FormData();
  sent.append("file", file);
  try {
    const answer = await (await post("/restore", sent)).json();
    if (answer.error) { told.textContent = answer.error; return; }
    useAll(answer.values);
    told.textContent = `${file.name}: what it was made from is in the form.`;
  } catch { isAway(true); }
}
async function startFrom(file) {
  const told = one("#drop-told");
  const answer = await window.studio.upload("InitImage", file);
  told.textContent = answer.error || answer.told.join(" ");
  if (answer.key) fill([["InitImage", answer.key], ["InitMask", ""], ["Height", ""], ["Width", ""]]);
}
const post = (address, body) => fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
window.studio.upload = async (parameter, file) => {
  const sent = new FormData();
  sent.append("parameter", parameter);
  sent.append("file", file);
  try { return await (await post("/inputs", sent)).json(); } catch { isAway(true); return { error: "The studio has ended." }; }
};
const drop = one("#drop");
if (drop) {
  one("#dropped").addEventListener("change", (event) => { if (event.target.files[0]) restore(event.target.files[0]); });
  one("#own-image").addEventListener("change", (event) => { if (event.target.files[0]) startFrom(event.target.files[0]); });
  document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (event.dataTransfer.files[0]) restore(event.dataTransfer.files[0]);
  });
}

// The machine stays up while somebody uses the page, and not merely because it is open somewhere.
let usedAt = 0;
for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, () => { usedAt = Date.now(); }, true);
setInterval(() => {
  if (!document.hidden && Date.now() - usedAt < 5 * 60_000) stayUp();
}, 60_000);
async function stayUp() {
  try {
    const { told, error } = await (await post("/awake")).json();
    if (one("#kept") && (told || error)) one("#kept").textContent = told || error;
  } catch { isAway(true); }
}
