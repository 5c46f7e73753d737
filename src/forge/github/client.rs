//! HTTP with GitHub: one origin, one credential, and the rules for both in one place.
//!
//! - The token goes to the configured origin and nowhere else: a redirect is followed only for GET and only there.
//! - Only what may happen twice is tried again. After a 5xx or a broken connection a POST may have been carried out, so
//!   its caller has to look before it asks again ([`ForgeError::Unavailable`]).
//! - A 401 ends it, but for an App: its token is renewed, once, and the request is sent again.
//! - Writes go one at a time, at least [`PACE`] apart; a rate limit is an error with a time and never a sleep here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::app::Installation;
use super::credentials::Credentials;
use super::proxy::Proxy;
use crate::config::ApiUrl;
use crate::forge::{ForgeError, Token};
use crate::plain;

/// Between two writes; GitHub asks for a second.
const PACE: Duration = Duration::from_secs(1);
/// GitHub itself gives up after 10 s.
const DEADLINE: Duration = Duration::from_secs(30);
/// How often a request that may happen twice is sent again, and the first pause; each further one is twice as long.
const RETRIES: u32 = 2;
const BACKOFF: Duration = Duration::from_millis(500);
/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 32 << 20;
const MAX_REDIRECTS: usize = 3;
/// Where GitHub names no time.
const SECONDARY_LIMIT: i64 = 60;
/// From here on a clock is worth a word, in seconds: what an App signs is good for minutes.
const CLOCK_TOLERANCE: i64 = 30;
const EXPIRATION: &str = "github-authentication-token-expiration";
/// The most that GitHub puts on a page.
pub const PER_PAGE: usize = 100;

type Connections<C> = hyper_util::client::legacy::Client<HttpsConnector<C>, Full<Bytes>>;
type Result<T> = std::result::Result<T, ForgeError>;

pub struct Client {
    api: ApiUrl,
    /// `owner/name`
    repo: String,
    credentials: Credentials,
    /// What an App has been given for the repository. Held while it is being renewed.
    installation: tokio::sync::Mutex<Option<Installation>>,
    http: Http,
    pace: Duration,
    /// When the last write was sent. Held while one is under way.
    last_write: tokio::sync::Mutex<Option<Instant>>,
    /// What the last answer said of the token's end; the outer `None` where nothing was answered.
    expires: Mutex<Option<Option<Timestamp>>>,
    /// ETag and body of what was read with [`Client::get_if_changed`].
    seen: Mutex<HashMap<String, (HeaderValue, Bytes)>>,
}

/// Whether a request may be sent again after a failure that leaves open what became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Doing it twice is as good as once.
    Yes,
    No,
}

enum Http {
    Direct(Connections<HttpConnector>),
    Proxied(Connections<Tunnel<HttpConnector>>),
}

/// A request before it has its token.
struct Call<'a> {
    method: &'a Method,
    /// For people: what was asked for below the API's address.
    path: &'a str,
    /// Path and query as they are sent.
    target: String,
    body: Option<Bytes>,
    again: Again,
    etag: Option<HeaderValue>,
    /// Makes or changes something, so that GitHub wants it slowly.
    writes: bool,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What an answer says beside its body.
#[derive(Debug, Clone, Default)]
pub struct Said {
    headers: HeaderMap,
}

impl Said {
    /// When the token that was sent ends; `None` where it does not.
    pub fn expires(&self) -> Option<Timestamp> {
        expires(&self.headers)
    }

    pub fn header(&self, name: &str) -> Option<String> {
        header_text(&self.headers, name)
    }
}

