// The picture. Only what is in sight is drawn; nothing is kept between two drawings but where
// things came to stand, so that a click finds them.

const canvas = document.getElementById("picture");
const pen = canvas.getContext("2d");
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
const BOLD = `600 ${FONT}`;
const dark = matchMedia("(prefers-color-scheme: dark)");
// After Okabe and Ito: colours that the colour-blind tell apart. They repeat after seven terms; the
// number is always there too. [line and fill, text on it]
const LIGHT_TERMS = [["#0072b2", "#fff"], ["#e69f00", "#000"], ["#008060", "#fff"], ["#b8528f", "#fff"], ["#d55e00", "#fff"], ["#3a9bd6", "#000"], ["#857400", "#fff"]];
const DARK_TERMS = [["#5aa9e6", "#000"], ["#f2b134", "#000"], ["#2fbf95", "#000"], ["#e39bc4", "#000"], ["#ff8a5b", "#000"], ["#9adcff", "#000"], ["#f0e442", "#000"]];
const NO_TERM = ["#7d8790", "#fff"];
let ink = {};
let targets = []; // what can be hit: { i, x0, y0, x1, y1 }
let matches = new Set();
let lettered = []; // where labels of arrows lie, so that none covers another

function termColours(term) {
  if (!term) return NO_TERM;
  const colours = dark.matches ? DARK_TERMS : LIGHT_TERMS;
  return colours[(term - 1) % colours.length];
}

function readInk() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "panel", "ink", "soft", "line", "accent", "alarm", "note", "note-ink", "mark"]) {
    ink[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

let waits = false;
function redraw() {
  if (waits) return;
  waits = true;
  requestAnimationFrame(() => { waits = false; draw(); });
}

function draw() {
  const ratio = devicePixelRatio || 1;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = ink.paper;
  pen.fillRect(0, 0, view.width, view.height);
  pen.textBaseline = "middle";
  targets = [];
  lettered = [];
  const top = view.scroll / view.zoom, bottom = (view.scroll + view.height) / view.zoom;
  const from = Math.max(0, firstShownAt(top - 80));
  const to = Math.min(shown.length, firstShownAt(bottom + 20));
  drawFaultBands();
  drawLifelines(top);
  drawTimes(from, to);
  drawArrows(top, bottom);
  drawLabels(from, to);
  drawFaultLabels();
  drawSelection();
  drawHeads(top);
  drawOverview();
}

// Times at the left, where there is room, and how long a long wait was.
function drawTimes(from, to) {
  pen.font = FONT;
  pen.textAlign = "right";
  let free = -Infinity, toldAt = -1;
  for (let k = from; k < to; k++) {
    const event = events[shown[k]], y = screenY(event.i);
    if (event.at === toldAt) continue;
    const waited = k > 0 ? event.at - events[shown[k - 1]].at : 0;
    if (!view.trueTime && waited >= 2e7 && y - free > 22 * Math.min(1, view.zoom)) {
      pen.fillStyle = ink.soft;
      pen.globalAlpha = 0.75;
      const middle = y - (waitHeight(waited) * view.zoom) / 2 - 8 * Math.min(1, view.zoom);
      if (view.zoom > 0.6) pen.fillText(`⋮ ${span(waited)}`, GUTTER - 12, middle);
      pen.globalAlpha = 1;
    }
    if (y - free < 14) continue;
    toldAt = event.at;
    free = y;
    pen.fillStyle = ink.soft;
    const millis = event.at / 1e6;
    pen.fillText(millis.toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3, useGrouping: false }), GUTTER - 12, y);
  }
  pen.textAlign = "left";
}

// A server's line: as thick as its role, in the colour of its term, absent while it is down.
function drawLifelines(top) {
  const firstIndex = (shown[Math.max(0, firstShownAt(top) - 1)] ?? 0) - 1;
  for (const server of view.columns) {
    const segments = lifelines[server], x = xOf(server);
    for (let k = Math.max(0, firstIndexAfter(segments, firstIndex) - 1); k < segments.length; k++) {
      const segment = segments[k], next = segments[k + 1];
      const y0 = segment.i < 0 ? HEAD - view.scroll : screenY(segment.i);
      const y1 = next ? screenY(next.i) : HEAD + view.total * view.zoom - view.scroll;
      if (y0 > view.height) break;
      if (y1 < HEAD) continue;
      drawSegment(segment, x, Math.max(y0, HEAD - 4), Math.min(y1, view.height + 4));
    }
  }
}

