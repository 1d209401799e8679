"use strict";
// Follows the end of a log: asks for what was added, as text, and appends it.
(() => {
  const log = document.getElementById("log");
  const button = document.getElementById("follow");
  const state = document.getElementById("follow-state");
  if (!log) return;
  log.scrollTop = log.dataset.last === "yes" ? log.scrollHeight : 0;
  if (!button) return;
  const PAUSE_MS = 1000;
  const SHOWN_CHARS_MAX = 2000000;
  let end = Number(log.dataset.end);
  let timer = 0;
  let head = log.dataset.head; // of the log that is shown: another one may take its place, and be longer
  let decoder = new TextDecoder();

  async function more() {
    const query = new URLSearchParams({ file: log.dataset.file, start: String(end), head, length: "524288" });
    const answer = await fetch(`${log.dataset.path}?${query}`, { headers: { accept: "text/plain" }, cache: "no-store" });
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 200));
    const start = Number(answer.headers.get("x-log-start"));
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (start !== end) decoder = new TextDecoder(); // what was shown was put aside, and the log begins anew
    end = start + bytes.length;
    head = answer.headers.get("x-log-head");
    if (bytes.length === 0) return;
    const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(decoder.decode(bytes, { stream: true }));
    if (log.textContent.length > SHOWN_CHARS_MAX) log.textContent = log.textContent.slice(-SHOWN_CHARS_MAX / 2);
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }

  async function turn() {
    try {
      if (!document.hidden) await more();
      state.textContent = "";
    } catch (error) {
      state.textContent = `The log viewer does not answer: ${error.message}`;
    }
    if (button.getAttribute("aria-pressed") === "true") timer = setTimeout(turn, PAUSE_MS);
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    const isOn = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isOn));
    clearTimeout(timer);
    if (isOn) {
      log.scrollTop = log.scrollHeight;
      turn();
    }
  });
})();
