//! SARIF 2.1.0, as code scanning and editors read it.
//!
//! The outcome is that of the invocation: only `reviewed` is a successful execution, anything else is a notification
//! with its reason and one for each file that was not seen.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json;
use crate::finding::{Category, Finding, Lines, Severity};
use crate::plain;
use crate::review::{Outcome, Review};

const SOURCE_ROOT: &str = "%SRCROOT%";
/// Notifications of files that were not seen; the first of all counts the rest.
const MAX_MISSED: usize = 100;

pub fn render(review: &Review) -> String {
    let rules = rules(review);
    let indices: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(index, id)| (*id, index)).collect();
    let results: Vec<Value> =
        review.findings.iter().map(|finding| result(finding, indices[rule_id(finding)])).collect();
    json::pretty(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cicdctl",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_iter().map(|(id, findings)| rule(id, &findings)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { SOURCE_ROOT: { "description": { "text": "The root of the repository." } } },
            "invocations": [{
                "executionSuccessful": review.outcome == Outcome::Reviewed,
                "toolExecutionNotifications": notifications(review),
            }],
            "results": results,
            "properties": {
                "job": review.job,
                "outcome": review.outcome,
                "reason": review.reason,
                "base": review.receipt.base_sha,
                "head": review.receipt.head_sha,
                "engine": review.receipt.engine.as_ref().map(super::engine),
                "files": review.receipt.files,
            },
        }],
    }))
}

/// The findings by rule; what has no rule of its own goes by its category.
fn rules(review: &Review) -> BTreeMap<&str, Vec<&Finding>> {
    let mut rules: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &review.findings {
        rules.entry(rule_id(finding)).or_default().push(finding);
    }
    rules
}

fn rule_id(finding: &Finding) -> &str {
    finding.rule.as_deref().unwrap_or(finding.category.as_str())
}

fn rule(id: &str, findings: &[&Finding]) -> Value {
    let text = match findings[0].rule {
        Some(_) => findings[0].title.clone(),
        None => format!("a fault of {}", findings[0].category),
    };
    let mut tags: Vec<&str> = findings.iter().map(|finding| finding.category.as_str()).collect();
    tags.sort_unstable();
    tags.dedup();
    let mut rule = json!({
        "id": id,
        "shortDescription": { "text": unlinked(&text) },
        "properties": { "tags": tags },
    });
    let gravest =
        findings.iter().filter(|finding| finding.category == Category::Security).map(|finding| finding.severity);
    if let Some(severity) = gravest.max() {
        rule["properties"]["security-severity"] = json!(security_severity(severity));
    }
    rule
}

fn result(finding: &Finding, rule_index: usize) -> Value {
    let mut message = finding.title.clone();
    if !finding.explanation.is_empty() {
        message.push_str(&format!("\n\n{}", finding.explanation));
    }
    let mut physical = json!({ "artifactLocation": artifact(&finding.path) });
    if let Some(lines) = finding.lines {
        physical["region"] = region(lines);
        if let Some(excerpt) = super::replaced(finding) {
            let text: String = excerpt.iter().map(|line| format!("{}\n", line.text)).collect();
            physical["region"]["snippet"] = json!({ "text": text });
        }
    }
    let mut result = json!({
        "ruleId": rule_id(finding),
        "ruleIndex": rule_index,
        "level": level(finding.severity),
        "message": { "text": unlinked(&message) },
        "locations": [{ "physicalLocation": physical }],
        "partialFingerprints": { "cicdctlFingerprint/v1": finding.fingerprint },
        "rank": (finding.confidence * 1000.0).round() / 10.0,
        "properties": { "severity": finding.severity, "category": finding.category },
    });
    if finding.category == Category::Security {
        result["properties"]["security-severity"] = json!(security_severity(finding.severity));
    }
    if let (Some(lines), Some(suggestion)) = (finding.lines, &finding.suggestion) {
        result["fixes"] = json!([{
            "description": { "text": "Replace these lines." },
            "artifactChanges": [{
                "artifactLocation": artifact(&finding.path),
                "replacements": [replacement(lines, suggestion)],
            }],
        }]);
    }
    result
}

/// A region without columns ends before the newline of its last line; only to delete lines it must reach beyond.
fn replacement(lines: Lines, suggestion: &str) -> Value {
    if suggestion.is_empty() {
        let mut region = region(Lines { end: lines.end.saturating_add(1), ..lines });
        region["startColumn"] = json!(1);
        region["endColumn"] = json!(1);
        return json!({ "deletedRegion": region });
    }
    json!({ "deletedRegion": region(lines), "insertedContent": { "text": suggestion } })
}

