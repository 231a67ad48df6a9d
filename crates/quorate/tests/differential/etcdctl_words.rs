//! What each server has of its own in etcdctl's output: words stand for it.

/// Numbers behind these are each server's own: the ids, terms and places in the log of headers, what a status measures,
/// what a hash is made of.
const BEFORE_NUMBERS: [&str; 37] = [
    "\"cluster_id\":",
    "\"member_id\":",
    "\"raft_term\":",
    "\"ClusterID\" : ",
    "\"MemberID\" : ",
    "\"RaftTerm\" : ",
    "\"Raft Term\" : ",
    "\"ID\":",
    "\"ID\" : ",
    "\"id\":",
    "\"lease\":",
    "\"Lease\" : ",
    "\"leader\":",
    "\"Leader\" : ",
    "\"raftIndex\":",
    "\"RaftIndex\" : ",
    "\"raftTerm\":",
    "\"raftAppliedIndex\":",
    "\"RaftAppliedIndex\" : ",
    "\"dbSize\":",
    "\"DBSize\" : ",
    "\"dbSizeInUse\":",
    "\"DBSizeInUse\" : ",
    "\"hash\":",
    "\"Hash\" : ",
    "\"ttl\":",
    "\"TTL\" : ",
    "remaining(",
    " cluster ",
    "two/",
    "three/",
    "lease ",
    "Lease ",
    "took = ",
    "took ",
    "\"took\":\"",
    "compact_revision\":",
];

/// The text with a word for each of `own` and for numbers and times that are each server's own. Columns of tables are as
/// wide as what is in them, so runs of spaces and of dashes are one.
pub(crate) fn without_what_is_its_own(text: &str, own: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (value, word) in own.iter().filter(|(value, _)| !value.is_empty()) {
        text = text.replace(value, word);
    }
    for before in BEFORE_NUMBERS {
        text = without_number_behind(&text, before);
    }
    let lines = text.lines().map(|line| {
        let line = squeezed(line);
        let is_status =
            line.contains("ENDPOINT, MEMBER") || line.starts_with("| ENDPOINT | MEMBER ");
        match line.strip_prefix("ETCD_INITIAL_CLUSTER=") {
            Some(members) => in_order(members),
            None if is_status => status_line(&line),
            None => keys_in_order(&without_hash(line)),
        }
    });
    let mut lines: Vec<String> = lines.collect();
    if lines.iter().any(|line| line.starts_with("LEARNER, ")) {
        // Members are listed by id.
        lines.sort();
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// The line of one endpoint's hash, alone or in a table. (In JSON and fields the number has a name.)
fn without_hash(line: String) -> String {
    let cells: Vec<&str> = line.trim_matches(['|', ' ']).split([',', '|']).collect();
    match cells[..] {
        [endpoint, hash]
            if endpoint.trim().ends_with("ENDPOINT") && hash.trim().parse::<u32>().is_ok() =>
        {
            line.replace(hash.trim(), "…")
        }
        _ => line,
    }
}

/// etcd tells the keys of a lease as its map gives them, each time in another order.
fn keys_in_order(line: &str) -> String {
    const IN_WORDS: (&str, char) = ("attached keys([", ' ');
    const IN_JSON: (&str, char) = ("\"keys\":[", ',');
    for (before, between) in [IN_WORDS, IN_JSON] {
        let Some((head, rest)) = line.split_once(before) else {
            continue;
        };
        let (keys, tail) = rest.split_once(']').unwrap_or((rest, ""));
        let mut keys: Vec<&str> = keys.split(between).collect();
        keys.sort_unstable();
        let keys = keys.join(&between.to_string());
        return format!("{head}{before}{keys}]{tail}");
    }
    line.to_owned()
}

/// Members by id, too.
fn in_order(members: &str) -> String {
    let mut members: Vec<&str> = members.trim_matches('"').split(',').collect();
    members.sort_unstable();
    format!("ETCD_INITIAL_CLUSTER={members:?}")
}

/// A number, in decimal or hexadecimal, or a time.
fn without_number_behind(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|letter: char| {
            letter.is_ascii_hexdigit() || letter == '.' || letter == '-'
        });
        let rest = match part.len() - rest.len() {
            0 => rest,
            _ => rest.trim_start_matches(['m', 's', 'µ', 'n']),
        };
        let shown = if rest.len() == part.len() { "" } else { "…" };
        out += &format!("{before}{shown}{rest}");
    }
    out
}

fn squeezed(line: &str) -> String {
    let mut out = String::new();
    for letter in line.chars() {
        let repeats = matches!(letter, ' ' | '-') && out.ends_with(letter);
        if !repeats {
            out.push(letter);
        }
    }
    out
}

/// Of a status in lines or in a table: the size, the term and the indexes.
fn status_line(line: &str) -> String {
    let separator = if line.starts_with('|') { " | " } else { ", " };
    let cells = line.split(separator).map(|cell| {
        let cell = cell.trim_end_matches(',');
        let is_number = !cell.is_empty() && cell.chars().all(|letter| letter.is_ascii_digit());
        let is_size = [" B", " kB", " MB", " GB"]
            .iter()
            .any(|unit| cell.ends_with(unit));
        if is_number || is_size { "…" } else { cell }
    });
    cells.collect::<Vec<_>>().join(separator)
}
