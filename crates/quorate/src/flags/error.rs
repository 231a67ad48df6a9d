//! Why a configuration is not taken. Every variant becomes one line, and exit code 2.

/// What is wrong with the flags, the environment or the configuration file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum FlagError {
    /// No flag has this name.
    #[error("unknown flag --{name}{}; `quorate serve --help-all` lists every flag",
        nearest.map(|nearest| format!(" (did you mean --{nearest}?)")).unwrap_or_default())]
    Unknown {
        /// As it was written, without dashes.
        name: String,
        /// The flag whose name is most like it.
        nearest: Option<&'static str>,
    },
    /// A word that belongs to no flag.
    #[error("`{word}` is not a flag: {hint}")]
    NotAFlag {
        /// The word.
        word: String,
        /// What may have been meant.
        hint: String,
    },
    /// The last word of the command line is a flag that needs a value.
    #[error("--{name} needs a value: --{name}={}", placeholder)]
    NoValue {
        /// The flag.
        name: &'static str,
        /// What the value looks like.
        placeholder: &'static str,
    },
    /// A value of the wrong form.
    #[error("{asked}: {why}")]
    BadValue {
        /// The flag, its value and where it was given.
        asked: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A flag of etcd that Quorate does not take.
    #[error("{asked} is refused: {why}. {instead}")]
    Refused {
        /// The flag, its value and where it was given.
        asked: String,
        /// The table's reason.
        why: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// The configuration file cannot be read or understood.
    #[error("configuration file {path}: {why}")]
    File {
        /// Its path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Values that are fine one by one and not together.
    #[error("{0}")]
    Inconsistent(String),
}
