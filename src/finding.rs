//! What a review says: a finding, how grave it is and where it stands.
//!
//! An engine hands in [`Draft`]s; `review::judge` checks each against the diff and turns it into a [`Finding`].

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much harm a finding does if it is merged, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 5] =
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Severity::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no severity: one of critical, high, medium, low, info"))
    }
}

/// What kind of fault a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Security,
    Correctness,
    Performance,
    Reliability,
    Maintainability,
    Testing,
    Other,
}

impl Category {
    pub const ALL: [Category; 7] = [
        Category::Security,
        Category::Correctness,
        Category::Performance,
        Category::Reliability,
        Category::Maintainability,
        Category::Testing,
        Category::Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Category::Security => "security",
            Category::Correctness => "correctness",
            Category::Performance => "performance",
            Category::Reliability => "reliability",
            Category::Maintainability => "maintainability",
            Category::Testing => "testing",
            Category::Other => "other",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A finding as an engine hands it in: not yet compared with the diff.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// Path in the new tree (in the old one for a deleted file), relative to the root of the repository.
    pub path: String,
    /// First line in the new file, from 1; `None` for a finding about the file as a whole.
    #[serde(default)]
    pub start_line: Option<u32>,
    /// Last line in the new file; the first one where it is absent.
    #[serde(default)]
    pub end_line: Option<u32>,
    pub severity: Severity,
    pub category: Category,
    /// One line, without a full stop.
    pub title: String,
    /// Why it is a fault and what follows from it; Markdown.
    pub explanation: String,
    /// Text that replaces the lines `start_line..=end_line`.
    #[serde(default)]
    pub suggestion: Option<String>,
    /// How sure the engine is, 0 to 1.
    #[serde(default = "certain")]
    pub confidence: f64,
    /// Name of the rule behind it, where there is one (`secret-aws-access-key`).
    #[serde(default)]
    pub rule: Option<String>,
}

fn certain() -> f64 {
    1.0
}

/// A finding that has its place in the diff.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Names this finding across reviews; the same as long as its file, rule or title and its lines are (16 hex digits).
    pub fingerprint: String,
    pub severity: Severity,
    pub category: Category,
    pub path: String,
    /// Lines of the new file, from 1, both inclusive; `None` where it is about the file as a whole.
    pub lines: Option<Lines>,
    pub title: String,
    pub explanation: String,
    pub suggestion: Option<String>,
    pub confidence: f64,
    pub rule: Option<String>,
    /// The lines meant, as they stand in the new file, for people to see.
    pub excerpt: Vec<ExcerptLine>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub start: u32,
    pub end: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExcerptLine {
    pub number: u32,
    pub text: String,
}
