//! Forges, where pull requests live: what is asked of one, behind a trait, and the types that come back.
//!
//! A [`Forge`] speaks for one repository with one token. The token stays in the process that publishes; no cage ever
//! gets it.

pub mod github;

use std::fmt;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use crate::git::Source;
use crate::review::{Published, Review};

/// One repository at a forge.
pub trait Forge: Send + Sync {
    /// `owner/name`
    fn repo(&self) -> &str;

    /// Where git fetches the repository from, with what it needs to be let in.
    fn source(&self) -> Source;

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<PullRequest, ForgeError>>;

    /// Says at the commit how its review stands.
    fn set_status<'a>(&'a self, sha: &'a str, status: &'a Status) -> BoxFuture<'a, Result<(), ForgeError>>;

    /// Puts the review where its readers are. Doing so twice changes nothing.
    fn publish<'a>(
        &'a self,
        pull: &'a PullRequest,
        review: &'a Review,
        max_inline: usize,
    ) -> BoxFuture<'a, Result<Publication, ForgeError>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    pub head_sha: String,
    pub base_ref: String,
    pub base_sha: String,
    pub draft: bool,
    /// `open` or `closed`
    pub state: String,
    pub author: String,
    pub author_is_bot: bool,
    /// The head is in another repository, or that one is gone.
    pub from_fork: bool,
    /// How many files the forge says have changed.
    pub changed_files: u64,
}

/// A file of the change, as the forge sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    pub path: String,
    /// Where it was before, if it was renamed.
    pub previous: Option<String>,
    /// `added`, `removed`, `modified`, `renamed`, …
    pub status: String,
    /// Its hunks; absent where it is binary or too large.
    pub patch: Option<String>,
}

/// What is said at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: StatusState,
    pub description: String,
    /// Where to read on.
    pub url: Option<String>,
}

/// GitHub's `failure`, which blames the change, is not used: a review has no opinion on merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    Pending,
    Success,
    Error,
}

impl StatusState {
    pub fn as_str(self) -> &'static str {
        match self {
            StatusState::Pending => "pending",
            StatusState::Success => "success",
            StatusState::Error => "error",
        }
    }
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    Done(Published),
    /// The head is another one by now; nothing was posted.
    Moved {
        head_sha: String,
    },
}

/// Why a forge did not do what was asked; the texts are for people and hold no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    #[error("{text}; it takes requests again after {until:.0}")]
    RateLimited { until: Timestamp, text: String },
    #[error("{0}")]
    Unauthenticated(String),
    /// The token may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// It is not there, or not for this token.
    #[error("{0}")]
    NotFound(String),
    /// What was sent is not acceptable (422).
    #[error("{0}")]
    Invalid(String),
    /// No answer, or one of a server in trouble. `perhaps_done`: what was asked for may have happened all the same.
    #[error("{text}")]
    Unavailable { text: String, perhaps_done: bool },
    #[error("{0}")]
    Other(String),
}

/// A secret for a forge. It has no way into a text but [`Token::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// `None` where nothing is left without white space, or where it could not stand in a header.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        (!text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())).then(|| Token(text.to_owned()))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let token = Token::new(" ghp_canary\n").unwrap();
        assert_eq!((format!("{token:?}").as_str(), token.reveal()), ("Token(redacted)", "ghp_canary"));
        assert_eq!(Token::new(" \n"), None);
        assert_eq!(Token::new("a\nb"), None);
    }
}
