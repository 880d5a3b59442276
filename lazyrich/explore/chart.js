// Charts as SVG: lines over a linear or logarithmic axis, with levels across and marks along.

const NS = "http://www.w3.org/2000/svg";
const LEFT = 58, TOP = 18, BOTTOM = 40;
// Wide charts have their levels' names to the right of the plot; narrow ones in the legend alone.
const WIDE = 560;
let RIGHT = 12;

export function element(name, attributes = {}, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

export function html(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function short(value) {
  if (value === null || value === undefined) return "none";
  const size = Math.abs(value);
  if (size >= 1e5 || (size < 1e-3 && size > 0)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

const superscript = (text) =>
  [...text].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)])).join("");

function tickText(value, log) {
  if (!log) return String(Number(value.toPrecision(4)));
  const power = Math.log10(value);
  if (Math.abs(power) <= 2) return String(Number(value.toPrecision(2)));
  const mantissa = Math.round(value / 10 ** Math.floor(power + 1e-9));
  return (mantissa > 1 ? `${mantissa}·` : "") + "10" + superscript(String(Math.floor(power + 1e-9)));
}

// A scale from values to pixels, with its ticks; null where there is nothing to draw.
function scale(axis, values, from, to) {
  const usable = values.filter((v) => v !== null && (!axis.log || v > 0));
  let low = axis.low ?? Math.min(...usable), high = axis.high ?? Math.max(...usable);
  if (!Number.isFinite(low) || !Number.isFinite(high)) [low, high] = axis.log ? [0.1, 1] : [0, 1];
  if (axis.log && axis.low === null) low = Math.max(low, high * 1e-5);
  if (axis.log && axis.low === null) low /= 1.4;
  if (axis.high === null) high = axis.log ? high * 1.6 : high + 0.05 * (high - low || 1);
  if (!(high > low)) high = axis.log ? low * 10 : low + 1;
  const f = axis.log ? Math.log10 : (v) => v;
  const [a, b] = [f(low), f(high)];
  const at = (v) => from + ((f(axis.log ? Math.max(v, low * 1e-3) : v) - a) / (b - a)) * (to - from);
  return { at, low, high, ticks: ticks(low, high, axis.log, Math.abs(to - from)), log: axis.log };
}

function ticks(low, high, log, pixels) {
  const found = [];
  if (log) {
    const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    const skip = Math.ceil((last - first) / Math.max(2, pixels / 48));
    const within = last - first <= 2 ? [1, 2, 5] : [1];
    for (let k = first; k <= last; k += skip)
      for (const m of within) {
        const tick = m * 10 ** k;
        if (tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) found.push(tick);
      }
    return found;
  }
  const rough = (high - low) / Math.max(2, pixels / 55), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  for (let t = Math.ceil(low / step) * step; t <= high * (1 + 1e-9); t += step) found.push(t);
  return found;
}

function frame(svg, x, y, axes, width, height) {
  for (const tick of y.ticks) {
    const at = y.at(tick);
    svg.append(element("line", { x1: LEFT, x2: width - RIGHT, y1: at, y2: at, stroke: "#ececec" }));
    const text = { x: LEFT - 6, y: at + 4, "text-anchor": "end" };
    svg.append(element("text", text, tickText(tick, y.log)));
  }
  for (const tick of x.ticks) {
    const at = x.at(tick), bottom = height - BOTTOM;
    svg.append(element("line", { x1: at, x2: at, y1: bottom, y2: bottom + 5, stroke: "#555" }));
    const text = { x: at, y: bottom + 18, "text-anchor": "middle" };
    svg.append(element("text", text, tickText(tick, x.log)));
  }
  const path = `M${LEFT} ${TOP}V${height - BOTTOM}H${width - RIGHT}`;
  svg.append(element("path", { d: path, fill: "none", stroke: "#555" }));
  const middle = (LEFT + width - RIGHT) / 2;
  svg.append(element("text", { x: middle, y: height - 5, "text-anchor": "middle" }, axes.x.label));
  const turn = `translate(13 ${(TOP + height - BOTTOM) / 2}) rotate(-90)`;
  svg.append(element("text", { transform: turn, "text-anchor": "middle" }, axes.y.label));
}

// What is of earlier settings.
const opacity = (item, usual = 1) => (item.pale ? 0.3 : usual);
const dashes = (line) => (line.dash.length ? line.dash.map((d) => d * 1.7).join(" ") : "none");

