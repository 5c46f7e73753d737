//! The second look: which findings are looked at again, and what comes of it. Pure.
//!
//! A wrong finding of high severity costs more trust than a right one wins, so each of them is given to a second run that
//! does not know how the first came to it, and must try to refute it in the code. The second run reads the same hostile
//! change as the first, so it can only take away: it adds nothing, raises nothing, and whatever it takes is named in the
//! receipt. What it does not speak of, or speaks of in two ways, stays as it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::diff::Diff;
use crate::engine::drafts::shorten;
use crate::finding::{Draft, Severity};

/// From here on a finding is looked at twice.
const FROM: Severity = Severity::High;
/// How many are looked at, the gravest: each takes turns, and more than these is noise that no second look mends.
const MAX_SUSPECTS: usize = 20;

/// A finding as the second run is shown it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect<'a> {
    pub id: String,
    pub path: &'a str,
    pub start_line: Option<u32>,
    pub end_line: Option<u32>,
    pub severity: Severity,
    pub title: &'a str,
    pub explanation: &'a str,
    /// Its place in the list of drafts.
    #[serde(skip)]
    index: usize,
}

/// The findings that deserve a second look: grave ones in files that the second run can be shown.
pub fn suspects<'a>(drafts: &'a [Draft], diff: &Diff) -> Vec<Suspect<'a>> {
    let shown = |draft: &Draft| diff.files.iter().any(|file| file.path == draft.path);
    let mut grave: Vec<_> =
        drafts.iter().enumerate().filter(|(_, draft)| draft.severity >= FROM && shown(draft)).collect();
    grave.sort_by_key(|(_, draft)| std::cmp::Reverse(draft.severity));
    grave.truncate(MAX_SUSPECTS);
    grave
        .into_iter()
        .enumerate()
        .map(|(number, (index, draft))| Suspect {
            id: format!("F{}", number + 1),
            path: &draft.path,
            start_line: draft.start_line,
            end_line: draft.end_line,
            severity: draft.severity,
            title: &draft.title,
            explanation: &draft.explanation,
            index,
        })
        .collect()
}

/// What an answer must look like.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "verdicts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string", "minLength": 1},
                        "verdict": {"type": "string", "enum": ["confirmed", "refuted", "unsure"]},
                        "reason": {"type": "string"},
                        "severity": {"type": "string", "enum": Severity::ALL.map(Severity::as_str)}
                    },
                    "required": ["id", "verdict", "reason"],
                    "additionalProperties": false
                }
            }
        },
        "required": ["verdicts"],
        "additionalProperties": false
    })
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Opinion {
    id: String,
    verdict: Verdict,
    reason: String,
    #[serde(default)]
    severity: Option<Severity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Confirmed,
    Refuted,
    Unsure,
}

/// What the second look decided.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    /// Places of drafts that are dropped, and what the others' severities are now.
    refuted: Vec<usize>,
    lowered: Vec<(usize, Severity)>,
    pub notes: Vec<String>,
}

impl Decision {
    pub fn apply(self, drafts: &mut Vec<Draft>) -> Vec<String> {
        for (index, severity) in self.lowered {
            drafts[index].severity = severity;
        }
        let mut index = 0;
        drafts.retain(|_| {
            index += 1;
            !self.refuted.contains(&(index - 1))
        });
        self.notes
    }
}

