//! Which credential speaks to GitHub, and where it comes from; one place knows.

use anyhow::{Result, bail};
use jiff::SignedDuration;

use super::app::App;
use super::proxy::Proxy;
use crate::config::{ApiUrl, GitHubConfig};
use crate::error::Fail;
use crate::forge::Token;
use crate::host::Host;

/// Name of the secret with the token.
pub const TOKEN: &str = "github-token";
/// Name of the secret with the key of an App.
pub const APP_KEY: &str = "github-app-key";
/// Variables that may hold the token instead: the first before all else, the second, which is often there for other
/// programs, after it.
pub const TOKEN_VARIABLES: [&str; 2] = ["CICD_GITHUB_TOKEN", "GITHUB_TOKEN"];

/// From here on an end of a token that is in sight is worth a warning.
pub const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// What a [`super::GitHub`] is let in with.
#[derive(Debug)]
pub enum Credentials {
    /// Of a person.
    Token(Token),
    /// Of a run of GitHub Actions: an installation token of GitHub's own App.
    Workflow(Token),
    App(Box<App>),
}

impl From<Token> for Credentials {
    fn from(token: Token) -> Credentials {
        Credentials::Token(token)
    }
}

impl From<App> for Credentials {
    fn from(app: App) -> Credentials {
        Credentials::App(Box::new(app))
    }
}

impl Credentials {
    /// What to do where GitHub does not know them. `as_app`: what the App itself signed was refused.
    pub(super) fn remedy(&self, as_app: bool) -> String {
        match self {
            Credentials::Token(_) => {
                format!("the token is wrong, expired or revoked: `cicdctl secret set {TOKEN}` stores another")
            }
            Credentials::Workflow(_) => {
                "the token of a workflow is good until its job ends: begin the job again, or store a token of your own \
                 in a secret and hand it over as CICD_GITHUB_TOKEN"
                    .into()
            }
            Credentials::App(app) if as_app => format!(
                "what the App `{}` signs is not accepted: compare `[forge.github] app_id` with the App's page, and \
                 store a key that it has now with `cicdctl secret set {APP_KEY} <KEY.pem`",
                app.id()
            ),
            Credentials::App(app) => format!(
                "a token that the App `{}` was given just now is refused: look whether it is still installed at the \
                 repository",
                app.id()
            ),
        }
    }

    /// For people: what kind it is.
    pub fn kind(&self) -> String {
        match self {
            Credentials::Token(_) => "a token".into(),
            Credentials::Workflow(_) => "the token of the workflow".into(),
            Credentials::App(app) => format!("the App `{}`", app.id()),
        }
    }
}

/// Read for each job, so that new ones are used at once. In this order: CICD_GITHUB_TOKEN, the App where one is
/// configured, the secret, GITHUB_TOKEN (as our file in environment.d has it now, which may be newer than what this
/// process was given at its start).
pub fn find(host: &Host, config: &GitHubConfig) -> Result<Option<Credentials>> {
    let vault = host.vault();
    let secret = |name: &str| Ok(vault.value(name)?.map(|value| value.reveal().to_owned()));
    let kept = vault.variable(TOKEN_VARIABLES[1])?;
    let variable = |name: &str| match &kept {
        Some(value) if name == TOKEN_VARIABLES[1] => Some(value.reveal().to_owned()),
        _ => host.variable(name).map(str::to_owned),
    };
    choose(config.app_id.as_deref(), variable, secret)
}

