//! What a linter prints as SARIF 2.1.0 → drafts. Pure.
//!
//! Linters differ in how much of the format they use, so everything is optional here but the version; a value of
//! another type than the standard's is an error, as the rest could then not be trusted either. Whether the paths and
//! lines exist is for `review::judge` to see.

use std::collections::HashMap;
use std::sync::LazyLock;

use anyhow::{Context, bail};
use regex::Regex;
use serde::Deserialize;

use crate::finding::{Category, Draft, Severity};

/// What one log holds.
#[derive(Debug, Clone, PartialEq)]
pub struct SarifDrafts {
    /// The tools that wrote it, with their versions: `ruff 0.6.1`.
    pub tools: Vec<String>,
    pub drafts: Vec<Draft>,
    /// Set where a tool says that it did not succeed: then its findings are not all there are.
    pub incomplete: Option<String>,
}

pub fn drafts_from_sarif(json: &str) -> anyhow::Result<SarifDrafts> {
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let version: Version = serde_json::from_str(json).context("this is not a SARIF log")?;
    if version.version != "2.1.0" {
        bail!("SARIF {} is not read here, only 2.1.0", version.version);
    }
    let log: Log = serde_json::from_str(json).context("this is not a SARIF 2.1.0 log")?;
    let mut read = SarifDrafts { tools: vec![], drafts: vec![], incomplete: None };
    for run in &log.runs {
        read.tools.push(run.tool.driver.title());
        read.drafts
            .extend(run.results.iter().flatten().filter(|result| result.stands()).map(|result| draft(run, result)));
        if read.incomplete.is_none() {
            read.incomplete = failure(run);
        }
    }
    if log.runs.is_empty() {
        read.incomplete = Some("the SARIF log has no run".to_owned());
    }
    Ok(read)
}

/// Why the run is not to be taken for a whole one.
fn failure(run: &Run) -> Option<String> {
    let name = run.tool.driver.title();
    if run.results.is_none() {
        return Some(format!("{name} wrote no results"));
    }
    let failed = run.invocations.iter().find(|invocation| invocation.execution_successful == Some(false))?;
    let why = failed
        .tool_execution_notifications
        .iter()
        .chain(&failed.tool_configuration_notifications)
        .find(|notification| notification.level.as_deref() == Some("error"))
        .and_then(|notification| notification.message.words(None));
    Some(match why {
        Some(why) => format!("{name} did not succeed: {why}"),
        None => format!("{name} did not succeed"),
    })
}

fn draft(run: &Run, result: &SarifResult) -> Draft {
    let rule = run.rule(result);
    let score = result.properties.score().or_else(|| rule.and_then(|rule| rule.properties.score()));
    let location = result.locations.first().and_then(|location| location.physical_location.as_ref());
    let lines = location.and_then(|location| location.region.as_ref()).and_then(Region::lines);
    let message = result.message.words(rule).unwrap_or_default();
    let first_line = message.lines().next().unwrap_or_default().trim();
    let explanation = [
        (first_line != message.trim()).then(|| message.clone()),
        rule.and_then(|rule| rule.explanation()).filter(|text| *text != message),
        rule.and_then(|rule| rule.help_uri.as_ref()).map(|uri| format!("See {uri}.")),
    ];
    let explanation: Vec<String> = explanation.into_iter().flatten().collect();
    let id = result.rule_id.clone().or_else(|| result.rule.as_ref()?.id.clone()).or_else(|| Some(rule?.id.clone()));
    Draft {
        path: location.and_then(|location| run.path(&location.artifact_location)).unwrap_or_default(),
        start_line: lines.map(|(start, _)| start),
        end_line: lines.map(|(_, end)| end),
        severity: severity(score, result.level.as_deref().or_else(|| rule?.default_configuration.level.as_deref())),
        category: category(
            score,
            rule.into_iter().flat_map(|rule| &rule.properties.tags).chain(&result.properties.tags),
        ),
        title: first_line.strip_suffix('.').unwrap_or(first_line).to_owned(),
        explanation: if explanation.is_empty() { message.clone() } else { explanation.join("\n\n") },
        suggestion: lines.and_then(|lines| result.suggestion(lines)),
        confidence: result.rank.filter(|rank| (0.0..=100.0).contains(rank)).map_or(1.0, |rank| rank / 100.0),
        rule: id,
    }
}

