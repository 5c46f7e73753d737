//! Reviewdog's diagnostic format.
//!
//! The format has no place for an outcome, and a list without diagnostics reads as a pass; so a change that was not
//! wholly reviewed is a diagnostic of its own, and an error. Reviewdog posts messages as Markdown.

use serde_json::{Value, json};

use super::{json, markdown};
use crate::finding::{Finding, Lines, Severity};
use crate::review::{Outcome, Review};

pub fn render(review: &Review) -> String {
    let mut diagnostics: Vec<Value> = review.findings.iter().map(diagnostic).collect();
    if review.outcome != Outcome::Reviewed {
        diagnostics.insert(0, unfinished(review));
    }
    json::pretty(&json!({ "source": { "name": "cicdctl" }, "diagnostics": diagnostics }))
}

fn diagnostic(finding: &Finding) -> Value {
    let mut message = markdown::inline(&finding.title);
    if !finding.explanation.is_empty() {
        message.push_str(&format!("\n\n{}", markdown::prose(&finding.explanation)));
    }
    let mut diagnostic = json!({
        "message": message,
        "location": { "path": finding.path },
        "severity": severity(finding.severity),
        "code": { "value": finding.rule.as_deref().unwrap_or(finding.category.as_str()) },
    });
    if let Some(lines) = finding.lines {
        diagnostic["location"]["range"] = range(lines);
        if let Some(suggestion) = &finding.suggestion {
            diagnostic["suggestions"] = json!([{ "range": range(lines), "text": suggestion }]);
        }
    }
    diagnostic
}

fn unfinished(review: &Review) -> Value {
    let message = format!("{}: {}", super::standing(review.outcome), super::reason(review));
    let path = review.receipt.missed().next().map_or("", |file| file.path.as_str());
    json!({
        "message": markdown::inline(&message),
        "location": { "path": path },
        "severity": "ERROR",
        "code": { "value": review.outcome.as_str() },
    })
}

/// Without columns, so both lines are meant as a whole.
fn range(lines: Lines) -> Value {
    json!({ "start": { "line": lines.start }, "end": { "line": lines.end } })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "ERROR",
        Severity::Medium => "WARNING",
        Severity::Low | Severity::Info => "INFO",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_clean_review_has_no_diagnostics() {
        assert_eq!(
            render(&sample::clean()),
            "{\n  \"diagnostics\": [],\n  \"source\": {\n    \"name\": \"cicdctl\"\n  }\n}\n"
        );
    }

    #[test]
    fn a_review_with_findings() {
        let rendered: Value = serde_json::from_str(&render(&sample::typical())).unwrap();
        assert_eq!(
            rendered["diagnostics"],
            json!([
                {
                    "message": "not wholly reviewed (partial): 1 of 4 files was not seen: `src/big.rs` (over the budget)",
                    "location": { "path": "src/big.rs" },
                    "severity": "ERROR",
                    "code": { "value": "partial" },
                },
                {
                    "message": "password compared with `==`\n\nThe comparison ends at the first byte that differs, so \
                                its time tells how much of the password was right.\n\n- measure\n- repeat",
                    "location": {
                        "path": "src/auth.rs",
                        "range": { "start": { "line": 12 }, "end": { "line": 13 } },
                    },
                    "severity": "ERROR",
                    "code": { "value": "security" },
                    "suggestions": [{
                        "range": { "start": { "line": 12 }, "end": { "line": 13 } },
                        "text": "    if constant_time_eq(given, stored) {\n        grant();",
                    }],
                },
                {
                    "message": "token written to the log\n\nWhoever reads the log can log in.",
                    "location": {
                        "path": "src/auth.rs",
                        "range": { "start": { "line": 40 }, "end": { "line": 40 } },
                    },
                    "severity": "WARNING",
                    "code": { "value": "secret-in-log" },
                },
                {
                    "message": "no test covers this file",
                    "location": { "path": "src/new file.rs" },
                    "severity": "INFO",
                    "code": { "value": "testing" },
                },
            ])
        );
    }

    #[test]
    fn a_failure_is_an_error() {
        let rendered: Value = serde_json::from_str(&render(&sample::failed())).unwrap();
        assert_eq!(
            rendered["diagnostics"],
            json!([{
                "message": "not reviewed (failed): the engine ended with signal 9",
                "location": { "path": "" },
                "severity": "ERROR",
                "code": { "value": "failed" },
            }])
        );
    }

    #[test]
    fn hostile_content_calls_no_one() {
        let rendered = render(&sample::hostile());
        assert!(!rendered.contains(|c| c != '\n' && crate::plain::is_hidden(c)));
        let message = serde_json::from_str::<Value>(&rendered).unwrap()["diagnostics"][1]["message"].to_string();
        assert!(message.starts_with("\"a | b `c|d` \\\\\\\\| &lt;img&gt; @&#8203;alice !\\\\[x\\\\](y)"), "{message}");
    }
}
