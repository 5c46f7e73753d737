//! GitHub, and its Enterprise Server: [`credentials`] says who speaks, as a person or as an [`app`]; `client` speaks
//! HTTP; `pulls` and `conversation` read; [`examine`] asks what we may do; [`publish`] decides what is posted, `post` and [`checks`] carry it out.

pub mod app;
pub mod checks;
mod client;
mod conversation;
pub mod credentials;
pub mod examine;
mod post;
mod proxy;
pub mod publish;
mod pulls;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{
    Comment, Forge, ForgeError, Mark, Permission, Polled, Publication, PullRequest, Reaction, Status, StatusState,
    Thread,
};
use crate::config::{ApiUrl, GitHubConfig};
use crate::git::Source;
use crate::host::Host;
use crate::plain;
use crate::review::Review;
use client::{Again, Client};

pub use credentials::{APP_KEY, Credentials, TOKEN, TOKEN_VARIABLES};
pub use proxy::Proxy;

/// What our statuses and check runs are called at a commit.
pub const CONTEXT: &str = "cicdctl/review";

const MAX_PAGES: usize = 100;
/// Longest description of a status.
const MAX_DESCRIPTION: usize = 140;
/// The account behind the `GITHUB_TOKEN` of a workflow, which may not ask who it is.
const ACTIONS: User = User { id: 41_898_282, login: String::new(), kind: Kind::Bot };

type Result<T> = std::result::Result<T, ForgeError>;

pub struct GitHub {
    client: Client,
    api: ApiUrl,
    repo: String,
    proxy: Proxy,
    me: OnceCell<User>,
    /// Check runs were refused once; statuses take their place.
    no_checks: AtomicBool,
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitHub({} at {})", self.repo, self.api)
    }
}

impl GitHub {
    /// The repository as this host reaches it: its configuration, its environment.
    pub fn connect(
        host: &Host,
        config: &GitHubConfig,
        repo: String,
        credentials: Credentials,
    ) -> anyhow::Result<GitHub> {
        let api = credentials::api_url(host, config)?;
        Ok(GitHub::by_way_of(credentials::proxy(host), api, repo, credentials)?.with_pace(config.write_pause.0))
    }

    /// `repo` is `owner/name`.
    pub fn new(api: ApiUrl, repo: String, credentials: impl Into<Credentials>) -> Result<GitHub> {
        GitHub::by_way_of(Proxy::default(), api, repo, credentials)
    }

    pub fn by_way_of(proxy: Proxy, api: ApiUrl, repo: String, credentials: impl Into<Credentials>) -> Result<GitHub> {
        if repo.split('/').count() != 2 || !crate::config::is_repo(&repo) {
            return Err(ForgeError::Other(format!(
                "`{}` is no repository of GitHub: `owner/name`",
                repo.escape_debug()
            )));
        }
        let client = Client::new(api.clone(), repo.clone(), credentials.into(), &proxy)?;
        Ok(GitHub { client, api, repo, proxy, me: OnceCell::new(), no_checks: AtomicBool::new(false) })
    }

    /// Until when the token is good, as [`Client::expires`] has it. Of the others nobody has
    /// to watch the end: what an App is given is renewed by itself, and a workflow's token ends with its job.
    pub fn expires(&self) -> Option<Option<Timestamp>> {
        match self.client.credentials() {
            Credentials::Token(_) => self.client.expires(),
            Credentials::Workflow(_) | Credentials::App(_) => Some(None),
        }
    }

    /// Another pause between writes, for servers without GitHub's limits.
    pub fn with_pace(self, pace: Duration) -> GitHub {
        GitHub { client: self.client.with_pace(pace), ..self }
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.repo)
    }

    async fn git_source(&self) -> Result<Source> {
        let server = self.api.server();
        let token = self.client.token().await?;
        let credentials = STANDARD.encode(format!("x-access-token:{}", token.reveal()));
        let addresses = format!("{server}/");
        let proxy = self.proxy.for_address(&server).map(|proxy| (addresses.clone(), proxy.to_owned()));
        Ok(Source {
            url: format!("{server}/{}.git", self.repo),
            header: Some((addresses, format!("Authorization: Basic {credentials}"))),
            proxy,
        })
    }

    /// A check run, where we may make one, and a commit status otherwise.
    async fn say(&self, sha: &str, status: &Status, review: Option<&Review>) -> Result<()> {
        if self.makes_checks().await? {
            match self.check(sha, status, review).await {
                Err(error @ (ForgeError::Forbidden(_) | ForgeError::NotFound(_))) => {
                    tracing::debug!("{error}; a commit status takes the place of the check run");
                    self.no_checks.store(true, Ordering::Relaxed);
                }
                said => return said,
            }
        }
        self.status(sha, status).await
    }

    /// Only Apps can make them, and the token of a workflow is that of one.
    async fn makes_checks(&self) -> Result<bool> {
        Ok(!self.no_checks.load(Ordering::Relaxed)
            && match self.client.credentials() {
                Credentials::Token(_) => false,
                Credentials::Workflow(_) => true,
                Credentials::App(_) => self.client.installation(None).await?.checks,
            })
    }

    async fn status(&self, sha: &str, status: &Status) -> Result<()> {
        let mut body = json!({
            "state": status_word(status.state),
            "context": CONTEXT,
            "description": plain::one_line(&status.description, MAX_DESCRIPTION),
        });
        if let Some(url) = &status.url {
            body["target_url"] = url.as_str().into();
        }
        // The same status twice is the status.
        let path = self.path(&format!("/statuses/{sha}"));
        self.client.write::<Value>(Method::POST, &path, &body, Again::Yes).await.map(drop)
    }

    /// Whose comments are our own.
    async fn me(&self) -> Result<&User> {
        self.me
            .get_or_try_init(|| async {
                match self.client.credentials() {
                    Credentials::App(app) => app.user(&self.client).await,
                    Credentials::Token(_) | Credentials::Workflow(_) => match self.client.get::<User>("/user").await {
                        // Tokens of an installation may not ask; that of a workflow is the one such token there is here.
                        Err(ForgeError::Forbidden(_)) => Ok(ACTIONS),
                        answer => answer,
                    },
                }
            })
            .await
    }
}