/// Bands as code scanning has them.
fn severity(score: Option<f64>, level: Option<&str>) -> Severity {
    match (score, level) {
        (Some(score), _) if score >= 9.0 => Severity::Critical,
        (Some(score), _) if score >= 7.0 => Severity::High,
        (Some(score), _) if score >= 4.0 => Severity::Medium,
        (Some(score), _) if score > 0.0 => Severity::Low,
        (_, Some("error")) => Severity::High,
        (_, Some("note")) => Severity::Low,
        (_, Some("none")) => Severity::Info,
        // `warning` is the default of the standard.
        _ => Severity::Medium,
    }
}

fn category<'a>(score: Option<f64>, tags: impl Iterator<Item = &'a String>) -> Category {
    let named = tags.filter_map(|tag| match tag.to_lowercase().as_str() {
        "security" => Some(Category::Security),
        "correctness" | "bug" | "bugs" => Some(Category::Correctness),
        "performance" | "perf" => Some(Category::Performance),
        "reliability" => Some(Category::Reliability),
        "maintainability" | "style" | "readability" | "complexity" => Some(Category::Maintainability),
        "testing" | "test" | "tests" => Some(Category::Testing),
        _ => None,
    });
    let fallback = if score.is_some() { Category::Security } else { Category::Other };
    // A rule tagged both ways matters first for its security.
    named.min_by_key(|category| Category::ALL.iter().position(|known| known == category)).unwrap_or(fallback)
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Log {
    runs: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    results: Option<Vec<SarifResult>>,
    #[serde(default)]
    invocations: Vec<Invocation>,
    #[serde(default)]
    artifacts: Vec<Artifact>,
    #[serde(default)]
    original_uri_base_ids: HashMap<String, ArtifactLocation>,
}

impl Run {
    /// The rule as the tool describes it: by index where there is one, else by name; `a/b` is a case of rule `a`.
    fn rule(&self, result: &SarifResult) -> Option<&Rule> {
        let reference = result.rule.as_ref();
        let component =
            match reference.and_then(|rule| rule.tool_component.as_ref()).and_then(|component| component.index) {
                Some(index) => self.tool.extensions.get(usize::try_from(index).ok()?)?,
                None => &self.tool.driver,
            };
        let index = result.rule_index.or_else(|| reference?.index).and_then(|index| usize::try_from(index).ok());
        if let Some(rule) = index.and_then(|index| component.rules.get(index)) {
            return Some(rule);
        }
        let mut id = result.rule_id.as_deref().or_else(|| reference?.id.as_deref())?;
        loop {
            let rule = component.rules.iter().find(|rule| rule.id == id);
            if rule.is_some() {
                return rule;
            }
            id = id.rsplit_once('/')?.0;
        }
    }

    fn path(&self, location: &ArtifactLocation) -> Option<String> {
        let listed = location.index.and_then(|index| self.artifacts.get(usize::try_from(index).ok()?));
        let location = match (&location.uri, listed.and_then(|artifact| artifact.location.as_ref())) {
            (None, Some(listed)) => listed,
            _ => location,
        };
        let uri = location.uri.as_deref()?;
        if uri.starts_with("file:") || uri.starts_with('/') {
            return Some(path_of_uri(uri));
        }
        Some(path_of_uri(&format!("{}{uri}", self.folder(location))))
    }

    /// What stands before a relative URI. A base that is absolute is where the tool found the repository: nothing.
    fn folder(&self, location: &ArtifactLocation) -> String {
        let mut folder = String::new();
        let mut id = location.uri_base_id.as_ref();
        for _ in 0..8 {
            let Some(base) = id.and_then(|id| self.original_uri_base_ids.get(id)) else { break };
            match base.uri.as_deref() {
                Some(uri) if uri.contains(':') || uri.starts_with('/') => break,
                Some(uri) => folder = format!("{}/{folder}", uri.trim_end_matches('/')),
                None => {}
            }
            id = base.uri_base_id.as_ref();
        }
        folder
    }
}

/// `file:///a%20b`, `file://host/a`, `a%20b` → `/a b`, `/a`, `a b`.
fn path_of_uri(uri: &str) -> String {
    let path = match uri.strip_prefix("file:") {
        Some(rest) => match rest.strip_prefix("//") {
            Some(with_host) => with_host.find('/').map_or("", |at| &with_host[at..]),
            None => rest,
        },
        None => uri,
    };
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex_digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex_digits.and_then(|digits| hex::decode(digits).ok()) {
            Some(byte) => {
                decoded.extend(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    // A name that is not UTF-8 is no name of a file in the diff, and is reported as it was written.
    String::from_utf8(decoded).unwrap_or_else(|_| path.to_owned())
}

#[derive(Deserialize)]
struct Tool {
    driver: Component,
    #[serde(default)]
    extensions: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    name: String,
    semantic_version: Option<String>,
    version: Option<String>,
    #[serde(default)]
    rules: Vec<Rule>,
}

impl Component {
    fn title(&self) -> String {
        match self.semantic_version.as_ref().or(self.version.as_ref()) {
            Some(version) => format!("{} {version}", self.name),
            None => self.name.clone(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    #[serde(default)]
    short_description: Message,
    #[serde(default)]
    full_description: Message,
    help_uri: Option<String>,
    #[serde(default)]
    default_configuration: Configuration,
    #[serde(default)]
    message_strings: HashMap<String, Message>,
    #[serde(default)]
    properties: Properties,
}

impl Rule {
    fn explanation(&self) -> Option<String> {
        let descriptions = [&self.full_description, &self.short_description];
        descriptions.into_iter().filter_map(|description| description.words(None)).find(|text| !text.trim().is_empty())
    }
}

#[derive(Default, Deserialize)]
struct Configuration {
    level: Option<String>,
}

#[derive(Default, Deserialize)]
struct Properties {
    #[serde(default)]
    tags: Vec<String>,
    #[serde(rename = "security-severity")]
    security_severity: Option<serde_json::Value>,
}

impl Properties {
    /// A number, which most tools write as text.
    fn score(&self) -> Option<f64> {
        let value = self.security_severity.as_ref()?;
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|score: &f64| score.is_finite())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    kind: Option<String>,
    level: Option<String>,
    baseline_state: Option<String>,
    #[serde(default)]
    suppressions: Vec<Suppression>,
    rule_id: Option<String>,
    rule_index: Option<i64>,
    rule: Option<RuleReference>,
    #[serde(default)]
    message: Message,
    #[serde(default)]
    locations: Vec<Location>,
    #[serde(default)]
    fixes: Vec<Fix>,
    rank: Option<f64>,
    #[serde(default)]
    properties: Properties,
}

impl SarifResult {
    /// Not a pass, not gone, and nobody has accepted it.
    fn stands(&self) -> bool {
        let fault = !matches!(self.kind.as_deref(), Some("pass" | "notApplicable"));
        let gone = self.baseline_state.as_deref() == Some("absent");
        let suppressed = self
            .suppressions
            .iter()
            .any(|suppression| !matches!(suppression.status.as_deref(), Some("underReview" | "rejected")));
        fault && !gone && !suppressed
    }

    /// The text of a fix that replaces exactly these lines.
    fn suggestion(&self, lines: (u32, u32)) -> Option<String> {
        let [change] = self.fixes.first()?.artifact_changes.as_slice() else { return None };
        let [replacement] = change.replacements.as_slice() else { return None };
        let text = replacement.inserted_content.as_ref().and_then(|content| content.text.as_deref()).unwrap_or("");
        let region = &replacement.deleted_region;
        if region.lines() != Some(lines) || region.start_column.is_some_and(|column| column != 1) {
            return None;
        }
        match region.end_column {
            None if text.is_empty() => None,
            None => Some(text.to_owned()),
            // Up to the start of the next line: the newline is part of what is replaced.
            Some(1) if text.is_empty() => Some(String::new()),
            Some(1) => text.strip_suffix('\n').map(str::to_owned),
            Some(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct Suppression {
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleReference {
    id: Option<String>,
    index: Option<i64>,
    tool_component: Option<ComponentReference>,
}

#[derive(Deserialize)]
struct ComponentReference {
    index: Option<i64>,
}

#[derive(Default, Deserialize)]
struct Message {
    text: Option<String>,
    markdown: Option<String>,
    id: Option<String>,
    #[serde(default)]
    arguments: Vec<String>,
}

impl Message {
    /// The message with its arguments in place and its links as words.
    fn words(&self, rule: Option<&Rule>) -> Option<String> {
        static PLACEHOLDER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\{\{|\}\}|\{(\d+)\}").expect("a valid pattern"));
        static LINK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[([^\[\]]+)\]\(\d+\)").expect("a valid pattern"));
        let by_id = || rule?.message_strings.get(self.id.as_ref()?)?.text.as_ref();
        let template = self.text.as_ref().or_else(by_id).or(self.markdown.as_ref())?;
        let filled = match self.arguments.is_empty() {
            true => template.clone(),
            false => PLACEHOLDER
                .replace_all(template, |found: &regex::Captures| match &found[0] {
                    "{{" => "{".to_owned(),
                    "}}" => "}".to_owned(),
                    whole => {
                        let argument = found[1].parse().ok().and_then(|index: usize| self.arguments.get(index));
                        argument.map_or(whole, String::as_str).to_owned()
                    }
                })
                .into_owned(),
        };
        Some(LINK.replace_all(&filled, "$1").into_owned())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    physical_location: Option<PhysicalLocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    #[serde(default)]
    artifact_location: ArtifactLocation,
    region: Option<Region>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactLocation {
    uri: Option<String>,
    uri_base_id: Option<String>,
    index: Option<i64>,
}

#[derive(Deserialize)]
struct Artifact {
    location: Option<ArtifactLocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: Option<i64>,
    start_column: Option<i64>,
    end_line: Option<i64>,
    end_column: Option<i64>,
}

impl Region {
    /// First and last line; a region that ends before the first character of a line does not reach into it.
    fn lines(&self) -> Option<(u32, u32)> {
        let start = u32::try_from(self.start_line?).ok().filter(|start| *start > 0)?;
        let end = self.end_line.and_then(|end| u32::try_from(end).ok()).unwrap_or(start);
        Some((start, if self.end_column == Some(1) && end > start { end - 1 } else { end }))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fix {
    #[serde(default)]
    artifact_changes: Vec<ArtifactChange>,
}

#[derive(Deserialize)]
struct ArtifactChange {
    #[serde(default)]
    replacements: Vec<Replacement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replacement {
    deleted_region: Region,
    inserted_content: Option<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: Option<bool>,
    #[serde(default)]
    tool_execution_notifications: Vec<Notification>,
    #[serde(default)]
    tool_configuration_notifications: Vec<Notification>,
}

#[derive(Deserialize)]
struct Notification {
    level: Option<String>,
    #[serde(default)]
    message: Message,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn log(run: &Value) -> SarifDrafts {
        drafts_from_sarif(&json!({ "version": "2.1.0", "runs": [run] }).to_string()).unwrap()
    }

    fn results(results: &Value) -> Vec<Draft> {
        log(&json!({ "tool": { "driver": { "name": "lint" } }, "results": results })).drafts
    }

    fn at(uri: &str) -> Value {
        json!([{ "physicalLocation": { "artifactLocation": { "uri": uri }, "region": { "startLine": 1 } } }])
    }

    #[test]
    fn a_result_becomes_a_draft() {
        let read = log(&json!({
            "tool": { "driver": {
                "name": "ruff",
                "version": "0.6.1",
                "rules": [{
                    "id": "S105",
                    "fullDescription": { "text": "A password stands in the code." },
                    "helpUri": "https://docs.example/S105",
                    "properties": { "tags": ["style", "security"], "security-severity": "9.1" },
                }],
            } },
            "invocations": [{ "executionSuccessful": true }],
            "results": [{
                "ruleId": "S105",
                "ruleIndex": 0,
                "level": "note",
                "rank": 80,
                "message": { "text": "Hardcoded password in [x](1)." },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": "src/a%20b.py", "uriBaseId": "SRCROOT" },
                    "region": { "startLine": 3, "startColumn": 2, "endLine": 5, "endColumn": 1 },
                } }],
            }],
            "originalUriBaseIds": { "SRCROOT": { "uri": "file:///work/checkout/" } },
        }));
        assert_eq!(
            read,
            SarifDrafts {
                tools: vec!["ruff 0.6.1".to_owned()],
                drafts: vec![Draft {
                    path: "src/a b.py".to_owned(),
                    start_line: Some(3),
                    end_line: Some(4),
                    severity: Severity::Critical,
                    category: Category::Security,
                    title: "Hardcoded password in x".to_owned(),
                    explanation: "A password stands in the code.\n\nSee https://docs.example/S105.".to_owned(),
                    suggestion: None,
                    confidence: 0.8,
                    rule: Some("S105".to_owned()),
                }],
                incomplete: None,
            }
        );
    }

    #[test]
    fn the_least_that_a_result_may_be_is_kept() {
        let drafts = results(&json!([{ "message": { "text": "Odd.\nAnd so on." } }]));
        assert_eq!(
            drafts,
            [Draft {
                path: String::new(),
                start_line: None,
                end_line: None,
                severity: Severity::Medium,
                category: Category::Other,
                title: "Odd".to_owned(),
                explanation: "Odd.\nAnd so on.".to_owned(),
                suggestion: None,
                confidence: 1.0,
                rule: None,
            }]
        );
    }

    #[test]
    fn severity_follows_the_score_and_then_the_level() {
        for (score, level, expected) in [
            (json!("9.0"), json!("note"), Severity::Critical),
            (json!(7.5), json!("note"), Severity::High),
            (json!("4"), json!("note"), Severity::Medium),
            (json!("0.1"), json!("error"), Severity::Low),
            (json!("0.0"), json!("note"), Severity::Low),
            (json!("high"), json!("error"), Severity::High),
            (json!(null), json!("error"), Severity::High),
            (json!(null), json!("warning"), Severity::Medium),
            (json!(null), json!(null), Severity::Medium),
            (json!(null), json!("none"), Severity::Info),
        ] {
            let drafts = results(&json!([{ "level": level, "properties": { "security-severity": score } }]));
            assert_eq!(drafts[0].severity, expected, "{score} {level}");
        }
    }

    #[test]
    fn a_rule_is_found_by_index_name_or_component() {
        let run = |result: Value| {
            log(&json!({
                "tool": {
                    "driver": { "name": "codeql", "rules": [
                        { "id": "a", "defaultConfiguration": { "level": "error" } },
                        { "id": "b", "defaultConfiguration": { "level": "note" },
                          "messageStrings": { "m": { "text": "`{0}` in {1} {{x}} {7}" } } },
                    ] },
                    "extensions": [{ "name": "pack", "rules": [{ "id": "c", "defaultConfiguration": { "level": "none" } }] }],
                },
                "results": [result],
            }))
            .drafts
            .remove(0)
        };
        assert_eq!(run(json!({ "ruleIndex": 1 })).rule.as_deref(), Some("b"));
        assert_eq!(run(json!({ "ruleId": "a/sub" })).severity, Severity::High);
        assert_eq!(run(json!({ "ruleId": "a/sub" })).rule.as_deref(), Some("a/sub"));
        let extension = run(json!({ "rule": { "id": "c", "index": 0, "toolComponent": { "index": 0 } } }));
        assert_eq!((extension.severity, extension.rule.as_deref()), (Severity::Info, Some("c")));
        let message = run(json!({ "ruleId": "b", "message": { "id": "m", "arguments": ["x", "y"] } }));
        assert_eq!(message.title, "`x` in y {x} {7}");
        assert_eq!(run(json!({ "ruleId": "unknown", "ruleIndex": -1 })).severity, Severity::Medium);
    }

    #[test]
    fn uris_become_paths() {
        for (uri, path) in [
            ("src/a.rs", "src/a.rs"),
            ("./src/%C3%A9.rs", "./src/é.rs"),
            ("file:///run/checkout/src/a.rs", "/run/checkout/src/a.rs"),
            ("file://localhost/run/a.rs", "/run/a.rs"),
            ("file:/run/a.rs", "/run/a.rs"),
            ("100%.rs", "100%.rs"),
            ("a%2", "a%2"),
            ("%ff", "%ff"),
            ("%+1é%", "%+1é%"),
        ] {
            assert_eq!(results(&json!([{ "locations": at(uri) }]))[0].path, path, "{uri}");
        }
    }

    #[test]
    fn a_base_inside_the_repository_is_kept() {
        let read = log(&json!({
            "tool": { "driver": { "name": "lint" } },
            "originalUriBaseIds": {
                "ROOT": { "uri": "file:///ci/" },
                "WEB": { "uri": "web/", "uriBaseId": "ROOT" },
                "LOOP": { "uriBaseId": "LOOP" },
            },
            "artifacts": [{ "location": { "uri": "b.js", "uriBaseId": "WEB" } }],
            "results": [
                { "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "a.js", "uriBaseId": "WEB" } } }] },
                { "locations": [{ "physicalLocation": { "artifactLocation": { "index": 0 } } }] },
                { "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "c.js", "uriBaseId": "LOOP" } } }] },
            ],
        }));
        let paths: Vec<&str> = read.drafts.iter().map(|draft| draft.path.as_str()).collect();
        assert_eq!(paths, ["web/a.js", "web/b.js", "c.js"]);
    }

    #[test]
    fn what_is_no_fault_is_not_reported() {
        let drafts = results(&json!([
            { "kind": "pass" },
            { "kind": "notApplicable" },
            { "baselineState": "absent" },
            { "suppressions": [{ "kind": "inSource" }] },
            { "suppressions": [{ "kind": "external", "status": "rejected" }], "ruleId": "kept" },
            { "kind": "open", "ruleId": "kept" },
        ]));
        assert_eq!(drafts.len(), 2);
        assert!(drafts.iter().all(|draft| draft.rule.as_deref() == Some("kept")));
    }

    #[test]
    fn a_fix_of_whole_lines_is_a_suggestion() {
        let suggestion = |region: Value, text: &str| {
            let fix = json!([{ "artifactChanges": [{
                "artifactLocation": { "uri": "a.rs" },
                "replacements": [{ "deletedRegion": region, "insertedContent": { "text": text } }],
            }] }]);
            results(&json!([{ "locations": at("a.rs"), "fixes": fix }])).remove(0).suggestion
        };
        assert_eq!(suggestion(json!({ "startLine": 1 }), "x"), Some("x".to_owned()));
        let whole = json!({ "startLine": 1, "startColumn": 1, "endLine": 2, "endColumn": 1 });
        assert_eq!(suggestion(whole.clone(), "x\n"), Some("x".to_owned()));
        assert_eq!(suggestion(whole.clone(), ""), Some(String::new()));
        assert_eq!(suggestion(whole, "x"), None);
        assert_eq!(suggestion(json!({ "startLine": 1, "startColumn": 5 }), "x"), None);
        assert_eq!(suggestion(json!({ "startLine": 1, "startColumn": 1, "endColumn": 9 }), "x"), None);
        assert_eq!(suggestion(json!({ "startLine": 2 }), "x"), None);
    }

    #[test]
    fn a_tool_that_failed_has_not_seen_everything() {
        let failed = log(&json!({
            "tool": { "driver": { "name": "lint", "semanticVersion": "1.0.0" } },
            "results": [],
            "invocations": [{ "executionSuccessful": false, "toolExecutionNotifications": [
                { "level": "note", "message": { "text": "hello" } },
                { "level": "error", "message": { "text": "out of memory" } },
            ] }],
        }));
        assert_eq!(failed.incomplete.as_deref(), Some("lint 1.0.0 did not succeed: out of memory"));
        let silent = log(&json!({ "tool": { "driver": { "name": "lint" } } }));
        assert_eq!(silent.incomplete.as_deref(), Some("lint wrote no results"));
        let empty = drafts_from_sarif(r#"{"version":"2.1.0","runs":[]}"#).unwrap();
        assert_eq!(empty.incomplete.as_deref(), Some("the SARIF log has no run"));
    }

    #[test]
    fn what_is_no_sarif_is_an_error() {
        for (text, error) in [
            ("", "this is not a SARIF log"),
            ("{}", "this is not a SARIF log"),
            (r#"{"version":"2.0.0"}"#, "SARIF 2.0.0 is not read here, only 2.1.0"),
            (r#"{"version":"2.1.0"}"#, "this is not a SARIF 2.1.0 log"),
            (
                r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":7}]}"#,
                "this is not a SARIF 2.1.0 log",
            ),
        ] {
            assert_eq!(drafts_from_sarif(text).unwrap_err().to_string(), error, "{text}");
        }
        assert!(drafts_from_sarif("\u{feff}{\"version\":\"2.1.0\",\"runs\":[]}").is_ok());
    }
}
