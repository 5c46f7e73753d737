//! Method and path → answer (design 8). Errors are `application/problem+json`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::{Scope, Shared, room};
use crate::agent::AgentName;
use crate::api::{Happening, JobState, Problem, ReviewRequest, RunnerInfo, client};
use crate::cage::Cage;
use crate::config::{Agent, is_repo};
use crate::disk;
use crate::metrics;
use crate::store::{Accepted, Ask, Cancelled, now_ms};

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 1 << 20;
/// How often a follower's next events are looked for when another process writes them.
const LOOK: Duration = Duration::from_millis(200);
/// A comment in the event stream so that a vanished follower is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long the body of a request may take to arrive; an extension of the request.
#[derive(Debug, Clone, Copy)]
pub struct Patience(pub Duration);

type Answer = Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>;

/// What is not an answer with a result.
enum Refusal {
    Problem(StatusCode, String),
    Internal(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal::Internal(error.into())
    }
}

fn refuse<T>(status: StatusCode, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Problem(status, detail.into()))
}

pub async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    match route(&shared, request).await {
        Ok(answer) => answer,
        Err(Refusal::Problem(status, detail)) => problem(status, detail),
        Err(Refusal::Internal(error)) if disk::is_full(&error, &shared.host.paths.state_dir) => {
            tracing::error!("{error:#}");
            let detail = format!("{error:#}: nothing was accepted; make room (`cicdctl gc`), then ask again");
            problem(StatusCode::INSUFFICIENT_STORAGE, detail)
        }
        Err(Refusal::Internal(error)) => {
            tracing::error!("{error:#}");
            problem(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
        }
    }
}

async fn route(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let allowed: &[Method] = match segments[..] {
        ["review"] => &[Method::POST],
        ["jobs", _] => &[Method::GET, Method::DELETE],
        ["healthz" | "readyz" | "metrics" | "openapi.json" | "jobs"] | ["jobs", _, "events"] => &[Method::GET],
        _ => {
            return refuse(
                StatusCode::NOT_FOUND,
                format!("there is nothing at `{}`; `/openapi.json` says what there is", path.escape_debug()),
            );
        }
    };
    // HEAD is GET without the body, which hyper leaves out by itself.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if !allowed.contains(method) {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let mut answer = problem(StatusCode::METHOD_NOT_ALLOWED, format!("`{path}` takes {}", names.join(" and ")));
        if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
            answer.headers_mut().insert(header::ALLOW, value);
        }
        return Ok(answer);
    }
    match (method.clone(), &segments[..]) {
        (_, ["healthz" | "readyz"]) => info(shared).await,
        (_, ["metrics"]) => show_metrics(shared).await,
        (_, ["openapi.json"]) => Ok(body(StatusCode::OK, "application/json", include_str!("openapi.json"))),
        (_, ["review"]) => review(shared, request).await,
        (_, ["jobs"]) => jobs(shared, request.uri().query().unwrap_or_default()).await,
        (Method::DELETE, ["jobs", id]) => cancel(shared, id).await,
        (_, ["jobs", id]) => job(shared, id).await,
        (_, ["jobs", id, _]) => events(shared, id, last_event_id(&request)?).await,
        _ => refuse(StatusCode::NOT_FOUND, "there is nothing here"),
    }
}

/// How old the counts of an answer may be. Who asks more often than this gets the same answer again: so the question
/// whether anybody is there costs next to nothing, and what an agent does is not held up by it.
const GLANCE: Duration = Duration::from_millis(100);

/// The last answer of [`info`].
#[derive(Debug, Default)]
pub struct Glance {
    answer: Option<(Instant, Bytes)>,
    /// The worker is going to be woken.
    wakes: bool,
}

async fn info(shared: &Arc<Shared>) -> Result<Answer, Refusal> {
    if let Some(answer) = glance(shared) {
        return Ok(body(StatusCode::OK, "application/json", answer));
    }
    let (queued, running) = shared.store.open_jobs(shared.scope.agent().cloned()).await?;
    let info = RunnerInfo {
        version: crate::version().into(),
        scope: shared.scope.name().into(),
        ready: !shared.is_stopping(),
        queued,
        running,
    };
    // Whoever knocks may have written a job down.
    shared.work.notify_one();
    let mut text = serde_json::to_vec(&info)?;
    text.push(b'\n');
    let answer = Bytes::from(text);
    shared.glance().answer = Some((Instant::now(), answer.clone()));
    Ok(body(StatusCode::OK, "application/json", answer))
}

