//! The client of the runner's socket: a method for each endpoint in use.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::{Happening, Job, JobEvent, Problem, ReviewRequest, RunnerInfo};
use crate::error::Fail;
use crate::store::now_ms;

pub struct Client {
    socket: PathBuf,
}

impl Client {
    pub fn new(socket: PathBuf) -> Client {
        Client { socket }
    }

    pub async fn info(&self) -> Result<RunnerInfo> {
        self.json(Method::GET, "/healthz", None).await
    }

    pub async fn review(&self, request: &ReviewRequest) -> Result<Job> {
        self.json(Method::POST, "/review", Some(serde_json::to_vec(request)?)).await
    }

    pub async fn job(&self, id: &str) -> Result<Job> {
        self.json(Method::GET, &format!("/jobs/{id}"), None).await
    }

    pub async fn jobs(&self, limit: u32) -> Result<Vec<Job>> {
        self.json(Method::GET, &format!("/jobs?limit={limit}"), None).await
    }

    /// Those of pull requests of this number, of one repository where it is given.
    pub async fn jobs_of_pull(&self, number: u64, repo: Option<&str>, limit: u32) -> Result<Vec<Job>> {
        let repo = repo.map_or(String::new(), |repo| format!("&repo={repo}"));
        self.json(Method::GET, &format!("/jobs?pr={number}{repo}&limit={limit}"), None).await
    }

    /// Whether somebody listens; a socket of systemd's does even while the runner sleeps.
    pub async fn is_there(&self) -> bool {
        tokio::net::UnixStream::connect(&self.socket).await.is_ok()
    }

    pub async fn cancel(&self, id: &str) -> Result<Job> {
        self.json(Method::DELETE, &format!("/jobs/{id}"), None).await
    }

    /// Follows a job to its end, or until it is put off where `patient` is false. A runner that goes away meanwhile is asked again: its socket wakes the next one, and
    /// the job is in the store.
    pub async fn follow(&self, id: &str, patient: bool, told: &mut (dyn FnMut(&JobEvent) + Send)) -> Result<Job> {
        let (mut after, mut tries) = (0, 0);
        loop {
            match self.follow_once(id, &mut after, patient, told).await {
                Ok(true) => return self.job(id).await,
                Ok(false) => tries = 0,
                Err(error) if tries >= 20 => return Err(error.context(format!("lost sight of job {id}"))),
                Err(error) => {
                    tracing::debug!("{error:#}");
                    tries += 1;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
    }

    /// Says whether the end was seen.
    async fn follow_once(
        &self,
        id: &str,
        after: &mut u64,
        patient: bool,
        told: &mut (dyn FnMut(&JobEvent) + Send),
    ) -> Result<bool> {
        let request = Request::builder()
            .uri(format!("/jobs/{id}/events"))
            .header(ACCEPT, "text/event-stream")
            .header("last-event-id", *after)
            .body(Full::new(Bytes::new()))?;
        let mut answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(true);
        }
        let mut text = Vec::new();
        while let Some(frame) = answer.body_mut().frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            text.extend_from_slice(&data);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = text.drain(..end + 2).collect();
                for line in block.split(|byte| *byte == b'\n') {
                    let Some(data) = line.strip_prefix(b"data: ") else { continue };
                    let event: JobEvent = serde_json::from_slice(data).context("the runner sent an unknown event")?;
                    *after = event.seq;
                    told(&event);
                    match event.what {
                        Happening::Ended { .. } => return Ok(true),
                        Happening::Requeued { until_ms: Some(until), .. } if !patient && until > now_ms() => {
                            return Ok(true);
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(false)
    }

    async fn json<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<T> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let answer = self.send(request.body(Full::new(body.unwrap_or_default().into()))?).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let bytes = answer.into_body().collect().await.context("the runner's answer did not arrive")?.to_bytes();
        serde_json::from_slice(&bytes).context("the runner's answer cannot be read; it may be of another version")
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("localhost"));
        let stream = tokio::net::UnixStream::connect(&self.socket)
            .await
            .with_context(|| self.unreachable("nobody listens there"))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The answer, or its absence, says all there is to say.
            let _ = connection.await;
        });
        sender.send_request(request).await.with_context(|| self.unreachable("it did not answer"))
    }

    fn unreachable(&self, why: &str) -> Fail {
        Fail::new(format!("could not reach the runner at `{}`: {why}", self.socket.display())).hint(
            "`cicdctl status` shows the socket's unit, `cicdctl init` sets it up, `cicdctl logs` says why it failed",
        )
    }
}

async fn refusal(answer: Response<Incoming>) -> anyhow::Error {
    let status = answer.status();
    let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let detail = serde_json::from_slice::<Problem>(&body).map(|problem| problem.detail);
    match detail {
        Ok(detail) if status == StatusCode::UNPROCESSABLE_ENTITY || status == StatusCode::BAD_REQUEST => {
            anyhow!(Fail::usage(detail))
        }
        Ok(detail) => anyhow!(detail),
        Err(_) => anyhow!("the runner answered {status}"),
    }
}

/// A job's id as people may type it: whole, or as many letters of its end as make it unique.
pub async fn find_job(client: &Client, text: &str) -> Result<Job> {
    let wanted = text.to_uppercase();
    if wanted.len() == 26 {
        return client.job(&wanted).await;
    }
    let mut found: Vec<Job> = client.jobs(1000).await?.into_iter().filter(|job| job.id.ends_with(&wanted)).collect();
    match (found.pop(), found.len()) {
        (Some(job), 0) => client.job(&job.id).await,
        (Some(_), _) => bail!(Fail::usage(format!("several jobs end in `{text}`; write more of the id"))),
        (None, _) => bail!(Fail::new(format!("there is no job `{text}`")).hint("`cicdctl job list` shows them")),
    }
}