fn region(lines: Lines) -> Value {
    json!({ "startLine": lines.start, "endLine": lines.end })
}

fn notifications(review: &Review) -> Vec<Value> {
    let mut notifications = Vec::new();
    if review.outcome != Outcome::Reviewed {
        let text = format!("{}: {}", super::standing(review.outcome), super::reason(review));
        notifications.push(json!({
            "level": "error",
            "message": { "text": unlinked(&text) },
            "descriptor": { "id": review.outcome },
        }));
    }
    for file in review.receipt.missed().take(MAX_MISSED) {
        notifications.push(json!({
            "level": "warning",
            "message": { "text": "not seen" },
            "descriptor": { "id": "not-seen" },
            "locations": [{ "physicalLocation": { "artifactLocation": artifact(&file.path) } }],
        }));
    }
    for note in &review.receipt.notes {
        let text = unlinked(&plain::one_line(note, 1000));
        notifications.push(json!({ "level": "note", "message": { "text": text }, "descriptor": { "id": "note" } }));
    }
    notifications
}

fn artifact(path: &str) -> Value {
    json!({ "uri": encoded(path), "uriBaseId": SOURCE_ROOT })
}

/// A path as a relative reference of RFC 3986.
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// In a message `[words](target)` is a link; a blank between makes it words.
fn unlinked(text: &str) -> String {
    plain::prose(text, usize::MAX).replace("](", "] (")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// A score in the middle of the band that code scanning gives the same name (over 9.0, 7.0, 4.0, 0).
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Info => "0.0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn run(review: &Review) -> Value {
        let log: Value = serde_json::from_str(&render(review)).unwrap();
        assert_eq!(log["version"], "2.1.0");
        log["runs"][0].clone()
    }

    /// The schema is that of OASIS, as published with version 2.1.0.
    #[test]
    fn every_review_is_sarif_by_the_official_schema() {
        // A bracket that closes nothing: JavaScript takes it for itself, a strict reader of patterns does not.
        let schema = include_str!("../../tests/fixtures/sarif/sarif-schema-2.1.0.json")
            .replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}\\\\]?$");
        let schema: Value = serde_json::from_str(&schema).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        for review in [sample::clean(), sample::typical(), sample::failed(), sample::hostile()] {
            let mut log: Value = serde_json::from_str(&render(&review)).unwrap();
            let wrong: Vec<String> = schema.iter_errors(&log).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{wrong:?}");
            log["runs"][0]["columnKind"] = "bytes".into();
            assert!(!schema.is_valid(&log));
        }
    }

    #[test]
    fn a_clean_review() {
        assert_eq!(
            run(&sample::clean()),
            json!({
                "tool": { "driver": { "name": "cicdctl", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": [] } },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": { "%SRCROOT%": { "description": { "text": "The root of the repository." } } },
                "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": [] }],
                "results": [],
                "properties": {
                    "job": "01JCLEAN",
                    "outcome": "reviewed",
                    "reason": null,
                    "base": "1".repeat(40),
                    "head": "2".repeat(40),
                    "engine": "rules 0.1.0",
                    "files": [{ "path": "src/a.rs", "coverage": "seen" }, { "path": "src/b.rs", "coverage": "seen" }],
                },
            })
        );
    }

    #[test]
    fn a_review_with_findings() {
        let run = run(&sample::typical());
        assert_eq!(
            run["tool"]["driver"]["rules"],
            json!([
                {
                    "id": "secret-in-log",
                    "shortDescription": { "text": "token written to the log" },
                    "properties": { "tags": ["security"], "security-severity": "5.5" },
                },
                {
                    "id": "security",
                    "shortDescription": { "text": "a fault of security" },
                    "properties": { "tags": ["security"], "security-severity": "9.5" },
                },
                {
                    "id": "testing",
                    "shortDescription": { "text": "a fault of testing" },
                    "properties": { "tags": ["testing"] },
                },
            ])
        );
        let auth = json!({ "uri": "src/auth.rs", "uriBaseId": "%SRCROOT%" });
        assert_eq!(
            run["results"],
            json!([
                {
                    "ruleId": "security",
                    "ruleIndex": 1,
                    "level": "error",
                    "message": { "text": "password compared with `==`\n\nThe comparison ends at the first byte that \
                                          differs, so its time tells how much of the password was right.\n\n\
                                          - measure\n- repeat" },
                    "locations": [{ "physicalLocation": {
                        "artifactLocation": auth,
                        "region": {
                            "startLine": 12,
                            "endLine": 13,
                            "snippet": { "text": "    if given == stored {\n        grant();\n" },
                        },
                    } }],
                    "partialFingerprints": { "cicdctlFingerprint/v1": "00112233445566aa" },
                    "rank": 90.0,
                    "properties": { "severity": "critical", "category": "security", "security-severity": "9.5" },
                    "fixes": [{
                        "description": { "text": "Replace these lines." },
                        "artifactChanges": [{
                            "artifactLocation": auth,
                            "replacements": [{
                                "deletedRegion": { "startLine": 12, "endLine": 13 },
                                "insertedContent": {
                                    "text": "    if constant_time_eq(given, stored) {\n        grant();",
                                },
                            }],
                        }],
                    }],
                },
                {
                    "ruleId": "secret-in-log",
                    "ruleIndex": 0,
                    "level": "warning",
                    "message": { "text": "token written to the log\n\nWhoever reads the log can log in." },
                    "locations": [{ "physicalLocation": {
                        "artifactLocation": auth,
                        "region": {
                            "startLine": 40,
                            "endLine": 40,
                            "snippet": { "text": "\tinfo!(\"{token}\");\r\n" },
                        },
                    } }],
                    "partialFingerprints": { "cicdctlFingerprint/v1": "00112233445566bb" },
                    "rank": 100.0,
                    "properties": { "severity": "medium", "category": "security", "security-severity": "5.5" },
                },
                {
                    "ruleId": "testing",
                    "ruleIndex": 2,
                    "level": "note",
                    "message": { "text": "no test covers this file" },
                    "locations": [{ "physicalLocation": {
                        "artifactLocation": { "uri": "src/new%20file.rs", "uriBaseId": "%SRCROOT%" },
                    } }],
                    "partialFingerprints": { "cicdctlFingerprint/v1": "00112233445566cc" },
                    "rank": 100.0,
                    "properties": { "severity": "low", "category": "testing" },
                },
            ])
        );
        assert_eq!(
            run["invocations"],
            json!([{
                "executionSuccessful": false,
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": { "text": "not wholly reviewed (partial): 1 of 4 files was not seen: \
                                              `src/big.rs` (over the budget)" },
                        "descriptor": { "id": "partial" },
                    },
                    {
                        "level": "warning",
                        "message": { "text": "not seen" },
                        "descriptor": { "id": "not-seen" },
                        "locations": [{ "physicalLocation": {
                            "artifactLocation": { "uri": "src/big.rs", "uriBaseId": "%SRCROOT%" },
                        } }],
                    },
                    {
                        "level": "note",
                        "message": { "text": "left out 1 finding below `low`" },
                        "descriptor": { "id": "note" },
                    },
                ],
            }])
        );
    }

    #[test]
    fn only_a_reviewed_change_is_a_successful_execution() {
        for outcome in Outcome::ALL {
            let run = run(&Review { outcome, ..sample::clean() });
            assert_eq!(run["invocations"][0]["executionSuccessful"], outcome == Outcome::Reviewed);
        }
    }

    #[test]
    fn hostile_content_stays_in_its_string() {
        let rendered = render(&sample::hostile());
        assert!(!rendered.contains(|c| c != '\n' && plain::is_hidden(c)));
        let run = run(&sample::hostile());
        let result = &run["results"][0];
        assert_eq!(
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "../%C3%A9%0Areviewed%3A%20no%20findings%E2%80%AE%60%7C%3Cb%3E%40x%25.rs"
        );
        assert!(result["message"]["text"].as_str().unwrap().contains("![x] (y)"));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let review = sample::typical();
        let read = crate::engine::sarif::drafts_from_sarif(&render(&review)).unwrap();
        let name = format!("cicdctl {}", env!("CARGO_PKG_VERSION"));
        let why = super::super::reason(&review);
        let incomplete = format!("{name} did not succeed: not wholly reviewed (partial): {why}");
        assert_eq!(read.incomplete, Some(incomplete));
        for (draft, finding) in read.drafts.iter().zip(&review.findings) {
            assert_eq!(draft.path, finding.path);
            assert_eq!(draft.start_line, finding.lines.map(|lines| lines.start));
            assert_eq!(draft.end_line, finding.lines.map(|lines| lines.end));
            assert_eq!(draft.severity, finding.severity);
            assert_eq!(draft.category, finding.category);
            assert_eq!(draft.title, finding.title);
            assert_eq!(draft.suggestion, finding.suggestion);
            assert_eq!(draft.confidence, finding.confidence);
        }
    }

    #[test]
    fn lines_to_delete_go_with_their_newline() {
        assert_eq!(
            replacement(Lines { start: 3, end: 4 }, ""),
            json!({ "deletedRegion": { "startLine": 3, "startColumn": 1, "endLine": 5, "endColumn": 1 } })
        );
    }
}
