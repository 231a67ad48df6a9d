//! Who leads, judged from what the nodes say.
//!
//! A leader is a node that says so itself, in the highest term that any node reports; or a member that was
//! started elsewhere, which the nodes of that term name. It is told once
//! enough nodes agree that a client may go to any of them: all that run, or, when one stays silent, a
//! majority for a while.

use std::time::{Duration, Instant};

use super::status::NodeStatus;

/// How long a majority waits for the last running node before it is believed without it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long without a leader until it is told; an election takes one to two seconds.
const SILENCE: Duration = Duration::from_secs(5);

/// What is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// This node leads, in this term.
    Leads(String, u64),
    /// Nobody has led for a while.
    NobodyLeads,
}

/// What has been told so far.
#[derive(Debug)]
pub(super) struct Leadership {
    /// The names of the nodes that are asked.
    own: Vec<String>,
    /// How many of them must agree.
    needed: usize,
    told: Option<(String, u64)>,
    /// A leader that a majority knows, and since when.
    seen: Option<((String, u64), Instant)>,
    /// Since when there has been none.
    leaderless: Option<Instant>,
    told_leaderless: bool,
}

impl Leadership {
    pub(super) fn new<'a>(own: impl Iterator<Item = &'a str>, now: Instant) -> Leadership {
        let own: Vec<String> = own.map(str::to_owned).collect();
        Leadership {
            needed: own.len() / 2 + 1,
            own,
            told: None,
            seen: None,
            leaderless: Some(now),
            told_leaderless: false,
        }
    }

    /// From now on so many nodes must agree.
    pub(super) fn need(&mut self, nodes: usize) {
        self.needed = nodes;
    }

    /// Whether a member is one of the nodes that are asked.
    pub(super) fn is_own(&self, member: &str) -> bool {
        self.own.iter().any(|name| name == member)
    }

    /// The leader told last, if it has not been lost since.
    pub(super) fn current(&self) -> Option<&str> {
        let (name, _) = self.told.as_ref()?;
        self.leaderless.is_none().then_some(name)
    }

    /// The leader told last, even if it has not been heard since: a node that dies falls silent
    /// before its end is noticed.
    pub(super) fn last_told(&self) -> Option<&str> {
        self.told.as_ref().map(|(name, _)| name.as_str())
    }

    /// Judges the newest answers: one for each running node, nothing for one that is silent.
    pub(super) fn observe(&mut self, answers: &[Option<NodeStatus>], now: Instant) -> Option<News> {
        let Some((leader, agreeing)) = self
            .leader(answers)
            .filter(|(_, agreeing)| *agreeing >= self.needed)
        else {
            self.seen = None;
            return self.without(now);
        };
        let since = match &self.seen {
            Some((seen, since)) if *seen == leader => *since,
            _ => now,
        };
        self.seen = Some((leader.clone(), since));
        let all = agreeing == answers.len();
        if !all && now.duration_since(since) < PATIENCE {
            return None;
        }
        self.leaderless = None;
        self.told_leaderless = false;
        if self.told.as_ref() == Some(&leader) {
            return None;
        }
        self.told = Some(leader.clone());
        Some(News::Leads(leader.0, leader.1))
    }

    fn without(&mut self, now: Instant) -> Option<News> {
        let since = *self.leaderless.get_or_insert(now);
        if self.told_leaderless || now.duration_since(since) < SILENCE {
            return None;
        }
        self.told_leaderless = true;
        // The same node may win again, and that is news then.
        self.told = None;
        Some(News::NobodyLeads)
    }

    /// The leader of the highest term and how many nodes know it.
    fn leader(&self, answers: &[Option<NodeStatus>]) -> Option<((String, u64), usize)> {
        let statuses = || answers.iter().flatten();
        let term = statuses().map(|status| status.term).max()?;
        let of_term = || statuses().filter(|status| status.term == term);
        let is_elsewhere =
            |status: &&NodeStatus| !status.leader.is_empty() && !self.is_own(&status.leader);
        let here = of_term().find(|status| status.role == "leader");
        let leader = match here {
            Some(status) => &status.member,
            None => &of_term().find(is_elsewhere)?.leader,
        };
        let agreeing = of_term().filter(|status| status.leader == *leader).count();
        Some(((leader.clone(), term), agreeing))
    }
}
