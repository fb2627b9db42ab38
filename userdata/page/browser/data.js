"use strict";
// What the page knows: runs, and the images that their shards have told so far. Texts of people are only ever given to
// `textContent` and to attributes that are no code.
const runs = new Map();
const byKey = (name) => runs.get(name) ?? runs.set(name, { name, base: name && `${encodeURIComponent(name)}/`, images: [], facts: null }).get(name);
const ofScript = () => byKey(document.currentScript?.dataset.run ?? "");
// Called by the scripts beside the page.
globalThis.run = (facts) => { ofScript().facts = facts; };
globalThis.gallery = (data) => { for (const one of data.runs) byKey(one.folder).facts = one; overview = data; };
globalThis.links = (data) => { ofScript().links = data.images; };
globalThis.names = (data) => { ofScript().names = data.images; };
globalThis.add = (shard) => {
  const run = ofScript();
  for (const image of shard.images) run.images.push(Object.assign(image, { run, shard }));
};
let overview = null;

const policy = globalThis.trustedTypes?.createPolicy("shards", { createScriptURL: (address) => address }) ?? { createScriptURL: (address) => address };
// A script beside the page; whether it was there. Scripts run in the order in which they were asked for.
function load(address, name) {
  return new Promise((done) => {
    const script = document.createElement("script");
    script.async = false;
    script.dataset.run = name;
    script.onload = () => done(true);
    script.onerror = () => done(false);
    script.src = policy.createScriptURL(address);
    document.head.append(script);
  });
}
// All images of a run, each shard once; `arrived` hears of each shard. First the names that a batch's images may have on
// a computer. A page that carries its data has nothing to load.
function loadImages(run, arrived = () => {}) {
  const { shards } = run.facts;
  run.loading ??= Promise.all([
    ...shards.slice(0, 1).map(() => load(`${run.base}page/names.js`, run.name)),
    ...shards.map((name) => load(`${run.base}page/shards/${encodeURIComponent(name)}.js`, run.name).then((there) => { if (there) arrived(); })),
  ]).then(() => { run.images = [...run.images].sort((a, b) => a.index - b.index); });
  return run.loading;
}

const option = (image, name) => image.own[name] ?? image.shard.common[name];
const optionsOf = (image) => ({ ...image.shard.common, ...image.own });
const digits = (image) => String(image.index).padStart(5, "0");
const nameOf = (image) => `${image.run.names?.[image.index] ?? digits(image)}.png`;
const fileOf = (image) => `${image.shard.folder}/samples/${nameOf(image)}`;
const fullOf = (image) => image.run.links?.[image.index]?.[0] ?? `${image.run.base}${fileOf(image).split("/").map(encodeURIComponent).join("/")}`;
const thumbnailOf = (image) => image.run.links?.[image.index]?.[1] ?? `${image.run.base}page/thumbnails/${digits(image)}.webp`;
function ratioOf(image) {
  const ratio = Number(option(image, "Width")) / Number(option(image, "Height"));
  return ratio > 0.2 && ratio < 5 ? ratio : 1;
}
