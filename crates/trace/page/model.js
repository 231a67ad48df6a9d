// The trace, read once: every event with what the drawing needs to know of it, and the fold that
// gives each server's state at any event (as in moment.rs).

const trace = JSON.parse(document.getElementById("trace").textContent);
const CHECKPOINT_EVERY = 512;
const TAIL = 40; // entries of a log that any drawing may show

const freshServer = () => ({
  up: false, role: "follower", term: 0, vote: null, leader: null, snapshot_index: 0,
  snapshot_term: 0, log_after: 0, log: [], labels: {}, commit: 0, applied: 0, state: "",
});

function copyServer(server) {
  return { ...server, log: server.log.map(run => ({ ...run })), labels: { ...server.labels } };
}

function lastIndex(server) {
  return server.log.reduce((sum, run) => sum + run.count, server.log_after);
}

function cutAfter(server, keep) {
  let excess = Math.max(0, lastIndex(server) - keep);
  while (excess > 0 && server.log.length > 0) {
    const run = server.log[server.log.length - 1];
    const cut = Math.min(run.count, excess);
    run.count -= cut;
    excess -= cut;
    if (run.count === 0) server.log.pop();
  }
  for (const index of Object.keys(server.labels)) {
    if (Number(index) > keep) delete server.labels[index];
  }
  if (server.log.length === 0) server.log_after = keep;
}

function append(server, runs) {
  for (const run of runs) {
    if (run.count === 0) continue;
    const last = server.log[server.log.length - 1];
    if (last && last.term === run.term) last.count += run.count;
    else server.log.push({ term: run.term, count: run.count });
    if (run.label) server.labels[lastIndex(server)] = run.label;
  }
  const labelled = Object.keys(server.labels);
  for (const index of labelled.slice(0, Math.max(0, labelled.length - 64))) {
    delete server.labels[index];
  }
}

function forgetThrough(server, index) {
  let excess = Math.max(0, index - server.log_after);
  server.log_after = Math.max(server.log_after, index);
  while (excess > 0 && server.log.length > 0) {
    const cut = Math.min(server.log[0].count, excess);
    server.log[0].count -= cut;
    excess -= cut;
    if (server.log[0].count === 0) server.log.shift();
  }
}

// Changes `servers` as `event` does. Messages, faults and operations are looked up by number.
function apply(servers, event) {
  const what = event.what;
  const server = servers[what.server];
  switch (what.type) {
    case "started": {
      const fresh = { ...freshServer(), up: true };
      for (const key of ["term", "vote", "snapshot_index", "snapshot_term", "log_after", "commit", "applied"]) {
        fresh[key] = what[key];
      }
      append(fresh, what.log);
      servers[what.server] = fresh;
      break;
    }
    case "role":
      if (server.term !== what.term) server.vote = null;
      Object.assign(server, { role: what.role, term: what.term, leader: what.leader });
      break;
    case "vote": Object.assign(server, { term: what.term, vote: what.candidate }); break;
    case "log": cutAfter(server, what.keep); append(server, what.appended); break;
    case "commit": server.commit = what.index; break;
    case "applied": server.applied = what.index; break;
    case "snapshot_taken":
      Object.assign(server, { snapshot_index: what.index, snapshot_term: what.term });
      forgetThrough(server, what.log_after);
      break;
    case "snapshot_installed":
      Object.assign(server, {
        snapshot_index: what.index, snapshot_term: what.term, log: [], labels: {},
        log_after: what.index, commit: what.index, applied: what.index,
      });
      break;
    case "fault_began":
      if (what.kind !== "crash") break;
      for (const struck of what.groups.flat()) {
        Object.assign(servers[struck], { up: false, role: "follower", leader: null });
      }
      break;
  }
  if (event.state && what.server != null) servers[what.server].state = event.state;
}

// The newest entries of a log, as it stands: their terms, the index of the first, and the commit.
function tailOf(server) {
  const terms = [];
  for (let at = server.log.length - 1; at >= 0 && terms.length < TAIL; at--) {
    const run = server.log[at];
    for (let n = 0; n < run.count && terms.length < TAIL; n++) terms.push(run.term);
  }
  terms.reverse();
  return {
    terms, first: lastIndex(server) - terms.length + 1, commit: server.commit,
    after: server.log_after, labels: server.labels,
  };
}