function path(line, x, y, clip) {
  let d = "", down = false;
  line.x.forEach((value, i) => {
    const other = line.y[i];
    if (value === null || other === null || (x.log && value <= 0)) { down = false; return; }
    d += `${down ? "L" : "M"}${x.at(value).toFixed(1)} ${y.at(other).toFixed(1)}`;
    down = true;
  });
  return element("path", {
    d, fill: "none", stroke: line.color, "stroke-dasharray": dashes(line), "data-line": line.name,
    "stroke-width": line.thin ? 1.2 : 2.6, opacity: opacity(line, line.thin ? 0.85 : 1),
    "clip-path": `url(#${clip})`,
  });
}

function swatch(kind, item) {
  const svg = element("svg", { viewBox: "0 0 30 12", "aria-hidden": "true" });
  const ends = kind === "mark" ? { x1: 15, x2: 15, y1: 0, y2: 12 } : { x1: 0, x2: 30, y1: 6, y2: 6 };
  const width = kind === "line" ? (item.thin ? 1.2 : 2.6) : 1.5;
  const dash = kind === "mark" ? "3 2" : dashes(item);
  svg.append(element("line", {
    ...ends, stroke: item.color, "stroke-width": width, "stroke-dasharray": dash,
  }));
  return svg;
}

function legend(chart) {
  const list = html("ul", { class: "legend" });
  const groups = { line: chart.lines, level: chart.levels, mark: chart.marks };
  for (const [kind, items] of Object.entries(groups))
    for (const item of items)
      if (kind === "line" || item.at !== null) list.append(html("li", {}, swatch(kind, item), item.label));
  return list;
}

function drawLevels(svg, levels, y, width) {
  let free = Infinity;
  const inside = levels.filter((l) => l.at > 0 && l.at >= y.low && l.at <= y.high);
  inside.sort((a, b) => a.at - b.at);
  for (const level of inside) {
    const at = y.at(level.at);
    svg.append(element("line", {
      x1: LEFT, x2: width - RIGHT, y1: at, y2: at, stroke: level.color, "stroke-width": 1.5,
      "stroke-dasharray": dashes(level), "data-level": level.name, opacity: opacity(level),
    }));
    if (width < WIDE) continue;
    free = Math.min(at + 4, free - 14);
    svg.append(element("text", { x: width - RIGHT + 5, y: free }, level.short));
  }
}

function drawMarks(svg, marks, x, height) {
  const inside = marks.filter((m) => m.at !== null && m.at >= x.low && m.at <= x.high);
  inside.forEach((mark, i) => {
    const at = x.at(mark.at), word = mark.name.split("_")[0].replace("log-alpha", "log(α)/λ");
    svg.append(element("line", {
      x1: at, x2: at, y1: TOP, y2: height - BOTTOM, stroke: mark.color, "stroke-width": 1.5,
      "stroke-dasharray": "5 3", "data-mark": mark.name, opacity: opacity(mark),
    }));
    const near = inside.some((other, j) => j < i && Math.abs(x.at(other.at) - at) < 80);
    const text = { x: at, y: TOP - 5 + (near ? 14 : 0), "text-anchor": "middle", class: "halo" };
    svg.append(element("text", text, `▾ ${word}`));
  });
}

// The values at the record nearest to where the pointer is, or where the arrow keys went.
function readouts(svg, chart, x, output, height) {
  const points = chart.lines[0]?.x.filter((v) => v !== null && v > 0) ?? [];
  if (!points.length) return;
  const cursor = element("line", { y1: TOP, y2: height - BOTTOM, stroke: "#000", opacity: 0.5 });
  cursor.style.display = "none";
  svg.append(cursor);
  let index = points.length - 1;
  const show = () => {
    const at = points[index];
    cursor.style.display = "";
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x.at(at));
    const values = chart.lines.filter((line) => !line.pale).map((line) => {
      const i = line.x.indexOf(at);
      return i < 0 ? null : `${line.label} ${short(line.y[i])}`;
    });
    output.textContent = `${chart.x.label.split(":")[0]} ${short(at)}: ${values.filter(Boolean).join(", ")}`;
  };
  svg.addEventListener("pointermove", (event) => {
    const px = event.clientX - svg.getBoundingClientRect().left;
    const far = points.map((p) => Math.abs(x.at(p) - px));
    index = far.indexOf(Math.min(...far));
    show();
  });
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!move) return;
    event.preventDefault();
    index = Math.min(points.length - 1, Math.max(0, index + move));
    show();
  });
  svg.addEventListener("focus", show);
}

function heading(section, title) {
  return html("h2", { id: `${section.id}-title` }, title);
}

