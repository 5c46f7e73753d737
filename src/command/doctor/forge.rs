//! The forge, by real calls: whether the token is good, whose it is, and what it may do at the repository of each agent.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;

use super::{Check, failure, ok, warning};
use crate::config::{Config, GitHubConfig};
use crate::forge::ForgeError;
use crate::forge::github::credentials::SOON;
use crate::forge::github::examine::{Identity, Reach};
use crate::forge::github::{Credentials, GitHub, TOKEN, TOKEN_VARIABLES, credentials};
use crate::host::Host;
use crate::quantity;

/// For all that is asked of one repository.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many repositories are asked about.
const MAX_REPOS: usize = 20;
/// Below this part of them, requests are few.
const FEW: u64 = 10;
/// For the question who we are no repository is needed, and a client has one.
const NOWHERE: &str = "-/-";

pub(super) async fn checks(host: &Host, config: &Config) -> Vec<Check> {
    let mut projects: Vec<(String, GitHubConfig)> = Vec::new();
    for agent in host.agents(config).unwrap_or_default() {
        let project = agent.repo.map(|repo| (repo, agent.config.forge.github));
        projects.extend(project.filter(|project| !projects.contains(project)));
    }
    // A forge of their own that agents have is asked, too, who we are there.
    let mut forges: Vec<&GitHubConfig> = Vec::new();
    for github in projects.iter().map(|(_, github)| github).chain([&config.forge.github]) {
        if !forges.contains(&github) && (projects.is_empty() || projects.iter().any(|(_, of)| of == github)) {
            forges.push(github);
        }
    }
    let is_wanted = config.review.post || !projects.is_empty();
    let mut checks: Vec<Check> = join_all(forges.iter().map(|github| who(host, github, is_wanted))).await;
    // What is said of a token that is not good would be said of each repository again.
    let are_good: Vec<&GitHubConfig> = forges
        .iter()
        .zip(&checks)
        .filter(|(_, check)| check.remedy.is_none() || check.found.contains("speaks as"))
        .map(|(github, _)| *github)
        .collect();
    let reachable = projects.iter().filter(|(_, github)| are_good.contains(&github)).take(MAX_REPOS);
    checks.extend(join_all(reachable.map(|(repo, github)| project(host, repo, github))).await);
    checks
}

/// Whether there are credentials, and whose they are.
async fn who(host: &Host, github: &GitHubConfig, is_wanted: bool) -> Check {
    let found = match credentials::find(host, github) {
        Ok(Some(found)) => found,
        Ok(None) if is_wanted => {
            return warning(
                "forge",
                "no token is stored: pull requests are read from `origin`, and nothing is published",
                format!("`cicdctl secret set {TOKEN}`"),
            );
        }
        Ok(None) => return ok("forge", "not in use: no token is stored, and no agent has a repository"),
        Err(error) => return failure("forge", format!("{error}"), remedy_of(&error)),
    };
    let kind = found.kind();
    let is_token = matches!(found, Credentials::Token(_));
    let stored = host.vault().list().is_ok_and(|all| all.iter().any(|stored| stored.name == TOKEN));
    let by_environment = is_token && !stored && TOKEN_VARIABLES.iter().any(|name| host.variable(name).is_some());
    let asked = async { connect(host, github, NOWHERE, found)?.identity().await };
    match in_time(asked).await {
        Ok(identity) => said_of(&kind, &identity, by_environment, Timestamp::now()),
        Err(error) => trouble(&format!("{kind} was not tried"), &error),
    }
}

/// What is found of valid credentials. Pure.
fn said_of(kind: &str, identity: &Identity, by_environment: bool, now: Timestamp) -> Check {
    let Identity { login, scopes, expires, requests } = identity;
    let login = login.as_deref().map_or_else(|| "GitHub Actions".to_owned(), |login| format!("`{login}`"));
    let mut found = vec![format!("{kind} speaks as {login}")];
    if let Some(scopes) = scopes {
        found.push(format!("scopes {}", if scopes.is_empty() { "none".into() } else { scopes.join(", ") }));
    }
    if let Some(expires) = expires {
        found.push(format!("good until {}", quantity::time(expires.as_millisecond())));
    }
    if let Some((left, of)) = requests {
        found.push(format!("{left} of {of} requests left"));
    }
    let found = found.join(", ");
    let has = |wanted: &str| scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|scope| scope == wanted));
    if !has("repo") && !has("public_repo") {
        return failure(
            "forge",
            format!("{found}: without the scope `repo` it may not write"),
            format!("make a token with the scope `repo`, or a fine-grained one, and `cicdctl secret set {TOKEN}`"),
        );
    }
    if expires.is_some_and(|expires| expires.duration_since(now) < SOON) {
        return warning(
            "forge",
            format!("{found}: it ends soon"),
            format!("make another, and `cicdctl secret set {TOKEN}`"),
        );
    }
    if by_environment {
        return warning(
            "forge",
            format!("{found}: it stands in the environment of this shell, and units may not have it"),
            format!("`cicdctl secret set {TOKEN}`"),
        );
    }
    if requests.is_some_and(|(left, of)| left < of / FEW) {
        return warning("forge", found, "others use the same account; give the runner one of its own, or an App");
    }
    ok("forge", found)
}

