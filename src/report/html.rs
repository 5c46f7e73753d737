//! A review as one HTML file that loads nothing and runs nothing: a policy in its head forbids both, whatever stands in the
//! rest. All text of others is escaped, and what cannot be seen in it is written out.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::api::{Happening, Job, JobEvent};
use crate::engine::Progress;
use crate::finding::{ExcerptLine, Finding};
use crate::plain;
use crate::quantity::{self, count, grouped};
use crate::review::{Coverage, FileCoverage, Outcome, Review};

const STYLE: &str = include_str!("../../templates/report.css");
/// Of the one style that the policy allows.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE))));

/// Characters of a line of code that are shown.
const MAX_CODE_LINE: usize = 500;
/// Files and moments that are shown, the most telling first.
const MAX_FILES: usize = 2000;
const MAX_MOMENTS: usize = 500;

/// What became of the job from outside: when it was asked for, and what happened.
#[derive(Debug, Clone, Copy)]
pub struct Life<'a> {
    pub job: &'a Job,
    pub events: &'a [JobEvent],
}

#[derive(Template)]
#[template(path = "report.html", config = "templates/askama.toml")]
struct Page<'a> {
    style: &'a str,
    style_hash: &'a str,
    title: String,
    mood: &'static str,
    verdict: String,
    why: Option<String>,
    project: String,
    subject: String,
    counts: Vec<String>,
    summary: Option<String>,
    findings: Vec<Found>,
    receipt: Vec<Row>,
    links: Vec<Link>,
    notes: Vec<String>,
    coverage: String,
    files: Vec<File>,
    files_open: bool,
    timeline: Vec<Moment>,
    version: &'static str,
}

struct Found {
    severity: &'static str,
    place: String,
    title: String,
    traits: String,
    code: Vec<CodeLine>,
    explanation: String,
}

struct CodeLine {
    /// `context`, `removed` or `added`.
    kind: &'static str,
    number: String,
    text: String,
    /// Characters that are not shown.
    cut: usize,
}

struct Row {
    name: &'static str,
    value: String,
}

struct Link {
    name: &'static str,
    url: String,
}

struct File {
    coverage: &'static str,
    path: String,
    reason: String,
}

struct Moment {
    after: String,
    what: String,
}

pub fn render(review: &Review, life: Option<Life<'_>>) -> String {
    let receipt = &review.receipt;
    let tally = super::tally(review);
    let verdict = match (review.outcome, &tally) {
        (Outcome::Reviewed, Some(tally)) => format!("Reviewed: {tally}"),
        (outcome, _) => super::markdown::capitalised(super::standing(outcome)),
    };
    let is_reviewed = review.outcome == Outcome::Reviewed;
    let tally = tally.filter(|_| !is_reviewed);
    let coverage = super::coverage(receipt);
    let counts = [tally, super::memory(receipt), coverage.clone()].into_iter().flatten().collect();
    let subject = plain::one_line(&review.subject, 300);
    let project = plain::one_line(&review.project, 300);
    let page = Page {
        style: STYLE,
        style_hash: &STYLE_HASH,
        title: format!("{verdict} · {project}"),
        mood: match review.outcome {
            Outcome::Reviewed if review.findings.is_empty() => "good",
            Outcome::Failed => "bad",
            _ => "neutral",
        },
        verdict,
        why: (!is_reviewed).then(|| super::reason(review)),
        project,
        subject,
        counts,
        summary: review.summary.as_deref().map(prose).filter(|text| !text.is_empty()),
        findings: review.findings.iter().map(found).collect(),
        receipt: rows(review, life),
        links: links(review),
        notes: receipt.notes.iter().map(|note| plain::one_line(note, 1000)).collect(),
        files_open: receipt.missed().next().is_some(),
        files: files(review),
        coverage: coverage.unwrap_or_default(),
        timeline: life.map(timeline).unwrap_or_default(),
        version: crate::version(),
    };
    match page.render() {
        Ok(text) => text.lines().filter(|line| !line.is_empty()).fold(String::new(), |text, line| text + line + "\n"),
        // Writing to memory does not fail, and the template has nothing else that could.
        Err(error) => format!("<!doctype html><title>{error}</title>\n"),
    }
}

fn found(finding: &Finding) -> Found {
    Found {
        severity: finding.severity.as_str(),
        place: super::place(finding),
        title: plain::one_line(&finding.title, 300),
        traits: super::traits(finding).join(" · "),
        code: code(finding),
        explanation: prose(&finding.explanation),
    }
}

