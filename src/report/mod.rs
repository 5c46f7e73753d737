//! A finished review → text. Pure: writing it somewhere is another's work.
//!
//! Whatever the format, only `reviewed` looks like a pass; any other outcome says so before all else. What comes from
//! the change or the engine is hostile: each format writes it so that it can neither act nor pretend to be ours.

pub mod html;
mod json;
pub mod markdown;
mod rdjson;
mod sarif;
mod text;

#[cfg(test)]
pub(crate) mod sample;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::finding::{ExcerptLine, Finding, Severity};
use crate::plain;
use crate::quantity::{self, count, grouped};
use crate::review::{CageUsed, Coverage, EngineUsed, Outcome, Published, Receipt, Review};

pub use json::{definitions, schema};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal
    Text,
    /// The whole review, as the runner's API has it
    Json,
    /// For a job summary or a comment
    Markdown,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Reviewdog's diagnostic format
    Rdjson,
    /// One file for a browser, which loads and runs nothing
    Html,
}

impl Format {
    pub const ALL: [Format; 6] =
        [Format::Text, Format::Json, Format::Markdown, Format::Sarif, Format::Rdjson, Format::Html];

    pub fn as_str(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Json => "json",
            Format::Markdown => "markdown",
            Format::Sarif => "sarif",
            Format::Rdjson => "rdjson",
            Format::Html => "html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Format::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no format: one of text, json, markdown, sarif, rdjson, html"))
    }
}

/// How `text` is to look; the other formats look the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Characters in a line.
    pub width: usize,
}

/// The review in this format; ends in a newline.
pub fn render(format: Format, review: &Review, style: Style) -> String {
    match format {
        Format::Text => text::render(review, style),
        Format::Json => json::render(review),
        Format::Markdown => markdown::render(review),
        Format::Sarif => sarif::render(review),
        Format::Rdjson => rdjson::render(review),
        Format::Html => html::render(review, None),
    }
}

/// The outcome as a sentence begins with it: `not reviewed (failed)`.
pub fn standing(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Reviewed => "reviewed",
        Outcome::Partial => "not wholly reviewed (partial)",
        Outcome::Skipped => "not reviewed (skipped)",
        Outcome::Deferred => "not reviewed yet (deferred)",
        Outcome::Failed => "not reviewed (failed)",
        Outcome::Superseded => "not reviewed (superseded)",
        Outcome::Cancelled => "not reviewed (cancelled)",
    }
}

/// Why the review is not `reviewed`, in one line.
pub fn reason(review: &Review) -> String {
    let reason = review.reason.as_deref().map(|reason| plain::one_line(reason, 1000));
    reason.filter(|reason| !reason.is_empty()).unwrap_or_else(|| "no reason is known".to_owned())
}

/// `2 findings (1 critical, 1 low)`; never "no findings" where nothing was looked at.
pub fn tally(review: &Review) -> Option<String> {
    let findings = &review.findings;
    if findings.is_empty() {
        return match review.outcome {
            Outcome::Reviewed => Some("no findings".to_owned()),
            Outcome::Partial if review.receipt.seen() > 0 => Some("no findings in what was seen".to_owned()),
            _ => None,
        };
    }
    let by_severity: Vec<String> = Severity::ALL
        .into_iter()
        .map(|severity| (findings.iter().filter(|finding| finding.severity == severity).count(), severity))
        .filter(|(number, _)| *number > 0)
        .map(|(number, severity)| format!("{number} {severity}"))
        .collect();
    Some(format!("{} ({})", count(findings.len(), "finding"), by_severity.join(", ")))
}

