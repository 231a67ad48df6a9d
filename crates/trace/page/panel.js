// The panel: what the selected event is, and how every server stands right after it; or, while
// nothing is selected, how to read the picture. All words are set as text, never as markup.

const panel = document.getElementById("panel");

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") element.textContent = value;
    else if (name === "click") element.addEventListener("click", value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter(Boolean));
  return element;
}

function showPanel() {
  if (view.selected === null) { panel.replaceChildren(...legend()); return; }
  const event = events[view.selected];
  const parts = [
    make("p", { class: "when", text: `${clock(event.at)} · event ${event.i + 1} of ${events.length} · ${event.kind}` }),
    make("h2", { text: sentenceOf(event) }),
    linksOf(event),
    make("h3", { text: "Everyone right after it" }),
    standings(event),
  ];
  if (event.state) {
    parts.push(make("h3", { text: "The event's own record of the state" }), make("pre", { text: pretty(event.state) }));
  } else if (event.server != null) {
    const state = serversAt(event.i)[event.server].state;
    if (state) parts.push(make("h3", { text: `${nameOf(event.server)}'s last recorded state` }), make("pre", { text: pretty(state) }));
  }
  panel.replaceChildren(...parts.filter(Boolean));
  panel.scrollTop = 0;
}

function pretty(state) {
  if (!/^[[{]/.test(state)) return state;
  try { return JSON.stringify(JSON.parse(state), null, 2); } catch { return state; }
}

// Buttons to the other end of a message, fault or operation.
function linksOf(event) {
  const jumps = [];
  const jump = (words, i) => { if (i != null && i !== event.i) jumps.push(make("button", { text: words, click: () => select(i, true) })); };
  const pair = event.message ? [event.message.sent, event.message.end]
    : event.fault ? [event.fault.began, event.fault.ended]
    : event.operation ? [event.operation.began, event.operation.ended] : null;
  if (!pair) return null;
  const [begins, ends] = pair;
  const took = begins !== null && ends !== null ? `, ${span(events[ends].at - events[begins].at)}` : "";
  const [earlier, later] = event.message
    ? ["where it was sent", event.message.lost !== null ? "where it is lost" : "where it arrives"]
    : ["where it began", "where it ends"];
  jump(`↑ ${earlier}${took} before`, begins);
  jump(`↓ ${later}${took} later`, ends);
  if (ends === null) jumps.push(make("span", { class: "when", text: "It has no end in this trace." }));
  return make("div", { class: "links" }, ...jumps);
}

function standings(event) {
  const servers = serversAt(event.i);
  const rows = view.columns.map(server => {
    const state = servers[server];
    const concerned = concerns(event).includes(server);
    return make("tr", concerned ? { class: "concerned" } : {},
      make("th", { text: nameOf(server) }),
      make("td", {}, badge(state), ...facts(state), logOf(state, concerned)));
  });
  return make("table", {}, ...rows);
}

function badge(state) {
  const [fill, on] = termColours(state.term);
  const shape = { leader: "★", candidate: "▲", pre_candidate: "△", follower: "●" }[state.role];
  const text = state.up ? `${shape} ${ROLES[state.role]}, term ${state.term}` : "✖ down";
  return make("span", { class: "badge", text, style: state.up ? `background:${fill};color:${on}` : "border:1px solid" });
}

function facts(state) {
  if (!state.up) return [];
  const words = [];
  if (state.vote !== null) words.push(`voted for ${nameOf(state.vote)}`);
  words.push(`commit ${state.commit}`, `applied ${state.applied}`);
  if (state.snapshot_index > 0) words.push(`snapshot through ${state.snapshot_index}`);
  return [make("span", { class: "before", text: ` ${words.join(" · ")}` })];
}

function logOf(state, full) {
  const tail = tailOf(state);
  const first = tail.first + Math.max(0, tail.terms.length - (full ? 40 : 14));
  const box = make("div", { class: "log" });
  if (first - 1 === tail.after && tail.after > 0) box.append(make("span", { class: "before", text: `▣ 1–${tail.after} in the snapshot` }));
  else if (first > 1) box.append(make("span", { class: "before", text: `… ${first - 1} before` }));
  for (let index = first; index < tail.first + tail.terms.length; index++) {
    const term = tail.terms[index - tail.first], [fill, on] = termColours(term);
    const label = state.labels[index];
    box.append(make("span", {
      class: index <= state.commit ? "entry" : "entry open",
      style: `background:${fill};color:${on};border-color:${fill}`,
      title: `entry ${index}, term ${term}${label ? `: ${label}` : ""}`,
      text: full && label ? `${term} ${label}` : term,
    }));
  }
  if (tail.terms.length === 0 && tail.after === 0) box.append(make("span", { class: "before", text: "log empty" }));
  return box;
}

// How to read the picture, for someone who sees it for the first time.
function legend() {
  const one = termColours(1), two = termColours(2), three = termColours(3);
  const rows = [
    ["M38 0V26", "stroke-width:2.5", one, "A line is a server. Time runs downwards. Its colour is the server's term: the number of the last election it knows of."],
    ["M38 0V26", "stroke-width:8", two, "★ A thick line is a leader. There is at most one in each term."],
    ["M38 0V26", "stroke-width:4;stroke-dasharray:5 4", three, "▲ A dashed line is a candidate: it asks the others for their votes (△: only whether it could win)."],
    ["M4 4L66 20M66 20l-9 1M66 20l-6-7", "stroke-width:1.5;fill:none", one, "A message, from its sending to its arrival."],
  ].map(([d, style, colour, text]) => legendRow(svg([["path", { d, style, stroke: colour[0] }]]), text));
  const cross = svg([["path", { d: "M4 6L50 18", stroke: one[0], style: "stroke-width:1.5" }], ["path", { d: "M45 13l10 10M45 23l10-10", stroke: ink.alarm, style: "stroke-width:2.4" }]]);
  const entries = svg([
    ["rect", { x: 8, y: 5, width: 16, height: 16, rx: 3, fill: one[0] }], ["rect", { x: 27, y: 5, width: 16, height: 16, rx: 3, fill: two[0] }],
    ["rect", { x: 46, y: 5, width: 16, height: 16, rx: 3, fill: "none", stroke: two[0], style: "stroke-width:1.6;stroke-dasharray:3 2" }],
    ["text", { x: 13, y: 17, style: `fill:${one[1]}` }, "1"], ["text", { x: 32, y: 17, style: `fill:${two[1]}` }, "2"], ["text", { x: 51, y: 17 }, "2"],
  ]);
  const wall = svg([["rect", { x: 2, y: 1, width: 72, height: 24, fill: ink.alarm, opacity: 0.1 }], ["path", { d: "M38 1V25", stroke: ink.alarm, style: "stroke-width:2.5;stroke-dasharray:8 5" }]]);
  const down = svg([["rect", { x: 2, y: 1, width: 72, height: 24, fill: ink.alarm, opacity: 0.08 }], ...[0, 1, 2, 3, 4, 5, 6].map(k => ["path", { d: `M${4 + k * 10} 25l10-24`, stroke: ink.alarm, opacity: 0.5 }])]);
  return [
    make("h2", { text: "How to read this" }),
    make("ul", { class: "legend" }, ...rows,
      legendRow(cross, "A message that never arrives is cut short."),
      legendRow(entries, "A server's log after a change, the newest entry last: one cell an entry, with its term. Filled: this server knows that it is committed. Dashed: it does not (yet). 20… are 20 entries before these; ▣20 are 20 that only a snapshot holds; ✂ 2: two entries were just cut off."),
      legendRow(wall, "Nothing passes through a wall: the network is cut there."),
      legendRow(down, "A fault, as long as it lasts. Hatched all over: the process is down.")),
    make("p", { class: "keys" }, keys("↑"), keys("↓"), " step  ", keys("space"), " play  ", keys("+"), keys("−"), keys("0"), " or Ctrl and wheel, or two fingers: zoom  ", keys("/"), " search  ", keys("Home"), keys("End"), " ends  ", keys("t"), " true time  ", keys("Esc"), " back here"),
    make("p", { class: "keys", text: "Click on anything for what it is and how all servers stood then. Heartbeats and applied indexes are hidden at first: see “Show”. Without “true time”, long waits are drawn short." }),
    make("p", { class: "keys", text: `${events.length} events, ${messages.size} messages, ${faults.length} faults, ${events.length ? span(events[events.length - 1].at - events[0].at) : "0 s"} of virtual time.` }),
  ];
}

const keys = text => make("kbd", { text });
function legendRow(picture, text) {
  return make("li", {}, picture, make("span", { text }));
}

function svg(shapes) {
  const space = "http://www.w3.org/2000/svg";
  const root = document.createElementNS(space, "svg");
  root.setAttribute("viewBox", "0 0 76 26");
  root.setAttribute("aria-hidden", "true");
  for (const [tag, attributes, text] of shapes) {
    const shape = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
    if (text) shape.textContent = text;
    root.append(shape);
  }
  return root;
}
