/* What pages do beyond being read: live regions, tables that are sorted and filtered, dialogs of actions, the theme. */
"use strict";

const PREFIX = "/api/v1";
const QUIET_SECS = 15; // without a word on the stream, after which a page is not live any more
const RETRY_SECS = 3;

/* The theme, before anything is shown. */
const theme = {
  kept() {
    try { return localStorage.getItem("storm-theme"); } catch { return null; }
  },
  set(value) {
    if (value) document.documentElement.dataset.theme = value;
    else delete document.documentElement.dataset.theme;
    try {
      if (value) localStorage.setItem("storm-theme", value);
      else localStorage.removeItem("storm-theme");
    } catch { /* it holds for this page only */ }
  },
  get isDark() {
    const chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  },
};
if (["light", "dark"].includes(theme.kept())) theme.set(theme.kept());

function setUpTheme() {
  const button = document.getElementById("theme");
  const tell = () => { button.textContent = theme.isDark ? "Light theme" : "Dark theme"; };
  button.hidden = false;
  tell();
  button.addEventListener("click", () => { theme.set(theme.isDark ? "light" : "dark"); tell(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
}

/* Tables: {id: {column, descending, filter}}, kept over all renderings. */
const tables = new Map();

function stateOf(id) {
  if (!tables.has(id)) tables.set(id, { column: -1, descending: false, filter: "" });
  return tables.get(id);
}

function prepare(root) {
  for (const one of root.querySelectorAll("[data-opens][hidden], .filter[hidden]")) one.hidden = false;
  for (const table of root.querySelectorAll("table[data-sortable]")) {
    for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.dataset.column = column;
      button.append(...head.childNodes);
      head.append(button);
    }
    // Blanks between rows would be in the way of rows that change places.
    for (const node of [...table.tBodies[0].childNodes]) if (node.nodeType === Node.TEXT_NODE) node.remove();
    arrange(table);
  }
}

function sortValue(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  return cell.dataset.value ?? cell.textContent.trim();
}

function compare(a, b) {
  if (a === b) return 0;
  const [x, y] = [Number(a), Number(b)];
  if (a !== "" && b !== "" && !Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  return a.localeCompare(b, undefined, { numeric: true, sensitivity: "base" });
}

/* A field goes where few rows are left, also with the whole table; another one that comes later is empty. */
function hasFilter(table) {
  const field = `[data-filters="${CSS.escape(table.id)}"]`;
  return table.closest(".tablebox").querySelector(field) && document.querySelector(field);
}

function arrange(table) {
  const state = stateOf(table.id);
  const body = table.tBodies[0];
  if (!hasFilter(table)) state.filter = "";
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  const heads = table.tHead.rows[0].cells;
  for (const head of heads) head.removeAttribute("aria-sort");
  if (state.column >= 0 && state.column < heads.length) {
    heads[state.column].setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    const sign = state.descending ? -1 : 1;
    const rows = [...body.rows].map((row) => ({ row, value: sortValue(row, state.column) }));
    rows.sort((a, b) => {
      if ((a.value === "") !== (b.value === "")) return a.value === "" ? 1 : -1; // what is not known is last
      return sign * compare(a.value, b.value);
    });
    rows.forEach(({ row }, i) => { if (body.rows[i] !== row) body.insertBefore(row, body.rows[i]); });
  }
  table.dataset.shown = shown;
}

function sortBy(button) {
  const table = button.closest("table");
  const state = stateOf(table.id);
  const column = Number(button.dataset.column);
  const isNumber = button.closest("th").classList.contains("num");
  if (state.column !== column) Object.assign(state, { column, descending: isNumber }); // the largest first
  else state.descending = !state.descending;
  arrange(table);
}

function filterBy(input) {
  stateOf(input.dataset.filters).filter = input.value;
  const table = document.getElementById(input.dataset.filters);
  if (table) arrange(table);
}

/* Regions: what is new is put in place of what is there, node by node, so that focus, scrolling and selection stay. */
function keyOf(node) {
  return node.nodeType === 1 ? node.dataset.key || node.id || "" : "";
}

function morph(from, to) {
  for (const { name, value } of [...to.attributes]) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !(name === "open" && from.nodeName === "DETAILS")) from.removeAttribute(name);
  }
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const keyed = new Map([...from.childNodes].map((node) => [keyOf(node), node]));
  const kept = new Set([...to.childNodes].map(keyOf));
  const onward = (node) => {
    while (node && keyOf(node) && !kept.has(keyOf(node))) {
      const gone = node;
      node = node.nextSibling;
      gone.remove();
    }
    return node;
  };
  let at = onward(from.firstChild);
  for (const next of [...to.childNodes]) {
    const key = keyOf(next);
    let match = key ? keyed.get(key) : at && !keyOf(at) ? at : null;
    keyed.delete(key); // a node is put in one place only
    if (match && match.nodeName !== next.nodeName) match = null;
    if (!match) {
      from.insertBefore(next, at);
      continue;
    }
    if (match === at) at = onward(at.nextSibling);
    else from.insertBefore(match, at);
    if (match.nodeType === 1) morph(match, next);
    else if (match.nodeValue !== next.nodeValue) match.nodeValue = next.nodeValue;
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

const waiting = new Map(); // {name: HTML} of regions in which somebody has selected text

function isSelectedIn(region) {
  const selection = getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(region, true);
}

function show(name, html) {
  const region = document.querySelector(`section[data-live="${CSS.escape(name)}"]`);
  if (!region) {
    // A page that could not be shown before can be shown now.
    if (name !== "notice" && document.querySelector("[data-problem]")) location.reload();
    return;
  }
  if (isSelectedIn(region)) {
    waiting.set(name, html);
    return;
  }
  waiting.delete(name);
  const template = document.createElement("template");
  template.innerHTML = html;
  prepare(template.content);
  const focused = document.activeElement;
  morphChildren(region, template.content);
  // A row that changes its place loses the focus in it.
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("storm:shown", { detail: { region } }));
}

function showWaiting() {
  for (const [name, html] of [...waiting]) show(name, html);
}

/* The stream of changes. A tab that nobody sees has none: browsers have few connections for each site. */
const stream = { source: null, heardAt: 0, timer: 0 };

function tellLive(isLive) {
  const place = document.getElementById("live");
  const isOld = Boolean(document.querySelector('[data-live="notice"] .notice, [data-problem]'));
  const words = !isLive ? "Not live, trying again" : isOld ? "Not up to date" : "Live";
  place.hidden = false;
  place.classList.toggle("lost", !isLive || isOld);
  if (place.textContent !== words) place.textContent = words;
}

function heard() {
  stream.heardAt = performance.now();
  tellLive(true);
}

function openStream() {
  closeStream();
  stream.heardAt = performance.now();
  const source = new EventSource(document.body.dataset.events);
  stream.source = source;
  source.addEventListener("regions", (event) => {
    for (const [name, html] of Object.entries(JSON.parse(event.data))) show(name, html);
    heard();
  });
  source.addEventListener("tick", heard);
  source.addEventListener("error", () => {
    tellLive(false);
    if (source.readyState === EventSource.CLOSED) openLater(); // refused: the browser does not try again
  });
}

function openLater() {
  closeStream();
  stream.timer = setTimeout(openStream, RETRY_SECS * 1000);
}

function closeStream() {
  clearTimeout(stream.timer);
  if (stream.source) stream.source.close();
  stream.source = null;
}

function setUpStream() {
  if (!document.body.dataset.events) return;
  const follow = () => (document.hidden ? closeStream() : openStream());
  document.addEventListener("visibilitychange", follow);
  document.addEventListener("selectionchange", () => { if (waiting.size) showWaiting(); });
  setInterval(() => {
    if (stream.source && performance.now() - stream.heardAt > QUIET_SECS * 1000) {
      tellLive(false);
      openStream();
    }
  }, 5000);
  follow();
}

/* Actions. A dialog is filled with what is so when it is opened; `present` is that, told by the region of its button. */
function refill(form, present) {
  const worker = form.querySelector('select[name="worker"]');
  if (worker) worker.replaceChildren(...present[worker.dataset.of].map((one) => new Option(one)));
  if (form.dataset.makes !== "rebalance") return;
  const set = (input, count) => {
    input.defaultValue = count || "";
    delete input.dataset.touched;
  };
  set(form.elements.namedItem("workers"), present.numWorkers);
  for (const one of form.querySelectorAll("[data-executors]")) set(one, present.executors[one.dataset.executors]);
}

/* The numbers that somebody entered: others may have changed in the meantime, and are not asked for. */
function rebalanceOptions(form) {
  if (form.elements.namedItem("anew").checked) return {};
  const isAsked = (input) => "touched" in input.dataset && input.value;
  const workers = form.elements.namedItem("workers");
  const executors = [...form.querySelectorAll("[data-executors]")].filter(isAsked);
  return {
    ...(isAsked(workers) && { numWorkers: Number(workers.value) }),
    ...(executors.length && { executors: Object.fromEntries(executors.map((one) => [one.dataset.executors, Number(one.value)])) }),
  };
}

/* Why a form is not sent, in a sentence, or empty. */
function objection(form) {
  if (form.dataset.makes !== "rebalance" || form.elements.namedItem("anew").checked) return "";
  if (Object.keys(rebalanceOptions(form)).length) return "";
  return "No number was changed. Change one, or choose that it is only spread anew.";
}

function bodyOf(form) {
  const field = (name) => form.elements.namedItem(name);
  if (form.dataset.makes === "rebalance") return JSON.stringify({ rebalanceOptions: rebalanceOptions(form) });
  if (form.dataset.makes === "log-level") {
    const level = field("level").value || null;
    return JSON.stringify({ namedLoggerLevels: { [field("logger").value]: { target_level: level, timeout: Number(field("secs").value) } } });
  }
  return undefined;
}

/* What is refused, in a sentence, or empty; and what was answered. */
async function post(form, to = form.dataset.post) {
  const path = to.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(form.elements.namedItem(name).value));
  const headers = { "x-storm-token": document.querySelector('meta[name="storm-token"]').content };
  const body = bodyOf(form);
  if (body !== undefined) headers["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(PREFIX + path, { method: "POST", headers, body });
  } catch {
    return ["The UI does not answer. Whether it was done is not known: look at the page when it is there again.", {}];
  }
  try {
    const told = await answer.json();
    return [answer.ok ? "" : told.errorMessage, told];
  } catch {
    return [answer.ok && !form.dataset.shows ? "" : `The UI answered ${answer.status}.`, {}];
  }
}

function refuse(form, sentence) {
  const place = form.querySelector(".refused");
  place.hidden = !sentence;
  place.textContent = sentence;
}

async function submit(form) {
  const button = form.querySelector('[type="submit"]');
  if (button.disabled) return;
  const sentence = objection(form);
  refuse(form, sentence);
  if (sentence) return;
  button.disabled = true;
  if (form.dataset.shows) form.querySelector(".waits").hidden = false;
  const [problem, told] = await post(form);
  button.disabled = false;
  if (form.dataset.shows) showAnswer(form, problem ? "" : told[form.dataset.shows]);
  if (problem) {
    refuse(form, problem);
    return;
  }
  if (form.dataset.shows) return;
  form.closest("dialog").close();
  if (document.body.dataset.events) say(`${form.querySelector("h2").textContent}: done.`);
  else location.reload();
}

function showAnswer(form, text) {
  const place = form.querySelector(".answer");
  place.textContent = text;
  place.hidden = !text;
  form.querySelector(".waits").hidden = true;
}

/* A flame graph: a profile is begun, and ended after its seconds or by a button; if this page is gone, it ends by itself. */
async function profile(form) {
  const part = (selector) => form.querySelector(selector);
  const [begin, stop, waits, progress] = ["[type=submit]", "[data-stops]", ".waits", "progress"].map(part);
  if (begin.disabled) return;
  const secs = Number(form.elements.namedItem("secs").value);
  const worker = encodeURIComponent(form.elements.namedItem("worker").value);
  refuse(form, "");
  begin.disabled = true;
  part(".picture").hidden = part(".result").hidden = true;
  waits.hidden = progress.hidden = false;
  waits.textContent = "The profile begins.";
  progress.removeAttribute("value");
  let [problem, told] = await post(form, `${form.dataset.profile}/start/{worker}/${Math.ceil(secs / 60)}`);
  if (!problem) {
    waits.textContent = `The worker is looked at for ${secs} s.`;
    stop.hidden = false;
    stop.focus();
    await timeOver(secs * 1000, stop, (share) => { progress.value = share; });
    stop.hidden = true;
    waits.textContent = "The picture is made; it may take some seconds.";
    progress.removeAttribute("value");
    [problem, told] = await post(form, `${form.dataset.profile}/stop/{worker}`);
  }
  begin.disabled = false;
  waits.hidden = progress.hidden = true;
  if (problem) {
    refuse(form, problem);
    begin.focus();
    return;
  }
  const address = `${form.dataset.page}/worker/${worker}/dump/${encodeURIComponent(told.file)}`;
  part("img").src = part(".result a").href = address;
  part("a.kept").href = told.dumplink;
  part(".kept-with").hidden = !told.dumplink; // where no log viewer runs beside the worker
  part(".picture").hidden = part(".result").hidden = false;
  part(".picture").focus();
}

/* Resolves when the time is over, or the button was pressed. */
function timeOver(millis, stop, tell) {
  return new Promise((resolve) => {
    const began = performance.now();
    const end = () => {
      clearInterval(timer);
      stop.removeEventListener("click", end);
      resolve();
    };
    const look = () => {
      const share = (performance.now() - began) / millis;
      tell(Math.min(1, share));
      if (share >= 1) end();
    };
    const timer = setInterval(look, 200);
    stop.addEventListener("click", end);
    look();
  });
}

function say(words) {
  let place = document.querySelector(".said");
  if (!place) {
    place = document.createElement("div");
    place.className = "said";
    place.setAttribute("role", "status");
    document.body.append(place);
  }
  place.hidden = false;
  place.textContent = words;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { place.hidden = true; }, 4000);
}

