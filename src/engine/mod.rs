//! What reads a change and produces findings. An engine runs inside the cage (`run job`), knows nothing of
//! systemd, the forge or the store, and hands back [`Draft`]s or a typed [`EngineError`].

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::diff::Diff;
use crate::finding::Draft;
use crate::review::EngineUsed;

pub mod rules;

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
}

/// Which engine, and all it needs to know; travels into the cage as JSON, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase")]
pub enum EngineSpec {
    Rules,
    Command(CommandSpec),
    Claude(ClaudeSpec),
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
    pub model: Option<String>,
    pub max_turns: u32,
    pub max_budget_usd: f64,
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
    Started { engine: String, version: Option<String>, model: Option<String> },
    /// The engine uses a tool on something (`Read`, `src/main.rs`).
    Tool { name: String, target: String },
    /// The engine waits for its API.
    Waiting { reason: String, retry_ms: u64 },
    Note { text: String },
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
}

/// Why an engine handed back nothing that may be called a review.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "end", rename_all = "lowercase")]
pub enum EngineError {
    /// Quota or overload; `retry_after` in seconds where the API named a time.
    #[error("{cause}")]
    Deferred { cause: String, retry_after: Option<u64> },
    /// Credentials are missing or refused.
    #[error("{cause}")]
    Unauthenticated { cause: String },
    /// Anything else: crash, deadline, garbage, refusal.
    #[error("{cause}")]
    Failed { cause: String },
}
