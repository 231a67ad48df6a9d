// Everything that the reader can do: move, zoom, step, play, filter, search.

const byId = id => document.getElementById(id);
const stage = byId("stage"), tip = byId("tip");
let timer = null;

function resize() {
  const ratio = devicePixelRatio || 1, box = stage.getBoundingClientRect();
  view.width = Math.max(200, box.width - OVERVIEW);
  view.height = Math.max(120, box.height);
  for (const [element, width] of [[canvas, view.width], [overview, OVERVIEW]]) {
    element.width = Math.round(width * ratio);
    element.height = Math.round(view.height * ratio);
    element.style.width = `${width}px`;
    element.style.height = `${view.height}px`;
  }
  layOut();
  redraw();
}

function scrollTo(y) {
  view.scroll = y;
  measure();
  redraw();
}

function zoomBy(factor, atY = view.height / 2) {
  const fixed = (view.scroll + atY - HEAD) / view.zoom;
  view.zoom = Math.max(0.05, Math.min(view.trueTime ? 1000 : 12, view.zoom * factor));
  byId("zoom-reset").textContent = `${Math.round(view.zoom * 100)} %`;
  scrollTo(fixed * view.zoom - atY + HEAD);
}

function select(i, reveal) {
  view.selected = i;
  if (i !== null && reveal) {
    const y = screenY(i);
    if (y < HEAD + 40 || y > view.height - 60) scrollTo(yOf[i] * view.zoom - (view.height - HEAD) * 0.4);
  }
  showPanel();
  redraw();
}

function step(by) {
  if (shown.length === 0) return;
  let at;
  if (view.selected === null) {
    at = by > 0 ? firstShownAt(view.scroll / view.zoom) : shown.length - 1;
  } else {
    let low = 0, high = shown.length;
    while (low < high) { const middle = (low + high) >> 1; if (shown[middle] < view.selected) low = middle + 1; else high = middle; }
    at = by > 0 && shown[low] !== view.selected ? low : low + by;
  }
  if (at >= shown.length) { play(false); return; }
  select(shown[Math.max(0, at)], true);
}

function play(on = timer === null) {
  clearInterval(timer);
  timer = on ? setInterval(() => step(1), 1000 / Number(byId("speed").value)) : null;
  byId("play").textContent = on ? "■" : "▶";
}

// What is nearest to a point, if anything is near.
function hit(x, y) {
  let best = null, nearest = 9;
  if (y < HEAD) return null;
  for (const target of targets) {
    const dx = target.x1 - target.x0, dy = target.y1 - target.y0;
    const along = Math.max(0, Math.min(1, ((x - target.x0) * dx + (y - target.y0) * dy) / (dx * dx + dy * dy || 1)));
    let distance = Math.hypot(x - target.x0 - along * dx, y - target.y0 - along * dy);
    if (target.end === undefined) distance -= 3; // labels before arrows
    if (distance >= nearest) continue;
    nearest = distance;
    best = target.end != null && along > 0.6 ? target.end : target.i;
  }
  return best;
}

