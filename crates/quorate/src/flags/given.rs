//! Puts the sources together: file, or command line before environment.
//!
//! etcd refuses to start when a variable and a flag say the same thing twice; its documents promise
//! that the flag wins. Here it does, and the log names the variable. So everything that starts etcd
//! means the same here.

use std::collections::BTreeMap;
use std::fmt;

use super::error::FlagError;
use super::kind::parse_bool;
use super::table::{Disposition, Flag};
use super::{command_line, config_file, environment};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// On the command line.
    CommandLine,
    /// In this environment variable.
    Environment(String),
    /// In the configuration file of this path.
    File(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::CommandLine => Ok(()),
            Source::Environment(variable) => write!(f, " (from {variable})"),
            Source::File(path) => write!(f, " (from {path})"),
        }
    }
}

/// The values given, each of the right form, none refused.
#[derive(Debug, Default)]
pub(crate) struct Given {
    values: BTreeMap<&'static str, (String, Source)>,
    /// Lines for the log: what was given and has no effect.
    pub(crate) notes: Vec<String>,
    /// The configuration file that was read, when one was.
    pub(crate) file: Option<String>,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// To print the built flags.
    Help,
    /// To print all flags.
    FullHelp,
    /// To print the version.
    Version,
    /// To serve.
    Serve(Given),
}

/// Reads all sources. `words` are the command line behind `serve`; `read_file` returns the text of
/// the configuration file, or says why it cannot.
pub(crate) fn read(
    words: &[String],
    environment: &[(String, String)],
    read_file: impl FnOnce(&str) -> Result<String, String>,
) -> Result<Asked, FlagError> {
    let flags = command_line::parse(words)?;
    for (name, asked) in [
        ("help", Asked::Help),
        ("help-all", Asked::FullHelp),
        ("version", Asked::Version),
    ] {
        if flags
            .iter()
            .any(|(flag, value)| flag.name == name && parse_bool(value) == Some(true))
        {
            return Ok(asked);
        }
    }
    let variables = environment::read(environment);
    let file = flags
        .iter()
        .rev()
        .find(|(flag, _)| flag.name == "config-file")
        .map(|(_, value)| value.clone())
        .or_else(|| {
            let of_file = |(flag, _, _): &&(&Flag, String, String)| flag.name == "config-file";
            variables
                .values
                .iter()
                .find(of_file)
                .map(|(_, _, value)| value.clone())
        })
        .filter(|path| !path.is_empty());
    let mut given = Given::default();
    match file {
        Some(path) => given.take_file(&path, &flags, &variables, read_file)?,
        None => given.take_flags(flags, variables)?,
    }
    Ok(Asked::Serve(given))
}

impl Given {
    /// The value of a flag, if one was given.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// How a flag was given, for messages: `--name=value (from VARIABLE)`.
    pub(crate) fn asked(&self, name: &'static str) -> String {
        match self.values.get(name) {
            Some((value, source)) => format!("--{name}={value}{source}"),
            None => format!("--{name}"),
        }
    }

    fn take_flags(
        &mut self,
        flags: Vec<(&'static Flag, String)>,
        variables: environment::Read,
    ) -> Result<(), FlagError> {
        self.notes.extend(variables.notes);
        for (flag, variable, value) in variables.values {
            if flags.iter().any(|(other, _)| other.name == flag.name) {
                self.notes.push(format!(
                    "{variable} is ignored, because --{} is on the command line",
                    flag.name
                ));
            } else {
                self.put(flag, value, Source::Environment(variable))?;
            }
        }
        // The last of several is the one that counts, but each must be of the right form.
        for (flag, value) in flags {
            self.put(flag, value, Source::CommandLine)?;
        }
        self.refuse_and_note()
    }

    fn take_file(
        &mut self,
        path: &str,
        flags: &[(&'static Flag, String)],
        variables: &environment::Read,
        read_file: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<(), FlagError> {
        let text = read_file(path).map_err(|why| FlagError::File {
            path: path.to_owned(),
            why,
        })?;
        let file = config_file::read(path, &text)?;
        self.notes.extend(file.notes);
        let mut ignored: Vec<String> = Vec::new();
        for (flag, value) in flags {
            // Who started this process is no configuration.
            if flag.name == "exit-with-parent" {
                self.put(flag, value.clone(), Source::CommandLine)?;
            } else if flag.name != "config-file" {
                ignored.push(format!("--{}", flag.name));
            }
        }
        let of_flags = variables
            .values
            .iter()
            .filter(|(flag, _, _)| flag.name != "config-file");
        ignored.extend(of_flags.map(|(_, variable, _)| variable.clone()));
        if !ignored.is_empty() {
            self.notes.push(format!(
                "{} ignored, because the configuration file {path} is the only source",
                ignored.join(", ")
            ));
        }
        for (flag, value) in file.values {
            self.put(flag, value, Source::File(path.to_owned()))?;
        }
        self.file = Some(path.to_owned());
        self.refuse_and_note()
    }

    fn put(&mut self, flag: &'static Flag, value: String, source: Source) -> Result<(), FlagError> {
        let asked = || format!("--{}={value}{source}", flag.name);
        // Quoted in a unit file, an empty value reaches us as an empty word: it asks for nothing.
        if !value.is_empty() {
            flag.kind.check(&value).map_err(|why| FlagError::BadValue {
                asked: asked(),
                why,
            })?;
        } else if !matches!(flag.disposition, Disposition::Built) {
            return Ok(());
        }
        self.values.insert(flag.name, (value, source));
        Ok(())
    }

    /// Stops at the first refused flag; notes each that was accepted.
    fn refuse_and_note(&mut self) -> Result<(), FlagError> {
        for flag in super::table::all() {
            let Some(value) = self.value(flag.name) else {
                continue;
            };
            let nothing_asked = flag.asks_for_nothing(value);
            match flag.disposition {
                Disposition::Refused { why, instead } if !nothing_asked => {
                    return Err(FlagError::Refused {
                        asked: self.asked(flag.name),
                        why,
                        instead,
                    });
                }
                Disposition::Accepted(why) => {
                    self.notes
                        .push(format!("{} has no effect: {why}", self.asked(flag.name)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
