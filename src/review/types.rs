//! What a review is once it has ended: outcome, receipt and findings. Pure; these types travel over the
//! socket, into the store and into every report.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;

/// How a job ended: a closed set. Only `reviewed` may ever be shown as a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every file that is not excluded was seen; the receipt proves it.
    Reviewed,
    /// Some file that is not excluded was not seen, or the engine ended early.
    Partial,
    /// Policy says not to review, with the reason.
    Skipped,
    /// Quota or overload: to be tried again later.
    Deferred,
    Failed,
    /// A newer head took its place.
    Superseded,
    Cancelled,
}

impl Outcome {
    pub const ALL: [Outcome; 7] = [
        Outcome::Reviewed,
        Outcome::Partial,
        Outcome::Skipped,
        Outcome::Deferred,
        Outcome::Failed,
        Outcome::Superseded,
        Outcome::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Reviewed => "reviewed",
            Outcome::Partial => "partial",
            Outcome::Skipped => "skipped",
            Outcome::Deferred => "deferred",
            Outcome::Failed => "failed",
            Outcome::Superseded => "superseded",
            Outcome::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no outcome"))
    }
}

/// A job that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    pub job: String,
    /// What was reviewed, for people: `owner/name`, or a path.
    pub project: String,
    /// The change under review, for people: `HEAD~1..HEAD`, `staged changes`, `pull request 42`.
    pub subject: String,
    pub outcome: Outcome,
    /// Why, for every outcome but `reviewed`.
    pub reason: Option<String>,
    /// What the engine says about the change as a whole; Markdown.
    pub summary: Option<String>,
    /// Gravest first, then by path and line.
    pub findings: Vec<Finding>,
    pub receipt: Receipt,
    /// When a deferred review may go on, in milliseconds since 1970, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at_ms: Option<i64>,
    /// The review itself came to an end, and could not be published: it is not made again for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpublished: Option<Unpublished>,
}

/// How a review stands that only has to be published yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unpublished {
    pub outcome: Outcome,
    pub reason: Option<String>,
}

/// What proves a review.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Full object names; a tree where working-tree or staged changes were reviewed.
    pub base_sha: Option<String>,
    pub head_sha: Option<String>,
    /// Every file of the change, each once.
    pub files: Vec<FileCoverage>,
    pub engine: Option<EngineUsed>,
    /// Wall time of the whole job and of the engine alone, in milliseconds.
    pub duration_ms: u64,
    pub engine_ms: Option<u64>,
    /// Highest memory use of the cage, in bytes, where the kernel tells.
    pub peak_memory: Option<u64>,
    /// How the engine was confined.
    pub cage: Option<CageUsed>,
    /// The job that reviewed this very change, where it was another one: nothing was read or paid again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<String>,
    /// Where it was published, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Findings that were reported and are not shown, as somebody has dismissed them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dismissed: usize,
    /// Findings of earlier reviews that are no longer reported since this head.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fixed: usize,
    /// What a reader should know besides (drafts that were dropped, flags the engine lacks, …).
    pub notes: Vec<String>,
}

impl Receipt {
    /// Files that the engine was given now.
    pub fn seen(&self) -> usize {
        self.files.iter().filter(|file| file.coverage == Coverage::Seen).count()
    }

    /// Files that should have been seen and were not.
    pub fn missed(&self) -> impl Iterator<Item = &FileCoverage> {
        self.files.iter().filter(|file| matches!(file.coverage, Coverage::Missed { .. }))
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCoverage {
    pub path: String,
    #[serde(flatten)]
    pub coverage: Coverage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "coverage", rename_all = "lowercase")]
pub enum Coverage {
    Seen,
    /// Seen by an earlier review of the same pull request on the same terms, and unchanged since.
    Known {
        /// The job that saw it.
        job: String,
    },
    /// Left out by a rule; does not make a review partial.
    Excluded {
        reason: String,
    },
    /// Should have been seen; makes a review partial.
    Missed {
        reason: String,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EngineUsed {
    /// `rules`, `claude` or `command`.
    pub name: String,
    pub version: Option<String>,
    /// Of its program, as it was looked at before it began: `sha256:` and the first twelve digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    pub model: Option<String>,
    pub turns: Option<u32>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub cost_usd: Option<f64>,
    /// The conversation that was held, where it is kept for the next review of the same pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionUsed>,
}

/// A conversation with an engine that outlasts one review.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionUsed {
    pub id: String,
    /// How often it was gone on with since it began; 0 in the review that began it.
    pub resumes: u32,
}

/// What stands at the forge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Address of the summary.
    pub summary_url: Option<String>,
    /// Address of the review, where findings were commented on now.
    pub review_url: Option<String>,
    /// Findings at their lines: commented on now, and by an earlier review.
    pub new_comments: usize,
    pub known_comments: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CageUsed {
    /// The transient unit; `None` where the engine was a plain child process.
    pub unit: Option<String>,
    /// Why it was not caged, where it was not.
    pub uncaged_because: Option<String>,
}