const events = trace.events.map((event, i) => ({ i, at: event.at, what: event.what, state: event.state || "" }));
const messages = new Map(); // number → { sent, end: event indexes or null, lost, what }
const faults = []; // { began, ended, at, kind, groups, label }
const operations = new Map();
const lifelines = trace.servers.map(() => []); // { i, up, role, term } where they change
const tails = new Map(); // event index → tail of its server's log after it
const checkpoints = [];

function read() {
  const byNumber = new Map();
  for (const [number, sent] of Object.entries(trace.start.messages)) {
    messages.set(Number(number), { sent: null, end: null, lost: null, what: sent });
  }
  for (const [number, fault] of Object.entries(trace.start.faults)) {
    const began = { ...fault, began: null, ended: null };
    byNumber.set(Number(number), began);
    faults.push(began);
  }
  for (const [number, operation] of Object.entries(trace.start.operations)) {
    operations.set(Number(number), { began: null, ended: null, what: operation });
  }
  const servers = trace.servers.map((_, s) => ({ ...freshServer(), ...trace.start.servers[s] }));
  servers.forEach((server, s) => follow(lifelines[s], server, -1));
  for (const event of events) {
    if (event.i % CHECKPOINT_EVERY === 0) checkpoints.push(servers.map(copyServer));
    const what = event.what;
    if (what.type === "role") event.before = { role: servers[what.server].role, term: servers[what.server].term };
    const cut = what.type === "log" ? lastIndex(servers[what.server]) - what.keep : 0;
    apply(servers, event);
    join(event, byNumber);
    if (["log", "commit", "started", "snapshot_taken", "snapshot_installed"].includes(what.type)) {
      const tail = tailOf(servers[what.server]);
      tails.set(event.i, { ...tail, cut, labels: null });
    }
    const touched = what.type === "fault_began" ? what.groups.flat() : [what.server];
    for (const s of touched) if (s != null) follow(lifelines[s], servers[s], event.i);
  }
}

function follow(segments, server, i) {
  const last = segments[segments.length - 1];
  const { up, role, term } = server;
  if (!last || last.up !== up || last.role !== role || last.term !== term) {
    segments.push({ i, up, role, term });
  }
}

// Joins beginnings and ends by their numbers, and says which server an event belongs to.
function join(event, faultsByNumber) {
  const what = event.what;
  event.server = what.server ?? null;
  switch (what.type) {
    case "sent":
      messages.set(what.message, { sent: event.i, end: null, lost: null, what });
      event.server = what.from;
      break;
    case "received": case "lost": {
      const message = messages.get(what.message);
      event.message = message || null;
      if (!message) break;
      message.end = event.i;
      if (what.type === "lost") message.lost = what.why;
      event.server = what.type === "lost" ? message.what.from : message.what.to;
      break;
    }
    case "fault_began": {
      const fault = { ...what, at: event.at, began: event.i, ended: null };
      faultsByNumber.set(what.fault, fault);
      if (fault.groups.flat().length === 1) event.server = fault.groups.flat()[0];
      faults.push(fault);
      event.fault = fault;
      break;
    }
    case "fault_ended":
      event.fault = faultsByNumber.get(what.fault) || null;
      if (event.fault) event.fault.ended = event.i;
      break;
    case "operation_began":
      operations.set(what.operation, { began: event.i, ended: null, what });
      event.operation = operations.get(what.operation);
      break;
    case "operation_ended":
      event.operation = operations.get(what.operation) || null;
      if (!event.operation) break;
      event.operation.ended = event.i;
      event.server = event.operation.what.server;
      break;
  }
  if (what.type === "sent") event.message = messages.get(what.message);
}

// All servers right after event `i`; -1 is the time before the first.
let lastAsked = { i: -2, servers: null };
function serversAt(i) {
  if (lastAsked.i === i) return lastAsked.servers;
  const checkpoint = Math.max(0, Math.floor(i / CHECKPOINT_EVERY));
  const servers = (checkpoints[checkpoint] || trace.servers.map(freshServer)).map(copyServer);
  for (let at = checkpoint * CHECKPOINT_EVERY; at <= i; at++) apply(servers, events[at]);
  lastAsked = { i, servers };
  return servers;
}

read();