/// The lines meant; with a suggestion as a change of them.
fn code(finding: &Finding) -> Vec<CodeLine> {
    let replaced = finding.suggestion.as_ref().and_then(|_| super::replaced(finding)).is_some();
    let kind = if replaced { "removed" } else { "context" };
    let numbered = |line: &ExcerptLine| code_line(kind, line.number.to_string(), &line.text);
    let suggested = finding.suggestion.iter().filter(|text| !text.is_empty()).flat_map(|text| text.split('\n'));
    finding.excerpt.iter().map(numbered).chain(suggested.map(|line| code_line("added", "+".into(), line))).collect()
}

fn code_line(kind: &'static str, number: String, text: &str) -> CodeLine {
    let mut shown = plain::visible_code(text);
    let cut = match shown.char_indices().nth(MAX_CODE_LINE) {
        Some((end, _)) => {
            let cut = shown[end..].chars().count();
            shown.truncate(end);
            cut
        }
        None => 0,
    };
    CodeLine { kind, number, text: shown, cut }
}

/// Paragraphs, with what cannot be seen in them written out.
fn prose(text: &str) -> String {
    plain::prose(text, 100_000)
        .lines()
        .map(|line| plain::visible(&line.replace('\t', "    ")))
        .collect::<Vec<_>>()
        .join("\n")
}

fn rows(review: &Review, life: Option<Life<'_>>) -> Vec<Row> {
    let receipt = &review.receipt;
    let moment = |ms: i64| quantity::time(ms);
    let job = life.map(|life| life.job);
    let rows = [
        ("outcome", Some(review.outcome.to_string())),
        ("job", Some(plain::one_line(&review.job, 100))),
        ("agent", job.and_then(|job| job.agent.as_ref().map(ToString::to_string))),
        ("asked for", job.map(|job| moment(job.created_ms))),
        ("ended", job.and_then(|job| job.ended_ms.map(moment))),
        ("attempts", job.filter(|job| job.attempts > 1).map(|job| job.attempts.to_string())),
        ("base", receipt.base_sha.as_deref().map(|sha| plain::one_line(sha, 100))),
        ("head", receipt.head_sha.as_deref().map(|sha| plain::one_line(sha, 100))),
        ("engine", receipt.engine.as_ref().map(super::engine)),
        ("time", Some(super::time(receipt))),
        ("memory", receipt.peak_memory.map(quantity::bytes)),
        ("cage", receipt.cage.as_ref().map(super::cage)),
        ("known", receipt.reviewed_by.as_deref().map(super::known)),
        ("published", receipt.published.as_ref().map(|published| count(published.new_comments, "new comment"))),
    ];
    rows.into_iter().filter_map(|(name, value)| Some(Row { name, value: value? })).collect()
}

/// To the forge alone, and by nothing but https.
fn links(review: &Review) -> Vec<Link> {
    let Some(published) = &review.receipt.published else { return Vec::new() };
    [("summary", &published.summary_url), ("review", &published.review_url)]
        .into_iter()
        .filter_map(|(name, url)| Some(Link { name, url: url.clone().filter(|url| url.starts_with("https://"))? }))
        .collect()
}

fn files(review: &Review) -> Vec<File> {
    let mut files: Vec<File> = review.receipt.files.iter().map(file).collect();
    files.sort_by_key(|file| file.coverage != "missed");
    let further = files.len().saturating_sub(MAX_FILES);
    files.truncate(MAX_FILES);
    if further > 0 {
        let path = format!("{} more", grouped(further as u64));
        files.push(File { coverage: "…", path, reason: "named in the JSON report".into() });
    }
    files
}

fn file(file: &FileCoverage) -> File {
    let (coverage, reason) = match &file.coverage {
        Coverage::Seen => ("seen", String::new()),
        Coverage::Known { job } => ("known", format!("from job {}", plain::one_line(job, 100))),
        Coverage::Excluded { reason } => ("excluded", plain::one_line(reason, 500)),
        Coverage::Missed { reason } => ("missed", plain::one_line(reason, 500)),
    };
    File { coverage, path: plain::visible(&file.path), reason }
}