export function draw(section, chart, tall) {
  const width = Math.max(280, section.clientWidth), height = Math.round(Math.min(tall, 0.6 * width));
  RIGHT = width >= WIDE && chart.levels.length ? 84 : 12;
  const svg = element("svg", {
    viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img",
    "aria-label": `${chart.title}; arrow keys read the values`,
  });
  const clip = element("clipPath", { id: `${section.id}-plot` });
  clip.append(element("rect", {
    x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM,
  }));
  svg.append(clip);
  const levels = chart.levels.map((l) => l.at);
  const y = scale(chart.y, [...chart.lines.flatMap((l) => l.y), ...levels], height - BOTTOM, TOP);
  const x = scale(chart.x, chart.lines.flatMap((l) => l.x), LEFT, width - RIGHT);
  frame(svg, x, y, chart, width, height);
  chart.lines.forEach((line) => svg.append(path(line, x, y, clip.id)));
  drawLevels(svg, chart.levels, y, width);
  drawMarks(svg, chart.marks, x, height);
  const output = html("p", { class: "readout" });
  readouts(svg, chart, x, output, height);
  const names = legend(chart), apart = document.getElementById(section.dataset.legend);
  if (apart) apart.replaceChildren(names);
  section.replaceChildren(heading(section, chart.title), svg, ...(apart ? [] : [names]), output);
}

// How a phase looks: told apart in grey by lightness and by its letter.
const PHASES = {
  "memorises": { fill: "#5f5f5f", ink: "#fff", letter: "m" },
  "groks": { fill: "#e69f00", ink: "#000", letter: "g" },
  "generalises at once": { fill: "#d6ebf8", ink: "#000", letter: "o" },
  "not fitted": { fill: "#fff", ink: "#000", letter: "n" },
};

export function drawPhases(section, found) {
  RIGHT = 12;
  const width = Math.max(280, section.clientWidth), height = Math.round(Math.min(300, 0.8 * width));
  const svg = element("svg", {
    viewBox: `0 0 ${width} ${height}`, height, role: "img",
    "aria-label": found.here ? `Phase diagram: this run ${found.here.phase}` : "Phase diagram",
  });
  const ends = (values) => {
    const half = Math.sqrt(values[1] / values[0]); // of a cell
    return { low: values[0] / half, high: values.at(-1) * half };
  };
  const chart = {
    x: { log: true, ...ends(found.x), label: "P/D: samples per dimension" },
    y: { log: true, ...ends(found.y), label: "αε/|β|²: richness" },
  };
  const x = scale(chart.x, found.x, LEFT, width - RIGHT);
  const y = scale(chart.y, found.y, height - BOTTOM, TOP);
  const edges = (values, i, s) => [
    i ? s.at(Math.sqrt(values[i - 1] * values[i])) : s.at(s.low),
    i < values.length - 1 ? s.at(Math.sqrt(values[i] * values[i + 1])) : s.at(s.high),
  ];
  frame(svg, { ...x, ticks: [1, 2, 5, 10, 20, 50].filter((t) => t <= x.high) }, y, chart, width, height);
  found.cells.forEach((row, j) => row.forEach((phase, i) => {
    if (!phase) return;
    const [left, right] = edges(found.x, i, x), [bottom, top] = edges(found.y, j, y);
    const look = PHASES[phase];
    svg.append(element("rect", {
      x: left, y: top, width: right - left, height: bottom - top, fill: look.fill, stroke: "#fff",
    }));
    const text = { x: (left + right) / 2, y: (top + bottom) / 2 + 4, "text-anchor": "middle" };
    const letter = element("text", text, look.letter);
    letter.style.fill = look.ink;
    svg.append(letter);
  }));
  let outside = "";
  if (found.here) {
    const clamp = (v, s) => Math.min(s.high, Math.max(s.low, v));
    const at = [clamp(found.here.x, x), clamp(found.here.y, y)];
    if (at[0] !== found.here.x || at[1] !== found.here.y) outside = " (outside the diagram)";
    const place = { cx: x.at(at[0]), cy: y.at(at[1]), id: "here" };
    svg.append(element("circle", { ...place, r: 8, fill: "#fff", stroke: "#000", "stroke-width": 3 }));
    svg.append(element("circle", { ...place, id: "", r: 3, fill: "#000" }));
  }
  const list = html("ul", { class: "legend" });
  for (const [phase, look] of Object.entries(PHASES).slice(0, 3)) {
    const sample = element("svg", { viewBox: "0 0 30 12", "aria-hidden": "true" });
    sample.append(element("rect", { width: 30, height: 12, fill: look.fill, stroke: "#555" }));
    const letter = element("text", { x: 15, y: 10, "text-anchor": "middle" }, look.letter);
    letter.style.fill = look.ink;
    sample.append(letter);
    list.append(html("li", {}, sample, phase));
  }
  const here = found.here ? `◉ this run: ${found.here.phase}${outside}. ` : "";
  const note = `${here}Forecasts at D = ${found.D}, one data set a cell.`;
  section.replaceChildren(
    heading(section, "Where this run lies"), svg, list, html("p", { class: "readout" }, note),
  );
}