function openDialog(dialog, opener) {
  const form = dialog.querySelector("form");
  if (form.querySelector('[type="submit"]').disabled) { // what it does goes on
    dialog.showModal();
    return;
  }
  refill(form, JSON.parse(opener.closest("[data-present]").dataset.present));
  form.reset();
  refuse(form, "");
  for (const input of form.querySelectorAll("[data-confirms]")) confirmed(input);
  dialog.showModal();
  if (form.dataset.shows) submit(form);
}

function confirmed(input) {
  input.setCustomValidity(input.value === input.dataset.confirms ? "" : `Type ${input.dataset.confirms}`);
}

function isTyping(target) {
  return target.closest("input, select, textarea, dialog, [contenteditable]");
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) openDialog(document.getElementById(opener.dataset.opens), opener);
  const closer = event.target.closest("[data-closes]");
  if (closer) closer.closest("dialog").close();
  const sorter = event.target.closest(".sort");
  if (sorter) sortBy(sorter);
});
document.addEventListener("input", (event) => {
  if (event.target.matches('[data-makes="rebalance"] input')) event.target.dataset.touched = "";
  if (event.target.matches("[data-filters]")) filterBy(event.target);
  if (event.target.matches("[data-confirms]")) confirmed(event.target);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-post], form[data-profile]")) return;
  event.preventDefault();
  if (event.target.dataset.profile) profile(event.target);
  else submit(event.target);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const input = document.querySelector(".filter:not([hidden]) input");
  if (!input) return;
  event.preventDefault();
  input.focus();
});
document.addEventListener("DOMContentLoaded", () => {
  setUpTheme();
  prepare(document);
  setUpStream();
});