/// A status has no neutral state. What is unfinished is yellow, as somebody has yet to see to it, and where the status is
/// required it blocks the merge as red would. GitHub's `failure`, which blames the change, is not used: a review has no
/// opinion on merging.
fn status_word(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending | StatusState::Unfinished => "pending",
        StatusState::Success | StatusState::Skipped => "success",
        StatusState::Error | StatusState::Cancelled => "error",
    }
}

impl Forge for GitHub {
    fn repo(&self) -> &str {
        &self.repo
    }

    fn source(&self) -> BoxFuture<'_, Result<Source>> {
        self.git_source().boxed()
    }

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<PullRequest>> {
        self.pull(number).boxed()
    }

    fn open_pull_requests<'a>(&'a self, etag: Option<&'a str>) -> BoxFuture<'a, Result<Polled>> {
        self.open_pulls(etag).boxed()
    }

    fn permission<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Permission>> {
        self.permission_of(user).boxed()
    }

    fn conversation(&self, number: u64) -> BoxFuture<'_, Result<Vec<Thread>>> {
        self.threads(number).boxed()
    }

    fn comments(&self, number: u64, since: Option<Timestamp>) -> BoxFuture<'_, Result<Vec<Comment>>> {
        self.issue_comments(number, since).boxed()
    }

    fn react(&self, comment: u64, reaction: Reaction) -> BoxFuture<'_, Result<()>> {
        self.react_to(comment, reaction).boxed()
    }

    fn mark_finding<'a>(&'a self, thread: &'a Thread, mark: &'a Mark) -> BoxFuture<'a, Result<bool>> {
        self.mark(thread, mark).boxed()
    }

    fn set_status<'a>(
        &'a self,
        sha: &'a str,
        status: &'a Status,
        review: Option<&'a Review>,
    ) -> BoxFuture<'a, Result<()>> {
        self.say(sha, status, review).boxed()
    }

    fn publish<'a>(
        &'a self,
        pull: &'a PullRequest,
        review: &'a Review,
        max_inline: usize,
    ) -> BoxFuture<'a, Result<Publication>> {
        self.post(pull, review, max_inline).boxed()
    }

    fn notice<'a>(&'a self, pull: &'a PullRequest, review: &'a Review) -> BoxFuture<'a, Result<Publication>> {
        self.post_notice(pull, review).boxed()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct User {
    id: u64,
    login: String,
    #[serde(rename = "type", default)]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum Kind {
    Bot,
    #[default]
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::Token;

    fn github(api: &str) -> GitHub {
        GitHub::new(api.parse().unwrap(), "acme/shop".into(), Token::new("canary-4711").unwrap()).unwrap()
    }

    #[tokio::test]
    async fn git_gets_the_token_for_the_server_alone() {
        let source = github("http://127.0.0.1:9/api/v3").source().await.unwrap();
        assert_eq!(source.url, "http://127.0.0.1:9/acme/shop.git");
        let (addresses, header) = source.header.clone().unwrap();
        assert_eq!(addresses, "http://127.0.0.1:9/");
        assert_eq!(header, format!("Authorization: Basic {}", STANDARD.encode("x-access-token:canary-4711")));
        assert!(!format!("{source:?}").contains("Basic"));
    }

    #[tokio::test]
    async fn the_token_is_in_no_text() {
        let github = github("http://127.0.0.1:9");
        let error = github.pull(1).await.unwrap_err();
        assert!(
            error.to_string().starts_with("GitHub did not answer `GET /repos/acme/shop/pulls/1` at http://127.0.0.1:9")
        );
        for text in [format!("{github:?}"), format!("{error:?}"), error.to_string()] {
            assert!(!text.contains("canary"), "{text}");
        }
        let wrong = GitHub::new("http://127.0.0.1:9".parse().unwrap(), "a/b/c".into(), Token::new("x").unwrap());
        assert!(wrong.is_err());
    }
}
