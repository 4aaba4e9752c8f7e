// A table that is sorted by its heads and filtered by a text, with the rows in sight only: thousands cost what thirty do.

import { el, setAttribute, setField, setText } from "./dom.js";

// As in app.css.
const ROW_PX = 28;
const ROWS_BEYOND = 10;

export class Table {
  #columns;
  #rows = [];
  #shown = [];
  #sort;
  #filter = "";
  #heads;
  #body = el("tbody");
  #above = spacer();
  #below = spacer();
  #table;
  #scroll;
  #count;
  #pool = [];

  /// `columns`: `{key, label, value(row), shown(row), path(row), level(row), isText}`; `sort`: `[key, isDescending]`.
  constructor({ id, label, columns, sort, filterLabel }) {
    this.#columns = columns;
    this.#sort = sort;
    this.#heads = columns.map((column) => this.#head(column));
    this.#table = el("table", { "aria-label": label }, el("thead", {}, el("tr", {}, ...this.#heads)), this.#body);
    this.#scroll = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${label}, scrollable`, onscroll: () => this.#draw() }, this.#table);
    this.#count = el("span", { class: "muted", role: "status" });
    this.element = el("div", { class: "table", id });
    if (filterLabel) this.element.append(el("div", { class: "tools" }, this.#search(filterLabel), this.#count));
    this.element.append(this.#scroll);
    new ResizeObserver(() => this.#draw()).observe(this.#scroll);
    this.#mark();
  }

  /// Shows these rows.
  show(rows) {
    this.#rows = rows;
    this.#arrange();
  }

  #search(label) {
    const onInput = (event) => {
      this.#filter = event.target.value.trim().toLowerCase();
      this.#scroll.scrollTop = 0;
      this.#arrange();
    };
    return el("label", {}, `${label} `, el("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: onInput }));
  }

  #head(column) {
    const onClick = () => {
      const [key, isDescending] = this.#sort;
      // Figures are looked at from the largest on, texts from A on.
      this.#sort = key === column.key ? [key, !isDescending] : [column.key, !column.isText];
      this.#mark();
      this.#arrange();
    };
    const button = el("button", { type: "button", onclick: onClick }, column.label, el("span", { "aria-hidden": "true", class: "sort" }));
    return el("th", { scope: "col", class: column.isText ? "text" : null }, button);
  }

  #mark() {
    const [sorted, isDescending] = this.#sort;
    this.#columns.forEach((column, index) => {
      const isSorted = column.key === sorted;
      setAttribute(this.#heads[index], "aria-sort", isSorted ? (isDescending ? "descending" : "ascending") : "none");
      setText(this.#heads[index].querySelector(".sort"), isSorted ? (isDescending ? "▼" : "▲") : "");
    });
  }

  #arrange() {
    const texts = this.#columns.filter((column) => column.isText);
    const matches = (row) => texts.some((column) => String(column.shown(row)).toLowerCase().includes(this.#filter));
    const found = this.#filter === "" ? [...this.#rows] : this.#rows.filter(matches);
    const [key, isDescending] = this.#sort;
    const column = this.#columns.find((column) => column.key === key);
    const sign = isDescending ? -1 : 1;
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    // Equal ones stand in their usual order whichever way it is sorted.
    const keyed = found.map((row, index) => [column.value(row), index, row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]) || a[1] - b[1]);
    this.#shown = keyed.map((entry) => entry[2]);
    const [count, all] = [this.#shown.length, this.#rows.length];
    setText(this.#count, count === all ? `${all}` : `${count} of ${all}`);
    setAttribute(this.#table, "aria-rowcount", count + 1);
    this.#draw();
  }

  #draw() {
    const visible = Math.ceil((this.#scroll.clientHeight || 300) / ROW_PX);
    const most = Math.max(0, this.#shown.length - visible);
    const top = Math.min(Math.floor(this.#scroll.scrollTop / ROW_PX), most);
    const first = Math.max(0, top - ROWS_BEYOND);
    const rows = this.#shown.slice(first, top + visible + ROWS_BEYOND);
    while (this.#pool.length < rows.length) this.#pool.push(this.#line());
    const lines = this.#pool.slice(0, rows.length);
    if (this.#body.childElementCount !== rows.length + 2) this.#body.replaceChildren(this.#above, ...lines, this.#below);
    setHeight(this.#above, first);
    setHeight(this.#below, this.#shown.length - first - rows.length);
    rows.forEach((row, index) => this.#fill(lines[index], row, first + index));
  }

  #line() {
    return el("tr", {}, ...this.#columns.map((column, index) => (index === 0 ? el("th", { scope: "row" }) : el("td", { class: column.isText ? "text" : null }))));
  }

  #fill(line, row, index) {
    setAttribute(line, "aria-rowindex", index + 2);
    this.#columns.forEach((column, cell) => {
      const node = line.children[cell];
      const path = column.path?.(row);
      if (path) setField(node, path, column.value(row), column.shown(row));
      else setText(node, column.shown(row));
      setAttribute(node, "data-level", column.level?.(row) ?? null);
    });
  }
}

function spacer() {
  return el("tr", { class: "spacer", "aria-hidden": "true" }, el("td"));
}

function setHeight(row, rows) {
  row.hidden = rows === 0;
  row.firstChild.style.height = `${rows * ROW_PX}px`;
}
