// The tiles of one page of the queue, and which of them is selected. Names and words go in as text, never as markup.

import { drawTiles, side, wipe } from "./pictures.js";

function element(name, className, ...children) {
  const made = document.createElement(name);
  made.className = className;
  made.append(...children);
  return made;
}

/** How the first match, which is the strongest, is set: exact ones stand out more than those that only look so. */
function strength({ known: [first] }) {
  if (first?.status !== "notable") return "";
  return first.distance === 0 && first.how !== "pdq" && first.how !== "frames" ? "notable exact" : "notable";
}

export class Grid {
  #box = document.getElementById("grid");
  #grades;
  #selected;
  #stop = () => {};
  rows = [];
  index = -1;

  /** `grades`: code -> grade of the scheme; `selected` is called with the row that becomes selected. */
  constructor(grades, selected) {
    this.#grades = grades;
    this.#selected = selected;
    this.#box.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.select([...this.#box.children].indexOf(tile));
    });
  }

  get row() {
    return this.rows[this.index];
  }

  get columns() {
    return getComputedStyle(this.#box).gridTemplateColumns.split(" ").length;
  }

  /** Pixels of the selected tile's picture on the screen. */
  get side() {
    return side(this.#box.children[this.index].querySelector("canvas"));
  }

  /** Another page, of which the row at `index` is selected. */
  show(rows, index) {
    this.#box.querySelectorAll("canvas").forEach(wipe);
    this.#box.replaceChildren();
    this.rows = [];
    this.index = -1;
    this.#box.scrollTop = 0;
    this.#add(rows);
    this.select(Math.min(index, rows.length - 1));
    this.#draw();
  }

  /** More rows at the end of the page. */
  append(rows) {
    this.#add(rows);
    this.#draw();
  }

  #add(rows) {
    const first = this.rows.length;
    this.rows = [...this.rows, ...rows];
    this.#box.append(...rows.map((row) => this.#tile(row)));
    for (let index = Math.max(0, first - 1); index < this.rows.length; index += 1) this.#bracket(index);
    for (let index = first; index < this.rows.length; index += 1) this.paint(index);
  }

  /** Draws what is not drawn yet: the selected tile first, then those nearest to it. */
  #draw() {
    this.#stop();
    const tiles = [...this.#box.querySelectorAll("canvas")]
      .map((canvas, index) => ({ canvas, sha256: this.rows[index].sha256, far: Math.abs(index - this.index) }))
      .filter((tile) => !("drawn" in tile.canvas.dataset))
      .sort((one, other) => one.far - other.far);
    this.#stop = drawTiles(tiles, (canvas, why) => {
      canvas.parentElement.dataset.failed = "";
      canvas.nextElementSibling.textContent = `Not shown: ${why}`;
    });
  }

  select(index) {
    if (!this.rows.length) return this.#selected(undefined);
    const before = this.#box.children[this.index];
    before?.setAttribute("aria-selected", "false");
    if (before) before.tabIndex = -1;
    this.index = index;
    const tile = this.#box.children[index];
    tile.setAttribute("aria-selected", "true");
    tile.tabIndex = 0;
    this.focus();
    return this.#selected(this.row);
  }

  focus() {
    const tile = this.#box.children[this.index];
    tile?.focus({ preventScroll: true });
    tile?.scrollIntoView({ block: "nearest" });
  }

  find(sha256) {
    return this.rows.findIndex((row) => row.sha256 === sha256);
  }

  /** Puts the grade on a tile, and into what a screen reader says of it. `refused`: why it is not saved. */
  paint(index) {
    const row = this.rows[index];
    const tile = this.#box.children[index];
    const grade = this.#grades.get(row.grade);
    const badge = tile.querySelector(".badge");
    badge.hidden = !row.grade && !row.refused;
    badge.classList.toggle("refused", Boolean(row.refused));
    if (row.refused) badge.replaceChildren("Not saved");
    else if (grade) badge.replaceChildren(element("kbd", "", grade.key), ` ${grade.label}`);
    else badge.replaceChildren(row.grade ?? "");
    tile.classList.toggle("graded", Boolean(row.grade));
    const { what, state, where, known, copies, damage } = row.words;
    const said = grade?.label ?? row.grade ?? "ungraded";
    const all = [said, what, state, where, ...known, copies, damage, row.alike, row.name];
    tile.setAttribute("aria-label", all.filter(Boolean).join(". "));
  }

  #tile(row) {
    const canvas = element("canvas", "");
    wipe(canvas);
    const { what, state, where, known, copies, damage } = row.words;
    const plain = element("span", "", [what, state, where].filter(Boolean).join(" · "));
    const match = element("span", strength(row), known[0] ?? "");
    const rest = element("span", "", [copies, damage && "damaged"].filter(Boolean).join(" · "));
    const words = element("span", "words", plain, match, rest);
    const picture = element("span", "picture", canvas, element("span", "failed"), element("span", "badge"));
    for (const each of [words, picture]) each.setAttribute("aria-hidden", "true"); // the label says it all
    const tile = element("div", "tile", picture, words);
    tile.setAttribute("role", "option");
    tile.setAttribute("aria-selected", "false");
    tile.tabIndex = -1;
    return tile;
  }

  /** Those that look alike lie side by side, under one line. */
  #bracket(index) {
    const same = (other) => this.rows[other]?.stack === this.rows[index].stack;
    const classes = this.#box.children[index].classList;
    classes.toggle("alike-on", same(index + 1));
    classes.toggle("alike-back", same(index - 1));
    this.rows[index].alike = same(index - 1) || same(index + 1) ? "looks like its neighbours" : "";
  }
}
