//! A job as a trace, for a collector of OpenTelemetry on this host: [`document`] makes it of a job and what happened to
//! it (pure), [`send`] hands it over.
//!
//! The trace has the id of its job, as a number: who knows the one finds the other.

pub mod send;

use serde_json::{Value, json};
use ulid::Ulid;

use crate::api::{Happening, Job, JobEvent};
use crate::engine::Progress;
use crate::plain;
use crate::review::Outcome;

/// The most parts, and the most moments, that one trace has.
const MOST: usize = 1000;
/// Longest text of an attribute, in characters.
const LONGEST: usize = 300;

/// A part of the job: from one moment to another, and what happened meanwhile.
struct Span {
    name: String,
    parent: Option<usize>,
    start_ms: i64,
    end_ms: Option<i64>,
    attributes: Vec<Value>,
    moments: Vec<Value>,
    /// Why it failed.
    failure: Option<String>,
}

/// As `ExportTraceServiceRequest` of OTLP 1 in JSON ("OTLP/HTTP", "JSON Protobuf Encoding"); `None` for a job without
/// an end or an id of ours.
pub fn document(job: &Job, events: &[JobEvent], host_name: &str) -> Option<Value> {
    let id = Ulid::from_string(&job.id).ok()?;
    let spans: Vec<Value> = spans(job, events)?.iter().enumerate().map(|(at, span)| span.json(id, at)).collect();
    let resource = [
        text("service.name", "cicdctl"),
        text("service.version", crate::version()),
        text("service.instance.id", job.agent.as_ref().map_or("runner", |agent| agent.as_str())),
        text("host.name", host_name),
    ];
    let scope = json!({ "name": "cicdctl", "version": crate::version() });
    Some(json!({
        "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }],
    }))
}

/// The job first; then, in their order, how it waited, how it was tried, and the stages of each try.
fn spans(job: &Job, events: &[JobEvent]) -> Option<Vec<Span>> {
    let end_ms = job.ended_ms?;
    let mut spans = vec![Span {
        attributes: of_job(job),
        failure: (job.outcome != Some(Outcome::Reviewed)).then(|| job.reason.clone().unwrap_or_default()),
        ..Span::new("review", None, job.created_ms)
    }];
    // Those that have no end yet: the innermost last.
    let mut open: Vec<usize> = Vec::new();
    let mut moments = 0;
    for JobEvent { at_ms, what, .. } in events {
        let (keep, name) = match what {
            Happening::Accepted => (0, "wait".to_owned()),
            Happening::Started { attempt } => (0, format!("attempt {attempt}")),
            Happening::Stage { stage, .. } => (1, stage.as_str().to_owned()),
            Happening::Requeued { .. } => (0, "wait".to_owned()),
            Happening::Ended { .. } => (0, String::new()),
            Happening::Engine { progress } => {
                if let Some(span) = open.last().copied().filter(|_| moments < MOST) {
                    spans[span].moments.push(moment(*at_ms, progress));
                    moments += 1;
                }
                continue;
            }
        };
        for span in open.drain(keep.min(open.len())..) {
            spans[span].end_ms = Some(*at_ms);
            if let Happening::Requeued { reason, .. } = what {
                spans[span].failure = Some(reason.clone());
            }
        }
        if !name.is_empty() && spans.len() < MOST {
            let parent = open.last().copied().unwrap_or(0);
            let mut span = Span::new(&name, Some(parent), *at_ms);
            if let Happening::Stage { detail, .. } = what {
                span.attributes.push(text("cicd.detail", detail));
            }
            open.push(spans.len());
            spans.push(span);
        }
    }
    for span in &mut spans {
        span.end_ms.get_or_insert(end_ms);
    }
    Some(spans)
}

fn of_job(job: &Job) -> Vec<Value> {
    let mut found = vec![text("cicd.job", &job.id), text("cicd.subject", &job.request.subject())];
    let mut may = |key: &str, value: Option<&str>| found.extend(value.map(|value| text(key, value)));
    may("cicd.agent", job.agent.as_ref().map(|agent| agent.as_str()));
    may("cicd.outcome", job.outcome.map(Outcome::as_str));
    may("cicd.pull", job.pull.as_deref());
    may("vcs.ref.head.revision", job.head.as_deref());
    let Some(review) = &job.review else { return found };
    found.push(number("cicd.findings", review.findings.len() as u64));
    let Some(engine) = &review.receipt.engine else { return found };
    found.push(text("cicd.engine", &engine.name));
    found.extend(engine.model.as_deref().map(|model| text("gen_ai.request.model", model)));
    found.extend(engine.input_tokens.map(|tokens| number("gen_ai.usage.input_tokens", tokens)));
    found.extend(engine.output_tokens.map(|tokens| number("gen_ai.usage.output_tokens", tokens)));
    found.extend(engine.cost_usd.map(|cost| json!({ "key": "cicd.cost_usd", "value": { "doubleValue": cost } })));
    found
}

/// What an engine says of itself.
fn moment(at_ms: i64, progress: &Progress) -> Value {
    let (name, attributes) = match progress {
        Progress::Started { engine, version, .. } => (
            "engine started",
            vec![text("cicd.engine", engine), text("cicd.engine.version", version.as_deref().unwrap_or_default())],
        ),
        Progress::Tool { name, target } => ("tool", vec![text("cicd.tool", name), text("cicd.target", target)]),
        Progress::Waiting { reason, retry_ms } => {
            ("engine waits", vec![text("cicd.reason", reason), number("cicd.retry_ms", *retry_ms)])
        }
        Progress::Note { text: note } => ("note", vec![text("cicd.note", note)]),
    };
    json!({ "timeUnixNano": nanoseconds(at_ms), "name": name, "attributes": attributes })
}

