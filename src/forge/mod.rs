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

    /// Where git fetches the repository from, with what it needs to be let in. Asked for anew before each use: a token
    /// in it may be good for an hour.
    fn source(&self) -> BoxFuture<'_, Result<Source, ForgeError>>;

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<PullRequest, ForgeError>>;

    /// Those that are open, the latest changed first, and at most 300. `etag` is that of the last answer; while nothing
    /// has changed since, asking costs nothing.
    fn open_pull_requests<'a>(&'a self, etag: Option<&'a str>) -> BoxFuture<'a, Result<Polled, ForgeError>>;

    /// What a user may do in the repository.
    fn permission<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Permission, ForgeError>>;

    /// What was answered to the findings that stand at their lines, oldest first.
    fn conversation(&self, number: u64) -> BoxFuture<'_, Result<Vec<Thread>, ForgeError>>;

    /// Comments on the pull request as a whole, oldest first; those that were changed at `since` or later.
    fn comments(&self, number: u64, since: Option<Timestamp>) -> BoxFuture<'_, Result<Vec<Comment>, ForgeError>>;

    /// Marks one of [`Forge::comments`]. Doing so twice changes nothing.
    fn react(&self, comment: u64, reaction: Reaction) -> BoxFuture<'_, Result<(), ForgeError>>;

    /// Shows at a finding's comment of our own what became of the finding. Doing so twice changes nothing; says whether
    /// anything was changed.
    fn mark_finding<'a>(&'a self, thread: &'a Thread, mark: &'a Mark) -> BoxFuture<'a, Result<bool, ForgeError>>;

    /// Says at the commit how its review stands. The review of a final state tells more than the status: where the
    /// forge has a place at the commit for its findings, it shows them there.
    fn set_status<'a>(
        &'a self,
        sha: &'a str,
        status: &'a Status,
        review: Option<&'a Review>,
    ) -> BoxFuture<'a, Result<(), ForgeError>>;

    /// Puts the review where its readers are. Doing so twice changes nothing.
    fn publish<'a>(
        &'a self,
        pull: &'a PullRequest,
        review: &'a Review,
        max_inline: usize,
    ) -> BoxFuture<'a, Result<Publication, ForgeError>>;

    /// Says on top of our summary how a review stands that found nothing because it was not made, and leaves what stands
    /// below from earlier reviews. Doing so twice changes nothing; the next [`Forge::publish`] takes it away.
    fn notice<'a>(
        &'a self,
        pull: &'a PullRequest,
        review: &'a Review,
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
    /// `owner/name` of the head; absent where it is gone.
    pub head_repo: Option<String>,
    pub labels: Vec<String>,
    /// When anything about it changed last, a comment or a push, in whole seconds.
    pub updated_at: Timestamp,
    /// How many files the forge says have changed; 0 in a list, which does not tell.
    pub changed_files: u64,
}

/// What came of asking whether anything has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    Unchanged,
    Changed {
        /// For the next time.
        etag: Option<String>,
        pulls: Vec<PullRequest>,
        /// Whether these are all: one that is missing may be closed, or beyond what is listed.
        complete: bool,
    },
}

/// The least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    None,
    Read,
    Write,
    Admin,
}

/// A comment of ours about a finding, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// The comment's own id.
    pub id: u64,
    pub fingerprint: String,
    pub path: String,
    /// In the new file; absent where the line has changed since.
    pub line: Option<u32>,
    /// What we wrote, or others have made of it.
    pub body: String,
    pub replies: Vec<Comment>,
    pub resolution: Resolution,
}

/// What became of a finding that was commented on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    Open,
    Fixed {
        /// Head at which it was no longer found.
        head: String,
        /// The lines that it was about stand as they were: something else has mended it, or nothing has.
        unchanged: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The forge does not say.
    Unknown,
    Open,
    Resolved {
        /// Login; absent where the account is gone.
        by: Option<String>,
    },
}

/// What somebody wrote; the text is untrusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    /// Login; empty where the account is gone.
    pub author: String,
    pub author_is_bot: bool,
    pub body: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Seen, and being worked on.
    Eyes,
    /// Not done: not understood, or not allowed.
    Confused,
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

/// How a review stands, as far as its commit shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusState {
    /// Under way.
    Pending,
    Success,
    /// By the user's own rules nothing was to be reviewed.
    Skipped,
    /// Ended, and not all was reviewed: somebody has yet to see to it.
    Unfinished,
    /// The review itself broke.
    Error,
    /// Ended before its time, by a wish or as another head took its place.
    Cancelled,
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
