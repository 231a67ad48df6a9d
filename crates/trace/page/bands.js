// Faults as bands in the columns that they strike; what is selected; the names on top; and the
// whole run at the right edge.

const overview = document.getElementById("overview");
const smallPen = overview.getContext("2d");
const OVERVIEW = 18;

function bandOf(fault) {
  const y0 = fault.began === null ? HEAD - view.scroll : screenY(fault.began);
  const y1 = fault.ended === null ? HEAD + view.total * view.zoom - view.scroll : screenY(fault.ended);
  return [y0, y1];
}

function faultShown(fault) {
  return !view.hiddenKinds.has("faults and starts") && fault.began !== fault.ended;
}

const patterns = new Map();
function hatch(kind) {
  const key = `${kind}${dark.matches}`;
  if (patterns.has(key)) return patterns.get(key);
  const tile = document.createElement("canvas");
  tile.width = tile.height = 10;
  const brush = tile.getContext("2d");
  brush.strokeStyle = ink.alarm;
  brush.globalAlpha = dark.matches ? 0.42 : 0.34;
  brush.lineWidth = 1.3;
  const strokes = {
    crash: [[0, 10, 10, 0], [-2, 2, 2, -2], [8, 12, 12, 8]],
    pause: [[0, 3, 10, 3]], disk: [[5, 0, 5, 10]], clock: [[0, 5, 10, 5], [5, 0, 5, 10]],
    network: [[0, 0, 10, 10]], other: [[0, 0, 3, 3], [5, 5, 8, 8]], partition: [],
  }[kind] || [];
  for (const [x0, y0, x1, y1] of strokes) {
    brush.beginPath(); brush.moveTo(x0, y0); brush.lineTo(x1, y1); brush.stroke();
  }
  const pattern = pen.createPattern(tile, "repeat");
  patterns.set(key, pattern);
  return pattern;
}

function drawFaultBands() {
  for (const fault of faults) {
    if (!faultShown(fault)) continue;
    const [y0, y1] = bandOf(fault);
    if (y1 < HEAD || y0 > view.height) continue;
    const top = Math.max(y0, HEAD), height = Math.min(y1, view.height) - top;
    fault.groups.forEach((group, side) => {
      for (const server of group) if (view.columns.includes(server)) drawBand(fault, server, side, top, height);
    });
    if (fault.groups.length > 1) drawWalls(fault, top, height);
  }
}

function drawBand(fault, server, side, top, height) {
  const x = xOf(server) - lifelineInset() + 3, width = view.columnWidth - 6;
  pen.fillStyle = ink.alarm;
  pen.globalAlpha = fault.kind === "partition" ? (dark.matches ? 0.1 : 0.06) : (dark.matches ? 0.08 : 0.05);
  pen.fillRect(x, top, width, height);
  pen.globalAlpha = 1;
  if (fault.kind !== "partition") {
    pen.fillStyle = hatch(fault.kind);
    pen.fillRect(x, top, fault.kind === "crash" ? width : lifelineInset() * 2 - 6, height);
  } else if (fault.groups.length > 1 && height > 26) {
    pen.font = BOLD;
    pen.fillStyle = ink.alarm;
    pen.textAlign = "right";
    pen.fillText(`side ${String.fromCharCode(65 + side)}`, x + width - 5, top + height - 9);
    pen.textAlign = "left";
  }
}

// Between neighbours that cannot reach each other.
function drawWalls(fault, top, height) {
  const sideOf = server => fault.groups.findIndex(group => group.includes(server));
  pen.strokeStyle = ink.alarm;
  pen.lineWidth = 2.5;
  pen.setLineDash([8, 5]);
  for (let k = 1; k < view.columns.length; k++) {
    if (sideOf(view.columns[k - 1]) === sideOf(view.columns[k])) continue;
    const x = GUTTER + k * view.columnWidth;
    line(x, top, x, top + height);
  }
  pen.setLineDash([]);
}

// A band's name stays in sight while the band is.
function drawFaultLabels() {
  for (const fault of faults) {
    if (!faultShown(fault)) continue;
    const [y0, y1] = bandOf(fault);
    if (y1 < HEAD + 14 || y0 > view.height) continue;
    drawFaultLabel(fault, Math.min(Math.max(y0, HEAD + 12), Math.max(y0, y1 - 10)));
  }
}

function drawFaultLabel(fault, y) {
  const struck = fault.groups.flat().filter(server => view.columns.includes(server));
  if (struck.length === 0) return;
  const several = fault.groups.flat().length > 1;
  const x = several ? GUTTER + 4 : xOf(struck[0]) + 12;
  const room = several ? view.width - GUTTER - 60 : view.columnWidth - lifelineInset() - 22;
  pen.font = BOLD;
  const words = several ? `${FAULTS[fault.kind]}: ${sideNames(fault)} — ${fault.label}` : `${FAULTS[fault.kind]}: ${fault.label}`;
  const text = clip(words, room);
  const width = pen.measureText(text).width + 14;
  pill(x, y, width, ink.paper, ink.alarm);
  pen.fillStyle = ink.alarm;
  pen.fillText(text, x + 7, y + 0.5);
  if (fault.began !== null) targets.push({ i: fault.began, x0: x, y0: y, x1: x + width, y1: y });
}

