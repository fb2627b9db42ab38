// What is on the page when it opens, and what a search makes of it.
const sought = () => ({
  words: byId("words").value.toLowerCase().split(/\s+/).filter(Boolean),
  model: byId("model").value, from: byId("from").value, to: byId("to").value,
});
const isSearch = ({ words, model, from, to }) => Boolean(words.length || model || from || to);
function fits(image, words) {
  image.text ??= `${option(image, "Prompt")} ${option(image, "Seed")} ${nameOf(image)}`.toLowerCase();
  return words.every((word) => image.text.includes(word));
}
const runFits = ({ facts }, { model, from, to }) => {
  const day = facts.started_at.slice(0, 10);
  return (!model || facts.model === model) && (!from || day >= from) && (!to || day <= to);
};
let latest = 0;
async function search() {
  const wanted = sought();
  const mine = latest += 1;
  const fitting = [...runs.values()].filter((run) => run.facts && runFits(run, wanted));
  if (overview) {
    const isOver = wanted.words.length > 0;
    byId("runs").hidden = isOver;
    if (!isOver) {
      show([]);
      drawRuns(fitting);
      byId("told").textContent = isSearch(wanted) ? `${plural(fitting.length, "run")} of ${runs.size}` : "";
      return;
    }
    for (const [at, run] of fitting.entries()) {
      if (run.images.length < run.facts.images) byId("told").textContent = `Searching run ${at + 1} of ${fitting.length} …`;
      await loadImages(run);
      if (mine !== latest) return;
    }
  }
  const found = fitting.flatMap((run) => wanted.words.length ? run.images.filter((image) => fits(image, wanted.words)) : run.images);
  show(found);
  byId("told").textContent = wanted.words.length ? (found.length ? `${plural(found.length, "image")} found` : "No image has these words in its prompt.") : "";
}
function drawRuns(fitting) {
  byId("runs").replaceChildren(...fitting.map((run) => {
    const { facts } = run;
    const some = facts.cover.slice(0, facts.cover.length === 5 ? 4 : 6);
    const cover = element("a", { class: `cover ${["", "one", "few", "", "few"][some.length] ?? ""}`, href: `${run.base}index.html`, tabindex: "-1", "aria-hidden": "true" });
    for (const index of some) cover.append(picture({ run, index, own: {}, shard: { folder: facts.below, common: { Prompt: "" } } }));
    const box = element("input", { type: "checkbox", "data-folder": run.name });
    box.checked = chosen.has(run);
    box.addEventListener("change", () => choose(run, box.checked));
    const more = [when(facts.started_at), facts.model, plural(facts.images, "image"), facts.usd === null ? "" : usd(facts.usd)].filter(Boolean).join(" · ");
    const link = element("a", { href: `${run.base}index.html`, text: facts.title || facts.run_id, dir: "auto" });
    return element("li", {}, cover, element("div", { class: "text" }, element("h2", {}, link), element("p", { class: "small", text: more }),
      element("p", { class: "small", text: facts.run_id }), element("label", {}, box, "Compare")));
  }));
}
async function start() {
  const { loads } = document.body.dataset;
  if (loads) await load(loads, "");
  if (overview) {
    runs.delete("");
    byId("title").textContent = "Your images";
    document.title = "Your images";
    byId("eyebrow").textContent = plural(runs.size, "run");
    byId("runs").hidden = false;
    const models = [...new Set([...runs.values()].map(({ facts }) => facts.model))].sort();
    byId("model").append(...models.map((text) => element("option", { value: text, text })));
    for (const field of document.querySelectorAll('[data-of="gallery"]')) field.hidden = false;
    byId("images").setAttribute("aria-label", "Images that were found");
    byId("chips").remove();
  } else {
    const run = byKey("");
    if (!run.facts) {
      byId("title").textContent = "This page has nothing to show yet";
      byId("note").textContent = "Its facts, page/run.js, are written when the run has ended. “sd gallery” brings what is there so far.";
      return;
    }
    showFacts(run.facts);
    await loadImages(run, () => { if (!isSearch(sought())) grow(run.images); });
  }
  byId("search").hidden = false;
  await search();
}
let waiting = 0;
byId("search").addEventListener("input", (event) => {
  if (event.target.id === "size") {
    byId("images").style.setProperty("--size", `${event.target.value}px`);
    sheet.refit();
    return;
  }
  clearTimeout(waiting);
  waiting = setTimeout(search, 120);
});
byId("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !byId("viewer").open && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    byId("words").focus();
  }
});
// A page that carries its data has it behind this script.
if (document.body.dataset.loads) start(); else addEventListener("DOMContentLoaded", start);