/// The answer that was given a moment ago. Whoever knocked meanwhile is heard a moment later.
fn glance(shared: &Arc<Shared>) -> Option<Bytes> {
    let mut glance = shared.glance();
    let (at, answer) = glance.answer.as_ref().filter(|_| !shared.is_stopping())?;
    let left = GLANCE.checked_sub(at.elapsed())?;
    let answer = answer.clone();
    if !std::mem::replace(&mut glance.wakes, true) {
        let shared = shared.clone();
        tokio::spawn(async move {
            tokio::time::sleep(left).await;
            shared.glance().wakes = false;
            shared.work.notify_one();
        });
    }
    Some(answer)
}

/// OpenMetrics text of what store, units and disk say.
async fn show_metrics(shared: &Shared) -> Result<Answer, Refusal> {
    let manager = match &shared.cage {
        Cage::Unit(manager) => Some(manager),
        Cage::Child { .. } => None,
    };
    let mut snapshot = metrics::gather::gather(&shared.host, Some(&shared.store), manager).await;
    snapshot.connections = Some(shared.connections.load(Ordering::SeqCst));
    Ok(body(StatusCode::OK, metrics::CONTENT_TYPE, snapshot.openmetrics()?))
}

async fn review(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let wants_stream = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    let asked: ReviewRequest = parse(&read(request).await?)?;
    if let Some(problem) = asked.problem() {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, problem);
    }
    if shared.is_stopping() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the runner is stopping; ask again in a moment");
    }
    // Whoever names one learns at once that it is not there; one that the configuration names shows in the job.
    if !asked.skills.is_empty()
        && let Err(error) = shared.host.skills()?.choose(&asked.skills)
    {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, crate::review::reason(&error));
    }
    let (agent, repo) = owner(shared, &asked)?;
    let pull = asked.pr.zip(asked.repo.clone().or(repo)).map(|(number, repo)| format!("{repo}#{number}"));
    let ask = Ask { agent: agent.clone(), request: asked, pull, not_before_ms: None };
    let Accepted { job, known } = shared.store.accept(ask).await?;
    shared.glance().answer = None;
    let subject = job.request.subject();
    match known {
        false => tracing::info!(CICD_JOB = %job.id, "job {} accepted: {subject}", job.id),
        true => tracing::info!(CICD_JOB = %job.id, "{subject} was asked for again; it is job {}", job.id),
    }
    match agent {
        Some(name) if shared.scope.agent() != Some(&name) => knock(shared, name),
        _ => shared.work.notify_one(),
    }
    if wants_stream {
        return events(shared, &job.id, 0).await;
    }
    let mut answer = json(StatusCode::ACCEPTED, &job)?;
    if let Ok(location) = HeaderValue::from_str(&format!("/jobs/{}", job.id)) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    Ok(answer)
}

