//! The events of `claude -p --output-format stream-json` → progress while they come, and one outcome at the end. Pure.
//!
//! What was learnt from recordings of 2.1.330 (`tests/fixtures/claude/transcripts`) and holds this together:
//! - The order of keys and of event types is not fixed, and new types appear; so events are read as plain JSON, and
//!   what is not known is skipped.
//! - `subtype: "success"` does not mean success: API errors are reported with it, and `is_error: true` beside it. An
//!   interrupted run exits with 0. A model that never answers by the schema exits with 0 and `is_error: false`.
//! - So a review needs all of these: exit status 0, a `result` line, `is_error` false, and `structured_output` that
//!   passes our own types. Everything else is an error with a cause.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::session::Trouble;
use crate::engine::drafts::{self, shorten};
use crate::engine::process::End;
use crate::engine::{EngineError, EngineReport, Progress, failed, with_last_words};
use crate::review::EngineUsed;

/// What has been heard so far.
#[derive(Debug)]
pub struct Stream {
    checkout: PathBuf,
    /// The checkout as the engine calls it, where that is another path to the same place.
    cwd: Option<PathBuf>,
    started: bool,
    version: Option<String>,
    model: Option<String>,
    /// The API call that is being tried again; gone once the model has answered.
    retry: Option<Retry>,
    /// The key was refused: nothing more is to be expected.
    refused: Option<String>,
    /// What the engine calls the error of its API (`rate_limit`, `authentication_failed`, …); gone like `retry`.
    api_error: Option<String>,
    /// When the quota is there again, in seconds since 1970.
    resets_at: Option<u64>,
    /// The last `result` line; the only thing that counts in the end. There is no more than one in a good run.
    result: Option<Value>,
    results: usize,
    /// What was used by then, as far as it shows before the result: for a run that never comes to one.
    heard: Heard,
    lines: usize,
    garbage: usize,
    notes: Vec<String>,
}

/// Usage added up from the events of single answers.
#[derive(Debug, Default)]
struct Heard {
    /// The answer that is being written, and how many tokens it had when it was last told of.
    answer: String,
    answer_tokens: u64,
    turns: u32,
    input_tokens: u64,
    output_tokens: u64,
}

impl Heard {
    /// An answer begins; each of its blocks says the same again.
    fn begin(&mut self, message: &Value) {
        let Some(id) = text(message, "id").filter(|id| *id != self.answer) else { return };
        id.clone_into(&mut self.answer);
        self.answer_tokens = 0;
        self.turns = self.turns.saturating_add(1);
        self.input_tokens = self.input_tokens.saturating_add(count(&message["usage"], &INPUT));
        self.grow(&message["usage"]);
    }

    /// How far the answer has come; a count from its beginning.
    fn grow(&mut self, usage: &Value) {
        let tokens = count(usage, &OUTPUT).max(self.answer_tokens);
        self.output_tokens = self.output_tokens.saturating_add(tokens - self.answer_tokens);
        self.answer_tokens = tokens;
    }
}

/// All that was sent, also what came from the cache or went there.
const INPUT: [&str; 3] = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
const OUTPUT: [&str; 1] = ["output_tokens"];

fn count(usage: &Value, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| usage[*name].as_u64()).fold(0, u64::saturating_add)
}

#[derive(Debug)]
struct Retry {
    status: Option<u64>,
    reason: String,
}

impl Stream {
    /// `version` is what the program says of itself; its events may know better.
    pub fn new(checkout: &Path, version: Option<String>) -> Self {
        Stream {
            checkout: checkout.to_owned(),
            cwd: None,
            started: false,
            version,
            model: None,
            retry: None,
            refused: None,
            api_error: None,
            resets_at: None,
            result: None,
            results: 0,
            heard: Heard::default(),
            lines: 0,
            garbage: 0,
            notes: Vec::new(),
        }
    }

