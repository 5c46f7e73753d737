//! What travels between the command line, the runner and whoever else speaks to its socket. Pure; both ends share
//! these types.

pub mod client;

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

use crate::agent::AgentName;
use crate::config::EngineName;
use crate::engine::Progress;
use crate::review::{Outcome, Review};

/// Body of `POST /review`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReviewRequest {
    /// Pull request, as a number or as text (`"42"`).
    #[serde(deserialize_with = "number_or_text", skip_serializing_if = "Option::is_none")]
    pub pr: Option<u64>,
    /// `owner/name`; picks the agent of that project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Branch or revision to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Revision to review; HEAD where it is absent. With `pr`, the head SHA that whoever asks has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// `A..B`, `A...B` or one commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// What is staged in the working copy.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub staged: bool,
    /// Working copy on this machine; that of the agent where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentName>,
    /// Another engine than the configured one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineName>,
    /// Other skills than the configured ones, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Go on where the sandbox of the cage cannot be had; the receipt says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unsandboxed: bool,
    /// Say what would be reviewed, and call no engine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Publish the review of a pull request at the forge; as the configuration says where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<bool>,
    /// Review all of the change anew, whatever was reviewed before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Why it is asked for: whoever asks in person is not held to the policy that says when to review.
    #[serde(skip_serializing_if = "Trigger::is_event")]
    pub trigger: Trigger,
}

/// What a review is asked for by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// Something happened at the forge: a push, a label, a workflow that calls the socket.
    #[default]
    Event,
    /// Somebody who may write to the repository asked in a comment.
    Comment,
    /// Somebody on this host asked.
    Manual,
}

impl Trigger {
    fn is_event(&self) -> bool {
        *self == Trigger::Event
    }
}

impl ReviewRequest {
    /// What is wrong with the request as such, if anything.
    pub fn problem(&self) -> Option<String> {
        let chosen =
            [self.pr.is_some(), self.range.is_some(), self.staged].into_iter().filter(|chosen| *chosen).count();
        if chosen > 1 {
            return Some("`pr`, `range` and `staged` exclude each other".into());
        }
        match &self.head {
            Some(head) if self.pr.is_some() && !is_sha(head) => {
                return Some("`head` goes with `pr` as a full commit SHA".into());
            }
            Some(_) if self.pr.is_none() && (self.base.is_none() || chosen > 0) => {
                return Some("`head` goes with `pr`, or with `base` and without `range` or `staged`".into());
            }
            _ => {}
        }
        if self.post == Some(true) && self.pr.is_none() {
            return Some("`post` goes with `pr`".into());
        }
        if let Some(problem) = self.skills.iter().find_map(|name| crate::skill::check_name(name).err()) {
            return Some(format!("`skills`: {problem}"));
        }
        if self.path.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Some("`path` must be absolute".into());
        }
        if let Some(repo) = &self.repo
            && !crate::config::is_repo(repo)
        {
            return Some("`repo` is written `owner/name`".into());
        }
        for (name, value) in [("base", &self.base), ("head", &self.head), ("range", &self.range)] {
            if let Some(value) = value
                && (value.is_empty()
                    || value.len() > 500
                    || value.starts_with('-')
                    || value.chars().any(char::is_control))
            {
                return Some(format!("`{name}` is no revision"));
            }
        }
        None
    }

    /// Whether it still means the same tomorrow.
    pub fn is_lasting(&self) -> bool {
        !self.dry_run && (self.pr.is_some() || self.range.is_some() || self.head.is_some())
    }

    /// For people: what is to be reviewed.
    pub fn subject(&self) -> String {
        match (self.pr, &self.range, &self.base, self.staged) {
            (Some(pr), ..) => format!("pull request {pr}"),
            (_, Some(range), ..) => range.clone(),
            (_, _, Some(base), _) => format!("{base}...{}", self.head.as_deref().unwrap_or("HEAD")),
            (_, _, _, true) => "staged changes".into(),
            _ => "working tree".into(),
        }
    }
}

fn is_sha(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// GitHub's expressions arrive as text.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Value {
        Number(u64),
        // To JSON Schema 42.0 is an integer, too.
        Float(f64),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    let number = match Option::<Value>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Value::Number(number)) => Some(number),
        Some(Value::Float(number)) => Some(number as u64).filter(|whole| *whole as f64 == number),
        Some(Value::Text(text)) => text.trim().trim_start_matches('#').parse().ok(),
        Some(Value::Other(_)) => None,
    };
    match number.filter(|number| (1..=i64::MAX as u64).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => Err(serde::de::Error::custom("`pr` must be the number of a pull request, such as 42 or \"42\"")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    Queued,
    Running,
    Ended,
}

impl JobState {
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Ended => "ended",
        }
    }
}

