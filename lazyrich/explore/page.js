// The page: controls in, frames out. It computes nothing; see answer.py for what a frame holds.

import { draw, drawPhases, html, short } from "./chart.js";

const POSITIONS = 200; // of a slider
// What shows an answer: pale from a move of a slider on, until its part of the new answer is there.
const ANSWERS = ["phase", "loss", "loss-legend", "facts", "notes", "terms", "phases", "formulas",
  "copy", "table"];
const $ = (id) => document.getElementById(id);
const page = crypto.randomUUID();
// Milliseconds: between requests, and that a first curve has before newer settings replace it.
const PAUSE = 40, PATIENCE = 700;
let known, controls = {}, state = {}, controller = null, asked = 0, timer = null;
let sent = 0, waiting = false; // for the first curve of what was sent

// Sliders -----------------------------------------------------------------------------------

const last = (field) =>
  field.log || field.kind === "number" ? POSITIONS : field.high - field.low;

function valueAt(field, position) {
  const end = last(field);
  if (field.infinite && position >= end) return "inf";
  const share = position / (field.infinite ? end - 1 : end);
  let value = field.log
    ? field.low * (field.high / field.low) ** share
    : field.low + (field.high - field.low) * share;
  value = Math.min(field.high, Number(value.toPrecision(field.log ? 3 : 4)));
  return String(field.kind === "integer" ? Math.round(value) : value);
}

function positionOf(field, text) {
  const end = last(field);
  if (text === "inf") return end;
  const value = Number(text), top = field.infinite ? end - 1 : end;
  if (!Number.isFinite(value)) return null;
  const share = field.log
    ? Math.log(value / field.low) / Math.log(field.high / field.low)
    : (value - field.low) / (field.high - field.low);
  return Math.round(Math.min(1, Math.max(0, share)) * top);
}

function slider(field) {
  const range = html("input", {
    type: "range", id: field.name, min: 0, max: last(field), step: 1,
    "aria-describedby": `${field.name}-help`,
  });
  const number = html("input", {
    type: "text", inputmode: "decimal", class: "number", id: `${field.name}-number`,
    "aria-label": `${field.label}, as a number`, "aria-describedby": `${field.name}-help`,
  });
  const set = (value) => {
    number.value = value === null || value === "Infinity" ? "inf" : String(value);
    range.value = positionOf(field, number.value) ?? range.value;
    range.setAttribute("aria-valuetext", number.value);
  };
  range.addEventListener("input", () => {
    number.value = valueAt(field, Number(range.value));
    range.setAttribute("aria-valuetext", number.value);
    changed();
  });
  number.addEventListener("input", () => {
    range.value = positionOf(field, number.value.trim()) ?? range.value;
    changed();
  });
  return { parts: [range, number], target: number, set, get: () => number.value.trim() };
}

function other(field) {
  const about = { id: field.name, "aria-describedby": `${field.name}-help` };
  if (field.kind === "switch") {
    const box = html("input", { type: "checkbox", ...about });
    box.addEventListener("input", changed);
    return { parts: [box], target: box, set: (v) => { box.checked = v; }, get: () => box.checked };
  }
  const input = field.kind === "choice"
    ? html("select", { class: "wide", ...about }, ...field.choices.map((c) => html("option", {}, c)))
    : html("input", { type: "text", class: "wide", spellcheck: "false", ...about });
  input.addEventListener("input", changed);
  return { parts: [input], target: input, set: (v) => { input.value = v; }, get: () => input.value };
}

function showFields(model) {
  controls = {};
  $("model").value = model;
  $("head").textContent = known.heads[model];
  $("fields").replaceChildren(...known.fields[model].map((field) => {
    const control = ["number", "integer"].includes(field.kind) ? slider(field) : other(field);
    controls[field.name] = control;
    const label = html("label", { for: field.name }, field.label);
    const word = field.word ? ` ${known.words[field.word] ?? ""}` : "";
    const help = html("span", { class: "help", id: `${field.name}-help`, role: "tooltip" },
      field.help + word);
    const parts = field.kind === "switch" ? [...control.parts, label] : [label, ...control.parts];
    return html("div", { class: `field ${field.kind}` }, ...parts, help);
  }));
}

function set(model, settings) {
  if ($("model").value !== model || !Object.keys(controls).length) showFields(model);
  for (const [name, control] of Object.entries(controls)) control.set(settings[name]);
}