impl Span {
    fn new(name: &str, parent: Option<usize>, start_ms: i64) -> Span {
        let name = name.to_owned();
        Span { name, parent, start_ms, end_ms: None, attributes: vec![], moments: vec![], failure: None }
    }

    fn json(&self, id: Ulid, at: usize) -> Value {
        // A clock that was set back makes nothing end before it began.
        let end_ms = self.end_ms.unwrap_or(self.start_ms).max(self.start_ms);
        let status = match &self.failure {
            None => json!({ "code": 1 }),
            Some(why) => json!({ "code": 2, "message": plain::one_line(why, LONGEST) }),
        };
        let mut span = json!({
            "traceId": format!("{:032x}", id.0),
            "spanId": span_id(id, at),
            "name": self.name,
            "kind": 1,
            "startTimeUnixNano": nanoseconds(self.start_ms),
            "endTimeUnixNano": nanoseconds(end_ms),
            "attributes": self.attributes,
            "events": self.moments,
            "status": status,
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = span_id(id, parent).into();
        }
        span
    }
}

/// Unique within the trace, and never zero.
fn span_id(id: Ulid, at: usize) -> String {
    format!("{:016x}", (id.0 as u64) & !0xffff | (at as u64 + 1))
}

/// 64-bit numbers are strings in the JSON of OTLP.
fn nanoseconds(ms: i64) -> String {
    (i128::from(ms.max(0)) * 1_000_000).to_string()
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": plain::one_line(value, LONGEST) } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{JobState, Stage};
    use crate::report::sample;

    fn job() -> Job {
        let review = sample::typical();
        let job = json!({
            "id": "01M8D7FJ7EQ8KTF8ENZZHSQACW", "state": JobState::Ended, "outcome": "reviewed", "agent": "shop",
            "created_ms": 1000, "started_ms": 2000, "ended_ms": 9000, "request": { "pr": 42, "repo": "acme/shop" },
            "attempts": 2, "pull": "acme/shop#42", "review": review,
        });
        serde_json::from_value(job).unwrap()
    }

    fn events() -> Vec<JobEvent> {
        let stage = |stage| Happening::Stage { stage, detail: "a\u{1b}[31m detail".into() };
        let tool = |name: &str| Happening::Engine {
            progress: Progress::Tool { name: name.into(), target: "src/main.rs".into() },
        };
        let ended = Happening::Ended { outcome: Outcome::Reviewed, reason: None };
        [
            (1000, Happening::Accepted),
            (2000, Happening::Started { attempt: 1 }),
            (2100, stage(Stage::Fetch)),
            (2500, Happening::Requeued { reason: "the runner stopped".into(), until_ms: None }),
            (3000, Happening::Started { attempt: 2 }),
            (3100, stage(Stage::Fetch)),
            (3300, stage(Stage::Engine)),
            (3400, tool("Read")),
            (8000, stage(Stage::Judge)),
            (9000, ended),
        ]
        .into_iter()
        .enumerate()
        .map(|(at, (at_ms, what))| JobEvent { seq: at as u64 + 1, at_ms, what })
        .collect()
    }

    #[test]
    fn each_part_lies_in_its_parent_and_each_second_in_one_of_them() {
        let found = spans(&job(), &events()).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|span| (span.name.as_str(), span.parent, span.start_ms, span.end_ms.unwrap(), span.failure.as_deref()))
            .collect();
        let stopped = Some("the runner stopped");
        assert_eq!(
            shown,
            [
                ("review", None, 1000, 9000, None),
                ("wait", Some(0), 1000, 2000, None),
                ("attempt 1", Some(0), 2000, 2500, stopped),
                ("fetch", Some(2), 2100, 2500, stopped),
                ("wait", Some(0), 2500, 3000, None),
                ("attempt 2", Some(0), 3000, 9000, None),
                ("fetch", Some(5), 3100, 3300, None),
                ("engine", Some(5), 3300, 8000, None),
                ("judge", Some(5), 8000, 9000, None),
            ]
        );
        assert_eq!(found[7].moments.len(), 1);
    }

    #[test]
    fn ids_are_those_of_the_job_and_texts_are_plain() {
        let document = document(&job(), &events(), "vm-1").unwrap();
        let spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        let trace = format!("{:032x}", Ulid::from_string(&job().id).unwrap().0);
        let mut ids: Vec<&str> = spans.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
        for span in spans {
            assert_eq!(span["traceId"], trace);
            let is_known = |parent: &str| ids.contains(&parent);
            assert!(span.get("parentSpanId").is_none_or(|parent| is_known(parent.as_str().unwrap())));
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), ids.iter().all(|id| id.len() == 16)), (9, true));
        assert_eq!(spans[0]["startTimeUnixNano"], "1000000000");
        assert!(!document.to_string().contains("\\u001b"), "{document}");
        let open = Job { ended_ms: None, ..job() };
        assert!(super::document(&open, &events(), "vm-1").is_none());
    }
}