fn timeline(life: Life<'_>) -> Vec<Moment> {
    let moment = |event: &JobEvent| {
        let after = u64::try_from(event.at_ms - life.job.created_ms).unwrap_or(0);
        Moment { after: format!("+{}", quantity::duration(after)), what: what(&event.what) }
    };
    let mut moments: Vec<Moment> = life.events.iter().map(moment).collect();
    let further = moments.len().saturating_sub(MAX_MOMENTS);
    if further > 0 {
        // The first and the last ones tell most.
        let gap = Moment { after: "…".into(), what: format!("{} more", grouped(further as u64)) };
        moments.splice(MAX_MOMENTS / 2..MAX_MOMENTS / 2 + further, [gap]);
    }
    moments
}

fn what(happening: &Happening) -> String {
    match happening {
        Happening::Accepted => "accepted".into(),
        Happening::Started { attempt: 1 } => "begun".into(),
        Happening::Started { attempt } => format!("begun, attempt {attempt}"),
        Happening::Stage { stage, detail } => format!("{}: {}", stage.as_str(), plain::one_line(detail, 300)),
        Happening::Engine { progress } => match progress {
            Progress::Started { engine, .. } => format!("engine {} started", plain::one_line(engine, 100)),
            Progress::Tool { name, target } => plain::one_line(&format!("{name} {target}"), 300),
            Progress::Waiting { reason, retry_ms } => {
                format!("engine waits {}: {}", quantity::duration(*retry_ms), plain::one_line(reason, 300))
            }
            Progress::Note { text } => plain::one_line(text, 300),
        },
        Happening::Requeued { reason, .. } => format!("back in the queue: {}", plain::one_line(reason, 300)),
        Happening::Ended { outcome, reason: None } => outcome.to_string(),
        Happening::Ended { outcome, reason: Some(reason) } => format!("{outcome}: {}", plain::one_line(reason, 300)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::review::Published;

    #[test]
    fn the_policy_allows_the_style_that_is_there_and_nothing_else() {
        let page = render(&sample::typical(), None);
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert!(style.starts_with(":root"), "{style}");
        let hash = format!("style-src 'sha256-{}'", STANDARD.encode(Sha256::digest(style)));
        assert!(page.contains(&hash), "{hash}");
        assert!(page.contains("content=\"default-src 'none'; "));
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains('<'));
    }

    #[test]
    fn nothing_of_others_becomes_markup_and_nothing_hides() {
        let mut review = sample::hostile();
        let evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}\u{1b}]8;;x\" '&<!--";
        review.project = evil.into();
        review.subject = evil.into();
        review.summary = Some(evil.into());
        review.receipt.notes = vec![evil.into()];
        review.receipt.published = Some(Published {
            summary_url: Some("javascript:alert(3)".into()),
            review_url: Some("https://forge.example/\"onclick=\"alert(4)".into()),
            ..Published::default()
        });
        review.receipt.files =
            vec![FileCoverage { path: evil.into(), coverage: Coverage::Missed { reason: evil.into() } }];
        for finding in &mut review.findings {
            finding.title = evil.into();
            finding.path = evil.into();
            finding.explanation = evil.into();
            finding.suggestion = Some(evil.into());
            finding.rule = Some(evil.into());
            finding.excerpt = vec![ExcerptLine { number: 1, text: evil.into() }];
        }
        let page = render(&review, None);
        let ours = ["<script", "<img", "javascript:", "<!--", "\"onclick", "\u{202e}", "\u{1b}"];
        for evil in ours {
            assert!(!page.contains(evil), "{evil}");
        }
        assert!(page.contains("&#60;script&#62;") && page.contains("\\u{202e}"), "{page}");
        assert!(page.contains("href=\"https://forge.example/&#34;onclick="));
    }

    #[test]
    fn a_line_of_megabytes_is_cut_and_says_so() {
        let mut review = sample::typical();
        review.findings[0].excerpt = vec![ExcerptLine { number: 7, text: "x".repeat(10 << 20) }];
        let page = render(&review, None);
        assert!(page.len() < 100_000 && page.contains(" … 10485260 more characters"), "{}", page.len());
    }

    #[test]
    fn a_suggestion_is_a_change_of_the_lines_meant() {
        let page = render(&sample::typical(), None);
        assert!(page.contains("<span class=\"line removed\"><span class=\"number\">12</span>"), "{page}");
        assert!(page.contains("<span class=\"line added\"><span class=\"number\">+</span>"));
        assert!(page.contains("<h1>Not wholly reviewed (partial)</h1>"));
        assert!(page.contains("<td class=\"missed\">missed</td>"));
    }
}