// Asking ------------------------------------------------------------------------------------

function settings() {
  return Object.fromEntries(Object.entries(controls).map(([name, c]) => [name, c.get()]));
}

function changed() {
  $("preset").value = "";
  $("shows").textContent = "";
  ask();
}

// The newest settings are always sent, but not before the last ones have shown a curve: so the
// curves follow a slider while it moves.
function ask() {
  asked = performance.now();
  timer ??= setTimeout(next, PAUSE);
}

function next() {
  timer = null;
  if (waiting && performance.now() - sent < PATIENCE) timer = setTimeout(next, PAUSE);
  else send();
}

async function send() {
  controller?.abort();
  const mine = (controller = new AbortController()), since = asked;
  const model = $("model").value, given = settings();
  sent = performance.now();
  waiting = true;
  state.first = null;
  history.replaceState(null, "", `#${new URLSearchParams({ model, ...given })}`);
  for (const name of ANSWERS) $(name).classList.add("stale");
  try {
    const response = await fetch("answer", {
      method: "POST", signal: mine.signal, headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ page, model, settings: given }),
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || mine !== controller) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) show(JSON.parse(line), since);
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    show({ error: "lazyrich explore has stopped: start it again, then reload this page", stage: "" }, since);
  }
}

// Showing -----------------------------------------------------------------------------------

// What a partial frame has not, of earlier settings and pale, so that nothing flickers.
function completed(now, before) {
  const names = new Set(now.map((item) => item.name));
  const rest = before.filter((item) => !names.has(item.name));
  return [...now, ...rest.map((item) => ({ ...item, pale: true }))];
}

function completedChart(now, before) {
  if (before?.title !== now.title) return now;
  const kinds = ["lines", "levels", "marks"].map((kind) => [kind, completed(now[kind], before[kind])]);
  return { ...now, ...Object.fromEntries(kinds) };
}

function show(frame, since) {
  if (frame.partial && state.charts?.loss.title === frame.charts.loss.title) {
    const charts = Object.entries(frame.charts)
      .map(([name, chart]) => [name, completedChart(chart, state.charts[name])]);
    frame = { ...frame, charts: Object.fromEntries(charts), facts: completed(frame.facts, state.facts) };
  }
  state = { ...state, ...frame };
  const fresh = (...names) => names.forEach((name) => $(name).classList.remove("stale"));
  const seconds = ((performance.now() - since) / 1000).toFixed(2);
  if ("error" in frame) showError();
  if (frame.charts) {
    for (const name of ["loss", "terms"]) if (frame.charts[name]) state[name] = frame.charts[name];
    showCharts();
    showTable();
    fresh("loss", "loss-legend", "table", ...(frame.charts.terms ? ["terms"] : []));
    document.body.dataset.charts = Number(document.body.dataset.charts ?? 0) + 1;
    state.first ??= seconds;
    waiting = false;
  }
  if (frame.facts) { showFacts(); fresh("phase", "facts"); }
  if ("notes" in frame) {
    $("notes").replaceChildren(...frame.notes.map((n) => html("li", {}, n)));
    fresh("notes");
  }
  if ("formulas" in frame) { showFormulas(); fresh("formulas"); }
  if ("phases" in frame) { showPhases(); fresh("phases"); }
  if ("python" in frame) { showTexts(); fresh("copy"); }
  if ("stage" in frame) {
    const first = state.first ? `; first curve after ${state.first} s` : "";
    const complete = frame.stage === "complete" ? ` after ${seconds} s${first}` : "";
    $("stage").textContent = frame.stage + complete;
    document.body.dataset.stage = frame.stage;
    document.body.dataset.seconds = seconds;
    document.body.dataset.first = state.first ?? "";
  }
}

function showError() {
  if (state.error) waiting = false;
  $("error").hidden = !state.error;
  const old = state.loss ? ". What is pale below is the answer to earlier settings." : "";
  $("error").textContent = state.error ? state.error + old : "";
  const name = (state.error ?? "").split(" ")[0];
  for (const [field, control] of Object.entries(controls)) {
    control.target.classList.toggle("wrong", field === name);
    control.target.setAttribute("aria-invalid", field === name);
  }
  if (!state.error) return;
  $("phase").textContent = "";
  state.python = state.command = null; // nothing to copy
  for (const text of ["python", "command"]) $(`copy-${text}`).disabled = true;
}