/// `2 dismissed before, 1 fixed since the last review`: what the findings ledger has to do with it.
pub fn memory(receipt: &Receipt) -> Option<String> {
    let parts = [(receipt.dismissed, "dismissed before"), (receipt.fixed, "fixed since the last review")];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{} {what}", grouped(number as u64)))
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// `3 files seen, 5 known from job 01J…, 1 excluded, 1 not seen`; nothing where no file was planned.
pub fn coverage(receipt: &Receipt) -> Option<String> {
    if receipt.files.is_empty() {
        return None;
    }
    let excluded = receipt.files.iter().filter(|file| matches!(file.coverage, Coverage::Excluded { .. })).count();
    let missed = receipt.missed().count();
    let known = || {
        receipt.files.iter().filter_map(|file| match &file.coverage {
            Coverage::Known { job } => Some(job.as_str()),
            _ => None,
        })
    };
    let jobs: Vec<&str> = known().collect::<BTreeSet<_>>().into_iter().collect();
    let from = match jobs.as_slice() {
        [one] => format!("known from job {}", plain::one_line(one, 100)),
        several => format!("known from {}", count(several.len(), "earlier job")),
    };
    let mut text = match (receipt.seen(), known().count()) {
        (seen, 0) => format!("{} seen", count(seen, "file")),
        (0, known) => format!("{} {from}", count(known, "file")),
        (seen, known) => format!("{} seen, {} {from}", count(seen, "file"), grouped(known as u64)),
    };
    if excluded > 0 {
        text.push_str(&format!(", {} excluded", grouped(excluded as u64)));
    }
    if missed > 0 {
        text.push_str(&format!(", {} not seen", grouped(missed as u64)));
    }
    Some(text)
}

/// `claude 2.1.3, sha256:1a2b3c4d5e6f, model sonnet, 12 turns, 3,400 tokens in, 800 out, $0.42`
fn engine(engine: &EngineUsed) -> String {
    let EngineUsed { name, version, digest, model, turns, input_tokens, output_tokens, cost_usd, session } = engine;
    let name = plain::one_line(name, 100);
    let mut parts = vec![match version {
        Some(version) => format!("{name} {}", plain::one_line(version, 100)),
        None => name,
    }];
    parts.extend(digest.as_deref().map(|digest| plain::one_line(digest, 100)));
    parts.extend(model.as_deref().map(|model| format!("model {}", plain::one_line(model, 100))));
    parts.extend(turns.map(|turns| count(turns as usize, "turn")));
    parts.extend(input_tokens.map(|tokens| format!("{} in", count(tokens as usize, "token"))));
    parts.extend(output_tokens.map(|tokens| format!("{} out", count(tokens as usize, "token"))));
    parts.extend(cost_usd.map(quantity::usd));
    if session.as_ref().is_some_and(|session| session.resumes > 0) {
        parts.push("in the conversation of an earlier review".to_owned());
    }
    parts.join(", ")
}

/// `12.3 s (engine 11.9 s)`
fn time(receipt: &Receipt) -> String {
    let whole = quantity::duration(receipt.duration_ms);
    match receipt.engine_ms {
        Some(engine) => format!("{whole} (engine {})", quantity::duration(engine)),
        None => whole,
    }
}

/// `caged in cicd-job-01J.service`, `not caged: no user manager`
fn cage(cage: &CageUsed) -> String {
    match (&cage.uncaged_because, &cage.unit) {
        (Some(reason), _) => format!("not caged: {}", plain::one_line(reason, 500)),
        (None, Some(unit)) => format!("caged in {}", plain::one_line(unit, 200)),
        (None, None) => "not caged".to_owned(),
    }
}

/// `2 comments, 1 known, https://…`
/// That nothing was read or paid again.
fn known(job: &str) -> String {
    format!("the very same change was reviewed by job {}", plain::one_line(job, 100))
}

fn published(published: &Published) -> String {
    let Published { summary_url, review_url, new_comments, known_comments } = published;
    let mut parts = vec![count(*new_comments, "new comment")];
    if *known_comments > 0 {
        parts.push(format!("{} from before", grouped(*known_comments as u64)));
    }
    parts.extend(review_url.iter().chain(summary_url).map(|url| plain::one_line(url, 300)));
    parts.join(", ")
}

/// Why the engine was not given a file, or several.
struct LeftOut {
    label: &'static str,
    /// A path, or how many files.
    what: String,
    reason: String,
}

/// First the files that were not seen, at most `max` by name, then the excluded ones by reason: `12 files: vendored`.
fn left_out(receipt: &Receipt, max: usize) -> Vec<LeftOut> {
    let mut missed = Vec::new();
    let mut excluded: Vec<(String, Vec<&str>)> = Vec::new();
    for file in &receipt.files {
        match &file.coverage {
            Coverage::Seen | Coverage::Known { .. } => {}
            Coverage::Missed { reason } => {
                let reason = plain::one_line(reason, 500);
                missed.push(LeftOut { label: "not seen", what: file.path.clone(), reason });
            }
            Coverage::Excluded { reason } => {
                let reason = plain::one_line(reason, 500);
                match excluded.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, paths)) => paths.push(&file.path),
                    None => excluded.push((reason, vec![&file.path])),
                }
            }
        }
    }
    // Where an engine failed nothing was seen, and one reason says it all.
    if receipt.seen() == 0 && missed.len() > 1 && missed.iter().all(|file| file.reason == missed[0].reason) {
        let what = count(missed.len(), "file");
        missed.truncate(1);
        missed[0].what = what;
    }
    let further = missed.len().saturating_sub(max);
    missed.truncate(max);
    if further > 0 {
        let reason = "named in the JSON report".to_owned();
        missed.push(LeftOut { label: "not seen", what: count(further, "more file"), reason });
    }
    missed.extend(excluded.into_iter().map(|(reason, paths)| {
        let what = if paths.len() == 1 { paths[0].to_owned() } else { count(paths.len(), "file") };
        LeftOut { label: "excluded", what, reason }
    }));
    missed
}