function drawSelection() {
  for (const [i, colour, width] of [[view.hover, ink.soft, 0.6], [view.selected, ink.accent, 1.6]]) {
    if (i === null) continue;
    const y = screenY(i);
    if (y < HEAD || y > view.height) continue;
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.setLineDash(i === view.selected ? [] : [4, 4]);
    line(GUTTER - 8, y + 9.5, view.width, y + 9.5);
    pen.setLineDash([]);
    if (i !== view.selected) continue;
    pen.fillStyle = colour;
    pen.beginPath();
    pen.moveTo(GUTTER - 9, y - 6); pen.lineTo(GUTTER - 2, y); pen.lineTo(GUTTER - 9, y + 6);
    pen.fill();
  }
  for (const target of targets) {
    if (!matches.has(target.i)) continue;
    pen.strokeStyle = ink.accent;
    pen.lineWidth = 2;
    pen.strokeRect(Math.min(target.x0, target.x1) - 4, Math.min(target.y0, target.y1) - 11, Math.abs(target.x1 - target.x0) + 8, Math.abs(target.y1 - target.y0) + 22);
  }
}

// Names, and what each server is where the picture is cut off at the top.
function drawHeads(top) {
  pen.fillStyle = ink.panel;
  pen.fillRect(0, 0, view.width, HEAD);
  pen.strokeStyle = ink.line;
  pen.lineWidth = 1;
  line(0, HEAD - 0.5, view.width, HEAD - 0.5);
  pen.fillStyle = ink.soft;
  pen.font = FONT;
  pen.textAlign = "right";
  pen.fillText("ms", GUTTER - 12, HEAD - 14);
  pen.textAlign = "left";
  const first = firstShownAt(top + ROW);
  const servers = serversAt(first >= shown.length ? events.length - 1 : shown[first] - 1);
  for (const server of view.columns) {
    const state = servers[server], x = xOf(server), room = view.columnWidth - lifelineInset() - 14;
    const [fill] = termColours(state.term);
    pen.font = `600 14px system-ui, sans-serif`;
    pen.fillStyle = ink.ink;
    const name = clip(nameOf(server), room / 2) || nameOf(server).slice(0, 3);
    pen.fillText(name, x + 13, 16);
    const width = pen.measureText(name).width;
    if (state.up) drawShape(state.role, x, 16, fill);
    pen.font = FONT;
    pen.fillStyle = ink.soft;
    const role = state.up ? `${ROLES[state.role]}, term ${state.term}` : "down";
    const short = state.up ? `term ${state.term}` : "down";
    const text = pen.measureText(role).width <= room - width - 8 ? role : clip(short, room - width - 8);
    pen.fillText(text, x + 13 + width + 8, 16);
    drawLog(tailOf(state), x + 13, 39, room, null);
  }
}

// The run in a strip: leaders' terms, faults, matches, and the part in sight.
function drawOverview() {
  const ratio = devicePixelRatio || 1, height = view.height;
  smallPen.setTransform(ratio, 0, 0, ratio, 0, 0);
  smallPen.fillStyle = ink.panel;
  smallPen.fillRect(0, 0, OVERVIEW, height);
  if (view.total <= 0) return;
  const scale = height / view.total;
  const yIn = i => (i === null || i < 0 ? 0 : yOf[i] * scale);
  for (const server of view.columns) {
    lifelines[server].forEach((segment, k) => {
      if (segment.role !== "leader" || !segment.up) return;
      const next = lifelines[server][k + 1];
      const y1 = next ? yIn(next.i) : height;
      smallPen.fillStyle = termColours(segment.term)[0];
      smallPen.fillRect(3, yIn(segment.i), 7, Math.max(1.5, y1 - yIn(segment.i)));
    });
  }
  smallPen.fillStyle = ink.alarm;
  for (const fault of faults) {
    const y0 = yIn(fault.began), y1 = fault.ended === null ? height : yIn(fault.ended);
    smallPen.globalAlpha = 0.5;
    smallPen.fillRect(11, y0, 4, Math.max(1.5, y1 - y0));
  }
  smallPen.globalAlpha = 1;
  smallPen.fillStyle = ink.accent;
  for (const i of matches) smallPen.fillRect(0, yIn(i), OVERVIEW, 2);
  if (view.selected !== null) smallPen.fillRect(0, yIn(view.selected) - 1, OVERVIEW, 3);
  smallPen.strokeStyle = ink.ink;
  smallPen.lineWidth = 1.5;
  const y = (view.scroll / view.zoom) * scale;
  smallPen.strokeRect(1, y, OVERVIEW - 2, Math.max(6, ((height - HEAD) / view.zoom) * scale));
}