function showCharts() {
  for (const name of ["loss", "terms"]) {
    if (!state[name]) continue;
    draw($(name), state[name], name === "loss" ? 400 : 300);
  }
}

function showPhases() {
  $("phases").hidden = !state.phases;
  if (!state.phases) return;
  drawPhases($("phases"), state.phases);
}

function named(fact) {
  return fact.word ? html("a", { href: `#${fact.word}`, title: known.words[fact.word] ?? "" }, fact.label)
    : fact.label;
}

function showFacts() {
  const phase = state.facts.find((f) => f.name === "phase");
  const soFar = state.provisional ? ` (provisional: ${state.provisional})` : "";
  $("phase").textContent = phase ? `This network: ${phase.value}${soFar}.` : "";
  $("facts").classList.toggle("provisional", Boolean(state.provisional));
  $("facts").replaceChildren(...state.facts.map((fact) =>
    html("div", {}, html("dt", {}, named(fact)), html("dd", { id: `fact-${fact.name}`, class: fact.pale ? "stale" : "" }, fact.value))));
}

// MathML and nothing else: it comes from this server, and is put in as it is.
function cell(markup) {
  const made = html("td");
  made.innerHTML = markup;
  return made;
}

function showFormulas() {
  $("formulas").replaceChildren(...state.formulas.map((formula) => {
    const rows = formula.rows.map((row) => html("tr", {},
      html("th", { scope: "row" }, row.label), cell(row.symbols), html("td", {}, "="),
      cell(row.numbers), html("td", { class: "value" }, `= ${row.value}`)));
    const table = html("table", {}, html("tbody", {}, ...rows));
    return html("div", { class: "formula", tabindex: 0 }, html("h2", {}, formula.title), table,
      html("p", { class: "readout" }, `lazyrich derive ${formula.source} shows the derivation.`));
  }));
}

function showTexts() {
  for (const name of ["python", "command"]) {
    $(name).textContent = state[name] ?? "";
    $(name).parentElement.hidden = name === "command" && !state[name] && state.stage === "complete";
    $(`copy-${name}`).disabled = !state[name];
  }
}

function showTable() {
  const { x } = state.loss, lines = state.loss.lines.filter((line) => !line.pale);
  if (!lines.length) return;
  const head = html("tr", {}, html("th", {}, x.label), ...lines.map((l) => html("th", {}, l.label)));
  const points = lines[0].x, every = Math.max(1, Math.floor(points.length / 12));
  const rows = points.map((at, i) => (i % every === 0 || i === points.length - 1)
    && html("tr", {}, html("td", {}, short(at)), ...lines.map((l) => html("td", {}, short(l.y[i])))));
  const table = html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows.filter(Boolean)));
  $("table").querySelector("div").replaceChildren(table);
}

async function copy(name) {
  const button = $(`copy-${name}`), label = button.textContent;
  try {
    await navigator.clipboard.writeText(state[name]);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($(name));
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

// Start -------------------------------------------------------------------------------------

function use(preset) {
  const found = known.presets[preset];
  $("shows").textContent = found.shows;
  set(found.model, found.settings);
  ask();
}

function fromAddress() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (!known.fields[given.model]) return false;
  const start = Object.fromEntries(known.fields[given.model].map((field) => {
    const value = given[field.name] ?? field.default;
    return [field.name, field.kind === "switch" ? String(value) === "true" : value];
  }));
  set(given.model, start);
  $("preset").value = "";
  ask();
  return true;
}

async function start() {
  known = await (await fetch("fields")).json();
  $("preset").replaceChildren(html("option", { value: "" }, "your own settings"),
    ...Object.entries(known.presets).map(([name, p]) => html("option", { value: name }, p.label)));
  const words = $("words").querySelector("dl");
  for (const [word, text] of Object.entries(known.words))
    words.append(html("dt", { id: word }, word.replaceAll("-", " ")), html("dd", {}, text));
  $("preset").addEventListener("input", () => { if ($("preset").value) use($("preset").value); });
  $("model").addEventListener("input", () => {
    const model = $("model").value;
    showFields(model);
    set(model, Object.fromEntries(known.fields[model].map((f) => [f.name, f.default])));
    changed();
  });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const name of ["python", "command"])
    $(`copy-${name}`).addEventListener("click", () => copy(name));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    showCharts();
    if (state.phases) showPhases();
  });
  if (!fromAddress()) { $("preset").value = "start"; use("start"); }
}

start();