/// `src/a.rs:12`, `src/a.rs:12-14`, `src/a.rs`
pub fn place(finding: &Finding) -> String {
    let path = plain::visible(&finding.path);
    match finding.lines {
        None => path,
        Some(lines) if lines.start == lines.end => format!("{path}:{}", lines.start),
        Some(lines) => format!("{path}:{}-{}", lines.start, lines.end),
    }
}

/// What a reader may want to know besides: category, rule, confidence where it is less than certain.
fn traits(finding: &Finding) -> Vec<String> {
    let mut traits = vec![finding.category.to_string()];
    traits.extend(finding.rule.as_deref().map(|rule| format!("rule {}", plain::one_line(rule, 100))));
    if finding.confidence < 1.0 {
        traits.push(format!("confidence {:.0} %", finding.confidence * 100.0));
    }
    traits
}

/// The lines that a suggestion replaces, where the excerpt has all of them.
fn replaced(finding: &Finding) -> Option<&[ExcerptLine]> {
    let lines = finding.lines?;
    let all = u64::from(lines.end) - u64::from(lines.start) + 1 == finding.excerpt.len() as u64;
    all.then_some(finding.excerpt.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::{FileCoverage, SessionUsed};

    #[test]
    fn a_format_is_read_by_its_name() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(<Format as clap::ValueEnum>::from_str(format.as_str(), false), Ok(format));
        }
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error, "`xml` is no format: one of text, json, markdown, sarif, rdjson, html");
    }

    #[test]
    fn every_format_ends_in_one_newline() {
        for format in Format::ALL {
            for review in [sample::clean(), sample::typical(), sample::failed(), sample::hostile()] {
                let text = render(format, &review, Style { color: false, width: 80 });
                assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{format}");
                assert!(!text.contains(|c| c != '\n' && plain::is_hidden(c)), "{format}");
            }
        }
    }

    #[test]
    fn what_is_known_says_from_where() {
        let known = |job: &str| Coverage::Known { job: job.to_owned() };
        let said = |coverages: &[Coverage]| {
            let file = |coverage: &Coverage| FileCoverage { path: "a".to_owned(), coverage: coverage.clone() };
            coverage(&Receipt { files: coverages.iter().map(file).collect(), ..Receipt::default() }).unwrap()
        };
        assert_eq!(said(&[known("01J"), known("01J")]), "2 files known from job 01J");
        assert_eq!(said(&[known("01J"), Coverage::Seen]), "1 file seen, 1 known from job 01J");
        let missed = Coverage::Missed { reason: "big".to_owned() };
        assert_eq!(said(&[known("01J"), missed, known("01K")]), "2 files known from 2 earlier jobs, 1 not seen");
        let session = SessionUsed { id: "e2aa3ac3".to_owned(), resumes: 1 };
        let used = EngineUsed { name: "claude".to_owned(), session: Some(session), ..EngineUsed::default() };
        assert_eq!(engine(&used), "claude, in the conversation of an earlier review");
    }

    #[test]
    fn what_was_left_out_is_grouped() {
        let file = |path: &str, coverage: Coverage| FileCoverage { path: path.to_owned(), coverage };
        let missed = |path: &str| file(path, Coverage::Missed { reason: "big".to_owned() });
        let excluded = |path: &str, reason: &str| file(path, Coverage::Excluded { reason: reason.to_owned() });
        let files = vec![
            excluded("a", "vendored"),
            missed("b"),
            excluded("c", "binary"),
            missed("d"),
            missed("e"),
            excluded("f", "vendored"),
            file("g", Coverage::Seen),
        ];
        let receipt = Receipt { files, ..Receipt::default() };
        let shown: Vec<String> = left_out(&receipt, 1)
            .into_iter()
            .map(|LeftOut { label, what, reason }| format!("{label}: {what}: {reason}"))
            .collect();
        assert_eq!(
            shown,
            [
                "not seen: b: big",
                "not seen: 2 more files: named in the JSON report",
                "excluded: 2 files: vendored",
                "excluded: c: binary",
            ]
        );
        assert_eq!(coverage(&receipt).as_deref(), Some("1 file seen, 3 excluded, 3 not seen"));
    }
}
