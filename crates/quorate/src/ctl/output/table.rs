//! States and members as a table: headings centred, cells to the right, long texts wrapped.

use quorate_proto::etcdserverpb::{HashKvResponse, MemberListResponse, StatusResponse};

use super::{Answer, Health, text};

/// Cells with more characters are wrapped between words.
const CELL_WIDTH_MAX: usize = 30;

const STATUS_HEADINGS: [&str; 10] = [
    "ENDPOINT",
    "ID",
    "VERSION",
    "DB SIZE",
    "IS LEADER",
    "IS LEARNER",
    "RAFT TERM",
    "RAFT INDEX",
    "RAFT APPLIED INDEX",
    "ERRORS",
];
const MEMBER_HEADINGS: [&str; 6] = [
    "ID",
    "STATUS",
    "NAME",
    "PEER ADDRS",
    "CLIENT ADDRS",
    "IS LEARNER",
];
const HEALTH_HEADINGS: [&str; 4] = ["ENDPOINT", "HEALTH", "TOOK", "ERROR"];

pub(super) fn render(answer: &Answer) -> String {
    match answer {
        Answer::Statuses(statuses) => draw(&STATUS_HEADINGS, &status_rows(statuses)),
        Answer::Members(response) => draw(&MEMBER_HEADINGS, &member_rows(response)),
        Answer::Healths(healths) => draw(&HEALTH_HEADINGS, &health_rows(healths)),
        Answer::Hashes(hashes) => draw(&["ENDPOINT", "HASH"], &hash_rows(hashes)),
        Answer::Range(_)
        | Answer::Put(_)
        | Answer::Delete(_)
        | Answer::Txn(_)
        | Answer::Watch(_)
        | Answer::MemberAdded { .. }
        | Answer::MemberChanged { .. }
        | Answer::LeaseGranted(_)
        | Answer::LeaseRevoked { .. }
        | Answer::LeaseTime { .. }
        | Answer::Leases(_)
        | Answer::LeaseRenewed(_)
        | Answer::Alarms(_)
        | Answer::LeaderMoved { .. } => String::new(),
    }
}

pub(super) fn status_rows(statuses: &[(String, StatusResponse)]) -> Vec<Vec<String>> {
    let row = |(endpoint, status): &(String, StatusResponse)| {
        let id = status.header.as_ref().map_or(0, |header| header.member_id);
        vec![
            endpoint.clone(),
            format!("{id:x}"),
            status.version.clone(),
            text::size(u64::try_from(status.db_size).unwrap_or(0)),
            (status.leader == id).to_string(),
            status.is_learner.to_string(),
            status.raft_term.to_string(),
            status.raft_index.to_string(),
            status.raft_applied_index.to_string(),
            status.errors.join(", "),
        ]
    };
    statuses.iter().map(row).collect()
}

pub(super) fn hash_rows(hashes: &[(String, HashKvResponse)]) -> Vec<Vec<String>> {
    let row =
        |(endpoint, hash): &(String, HashKvResponse)| vec![endpoint.clone(), hash.hash.to_string()];
    hashes.iter().map(row).collect()
}

pub(super) fn member_rows(response: &MemberListResponse) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for member in &response.members {
        // A member gets its name when it first starts.
        let status = if member.name.is_empty() {
            "unstarted"
        } else {
            "started"
        };
        rows.push(vec![
            format!("{:x}", member.id),
            status.to_owned(),
            member.name.clone(),
            member.peer_ur_ls.join(","),
            member.client_ur_ls.join(","),
            member.is_learner.to_string(),
        ]);
    }
    rows
}

fn health_rows(healths: &[Health]) -> Vec<Vec<String>> {
    let row = |health: &Health| {
        vec![
            health.endpoint.clone(),
            health.error.is_none().to_string(),
            health.took.clone(),
            health.error.clone().unwrap_or_default(),
        ]
    };
    healths.iter().map(row).collect()
}

pub(crate) fn draw(headings: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<Vec<String>>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| wrap(cell)).collect())
        .collect();
    let width_of = |column: usize| {
        let cells = rows
            .iter()
            .flat_map(|row| row[column].iter().map(|line| line.chars().count()));
        cells.chain([headings[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width_of).collect();

    let rule: String = widths
        .iter()
        .map(|width| "+".to_owned() + &"-".repeat(width + 2))
        .collect::<String>()
        + "+\n";
    let heading: String = headings
        .iter()
        .zip(&widths)
        .map(|(text, width)| format!("| {text:^width$} "))
        .collect();
    let mut out = format!("{rule}{heading}|\n{rule}");
    for row in &rows {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..height {
            for (cell, width) in row.iter().zip(&widths) {
                let text = cell.get(line).map_or("", String::as_str);
                out += &format!("| {text:>width$} ");
            }
            out += "|\n";
        }
    }
    if !rows.is_empty() {
        out += &rule;
    }
    out
}

/// Breaks a text between words so that lines stay within the limit, if their words do.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= CELL_WIDTH_MAX {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
