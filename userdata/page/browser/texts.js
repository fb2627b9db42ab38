// Words for people: numbers, times, elements with text, the clipboard, and the command that draws an image again.
function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}
const byId = (id) => document.getElementById(id);
const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const usd = (amount) => `$${amount < 0.1 ? amount.toFixed(4) : amount.toFixed(2)}`;
function length(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
const when = (text) => /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? `${text.slice(0, 10)} ${text.slice(11, 16)} UTC` : text;
const spaced = (name) => name.replace(/(?<=[a-z])(?=[A-Z])/g, " ").replace(/ [A-Z]/g, (found) => found.toLowerCase());

// One word of a shell's command. Characters that act on a terminal, or hide, are spelled out, since a line that is pasted
// is typed: an unseen Ctrl-U would take the quotation mark away.
function quoted(text) {
  if (/^[\w.,:/@%+=-]+$/.test(text)) return text;
  if (!/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)) return `'${text.replaceAll("'", "'\\''")}'`;
  const spelled = text.replace(/['\\]/g, "\\$&").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (mark) => {
    const code = mark.codePointAt(0);
    if (mark === "\n") return "\\n";
    if (code < 0x80) return `\\${code.toString(8).padStart(3, "0")}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  return `$'${spelled}'`;
}
const kebab = (name) => name.replace(/(?<!^)(?=[A-Z])/g, "-").toLowerCase();
function commandOf(image) {
  const { Prompt: prompt, ...others } = optionsOf(image);
  const words = Object.entries(others).map(([name, value]) => `--${kebab(name)}=${quoted(String(value))}`);
  const ending = ["--iterations=1", "--samples=1"];
  const text = quoted(String(prompt));
  return ["sd generate", ...(/^\$?'?-/.test(text) ? [...words, ...ending, "--", text] : [text, ...words, ...ending])].join(" ");
}
const replayOf = (image) => `sd replay ${quoted(`results/${image.run.facts.run_id}/${fileOf(image)}`)}`;

async function copy(text, button) {
  let copied = false;
  try {
    await navigator.clipboard.writeText(text);
    copied = true;
  } catch { // by file:// there may be no clipboard, or no permission for it
    const field = element("textarea", { readonly: "", "aria-hidden": "true" });
    field.value = text;
    button.after(field);
    field.select();
    copied = document.execCommand("copy");
    field.remove();
    button.focus();
  }
  const before = button.dataset.says;
  button.textContent = copied ? "Copied" : "Not copied";
  setTimeout(() => { button.textContent = before; }, 1500);
}
function copyButton(what, text) {
  const button = element("button", { type: "button", text: "Copy", "data-says": "Copy", "aria-label": `Copy ${what}`, "aria-live": "polite" });
  button.addEventListener("click", () => { button.removeAttribute("aria-label"); copy(text(), button).then(() => setTimeout(() => button.setAttribute("aria-label", `Copy ${what}`), 1600)); });
  return button;
}
