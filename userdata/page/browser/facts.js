// The run: its title, where its time went, how busy the GPU was, and its receipt.
const SVG = "http://www.w3.org/2000/svg";
const TINTS = ["#8a3ffc", "#0b7285", "#c2255c", "#e8850c", "#2f9e44", "#4263eb", "#868e96", "#a61e4d"];

function showFacts(facts) {
  document.title = `${facts.title || facts.run_id} – images`;
  byId("eyebrow").textContent = facts.run_id;
  byId("title").textContent = facts.title || facts.run_id;
  byId("title").classList.toggle("long", facts.title.length > 70);
  const total = facts.phases.reduce((sum, one) => sum + one.seconds, 0);
  const chips = [plural(facts.images, "image"), facts.model, when(facts.started_at), facts.machine,
    total ? length(total) : "", facts.usd === null ? "" : `${facts.at_most ? "at most " : ""}${usd(facts.usd)}`];
  byId("chips").replaceChildren(...chips.filter(Boolean).map((text) => element("li", { text })));
  const panels = [times(facts.phases, total), work(facts), plot(facts.gpu), receipt(facts)].filter(Boolean);
  byId("panels").replaceChildren(...panels);
  byId("how").hidden = !panels.length;
}
function panel(heading, ...parts) {
  return element("section", {}, element("h2", { text: heading }), ...parts);
}
function times(phases, total) {
  if (!total) return null;
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  const rows = element("tbody");
  for (const [at, one] of phases.entries()) {
    const tint = TINTS[at % TINTS.length];
    const piece = element("span");
    piece.style.setProperty("--tint", tint);
    piece.style.setProperty("--part", one.seconds);
    bar.append(piece);
    const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.setProperty("--tint", tint);
    rows.append(element("tr", {}, element("th", { scope: "row" }, swatch, one.phase), element("td", { class: "number", text: length(one.seconds) })));
  }
  return panel(`${length(total)} in all`, bar, element("table", {}, rows));
}
// Of a batch: its machines' time.
function work(facts) {
  if (!facts.ended) return null;
  const rows = { Began: when(facts.began), "Last image": when(facts.ended), "Work, all machines": length(facts.work_seconds) };
  const heading = facts.images_per_hour === null ? "Its machines" : `${Math.round(facts.images_per_hour).toLocaleString("en")} images an hour`;
  return panel(heading, element("table", {}, element("tbody", {}, ...Object.entries(rows).map(([name, text]) =>
    element("tr", {}, element("th", { scope: "row", text: name }), element("td", { class: "number", text }))))));
}
function receipt(facts) {
  if (facts.usd === null) return null;
  const rows = element("tbody");
  for (const one of facts.receipt) {
    rows.append(element("tr", {}, element("th", { scope: "row", text: one.item }),
      element("td", { text: `${Number(one.quantity.toPrecision(3))} ${one.unit}` }), element("td", { class: "number", text: usd(one.usd) })));
  }
  const each = facts.images ? `, ${usd(facts.usd / facts.images)} an image` : "";
  return panel(`${facts.at_most ? "At most " : ""}${usd(facts.usd)}${each}`, element("table", {}, rows));
}
function svg(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function plot(points) {
  const busy = points.filter((one) => one[1] !== null);
  if (busy.length < 2) return null;
  const [wide, high, left] = [360, 130, 34];
  const last = points.at(-1)[0] || 1;
  const most = Math.max(...points.map((one) => one[2] ?? 0));
  const x = (seconds) => (left + (seconds / last) * (wide - left)).toFixed(1);
  const y = (part) => (high - part * (high - 8)).toFixed(1);
  const mean = busy.reduce((sum, one) => sum + one[1], 0) / busy.length;
  const told = `The GPU was busy ${Math.round(mean)} % of ${length(last)}${most ? `, with up to ${(most / 1024).toFixed(1)} GiB of memory` : ""}`;
  const drawing = svg("svg", { viewBox: `0 0 ${wide} ${high + 18}`, role: "img", "aria-label": told });
  for (const percent of [0, 50, 100]) {
    drawing.append(svg("line", { class: "rule", x1: left, x2: wide, y1: y(percent / 100), y2: y(percent / 100) }),
      svg("text", { x: left - 5, y: Number(y(percent / 100)) + 4, "text-anchor": "end" }, `${percent} %`));
  }
  const line = busy.map((one) => `${x(one[0])},${y(Math.min(one[1], 100) / 100)}`).join(" ");
  drawing.append(svg("polygon", { class: "busy", points: `${x(busy[0][0])},${y(0)} ${line} ${x(busy.at(-1)[0])},${y(0)}` }));
  if (most) drawing.append(svg("polyline", { class: "memory", points: points.filter((one) => one[2] !== null).map((one) => `${x(one[0])},${y(one[2] / most)}`).join(" ") }));
  drawing.append(svg("text", { x: left, y: high + 15 }, "0 s"), svg("text", { x: wide, y: high + 15, "text-anchor": "end" }, length(last)));
  const legend = element("p", { class: "note", text: most ? "Filled: busy. Dashed: memory, of the most that was used." : "Filled: busy." });
  return panel(`${told}.`, drawing, legend);
}
