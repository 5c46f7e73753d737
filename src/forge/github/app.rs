//! A GitHub App: signs with its key who it is, and gets for that a token of its installation at one repository, which
//! is good for an hour and for no more than is needed here.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::Client;
use super::{Kind, User};
use crate::forge::{ForgeError, Token};

/// A token is good for an hour; from here on it is renewed before it is used.
const RENEW_AFTER: Duration = Duration::from_secs(50 * 60);
/// What a signature says of itself: it was made a minute ago, as clocks differ, and is good for nine more. GitHub takes
/// at most ten in the future.
const BACKDATED: i64 = 60;
const GOOD_FOR: i64 = 9 * 60;

/// What publishing takes. An App need not have all of the rest; what it has not, is not asked for.
const NEEDED: [(&str, Access); 3] =
    [("metadata", Access::Read), ("contents", Access::Read), ("pull_requests", Access::Write)];
const WELCOME: [(&str, Access); 3] =
    [("issues", Access::Write), ("statuses", Access::Write), ("checks", Access::Write)];

type Result<T> = std::result::Result<T, ForgeError>;

pub struct App {
    /// Client id or App id.
    id: String,
    key: RsaKeyPair,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({})", self.id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Access {
    Read,
    Write,
    Admin,
    #[serde(other)]
    None,
}

impl Access {
    fn as_str(self) -> &'static str {
        match self {
            Access::None => "none",
            Access::Read => "read",
            Access::Write => "write",
            Access::Admin => "admin",
        }
    }

    fn allows(self, other: Access) -> bool {
        let rank = |access| match access {
            Access::None => 0,
            Access::Read => 1,
            Access::Write => 2,
            Access::Admin => 3,
        };
        rank(self) >= rank(other)
    }
}

/// What an App was given for one repository.
#[derive(Clone)]
pub struct Installation {
    pub token: Token,
    /// It may make check runs, and set statuses.
    pub checks: bool,
    pub statuses: bool,
    /// GitHub's number of the App, which its check runs bear.
    pub app: u64,
    made: Instant,
}

impl Installation {
    pub fn is_fresh(&self) -> bool {
        self.made.elapsed() < RENEW_AFTER
    }
}

impl App {
    /// `key` is PEM, as GitHub hands it out (PKCS#1), or PKCS#8. An error names neither it nor a part of it.
    pub fn new(id: &str, key: &str) -> std::result::Result<App, String> {
        if !is_app_id(id) {
            return Err(format!("`{}` is neither a client id nor an App id", id.escape_debug()));
        }
        Ok(App { id: id.to_owned(), key: read_key(key)? })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Says, signed, that it is this App that asks.
    fn sign(&self, now: Timestamp) -> Result<Token> {
        let now = now.as_second();
        let claims = json!({ "iat": now - BACKDATED, "exp": now + GOOD_FOR, "iss": self.id });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| ForgeError::Other("the App's key does not sign".into()))?;
        Token::new(&format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
            .ok_or_else(|| ForgeError::Other("what the App signed is no token".into()))
    }

    /// Gets a token for the client's repository, and for nothing else.
    pub(super) async fn install(&self, client: &Client) -> Result<Installation> {
        #[derive(Deserialize)]
        struct Found {
            id: u64,
            app_id: u64,
            #[serde(default)]
            permissions: BTreeMap<String, Value>,
            suspended_at: Option<String>,
        }
        #[derive(Deserialize)]
        struct Given {
            token: String,
        }
        let repo = client.repo();
        let jwt = self.sign(Timestamp::now())?;
        let found: Found = client
            .as_app(&jwt, Method::GET, &format!("/repos/{repo}/installation"), None)
            .await
            .map_err(|error| match error {
                ForgeError::NotFound(_) => ForgeError::NotFound(format!(
                    "the App `{}` is not installed at `{repo}`: install it there, or add the repository to those that \
                     its installation may see (GitHub: Settings, Applications)",
                    self.id
                )),
                error => error,
            })?;
        if found.suspended_at.is_some() {
            return Err(ForgeError::Forbidden(format!(
                "the installation of the App `{}` at `{repo}` is suspended; its owner can take that back",
                self.id
            )));
        }
        let body = token_request(repo, &found.permissions).map_err(|missing| {
            ForgeError::Forbidden(format!(
                "the App `{}` may not do enough at `{repo}`: it lacks {}; grant it on the App's page, and accept the \
                 change in its installation",
                self.id,
                missing.join(" and ")
            ))
        })?;
        let path = format!("/app/installations/{}/access_tokens", found.id);
        let given: Given = client.as_app(&jwt, Method::POST, &path, Some(&body)).await?;
        let token = Token::new(&given.token)
            .ok_or_else(|| ForgeError::Other("GitHub gave the App a token that cannot be one".into()))?;
        let may = |name: &str| !body["permissions"][name].is_null();
        let (checks, statuses) = (may("checks"), may("statuses"));
        Ok(Installation { token, checks, statuses, app: found.app_id, made: Instant::now() })
    }

    /// The account that it writes with.
    pub(super) async fn user(&self, client: &Client) -> Result<User> {
        #[derive(Deserialize)]
        struct About {
            slug: String,
        }
        let jwt = self.sign(Timestamp::now())?;
        let about: About = client.as_app(&jwt, Method::GET, "/app", None).await?;
        if about.slug.is_empty() || !about.slug.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            return Err(ForgeError::Other(format!("GitHub names an App `{}`", about.slug.escape_debug())));
        }
        let user: User = client.get(&format!("/users/{}%5Bbot%5D", about.slug)).await?;
        Ok(User { kind: Kind::Bot, ..user })
    }
}