impl Client {
    /// `repo` is `owner/name`.
    pub fn new(api: ApiUrl, repo: String, credentials: Credentials, proxy: &Proxy) -> Result<Client> {
        let provider = rustls::crypto::ring::default_provider();
        let trouble = |error: &dyn std::fmt::Display| ForgeError::Other(format!("could not set up TLS: {error}"));
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(Duration::from_secs(10)));
        let builder = hyper_rustls::HttpsConnectorBuilder::new();
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        let http = if api.is_https() {
            let tls = builder.with_provider_and_native_roots(provider).map_err(|error| trouble(&error))?;
            let tls = tls.https_only().enable_http1();
            match proxy.tunnel(api.origin(), tcp.clone())? {
                Some(tunnel) => Http::Proxied(client.build(tls.wrap_connector(tunnel))),
                None => Http::Direct(client.build(tls.wrap_connector(tcp))),
            }
        } else {
            // On loopback, where nobody needs to be proved to be who they are.
            let tls = rustls::ClientConfig::builder_with_provider(provider.into())
                .with_safe_default_protocol_versions()
                .map_err(|error| trouble(&error))?
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            Http::Direct(client.build(builder.with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp)))
        };
        Ok(Client {
            api,
            repo,
            credentials,
            installation: Default::default(),
            http,
            pace: PACE,
            last_write: Default::default(),
            expires: Default::default(),
            seen: Default::default(),
        })
    }

    /// Another pause between writes, for servers without GitHub's limits.
    pub fn with_pace(self, pace: Duration) -> Client {
        Client { pace, ..self }
    }

    pub fn repo(&self) -> &str {
        &self.repo
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Until when what was sent last is good, `Some(None)` where it has no end, as far as GitHub has said.
    pub fn expires(&self) -> Option<Option<Timestamp>> {
        *self.expires.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that is good now.
    pub async fn token(&self) -> Result<Token> {
        match &self.credentials {
            Credentials::Token(token) | Credentials::Workflow(token) => Ok(token.clone()),
            Credentials::App(_) => Ok(self.installation(None).await?.token),
        }
    }

    /// What the App may do in the repository; asks GitHub where it has not yet, where it is time to, and where
    /// `refused` is what we have.
    pub async fn installation(&self, refused: Option<&Token>) -> Result<Installation> {
        let Credentials::App(app) = &self.credentials else {
            return Err(ForgeError::Other("these credentials are not those of an App".into()));
        };
        let mut installation = self.installation.lock().await;
        match &*installation {
            Some(known) if known.is_fresh() && refused != Some(&known.token) => Ok(known.clone()),
            _ => {
                *installation = None;
                let new = app.install(self).await?;
                *installation = Some(new.clone());
                Ok(new)
            }
        }
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        Ok(self.get_with_headers(path).await?.0)
    }

    pub async fn get_with_headers<T: DeserializeOwned>(&self, path: &str) -> Result<(T, Said)> {
        let answer = self.checked(&self.reading(path)).await?;
        Ok((read(&Method::GET, path, &answer.body)?, Said { headers: answer.headers }))
    }

    /// As [`Client::get`], by way of the ETag: what has not changed does not count against the rate limit.
    pub async fn get_if_changed<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let known = self.seen().get(path).cloned();
        let etag = known.as_ref().map(|(etag, _)| etag.clone());
        let answer = self.checked(&Call { etag, ..self.reading(path) }).await?;
        let body = match (answer.status, known) {
            (StatusCode::NOT_MODIFIED, Some((_, body))) => body,
            _ => answer.body,
        };
        if let Some(etag) = answer.headers.get(header::ETAG) {
            self.seen().insert(path.to_owned(), (etag.clone(), body.clone()));
        }
        read(&Method::GET, path, &body)
    }

    /// A list as far as it has changed since the answer with that ETag, which is kept by the caller; `None` where it has
    /// not. The first page decides, so the list has to be sorted by what changes.
    pub async fn pages_if_changed<T: DeserializeOwned>(
        &self,
        path: &str,
        etag: Option<&str>,
        max_pages: usize,
    ) -> Result<Option<(Vec<T>, Option<String>)>> {
        let etag = etag.and_then(|etag| HeaderValue::from_str(etag).ok());
        let first = page(path, PER_PAGE, 1);
        let answer = self.checked(&Call { etag, ..self.reading(&first) }).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let mut all: Vec<T> = read(&Method::GET, &first, &answer.body)?;
        if has_next(&answer) && max_pages > 1 {
            all.extend(self.pages_from(path, 2, max_pages).await?);
        }
        Ok(Some((all, header_text(&answer.headers, "etag"))))
    }

    /// All pages of a list, at most `max_pages`. The addresses in `Link` have another form than the one asked for, so
    /// they only say that there is more.
    pub async fn pages<T: DeserializeOwned>(&self, path: &str, max_pages: usize) -> Result<Vec<T>> {
        self.pages_from(path, 1, max_pages).await
    }

    async fn pages_from<T: DeserializeOwned>(&self, path: &str, from: usize, max_pages: usize) -> Result<Vec<T>> {
        let mut all = Vec::new();
        for number in from..=max_pages {
            let (some, more) = self.page(path, PER_PAGE, number).await?;
            all.extend(some);
            if !more {
                return Ok(all);
            }
        }
        tracing::warn!("`{path}` has more than {max_pages} pages; the rest is not read");
        Ok(all)
    }

    /// One page of a list, and whether there is another.
    pub async fn page<T: DeserializeOwned>(&self, path: &str, size: usize, number: usize) -> Result<(Vec<T>, bool)> {
        let path = page(path, size, number);
        let answer = self.checked(&self.reading(&path)).await?;
        Ok((read(&Method::GET, &path, &answer.body)?, has_next(&answer)))
    }

    pub async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        again: Again,
    ) -> Result<T> {
        let body = Some(Bytes::from(body.to_string()));
        let call = Call { method: &method, body, again, writes: true, ..self.reading(path) };
        let answer = self.checked(&call).await?;
        read(&method, path, &answer.body)
    }

    pub async fn delete(&self, path: &str) -> Result<()> {
        let call = Call { method: &Method::DELETE, writes: true, ..self.reading(path) };
        self.checked(&call).await.map(drop)
    }

    /// Reads with GraphQL; `data` of the answer. What was refused there is [`ForgeError::Forbidden`].
    pub async fn query<T: DeserializeOwned>(&self, query: &str, variables: &Value) -> Result<T> {
        #[derive(Deserialize)]
        struct Reply {
            data: Option<Value>,
            #[serde(default)]
            errors: Vec<Trouble>,
        }
        #[derive(Deserialize)]
        struct Trouble {
            #[serde(default)]
            message: String,
            #[serde(rename = "type", default)]
            kind: String,
        }
        const PATH: &str = "/graphql";
        let body = serde_json::json!({ "query": query, "variables": variables });
        let call = Call {
            method: &Method::POST,
            target: self.api.graphql(),
            body: Some(Bytes::from(body.to_string())),
            ..self.reading(PATH)
        };
        let answer = self.checked(&call).await?;
        let reply: Reply = read(&Method::POST, PATH, &answer.body)?;
        if let Some(first) = reply.errors.first() {
            let text = format!("GitHub answered `POST {PATH}`: {}", plain::one_line(&first.message, 300));
            return Err(match first.kind.as_str() {
                "RATE_LIMITED" => ForgeError::RateLimited { until: after(Timestamp::now(), SECONDARY_LIMIT), text },
                "NOT_FOUND" => ForgeError::NotFound(text),
                _ => ForgeError::Forbidden(text),
            });
        }
        let data = reply.data.unwrap_or_default();
        serde_json::from_value(data)
            .map_err(|error| ForgeError::Other(format!("GitHub's answer to `POST {PATH}` cannot be read: {error}")))
    }

    /// Asks as the App itself and not as an installation of it.
    pub async fn as_app<T: DeserializeOwned>(
        &self,
        jwt: &Token,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        // A token more than is needed does no harm.
        let call = Call { method: &method, body, ..self.reading(path) };
        let answer = self.tried(&call, jwt, true).await?;
        read(&method, path, &answer.body)
    }

    fn reading<'a>(&self, path: &'a str) -> Call<'a> {
        let target = format!("{}{path}", self.api.prefix());
        Call { method: &Method::GET, path, target, body: None, again: Again::Yes, etag: None, writes: false }
    }

    /// An answer that is none of an error.
    async fn checked(&self, call: &Call<'_>) -> Result<Answer> {
        let token = self.token().await?;
        match self.tried(call, &token, false).await {
            Err(ForgeError::Unauthenticated(text)) if matches!(self.credentials, Credentials::App(_)) => {
                // It ended before its time, or the machine slept. Nothing was done, so it is asked for again.
                tracing::debug!("{text}; renewing the installation token");
                let renewed = self.installation(Some(&token)).await?;
                self.tried(call, &renewed.token, false).await
            }
            answer => answer,
        }
    }

    async fn tried(&self, call: &Call<'_>, token: &Token, as_app: bool) -> Result<Answer> {
        let mut last = match call.writes {
            false => None,
            true => Some(self.last_write.lock().await),
        };
        let mut tries = 0;
        loop {
            if let Some(last) = &mut last {
                if let Some(last) = **last {
                    tokio::time::sleep_until(last + self.pace).await;
                }
                **last = Some(Instant::now());
            }
            let error = match self.followed(call, token).await {
                Ok(answer) if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED => {
                    if answer.status.is_success() {
                        let expires = expires(&answer.headers);
                        *self.expires.lock().unwrap_or_else(PoisonError::into_inner) = Some(expires);
                    }
                    return Ok(answer);
                }
                Ok(answer) => {
                    let remedy = self.credentials.remedy(as_app);
                    refusal(call.method, call.path, &answer, &remedy, Timestamp::now())
                }
                Err(error) => error,
            };
            let not_sent = matches!(error, ForgeError::Unavailable { perhaps_done: false, .. });
            let worth_it = matches!(error, ForgeError::Unavailable { .. }) && (call.again == Again::Yes || not_sent);
            if !worth_it || tries == RETRIES {
                return Err(error);
            }
            tracing::debug!("{error}; trying again");
            tokio::time::sleep(BACKOFF * 2u32.pow(tries)).await;
            tries += 1;
        }
    }

    async fn followed(&self, call: &Call<'_>, token: &Token) -> Result<Answer> {
        let Call { method, path, .. } = *call;
        let mut target = call.target.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.once(call, &target, token).await?;
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                return Ok(answer);
            }
            let to = answer.headers.get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            let same_origin = match to.strip_prefix(self.api.origin()) {
                Some(rest) if rest.starts_with('/') => Some(rest),
                _ => Some(to).filter(|to| to.starts_with('/') && !to.starts_with("//")),
            };
            let Some(next) = same_origin.filter(|_| *method == Method::GET) else {
                let to = plain::one_line(to, 200);
                return Err(ForgeError::Other(format!(
                    "GitHub redirects `{method} {path}` to `{to}`, where the token does not go; \
                     the repository may have another name by now"
                )));
            };
            target = next.to_owned();
        }
        Err(ForgeError::Other(format!("GitHub redirects `{method} {path}` without end")))
    }

    async fn once(&self, call: &Call<'_>, target: &str, token: &Token) -> Result<Answer> {
        let what = format!("`{} {target}`", call.method);
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| ForgeError::Unauthenticated("the token cannot stand in a header".into()))?;
        authorization.set_sensitive(true);
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{target}", self.api.origin()))
            .header(header::AUTHORIZATION, authorization)
            .header(header::USER_AGENT, concat!("cicdctl/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        if let Some(etag) = &call.etag {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(call.body.clone().unwrap_or_default()))
            .map_err(|error| ForgeError::Other(format!("{what} cannot be sent: {error}")))?;
        let lost = |text: String, perhaps_done| ForgeError::Unavailable { text, perhaps_done };
        let exchange = async {
            let answer = match &self.http {
                Http::Direct(http) => http.request(request).await,
                Http::Proxied(http) => http.request(request).await,
            };
            let answer = answer.map_err(|error| {
                let why = causes(&error);
                lost(format!("GitHub did not answer {what} at {}: {why}", self.api.origin()), !error.is_connect())
            })?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
                match error.is::<LengthLimitError>() {
                    true => ForgeError::Other(format!("GitHub's answer to {what} is larger than {MAX_ANSWER} bytes")),
                    false => lost(format!("GitHub's answer to {what} did not arrive: {error}"), true),
                }
            })?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        match tokio::time::timeout(DEADLINE, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(lost(format!("GitHub did not answer {what} within {} s", DEADLINE.as_secs()), true)),
        }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, (HeaderValue, Bytes)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T: DeserializeOwned>(method: &Method, path: &str, body: &[u8]) -> Result<T> {
    // Nothing is as good as `null`, for what has no answer worth reading.
    let body = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(&lossy(body))
        .map_err(|error| ForgeError::Other(format!("GitHub's answer to `{method} {path}` cannot be read: {error}")))
}

/// Bytes that are no UTF-8 are replaced: a patch may have them, and the rest of the answer is worth reading.
fn lossy(bytes: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(bytes).into_owned().into_bytes()
}

fn page(path: &str, size: usize, number: usize) -> String {
    let and = if path.contains('?') { '&' } else { '?' };
    format!("{path}{and}per_page={size}&page={number}")
}

fn has_next(answer: &Answer) -> bool {
    let links = answer.headers.get_all(header::LINK).iter().filter_map(|link| link.to_str().ok());
    links.flat_map(|link| link.split(',')).any(|link| link.contains("rel=\"next\""))
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|value| plain::one_line(value, 200))
}