    /// Takes one line of standard output; `Break` where the engine should be ended at once.
    pub fn line(&mut self, line: &[u8], events: &mut dyn FnMut(Progress)) -> ControlFlow<()> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return ControlFlow::Continue(());
        }
        self.lines += 1;
        let event = match serde_json::from_slice::<Value>(line) {
            Ok(event @ Value::Object(_)) => event,
            _ => {
                self.garbage += 1;
                return ControlFlow::Continue(());
            }
        };
        match (text(&event, "type"), text(&event, "subtype")) {
            (Some("system"), Some("init")) => self.init(&event, events),
            (Some("system"), Some("api_retry")) => return self.api_retry(&event, events),
            (Some("system"), Some("model_fallback")) => self.model_fallback(&event, events),
            (Some("rate_limit_event"), _) => self.rate_limit(&event["rate_limit_info"]),
            (Some("assistant"), _) => self.assistant(&event, events),
            (Some("stream_event"), _) => match text(&event["event"], "type") {
                Some("message_start") => self.heard.begin(&event["event"]["message"]),
                Some("message_delta") => self.heard.grow(&event["event"]["usage"]),
                _ => {}
            },
            (Some("result"), _) => {
                self.results += 1;
                self.result = Some(event);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn init(&mut self, event: &Value, events: &mut dyn FnMut(Progress)) {
        if let Some(version) = text(event, "claude_code_version") {
            self.version = Some(version.to_owned());
        }
        self.model = text(event, "model").map(str::to_owned);
        self.cwd = text(event, "cwd").map(PathBuf::from);
        if !self.started {
            self.started = true;
            events(Progress::Started {
                engine: "claude".to_owned(),
                version: self.version.clone(),
                model: self.model.clone(),
            });
        }
    }

    fn api_retry(&mut self, event: &Value, events: &mut dyn FnMut(Progress)) -> ControlFlow<()> {
        let status = event["error_status"].as_u64();
        let error = text(event, "error").unwrap_or("unknown");
        let reason = match status {
            Some(status) => format!("the API answered {status} ({})", shorten(error, 80)),
            None => "the API did not answer".to_owned(),
        };
        // It would try ten times more, over three minutes, and be refused each time.
        if matches!(status, Some(401 | 403)) || error == "authentication_failed" {
            self.refused = Some(reason);
            return ControlFlow::Break(());
        }
        events(Progress::Waiting {
            reason: reason.clone(),
            retry_ms: event["retry_delay_ms"].as_f64().unwrap_or(0.0).max(0.0).round() as u64,
        });
        self.retry = Some(Retry { status, reason });
        ControlFlow::Continue(())
    }

    fn model_fallback(&mut self, event: &Value, events: &mut dyn FnMut(Progress)) {
        let fallback = text(event, "fallback_model").unwrap_or("another model");
        let note = format!(
            "Claude Code went from {} to {}",
            shorten(text(event, "original_model").unwrap_or("its model"), 80),
            shorten(fallback, 80)
        );
        self.model = Some(fallback.to_owned());
        self.notes.push(note.clone());
        events(Progress::Note { text: note });
    }

    fn rate_limit(&mut self, info: &Value) {
        if info["status"] == "rejected" {
            self.resets_at = info["resetsAt"].as_u64();
        }
    }

    fn assistant(&mut self, event: &Value, events: &mut dyn FnMut(Progress)) {
        if let Some(error) = text(event, "error") {
            self.api_error = Some(error.to_owned());
            return;
        }
        self.retry = None;
        self.api_error = None;
        self.heard.begin(&event["message"]);
        let content = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        for block in content.iter().filter(|block| block["type"] == "tool_use") {
            let name = text(block, "name").unwrap_or_default();
            // Its way to answer, not a tool it works with.
            if name != "StructuredOutput" {
                events(Progress::Tool { name: shorten(name, 80), target: shorten(&self.target(&block["input"]), 200) });
            }
        }
    }

    /// What a tool is used on: a file, a pattern, or a pattern in a place.
    fn target(&self, input: &Value) -> String {
        let place = text(input, "file_path").or_else(|| text(input, "path")).map(|path| self.relative(path));
        match (text(input, "pattern"), place) {
            (Some(pattern), Some(place)) => format!("{pattern} in {place}"),
            (Some(pattern), None) => pattern.to_owned(),
            (None, place) => place.unwrap_or_default(),
        }
    }

    fn relative(&self, path: &str) -> String {
        let roots = [Some(&self.checkout), self.cwd.as_ref()];
        let inside = roots.into_iter().flatten().find_map(|root| Path::new(path).strip_prefix(root).ok());
        match inside.and_then(Path::to_str) {
            Some("") => ".".to_owned(),
            Some(inside) => inside.to_owned(),
            None => path.to_owned(),
        }
    }

    /// Whether it came to nothing because of the session that it was to begin or to go on with.
    pub fn trouble(&self, end: End, stderr: &str) -> Option<Trouble> {
        let Some(result) = &self.result else {
            // What is wrong with the arguments shows before anything is written.
            let refused = self.lines == 0 && matches!(end, End::Exited(_));
            return match (refused, stderr.contains("is already in use")) {
                (true, true) => Some(Trouble::Taken),
                (true, false) => Some(Trouble::Lost("could not be opened")),
                (false, _) => None,
            };
        };
        if result["is_error"] == Value::Bool(false) {
            return None;
        }
        let (status, reason) = (result["api_error_status"].as_u64(), text(result, "terminal_reason"));
        if said(result).contains("No conversation found") || stderr.contains("No conversation found") {
            return Some(Trouble::Lost("is not there any more"));
        }
        if matches!(reason, Some("prompt_too_long" | "blocking_limit")) || status == Some(413) {
            return Some(Trouble::Lost("has grown too long for the model"));
        }
        // That the account has no credit is a 400, too.
        let billing = self.api_error.as_deref() == Some("billing_error");
        (status == Some(400) && !billing).then_some(Trouble::Lost("was refused by the API"))
    }

    /// What it all comes to. `now` is in seconds since 1970; `stderr` must have been cleaned of the key.
    pub fn outcome(self, end: End, stderr: &str, now: u64) -> Result<EngineReport, EngineError> {
        let report = self.answer(end, stderr, now).and_then(|(result, answer)| self.report(result, answer));
        report.map_err(|error| error.having_used(self.used()))
    }

    /// The same, for an answer by another schema than that of findings.
    pub fn plain_outcome(self, end: End, stderr: &str, now: u64) -> Result<(Value, EngineUsed), EngineError> {
        match self.answer(end, stderr, now) {
            Ok((_, answer)) => Ok((answer.clone(), self.used())),
            Err(error) => Err(error.having_used(self.used())),
        }
    }

    /// The result and the answer in it, where both are whole.
    fn answer(&self, end: End, stderr: &str, now: u64) -> Result<(&Value, &Value), EngineError> {
        if let Some(reason) = &self.refused {
            return Err(EngineError::unauthenticated(format!("the key was refused: {reason}")));
        }
        // The reason it gave itself, whatever happened to it afterwards. Each of the two signs of an error counts.
        if let Some(result) = &self.result
            && (result["is_error"] != Value::Bool(false) || result["subtype"] != "success")
        {
            return Err(self.error(result, now));
        }
        if let (End::Overdue(..), Some(Retry { status: Some(429 | 529), reason })) = (end, &self.retry) {
            return Err(EngineError::deferred(
                format!("Claude Code {end} while it waited for its API: {reason}"),
                self.retry_after("", now),
            ));
        }
        let Some(result) = &self.result else {
            return Err(failed(self.no_result(end, stderr)));
        };
        if end != End::Exited(0) {
            return Err(failed(with_last_words(format!("Claude Code gave an answer, but {end}"), stderr)));
        }
        let answer = match &result["structured_output"] {
            Value::Null => return Err(failed(no_answer(result))),
            answer => answer,
        };
        if self.results > 1 {
            return Err(failed(format!("Claude Code gave {} results to one question", self.results)));
        }
        Ok((result, answer))
    }

    fn report(&self, result: &Value, answer: &Value) -> Result<EngineReport, EngineError> {
        let Value::Array(findings) = &answer["findings"] else {
            return Err(failed("Claude Code answered without a list of findings"));
        };
        let (drafts, dropped) = drafts::read(findings.clone(), self.cwd.as_deref().unwrap_or(&self.checkout))?;
        let mut notes = self.notes.clone();
        notes.extend(dropped);
        match result["permission_denials"].as_array().map_or(0, Vec::len) {
            0 => {}
            1 => notes.push("1 use of a tool was denied to Claude Code".to_owned()),
            count => notes.push(format!("{count} uses of tools were denied to Claude Code")),
        }
        if self.garbage > 0 {
            notes.push(format!("{} of {} lines of Claude Code's output were no events", self.garbage, self.lines));
        }
        Ok(EngineReport {
            used: self.used(),
            summary: text(answer, "summary").map(str::to_owned).filter(|text| !text.trim().is_empty()),
            drafts,
            notes,
            incomplete: None,
            unseen: Vec::new(),
        })
    }

    /// By the result; without one, by what was heard until the end, which has no price.
    fn used(&self) -> EngineUsed {
        let named = EngineUsed {
            name: "claude".to_owned(),
            version: self.version.clone(),
            model: self.model.clone(),
            ..EngineUsed::default()
        };
        match &self.result {
            Some(result) => {
                let [input_tokens, output_tokens] = tokens(result);
                EngineUsed {
                    turns: result["num_turns"].as_u64().and_then(|turns| u32::try_from(turns).ok()),
                    input_tokens,
                    output_tokens,
                    cost_usd: cost(result),
                    ..named
                }
            }
            None if self.heard.turns > 0 => EngineUsed {
                turns: Some(self.heard.turns),
                input_tokens: Some(self.heard.input_tokens),
                output_tokens: Some(self.heard.output_tokens),
                ..named
            },
            None => named,
        }
    }

    /// An error that Claude Code told in its result.
    fn error(&self, result: &Value, now: u64) -> EngineError {
        let said = said(result);
        let spent = spent(result);
        let subtype = text(result, "subtype").unwrap_or_default();
        // Said of this run, not of the API: the words of these must not be searched for signs of something else.
        let of_this_run = match subtype {
            "error_max_turns" => Some("no answer within the limit of turns"),
            "error_max_budget_usd" => Some("the budget of this review is used up"),
            "error_max_structured_output_retries" => Some("the model did not manage to answer in the form asked for"),
            _ if text(result, "stop_reason") == Some("refusal") => Some("the model refused to answer"),
            _ => None,
        };
        if let Some(cause) = of_this_run {
            return failed(format!("{cause}{spent}: {said}"));
        }

        let lower = said.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let status = result["api_error_status"].as_u64();
        let kind = self.api_error.as_deref().or_else(|| text(result, "api_error")).unwrap_or_default();
        if matches!(status, Some(401 | 403))
            || kind == "authentication_failed"
            || says(&["not logged in", "please run /login", "invalid api key"])
        {
            return EngineError::unauthenticated(format!("the API refused the credentials: {said}"));
        }
        if matches!(status, Some(429 | 529))
            || matches!(kind, "rate_limit" | "overloaded" | "billing_error")
            || says(&["overloaded", "usage limit", "rate limit", "hit your limit", "credit balance"])
        {
            return EngineError::deferred(format!("quota or overload: {said}{spent}"), self.retry_after(&said, now));
        }
        let reason = text(result, "terminal_reason").unwrap_or_default();
        let cause = match kind {
            "max_output_tokens" => "the answer was longer than the model's output limit",
            "model_not_found" => "the API does not know the model",
            _ if matches!(reason, "prompt_too_long" | "blocking_limit") || status == Some(413) => {
                "the change is too long for the model"
            }
            _ if reason.starts_with("aborted") => "Claude Code was interrupted",
            _ => "Claude Code ended with an error",
        };
        let said = if said.is_empty() { "it did not say which" } else { &said };
        failed(format!("{cause}{spent}: {said}"))
    }

    fn no_result(&self, end: End, stderr: &str) -> String {
        if self.lines == 0 {
            return with_last_words(format!("Claude Code {end} and wrote no event"), stderr);
        }
        let garbage = match self.garbage {
            0 => String::new(),
            all if all == self.lines => " (nothing it wrote was an event)".to_owned(),
            some => format!(" ({some} of {} lines were no events)", self.lines),
        };
        let waiting = match &self.retry {
            Some(Retry { reason, .. }) => format!(" while it waited for its API: {reason}"),
            None => String::new(),
        };
        with_last_words(format!("Claude Code {end} without a result{garbage}{waiting}"), stderr)
    }

    /// Seconds until the time that the API named, by an event or, as older versions do, behind a bar in the text.
    fn retry_after(&self, said: &str, now: u64) -> Option<u64> {
        let in_text = || {
            let digits = said.rsplit_once('|')?.1.trim();
            digits.get(..10).filter(|_| digits.len() == 10)?.parse().ok()
        };
        let at: u64 = self.resets_at.or_else(in_text)?;
        Some(at.saturating_sub(now))
    }
}

/// What each model did in this run. In a session that was resumed, `total_cost_usd` and `modelUsage` also count the runs
/// before; older versions have nothing else.
fn models(result: &Value) -> Vec<&Value> {
    let of_this_run = result["model_usage_since_last_result"].as_object();
    of_this_run.or(result["modelUsage"].as_object()).into_iter().flat_map(|models| models.values()).collect()
}

/// US dollars.
fn cost(result: &Value) -> Option<f64> {
    match &result["model_usage_since_last_result"] {
        // A sum of none is -0, and would be shown so.
        Value::Object(_) => {
            Some(models(result).iter().filter_map(|model| model["costUSD"].as_f64()).sum::<f64>() + 0.0)
        }
        _ => result["total_cost_usd"].as_f64(),
    }
}

/// Tokens in and out. `usage` leaves out those of answers that ended the run.
fn tokens(result: &Value) -> [Option<u64>; 2] {
    let models = models(result);
    let of_models = |names: &[&str]| models.iter().map(|model| count(model, names)).sum();
    match (models.as_slice(), &result["usage"]) {
        ([], usage @ Value::Object(_)) => [Some(count(usage, &INPUT)), Some(count(usage, &OUTPUT))],
        ([], _) => [None, None],
        _ => [
            Some(of_models(&["inputTokens", "cacheCreationInputTokens", "cacheReadInputTokens"])),
            Some(of_models(&["outputTokens"])),
        ],
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

/// The message of a result: `result`, or the list `errors` that some kinds have in its place.
fn said(result: &Value) -> String {
    let errors = || {
        let errors = result["errors"].as_array()?;
        Some(errors.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "))
    };
    shorten(&text(result, "result").map(str::to_owned).or_else(errors).unwrap_or_default(), 500)
}

/// What a run has cost that brought nothing.
fn spent(result: &Value) -> String {
    match (result["num_turns"].as_u64(), cost(result)) {
        (Some(turns), Some(cost)) if cost > 0.0 => {
            format!(" ({turns} turn{}, ${cost:.4})", if turns == 1 { "" } else { "s" })
        }
        _ => String::new(),
    }
}

/// A run that ended well in every respect but one.
fn no_answer(result: &Value) -> String {
    let spent = spent(result);
    match shorten(&said(result), 160) {
        said if said.is_empty() => format!("the model's answer was empty{spent}"),
        said => format!("the model did not answer in the form asked for{spent}, but wrote: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::engine::ErrorKind;

    const TRANSCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude/transcripts");
    const NOW: u64 = 1_800_000_000;

    #[derive(Debug, PartialEq)]
    enum Kind {
        /// With so many findings.
        Ok(usize),
        Deferred,
        Unauthenticated,
        Failed,
    }
    use Kind::{Deferred, Failed, Unauthenticated};

    /// Every recording: what it comes to, and words that its cause must hold.
    const RECORDED: &[(&str, Kind, &str)] = &[
        ("success-structured", Kind::Ok(2), ""),
        ("success-structured-partial", Kind::Ok(2), ""),
        ("success-json", Kind::Ok(2), ""),
        ("structured-retry", Kind::Ok(2), ""),
        ("resume-1-first", Kind::Ok(2), ""),
        ("resume-2-second", Kind::Ok(0), ""),
        // Exit status 0 and "success", but no answer in the form asked for.
        ("success-text", Failed, "not answer in the form asked for (1 turn, $0.0004), but wrote: No problems found."),
        ("success-partial", Failed, "not answer in the form asked for"),
        ("success-json-verbose", Failed, "without a result (nothing it wrote was an event)"),
        ("structured-never", Failed, "but wrote: I would rather answer in prose."),
        ("tool-use", Failed, "not answer in the form asked for"),
        ("tool-denied", Failed, "not answer in the form asked for"),
        ("mcp-tool", Failed, "not answer in the form asked for"),
        ("resume-3-fork", Failed, "not answer in the form asked for"),
        ("input-stream-json", Failed, "but wrote: Answer 2."),
        ("err-429-retry-after-ok", Failed, "but wrote: Recovered."),
        ("err-529-then-ok", Failed, "but wrote: Recovered."),
        ("err-cut-mid-then-ok", Failed, "but wrote: Recovered."),
        ("fallback-model", Failed, "but wrote: From the fallback model."),
        ("sigint", Failed, "ended with exit status 0 without a result"),
        ("sigint-no-persistence", Failed, "was interrupted"),
        ("sigint-json", Failed, "was interrupted"),
        // Limits.
        ("max-turns", Failed, "limit of turns (3 turns, $0.0165): Reached maximum number of turns (2)"),
        ("max-budget", Failed, "budget of this review is used up (1 turn, $0.2200)"),
        ("max-budget-json", Failed, "budget of this review is used up"),
        ("structured-exhausted", Failed, "did not manage to answer in the form asked for"),
        ("output-limit", Failed, "longer than the model's output limit"),
        ("refusal", Failed, "the model refused to answer (2 turns, $0.0008): API Error: Sonnet 5.5's safeguards"),
        ("err-400-prompt-too-long", Failed, "too long for the model: Prompt is too long"),
        ("err-413", Failed, "too long for the model: Request too large"),
        // Quota and overload.
        ("err-400-credit", Deferred, "Credit balance is too low"),
        ("err-429", Deferred, "Request rejected (429)"),
        ("err-429-retry-after-long", Deferred, "Request rejected (429)"),
        ("err-529", Deferred, "529 Overloaded"),
        // Credentials.
        ("err-401", Unauthenticated, "401 (authentication_failed)"),
        ("err-403", Unauthenticated, "403 Your API key does not have permission"),
        ("err-no-key", Unauthenticated, "Not logged in"),
        // The API, the network and the process itself.
        ("err-400", Failed, "API Error: 400 messages: something is wrong"),
        ("err-404-model", Failed, "does not know the model"),
        ("err-500", Failed, "500 Internal server error"),
        ("err-502-html", Failed, "502 Bad Gateway"),
        ("err-sse-error-event", Failed, "Server error mid-response"),
        ("err-sse-malformed", Failed, "empty or malformed response"),
        ("err-200-html", Failed, "empty or malformed response"),
        ("err-200-empty", Failed, "empty or malformed response"),
        ("err-reset", Failed, "Connection dropped"),
        ("err-refused", Failed, "Connection refused"),
        ("hang-no-headers", Failed, "Request timed out"),
        ("hang-no-body", Failed, "Stream idle timeout"),
        ("hang-mid-stream", Failed, "Stream idle timeout"),
        ("sigterm", Failed, "ended with exit status 143 without a result"),
        ("sigterm-partial", Failed, "ended with exit status 143 without a result"),
        ("control-interrupt", Failed, "was interrupted"),
        // Wrong use: standard output stays empty.
        ("err-resume-unknown", Failed, "No conversation found"),
        ("err-resume-unknown-json", Failed, "exit status 1 and wrote no event: No conversation found"),
        ("err-session-id-in-use", Failed, "wrote no event: Error: Session ID"),
        ("err-no-prompt", Failed, "wrote no event: Error: Input must be provided"),
        ("err-no-verbose", Failed, "wrote no event: Error: When using --print"),
        ("err-bad-schema", Failed, "wrote no event: Error: --json-schema is not a valid JSON Schema"),
        ("err-stdin-too-big", Failed, "wrote no event: Error: piped stdin input exceeds 10MB"),
    ];

    struct Replay {
        outcome: Result<EngineReport, EngineError>,
        events: Vec<Progress>,
        stopped: bool,
    }

    fn replay(stdout: &[u8], end: End, stderr: &str) -> Replay {
        let mut stream = Stream::new(Path::new("/repo"), None);
        let mut events = Vec::new();
        let stopped = stdout
            .split(|byte| *byte == b'\n')
            .any(|line| stream.line(line, &mut |event| events.push(event)).is_break());
        let end = if stopped { End::Stopped } else { end };
        Replay { outcome: stream.outcome(end, stderr, NOW), events, stopped }
    }

    fn recordings() -> Vec<Value> {
        let index = fs::read_to_string(format!("{TRANSCRIPTS}/index.json")).unwrap();
        let index: Value = serde_json::from_str(&index).unwrap();
        index["runs"].as_array().unwrap().clone()
    }

    fn stdout_of(run: &Value) -> Vec<u8> {
        match run["stdout_file"].as_str() {
            Some(file) => fs::read(format!("{TRANSCRIPTS}/{file}")).unwrap(),
            None => Vec::new(),
        }
    }

    fn replay_named(name: &str) -> Replay {
        let run = recordings().into_iter().find(|run| run["name"] == name).unwrap();
        let end = End::Exited(run["exit_code"].as_i64().unwrap() as i32);
        replay(&stdout_of(&run), end, run["stderr"].as_str().unwrap())
    }

    fn kind(outcome: &Result<EngineReport, EngineError>) -> Kind {
        match outcome {
            Ok(report) => Kind::Ok(report.drafts.len()),
            Err(error) => match error.kind {
                ErrorKind::Deferred { .. } => Deferred,
                ErrorKind::Unauthenticated => Unauthenticated,
                ErrorKind::Failed => Failed,
            },
        }
    }

    #[test]
    fn every_recording_comes_to_the_right_outcome() {
        let recorded: BTreeSet<_> = recordings().iter().map(|run| run["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(recorded, RECORDED.iter().map(|(name, ..)| (*name).to_owned()).collect());
        for (name, expected, words) in RECORDED {
            let outcome = replay_named(name).outcome;
            let cause = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
            assert_eq!(kind(&outcome), *expected, "{name}: {cause}");
            assert!(cause.contains(words), "{name}: {cause}");
        }
    }

    /// The same recordings, cut short or with another exit status, as a crash would leave them.
    #[test]
    fn a_success_that_is_damaged_is_no_success() {
        let run = recordings().into_iter().find(|run| run["name"] == "success-structured").unwrap();
        let whole = stdout_of(&run);
        assert!(replay(&whole, End::Exited(0), "").outcome.is_ok());
        for length in (0..whole.len() - 2).step_by(97) {
            let outcome = replay(&whole[..length], End::Exited(0), "").outcome;
            assert_eq!(kind(&outcome), Failed, "cut after {length} bytes");
        }
        let limit = std::time::Duration::from_secs(1);
        for end in [
            End::Exited(1),
            End::Exited(143),
            End::Signalled(9),
            End::Overdue(crate::engine::process::Deadline::Idle, limit),
            End::TooMuchOutput(1),
            End::Stopped,
        ] {
            assert_eq!(kind(&replay(&whole, end, "").outcome), Failed, "{end}");
        }
    }

    #[test]
    fn a_success_tells_what_it_took() {
        let Replay { outcome, events, stopped } = replay_named("success-structured");
        let report = outcome.unwrap();
        assert!(!stopped);
        assert_eq!(
            report.used,
            EngineUsed {
                name: "claude".to_owned(),
                version: Some("2.1.330".to_owned()),
                digest: None,
                model: Some("claude-sonnet-5-5".to_owned()),
                turns: Some(4),
                input_tokens: Some(6900),
                output_tokens: Some(250),
                cost_usd: Some(0.0142),
                session: None,
            }
        );
        assert_eq!(report.summary.as_deref(), Some("One definite panic on start-up."));
        assert_eq!((report.drafts[0].path.as_str(), report.drafts[0].start_line), ("src/main.rs", Some(3)));
        let tool = |name: &str, target: &str| Progress::Tool { name: name.to_owned(), target: target.to_owned() };
        assert_eq!(
            events,
            [
                Progress::Started {
                    engine: "claude".to_owned(),
                    version: Some("2.1.330".to_owned()),
                    model: Some("claude-sonnet-5-5".to_owned()),
                },
                tool("Read", "src/main.rs"),
                tool("Grep", "v\\["),
            ]
        );
    }

    #[test]
    fn what_a_failure_has_used_is_told() {
        let used = |name: &str| *replay_named(name).outcome.unwrap_err().used.unwrap();
        let budget = used("max-budget");
        assert_eq!((budget.turns, budget.cost_usd), (Some(1), Some(0.22)));
        assert_eq!((budget.input_tokens, budget.output_tokens), (Some(100_000), Some(2000)));
        let nothing = used("err-529").cost_usd.unwrap();
        assert!(nothing == 0.0 && nothing.is_sign_positive());

        // The second run of a session, without what the first one cost.
        let resumed = replay_named("resume-2-second").outcome.unwrap().used;
        assert_eq!(
            (resumed.input_tokens, resumed.output_tokens, resumed.cost_usd),
            (Some(100), Some(20), Some(0.0004))
        );

        // Ended before it named a price: the tokens of the answers that had begun.
        let run = recordings().into_iter().find(|run| run["name"] == "success-structured-partial").unwrap();
        let whole = stdout_of(&run);
        let lines: Vec<_> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let result =
            lines.iter().position(|line| str::from_utf8(line).unwrap().contains("\"total_cost_usd\"")).unwrap();
        let cut = replay(&lines[..result].concat(), End::Signalled(9), "").outcome.unwrap_err().used.unwrap();
        let all = replay(&whole, End::Exited(0), "").outcome.unwrap().used;
        assert_eq!((cut.input_tokens, cut.output_tokens), (all.input_tokens, all.output_tokens));
        assert_eq!((cut.turns, cut.cost_usd, cut.model), (Some(2), None, all.model));
        let begun = used("sigterm-partial");
        assert_eq!((begun.turns, begun.input_tokens, begun.output_tokens), (Some(1), Some(100), Some(1)));
        assert_eq!(used("sigterm").turns, None);
    }

    #[test]
    fn it_is_told_when_the_session_is_to_blame() {
        let blamed: Vec<(String, Trouble)> = recordings()
            .iter()
            .filter_map(|run| {
                let mut stream = Stream::new(Path::new("/repo"), None);
                let lines = stdout_of(run);
                let stopped = lines.split(|byte| *byte == b'\n').any(|line| stream.line(line, &mut |_| ()).is_break());
                let end = if stopped { End::Stopped } else { End::Exited(run["exit_code"].as_i64()? as i32) };
                let trouble = stream.trouble(end, run["stderr"].as_str()?)?;
                Some((run["name"].as_str()?.to_owned(), trouble))
            })
            .collect();
        let lost = |name: &str, how| (name.to_owned(), Trouble::Lost(how));
        let opened = "could not be opened";
        let expected = [
            lost("err-400-prompt-too-long", "has grown too long for the model"),
            lost("err-400", "was refused by the API"),
            lost("err-413", "has grown too long for the model"),
            lost("err-resume-unknown", "is not there any more"),
            lost("err-resume-unknown-json", opened),
            ("err-session-id-in-use".to_owned(), Trouble::Taken),
            lost("err-no-prompt", opened),
            lost("err-no-verbose", opened),
            lost("err-bad-schema", opened),
            lost("err-stdin-too-big", opened),
        ];
        let sorted = |mut list: Vec<(String, Trouble)>| {
            list.sort_by(|a, b| a.0.cmp(&b.0));
            list
        };
        assert_eq!(sorted(blamed), sorted(expected.into()));
    }

    #[test]
    fn a_refused_key_stops_it_at_the_first_retry() {
        let Replay { outcome, events, stopped } = replay_named("err-401");
        assert!(stopped);
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "the key was refused: the API answered 401 (authentication_failed)"
        );
        assert_eq!(events.len(), 1, "{events:?}");
    }

    #[test]
    fn waiting_for_the_api_is_told() {
        let events = replay_named("err-529").events;
        assert_eq!(
            events[1],
            Progress::Waiting { reason: "the API answered 529 (overloaded)".to_owned(), retry_ms: 561 }
        );
    }

    #[test]
    fn what_lies_outside_keeps_its_path() {
        let targets: Vec<_> = replay_named("tool-denied")
            .events
            .into_iter()
            .filter_map(|event| match event {
                Progress::Tool { name, target } => Some(format!("{name} {target}")),
                _ => None,
            })
            .collect();
        assert_eq!(
            targets,
            ["Read /etc/passwd", "Read link_out", "Read .git/config", "Bash ", "Read /proc/self/environ"]
        );
    }

    fn result(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut result = json!({
            "type": "result", "subtype": "success", "is_error": false, "num_turns": 1, "result": "{}",
            "structured_output": {"summary": "s", "findings": []},
        });
        change(&mut result);
        result.to_string().into_bytes()
    }

    fn finish(stdout: &[u8]) -> Result<EngineReport, EngineError> {
        replay(stdout, End::Exited(if stdout.is_empty() { 1 } else { 0 }), "").outcome
    }

    #[test]
    fn only_a_whole_answer_counts() {
        assert_eq!(kind(&finish(&result(|_| ()))), Kind::Ok(0));
        let finding = json!({"path": "a", "severity": "low", "category": "other", "title": "t", "explanation": "e"});
        let answer = |findings: Value| finish(&result(|result| result["structured_output"]["findings"] = findings));
        assert_eq!(kind(&answer(json!([finding]))), Kind::Ok(1));
        let mixed = answer(json!([finding, {"path": "b"}])).unwrap();
        assert_eq!(mixed.drafts.len(), 1);
        assert!(mixed.notes[0].starts_with("1 of 2 findings malformed and dropped"), "{:?}", mixed.notes);
        for findings in [json!(null), json!("none"), json!({}), json!([{"path": "b"}])] {
            assert_eq!(kind(&answer(findings.clone())), Failed, "{findings}");
        }
        for answer in [json!(null), json!("fine"), json!([]), json!({})] {
            let outcome = finish(&result(|result| result["structured_output"] = answer.clone()));
            assert_eq!(kind(&outcome), Failed, "{answer}");
        }
        for is_error in [json!(null), json!(true), json!("false"), json!(0)] {
            let outcome = finish(&result(|result| result["is_error"] = is_error.clone()));
            assert_eq!(kind(&outcome), Failed, "{is_error}");
        }
        let empty = finish(&result(|result| {
            result["structured_output"] = Value::Null;
            result["result"] = json!("");
        }));
        assert_eq!(empty.unwrap_err().to_string(), "the model's answer was empty");
    }

    #[test]
    fn garbage_beside_a_whole_answer_is_told_of() {
        let mut stdout = b"not json\n[1]\n{\"type\":\"from the future\"}\n".to_vec();
        stdout.extend(result(|_| ()));
        let notes = finish(&stdout).unwrap().notes;
        assert_eq!(notes, ["2 of 4 lines of Claude Code's output were no events"]);
        assert_eq!(
            finish(b"\xff\xfe\ngarbage\n").unwrap_err().to_string(),
            "Claude Code ended with exit status 0 without a result (nothing it wrote was an event)"
        );
    }

    #[test]
    fn denied_tools_are_counted() {
        let notes = finish(&result(|result| result["permission_denials"] = json!([{}, {}]))).unwrap().notes;
        assert_eq!(notes, ["2 uses of tools were denied to Claude Code"]);
    }

    #[test]
    fn a_named_time_is_passed_on() {
        let limit = |said: &str| {
            result(|result| {
                result["is_error"] = json!(true);
                result["result"] = json!(said);
            })
        };
        let retry_after = |outcome| match outcome {
            Err(EngineError { kind: ErrorKind::Deferred { retry_after }, .. }) => retry_after,
            other => panic!("not deferred: {other:?}"),
        };
        assert_eq!(retry_after(finish(&limit("Claude AI usage limit reached|1800000600"))), Some(600));
        assert_eq!(retry_after(finish(&limit("Claude AI usage limit reached|1799999999"))), Some(0));
        assert_eq!(retry_after(finish(&limit("Claude AI usage limit reached"))), None);
        assert_eq!(retry_after(finish(&limit("usage limit | ürgendwann 1"))), None);

        let mut stdout = json!({"type": "rate_limit_event",
            "rate_limit_info": {"status": "rejected", "resetsAt": 1_800_003_600}})
        .to_string()
        .into_bytes();
        stdout.push(b'\n');
        stdout.extend(limit("You've hit your limit"));
        assert_eq!(retry_after(finish(&stdout)), Some(3600));
    }

    #[test]
    fn overdue_while_the_api_is_overloaded_is_deferred() {
        let retry = |status: Value| {
            json!({"type": "system", "subtype": "api_retry", "error_status": status, "error": "e", "retry_delay_ms": 5})
                .to_string()
                .into_bytes()
        };
        let overdue = End::Overdue(crate::engine::process::Deadline::Total, std::time::Duration::from_secs(9));
        assert_eq!(kind(&replay(&retry(json!(529)), overdue, "").outcome), Deferred);
        let end = replay(&retry(json!(null)), overdue, "").outcome.unwrap_err();
        assert_eq!(
            end.to_string(),
            "Claude Code was not done after 9s and was ended without a result while it waited for its API: the API did not answer"
        );
        // Once the model has answered, the overload is over.
        let mut stdout = retry(json!(529));
        stdout.extend(b"\n{\"type\":\"assistant\",\"message\":{\"content\":[]}}\n");
        assert_eq!(kind(&replay(&stdout, overdue, "").outcome), Failed);
    }

    proptest::proptest! {
        /// Whatever is written, there is no panic, and nothing without a whole answer is a success.
        #[test]
        fn arbitrary_lines_are_survived(lines in proptest::collection::vec("\\PC{0,60}", 0..8), code in 0..3) {
            let outcome = replay(lines.join("\n").as_bytes(), End::Exited(code), "").outcome;
            proptest::prop_assert_eq!(kind(&outcome), Failed);
        }
    }
}
