// Building and changing elements. Data only ever becomes text: nothing here takes markup.

/// An element with properties, `data-`/`aria-` attributes and children (elements or texts).
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

/// Sets the text if it is another: an unchanged page costs no layout.
export function setText(node, text) {
  const shown = String(text);
  if (node.textContent !== shown) node.textContent = shown;
}

/// Sets or removes (null) an attribute if it is another.
export function setAttribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/// Shows one field of the status document: `path` says which, `data-value` keeps it exactly.
export function setField(node, path, value, shown) {
  setAttribute(node, "data-field", path);
  setAttribute(node, "data-value", value === null || value === undefined ? "" : value);
  setText(node, shown);
}

const kept = new WeakMap();

/// Makes the children of `parent` those of `items`, in their order; each is made once and then changed.
export function keyed(parent, items, keyOf, make, change) {
  const before = kept.get(parent) ?? new Map();
  const now = new Map();
  let next = parent.firstChild;
  items.forEach((item, index) => {
    const key = keyOf(item, index);
    const node = before.get(key) ?? make(item);
    now.set(key, node);
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
    change(node, item, index);
  });
  for (const [key, node] of before) if (!now.has(key)) node.remove();
  kept.set(parent, now);
}

/// Fills a list of names and figures: `[{name, path, value, shown, level}]`.
export function figures(list, items) {
  const make = () => el("div", {}, el("dt"), el("dd"));
  keyed(list, items, (item) => item.name, make, (node, item) => {
    const [name, figure] = node.children;
    setText(name, item.name);
    setAttribute(node, "data-level", item.level ?? null);
    setAttribute(node, "title", item.title ?? null);
    if (item.path) setField(figure, item.path, item.value, item.shown);
    else setText(figure, item.shown);
  });
}
