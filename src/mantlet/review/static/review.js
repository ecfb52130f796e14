// The page: keys and buttons become actions, and actions move, grade, undo and look.

import { Grid } from "./grid.js";
import { listen } from "./keys.js";
import { Look } from "./pictures.js";
import { Outbox, get } from "./server.js";

const setup = JSON.parse(document.body.dataset.setup);
const grades = new Map(setup.grades.map((grade) => [grade.code, grade]));
const contexts = new Map(setup.keys.map((key) => [key.action, key.context]));
const ungraded = new URLSearchParams(location.search).get("ungraded") === "1";
const PROGRESS_MILLISECONDS = 3000;
const SLOW_MILLISECONDS = 300;
const SILENT = "The page's server does not answer; is `mantlet review` still running?";

const at = (id) => document.getElementById(id);
const outbox = new Outbox(showSaved);
const look = new Look(outbox);
const grid = new Grid(grades, (row) => {
  look.close();
  showSelected(row);
});
const unsaved = new Map(); // content -> the grade on its way to the server
const refused = new Map(); // content -> why its grade was not saved
let ahead = null; // the page after this one, asked for before it is needed
let now = { graded: 0, contents: Infinity }; // the counts of the case
let busy = false;

// -- what is said --------------------------------------------------------------------------------------------------

function tell(sentence) {
  at("notice").textContent = sentence;
}

function showSaved() {
  const box = at("saved");
  const show = (state, sentence) => {
    box.dataset.state = state;
    if (box.textContent !== sentence) box.textContent = sentence;
  };
  if (outbox.trouble) show("trouble", `Not saved yet (${outbox.waiting}): ${outbox.trouble} Trying again.`);
  else if (refused.size) show("trouble", `Not saved (${refused.size}): ${[...refused.values()].at(-1)}`);
  else if (!outbox.waiting) show("saved", "All saved");
  else {
    box.dataset.state = "saving";
    setTimeout(() => box.dataset.state === "saving" && show("saving", "Saving…"), SLOW_MILLISECONDS);
  }
}

function showSelected(row) {
  const put = (id, text) => {
    at(id).textContent = text;
    if (at(id).tagName === "DD") at(id).hidden = at(id).previousElementSibling.hidden = !text;
  };
  const { what = "Nothing here yet", known = [], ...words } = row?.words ?? {};
  put("what", what);
  at("known").replaceChildren(...known.flatMap((each) => [each, document.createElement("br")]));
  for (const id of ["state", "where", "copies", "damage"]) put(id, words[id] ?? "");
  put("name", row?.name ?? "");
  at("selected").querySelector("dl").hidden = !row;
  const unseen = { known: ", known, unseen", propagated: ", provisional: propagated" }[row?.basis];
  const by = row?.grade && row.graded_by ? (unseen ?? `, by ${row.graded_by}`) : "";
  put("graded", row ? `${grades.get(row.grade)?.label ?? row.grade ?? "not yet"}${by}` : "");
}

/** `change`: how many more are graded than the server last said. */
function showCounts(change = 0) {
  now.graded += change;
  const number = (value) => value.toLocaleString("en-GB");
  const rest = now.unfinished ? " · scan not finished" : "";
  at("counts").textContent = `Graded ${number(now.graded)} of ${number(now.contents)} distinct${rest}`;
  at("counts").title = `${number(now.items)} found in all, ${number(now.known)} known, ${number(now.unread)} not read`;
  at("bar").max = Math.max(1, now.contents);
  at("bar").value = now.graded;
}

async function showProgress() {
  const before = now;
  now = await get("/api/progress");
  showCounts();
  if (grid.rows.length < setup.page && now.contents > before.contents && !busy) await fillUp();
}

async function keepShowingProgress() {
  try {
    if (!document.hidden) await showProgress();
    if (at("notice").textContent === SILENT) tell("");
  } catch (error) {
    tell(error.status ? error.message : SILENT);
  }
  setTimeout(keepShowingProgress, PROGRESS_MILLISECONDS);
}

// -- pages of the queue --------------------------------------------------------------------------------------------

async function page(where) {
  const { rows } = await get("/api/queue", { ...(ungraded && { ungraded: true }), ...where });
  return rows.map((row) => (unsaved.has(row.sha256) ? { ...row, grade: unsaved.get(row.sha256) } : row));
}

function show(rows, index) {
  grid.show(rows, Math.max(0, index));
  const next = rows.length < setup.page ? null : page({ after: rows.at(-1).place });
  ahead = next;
  next?.catch(() => ahead === next && (ahead = null)); // it is asked for again when it is needed
}

/** What the scan has found since, where this page has room for it. */
async function fillUp() {
  const last = grid.rows.at(-1);
  const rows = await page(last ? { after: last.place } : {});
  if (!rows.length || last !== grid.rows.at(-1)) return;
  if (last) grid.append(rows.slice(0, setup.page - grid.rows.length));
  else show(rows, rows.findIndex((row) => !row.grade));
}

async function turn(on, index) {
  const rows = await (on ? (ahead ?? page({ after: grid.rows.at(-1).place })) : page({ before: grid.rows[0].place }));
  if (rows.length) show(rows, index < 0 ? rows.length + index : index);
  else tell(on ? "That is the last one." : "That is the first one.");
}

async function goTo(sha256) {
  const rows = await page({ around: sha256 });
  show(rows, rows.findIndex((row) => row.sha256 === sha256));
}

async function sideways(step) {
  const to = grid.index + step;
  if (to >= 0 && to < grid.rows.length) grid.select(to);
  else await turn(step > 0, step > 0 ? 0 : -1);
}

