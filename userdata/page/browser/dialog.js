// One image at its full size, with everything that is known of it.
let open = 0;

function openViewer(at) {
  view(at);
  byId("viewer").showModal();
}
function view(at) {
  open = Math.max(0, Math.min(at, shown.length - 1));
  const image = shown[open];
  const full = byId("full");
  byId("full-note").textContent = "";
  full.alt = String(option(image, "Prompt") ?? "");
  full.onerror = () => {
    full.onerror = null;
    full.src = thumbnailOf(image);
    byId("full-note").textContent = `This is the thumbnail: the image itself is not here. “sd gallery --full ${image.run.facts.run_id}” brings it.`;
  };
  full.src = fullOf(image);
  byId("viewer-title").textContent = `${nameOf(image)}: ${open + 1} of ${shown.length.toLocaleString("en")}`;
  byId("back").disabled = open === 0;
  byId("on").disabled = open === shown.length - 1;
  byId("details").replaceChildren(...details(image));
}
function details(image) {
  const { Prompt: prompt, NegativePrompt: negative, ...others } = optionsOf(image);
  const listed = element("dl");
  for (const [name, value] of Object.entries(others)) listed.append(element("dt", { text: spaced(name) }), element("dd", { text: String(value), dir: "auto" }));
  const made = element("dl");
  const facts = { Drawn: when(image.created_at), "Its time": length(image.seconds), On: image.device, Run: image.run.facts.run_id };
  for (const [name, value] of Object.entries(facts)) if (value) made.append(element("dt", { text: name }), element("dd", { text: value }));
  return [
    ...part("Prompt", "the prompt", () => String(prompt), element("p", { class: "text", text: String(prompt), dir: "auto" })),
    ...(negative ? part("Negative prompt", "the negative prompt", () => String(negative), element("p", { class: "text", text: String(negative), dir: "auto" })) : []),
    ...part("Options", "the options as JSON", () => JSON.stringify(optionsOf(image), null, 2), listed),
    ...part("Draw it again on the instance", "the command", () => commandOf(image), element("code", { class: "text", text: commandOf(image) })),
    ...part("Draw it here, and compare it bit for bit", "the command of the replay", () => replayOf(image), element("code", { class: "text", text: replayOf(image) })),
    element("div", { class: "head" }, element("h3", { text: "How it was made" })),
    made,
  ];
}
function part(heading, what, text, shown) {
  return [element("div", { class: "head" }, element("h3", { text: heading }), copyButton(what, text)), shown];
}
const move = (step) => { if (open + step >= 0 && open + step < shown.length) view(open + step); };
byId("back").addEventListener("click", () => move(-1));
byId("on").addEventListener("click", () => move(1));
byId("close").addEventListener("click", () => byId("viewer").close());
byId("viewer").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, Home: -open, End: shown.length - 1 - open }[event.key];
  if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  move(step);
});
byId("viewer").addEventListener("close", () => {
  byId("full").onerror = null;
  byId("full").removeAttribute("src");
  focusCard(open);
});
