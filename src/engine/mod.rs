//! What reads a change and produces findings. An engine runs inside the cage (`run job`), knows nothing of
//! systemd, the forge or the store, and hands back [`Draft`]s or a typed [`EngineError`].
//!
//! [`run`] is the only door: whatever passes it, progress, report or error, has been cleaned of the engine's key.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cage::API_KEY;
use crate::diff::Diff;
use crate::finding::{Category, Draft, Lines, Severity};
use crate::review::{EngineUsed, SessionUsed};
use crate::secret::Redactor;
use crate::secret::scrub::scrub;

pub mod claude;
pub mod command;
mod drafts;
pub mod pin;
pub mod process;
pub mod rules;
pub mod sarif;

/// What an engine is given: the part of the change that it is to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// Version of this format.
    pub version: u32,
    pub project: String,
    pub subject: String,
    pub base_sha: String,
    pub head_sha: String,
    /// Instructions of skills and policy, trusted; empty where there are none.
    pub instructions: String,
    /// The files planned for this run; everything in it is hostile input.
    pub diff: Diff,
    /// The other paths of the change: read by another call, known from an earlier review, or left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// What the last review has found in the files of `diff`; as hostile as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenFinding>,
    /// Where the engine may go on from, and be gone on from; for those that keep sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionWish>,
}

/// A finding of an earlier review that may still hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenFinding {
    pub path: String,
    /// As they were numbered then.
    pub lines: Option<Lines>,
    pub severity: Severity,
    pub category: Category,
    pub title: String,
}

/// The conversation that all reviews of one pull request share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionWish {
    /// Number of the pull request.
    pub pull: u64,
    /// The session of an earlier review, and the head that it saw; none is gone on with where that is absent.
    pub resume: Option<(SessionUsed, String)>,
}

/// Which engine, and all it needs to know; travels into the cage as JSON, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase")]
pub enum EngineSpec {
    Rules,
    Command(CommandSpec),
    Claude(ClaudeSpec),
}

impl EngineSpec {
    /// The engine without what only bounds it: budget, deadlines, calls at once. A program is named by what was asked
    /// for; which file that is changes with each update.
    pub fn without_bounds(&self) -> EngineSpec {
        let deadlines = Deadlines { first_byte: Duration::ZERO, idle: Duration::ZERO, total: Duration::ZERO };
        match self.clone() {
            EngineSpec::Rules => EngineSpec::Rules,
            EngineSpec::Command(spec) => EngineSpec::Command(CommandSpec { deadlines, ..spec }),
            EngineSpec::Claude(spec) => EngineSpec::Claude(ClaudeSpec {
                program: PathBuf::new(),
                max_budget_usd: 0.0,
                parallel: 0,
                deadlines,
                ..spec
            }),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandSpec {
    /// Program and arguments; the program is an absolute path.
    pub argv: Vec<String>,
    pub deadlines: Deadlines,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaudeSpec {
    /// Absolute path of the `claude` executable.
    pub program: PathBuf,
    /// The version it must have, where one is pinned (`2.1.330`).
    pub version: Option<String>,
    pub model: Option<String>,
    /// Of each call.
    pub max_turns: u32,
    /// US dollars for all calls together.
    pub max_budget_usd: f64,
    /// Findings of high and critical severity get a second look, which may refute them.
    pub refute: bool,
    /// Bytes of diff for one call; a larger change is given to several.
    pub chunk: usize,
    /// Calls at once.
    pub parallel: usize,
    pub base_url: Option<String>,
    pub deadlines: Deadlines,
}

/// Bounds on an engine process; each ends it with TERM, then KILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadlines {
    /// Until the first byte on its standard output.
    pub first_byte: Duration,
    /// Between two pieces of output.
    pub idle: Duration,
    pub total: Duration,
}

/// Where an engine runs, made by the cage; all paths exist.
#[derive(Debug, Clone)]
pub struct Workplace {
    /// The checkout of the head, read-only.
    pub checkout: PathBuf,
    /// Scratch space of this job alone; TMPDIR of the engine.
    pub scratch: PathBuf,
    /// Kept between jobs of one agent: the engine's own configuration and sessions.
    pub engine_home: PathBuf,
    /// The engine's key, from the cage's credentials; never logged.
    pub api_key: Option<String>,
}

/// What an engine tells while it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "kebab-case")]
pub enum Progress {
    Started {
        engine: String,
        version: Option<String>,
        model: Option<String>,
    },
    /// The engine uses a tool on something (`Read`, `src/main.rs`).
    Tool {
        name: String,
        target: String,
    },
    /// The engine waits for its API.
    Waiting {
        reason: String,
        retry_ms: u64,
    },
    Note {
        text: String,
    },
}

/// What an engine hands back when it has done its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    pub used: EngineUsed,
    pub summary: Option<String>,
    pub drafts: Vec<Draft>,
    /// What the receipt should mention (malformed findings that were dropped, flags that are missing).
    pub notes: Vec<String>,
    /// Set when the engine itself says that it did not see all it was given.
    pub incomplete: Option<String>,
    /// Files that it was given and that nobody has read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<Unseen>,
}

/// A file that an engine was given and has not read, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    pub path: String,
    pub reason: String,
}

/// Why an engine handed back nothing that may be called a review, and what it has used all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{cause}")]
pub struct EngineError {
    #[serde(flatten)]
    pub kind: ErrorKind,
    pub cause: String,
    /// As far as it is known. Without a price but with tokens, it was ended before it named one: then what it may have
    /// cost is anything up to its budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Box<EngineUsed>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "lowercase")]
pub enum ErrorKind {
    /// Quota or overload; `retry_after` in seconds where the API named a time.
    Deferred { retry_after: Option<u64> },
    /// Credentials are missing or refused.
    Unauthenticated,
    /// Anything else: crash, deadline, garbage, refusal.
    Failed,
}

impl EngineError {
    pub fn failed(cause: impl Into<String>) -> Self {
        EngineError { kind: ErrorKind::Failed, cause: cause.into(), used: None }
    }