async function upOrDown(step) {
  const columns = grid.columns;
  const to = grid.index + step * columns;
  const lastRow = Math.floor((grid.rows.length - 1) / columns);
  if (to >= 0 && to < grid.rows.length) grid.select(to);
  else if (step > 0 && Math.floor(grid.index / columns) < lastRow) grid.select(grid.rows.length - 1);
  else await turn(step > 0, step > 0 ? grid.index % columns : -1);
}

async function goToEnd(end) {
  const rows = await page({ end });
  show(rows, end === "first" ? 0 : rows.length - 1);
}

async function nextUngraded() {
  const left = (row) => !row.grade;
  const here = grid.rows.findIndex((row, index) => index > grid.index && left(row));
  if (here >= 0) return grid.select(here);
  const next = await ahead;
  if (next?.some(left)) return show(next, next.findIndex(left));
  for (const where of [{ after: grid.rows.at(-1)?.place ?? "" }, { end: "first" }]) {
    const found = (await page({ ...where, ungraded: true })).find(left);
    if (found) return grid.find(found.sha256) >= 0 ? grid.select(grid.find(found.sha256)) : goTo(found.sha256);
  }
  return tell("Every one that has been found is graded.");
}

// -- decisions -----------------------------------------------------------------------------------------------------

async function grade(code) {
  look.close(); // so that this look counts as seen
  const row = grid.row;
  const before = { grade: row.grade, basis: row.basis, graded_by: row.graded_by };
  const seen = look.seen(row) ?? { side: grid.side, clear: false, milliseconds: 0 };
  unsaved.set(row.sha256, code);
  mark(row.sha256, { grade: code, basis: null, graded_by: null, refused: "" });
  outbox.post("/api/grade", { sha256: row.sha256, grade: code, seen }).then(
    (decision) => {
      refused.delete(row.sha256);
      if (!before.grade) showCounts(1);
      settle(row.sha256, code, { basis: decision.basis, graded_by: decision.actor });
    },
    (error) => {
      refused.set(row.sha256, error.message);
      settle(row.sha256, code, { ...before, refused: error.message });
    },
  );
  await nextUngraded();
}

/** The answer to a grade has come. A later grade of the same content that is still on its way has the last word. */
function settle(sha256, code, change) {
  showSaved();
  if (unsaved.get(sha256) !== code) return;
  unsaved.delete(sha256);
  mark(sha256, change);
}

function mark(sha256, change) {
  const index = grid.find(sha256);
  if (index < 0) return;
  Object.assign(grid.rows[index], change);
  grid.paint(index);
  if (index === grid.index) showSelected(grid.row);
}

async function undo() {
  if (outbox.trouble) return tell("Undo waits until what was graded before is saved.");
  const { undone } = await outbox.post("/api/undo", {});
  if (!undone) return tell("Nothing of yours is left to undo.");
  if (!undone.grade) showCounts(-1);
  if (grid.find(undone.sha256) < 0) await goTo(undone.sha256);
  mark(undone.sha256, { grade: undone.grade, basis: undone.basis, graded_by: undone.graded_by });
  if (grid.find(undone.sha256) < 0) return tell("Undone: its former grade stands again.");
  return grid.select(grid.find(undone.sha256));
}

// -- keys and buttons ----------------------------------------------------------------------------------------------

function blank() {
  look.close();
  const hide = at("blank").hidden;
  at("blank").hidden = !hide;
  at("page").hidden = hide;
  if (!hide) grid.focus();
}

const ACTIONS = {
  left: () => sideways(-1),
  right: () => sideways(1),
  up: () => upOrDown(-1),
  down: () => upOrDown(1),
  "page-back": () => turn(false, 0),
  "page-on": () => turn(true, 0),
  first: () => goToEnd("first"),
  last: () => goToEnd("last"),
  "next-ungraded": nextUngraded,
  undo,
};
const AT_ONCE = {
  blank,
  help: () => (at("help").hidden = !at("help").hidden),
  reveal: () => grid.row && look.open(grid.row),
};

/** While the server is asked for a page or an undo, keys do nothing: they would meet another tile than the one seen. */
async function act(action) {
  if (!open().includes(contexts.get(action))) return undefined;
  if (AT_ONCE[action]) return AT_ONCE[action]();
  if (busy || (!grid.row && action !== "undo")) return undefined;
  setBusy(true);
  tell("");
  try {
    await (ACTIONS[action] ?? (() => grade(action.slice("grade:".length))))();
  } catch (error) {
    tell(error.status ? error.message : SILENT);
  }
  setBusy(false);
  return undefined;
}

/** Where keys work now: nothing is graded that is covered. */
function open() {
  if (at("page").hidden) return ["always"];
  return at("help").hidden ? ["always", "page", "grid"] : ["always", "page"];
}

function setBusy(is) {
  busy = is;
  at("grid").setAttribute("aria-busy", is);
}

listen(setup.keys, act, () => look.close());
document.addEventListener("pointerdown", (event) => {
  if (event.button === 0 && event.target.closest("[data-action=reveal]")) act("reveal");
});
document.addEventListener("click", (event) => {
  const action = event.target.closest("[data-action]")?.dataset.action;
  if (!action) return;
  grid.focus();
  if (action !== "reveal") act(action);
});
for (const type of ["pointerup", "pointercancel", "blur", "pagehide"]) window.addEventListener(type, () => look.close());
document.addEventListener("visibilitychange", () => look.close());
window.addEventListener("beforeunload", (event) => outbox.waiting && event.preventDefault());

// -- begin ---------------------------------------------------------------------------------------------------------

try {
  await showProgress();
  const rows = await page({});
  show(rows, rows.findIndex((row) => !row.grade));
} catch (error) {
  tell(error.message);
}
setTimeout(keepShowingProgress, PROGRESS_MILLISECONDS);
