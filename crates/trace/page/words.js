// What events are called, for people.

const nameOf = server => trace.servers[server] ?? `server ${server}`;
const ROLES = { follower: "follower", pre_candidate: "pre-candidate", candidate: "candidate", leader: "leader" };
const FAULTS = {
  crash: "down", pause: "paused", partition: "cut off", network: "network fault", disk: "disk fault",
  clock: "clock fault", other: "fault",
};

function clock(nanos) {
  const millis = nanos / 1e6;
  return millis < 1000 ? `${millis.toFixed(3)} ms` : `${(millis / 1000).toFixed(6)} s`;
}

function span(nanos) {
  if (nanos < 1e6) return `${(nanos / 1e3).toFixed(0)} µs`;
  if (nanos < 1e9) return `${(nanos / 1e6).toFixed(nanos < 1e7 ? 1 : 0)} ms`;
  return `${(nanos / 1e9).toFixed(1)} s`;
}

function entriesIn(runs) {
  const count = runs.reduce((sum, run) => sum + run.count, 0);
  const labels = runs.filter(run => run.label).map(run => run.label);
  const terms = [...new Set(runs.map(run => run.term))];
  const noun = count === 1 ? "1 entry" : `${count} entries`;
  const shown = labels.slice(0, 5).join("; ") + (labels.length > 5 ? "; …" : "");
  return `${noun} of term ${terms.join(", ")}${shown ? `: ${shown}` : ""}`;
}

function sideNames(fault) {
  return fault.groups.map(group => group.map(nameOf).join(" ")).join(" | ");
}

// A follower that knows no leader: why it has none.
function leaderless(event) {
  const { term } = event.what, before = event.before || {};
  if (before.role === "leader") return `steps down, term ${term}`;
  if (before.term !== term) return `new term ${term}`;
  return before.role === "follower" ? "lost its leader" : `gives up, term ${term}`;
}

// A short label for the picture.
function labelOf(event) {
  const what = event.what;
  switch (what.type) {
    case "started": return `↻ starts, term ${what.term}`;
    case "role":
      if (what.role === "leader") return `leader of term ${what.term}`;
      if (what.role === "candidate") return `candidate, term ${what.term}`;
      if (what.role === "pre_candidate") return "could I win?";
      if (what.leader == null) return leaderless(event);
      return `follows ${nameOf(what.leader)}, term ${what.term}`;
    case "vote": return `votes for ${nameOf(what.candidate)}`;
    case "commit": return `commit ${what.index}`;
    case "applied": return `applied ${what.index}`;
    case "snapshot_taken": return `▣ snapshot 1–${what.index}`;
    case "snapshot_installed": return `▣ installs 1–${what.index}`;
    case "operation_began": return `${what.client}: ${what.request}`;
    case "operation_ended": {
      const sign = { done: "✓", refused: "✗", unknown: "?" }[what.outcome];
      const asked = event.operation ? `${event.operation.what.client}: ` : "";
      return `${sign} ${asked}${what.answer}`;
    }
    case "note": return what.text;
    case "fault_began": return `${FAULTS[what.kind]}: ${what.label}`;
    case "fault_ended": return event.fault ? `over: ${event.fault.label}` : "a fault is over";
    default: return "";
  }
}

// A whole sentence, for the panel.
function sentenceOf(event) {
  const what = event.what;
  const who = event.server == null ? "" : nameOf(event.server);
  switch (what.type) {
    case "started":
      return `${who} starts with what is on its disk: term ${what.term}, ${what.log.length ? entriesIn(what.log) : "an empty log"}.`;
    case "role":
      if (what.role === "leader") return `${who} has a majority of votes: it is the leader of term ${what.term}.`;
      if (what.role === "candidate") return `${who} has heard from no leader for too long. It starts term ${what.term} and asks for votes.`;
      if (what.role === "pre_candidate") return `${who} asks whether it could win an election, without starting a new term.`;
      return what.leader == null
        ? `${who} is a follower in term ${what.term} and knows no leader of it.`
        : `${who} follows ${nameOf(what.leader)}, the leader of term ${what.term}.`;
    case "vote": return `${who} gives its one vote of term ${what.term} to ${nameOf(what.candidate)}.`;
    case "log": {
      const added = what.appended.length ? `appends ${entriesIn(what.appended)}` : "";
      const before = serversAt(event.i - 1)[what.server];
      const cut = lastIndex(before) - what.keep;
      const cuts = cut > 0 ? `cuts off ${cut === 1 ? "1 entry" : `${cut} entries`} after ${what.keep}` : "";
      return `${who} ${[cuts, added].filter(Boolean).join(" and ")}.`;
    }
    case "commit": return `${who} knows that entries through ${what.index} are committed.`;
    case "applied": return `${who}'s state machine holds entries through ${what.index}.`;
    case "snapshot_taken": return `${who} saves its state through entry ${what.index} as a snapshot; its log begins after ${what.log_after}.`;
    case "snapshot_installed": return `${who} replaces its log and state by a snapshot through entry ${what.index}.`;
    case "note": return what.text;
    default: return sentenceOfPair(event, who);
  }
}

function sentenceOfPair(event, who) {
  const what = event.what;
  switch (what.type) {
    case "sent": return `${who} sends ${what.kind} (term ${what.term}) to ${nameOf(what.to)}${what.repeats ? "; the network made this copy" : ""}: ${what.summary}`;
    case "received": {
      const sent = event.message?.what;
      return sent ? `${nameOf(sent.to)} receives ${sent.kind} (term ${sent.term}) from ${nameOf(sent.from)}: ${sent.summary}` : "A message arrives.";
    }
    case "lost": {
      const sent = event.message?.what;
      return sent ? `${sent.kind} (term ${sent.term}) from ${nameOf(sent.from)} to ${nameOf(sent.to)} is lost: ${what.why}.` : `A message is lost: ${what.why}.`;
    }
    case "fault_began": return `Fault on ${sideNames(event.fault)}: ${what.label} (${FAULTS[what.kind]}).`;
    case "fault_ended": return event.fault ? `The fault on ${sideNames(event.fault)} is over: ${event.fault.label}.` : "A fault is over.";
    case "operation_began": return `${what.client} asks ${who || "the cluster"}: ${what.request}.`;
    case "operation_ended": {
      const asked = event.operation ? `${event.operation.what.client} asked ${event.operation.what.request}` : "An operation ended";
      return `${asked}: ${what.answer} (${what.outcome}).`;
    }
    default: return what.type;
  }
}

// The kind that the filter knows an event by.
function kindOf(event) {
  const what = event.what;
  switch (what.type) {
    case "started": case "fault_began": case "fault_ended": return "faults and starts";
    case "role": return "roles and terms";
    case "vote": return "votes given";
    case "log": return "log";
    case "commit": return "commit index";
    case "applied": return "applied index";
    case "snapshot_taken": case "snapshot_installed": return "snapshots";
    case "operation_began": case "operation_ended": return "clients";
    case "note": return "notes";
    default: {
      const sent = event.message?.what;
      if (!sent) return "messages sent before this page begins";
      return sent.routine ? "heartbeats and answers" : `message: ${sent.kind}`;
    }
  }
}

for (const event of events) event.kind = kindOf(event);
function textOf(event) {
  event.text ??= `${sentenceOf(event)} ${labelOf(event)} ${event.kind}`.toLowerCase();
  return event.text;
}