    pub fn deferred(cause: impl Into<String>, retry_after: Option<u64>) -> Self {
        EngineError { kind: ErrorKind::Deferred { retry_after }, cause: cause.into(), used: None }
    }

    pub fn unauthenticated(cause: impl Into<String>) -> Self {
        EngineError { kind: ErrorKind::Unauthenticated, cause: cause.into(), used: None }
    }

    pub fn having_used(self, used: EngineUsed) -> Self {
        EngineError { used: Some(Box::new(used)), ..self }
    }
}

/// Where engines find programs such as `git`; their own is always an absolute path.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Lets the engine of `spec` review what is in `bundle`. Dropping the future kills whatever the engine has started.
pub async fn run(
    spec: &EngineSpec,
    bundle: &Bundle,
    workplace: &Workplace,
    events: &mut dyn FnMut(Progress),
) -> Result<EngineReport, EngineError> {
    let redactor = Redactor::new(workplace.api_key.as_deref().map(|key| (API_KEY.0, key)));
    let mut events = |progress| events(redactor.clean(progress));
    let end = match spec {
        EngineSpec::Rules => {
            let version = crate::version().to_owned();
            events(started("rules", Some(version.clone())));
            Ok(EngineReport {
                used: EngineUsed { name: "rules".to_owned(), version: Some(version), ..EngineUsed::default() },
                summary: None,
                drafts: rules::review(&bundle.diff),
                notes: Vec::new(),
                incomplete: None,
                unseen: Vec::new(),
            })
        }
        EngineSpec::Command(spec) => {
            events(started("command", None));
            command::run(spec, bundle, workplace, &redactor).await
        }
        // What is left there of one that was killed is cleaned before the next can read it.
        EngineSpec::Claude(spec) => {
            clean_home(workplace, &redactor);
            claude::run(spec, bundle, workplace, &redactor, &mut events).await
        }
    };
    if matches!(spec, EngineSpec::Claude(_)) {
        clean_home(workplace, &redactor);
    }
    end.map(|report| redactor.clean(bounded(report))).map_err(|error| redactor.clean(error))
}

/// What the engine keeps for later jobs has its key in it only if the engine has said it.
fn clean_home(workplace: &Workplace, redactor: &Redactor) {
    match scrub(&workplace.engine_home, redactor) {
        Ok(0) => {}
        Ok(files) => {
            tracing::warn!("took the key out of {} that the engine keeps", crate::quantity::count(files, "file"));
        }
        Err(error) => tracing::warn!("could not look for the key in what the engine keeps: {error:#}"),
    }
}

/// Most findings that an engine hands over, the gravest first; of a million the result would be too large to be read.
const MAX_DRAFTS: usize = 10_000;

fn bounded(mut report: EngineReport) -> EngineReport {
    let over = report.drafts.len().saturating_sub(MAX_DRAFTS);
    if over > 0 {
        report.drafts.sort_by_key(|draft| std::cmp::Reverse(draft.severity));
        report.drafts.truncate(MAX_DRAFTS);
        report
            .notes
            .push(format!("left out {} of this engine, the least grave", crate::quantity::count(over, "finding")));
    }
    report
}

fn started(engine: &str, version: Option<String>) -> Progress {
    Progress::Started { engine: engine.to_owned(), version, model: None }
}

fn failed(cause: impl Into<String>) -> EngineError {
    EngineError::failed(cause)
}

/// A cause, followed by the end of what the program wrote to standard error, where it wrote anything.
fn with_last_words(cause: String, stderr: &str) -> String {
    const KEPT: usize = 800;
    let stderr = stderr.trim();
    let from = stderr.char_indices().rev().nth(KEPT - 1).map_or(0, |(at, _)| at);
    let words = drafts::shorten(&stderr[from..], KEPT);
    match words.as_str() {
        "" => cause,
        words if from == 0 => format!("{cause}: {words}"),
        words => format!("{cause}: … {words}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::diff::{FileDiff, FileStatus, Hunk, Line, LineKind};

    pub struct Place {
        pub workplace: Workplace,
        _root: tempfile::TempDir,
    }

    pub fn workplace() -> Place {
        let root = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = root.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let workplace = Workplace {
            checkout: folder("checkout"),
            scratch: folder("scratch"),
            engine_home: folder("home"),
            api_key: None,
        };
        Place { workplace, _root: root }
    }

    pub fn bundle() -> Bundle {
        let line = |kind, old, new, text: &str| Line { kind, old, new, text: text.to_owned() };
        Bundle {
            version: 1,
            project: "acme/shop".to_owned(),
            subject: "pull request 42".to_owned(),
            base_sha: "b45e".to_owned(),
            head_sha: "4ead".to_owned(),
            instructions: String::new(),
            diff: Diff {
                files: vec![FileDiff {
                    path: "src/main.rs".to_owned(),
                    old_path: None,
                    status: FileStatus::Modified,
                    old_mode: Some("100644".to_owned()),
                    new_mode: Some("100644".to_owned()),
                    binary: false,
                    size: None,
                    unread: None,
                    hunks: vec![Hunk {
                        old_start: 1,
                        old_lines: 2,
                        new_start: 1,
                        new_lines: 3,
                        section: String::new(),
                        lines: vec![
                            line(LineKind::Context, Some(1), Some(1), "fn main() {"),
                            line(LineKind::Added, None, Some(2), "    let v: Vec<u32> = vec![];"),
                            line(LineKind::Added, None, Some(3), "    println!(\"{}\", v[0]);"),
                            line(LineKind::Removed, Some(2), None, "}"),
                        ],
                    }],
                }],
            },
            others: vec![],
            open: vec![],
            session: None,
        }
    }

    #[tokio::test]
    async fn the_key_does_not_pass_the_door() {
        let mut place = workplace().workplace;
        place.api_key = Some("canary-4711".to_owned());
        place.checkout = "/".into();
        let limit = Duration::from_secs(20);
        let spec = |answer: &str| {
            EngineSpec::Command(CommandSpec {
                argv: vec!["/bin/sh".into(), "-c".into(), answer.into()],
                deadlines: Deadlines { first_byte: limit, idle: limit, total: limit },
            })
        };
        let mut events = Vec::new();
        let mut collect = |event| events.push(event);
        let report = run(
            &spec(
                r#"echo '{"summary":"canary-4711","findings":[{"path":"a canary-4711","severity":"low",
                "category":"other","title":"t canary-4711","explanation":"e sk-ant-x-1","suggestion":"canary-4711"},
                {"path":"canary-4711","severity":"low"}]}'"#,
            ),
            &bundle(),
            &place,
            &mut collect,
        )
        .await
        .unwrap();
        let error = run(&spec("echo canary-4711; exit 3"), &bundle(), &place, &mut collect).await.unwrap_err();
        let all = serde_json::to_string(&(report, error, events)).unwrap();
        assert!(!all.contains("canary-4711") && !all.contains("sk-ant-x"), "{all}");
        assert_eq!(all.matches("[redacted").count(), 5, "{all}");
    }

    #[test]
    fn last_words_are_cut_from_the_front() {
        let stderr = format!("first\n{}\nlast one\n", "x".repeat(2000));
        let text = with_last_words("it failed".to_owned(), &stderr);
        assert!(text.starts_with("it failed: … xx") && text.ends_with("xx last one"), "{text}");
        assert_eq!(with_last_words("it failed".to_owned(), " \n"), "it failed");
    }
}
