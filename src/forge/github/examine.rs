//! What GitHub says of the credentials and of what they may do, for `cicdctl doctor`. Nothing is written, and what only
//! a write could show is not claimed: the permissions of a fine-grained token GitHub does not tell.

use jiff::Timestamp;
use serde::Deserialize;

use super::client::Said;
use super::{Credentials, GitHub, Result, User};
use crate::forge::ForgeError;
use crate::plain;

/// Who the credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Login of the account that the reviews will bear; absent where GitHub does not tell it (a workflow's token).
    pub login: Option<String>,
    /// Of a classic token. A fine-grained one has permissions instead, and tells none.
    pub scopes: Option<Vec<String>>,
    pub expires: Option<Timestamp>,
    /// Requests left in this hour, and how many there are.
    pub requests: Option<(u64, u64)>,
}

/// What they may do at one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// As GitHub writes it; the configured name may be an older one.
    pub full_name: String,
    pub private: bool,
    pub archived: bool,
    /// The account may push, and so set statuses; absent for an App.
    pub push: Option<bool>,
    /// The App may set statuses or make check runs; absent where it is a person's token.
    pub says_at_commits: Option<bool>,
}

impl GitHub {
    pub async fn identity(&self) -> Result<Identity> {
        if matches!(self.client.credentials(), Credentials::App(_)) {
            let login = Some(self.me().await?.login.clone());
            return Ok(Identity { login, scopes: None, expires: None, requests: None });
        }
        match self.client.get_with_headers::<User>("/user").await {
            Ok((user, said)) => Ok(identity(Some(user.login), &said)),
            // Tokens of an installation may not ask who they are.
            Err(ForgeError::Forbidden(_)) => Ok(Identity { login: None, scopes: None, expires: None, requests: None }),
            Err(error) => Err(error),
        }
    }

    pub async fn reach(&self) -> Result<Reach> {
        #[derive(Deserialize)]
        struct Repo {
            full_name: String,
            #[serde(default)]
            private: bool,
            #[serde(default)]
            archived: bool,
            permissions: Option<May>,
        }
        #[derive(Deserialize)]
        struct May {
            #[serde(default)]
            push: bool,
        }
        let is_person = matches!(self.client.credentials(), Credentials::Token(_));
        // It is refused where the App lacks what it needs at all.
        let says_at_commits = match self.client.credentials() {
            Credentials::App(_) => {
                let installation = self.client.installation(None).await?;
                Some(installation.checks || installation.statuses)
            }
            Credentials::Token(_) | Credentials::Workflow(_) => None,
        };
        let repo: Repo = self.client.get(&self.path("")).await?;
        Ok(Reach {
            full_name: plain::one_line(&repo.full_name, 200),
            private: repo.private,
            archived: repo.archived,
            push: repo.permissions.filter(|_| is_person).map(|may| may.push),
            says_at_commits,
        })
    }
}

fn identity(login: Option<String>, said: &Said) -> Identity {
    let number = |name: &str| said.header(name).and_then(|value| value.parse::<u64>().ok());
    let scopes = said.header("x-oauth-scopes").map(|scopes| {
        scopes.split(',').map(|scope| scope.trim().to_owned()).filter(|scope| !scope.is_empty()).collect()
    });
    Identity {
        login: login.map(|login| plain::one_line(&login, 100)),
        scopes,
        expires: said.expires(),
        requests: number("x-ratelimit-remaining").zip(number("x-ratelimit-limit")),
    }
}
