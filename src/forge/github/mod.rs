//! GitHub, and its Enterprise Server: [`client`] speaks HTTP, [`publish`] decides what is posted, `post` carries it out.

mod client;
mod post;
pub mod publish;

use std::fmt;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{ChangedFile, Forge, ForgeError, Publication, PullRequest, Status, Token};
use crate::config::ApiUrl;
use crate::git::Source;
use crate::plain;
use crate::review::Review;
use client::{Again, Client};

/// Name of the secret with the token.
pub const TOKEN: &str = "github-token";
/// Variables that may hold it instead: the first before the secret, the second, which is often there for other
/// programs, after it.
pub const TOKEN_VARIABLES: [&str; 2] = ["CICD_GITHUB_TOKEN", "GITHUB_TOKEN"];
/// What our statuses are called at a commit.
pub const CONTEXT: &str = "cicdctl/review";

/// GitHub lists at most 3,000 files of a pull request.
const MAX_FILE_PAGES: usize = 30;
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
    token: Token,
    me: OnceCell<User>,
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitHub({} at {})", self.repo, self.api)
    }
}

impl GitHub {
    /// `repo` is `owner/name`.
    pub fn new(api: ApiUrl, repo: String, token: Token) -> Result<GitHub> {
        if repo.split('/').count() != 2 || !crate::config::is_repo(&repo) {
            return Err(ForgeError::Other(format!(
                "`{}` is no repository of GitHub: `owner/name`",
                repo.escape_debug()
            )));
        }
        let client = Client::new(api.clone(), token.clone())?;
        Ok(GitHub { client, api, repo, token, me: OnceCell::new() })
    }

    /// Another pause between writes, for servers without GitHub's limits.
    pub fn with_pace(self, pace: Duration) -> GitHub {
        GitHub { client: self.client.with_pace(pace), ..self }
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}{rest}", self.repo)
    }

    async fn pull(&self, number: u64) -> Result<PullRequest> {
        #[derive(Deserialize)]
        struct Wire {
            number: u64,
            title: String,
            #[serde(default)]
            draft: bool,
            state: String,
            user: Option<User>,
            head: Head,
            base: Base,
            #[serde(default)]
            changed_files: u64,
        }
        #[derive(Deserialize)]
        struct Head {
            sha: String,
            /// Null where the fork is gone.
            repo: Option<Repo>,
        }
        #[derive(Deserialize)]
        struct Base {
            #[serde(rename = "ref")]
            name: String,
            sha: String,
            repo: Option<Repo>,
        }
        #[derive(Deserialize, PartialEq)]
        struct Repo {
            id: u64,
        }
        let pull: Wire = self.client.get_if_changed(&self.path(&format!("/pulls/{number}"))).await?;
        let sha = |sha: String| {
            let valid = matches!(sha.len(), 40 | 64) && sha.chars().all(|c| c.is_ascii_hexdigit());
            if valid {
                Ok(sha)
            } else {
                Err(ForgeError::Other(format!("GitHub names a commit `{}`", sha.escape_debug())))
            }
        };
        if pull.base.name.is_empty() || pull.base.name.starts_with('-') || pull.base.name.chars().any(char::is_control)
        {
            return Err(ForgeError::Other(format!("GitHub names a branch `{}`", pull.base.name.escape_debug())));
        }
        let author = pull.user.unwrap_or_default();
        Ok(PullRequest {
            number: pull.number,
            title: plain::one_line(&pull.title, 300),
            head_sha: sha(pull.head.sha)?,
            base_sha: sha(pull.base.sha)?,
            base_ref: pull.base.name,
            draft: pull.draft,
            state: pull.state,
            author_is_bot: author.kind == Kind::Bot,
            author: author.login,
            from_fork: pull.head.repo.is_none() || pull.head.repo != pull.base.repo,
            changed_files: pull.changed_files,
        })
    }

    async fn files(&self, pull: &PullRequest) -> Result<Vec<ChangedFile>> {
        #[derive(Deserialize)]
        struct Wire {
            filename: String,
            previous_filename: Option<String>,
            status: String,
            patch: Option<String>,
        }
        let path = self.path(&format!("/pulls/{}/files", pull.number));
        let files: Vec<Wire> = self.client.pages(&path, MAX_FILE_PAGES).await?;
        if (files.len() as u64) < pull.changed_files {
            tracing::debug!(
                "GitHub lists {} of {} files; findings in the others go to the summary",
                files.len(),
                pull.changed_files
            );
        }
        let file = |Wire { filename, previous_filename, status, patch }| ChangedFile {
            path: filename,
            previous: previous_filename,
            status,
            patch,
        };
        Ok(files.into_iter().map(file).collect())
    }

    async fn status(&self, sha: &str, status: &Status) -> Result<()> {
        let mut body = json!({
            "state": status.state.as_str(),
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
                match self.client.get::<User>("/user").await {
                    // Tokens of an installation may not ask; that of a workflow is the one such token there is here.
                    Err(ForgeError::Forbidden(_)) => Ok(ACTIONS),
                    answer => answer,
                }
            })
            .await
    }
}

impl Forge for GitHub {
    fn repo(&self) -> &str {
        &self.repo
    }

    fn source(&self) -> Source {
        let server = self.api.server();
        let credentials = base64(format!("x-access-token:{}", self.token.reveal()).as_bytes());
        Source {
            url: format!("{server}/{}.git", self.repo),
            header: Some((format!("{server}/"), format!("Authorization: Basic {credentials}"))),
        }
    }

    fn pull_request(&self, number: u64) -> BoxFuture<'_, Result<PullRequest>> {
        self.pull(number).boxed()
    }

    fn set_status<'a>(&'a self, sha: &'a str, status: &'a Status) -> BoxFuture<'a, Result<()>> {
        self.status(sha, status).boxed()
    }

    fn publish<'a>(
        &'a self,
        pull: &'a PullRequest,
        review: &'a Review,
        max_inline: usize,
    ) -> BoxFuture<'a, Result<Publication>> {
        self.post(pull, review, max_inline).boxed()
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

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = (bits >> (18 - 6 * place)) & 63;
            text.push(if place > chunk.len() { '=' } else { char::from(ALPHABET[six as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(api: &str) -> GitHub {
        GitHub::new(api.parse().unwrap(), "acme/shop".into(), Token::new("canary-4711").unwrap()).unwrap()
    }

    #[test]
    fn base64_as_the_rfc_has_it() {
        for (text, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), coded);
        }
    }

    #[tokio::test]
    async fn git_gets_the_token_for_the_server_alone() {
        let source = github("http://127.0.0.1:9/api/v3").source();
        assert_eq!(source.url, "http://127.0.0.1:9/acme/shop.git");
        let (addresses, header) = source.header.clone().unwrap();
        assert_eq!(addresses, "http://127.0.0.1:9/");
        assert_eq!(header, format!("Authorization: Basic {}", base64(b"x-access-token:canary-4711")));
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
