//! Reads `ETCD_…` and `QUORATE_…` variables.
//!
//! An empty variable counts as unset, as in etcd. Where both are set the one that names Quorate
//! wins. A variable that is no flag is told and ignored, as in etcd: Kubernetes, for one, puts
//! `ETCD_PORT=tcp://…` into every container beside a service named etcd.

use super::nearest::nearest;
use super::table::{self, Flag};

/// The prefixes, the weaker first.
pub(super) const PREFIXES: [&str; 2] = ["ETCD", "QUORATE"];

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Flag, name of the variable, value; at most one of each flag, in the table's order.
    pub(super) values: Vec<(&'static Flag, String, String)>,
    /// One line for each variable that is not used.
    pub(super) notes: Vec<String>,
}

/// Picks the flags out of the environment's variables.
pub(super) fn read(environment: &[(String, String)]) -> Read {
    let mut read = Read::default();
    let value_of = |name: &str| {
        environment
            .iter()
            .find(|(variable, value)| variable == name && !value.is_empty())
            .map(|(_, value)| value)
    };
    for flag in table::all().filter(|flag| takes_variable(flag)) {
        let found: Vec<_> = PREFIXES
            .iter()
            .map(|prefix| flag.environment_variable(prefix))
            .filter_map(|variable| value_of(&variable).map(|value| (variable, value.clone())))
            .collect();
        if let [(weaker, one), (stronger, other)] = found.as_slice()
            && one != other
        {
            read.notes.push(format!(
                "{weaker}={one} is ignored, because {stronger}={other} is set too"
            ));
        }
        if let Some((variable, value)) = found.into_iter().next_back() {
            read.values.push((flag, variable, value));
        }
    }
    read.notes.extend(
        environment
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(unknown),
    );
    read
}

/// Asking for help or the version is for the command line.
fn takes_variable(flag: &Flag) -> bool {
    !matches!(
        flag.name,
        "help" | "help-all" | "version" | "exit-with-parent"
    )
}

/// A line about a variable that has our prefix and is no flag.
fn unknown((variable, _): &(String, String)) -> Option<String> {
    let (prefix, rest) = PREFIXES
        .into_iter()
        .find_map(|prefix| Some((prefix, variable.strip_prefix(prefix)?.strip_prefix('_')?)))?;
    let flags = || table::all().filter(|flag| takes_variable(flag));
    if flags().any(|flag| flag.environment_variable(prefix) == *variable) {
        return None;
    }
    let name = rest.to_lowercase().replace('_', "-");
    let hint = nearest(&name, flags().map(|flag| flag.name))
        .and_then(table::find)
        .map(|flag| format!(" (did you mean {}?)", flag.environment_variable(prefix)))
        .unwrap_or_default();
    Some(format!(
        "the environment variable {variable} is no flag and is ignored{hint}"
    ))
}
