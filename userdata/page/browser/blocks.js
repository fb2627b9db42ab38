// A long list in blocks of whole rows. The items of a block are made when one scrolls near it, and until then it is as
// high as it will be. So thousands cost what is seen: no image is watched alone, and no far one is laid out.
const FEWEST = 60;

// `list` is a grid with as many columns as fit. `make(item, at)` makes an item, `heightOf(item, width)` is its height.
function inBlocks(list, make, heightOf) {
  const near = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting) fill(one.target);
  }, { rootMargin: "1500px" });
  let items = [];
  let columns = 1;
  let width = 0;
  const length = () => columns * Math.ceil(FEWEST / columns);

  function fill(block) {
    near.unobserve(block);
    const from = Number(block.dataset.from);
    const there = block.childElementCount;
    block.append(...items.slice(from + there, from + length()).map((item, at) => make(item, from + there + at)));
    block.style.minHeight = "";
  }
  function measure(block) {
    const from = Number(block.dataset.from);
    const gap = parseFloat(getComputedStyle(list).rowGap) || 0;
    const rows = Math.ceil(Math.min(length(), items.length - from) / columns);
    const height = `${rows * (heightOf(items[from], (width - (columns - 1) * gap) / columns) + gap) - gap}px`;
    block.style.containIntrinsicBlockSize = `auto ${height}`;
    if (!block.childElementCount) block.style.minHeight = height;
  }
  // Blocks for the items that have none yet; the last one may have room.
  function grow(all) {
    items = all;
    const last = list.lastElementChild;
    if (!last) fit();
    if (last?.childElementCount) fill(last);
    if (last) measure(last);
    for (let from = list.childElementCount * length(); from < items.length; from += length()) {
      const block = element("div", { class: "block", role: "presentation", "data-from": from });
      list.append(block);
      measure(block);
      near.observe(block);
    }
    if (!last && list.firstElementChild) fill(list.firstElementChild);
  }
  function show(all) {
    // What is on the page already, as after the last shard, keeps its place and the focus.
    if (list.childElementCount && all.length === items.length && all.every((one, at) => one === items[at])) return;
    build(all);
  }
  function build(all) {
    near.disconnect();
    list.replaceChildren();
    grow(all);
  }
  function fit() {
    width = list.clientWidth;
    columns = columnsOf(list);
    list.style.setProperty("--columns", columns);
  }
  // After a change of the width, or of the size of the cards: the place that one sees stays, and what has the focus.
  function refit() {
    if (!list.clientWidth || !items.length) return; // it is hidden, or gone
    if (list.clientWidth === width && columnsOf(list) === columns) return;
    const top = list.getBoundingClientRect().top;
    const part = top < 0 ? -top / list.offsetHeight : 0;
    const at = list.contains(document.activeElement) ? document.activeElement.dataset.at : undefined;
    build(items);
    if (part) scrollTo(0, scrollY + list.getBoundingClientRect().top + part * list.offsetHeight);
    if (at !== undefined) itemAt(Number(at))?.focus({ preventScroll: true });
  }
  // What carries `data-at` in the item of that number, which is made if it is not there.
  function itemAt(at) {
    const block = list.children[Math.floor(at / length())];
    if (block) fill(block);
    return list.querySelector(`[data-at="${at}"]`);
  }
  new ResizeObserver(refit).observe(list);
  addEventListener("beforeprint", () => { for (const block of list.children) fill(block); });
  return { show, grow, refit, itemAt };
}
const columnsOf = (list) => getComputedStyle(list).gridTemplateColumns.split(" ").length;