/// Whose job it is, and of which repository that is the agent: the agent named, the agent of the project, or the only
/// agent there is; otherwise the runner's.
fn owner(shared: &Shared, asked: &ReviewRequest) -> Result<(Option<AgentName>, Option<String>), Refusal> {
    let whole = |agent: Agent| (Some(agent.name), agent.repo);
    if let Scope::Agent(own) = &shared.scope {
        if let Some(other) = asked.agent.as_ref().filter(|other| *other != own) {
            return refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("this is the socket of agent `{own}`, not of `{other}`"),
            );
        }
        // A configuration that is wrong shows in the job.
        let agent = shared.host.config().and_then(|config| shared.host.agent(own, &config)).ok().flatten();
        return Ok((Some(own.clone()), agent.and_then(|agent| agent.repo)));
    }
    let config = shared.host.config()?;
    if let Some(name) = &asked.agent {
        return match shared.host.agent(name, &config) {
            Ok(Some(agent)) => Ok(whole(agent)),
            // What is wrong shows in the job.
            Err(_) => Ok((Some(name.clone()), None)),
            Ok(None) => refuse(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!("there is no agent `{name}`; `cicdctl agent list` shows those there are"),
            ),
        };
    }
    if let Some(path) = &asked.path {
        return Ok(shared.host.owner_of(path, &config)?.map_or((None, None), whole));
    }
    if let Some(repo) = &asked.repo {
        let it = |agent: &Agent| {
            let is_it = agent.repo.as_ref().is_some_and(|of| of.eq_ignore_ascii_case(repo));
            is_it.then(|| (Some(agent.name.clone()), agent.repo.clone()))
        };
        // One of the others may be wrong; it may be the one that is meant only where no other is.
        let mut wrong = None;
        for name in shared.host.agent_names()? {
            match name.and_then(|name| shared.host.see(&name, &config, it)) {
                Ok(Some(Some(found))) => return Ok(found),
                Ok(_) => {}
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        return wrong.map_or(Ok((None, None)), |error| Err(error.into()));
    }
    let mut with_project =
        shared.host.agents(&config)?.into_iter().filter(|agent| agent.path.is_some() || agent.repo.is_some());
    match (with_project.next(), with_project.next()) {
        (Some(only), None) => Ok(whole(only)),
        _ => Ok((None, None)),
    }
}

/// Wakes the agent whose job was written down. The store is the truth: an agent that cannot be reached now finds the
/// job when it starts.
fn knock(shared: &Arc<Shared>, agent: AgentName) {
    let socket = shared.host.paths.agent_socket(&agent);
    tokio::spawn(async move {
        let called = tokio::time::timeout(Duration::from_secs(30), client::Client::new(socket).info()).await;
        match called {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("could not wake agent {agent}; its job waits: {error:#}"),
            Err(_) => tracing::warn!("agent {agent} does not answer; its job waits"),
        }
    });
}

/// Wakes every agent that has work. Who wrote it down may have been killed before it could knock.
pub async fn knock_at_all(shared: &Arc<Shared>) {
    match shared.store.agents_with_work().await {
        Ok(agents) => agents.into_iter().for_each(|agent| knock(shared, agent)),
        Err(error) => tracing::warn!("could not look which agents have work: {error:#}"),
    }
}

async fn jobs(shared: &Shared, query: &str) -> Result<Answer, Refusal> {
    let (mut agent, mut limit, mut pr, mut repo) = (shared.scope.agent().cloned(), 50, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "agent" => {
                agent = Some(value.parse().map_err(|problem| Refusal::Problem(StatusCode::BAD_REQUEST, problem))?);
            }
            "limit" => match value.parse::<u32>() {
                Ok(number) if (1..=1000).contains(&number) => limit = number,
                _ => return refuse(StatusCode::BAD_REQUEST, "`limit` must be 1 to 1000"),
            },
            "pr" => match value.parse::<u64>() {
                Ok(number) if (1..=i64::MAX as u64).contains(&number) => pr = Some(number),
                _ => return refuse(StatusCode::BAD_REQUEST, "`pr` must be the number of a pull request"),
            },
            "repo" if is_repo(&value) => repo = Some(value.into_owned()),
            "repo" => return refuse(StatusCode::BAD_REQUEST, "`repo` is written `owner/name`"),
            _ => return refuse(StatusCode::BAD_REQUEST, format!("unknown parameter `{}`", name.escape_debug())),
        }
    }
    let mut jobs = match (pr, repo) {
        (Some(number), repo) => shared.store.jobs_of_pull(number, repo.as_deref(), agent, limit).await?,
        (None, Some(_)) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, "`repo` goes with `pr`"),
        (None, None) => shared.store.jobs(agent, limit).await?,
    };
    jobs.iter_mut().for_each(|job| room::explain(shared, job));
    json(StatusCode::OK, &jobs)
}

async fn job(shared: &Shared, id: &str) -> Result<Answer, Refusal> {
    match shared.store.job(id).await? {
        Some(mut job) => {
            room::explain(shared, &mut job);
            json(StatusCode::OK, &job)
        }
        None => no_such_job(id),
    }
}

async fn cancel(shared: &Shared, id: &str) -> Result<Answer, Refusal> {
    let found = shared.store.cancel(id).await?;
    shared.glance().answer = None;
    shared.news.notify_waiters();
    super::end_cage_of_cancelled(shared, id, found).await?;
    match found {
        Cancelled::NoSuchJob => no_such_job(id),
        Cancelled::AlreadyEnded => refuse(StatusCode::CONFLICT, format!("job {id} has ended already")),
        Cancelled::AtOnce => json(StatusCode::OK, &shared.store.job(id).await?),
        Cancelled::Asked => {
            let job = shared.store.job(id).await?;
            let ended = job.as_ref().is_some_and(|job| job.state == JobState::Ended);
            json(if ended { StatusCode::OK } else { StatusCode::ACCEPTED }, &job)
        }
    }
}

