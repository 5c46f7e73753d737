//! Carries a publication out. GitHub has no transactions, so each step first looks at what is there: after a crash, a
//! 502 or a second run it goes on from there, and what stands already is not posted again.

use std::collections::HashSet;

use hyper::Method;
use serde::Deserialize;
use serde_json::json;

use super::client::Again;
use super::publish::{self, Comment};
use super::{GitHub, Kind, MAX_PAGES, Result, User};
use crate::forge::{ForgeError, Publication, PullRequest};
use crate::review::{Published, Review};

/// How often an answer that leaves open what happened is looked into.
const LOOKS: usize = 2;

/// A comment or a review, as far as it matters here.
#[derive(Deserialize)]
struct Posted {
    id: u64,
    user: Option<User>,
    /// A review may have none.
    body: Option<String>,
    html_url: Option<String>,
    /// `PENDING` for a review that only its author sees.
    state: Option<String>,
}

impl Posted {
    fn is_by(&self, me: &User) -> bool {
        self.user.as_ref().is_some_and(|user| user.id == me.id)
    }

    fn body(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }
}

/// What became of the comments at lines.
#[derive(Default)]
struct Inline {
    url: Option<String>,
    /// Fingerprints of those that stand now.
    posted: HashSet<String>,
}

enum Step<T> {
    Done(T),
    Moved(String),
}

impl GitHub {
    pub(super) async fn post(&self, pull: &PullRequest, review: &Review, max_inline: usize) -> Result<Publication> {
        let mut known = HashSet::new();
        let mut inline = Inline::default();
        if review.findings.is_empty() || max_inline == 0 {
            if let Some(head_sha) = self.moved(pull).await? {
                return Ok(Publication::Moved { head_sha });
            }
        } else {
            known = self.known(pull).await?;
            let files = self.files(pull).await?;
            let comments = publish::comments(review, &files, &known, max_inline);
            // The last look before the first write.
            if let Some(head_sha) = self.moved(pull).await? {
                return Ok(Publication::Moved { head_sha });
            }
            if !comments.is_empty() {
                inline = match self.post_comments(pull, review, comments, &known, max_inline).await? {
                    Step::Done(inline) => inline,
                    Step::Moved(head_sha) => return Ok(Publication::Moved { head_sha }),
                };
            }
        }
        let ours =
            |set: &HashSet<String>| review.findings.iter().filter(|finding| set.contains(&finding.fingerprint)).count();
        let (new_comments, known_comments) = (ours(&inline.posted), ours(&known));
        known.extend(inline.posted);
        let text = publish::summary(review, &known);
        let anew =
            |old: Option<&str>| (!old.is_some_and(|old| publish::same_summary(old, &text))).then(|| text.clone());
        let summary_url = self.post_summary(pull, &anew).await?;
        Ok(Publication::Done(Published { summary_url, review_url: inline.url, new_comments, known_comments }))
    }

    pub(super) async fn post_notice(&self, pull: &PullRequest, review: &Review) -> Result<Publication> {
        if let Some(head_sha) = self.moved(pull).await? {
            return Ok(Publication::Moved { head_sha });
        }
        let anew = |old: Option<&str>| {
            Some(publish::with_notice(old, review)).filter(|text| old.map(str::trim_end) != Some(text.trim_end()))
        };
        let summary_url = self.post_summary(pull, &anew).await?;
        Ok(Publication::Done(Published { summary_url, ..Published::default() }))
    }

    /// The present head, where it is another one.
    async fn moved(&self, pull: &PullRequest) -> Result<Option<String>> {
        let now = self.pull(pull.number).await?;
        Ok(Some(now.head_sha).filter(|head| *head != pull.head_sha))
    }

    /// Fingerprints of the findings that we have commented on before, outdated comments among them.
    async fn known(&self, pull: &PullRequest) -> Result<HashSet<String>> {
        let me = self.me().await?;
        let comments: Vec<Posted> =
            self.client.pages(&self.path(&format!("/pulls/{}/comments", pull.number)), MAX_PAGES).await?;
        let own = comments.iter().filter(|comment| comment.is_by(me));
        Ok(own.filter_map(|comment| publish::fingerprint(comment.body())).map(str::to_owned).collect())
    }

    async fn reviews(&self, pull: &PullRequest) -> Result<Vec<Posted>> {
        self.client.pages(&self.path(&format!("/pulls/{}/reviews", pull.number)), MAX_PAGES).await
    }

