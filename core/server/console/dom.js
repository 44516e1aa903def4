// Elements without a framework: text goes in as text, so nothing that a client named itself becomes markup.

const SVG = "http://www.w3.org/2000/svg";

/** `h("button.primary", { type: "button", onclick }, "Go")`; children are nodes, text, or nothing. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElement(tag), attributes, classes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  return fill(document.createElementNS(SVG, tag), attributes, classes, children);
}

function fill(element, attributes, classes, children) {
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
}

/** Takes everything out and puts these in. */
export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/** Sets text only when it differs: what has not changed is not announced, repainted or unselected. */
export function say(element, text) {
  const value = text ?? "";
  if (element.textContent !== value) element.textContent = value;
}

/** Tells screen readers, politely. */
export function announce(text) {
  say(document.getElementById("live"), text);
}

/** Asks before something that cannot be taken back; resolves to a boolean. The focus returns by itself. */
export function ask(title, text, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** A labelled field. */
export function field(label, control, hint) {
  const id = control.id;
  const noteId = hint && `${id}-hint`;
  if (hint) control.setAttribute("aria-describedby", noteId);
  return h("div.field", {}, h("label", { for: id }, label), control, hint && h("p.hint", { id: noteId }, hint));
}

export const heading = (title, note) =>
  h("div.heading", {}, h("h1", { tabindex: "-1" }, title), note && h("p.note", {}, note));