/// Whether it can be a client id (`Iv23li…`) or an App id (`123456`).
pub fn is_app_id(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// Says why a text cannot be the key of an App.
pub fn check_key(text: &str) -> std::result::Result<(), String> {
    read_key(text).map(drop)
}

fn read_key(text: &str) -> std::result::Result<RsaKeyPair, String> {
    let pair = match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err("the App's key is no PEM with an RSA key in it (`-----BEGIN RSA PRIVATE KEY-----` …)".into()),
    };
    pair.map_err(|why| format!("the App's key is no RSA key that can be used: {why}"))
}

/// The body that asks for a token: this repository, and of what the App has been granted no more than is of use. The
/// error is what it lacks. Pure.
fn token_request(repo: &str, granted: &BTreeMap<String, Value>) -> std::result::Result<Value, Vec<String>> {
    let has = |(name, access): &(&str, Access)| {
        let given = granted.get(*name).and_then(|given| Access::deserialize(given).ok());
        given.is_some_and(|given| given.allows(*access))
    };
    let text = |(name, access): &(&str, Access)| format!("`{name}: {}`", access.as_str());
    let missing: Vec<String> = NEEDED.iter().filter(|one| !has(one)).map(text).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let permissions: BTreeMap<&str, &str> = NEEDED
        .iter()
        .chain(WELCOME.iter().filter(|one| has(one)))
        .map(|(name, access)| (*name, access.as_str()))
        .collect();
    let name = repo.rsplit('/').next().unwrap_or(repo);
    Ok(json!({ "repositories": [name], "permissions": permissions }))
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// Made for tests with `openssl genrsa -traditional 2048`, and the same key by `openssl pkcs8 -topk8 -nocrypt`.
    const PKCS1: &str = include_str!("../../../tests/github/app-key.pem");
    const PKCS8: &str = include_str!("../../../tests/github/app-key.pkcs8.pem");

    #[test]
    fn what_is_signed_is_what_github_wants() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for key in [PKCS1, PKCS8] {
            let app = App::new("Iv23liTEST", key).unwrap();
            let jwt = app.sign(now).unwrap();
            let (signed, signature) = jwt.reveal().rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let public = app.key.public().as_ref();
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).verify(signed.as_bytes(), &signature).unwrap();
            let read =
                |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
            let (header, claims) = signed.split_once('.').unwrap();
            assert_eq!(read(header), json!({ "alg": "RS256", "typ": "JWT" }));
            assert_eq!(read(claims), json!({ "iat": 999_940, "exp": 1_000_540, "iss": "Iv23liTEST" }));
            assert_eq!(format!("{app:?}"), "App(Iv23liTEST)");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_shown() {
        let cut = PKCS1.replace("MII", "AAA");
        let public = "-----BEGIN PUBLIC KEY-----\nY2FuYXJ5\n-----END PUBLIC KEY-----\n";
        for text in
            ["canary", "", public, &cut, "-----BEGIN RSA PRIVATE KEY-----\nY2FuYXJ5\n-----END RSA PRIVATE KEY-----"]
        {
            let error = check_key(text).unwrap_err();
            assert!(error.starts_with("the App's key is no "), "{error}");
            assert!(!error.contains("canary") && !error.contains("Y2Fu"), "{error}");
        }
        assert!(App::new("a b", PKCS1).unwrap_err().contains("client id"));
        assert!(check_key(PKCS1).is_ok() && check_key(PKCS8).is_ok());
    }

    #[test]
    fn a_token_is_asked_for_one_repository_and_for_what_is_needed() {
        let granted = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, access)| ((*name).to_owned(), Value::from(*access))).collect::<BTreeMap<_, _>>()
        };
        let all = granted(&[
            ("metadata", "read"),
            ("contents", "write"),
            ("pull_requests", "write"),
            ("issues", "write"),
            ("statuses", "read"),
            ("checks", "write"),
            ("administration", "write"),
            ("secrets", "read"),
        ]);
        assert_eq!(
            token_request("acme/shop", &all).unwrap(),
            json!({
                "repositories": ["shop"],
                "permissions": {
                    "metadata": "read", "contents": "read", "pull_requests": "write", "issues": "write", "checks": "write"
                },
            })
        );
        let few = granted(&[("metadata", "read"), ("pull_requests", "read"), ("contents", "something new")]);
        assert_eq!(token_request("acme/shop", &few).unwrap_err(), ["`contents: read`", "`pull_requests: write`"]);
    }
}
