// Tables that are updated in place: rows are kept by key and cells by column, so the focus, a selection and the
// place on the page survive every refresh. Headers that sort are buttons, and say so to screen readers.

import { append, h, replace } from "./dom.js";

/**
 * `columns`: `{ name, title, cell(row), number, sort }`; `cell` gives text or a node, `sort` names the order.
 * `order` is `{ sort, order }` and `onsort` hears of a new one. Returns `{ element, show(rows) }`.
 */
export function table({ caption, columns, key, order, onsort, empty = "Nothing here." }) {
  const heads = columns.map((column) => header(column, order, onsort));
  const body = h("tbody");
  const nothing = h("p.empty", { hidden: true }, empty);
  const element = h("div.table", { role: "region", "aria-label": caption, tabindex: "0" },
    h("table", {}, h("caption.hidden", {}, caption), h("thead", {}, h("tr", {}, heads)), body), nothing);
  const kept = new Map();

  function show(rows) {
    const wanted = new Set(rows.map((row) => String(key(row))));
    for (const [id, row] of kept) {
      if (!wanted.has(id)) {
        row.remove();
        kept.delete(id);
      }
    }
    let before = body.firstElementChild;
    for (const row of rows) {
      const id = String(key(row));
      let line = kept.get(id);
      if (!line) {
        line = h("tr", { "data-key": id }, columns.map((column) => h(column.number ? "td.number" : "td")));
        kept.set(id, line);
      }
      columns.forEach((column, index) => fill(line.cells[index], column.cell(row, line)));
      if (line === before) before = before.nextElementSibling;
      else body.insertBefore(line, before);
    }
    nothing.hidden = rows.length > 0;
  }

  return { element, show };
}

/** A cell keeps its node while it is the same; text is set only when it differs. */
function fill(cell, content) {
  if (content instanceof Node) {
    if (cell.firstChild !== content) replace(cell, content);
  } else if (cell.textContent !== String(content ?? "")) {
    cell.textContent = content ?? "";
  }
}

function header(column, order, onsort) {
  const th = h(column.number ? "th.number" : "th", { scope: "col" });
  if (!column.sort) {
    append(th, [column.title]);
    return th;
  }
  const button = h("button.sort", { type: "button" }, column.title, h("span.arrow", { "aria-hidden": "true" }));
  const mark = () => {
    const mine = order.sort === column.sort;
    if (mine) th.setAttribute("aria-sort", order.order === "desc" ? "descending" : "ascending");
    else th.removeAttribute("aria-sort");
    button.lastChild.textContent = mine ? (order.order === "desc" ? "↓" : "↑") : "";
  };
  button.addEventListener("click", () => {
    const first = column.first ?? "desc";
    const other = order.order === "desc" ? "asc" : "desc";
    order.order = order.sort === column.sort ? other : first;
    order.sort = column.sort;
    th.parentElement.dispatchEvent(new CustomEvent("sorted"));
    onsort();
  });
  queueMicrotask(() => th.parentElement.addEventListener("sorted", mark));
  mark();
  append(th, [button]);
  return th;
}

/** A cell's node that is made once per row and column. */
export function once(line, name, make) {
  line.made ??= {};
  line.made[name] ??= make();
  return line.made[name];
}

/** Buttons to the page before and after; the server gives the cursor of the next one. */
export function pager(load) {
  const stack = [];
  let next;
  const back = h("button.quiet", { type: "button", onclick: () => { stack.pop(); load(); } }, "Previous");
  const on = h("button.quiet", { type: "button", onclick: () => { stack.push(next); load(); } }, "Next");
  const where = h("span.note");
  return {
    element: h("div.pager", { role: "group", "aria-label": "Pages" }, where, back, on),
    after: () => stack.at(-1),
    reset: () => { stack.length = 0; },
    show(page, limit, unit) {
      next = page.next;
      // Kept able to hold the focus: a button that is disabled under the focus would throw it to the page.
      back.setAttribute("aria-disabled", String(stack.length === 0));
      on.setAttribute("aria-disabled", String(!next));
      back.disabled = stack.length === 0 && document.activeElement !== back;
      on.disabled = !next && document.activeElement !== on;
      const first = stack.length * limit + 1;
      where.textContent = page.rows.length
        ? `${first.toLocaleString("en")}–${(first + page.rows.length - 1).toLocaleString("en")} of ${page.matched.toLocaleString("en")} ${unit}`
        : `No ${unit}`;
    },
  };
}