async fn project(host: &Host, repo: &str, github: &GitHubConfig) -> Check {
    let credentials = match credentials::find(host, github) {
        Ok(Some(found)) => found,
        Ok(None) => return warning("forge", format!("{repo}: no token"), format!("`cicdctl secret set {TOKEN}`")),
        Err(error) => return failure("forge", format!("{error}"), remedy_of(&error)),
    };
    let is_app = matches!(credentials, Credentials::App(_));
    let asked = async { connect(host, github, repo, credentials)?.reach().await };
    match in_time(asked).await {
        Ok(reach) => reached(repo, &reach),
        Err(ForgeError::NotFound(text)) if !is_app => failure(
            "forge",
            format!("{repo}: {text}"),
            "correct `repo` in the agent's file, or give the token access to the repository (fine-grained: \
             \"Repository access\"; an organisation may have to approve it, or want it authorised for SSO)",
        ),
        Err(error) => trouble(&format!("`{repo}` was not looked at"), &error),
    }
}

/// What is found of a repository that can be seen. Pure.
fn reached(repo: &str, reach: &Reach) -> Check {
    let Reach { full_name, private, archived, push, says_at_commits } = reach;
    let kind = if *private { "private" } else { "public" };
    if *archived {
        return warning(
            "forge",
            format!("{full_name} ({kind}) is archived: nothing can be posted there"),
            "remove the agent, or let the repository be taken out of the archive",
        );
    }
    if !full_name.eq_ignore_ascii_case(repo) {
        return warning(
            "forge",
            format!("`{repo}` is called {full_name} by now"),
            format!("write `repo = \"{full_name}\"` in the agent's file: GitHub redirects reads, and no writes"),
        );
    }
    match (push, says_at_commits) {
        (Some(false), _) => warning(
            "forge",
            format!("{full_name} ({kind}) can be read, and its account may not push: no status can be set there"),
            "give the account write access to the repository, or publish as an App",
        ),
        (_, Some(false)) => warning(
            "forge",
            format!("{full_name} ({kind}): the App may neither make check runs nor set statuses"),
            "grant it `checks: write` or `statuses: write` on the App's page, and accept that in its installation",
        ),
        (Some(true), _) => ok(
            "forge",
            format!(
                "{full_name} ({kind}) can be read, and its account may push; what the token itself may write GitHub does not tell"
            ),
        ),
        (None, Some(true)) => ok("forge", format!("{full_name} ({kind}): the App may review and speak at commits")),
        (None, None) => ok("forge", format!("{full_name} ({kind}) can be read")),
    }
}

fn connect(host: &Host, github: &GitHubConfig, repo: &str, credentials: Credentials) -> Result<GitHub, ForgeError> {
    GitHub::connect(host, github, repo.to_owned(), credentials).map_err(|error| match error.downcast() {
        Ok(error) => error,
        Err(other) => ForgeError::Other(format!("{other:#}")),
    })
}

async fn in_time<T>(asked: impl Future<Output = Result<T, ForgeError>>) -> Result<T, ForgeError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => {
            let text = format!("GitHub did not answer within {} s", PATIENCE.as_secs());
            Err(ForgeError::Unavailable { text, perhaps_done: false })
        }
    }
}

/// What is not known for want of an answer is a warning.
fn trouble(what: &str, error: &ForgeError) -> Check {
    match error {
        ForgeError::Unavailable { .. } => warning(
            "forge",
            format!("{what}: {error}"),
            "look whether this machine reaches the forge: names, routes, HTTPS_PROXY (`[environment]` for the units), \
             `[forge.github] api_url`",
        ),
        ForgeError::RateLimited { .. } => {
            warning("forge", format!("{what}: {error}"), "wait; reviews are deferred until then by themselves")
        }
        // Its text says what to do.
        ForgeError::Unauthenticated(text) => match text.split_once("; ") {
            Some((found, remedy)) => failure("forge", found, remedy),
            None => failure("forge", text, format!("`cicdctl secret set {TOKEN}`")),
        },
        ForgeError::Forbidden(_) | ForgeError::NotFound(_) => failure(
            "forge",
            error.to_string(),
            "metadata and contents are to be read, pull requests and commit statuses to be written",
        ),
        ForgeError::Invalid(_) | ForgeError::Other(_) => failure(
            "forge",
            error.to_string(),
            "look at `[forge.github] api_url`; for an Enterprise Server it is `https://HOST/api/v3`",
        ),
    }
}

fn remedy_of(error: &anyhow::Error) -> String {
    let hint = error.downcast_ref::<crate::error::Fail>().and_then(|fail| fail.hint.clone());
    hint.unwrap_or_else(|| format!("`cicdctl secret set {TOKEN}` stores another"))
}
