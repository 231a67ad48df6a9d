// Where each event stands: rows from top to bottom. Usually a row is as high as it needs to be, and
// a long wait costs little; with true time, heights are proportional to time.

const ROW = 21;
const GUTTER = 86;
const HEAD = 56;
const view = {
  width: 0, height: 0, scroll: 0, zoom: 1, trueTime: false, total: 0,
  columns: [], // shown servers, in order
  columnWidth: 0, selected: null, hover: null,
  hiddenServers: new Set(), hiddenKinds: new Set(["applied index", "heartbeats and answers"]),
};
let yOf = new Float64Array(events.length); // unscaled
let shown = []; // indexes of events that the filters let through
let arrows = []; // messages to draw, by the event that comes first
let reach = []; // for arrows[k]: the lowest end of arrows[0..k]

function concerns(event) {
  const what = event.what;
  if (event.message) return [event.message.what.from, event.message.what.to];
  if (event.fault) return event.fault.groups.flat();
  return event.server == null ? [] : [event.server];
}

function isShown(event) {
  if (view.hiddenKinds.has(event.kind)) return false;
  const whom = concerns(event);
  if (event.message) return whom.every(server => !view.hiddenServers.has(server));
  return whom.length === 0 || whom.some(server => !view.hiddenServers.has(server));
}

// What an event takes of a row: its column for a label, the end of an arrow, or everything.
function takes(event) {
  switch (event.what.type) {
    case "sent": return "out";
    case "received": return "in";
    case "lost": return "none";
    case "fault_ended": return "none";
    case "note": return event.server == null ? "all" : "label";
    case "fault_began": return event.fault.groups.flat().length > 1 ? "all" : "label";
    case "operation_began": case "operation_ended": return event.server == null ? "all" : "label";
    default: return "label";
  }
}

function noteLines(event) {
  const room = Math.max(30, Math.floor((view.width - GUTTER - 60) / 6.6));
  return Math.max(1, Math.ceil(labelOf(event).length / room));
}

function fits(row, event, use) {
  if (use === "none") return true;
  if (row.all || (use === "all" && row.any)) return false;
  const there = event.server == null ? undefined : row.uses.get(event.server);
  return there === undefined || (there === "out" && use === "out");
}

function waitHeight(nanos) {
  return nanos < 5e6 ? 0 : Math.min(46, 9 * Math.log2(1 + nanos / 5e6));
}

function layOut() {
  view.columns = trace.servers.map((_, s) => s).filter(s => !view.hiddenServers.has(s));
  shown = [];
  let y = 14, at = events.length ? events[0].at : 0;
  let row = { uses: new Map(), all: false, any: false, height: 0 };
  let previous = null;
  for (const event of events) {
    if (!isShown(event)) { yOf[event.i] = y; continue; }
    const use = takes(event);
    const merges = previous && event.what.type === "commit" && previous.what.type === "log"
      && previous.server === event.server && previous.at === event.at;
    if (!merges && (event.at !== at || !fits(row, event, use))) {
      y += row.any ? row.height : 0;
      y += waitHeight(event.at - at);
      row = { uses: new Map(), all: false, any: false, height: ROW };
    }
    at = event.at;
    yOf[event.i] = y;
    row.any = true;
    row.height = Math.max(row.height, ROW);
    if (use === "all") { row.all = true; row.height = 17 * noteLines(event) + 14; }
    else if (use !== "none" && event.server != null) row.uses.set(event.server, use);
    previous = event;
    shown.push(event.i);
  }
  view.total = y + 2 * ROW;
  if (view.trueTime) layOutTrueTime();
  layOutArrows();
  measure();
}

function layOutTrueTime() {
  if (events.length === 0) return;
  const start = events[0].at;
  const length = Math.max(1, events[events.length - 1].at - start);
  const scale = view.total / length;
  for (const event of events) yOf[event.i] = 14 + (event.at - start) * scale;
}

function layOutArrows() {
  arrows = [];
  for (const message of messages.values()) {
    const first = message.sent ?? message.end;
    if (first === null || !isShown(events[first])) continue;
    arrows.push(message);
  }
  arrows.sort((a, b) => (a.sent ?? a.end) - (b.sent ?? b.end));
  reach = [];
  let lowest = -1;
  for (const message of arrows) {
    lowest = Math.max(lowest, yOf[message.end ?? message.sent]);
    reach.push(lowest);
  }
}

function measure() {
  const count = Math.max(1, view.columns.length);
  view.columnWidth = (view.width - GUTTER - 8) / count;
  view.scroll = Math.max(0, Math.min(view.scroll, view.total * view.zoom - (view.height - HEAD) / 2));
}

const lifelineInset = () => Math.min(26, view.columnWidth * 0.16);
const xOf = server => GUTTER + view.columns.indexOf(server) * view.columnWidth + lifelineInset();
const screenY = i => HEAD + yOf[i] * view.zoom - view.scroll;

// The first position in `shown` whose row is at or below the unscaled `y`.
function firstShownAt(y) {
  let low = 0, high = shown.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (yOf[shown[middle]] < y) low = middle + 1; else high = middle;
  }
  return low;
}

function firstIndexAfter(list, i) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].i <= i) low = middle + 1; else high = middle;
  }
  return low;
}
