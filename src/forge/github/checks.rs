//! A check run in place of a commit status: it has a neutral end, room for the whole review, and marks at lines, also at
//! those that no comment can stand at. Only Apps can make one.
//!
//! Annotations are added by each request that carries some, so what stands already is counted before more is sent.

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Again;
use super::{CONTEXT, Credentials, GitHub, Result, publish};
use crate::finding::{Finding, Severity};
use crate::forge::{ForgeError, Status, StatusState};
use crate::plain;
use crate::review::{Outcome, Review};

/// Of one request.
const MAX_AT_ONCE: usize = 50;
/// Of one check run; the summary has the others.
const MAX_ANNOTATIONS: usize = 200;
/// GitHub takes 64 KB of a message and 255 characters of a title.
const MAX_MESSAGE: usize = 8_000;
const MAX_TITLE: usize = 200;
/// How often an answer that leaves open what happened is looked into.
const LOOKS: usize = 3;

#[derive(Debug, Deserialize)]
struct Run {
    id: u64,
    status: String,
    external_id: Option<String>,
    #[serde(default)]
    output: Output,
    app: Option<Maker>,
}

#[derive(Debug, Default, Deserialize)]
struct Output {
    #[serde(default)]
    annotations_count: usize,
}

#[derive(Debug, Deserialize)]
struct Maker {
    id: u64,
    slug: Option<String>,
}

impl Run {
    fn is_completed(&self) -> bool {
        self.status == "completed"
    }

    fn is_of(&self, job: &str) -> bool {
        self.external_id.as_deref() == Some(job)
    }

    /// It can become that of the job: nothing of another one stands in it.
    fn is_open_to(&self, job: Option<&str>) -> bool {
        !self.is_completed() && (self.output.annotations_count == 0 || job.is_some_and(|job| self.is_of(job)))
    }
}

impl GitHub {
    /// Begins a check run, or ends the one that was begun.
    pub(super) async fn check(&self, sha: &str, status: &Status, review: Option<&Review>) -> Result<()> {
        let job = review.map(|review| review.job.as_str());
        let runs = self.runs(sha).await?;
        let ended = conclusion(status.state).is_some();
        if ended && !runs.iter().any(|run| run.is_open_to(job)) && is_said(&runs, job) {
            return Ok(());
        }
        let run = match runs.into_iter().find(|run| run.is_open_to(job)) {
            Some(run) => run,
            None => self.begin(sha, status).await?,
        };
        if ended { self.end(run, status, review).await } else { Ok(()) }
    }

    /// Our own at the commit, the newest first.
    async fn runs(&self, sha: &str) -> Result<Vec<Run>> {
        #[derive(Deserialize)]
        struct List {
            check_runs: Vec<Run>,
        }
        let own = match self.client.credentials() {
            Credentials::App(_) => Some(self.client.installation(None).await?.app),
            _ => None,
        };
        let path = self.path(&format!("/commits/{sha}/check-runs?check_name={CONTEXT}&filter=all&per_page=100"));
        let mut runs = self.client.get::<List>(&path).await?.check_runs;
        runs.retain(|run| {
            run.app.as_ref().is_some_and(|app| match own {
                Some(id) => app.id == id,
                None => app.slug.as_deref() == Some("github-actions"),
            })
        });
        runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        Ok(runs)
    }

    async fn begin(&self, sha: &str, status: &Status) -> Result<Run> {
        let text = plain::one_line(&status.description, MAX_TITLE);
        let body = json!({
            "name": CONTEXT,
            "head_sha": sha,
            "status": "in_progress",
            "output": { "title": text, "summary": text },
        });
        let mut looks = 0;
        loop {
            match self.client.write(Method::POST, &self.path("/check-runs"), &body, Again::No).await {
                Err(ForgeError::Unavailable { perhaps_done: true, text }) if looks < LOOKS => {
                    looks += 1;
                    tracing::debug!("{text}; looking whether the check run is there");
                    if let Some(run) = self.runs(sha).await?.into_iter().find(|run| run.is_open_to(None)) {
                        return Ok(run);
                    }
                }
                answer => return answer,
            }
        }
    }