function hover(x, y) {
  const i = hit(x, y);
  if (i !== view.hover) { view.hover = i; redraw(); }
  tip.hidden = i === null;
  canvas.style.cursor = i === null ? "default" : "pointer";
  if (i === null) return;
  tip.textContent = `${clock(events[i].at)} · ${sentenceOf(events[i])}`;
  const left = Math.min(x + 14, view.width - tip.offsetWidth - 8);
  const below = y + 18 + tip.offsetHeight < view.height;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${below ? y + 18 : y - tip.offsetHeight - 10}px`;
}

// One finger or the mouse drags and clicks; two fingers pinch.
function listenToPointers() {
  const down = new Map();
  let moved = 0, apart = 0;
  const spread = () => { const [a, b] = [...down.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
  canvas.addEventListener("pointerdown", e => {
    canvas.setPointerCapture(e.pointerId);
    down.set(e.pointerId, { x: e.offsetX, y: e.offsetY });
    moved = 0;
    if (down.size === 2) apart = spread();
  });
  canvas.addEventListener("pointermove", e => {
    const last = down.get(e.pointerId);
    if (!last) { hover(e.offsetX, e.offsetY); return; }
    const dy = e.offsetY - last.y;
    moved += Math.abs(dy) + Math.abs(e.offsetX - last.x);
    down.set(e.pointerId, { x: e.offsetX, y: e.offsetY });
    if (down.size === 1) scrollTo(view.scroll - dy);
    else if (down.size === 2) {
      const now = spread(), [a, b] = [...down.values()];
      zoomBy(now / (apart || now), (a.y + b.y) / 2);
      apart = now;
    }
  });
  const up = e => {
    if (down.delete(e.pointerId) && e.type === "pointerup" && moved < 5) select(hit(e.offsetX, e.offsetY), false);
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => { view.hover = null; tip.hidden = true; redraw(); });
  canvas.addEventListener("wheel", e => {
    e.preventDefault();
    const unit = e.deltaMode === 1 ? 18 : 1;
    if (e.ctrlKey || e.metaKey) zoomBy(Math.exp(-Math.max(-40, Math.min(40, e.deltaY * unit)) * 0.006), e.offsetY);
    else scrollTo(view.scroll + e.deltaY * unit);
  }, { passive: false });
  const seek = e => { if (e.buttons) scrollTo((e.offsetY / view.height) * view.total * view.zoom - (view.height - HEAD) / 2); };
  overview.addEventListener("pointerdown", e => { overview.setPointerCapture(e.pointerId); seek(e); });
  overview.addEventListener("pointermove", seek);
}

const KEYS = {
  ArrowDown: () => step(1), ArrowRight: () => step(1), j: () => step(1),
  ArrowUp: () => step(-1), ArrowLeft: () => step(-1), k: () => step(-1),
  " ": () => play(), "+": () => zoomBy(1.25), "=": () => zoomBy(1.25), "-": () => zoomBy(0.8),
  "0": () => zoomBy(1 / view.zoom), t: () => toggleAxis(), "?": () => select(null),
  Home: () => { select(shown[0] ?? null, true); scrollTo(0); },
  End: () => select(shown[shown.length - 1] ?? null, true),
  PageDown: () => scrollTo(view.scroll + view.height * 0.8),
  PageUp: () => scrollTo(view.scroll - view.height * 0.8),
  "/": () => byId("search").focus(),
  Escape: () => { play(false); select(null); },
};

function listenToKeys() {
  addEventListener("keydown", e => {
    if (/^(INPUT|SELECT|TEXTAREA|SUMMARY)$/.test(e.target.tagName)) {
      if (e.key === "Escape") canvas.focus();
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey || !KEYS[e.key]) return;
    if (e.key === " " && e.target.tagName === "BUTTON") return;
    e.preventDefault();
    KEYS[e.key]();
  });
}

function toggleAxis() {
  const middle = firstShownAt((view.scroll + (view.height - HEAD) * 0.3) / view.zoom);
  const kept = view.selected ?? shown[middle] ?? null;
  view.trueTime = !view.trueTime;
  zoomBy(1 / view.zoom);
  byId("axis").setAttribute("aria-pressed", String(view.trueTime));
  layOut();
  if (kept !== null) scrollTo(yOf[kept] * view.zoom - (view.height - HEAD) * 0.3);
  redraw();
}

function check(box, name, count, hidden, key) {
  const input = make("input", { type: "checkbox" });
  input.checked = !hidden.has(key);
  input.addEventListener("change", () => {
    if (input.checked) hidden.delete(key); else hidden.add(key);
    const first = shown[firstShownAt(view.scroll / view.zoom)];
    layOut();
    if (first !== undefined) scrollTo(yOf[first] * view.zoom - 20);
    showPanel();
    redraw();
  });
  box.append(make("label", {}, input, make("span", { text: name }), count === null ? null : make("span", { class: "count", text: count })));
}

function fillMenus() {
  const counts = new Map();
  for (const event of events) counts.set(event.kind, (counts.get(event.kind) || 0) + 1);
  const kinds = [...counts.keys()].sort((a, b) => a.startsWith("message") - b.startsWith("message") || a.localeCompare(b));
  for (const kind of kinds) check(byId("kinds"), kind, counts.get(kind), view.hiddenKinds, kind);
  trace.servers.forEach((name, server) => check(byId("servers"), name, null, view.hiddenServers, server));
  addEventListener("pointerdown", e => {
    for (const menu of document.querySelectorAll(".menu")) if (!menu.contains(e.target)) menu.open = false;
  });
}

// Events whose words contain all words that were typed.
function search(by) {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length ? shown.filter(i => words.every(word => textOf(events[i]).includes(word))) : [];
  matches = new Set(found);
  if (found.length && by) {
    const from = view.selected ?? (by > 0 ? -1 : events.length);
    const later = found.filter(i => (by > 0 ? i > from : i < from));
    select(by > 0 ? later[0] ?? found[0] : later[later.length - 1] ?? found[found.length - 1], true);
  }
  const place = found.indexOf(view.selected);
  byId("found").textContent = words.length ? (place >= 0 ? `${place + 1} of ${found.length}` : `${found.length}`) : "";
  redraw();
}

function start() {
  byId("about").textContent = trace.about.join(" · ");
  if (trace.dropped > 0) {
    byId("dropped").textContent = `${trace.dropped} earlier events are not here: there were more than a trace may hold. The picture begins with how things stood then.`;
    byId("dropped").hidden = false;
  } else if (trace.left_out > 0) {
    byId("dropped").textContent = `The picture begins after the first ${trace.left_out} events, as was asked, with how things stood then.`;
    byId("dropped").hidden = false;
  }
  const clicks = {
    previous: () => step(-1), next: () => step(1), play: () => play(), axis: toggleAxis, help: () => select(null),
    "zoom-in": () => zoomBy(1.25), "zoom-out": () => zoomBy(0.8), "zoom-reset": () => zoomBy(1 / view.zoom),
  };
  for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
  byId("speed").addEventListener("change", () => { if (timer !== null) play(true); });
  byId("search").addEventListener("input", () => search(0));
  byId("search").addEventListener("keydown", e => { if (e.key === "Enter") search(e.shiftKey ? -1 : 1); });
  dark.addEventListener("change", () => { readInk(); showPanel(); redraw(); });
  readInk();
  fillMenus();
  listenToPointers();
  listenToKeys();
  new ResizeObserver(resize).observe(stage);
  resize();
  showPanel();
}

start();
