//! Keeps the engine's key out of everything that leaves the cage. The last net: nothing should put it there.

use std::sync::LazyLock;

use regex::Regex;

use super::{EngineError, EngineReport, Progress, Unseen};
use crate::finding::Draft;
use crate::review::EngineUsed;

/// Anything that looks like a key of Anthropic's, whoever it belongs to.
static ANTHROPIC: LazyLock<Regex> = LazyLock::new(|| Regex::new("sk-ant-[A-Za-z0-9_-]+").expect("a constant pattern"));

/// Shorter than this a "key" is part of ordinary words, and no key.
const SHORTEST: usize = 6;

pub struct Redactor {
    secret: Option<String>,
}

impl Redactor {
    pub fn new(secret: Option<&str>) -> Self {
        let secret = secret.map(str::trim).filter(|secret| secret.len() >= SHORTEST);
        Redactor { secret: secret.map(str::to_owned) }
    }

    pub fn text(&self, text: &str) -> String {
        let without = match &self.secret {
            Some(secret) => text.replace(secret, "[redacted]"),
            None => text.to_owned(),
        };
        ANTHROPIC.replace_all(&without, "[redacted]").into_owned()
    }

    pub fn progress(&self, progress: Progress) -> Progress {
        match progress {
            Progress::Started { engine, version, model } => {
                Progress::Started { engine, version: self.maybe(version), model: self.maybe(model) }
            }
            Progress::Tool { name, target } => Progress::Tool { name: self.text(&name), target: self.text(&target) },
            Progress::Waiting { reason, retry_ms } => Progress::Waiting { reason: self.text(&reason), retry_ms },
            Progress::Note { text } => Progress::Note { text: self.text(&text) },
        }
    }

    pub fn error(&self, error: EngineError) -> EngineError {
        let EngineError { kind, cause, used } = error;
        EngineError { kind, cause: self.text(&cause), used: used.map(|used| Box::new(self.used(*used))) }
    }

    pub fn report(&self, report: EngineReport) -> EngineReport {
        let EngineReport { used, summary, drafts, notes, incomplete, unseen } = report;
        let unseen = unseen.into_iter().map(|Unseen { path, reason }| Unseen { path, reason: self.text(&reason) });
        EngineReport {
            used: self.used(used),
            summary: self.maybe(summary),
            drafts: drafts.into_iter().map(|draft| self.draft(draft)).collect(),
            notes: notes.iter().map(|note| self.text(note)).collect(),
            incomplete: self.maybe(incomplete),
            unseen: unseen.collect(),
        }
    }

    fn used(&self, used: EngineUsed) -> EngineUsed {
        let EngineUsed { name, version, digest, model, turns, input_tokens, output_tokens, cost_usd, session } = used;
        EngineUsed {
            name,
            version: self.maybe(version),
            digest: self.maybe(digest),
            model: self.maybe(model),
            turns,
            input_tokens,
            output_tokens,
            cost_usd,
            session,
        }
    }

    fn draft(&self, draft: Draft) -> Draft {
        let Draft { path, start_line, end_line, severity, category, title, explanation, suggestion, confidence, rule } =
            draft;
        Draft {
            path: self.text(&path),
            start_line,
            end_line,
            severity,
            category,
            title: self.text(&title),
            explanation: self.text(&explanation),
            suggestion: self.maybe(suggestion),
            confidence,
            rule: self.maybe(rule),
        }
    }

    fn maybe(&self, text: Option<String>) -> Option<String> {
        text.map(|text| self.text(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_key_and_what_looks_like_one() {
        let redactor = Redactor::new(Some("canary-4711\n"));
        assert_eq!(
            redactor.text("key canary-4711, other sk-ant-api03-AbC_d-9, done"),
            "key [redacted], other [redacted], done"
        );
        assert_eq!(Redactor::new(None).text("plain"), "plain");
    }

    #[test]
    fn an_empty_key_replaces_nothing() {
        assert_eq!(Redactor::new(Some("")).text("abc"), "abc");
        assert_eq!(Redactor::new(Some("a")).text("abc"), "abc");
    }
}
