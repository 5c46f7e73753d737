//! What is reviewed and when: the tables `[trigger]`, `[[paths]]` and `[policy]`, and what a repository may say of them
//! in its own `.cicd-toolkit.toml`. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Size;
use crate::finding::Severity;
use crate::globs::Glob;

/// Where a repository says how it wants to be reviewed.
pub const REPOSITORY_FILE: &str = ".cicd-toolkit.toml";

/// When a pull request is reviewed. Whoever asks in person is not held to it, but for `forks = "summary-only"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TriggerConfig {
    /// What has a pull request reviewed; nothing: only asking by hand.
    pub on: Vec<On>,
    /// The label that asks for a review, and that approves a head of a fork.
    pub label: String,
    /// The label of pull requests that are not reviewed.
    pub skip_label: String,
    /// The words of a comment that ask for a review.
    pub command: String,
    /// Drafts, too.
    pub drafts: bool,
    /// Pull requests of bots, too.
    pub bots: bool,
    /// Logins whose pull requests are not reviewed.
    pub ignore_authors: Vec<String>,
    /// Globs of the branches into which a pull request is reviewed; nothing: all.
    pub base_branches: Vec<Glob>,
    /// What becomes of a head in another repository.
    pub forks: Forks,
}

impl Default for TriggerConfig {
    fn default() -> Self {
        TriggerConfig {
            on: vec![On::Push, On::Comment],
            label: "cicd-review".into(),
            skip_label: "no-review".into(),
            command: "/review".into(),
            drafts: false,
            bots: false,
            ignore_authors: Vec::new(),
            base_branches: Vec::new(),
            forks: Forks::Label,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// Each new head.
    Push,
    /// The first head.
    Opened,
    /// Each head while the label is there.
    Label,
    /// A comment of somebody who may write to the repository.
    Comment,
}

/// What becomes of pull requests whose head is in another repository; the strictest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forks {
    /// Not reviewed.
    Off,
    /// Reviewed at the head that a label has approved.
    Label,
    /// Reviewed, without comments at the lines.
    SummaryOnly,
    Full,
}

/// What holds for some paths. Of several rules that match, the last that says something about a thing decides it; their
/// instructions add up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathRule {
    /// Globs as in `review.exclude`.
    #[serde(rename = "match", deserialize_with = "some_globs")]
    pub globs: Vec<Glob>,
    /// For the engine, where it sees such a file.
    pub instructions: Option<String>,
    /// Findings below it are not shown.
    pub min_severity: Option<Severity>,
    /// How much of such files together the engine is given, in bytes of diff.
    pub max_diff: Option<Size>,
    /// `true` leaves them out; `false` takes them in, whatever else would leave them out.
    pub exclude: Option<bool>,
}

/// Who may say what is reviewed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Obey the `.cicd-toolkit.toml` of the base branch.
    pub from_repository: bool,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        PolicyConfig { from_repository: true }
    }
}

/// What a repository's own file may hold. It is written by whoever may write to the base branch, so nothing in it
/// reaches the host, its money or its secrets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RepositoryFile {
    pub trigger: TriggerConfig,
    pub paths: Vec<PathRule>,
    pub review: RepositoryReview,
}

/// The keys of `[review]` that a repository may set.
// Each has the type that it has in `ReviewConfig`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RepositoryReview {
    pub min_severity: Option<Severity>,
    pub exclude: Option<Vec<String>>,
    pub instructions: Option<String>,
    pub max_inline: Option<u32>,
    pub refute: Option<bool>,
}

fn some_globs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Glob>, D::Error> {
    let globs = Vec::deserialize(deserializer)?;
    if globs.is_empty() {
        return Err(serde::de::Error::custom("a rule without a glob matches nothing"));
    }
    Ok(globs)
}