    /// One review with all the comments. GitHub takes all or nothing and does not say what it dislikes, so a refusal
    /// leads down a ladder: a review that was left pending goes; head and files are read anew; each comment alone; and
    /// what still is refused stays in the summary.
    async fn post_comments(
        &self,
        pull: &PullRequest,
        review: &Review,
        mut comments: Vec<Comment>,
        known: &HashSet<String>,
        max_inline: usize,
    ) -> Result<Step<Inline>> {
        let path = self.path(&format!("/pulls/{}/reviews", pull.number));
        let (mut looks, mut cleared, mut read_anew) = (0, false, false);
        loop {
            let body = json!({
                "commit_id": pull.head_sha,
                "event": "COMMENT",
                "body": publish::review_body(review, &comments),
                "comments": comments.iter().map(Comment::to_json).collect::<Vec<_>>(),
            });
            let names = || comments.iter().map(|comment| comment.fingerprint.clone()).collect();
            let error = match self.client.write::<Posted>(Method::POST, &path, &body, Again::No).await {
                Ok(posted) => return Ok(Step::Done(Inline { url: posted.html_url, posted: names() })),
                Err(error) => error,
            };
            match error {
                ForgeError::Unavailable { perhaps_done: true, .. } if looks < LOOKS => {
                    looks += 1;
                    tracing::debug!("{error}; looking whether the review is there");
                    let marker = publish::review_marker(review, &comments);
                    let me = self.me().await?;
                    let found =
                        self.reviews(pull).await?.into_iter().find(|posted| {
                            posted.is_by(me) && !is_pending(posted) && posted.body().starts_with(&marker)
                        });
                    if let Some(found) = found {
                        return Ok(Step::Done(Inline { url: found.html_url, posted: names() }));
                    }
                    if let Some(head_sha) = self.moved(pull).await? {
                        return Ok(Step::Moved(head_sha));
                    }
                }
                ForgeError::Invalid(text) => {
                    tracing::debug!("{text}");
                    if !cleared {
                        cleared = true;
                        if self.clear_pending(pull).await? {
                            continue;
                        }
                    }
                    if !read_anew {
                        read_anew = true;
                        let now = self.pull(pull.number).await?;
                        if now.head_sha != pull.head_sha {
                            return Ok(Step::Moved(now.head_sha));
                        }
                        let anew = publish::comments(review, &self.files(&now).await?, known, max_inline);
                        if anew.is_empty() {
                            return Ok(Step::Done(Inline::default()));
                        }
                        if anew != comments {
                            comments = anew;
                            continue;
                        }
                    }
                    return Ok(Step::Done(self.post_singly(pull, &comments).await?));
                }
                error => return Err(error),
            }
        }
    }

    /// Removes our own review that was never submitted; while one is there GitHub takes no other. Says whether one is
    /// gone. What a person began and has not sent yet is theirs and stays.
    async fn clear_pending(&self, pull: &PullRequest) -> Result<bool> {
        let me = self.me().await?;
        for posted in self.reviews(pull).await?.iter().filter(|posted| posted.is_by(me) && is_pending(posted)) {
            if me.kind == Kind::Bot || publish::is_review(posted.body()) {
                self.client.delete(&self.path(&format!("/pulls/{}/reviews/{}", pull.number, posted.id))).await?;
                return Ok(true);
            }
            tracing::warn!(
                "`{}` has a review of pull request {} that is not submitted; GitHub takes no comments beside it",
                me.login,
                pull.number
            );
        }
        Ok(false)
    }

    /// Each comment by itself; one that is refused is left to the summary.
    async fn post_singly(&self, pull: &PullRequest, comments: &[Comment]) -> Result<Inline> {
        let path = self.path(&format!("/pulls/{}/comments", pull.number));
        let mut inline = Inline::default();
        for comment in comments {
            let mut body = comment.to_json();
            body["commit_id"] = pull.head_sha.as_str().into();
            let mut looks = 0;
            loop {
                match self.client.write::<Posted>(Method::POST, &path, &body, Again::No).await {
                    Ok(posted) => {
                        inline.url = inline.url.or(posted.html_url);
                        inline.posted.insert(comment.fingerprint.clone());
                    }
                    Err(ForgeError::Invalid(text)) => tracing::debug!("{text}; it stays in the summary"),
                    Err(ForgeError::Unavailable { perhaps_done: true, .. }) if looks < LOOKS => {
                        looks += 1;
                        if !self.known(pull).await?.contains(&comment.fingerprint) {
                            continue;
                        }
                        inline.posted.insert(comment.fingerprint.clone());
                    }
                    Err(error) => return Err(error),
                }
                break;
            }
        }
        Ok(inline)
    }

    /// Puts the summary into our one comment of it, and says where that is. `anew` makes of what the comment says now
    /// what it is to say, if that is anything else.
    async fn post_summary(
        &self,
        pull: &PullRequest,
        anew: &(dyn Fn(Option<&str>) -> Option<String> + Sync),
    ) -> Result<Option<String>> {
        let path = self.path(&format!("/issues/{}/comments", pull.number));
        let me = self.me().await?;
        let mut looks = 0;
        loop {
            let comments: Vec<Posted> = self.client.pages(&path, MAX_PAGES).await?;
            // Anybody can write the marker.
            let own = comments.into_iter().find(|comment| comment.is_by(me) && publish::is_summary(comment.body()));
            if let Some(own) = own {
                let Some(text) = anew(Some(own.body())) else { return Ok(own.html_url) };
                let body = json!({ "body": text });
                let path = self.path(&format!("/issues/comments/{}", own.id));
                match self.client.write::<Posted>(Method::PATCH, &path, &body, Again::Yes).await {
                    Ok(posted) => return Ok(posted.html_url),
                    // Somebody deleted it just now.
                    Err(ForgeError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let Some(text) = anew(None) else { return Ok(None) };
            match self.client.write::<Posted>(Method::POST, &path, &json!({ "body": text }), Again::No).await {
                Ok(posted) => return Ok(posted.html_url),
                Err(error @ ForgeError::Unavailable { perhaps_done: true, .. }) if looks < LOOKS => {
                    looks += 1;
                    tracing::debug!("{error}; looking whether the summary is there");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_pending(posted: &Posted) -> bool {
    posted.state.as_deref() == Some("PENDING")
}