function drawSegment(segment, x, y0, y1) {
  if (!segment.up) {
    pen.strokeStyle = ink.line;
    pen.lineWidth = 1;
    pen.setLineDash([1, 5]);
  } else {
    pen.strokeStyle = termColours(segment.term)[0];
    const asks = segment.role === "candidate" || segment.role === "pre_candidate";
    pen.lineWidth = segment.role === "leader" ? 8 : asks ? 4 : 2.5;
    pen.setLineDash(asks ? [5, 4] : []);
  }
  line(x, y0, x, y1);
  pen.setLineDash([]);
}

function line(x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function drawArrows(top, bottom) {
  let last = arrows.length - 1;
  let low = 0, high = arrows.length;
  while (low < high) { // the first arrow that begins below what is in sight
    const middle = (low + high) >> 1;
    if (yOf[arrows[middle].sent ?? arrows[middle].end] <= bottom) low = middle + 1; else high = middle;
  }
  last = low - 1;
  for (let k = last; k >= 0 && reach[k] >= top - 2 * ROW; k--) {
    const message = arrows[k];
    const ends = yOf[message.end ?? message.sent];
    if (ends >= top - 2 * ROW) drawArrow(message);
  }
}

function drawArrow(message) {
  const { from, to, term } = message.what;
  const known = message.sent !== null, over = message.end !== null;
  const lost = message.lost !== null;
  const x0 = xOf(from), goal = xOf(to);
  const side = Math.sign(goal - x0) || 1;
  let y0 = known ? screenY(message.sent) : HEAD - view.scroll;
  let y1 = over ? screenY(message.end) : y0 + 2 * ROW * view.zoom;
  let x1 = goal - side * 5;
  if (lost || !over) { // cut short on its way
    x1 = x0 + (goal - x0) * 0.68;
    y1 = y0 + Math.min(y1 - y0, 90 * view.zoom) * 0.68;
  }
  const picked = [message.sent, message.end].some(i => i !== null && (i === view.selected || i === view.hover));
  pen.strokeStyle = pen.fillStyle = termColours(term)[0];
  pen.lineWidth = picked ? 3 : message.what.routine ? 0.8 : 1.4;
  pen.globalAlpha = message.what.routine && !picked ? 0.55 : 1;
  if (message.what.repeats) pen.setLineDash([6, 3]);
  line(x0, y0, x1, y1);
  if (message.what.repeats) pen.setLineDash([]);
  if (lost) drawCross(x1, y1);
  else if (over && view.zoom > 0.25) drawHead(x0, y0, x1, y1);
  if (view.zoom > 0.55 || picked) drawArrowLabel(message, x0, y0, x1, y1, picked);
  pen.globalAlpha = 1;
  const i = message.sent ?? message.end;
  targets.push({ i, end: message.end, x0, y0, x1, y1 });
}

function drawHead(x0, y0, x1, y1) {
  const angle = Math.atan2(y1 - y0, x1 - x0);
  pen.beginPath();
  pen.moveTo(x1, y1);
  for (const turn of [2.7, -2.7]) pen.lineTo(x1 + 9 * Math.cos(angle + turn), y1 + 9 * Math.sin(angle + turn));
  pen.closePath();
  pen.fill();
}

function drawCross(x, y) {
  pen.strokeStyle = ink.alarm;
  pen.lineWidth = 2.4;
  line(x - 5, y - 5, x + 5, y + 5);
  line(x - 5, y + 5, x + 5, y - 5);
}

// The label lies along the arrow, in the last column before its goal: there the arrows of one fan
// are apart.
function drawArrowLabel(message, x0, y0, x1, y1, picked) {
  const { kind, summary, routine } = message.what;
  const lost = message.lost !== null;
  const length = Math.hypot(x1 - x0, y1 - y0);
  const room = Math.min(length - 26, view.columnWidth - 34);
  if (room < 24 || routine && view.zoom < 1.3) return;
  pen.font = "11px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
  const text = clip(summary ? `${kind}: ${summary}` : kind, room, kind);
  if (!text) return;
  const width = pen.measureText(text).width;
  const rightwards = x1 > x0;
  const part = lost ? Math.max(0.5, 1 - (width / 2 + 14) / length) : Math.max(0.5, 1 - (width / 2 + 16) / length);
  const x = x0 + (x1 - x0) * part, y = y0 + (y1 - y0) * part;
  const flat = Math.abs(x1 - x0) / length;
  const covered = lettered.some(other => Math.abs(other.x - x) < 12 + (other.width + width) * 0.4 * flat && Math.abs(other.y - y) < 11);
  if (covered && !picked) return;
  lettered.push({ x, y, width });
  pen.save();
  pen.translate(x, y);
  pen.rotate(rightwards ? Math.atan2(y1 - y0, x1 - x0) : Math.atan2(y0 - y1, x0 - x1));
  pen.textAlign = "center";
  halo(text, 0, -7, ink.ink);
  pen.restore();
}

// As much of `text` as there is room for; at least the whole `must`, or nothing.
function clip(text, room, must = "") {
  if (pen.measureText(text).width <= room) return text;
  let length = Math.min(text.length - 1, Math.floor(room / 5));
  while (length > 0 && pen.measureText(`${text.slice(0, length)}…`).width > room) length--;
  if (length >= must.length + 4) return `${text.slice(0, length).trimEnd()}…`;
  if (must && pen.measureText(must).width <= room) return must;
  return length > 2 && !must ? `${text.slice(0, length)}…` : "";
}

function halo(text, x, y, colour) {
  pen.lineJoin = "round";
  pen.lineWidth = 3.5;
  pen.strokeStyle = ink.paper;
  pen.strokeText(text, x, y);
  pen.fillStyle = colour;
  pen.fillText(text, x, y);
}

// What happened to servers: right of their lines.
function drawLabels(from, to) {
  const lastY = new Map(), dots = new Map();
  for (let k = from; k < to; k++) {
    const event = events[shown[k]], type = event.what.type, y = screenY(event.i);
    if (event.message || type === "fault_ended" || type === "fault_began" && event.fault.ended !== event.i) continue;
    if (event.server == null) {
      if (y - (lastY.get(null) ?? -99) >= 20) { drawBanner(event, y); lastY.set(null, y); }
      continue;
    }
    if (!view.columns.includes(event.server)) continue;
    const next = events[event.i + 1];
    const told = type === "log" && next && next.what.type === "commit" && next.server === event.server && next.at === event.at;
    if (told && isShown(next)) continue;
    if (y - (lastY.get(event.server) ?? -99) < 12) {
      if (Math.round(y) !== dots.get(event.server)) drawDot(event, y); // one a pixel will do
      dots.set(event.server, Math.round(y));
      continue;
    }
    lastY.set(event.server, y);
    drawLabel(event, y);
  }
}

function drawDot(event, y) {
  const x = xOf(event.server);
  pen.fillStyle = matches.has(event.i) ? ink.alarm : ink.soft;
  pen.fillRect(x + 6, y - 1, 4, 2);
  targets.push({ i: event.i, x0: x, y0: y, x1: x + 10, y1: y });
}

function drawLabel(event, y) {
  const what = event.what, x = xOf(event.server);
  const room = view.columnWidth - lifelineInset() - 16;
  let end = x + 12;
  if (what.type === "log" || what.type === "commit") end = drawLog(tails.get(event.i), x + 12, y, room, event);
  else if (what.type === "role") end = drawRole(event, x, y, room);
  else end = drawWords(event, x + 12, y, room);
  targets.push({ i: event.i, x0: x, y0: y, x1: end, y1: y });
}

function pill(x, y, width, fill, edge) {
  pen.beginPath();
  pen.roundRect(x, y - 9, width, 18, 9);
  if (fill) { pen.fillStyle = fill; pen.fill(); }
  if (edge) { pen.strokeStyle = edge; pen.lineWidth = 1.2; pen.stroke(); }
}

// A role is a shape on the line (★ leads, ▲ asks for votes, ● follows) and words beside it.
function drawRole(event, x, y, room) {
  const { role, term } = event.what;
  const [fill, on] = termColours(term);
  const leads = role === "leader", asks = role === "candidate" || role === "pre_candidate";
  drawShape(role, x, y, fill);
  pen.font = leads || asks ? BOLD : FONT;
  const text = clip(labelOf(event), room - 18);
  if (!text) return x + 10;
  const width = pen.measureText(text).width + 16;
  if (leads) { pill(x + 13, y, width, fill); pen.fillStyle = on; pen.fillText(text, x + 21, y); }
  else if (asks) { pill(x + 13, y, width, ink.paper, fill); pen.fillStyle = ink.ink; pen.fillText(text, x + 21, y); }
  else halo(text, x + 13, y, ink.soft);
  return x + 13 + width;
}

function drawShape(role, x, y, fill) {
  pen.beginPath();
  if (role === "leader") {
    for (let k = 0; k < 10; k++) {
      const radius = k % 2 ? 4.5 : 10.5, angle = -Math.PI / 2 + k * Math.PI / 5;
      pen.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
  } else if (role === "follower") {
    pen.arc(x, y, 5, 0, 7);
  } else {
    pen.moveTo(x, y - 8); pen.lineTo(x + 8, y + 6); pen.lineTo(x - 8, y + 6);
  }
  pen.closePath();
  pen.fillStyle = role === "pre_candidate" ? ink.paper : fill;
  pen.strokeStyle = role === "pre_candidate" ? fill : ink.paper;
  pen.lineWidth = 2;
  pen.stroke();
  pen.fill();
}

// Entries as cells: filled when known to be committed here, dashed when not; the number is the term.
function drawLog(tail, x, y, room, event) {
  if (!tail) return x;
  if (tail.cut > 0) {
    pen.font = BOLD;
    halo(`✂ ${tail.cut}`, x, y, ink.alarm);
    const width = pen.measureText(`✂ ${tail.cut}`).width + 6;
    [x, room] = [x + width, room - width];
  }
  const cell = 18, word = tail.terms.length ? "" : tail.after ? `▣${tail.after}` : "log empty";
  pen.font = "11px system-ui, sans-serif";
  if (word) { halo(word, x, y, ink.soft); return x + pen.measureText(word).width; }
  let before = tail.first - 1;
  const fitting = Math.max(1, Math.floor((room - (before || tail.terms.length * cell > room ? 36 : 0)) / cell));
  const terms = tail.terms.slice(-fitting);
  before = tail.first + tail.terms.length - terms.length - 1;
  if (before > 0) {
    const words = before === tail.after ? `▣${before}` : `${before}…`;
    halo(words, x, y, ink.soft);
    x += pen.measureText(words).width + 3;
  }
  const changed = event && event.what.type === "log" ? event.what.keep : Infinity;
  terms.forEach((term, k) => {
    const index = before + 1 + k;
    drawEntry(x, y, 15, term, index <= tail.commit, index > changed);
    x += cell;
  });
  return x;
}

function drawEntry(x, y, size, term, committed, fresh) {
  const [fill, on] = termColours(term);
  pen.beginPath();
  pen.roundRect(x, y - size / 2, size, size, 3);
  pen.fillStyle = committed ? fill : ink.paper;
  pen.fill();
  pen.strokeStyle = fill;
  pen.lineWidth = 1.6;
  pen.setLineDash(committed ? [] : [3, 2]);
  pen.stroke();
  pen.setLineDash([]);
  pen.fillStyle = committed ? on : ink.ink;
  pen.textAlign = "center";
  pen.font = `${fresh ? 700 : 400} ${term > 99 ? 8 : 11}px system-ui, sans-serif`;
  pen.fillText(term, x + size / 2, y + 0.5);
  pen.textAlign = "left";
}

function drawWords(event, x, y, room) {
  const type = event.what.type;
  const strong = ["started", "snapshot_taken", "snapshot_installed", "note"].includes(type);
  pen.font = strong ? BOLD : FONT;
  const text = clip(labelOf(event), room, type === "started" ? "↻ starts" : "");
  if (!text) return x;
  const width = pen.measureText(text).width;
  if (type === "note") {
    pill(x - 2, y, width + 14, ink.note);
    pen.fillStyle = ink["note-ink"];
    pen.fillText(text, x + 5, y);
  } else if (type.startsWith("operation")) {
    pill(x - 2, y, width + 14, ink.paper, ink.soft);
    pen.fillStyle = ink.ink;
    pen.fillText(text, x + 5, y);
  } else {
    halo(text, x, y, type === "vote" ? termColours(event.what.term)[0] : type.startsWith("fault") ? ink.alarm : ink.ink);
    const left = room - width - 8, tail = tails.get(event.i);
    if ((type === "started" || type.startsWith("snapshot")) && tail.terms.length && left > 30) return drawLog(tail, x + width + 8, y, left, null);
  }
  return x + width + 12;
}

// Over all columns: notes, and what has no server.
function drawBanner(event, y) {
  if (event.what.type.startsWith("fault")) { drawFaultLabel(event.fault, y, ink.alarm); return; }
  const note = event.what.type === "note";
  const words = labelOf(event).split(/\s+/), lines = [""];
  pen.font = note ? BOLD : FONT;
  const room = view.width - GUTTER - 40;
  for (const word of words) {
    const longer = `${lines[lines.length - 1]} ${word}`.trim();
    if (pen.measureText(longer).width > room && lines[lines.length - 1]) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  if (view.zoom < 0.7) lines.length = 1;
  pen.fillStyle = note ? ink.note : ink.panel;
  pen.beginPath();
  pen.roundRect(GUTTER - 4, y - 11, view.width - GUTTER - 8, 17 * lines.length + 6, 5);
  pen.fill();
  pen.fillStyle = note ? ink["note-ink"] : ink.ink;
  lines.forEach((text, k) => pen.fillText(text, GUTTER + 6, y + 17 * k));
  targets.push({ i: event.i, x0: GUTTER, y0: y, x1: view.width - 20, y1: y });
}