fn choose(
    app_id: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
    secret: impl Fn(&str) -> Result<Option<String>>,
) -> Result<Option<Credentials>> {
    let token = |text: String, place: String| match Token::new(&text) {
        Some(token) => Ok(token),
        None => bail!(Fail::new(format!(
            "the token for GitHub in {place} is empty, or has characters in it that no token has"
        ))),
    };
    let of_environment = |name: &str| {
        let Some(text) = variable(name) else { return Ok(None) };
        let token = token(text, format!("the variable {name}"))?;
        // One may well hand a personal token to a workflow, by any name.
        let personal = ["ghp_", "github_pat_", "gho_", "ghu_"].iter().any(|start| token.reveal().starts_with(start));
        let in_workflow = variable("GITHUB_ACTIONS").as_deref() == Some("true") && !personal;
        Ok::<_, anyhow::Error>(Some(match in_workflow {
            true => Credentials::Workflow(token),
            false => Credentials::Token(token),
        }))
    };
    if let Some(credentials) = of_environment(TOKEN_VARIABLES[0])? {
        return Ok(Some(credentials));
    }
    if let Some(id) = app_id {
        let Some(key) = secret(APP_KEY)? else {
            bail!(
                Fail::new(format!("the App `{id}` is configured for GitHub, and its key is not stored"))
                    .hint(format!("`cicdctl secret set {APP_KEY} <KEY.pem`; the App's page makes such a key"))
            );
        };
        return match App::new(id, &key) {
            Ok(app) => Ok(Some(app.into())),
            Err(why) => bail!(
                Fail::new(format!("the App `{id}` cannot speak to GitHub: {why}"))
                    .hint(format!("`cicdctl secret set {APP_KEY} <KEY.pem` stores another key"))
            ),
        };
    }
    if let Some(text) = secret(TOKEN)? {
        return Ok(Some(Credentials::Token(token(text, format!("the secret `{TOKEN}`"))?)));
    }
    of_environment(TOKEN_VARIABLES[1])
}

/// Where GitHub is: what the configuration says, and otherwise, within a workflow, what that says.
pub fn api_url(host: &Host, config: &GitHubConfig) -> Result<ApiUrl> {
    let variable = |name| host.variable(name);
    match (&config.api_url, variable("GITHUB_API_URL")) {
        (Some(api), _) => Ok(api.clone()),
        (None, Some(text)) if variable("GITHUB_ACTIONS") == Some("true") => match text.parse() {
            Ok(api) => Ok(api),
            Err(problem) => bail!(Fail::new(format!("the variable GITHUB_API_URL: {problem}"))),
        },
        _ => Ok(ApiUrl::default()),
    }
}

/// The proxy that the environment names.
pub fn proxy(host: &Host) -> Proxy {
    let first = |names: [&str; 2]| names.iter().find_map(|name| host.variable(name)).unwrap_or_default().to_owned();
    Proxy::new(&first(["https_proxy", "HTTPS_PROXY"]), &first(["no_proxy", "NO_PROXY"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = include_str!("../../../tests/github/app-key.pem");

    fn chosen(app: Option<&str>, variables: &[(&str, &str)], secrets: &[(&str, &str)]) -> Result<String> {
        let find = |pairs: &[(&str, &str)], name: &str| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let found = choose(app, |name| find(variables, name), |name| Ok(find(secrets, name)))?;
        Ok(match found {
            None => "none".into(),
            Some(Credentials::App(app)) => format!("app {}", app.id()),
            Some(Credentials::Token(token)) => format!("token {}", token.reveal()),
            Some(Credentials::Workflow(token)) => format!("workflow {}", token.reveal()),
        })
    }

    #[test]
    fn the_first_that_is_there_speaks() {
        let own = ("CICD_GITHUB_TOKEN", "own");
        let common = ("GITHUB_TOKEN", "common");
        let actions = ("GITHUB_ACTIONS", "true");
        let (stored, key) = ((TOKEN, "stored\n"), (APP_KEY, KEY));
        for (app, variables, secrets, expected) in [
            (None, vec![], vec![], "none"),
            (None, vec![], vec![key], "none"),
            (None, vec![common], vec![], "token common"),
            (None, vec![common, actions], vec![], "workflow common"),
            (None, vec![("GITHUB_TOKEN", "ghp_1"), actions], vec![], "token ghp_1"),
            (None, vec![common, actions], vec![stored], "token stored"),
            (Some("123"), vec![common], vec![stored, key], "app 123"),
            (Some("123"), vec![common, own], vec![stored, key], "token own"),
        ] {
            assert_eq!(chosen(app, &variables, &secrets).unwrap(), expected, "{app:?} {variables:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_before_anything_is_asked() {
        let error = chosen(Some("123"), &[("GITHUB_TOKEN", "common")], &[(TOKEN, "stored")]).unwrap_err();
        assert!(error.to_string().contains("its key is not stored"), "{error}");
        let error = chosen(Some("123"), &[], &[(APP_KEY, "canary")]).unwrap_err();
        assert!(error.to_string().contains("no PEM") && !error.to_string().contains("canary"), "{error}");
        let error = chosen(None, &[], &[(TOKEN, "two words")]).unwrap_err();
        assert!(error.to_string().contains("secret `github-token`") && !error.to_string().contains("two"), "{error}");
    }
}
