// The contact sheet: as many cards as one has scrolled to, PAGE more each time.
const PAGE = 200;
let shown = [];
let drawn = 0;

function show(images) {
  shown = images;
  drawn = 0;
  byId("images").replaceChildren();
  drawMore();
}
// Shards arrive in their order: what they add comes behind what is drawn already.
function grow(images) {
  shown = images;
  if (drawn < PAGE) drawMore();
}
function drawMore() {
  const some = document.createDocumentFragment();
  const until = Math.min(shown.length, drawn + PAGE - (drawn % PAGE));
  for (; drawn < until; drawn += 1) some.append(card(shown[drawn], drawn));
  byId("images").append(some);
}
function card(image, at) {
  const prompt = String(option(image, "Prompt") ?? "");
  const img = picture(image);
  const caption = element("span", { class: "caption", "aria-hidden": "true" },
    element("span", { text: prompt, dir: "auto" }), element("span", { text: `Seed ${option(image, "Seed")}` }));
  const link = element("a", { class: "card", href: fullOf(image), tabindex: at ? "-1" : "0" }, img, caption);
  link.dataset.at = at;
  if (image.flagged) link.append(element("span", { class: "flag", text: "Flagged" }));
  const item = element("li", {}, link);
  item.style.setProperty("--ratio", ratioOf(image));
  return item;
}
// The thumbnail, else the image itself, for a page whose thumbnails are not there.
function picture(image) {
  const img = element("img", { alt: String(option(image, "Prompt") ?? ""), loading: "lazy", decoding: "async" });
  img.addEventListener("error", () => { img.src = fullOf(image); }, { once: true });
  img.src = thumbnailOf(image);
  return img;
}
function focusCard(at) {
  while (at >= drawn && drawn < shown.length) drawMore();
  const cards = byId("images").querySelectorAll(".card");
  const next = cards[Math.max(0, Math.min(at, cards.length - 1))];
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
  const columns = getComputedStyle(byId("images")).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -Infinity, End: Infinity }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  focusCard(Math.max(0, Math.min(shown.length - 1, Number(link.dataset.at) + step)));
});
new IntersectionObserver((seen) => {
  if (seen.some((one) => one.isIntersecting)) drawMore();
}, { rootMargin: "1500px" }).observe(byId("more"));
