// The contact sheet.
let shown = [];
const sheet = inBlocks(byId("images"), card, (image, width) => width / ratioOf(image));

function show(images) {
  shown = images;
  sheet.show(images);
}
// Shards arrive in their order: what they add comes behind what is drawn already.
function grow(images) {
  shown = images;
  sheet.grow(images);
}
function card(image, at) {
  const prompt = String(option(image, "Prompt") ?? "");
  const img = picture(image, "eager"); // made only when one scrolls near it
  const caption = element("span", { class: "caption", "aria-hidden": "true" },
    element("span", { text: prompt, dir: "auto" }), element("span", { text: `Seed ${option(image, "Seed")}` }));
  const link = element("a", { class: "card", href: fullOf(image), tabindex: at ? "-1" : "0" }, img, caption);
  link.dataset.at = at;
  if (image.flagged) link.append(element("span", { class: "flag", text: "Flagged" }));
  const item = element("div", { role: "listitem" }, link);
  item.style.setProperty("--ratio", ratioOf(image));
  return item;
}
// The thumbnail, else the image itself, for a page whose thumbnails are not there.
function picture(image, loading = "lazy") {
  const img = element("img", { alt: String(option(image, "Prompt") ?? ""), loading, decoding: "async" });
  img.addEventListener("error", () => { img.src = fullOf(image); }, { once: true });
  img.src = thumbnailOf(image);
  return img;
}
function focusCard(at) {
  const next = sheet.itemAt(Math.max(0, Math.min(at, shown.length - 1)));
  if (!next) return;
  for (const one of byId("images").querySelectorAll('.card[tabindex="0"]')) one.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
byId("images").addEventListener("click", (event) => {
  const link = event.target.closest(".card");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  openViewer(Number(link.dataset.at));
});
byId("images").addEventListener("keydown", (event) => {
  const link = event.target.closest(".card");
  if (!link || event.altKey || event.ctrlKey || event.metaKey) return;
  const columns = columnsOf(byId("images"));
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -Infinity, End: Infinity }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  focusCard(Math.max(0, Math.min(shown.length - 1, Number(link.dataset.at) + step)));
});