fn no_such_job<T>(id: &str) -> Result<T, Refusal> {
    refuse(StatusCode::NOT_FOUND, format!("there is no job `{}`", id.escape_debug()))
}

/// The events of a job as a stream (HTML Living Standard, "Server-sent events"), from the one after `after` to its
/// end, or until it is put off.
async fn events(shared: &Arc<Shared>, id: &str, after: u64) -> Result<Answer, Refusal> {
    let Some(job) = shared.store.job(id).await? else { return no_such_job(id) };
    if job.state == JobState::Ended && shared.store.events(id, after).await?.is_empty() {
        // Nothing will come any more; this status keeps an EventSource from asking again.
        return Ok(body(StatusCode::NO_CONTENT, "text/event-stream", ""));
    }
    let state = (shared.clone(), id.to_owned(), after, false);
    let frames = stream::unfold(state, |(shared, id, mut after, ended)| async move {
        if ended {
            return None;
        }
        let began = tokio::time::Instant::now();
        loop {
            let shared_news = shared.clone();
            let news = shared_news.news.notified();
            let events = match shared.store.events(&id, after).await {
                Ok(events) => events,
                Err(error) => {
                    tracing::error!("{error:#}");
                    return None;
                }
            };
            if let Some(last) = events.last() {
                after = last.seq;
                // Who waits need not wait for hours: a job that is put off is taken up again by asking with its id.
                let now = now_ms();
                let ended = events.iter().any(|event| matches!(event.what, Happening::Ended { .. }))
                    || matches!(last.what, Happening::Requeued { until_ms: Some(until), .. } if until > now);
                let mut text = String::new();
                for event in &events {
                    if let Ok(data) = serde_json::to_string(event) {
                        text.push_str(&format!("id: {}\ndata: {data}\n\n", event.seq));
                    }
                }
                return Some((Ok(Frame::data(Bytes::from(text))), (shared, id, after, ended)));
            }
            if shared.is_stopping() && shared.running.load(Ordering::SeqCst) == 0 {
                return None;
            }
            if began.elapsed() > KEEP_ALIVE {
                return Some((Ok(Frame::data(Bytes::from_static(b": still here\n\n"))), (shared, id, after, false)));
            }
            tokio::select! {
                () = news => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

fn last_event_id(request: &Request<Incoming>) -> Result<u64, Refusal> {
    let Some(id) = request.headers().get("last-event-id") else { return Ok(0) };
    match id.to_str().ok().and_then(|id| id.parse().ok()) {
        Some(id) if i64::try_from(id).is_ok() => Ok(id),
        _ => refuse(StatusCode::BAD_REQUEST, "`Last-Event-ID` must be the number of an event"),
    }
}

async fn read(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let too_large =
        || Refusal::Problem(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {MAX_BODY} bytes"));
    if request.body().size_hint().lower() > MAX_BODY as u64 {
        return Err(too_large());
    }
    let patience = request.extensions().get().map_or(Duration::MAX, |Patience(limit)| *limit);
    let limited = Limited::new(request.into_body(), MAX_BODY);
    match tokio::time::timeout(patience, limited.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => refuse(StatusCode::BAD_REQUEST, format!("the body did not arrive: {error}")),
        Err(_) => {
            refuse(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {} s", patience.as_secs()))
        }
    }
}

fn parse(body: &Bytes) -> Result<ReviewRequest, Refusal> {
    if body.is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "the body is empty; send JSON such as {\"pr\": 42}");
    }
    // Serde would take a list for the fields in their order.
    let value: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body)
        .map_err(|error| Refusal::Problem(StatusCode::BAD_REQUEST, format!("the body is no JSON object: {error}")))?;
    serde_json::from_value(value.into())
        .map_err(|error| Refusal::Problem(StatusCode::BAD_REQUEST, format!("the body is no review request: {error}")))
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Answer, Refusal> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    Ok(body(status, "application/json", text))
}

fn problem(status: StatusCode, detail: String) -> Answer {
    let title = status.canonical_reason().unwrap_or("error").to_owned();
    let problem = Problem { kind: "about:blank".into(), title, status: status.as_u16(), detail };
    let mut text = serde_json::to_vec(&problem).unwrap_or_default();
    text.push(b'\n');
    body(status, "application/problem+json", text)
}

fn body(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