/// One piece of accepted work. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub id: String,
    pub state: JobState,
    /// Whose it is; the runner's own where it is absent.
    pub agent: Option<AgentName>,
    pub request: ReviewRequest,
    pub created_ms: i64,
    pub started_ms: Option<i64>,
    pub ended_ms: Option<i64>,
    /// How often it was begun.
    pub attempts: u32,
    pub outcome: Option<Outcome>,
    /// Of the end, or why it is in the queue again.
    pub reason: Option<String>,
    /// `owner/name#42`, in lower case, where the repository is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<String>,
    /// Head SHA of the pull request, as asked for and then as found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// It waits until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<i64>,
    /// How often it was put off for want of quota.
    #[serde(default)]
    pub deferrals: u32,
    /// Why it is not begun though its time may have come: who is to do it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_because: Option<String>,
    /// The finished review, or how a deferred one stands; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// Something that happened to a job, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// From 1, without gaps; the `id` of the event stream.
    pub seq: u64,
    pub at_ms: i64,
    #[serde(flatten)]
    pub what: Happening,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happening {
    Accepted,
    Started {
        attempt: u32,
    },
    /// A step of the review begins.
    Stage {
        stage: Stage,
        detail: String,
    },
    Engine {
        #[serde(flatten)]
        progress: Progress,
    },
    /// Back in the queue, for the reason given.
    Requeued {
        reason: String,
        /// It waits until then (milliseconds since 1970).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<i64>,
    },
    Ended {
        outcome: Outcome,
        reason: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Fetch,
    Plan,
    Engine,
    Judge,
    Publish,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Fetch => "fetch",
            Stage::Plan => "plan",
            Stage::Engine => "engine",
            Stage::Judge => "judge",
            Stage::Publish => "publish",
        }
    }
}

/// Body of `GET /healthz` and `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerInfo {
    pub version: String,
    /// `runner`, or the name of the agent.
    pub scope: String,
    pub ready: bool,
    pub queued: u64,
    pub running: u64,
}

/// An error over HTTP (RFC 9457, `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    #[serde(rename = "type", default = "blank")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
}

fn blank() -> String {
    "about:blank".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<ReviewRequest, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pull_request_is_a_number_or_text() {
        for text in [r#"{"pr": "42"}"#, r#"{"pr": 42}"#, r##"{"pr": "#42"}"##] {
            assert_eq!(request(text).unwrap().pr, Some(42), "{text}");
        }
        for text in [r#"{"pr": ""}"#, r#"{"pr": "x"}"#, r#"{"pr": -1}"#, r#"{"pr": 0}"#, r#"{"pr": [42]}"#] {
            assert!(request(text).unwrap_err().contains("must be the number"), "{text}");
        }
        assert!(request(r#"{"rp": 42}"#).unwrap_err().contains("unknown field `rp`"));
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(request(r#"{"pr": 1}"#).unwrap().problem(), None);
        assert!(request(r#"{"pr": 1, "staged": true}"#).unwrap().problem().is_some());
        assert!(request(r#"{"head": "x"}"#).unwrap().problem().is_some());
        assert!(request(r#"{"pr": 1, "head": "main"}"#).unwrap().problem().is_some());
        let sha = "0123456789012345678901234567890123456789";
        assert_eq!(request(&format!(r#"{{"pr": 1, "head": "{sha}"}}"#)).unwrap().problem(), None);
        assert!(request(r#"{"range": "--output=/etc/passwd"}"#).unwrap().problem().is_some());
        assert!(request(r#"{"post": true}"#).unwrap().problem().is_some());
        assert_eq!(request(r#"{"post": true, "pr": 1}"#).unwrap().problem(), None);
        assert!(request(r#"{"path": "rel"}"#).unwrap().problem().is_some());
    }

    #[test]
    fn events_have_a_flat_stable_form() {
        let event = JobEvent {
            seq: 3,
            at_ms: 1,
            what: Happening::Engine { progress: Progress::Tool { name: "Read".into(), target: "a.rs".into() } },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"seq":3,"at_ms":1,"event":"engine","progress":"tool","name":"Read","target":"a.rs"}"#);
        assert_eq!(serde_json::from_str::<JobEvent>(&text).unwrap(), event);
    }
}