/// An answer → what is to be done; `Err` where it is no answer at all.
pub fn decide(suspects: &[Suspect<'_>], answer: &Value) -> Result<Decision, String> {
    let Value::Array(verdicts) = &answer["verdicts"] else {
        return Err("it answered without a list of verdicts".to_owned());
    };
    let mut said: BTreeMap<String, Vec<Opinion>> = BTreeMap::new();
    for opinion in verdicts.iter().filter_map(|value| Opinion::deserialize(value).ok()) {
        said.entry(opinion.id.clone()).or_default().push(opinion);
    }
    let mut decision = Decision::default();
    let mut unheard = 0;
    for suspect in suspects {
        let Some([opinion]) = said.get(&suspect.id).map(Vec::as_slice) else {
            unheard += 1;
            continue;
        };
        let reason = shorten(&opinion.reason, 300);
        let what = what(suspect);
        // Without a reason there is no evidence, so it is not refuted.
        let verdict =
            if reason.is_empty() && opinion.verdict == Verdict::Refuted { Verdict::Unsure } else { opinion.verdict };
        let reason = if reason.is_empty() { "it gave no reason".to_owned() } else { reason };
        if verdict == Verdict::Refuted {
            decision.refuted.push(suspect.index);
            decision.notes.push(format!("a second look refuted {what}: {reason}"));
            continue;
        }
        // Severity and not confidence: it decides on place, number and floor, so only it makes the doubt felt.
        let doubted = if verdict == Verdict::Unsure { one_less(suspect.severity) } else { suspect.severity };
        let severity = opinion.severity.unwrap_or(doubted).min(doubted);
        if severity < suspect.severity {
            let how = if verdict == Verdict::Unsure { "could not confirm" } else { "lowered" };
            decision.lowered.push((suspect.index, severity));
            decision.notes.push(format!("a second look {how} {what}, now {severity}: {reason}"));
        }
    }
    if unheard > 0 {
        let all = suspects.len();
        decision.notes.push(format!("a second look gave no single verdict on {unheard} of {all} findings: they stay"));
    }
    Ok(decision)
}

fn what(suspect: &Suspect<'_>) -> String {
    let line = suspect.start_line.map_or(String::new(), |line| format!(":{line}"));
    format!("`{}` ({} in {}{line})", shorten(suspect.title, 120), suspect.severity, shorten(suspect.path, 200))
}

fn one_less(severity: Severity) -> Severity {
    match severity {
        Severity::Critical => Severity::High,
        Severity::High => Severity::Medium,
        Severity::Medium => Severity::Low,
        Severity::Low | Severity::Info => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::bundle;

    fn draft(title: &str, severity: Severity) -> Draft {
        serde_json::from_value(json!({"path": "src/main.rs", "start_line": 3, "severity": severity,
            "category": "correctness", "title": title, "explanation": "e"}))
        .unwrap()
    }

    fn drafts() -> Vec<Draft> {
        let mut stray = draft("stray", Severity::Critical);
        stray.path = "src/elsewhere.rs".to_owned();
        vec![
            draft("low", Severity::Low),
            draft("high", Severity::High),
            stray,
            draft("critical", Severity::Critical),
            draft("other", Severity::High),
        ]
    }

    /// Titles and severities after a second look that answered `verdicts`, and its notes.
    fn after(verdicts: &Value) -> (Vec<String>, Vec<String>) {
        let mut drafts = drafts();
        let decision = {
            let suspects = suspects(&drafts, &bundle().diff);
            decide(&suspects, &json!({"verdicts": verdicts})).unwrap()
        };
        let notes = decision.apply(&mut drafts);
        (drafts.iter().map(|draft| format!("{} {}", draft.title, draft.severity)).collect(), notes)
    }

    const BEFORE: [&str; 5] = ["low low", "high high", "stray critical", "critical critical", "other high"];

    #[test]
    fn grave_findings_in_the_diff_are_looked_at_the_gravest_first() {
        let drafts = drafts();
        let suspects = suspects(&drafts, &bundle().diff);
        let named: Vec<_> = suspects.iter().map(|suspect| format!("{} {}", suspect.id, suspect.title)).collect();
        assert_eq!(named, ["F1 critical", "F2 high", "F3 other"]);
        let many = vec![draft("many", Severity::High); 50];
        assert_eq!(super::suspects(&many, &bundle().diff).len(), MAX_SUSPECTS);
    }

    #[test]
    fn refuted_ones_go_and_are_named() {
        let (drafts, notes) = after(&json!([
            {"id": "F1", "verdict": "refuted", "reason": "src/main.rs:2 checks it."},
            {"id": "F2", "verdict": "confirmed", "reason": "yes"},
            {"id": "F3", "verdict": "confirmed", "reason": "yes"},
        ]));
        assert_eq!(drafts, ["low low", "high high", "stray critical", "other high"]);
        assert_eq!(notes, ["a second look refuted `critical` (critical in src/main.rs:3): src/main.rs:2 checks it."]);
    }

    #[test]
    fn doubt_and_less_harm_lower_and_nothing_raises() {
        let (drafts, notes) = after(&json!([
            {"id": "F1", "verdict": "unsure", "reason": "depends on the proxy"},
            {"id": "F2", "verdict": "confirmed", "reason": "yes", "severity": "critical"},
            {"id": "F3", "verdict": "confirmed", "reason": "only in tests", "severity": "low"},
        ]));
        assert_eq!(drafts, ["low low", "high high", "stray critical", "critical high", "other low"]);
        assert_eq!(
            notes,
            [
                "a second look could not confirm `critical` (critical in src/main.rs:3), now high: depends on the proxy",
                "a second look lowered `other` (high in src/main.rs:3), now low: only in tests",
            ]
        );
        let (drafts, _) = after(&json!([{"id": "F1", "verdict": "unsure", "reason": "r", "severity": "critical"}]));
        assert_eq!(drafts[3], "critical high");
        let (drafts, _) = after(&json!([{"id": "F1", "verdict": "unsure", "reason": "r", "severity": "info"}]));
        assert_eq!(drafts[3], "critical info");
    }

    #[test]
    fn it_is_not_fooled() {
        // Ids that do not exist, findings that are not spoken of, contradictions, garbage.
        let (drafts, notes) = after(&json!([
            {"id": "F4", "verdict": "refuted", "reason": "r"},
            {"id": "low", "verdict": "refuted", "reason": "r"},
            {"id": "F2", "verdict": "refuted", "reason": "r"},
            {"id": "F2", "verdict": "confirmed", "reason": "r"},
            {"id": "F3", "verdict": "dismissed", "reason": "r"},
            "F1", null, 7, {"verdict": "refuted", "reason": "r"},
        ]));
        assert_eq!(drafts, BEFORE);
        assert_eq!(notes, ["a second look gave no single verdict on 3 of 3 findings: they stay"]);
        // Without a reason there is no refutation.
        let (drafts, notes) = after(&json!([{"id": "F1", "verdict": "refuted", "reason": " \n"}]));
        assert_eq!(drafts[3], "critical high");
        assert!(notes[0].ends_with("now high: it gave no reason"), "{notes:?}");
        for answer in [json!(null), json!({}), json!({"verdicts": "all refuted"})] {
            assert!(decide(&[], &answer).is_err());
        }
    }
}