fn expires(headers: &HeaderMap) -> Option<Timestamp> {
    header_text(headers, EXPIRATION).as_deref().and_then(expiration)
}

/// `2026-12-31 23:59:59 UTC`, or with an offset such as `+0200` at its end.
fn expiration(text: &str) -> Option<Timestamp> {
    let text = text.trim().replace(" UTC", " +0000");
    jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S %z", &text).ok()?.to_timestamp().ok()
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    let seconds = now.as_second().saturating_add(seconds.clamp(1, 24 * 3600));
    Timestamp::from_second(seconds).unwrap_or(now)
}

/// How far this machine's clock is ahead of GitHub's, in seconds.
fn clock_ahead(headers: &HeaderMap, now: Timestamp) -> Option<i64> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(now.as_second() - theirs.as_second())
}

/// What an answer with an error status means. Pure; `remedy` is what helps where the token is refused.
fn refusal(method: &Method, path: &str, answer: &Answer, remedy: &str, now: Timestamp) -> ForgeError {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Body {
        message: String,
        errors: Vec<Value>,
    }
    let Answer { status, headers, body } = answer;
    let header = |name: &str| header_text(headers, name);
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let mut said = vec![plain::one_line(&body.message, 300)];
    // Objects with a message, or plain strings.
    said.extend(body.errors.iter().take(5).filter_map(|error| {
        let text = error.as_str().or_else(|| error["message"].as_str()).or_else(|| error["code"].as_str());
        text.map(|text| plain::one_line(text, 300))
    }));
    said.retain(|text| !text.is_empty());
    let said = if said.is_empty() { "no reason given".to_owned() } else { said.join("; ") };
    let id = header("x-github-request-id").map_or_else(String::new, |id| format!(" (request {id})"));
    let text = format!("GitHub answered {} to `{method} {path}`: {said}{id}", status.as_u16());

    let seconds = |name: &str| header(name).and_then(|value| value.parse::<i64>().ok());
    let limited = matches!(*status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    if limited {
        let until = match (seconds("retry-after"), seconds("x-ratelimit-remaining"), seconds("x-ratelimit-reset")) {
            (Some(seconds), ..) => Some(after(now, seconds)),
            (None, Some(0), Some(reset)) => Some(after(now, reset.saturating_sub(now.as_second()))),
            _ if *status == StatusCode::TOO_MANY_REQUESTS || said.to_lowercase().contains("secondary") => {
                Some(after(now, SECONDARY_LIMIT))
            }
            _ => None,
        };
        if let Some(until) = until {
            return ForgeError::RateLimited { until, text };
        }
    }
    match *status {
        StatusCode::UNAUTHORIZED => {
            let clock = match clock_ahead(headers, now) {
                Some(ahead) if ahead.abs() > CLOCK_TOLERANCE => {
                    let how = if ahead > 0 { "ahead of" } else { "behind" };
                    format!("; the clock of this machine is {} s {how} GitHub's: set it right first", ahead.abs())
                }
                _ => String::new(),
            };
            ForgeError::Unauthenticated(format!("{text}; {remedy}{clock}"))
        }
        StatusCode::FORBIDDEN => {
            let needs = header("x-accepted-github-permissions").filter(|needs| !needs.is_empty());
            let needs = needs.map_or_else(String::new, |needs| format!("; it would take a token with {needs}"));
            ForgeError::Forbidden(format!("{text}{needs}"))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            ForgeError::NotFound(format!("{text}; it is not there, or the token may not see it"))
        }
        StatusCode::UNPROCESSABLE_ENTITY => ForgeError::Invalid(text),
        status if status.is_server_error() => ForgeError::Unavailable { text, perhaps_done: true },
        _ => ForgeError::Other(text),
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> ForgeError {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let answer = Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_owned().into() };
        refusal(&Method::GET, "/repos/a/b/pulls/1", &answer, "get another", Timestamp::from_second(1000).unwrap())
    }

    #[test]
    fn an_expiration_is_a_time_in_any_zone() {
        let seconds = |text| expiration(text).map(Timestamp::as_second);
        assert_eq!(seconds("1970-01-02 00:00:00 UTC"), Some(86_400));
        assert_eq!(seconds("1970-01-02 02:00:00 +0200"), Some(86_400));
        assert_eq!(seconds("1970-01-01 16:00:00 -0800"), Some(86_400));
        assert_eq!((seconds("soon"), seconds("")), (None, None));
    }

    fn limited_until(error: &ForgeError) -> Option<i64> {
        match error {
            ForgeError::RateLimited { until, .. } => Some(until.as_second()),
            _ => None,
        }
    }

    #[test]
    fn a_refusal_is_explained() {
        let body = r#"{"message": "Resource not accessible by integration", "documentation_url": "x"}"#;
        let headers =
            [("x-github-request-id", "1A2B"), ("x-accepted-github-permissions", "pull_requests=write; contents=read")];
        assert_eq!(
            refused(403, &headers, body).to_string(),
            "GitHub answered 403 to `GET /repos/a/b/pulls/1`: Resource not accessible by integration (request 1A2B); \
             it would take a token with pull_requests=write; contents=read"
        );
        assert!(matches!(refused(401, &[], "{}"), ForgeError::Unauthenticated(_)));
        assert!(
            refused(404, &[], "")
                .to_string()
                .ends_with("no reason given; it is not there, or the token may not see it")
        );
    }

    #[test]
    fn errors_are_objects_or_strings() {
        let strings = r#"{"message": "Unprocessable Entity", "errors": ["Line must be part of the diff"]}"#;
        assert!(
            refused(422, &[], strings).to_string().ends_with("Unprocessable Entity; Line must be part of the diff")
        );
        let objects = r#"{"message": "Sorry", "errors": [{"code": "too_large"}, {"message": "m", "code": "c"}]}"#;
        assert!(refused(406, &[], objects).to_string().ends_with("Sorry; too_large; m"));
    }

    #[test]
    fn a_rate_limit_has_a_time_and_a_missing_permission_has_none() {
        for (status, headers, body, until) in [
            (403, vec![("retry-after", "60")], "{}", Some(1060)),
            (429, vec![("retry-after", "5"), ("x-ratelimit-reset", "9000")], "{}", Some(1005)),
            (403, vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1234")], "{}", Some(1234)),
            (403, vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "99999999999999")], "{}", Some(87400)),
            (403, vec![("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "1234")], "{}", None),
            (403, vec![], r#"{"message": "You have exceeded a Secondary rate limit"}"#, Some(1060)),
            (429, vec![], "{}", Some(1060)),
            (403, vec![], "{}", None),
            (404, vec![("retry-after", "60")], "{}", None),
        ] {
            assert_eq!(limited_until(&refused(status, &headers, body)), until, "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn what_a_server_in_trouble_did_is_not_known() {
        let error = refused(502, &[], "<html>Bad gateway</html>");
        assert!(matches!(error, ForgeError::Unavailable { perhaps_done: true, .. }), "{error:?}");
    }
}
