// Two runs side by side: only what differs.
const chosen = new Set();

function choose(run, isChosen) {
  chosen[isChosen ? "add" : "delete"](run);
  const told = byId("compare");
  told.hidden = chosen.size === 0;
  if (chosen.size === 1) told.replaceChildren(element("p", { class: "note", text: "Choose another run to compare this one with." }));
  if (chosen.size > 2) {
    const [first] = chosen;
    chosen.delete(first);
    const box = byId("runs").querySelector(`input[data-folder="${CSS.escape(first.name)}"]`);
    if (box) box.checked = false; // a search may have left its run out
  }
  if (chosen.size === 2) compare(...chosen);
}
async function compare(one, other) {
  await Promise.all([one, other].map((run) => loadImages(run)));
  if (!chosen.has(one) || !chosen.has(other)) return;
  const rows = [...differences(one, other)].map(([name, ours, theirs]) => element("tr", {},
    element("th", { scope: "row", text: spaced(name) }), element("td", { text: ours, dir: "auto" }), element("td", { text: theirs, dir: "auto" })));
  const head = element("tr", {}, element("td"), ...[one, other].map((run) => element("th", { scope: "col", text: run.facts.run_id })));
  const close = element("button", { type: "button", text: "Close" });
  close.addEventListener("click", () => {
    for (const box of byId("runs").querySelectorAll("input:checked")) box.checked = false;
    chosen.clear();
    byId("compare").hidden = true;
    byId("words").focus();
  });
  byId("compare").replaceChildren(
    element("div", { class: "line" }, element("h2", { text: rows.length ? "What differs" : "Nothing differs but the images" }), close),
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  pairs(one, other);
  byId("compare").scrollIntoView({ block: "nearest" });
}
// The images of the same numbers, beside each other.
function pairs(one, other) {
  const theirs = new Map(other.images.map((image) => [image.index, image]));
  const both = one.images.filter((image) => theirs.has(image.index)).map((image) => [image, theirs.get(image.index)]);
  const list = element("div", { class: "blocks pairs", role: "list", "aria-label": "The same images of both runs" });
  const pair = (images) => element("div", { role: "listitem" }, ...images.map((image) => {
    const link = element("a", { class: "card", href: fullOf(image) }, picture(image, "eager"));
    link.style.setProperty("--ratio", ratioOf(image));
    return link;
  }));
  const height = (images, width) => width / 2 / Math.min(...images.map(ratioOf));
  byId("compare").append(list);
  inBlocks(list, pair, height).show(both);
}
function* differences(one, other) {
  const [ours, theirs] = [summary(one), summary(other)];
  for (const name of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const [left, right] = [ours[name] ?? "–", theirs[name] ?? "–"];
    if (left !== right) yield [name, left, right];
  }
}
// Each option of a run, and what it took: a value that all its images share, or the values.
function summary(run) {
  const values = {};
  for (const image of run.images) {
    for (const [name, value] of Object.entries(optionsOf(image))) (values[name] ??= new Set()).add(String(value));
  }
  const told = Object.fromEntries(Object.entries(values).map(([name, found]) => {
    const some = [...found].slice(0, 6).join(", ");
    return [name, found.size > 6 ? `${some} and ${found.size - 6} more` : some];
  }));
  const { facts } = run;
  return { ...told, Images: String(facts.images), Machine: facts.machine || "–", Cost: facts.usd === null ? "–" : usd(facts.usd),
    Device: [...new Set(run.images.map((image) => image.device))].join(", ") || "–" };
}
