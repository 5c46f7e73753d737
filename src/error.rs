//! How a failure reads: what failed, why, what to do next, and the exit status that goes with it.
//!
//! Everything returns [`anyhow::Result`]; a place that knows more than the message adds a [`Fail`] to the chain.

use std::fmt;

/// Exit status of the command line (design 5) and of `run` (78, 75: sysexits.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// Reviewed, with a finding at or above `--fail-on`.
    Findings = 3,
    /// Not, or not wholly, reviewed.
    NotReviewed = 4,
    TryLater = 75,
    Configuration = 78,
}

impl Exit {
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// A failure with a remedy, an exit status of its own, or both.
#[derive(Debug)]
pub struct Fail {
    pub message: String,
    pub hint: Option<String>,
    pub exit: Exit,
}

impl Fail {
    pub fn new(message: impl Into<String>) -> Self {
        Fail { message: message.into(), hint: None, exit: Exit::Failed }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Fail { exit: Exit::Usage, ..Fail::new(message) }
    }

    pub fn configuration(message: impl Into<String>) -> Self {
        Fail { exit: Exit::Configuration, ..Fail::new(message) }
    }

    /// A command or an edit that puts it right.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fail {}

/// What stands on stderr for `error`, without colour:
///
/// ```text
/// error: could not start `cicd-agent@myapp.service`
///   cause: the unit's main process exited with status 203/EXEC
///   hint: …
/// ```
pub fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {}", indent(&error.to_string()));
    let mut last = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Libraries like to repeat their source in their own text.
        if !last.contains(&cause) {
            text.push_str(&format!("\n  cause: {}", indent(&cause)));
        }
        last = cause;
    }
    if let Some(hint) = error.downcast_ref::<Fail>().and_then(|fail| fail.hint.as_ref()) {
        text.push_str(&format!("\n  hint: {}", indent(hint)));
    }
    text
}

pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Fail>().map_or(Exit::Failed, |fail| fail.exit)
}

/// A reader that went away (`cicdctl status | head -1`) is no failure.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n         ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_failure_reads_as_message_causes_and_hint() {
        let error = Err::<(), _>(std::io::Error::other("disk on fire"))
            .context(Fail::new("could not write `x`").hint("buy a new disk"))
            .context("could not add agent `myapp`")
            .unwrap_err();
        assert_eq!(
            describe(&error),
            "error: could not add agent `myapp`\n  cause: could not write `x`\n  cause: disk on fire\n  hint: buy a new disk"
        );
        assert_eq!(exit_of(&error), Exit::Failed);
    }

    #[test]
    fn the_exit_status_comes_from_the_outermost_failure_that_has_one() {
        let error = anyhow::Error::new(Fail::usage("no such agent")).context("stopped");
        assert_eq!(exit_of(&error), Exit::Usage);
    }
}