    async fn end(&self, mut run: Run, status: &Status, review: Option<&Review>) -> Result<()> {
        let path = self.path(&format!("/check-runs/{}", run.id));
        let mut annotated = review.map(annotated).unwrap_or_default();
        let mut looks = 0;
        loop {
            let left = annotated.get(run.output.annotations_count..).unwrap_or_default();
            let (now, later) = left.split_at(left.len().min(MAX_AT_ONCE));
            let body = update(status, review, &annotated, now, later.is_empty());
            let again = if now.is_empty() { Again::Yes } else { Again::No };
            match self.client.write::<Value>(Method::PATCH, &path, &body, again).await {
                Ok(_) if later.is_empty() => return Ok(()),
                Ok(_) => run.output.annotations_count += now.len(),
                Err(ForgeError::Unavailable { perhaps_done: true, text }) if looks < LOOKS => {
                    looks += 1;
                    tracing::debug!("{text}; looking how far the check run is");
                    run = self.client.get(&path).await?;
                    if run.is_completed() {
                        return Ok(());
                    }
                }
                // A check run that does not end blocks the merge; its summary has what the marks would have said.
                Err(ForgeError::Invalid(text)) if !annotated.is_empty() => {
                    tracing::debug!("{text}; the findings stay in the summary");
                    annotated.clear();
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The last run already says how this job ended.
fn is_said(runs: &[Run], job: Option<&str>) -> bool {
    runs.first().is_some_and(|run| run.is_completed() && job.is_some_and(|job| run.is_of(job)))
}

/// `None` while it is under way. A quota and a file that nobody saw are no fault of the change, but a check that is
/// required must not let them pass, as `neutral` would.
fn conclusion(state: StatusState) -> Option<&'static str> {
    match state {
        StatusState::Pending => None,
        StatusState::Success => Some("success"),
        StatusState::Skipped => Some("neutral"),
        StatusState::Unfinished => Some("action_required"),
        StatusState::Error => Some("failure"),
        StatusState::Cancelled => Some("cancelled"),
    }
}

/// The findings that get a mark at their lines.
fn annotated(review: &Review) -> Vec<&Finding> {
    let shown = matches!(review.outcome, Outcome::Reviewed | Outcome::Partial);
    review.findings.iter().filter(|finding| shown && finding.lines.is_some()).take(MAX_ANNOTATIONS).collect()
}

fn update(status: &Status, review: Option<&Review>, annotated: &[&Finding], now: &[&Finding], last: bool) -> Value {
    let title = plain::one_line(&status.description, MAX_TITLE);
    let summary = review.map_or_else(|| title.clone(), |review| publish::check_summary(review, annotated));
    let mut body = json!({ "output": { "title": title, "summary": summary } });
    if !now.is_empty() {
        body["output"]["annotations"] = now.iter().filter_map(|finding| annotation(finding)).collect();
    }
    if let Some(review) = review {
        body["external_id"] = review.job.as_str().into();
    }
    if let Some(url) = &status.url {
        body["details_url"] = url.as_str().into();
    }
    if let Some(conclusion) = conclusion(status.state).filter(|_| last) {
        body["status"] = "completed".into();
        body["conclusion"] = conclusion.into();
    }
    body
}

/// GitHub shows it as plain text.
fn annotation(finding: &Finding) -> Option<Value> {
    let lines = finding.lines?;
    let level = match finding.severity {
        Severity::Critical | Severity::High => "failure",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "notice",
    };
    let title = plain::one_line(&format!("{}: {}", finding.severity, finding.title), MAX_TITLE);
    let message = plain::prose(&finding.explanation, MAX_MESSAGE);
    let message = if message.trim().is_empty() { title.clone() } else { message };
    Some(json!({
        "path": finding.path,
        "start_line": lines.start,
        "end_line": lines.end,
        "annotation_level": level,
        "title": title,
        "message": message,
    }))
}
