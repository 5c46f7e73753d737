//! What an engine says → findings that have their place in the diff. Pure.
//!
//! The engine has read hostile input, so nothing it says is taken on trust: a path must be a file of the change, lines
//! must be lines that the diff shows, text loses what could mislead a terminal or a reader. What cannot be placed goes
//! one step up (line → nearest line → file) and keeps its words; what is left out is counted in the notes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::diff::{Diff, FileDiff};
use crate::finding::{Draft, ExcerptLine, Finding, Lines, Severity};
use crate::plain;
use crate::quantity::{self, count};
use crate::review::paths::PathRules;
use crate::review::{Coverage, FileCoverage, Outcome};

/// How far a finding may be moved to stand in the diff, in lines.
const REACH: u32 = 3;
/// Lines of an excerpt, and characters of each; a minified file has lines of a megabyte.
const MAX_EXCERPT: usize = 6;
const MAX_EXCERPT_LINE: usize = 1000;
/// Findings that are kept, the gravest: nobody reads more, and each is stored, sent and shown.
pub const MAX_FINDINGS: usize = 1000;
/// How many of the lines that a finding means go into its fingerprint.
const MAX_NAMED_LINES: usize = 200;
const MAX_TITLE: usize = 200;
const MAX_RULE: usize = 100;
const MAX_EXPLANATION: usize = 10_000;
/// A suggestion cannot be cut, so a longer one is left out.
const MAX_SUGGESTION: usize = 20_000;
/// How many paths that are no files of the change the notes name.
const MAX_STRAYS: usize = 10;

#[derive(Debug, Clone)]
pub struct Options {
    /// Findings below it are left out, but where a rule for their path has another.
    pub floor: Severity,
    pub rules: PathRules,
    /// Where the engine found the files, so that its absolute paths can be told.
    pub checkout: Option<PathBuf>,
}

impl Options {
    /// The least severity of findings in a file.
    pub fn floor_of(&self, path: &str) -> Severity {
        self.rules.floor(path).unwrap_or(self.floor)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options { floor: Severity::Info, rules: PathRules::default(), checkout: None }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Gravest first, then by path and line.
    pub findings: Vec<Finding>,
    /// What was left out, for the receipt.
    pub notes: Vec<String>,
}

pub fn judge(drafts: Vec<Draft>, diff: &Diff, options: &Options) -> Judged {
    let mut change = Change::new(diff, options);
    let mut left_out = LeftOut::default();
    let mut findings = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let file = change.file(&draft.path);
        let floor = file.map_or(options.floor, |file| options.floor_of(file.path));
        if draft.severity < floor {
            *left_out.below.entry(floor).or_default() += 1;
            continue;
        }
        match file {
            Some(file) => findings.push(file.place(draft, &mut left_out)),
            None => *left_out.strays.entry(plain::one_line(&draft.path, MAX_TITLE)).or_default() += 1,
        }
    }
    sort(&mut findings);

    let mut said = HashSet::new();
    let before = findings.len();
    findings.retain(|finding| {
        let lines = finding.lines.map(|lines| (lines.start, lines.end));
        said.insert((finding.path.clone(), lines, finding.rule.clone(), finding.title.to_lowercase()))
    });
    left_out.repeated = before - findings.len();
    for finding in findings.drain(findings.len().min(MAX_FINDINGS)..) {
        *left_out.over.entry(Reverse(finding.severity)).or_default() += 1;
    }

    change.name(&mut findings);
    Judged { findings, notes: left_out.notes() }
}

/// How a review of these files ended, and why it is not `reviewed` where it is not.
///
/// `incomplete` is what the engine itself says it did not see.
pub fn outcome(files: &[FileCoverage], incomplete: Option<&str>) -> (Outcome, Option<String>) {
    const NAMED: usize = 3;
    let missed: Vec<String> = files
        .iter()
        .filter_map(|file| match &file.coverage {
            Coverage::Missed { reason } => Some(format!("`{}` ({reason})", plain::visible(&file.path))),
            Coverage::Seen | Coverage::Known { .. } | Coverage::Excluded { .. } => None,
        })
        .collect();
    let mut reasons = Vec::new();
    if !missed.is_empty() {
        let verb = if missed.len() == 1 { "was" } else { "were" };
        let of = count(files.len(), "file");
        reasons.push(format!("{} of {of} {verb} not seen: {}", missed.len(), quantity::list(&missed, NAMED)));
    }
    if let Some(incomplete) = incomplete {
        let words = plain::one_line(incomplete, 500);
        reasons.push(if words.is_empty() { "the engine did not finish".to_owned() } else { words });
    }
    match reasons.is_empty() {
        true => (Outcome::Reviewed, None),
        false => (Outcome::Partial, Some(reasons.join("; "))),
    }
}

/// Gravest first, then by path and line.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| order(a).cmp(&order(b)).then(b.confidence.total_cmp(&a.confidence)));
}

fn order(finding: &Finding) -> (Reverse<Severity>, &str, Option<u32>, &str) {
    (Reverse(finding.severity), &finding.path, finding.lines.map(|lines| lines.start), &finding.title)
}

/// The change as an engine may refer to it.
struct Change<'a> {
    /// By path, and by the old path of what was renamed; more than one part where git prints a file twice.
    parts: HashMap<&'a str, Vec<&'a FileDiff>>,
    /// The files that were asked for.
    shown: HashMap<&'a str, ShownFile<'a>>,
    /// With a slash at its end.
    checkout: Option<String>,
}

impl<'a> Change<'a> {
    fn new(diff: &'a Diff, options: &Options) -> Change<'a> {
        let mut parts: HashMap<&str, Vec<&FileDiff>> = HashMap::with_capacity(diff.files.len());
        for file in &diff.files {
            parts.entry(&file.path).or_default().push(file);
        }
        for file in &diff.files {
            if let Some(old_path) = &file.old_path {
                parts.entry(old_path).or_insert_with(|| vec![file]);
            }
        }
        let checkout = options.checkout.as_ref().and_then(|path| path.to_str());
        let checkout = checkout.map(|path| format!("{}/", path.trim_end_matches('/')));
        Change { parts, shown: HashMap::new(), checkout }
    }

    /// The file that `path` means, spelt in whichever way.
    fn file(&mut self, path: &str) -> Option<&ShownFile<'a>> {
        let spelt = |path: &str| {
            let inside = self.checkout.as_deref().and_then(|checkout| path.strip_prefix(checkout));
            let tidy = without_dots(inside.unwrap_or(path))?;
            let bare = tidy.strip_prefix("a/").or_else(|| tidy.strip_prefix("b/"));
            self.parts.get(tidy.as_str()).or_else(|| self.parts.get(bare?))
        };
        // A name may begin or end with a blank itself.
        let parts = self.parts.get(path).or_else(|| spelt(path)).or_else(|| spelt(path.trim()))?;
        let name = parts[0].path.as_str();
        Some(self.shown.entry(name).or_insert_with(|| ShownFile::new(name, parts)))
    }

    /// Gives each finding its fingerprint: path, rule or title, and the lines meant, without where they stand. What is
    /// the same in all of these is told apart by its place among its equals.
    fn name(&self, findings: &mut [Finding]) {
        let mut from_the_top: Vec<&mut Finding> = findings.iter_mut().collect();
        from_the_top.sort_by(|a, b| {
            let place = |finding: &Finding| finding.lines.map(|lines| (lines.start, lines.end));
            (&a.path, place(a), &a.title).cmp(&(&b.path, place(b), &b.title))
        });
        let mut equals: HashMap<[u8; 32], u64> = HashMap::new();
        for finding in from_the_top {
            let mut hash = Sha256::new();
            let about = finding.rule.clone().unwrap_or_else(|| normalised(&finding.title));
            let text = finding.lines.map(|lines| self.shown[finding.path.as_str()].text(lines)).unwrap_or_default();
            for part in [finding.path.as_str(), &about, &text] {
                hash.update(part);
                hash.update([0]);
            }
            let ordinal = equals.entry(hash.clone().finalize().into()).or_default();
            hash.update(ordinal.to_be_bytes());
            *ordinal += 1;
            finding.fingerprint = hex::encode(&hash.finalize()[..8]);
        }
    }
}

/// The new side of a file, as far as the diff shows it.
struct ShownFile<'a> {
    path: &'a str,
    /// First and last line of each hunk, ascending.
    hunks: Vec<Lines>,
    /// Ascending by number.
    lines: Vec<(u32, &'a str)>,
}

impl<'a> ShownFile<'a> {
    fn new(path: &'a str, parts: &[&'a FileDiff]) -> ShownFile<'a> {
        let mut file = ShownFile { path, hunks: Vec::new(), lines: Vec::new() };
        for hunk in parts.iter().flat_map(|part| &part.hunks) {
            let new = || hunk.lines.iter().filter_map(|line| Some((line.new?, line.text.as_str())));
            if let (Some((start, _)), Some((end, _))) = (new().next(), new().next_back()) {
                file.hunks.push(Lines { start, end });
                file.lines.extend(new());
            }
        }
        file.hunks.sort_by_key(|hunk| hunk.start);
        file.lines.sort_by_key(|(number, _)| *number);
        file
    }

    fn place(&self, draft: Draft, left_out: &mut LeftOut) -> Finding {
        let meant = draft.start_line.or(draft.end_line).map(|start| {
            let end = draft.end_line.unwrap_or(start);
            Lines { start: start.min(end), end: start.max(end) }
        });
        let lines = meant.and_then(|meant| self.anchor(meant));
        let mut explanation = plain::prose(&draft.explanation, MAX_EXPLANATION);

        let suggestion = draft.suggestion.map(|text| plain::code(&text)).and_then(|text| {
            if text.chars().count() > MAX_SUGGESTION {
                left_out.long_suggestions += 1;
                return None;
            }
            Some(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
        });
        // It replaces exactly the lines that the engine meant; elsewhere it would break the file.
        let (suggestion, adrift) =
            if lines == meant && lines.is_some() { (suggestion, None) } else { (None, suggestion) };
        if let Some(meant) = meant.filter(|_| lines.is_none()) {
            push_paragraph(&mut explanation, &format!("(About {}, which the diff does not show.)", spoken(meant)));
        }
        if let Some(adrift) = adrift {
            let fence = plain::fence(&adrift);
            let place = meant.map(|meant| format!(" for {}", spoken(meant))).unwrap_or_default();
            push_paragraph(&mut explanation, &format!("Suggested{place}:\n\n{fence}\n{adrift}\n{fence}"));
        }

        let rule = draft.rule.map(|rule| plain::one_line(&rule, MAX_RULE)).filter(|rule| !rule.is_empty());
        let secret = is_secret(rule.as_deref());
        let explanation = plain::prose(&explanation, MAX_EXPLANATION);
        let title = [draft.title.as_str(), explanation.lines().next().unwrap_or(""), rule.as_deref().unwrap_or("")]
            .into_iter()
            .map(|text| plain::one_line(text, MAX_TITLE))
            .find(|title| !title.is_empty())
            .unwrap_or_else(|| "a finding without words".to_owned());
        Finding {
            fingerprint: String::new(),
            severity: draft.severity,
            category: draft.category,
            path: self.path.to_owned(),
            lines,
            title,
            explanation,
            suggestion,
            confidence: if draft.confidence.is_nan() { 0.0 } else { draft.confidence.clamp(0.0, 1.0) },
            rule,
            excerpt: lines.map(|lines| self.excerpt(lines, secret)).unwrap_or_default(),
        }
    }

    /// Where in the diff `meant` stands: the lines of it that one hunk shows, else the nearest line within reach.
    fn anchor(&self, meant: Lines) -> Option<Lines> {
        // The hunks lie apart and ascend, so only the two around the first line can be near.
        let behind = self.hunks.partition_point(|hunk| hunk.end < meant.start);
        if let Some(hunk) = self.hunks.get(behind).filter(|hunk| hunk.start <= meant.end) {
            return Some(Lines { start: meant.start.max(hunk.start), end: meant.end.min(hunk.end) });
        }
        let before = behind.checked_sub(1).map(|at| self.hunks[at].end).map(|end| (meant.start - end, end));
        let after = self.hunks.get(behind).map(|hunk| (hunk.start - meant.end, hunk.start));
        let (distance, line) = before.into_iter().chain(after).min()?;
        (distance <= REACH).then_some(Lines { start: line, end: line })
    }

    fn excerpt(&self, lines: Lines, secret: bool) -> Vec<ExcerptLine> {
        let excerpt = self.between(lines).iter().take(MAX_EXCERPT);
        let shown = |text: &str| if secret { masked(text) } else { text.to_owned() };
        excerpt
            .map(|(number, text)| ExcerptLine { number: *number, text: plain::cut(&shown(text), MAX_EXCERPT_LINE) })
            .collect()
    }

    /// The lines meant, whatever their indentation and spacing.
    fn text(&self, lines: Lines) -> String {
        let mut text = String::new();
        for (_, line) in self.between(lines).iter().take(MAX_NAMED_LINES) {
            for word in line.split_whitespace() {
                text.push_str(word);
                text.push(' ');
            }
        }
        text
    }

    fn between(&self, lines: Lines) -> &[(u32, &'a str)] {
        let start = self.lines.partition_point(|(number, _)| *number < lines.start);
        let end = self.lines.partition_point(|(number, _)| *number <= lines.end);
        &self.lines[start..end]
    }
}

#[derive(Default)]
struct LeftOut {
    /// How many were below each floor.
    below: BTreeMap<Severity, usize>,
    repeated: usize,
    long_suggestions: usize,
    /// How many of each severity there was no room for.
    over: BTreeMap<Reverse<Severity>, usize>,
    /// How many drafts named each path that is no file of the change.
    strays: BTreeMap<String, usize>,
}

impl LeftOut {
    fn notes(self) -> Vec<String> {
        let LeftOut { below, repeated, long_suggestions, over, strays } = self;
        let mut notes = Vec::new();
        let further: usize = strays.values().skip(MAX_STRAYS).sum();
        for (path, number) in strays.into_iter().take(MAX_STRAYS) {
            let findings = count(number, "finding");
            notes.push(match path.is_empty() {
                true => format!("left out {findings} without a path"),
                false => format!("left out {findings} about `{path}`, which is not a file of this change"),
            });
        }
        if further > 0 {
            notes.push(format!(
                "left out {} about further paths that are not in this change",
                count(further, "finding")
            ));
        }
        for (floor, number) in below {
            notes.push(format!("left out {} below `{floor}`", count(number, "finding")));
        }
        if repeated > 0 {
            notes.push(format!("left out {} that only repeated another", count(repeated, "finding")));
        }
        if !over.is_empty() {
            let number = count(over.values().sum(), "finding");
            let each: Vec<String> = over
                .iter()
                .map(|(severity, number)| format!("{} {}", quantity::grouped(*number as u64), severity.0))
                .collect();
            let kept = quantity::grouped(MAX_FINDINGS as u64);
            notes.push(format!("left out {number} ({}) beyond the {kept} gravest", each.join(", ")));
        }
        if long_suggestions > 0 {
            let limit = quantity::grouped(MAX_SUGGESTION as u64);
            notes.push(format!("left out {} of more than {limit} characters", count(long_suggestions, "suggestion")));
        }
        notes
    }
}

/// The path without `.` and empty components; `None` where it leaves the repository.
fn without_dots(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// The words of a title, without what changes from one run to the next: case, punctuation, numbers.
pub(super) fn normalised(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| word.contains(|c: char| !c.is_ascii_digit()));
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn spoken(lines: Lines) -> String {
    match lines.start == lines.end {
        true => format!("line {}", lines.start),
        false => format!("lines {} to {}", lines.start, lines.end),
    }
}

fn push_paragraph(text: &mut String, paragraph: &str) {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(paragraph);
}

/// Rules about secrets are named for it. Their excerpts go into the store, reports and CI logs, where the secret must
/// not stand once more.
fn is_secret(rule: Option<&str>) -> bool {
    rule.is_some_and(|rule| rule.starts_with("secret-"))
}

/// The line with everything that could be a key cut down to its first four characters.
fn masked(line: &str) -> String {
    let is_part = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '+' | '/' | '_' | '-' | '.' | '~' | '!' | '@' | '#' | '$' | '%' | '^' | '&' | '*')
    };
    let mut shown = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let run = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
        // Names of variables are long, too, but hold no digits or only one case.
        if word.len() >= 8
            && (has(char::is_ascii_digit)
                || (has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase))
                || word.contains(['!', '@', '#', '$', '%', '^', '&', '*']))
        {
            shown.push_str(&word[..4]);
            shown.push('…');
        } else {
            shown.push_str(word);
        }
        let skipped = after.chars().next().map_or(0, char::len_utf8);
        shown.push_str(&after[..skipped]);
        rest = &after[skipped..];
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::Category;
    use crate::review::sample::{added, binary, deleted, diff, file, renamed};

    fn draft(path: &str, start: u32, end: u32) -> Draft {
        Draft {
            path: path.to_owned(),
            start_line: Some(start),
            end_line: Some(end),
            severity: Severity::High,
            category: Category::Correctness,
            title: "index out of bounds".to_owned(),
            explanation: "It panics.".to_owned(),
            suggestion: None,
            confidence: 1.0,
            rule: None,
        }
    }

    fn change() -> Diff {
        diff(vec![
            file(
                "src/a.rs",
                &[(10, &[" ten", "-gone", "+\televen", "+twelve", " thirteen"]), (30, &["+thirty", " more"])],
            ),
            renamed("old.rs", "new.rs", &[(1, &["+one"])]),
            deleted("gone.rs", &["-x"]),
            binary("logo.png"),
            added("a/deep.rs", &["+x"]),
        ])
    }

    fn judged(drafts: Vec<Draft>) -> Judged {
        judge(drafts, &change(), &Options::default())
    }

    fn only(draft: Draft) -> Finding {
        let judged = judged(vec![draft]);
        assert_eq!(judged.notes, [""; 0]);
        judged.findings.into_iter().next().unwrap()
    }

    fn lines(start: u32, end: u32) -> Option<Lines> {
        Some(Lines { start, end })
    }

    #[test]
    fn a_finding_in_the_diff_keeps_its_place() {
        let finding = only(Draft { suggestion: Some("12\n".to_owned()), ..draft("src/a.rs", 11, 12) });
        assert_eq!(finding.lines, lines(11, 12));
        assert_eq!(finding.suggestion.as_deref(), Some("12"));
        assert_eq!(finding.explanation, "It panics.");
        assert_eq!(
            finding.excerpt,
            [
                ExcerptLine { number: 11, text: "\televen".to_owned() },
                ExcerptLine { number: 12, text: "twelve".to_owned() },
            ]
        );
        assert_eq!(finding.fingerprint.len(), 16);
    }

    #[test]
    fn a_path_may_be_spelt_in_many_ways() {
        let options = Options { checkout: Some("/run/job/checkout".into()), ..Options::default() };
        for (spelt, path) in [
            ("./src/a.rs", "src/a.rs"),
            ("a/src/a.rs", "src/a.rs"),
            ("b/src//a.rs", "src/a.rs"),
            ("/run/job/checkout/src/a.rs", "src/a.rs"),
            ("/src/a.rs", "src/a.rs"),
            (" src/a.rs ", "src/a.rs"),
            ("a/deep.rs", "a/deep.rs"),
            ("a/a/deep.rs", "a/deep.rs"),
            ("old.rs", "new.rs"),
            ("./ends in a blank ", "ends in a blank "),
        ] {
            let mut change = change();
            change.files.push(added("ends in a blank ", &["+x"]));
            let judged = judge(vec![draft(spelt, 1, 1)], &change, &options);
            assert_eq!(judged.findings.first().map(|finding| finding.path.as_str()), Some(path), "{spelt}");
        }
    }

    #[test]
    fn a_path_that_is_not_in_the_change_is_noted() {
        let strays = ["/etc/passwd", "src/../../x", "src/A.rs\u{1b}[31m", "src/A.rs", ""];
        let judged = judged(strays.iter().map(|path| draft(path, 1, 1)).collect());
        assert_eq!(judged.findings, []);
        assert_eq!(
            judged.notes,
            [
                "left out 1 finding without a path",
                "left out 1 finding about `/etc/passwd`, which is not a file of this change",
                "left out 1 finding about `src/../../x`, which is not a file of this change",
                "left out 2 findings about `src/A.rs`, which is not a file of this change",
            ]
        );
    }

    #[test]
    fn many_strays_are_counted() {
        let judged = judged((0..15).map(|number| draft(&format!("stray{number:02}"), 1, 1)).collect());
        assert_eq!(judged.notes.len(), 11);
        assert_eq!(judged.notes[10], "left out 5 findings about further paths that are not in this change");
    }

    #[test]
    fn lines_are_brought_into_the_diff() {
        for (start, end, expected) in [
            (10, 10, lines(10, 10)),
            (12, 11, lines(11, 12)),
            (7, 7, lines(10, 10)),
            (1, 8, lines(10, 10)),
            (6, 6, None),
            (16, 16, lines(13, 13)),
            (17, 20, None),
            (27, 27, lines(30, 30)),
            (1, 100, lines(10, 13)),
            (12, 30, lines(12, 13)),
            (0, 0, None),
            (u32::MAX, u32::MAX, None),
        ] {
            assert_eq!(only(draft("src/a.rs", start, end)).lines, expected, "{start} to {end}");
        }
        assert_eq!(only(Draft { end_line: None, ..draft("src/a.rs", 12, 0) }).lines, lines(12, 12));
        assert_eq!(only(Draft { start_line: None, ..draft("src/a.rs", 0, 12) }).lines, lines(12, 12));
        assert_eq!(only(draft("gone.rs", 1, 1)).lines, None);
        assert_eq!(only(draft("logo.png", 1, 1)).lines, None);
    }

    #[test]
    fn what_loses_its_lines_keeps_its_words() {
        let finding = only(Draft { suggestion: Some("```".to_owned()), ..draft("src/a.rs", 500, 510) });
        assert_eq!(finding.suggestion, None);
        assert_eq!(
            finding.explanation,
            "It panics.\n\n(About lines 500 to 510, which the diff does not show.)\n\n\
             Suggested for lines 500 to 510:\n\n````\n```\n````"
        );
    }

    #[test]
    fn a_suggestion_for_other_lines_is_not_applied_here() {
        let finding = only(Draft { suggestion: Some("x".to_owned()), ..draft("src/a.rs", 9, 12) });
        assert_eq!(finding.lines, lines(10, 12));
        assert_eq!(finding.suggestion, None);
        assert_eq!(finding.explanation, "It panics.\n\nSuggested for lines 9 to 12:\n\n```\nx\n```");
    }

    #[test]
    fn a_suggestion_too_long_to_keep_is_noted() {
        let judged = judged(vec![Draft { suggestion: Some("x".repeat(20_001)), ..draft("src/a.rs", 10, 10) }]);
        assert_eq!(judged.findings[0].suggestion, None);
        assert_eq!(judged.notes, ["left out 1 suggestion of more than 20,000 characters"]);
    }

    #[test]
    fn hostile_text_is_made_plain() {
        let finding = only(Draft {
            title: format!("\u{1b}[2Jall\u{202e} good\n{}", "x".repeat(300)),
            explanation: format!("one\r\n\u{1b}]0;title\u{7}two\u{200b}{}", "y".repeat(20_000)),
            suggestion: Some("let a = \"\u{202e}\";\u{1b}[31m".to_owned()),
            rule: Some(" my\nrule\u{7} ".to_owned()),
            confidence: f64::NAN,
            ..draft("src/a.rs", 10, 10)
        });
        assert!(finding.title.starts_with("all good xxx"));
        assert_eq!(finding.title.chars().count(), 200);
        assert!(finding.explanation.starts_with("one\ntwoyyy"));
        assert_eq!(finding.explanation.chars().count(), 10_000);
        assert_eq!(finding.suggestion.as_deref(), Some("let a = \"\u{202e}\";"));
        assert_eq!(finding.rule.as_deref(), Some("my rule"));
        assert_eq!(finding.confidence, 0.0);
    }

    #[test]
    fn the_excerpt_of_a_secret_does_not_hold_the_secret() {
        let token = concat!("ghp", "_9fKq2LxWvB7nYtR4mZc8HsD1jPgU6aE0oXiT");
        assert_eq!(masked(&format!("GITHUB_TOKEN = \"{token}\"")), "GITHUB_TOKEN = \"ghp_…\"");
        assert_eq!(masked("password: 'Tr0ub4dor&3'"), "password: 'Tr0u…'");
        let change = diff(vec![added("a.py", &[&format!("+key = '{token}'")])]);
        let mut of_rule = draft("a.py", 1, 1);
        of_rule.rule = Some("secret-github-token".into());
        let excerpt = judge(vec![of_rule], &change, &Options::default()).findings.remove(0).excerpt;
        assert_eq!(excerpt[0].text, "key = 'ghp_…'");
    }

    #[test]
    fn an_excerpt_is_short() {
        let long = format!("+{}", "x".repeat(5000));
        let change = diff(vec![added("a.rs", &[long.as_str(); 20])]);
        let excerpt = judge(vec![draft("a.rs", 3, 18)], &change, &Options::default()).findings.remove(0).excerpt;
        assert_eq!(excerpt.iter().map(|line| line.number).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
        assert!(excerpt.iter().all(|line| line.text.chars().count() == 1000));
    }

    #[test]
    fn confidence_is_a_share() {
        for (said, expected) in [(2.0, 1.0), (-1.0, 0.0), (f64::INFINITY, 1.0), (0.3, 0.3)] {
            assert_eq!(only(Draft { confidence: said, ..draft("src/a.rs", 10, 10) }).confidence, expected);
        }
    }

    #[test]
    fn a_finding_always_has_a_title() {
        let silent = |explanation: &str, rule: Option<&str>| Draft {
            title: "\u{200b}\n".to_owned(),
            explanation: explanation.to_owned(),
            rule: rule.map(str::to_owned),
            ..draft("src/a.rs", 10, 10)
        };
        assert_eq!(only(silent("First.\nSecond.", None)).title, "First.");
        assert_eq!(only(silent("", Some("no-eval"))).title, "no-eval");
        assert_eq!(only(silent("", None)).title, "a finding without words");
    }

    #[test]
    fn repeats_and_what_is_below_the_floor_are_counted() {
        let low = Draft { severity: Severity::Low, ..draft("src/a.rs", 10, 10) };
        let unsure = Draft { confidence: 0.2, explanation: "Perhaps.".to_owned(), ..draft("./src/a.rs", 10, 10) };
        let options = Options { floor: Severity::Medium, ..Options::default() };
        let judged =
            judge(vec![low, unsure, draft("src/a.rs", 10, 10), draft("src/a.rs", 12, 12)], &change(), &options);
        assert_eq!(judged.findings.len(), 2);
        assert_eq!(judged.findings[0].explanation, "It panics.");
        assert_eq!(
            judged.notes,
            ["left out 1 finding below `medium`", "left out 1 finding that only repeated another"]
        );
    }

    #[test]
    fn a_path_may_have_a_floor_of_its_own() {
        let text = "[[paths]]\nmatch = [\"src/\"]\nmin_severity = \"high\"\n[[paths]]\nmatch = [\"a/\"]\nmin_severity = \"info\"\n";
        let source = crate::config::Source { path: std::path::Path::new("c"), text };
        let rules = PathRules::new(&crate::config::parse_config(&[source]).unwrap().paths).unwrap();
        let options = Options { floor: Severity::Medium, rules, checkout: None };
        let make = |path: &str, severity| Draft { severity, ..draft(path, 1, 1) };
        let drafts = vec![
            make("./src/a.rs", Severity::Medium),
            make("src/a.rs", Severity::High),
            make("a/deep.rs", Severity::Info),
            make("new.rs", Severity::Low),
            make("new.rs", Severity::Medium),
            make("nowhere", Severity::Low),
        ];
        let judged = judge(drafts, &change(), &options);
        let kept: Vec<&str> = judged.findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(kept, ["src/a.rs", "new.rs", "a/deep.rs"]);
        assert_eq!(judged.notes, ["left out 2 findings below `medium`", "left out 1 finding below `high`"]);
    }

    #[test]
    fn two_faults_in_one_line_are_two_findings() {
        let unused = |name: &str| Draft {
            rule: Some("unused".to_owned()),
            title: format!("`{name}` is unused"),
            ..draft("src/a.rs", 10, 10)
        };
        let port = |number: u32| Draft { title: format!("port {number} is taken"), ..draft("src/a.rs", 12, 12) };
        let findings = judged(vec![unused("a"), unused("b"), port(80), port(443)]).findings;
        let names: HashSet<&str> = findings.iter().map(|finding| finding.fingerprint.as_str()).collect();
        assert_eq!(names.len(), 4);
    }

    #[test]
    fn the_gravest_comes_first() {
        let make = |path: &str, line: u32, severity| Draft { severity, ..draft(path, line, line) };
        let findings = judged(vec![
            make("src/a.rs", 30, Severity::Low),
            make("src/a.rs", 12, Severity::High),
            make("src/a.rs", 500, Severity::High),
            make("a/deep.rs", 1, Severity::High),
            make("src/a.rs", 11, Severity::Critical),
        ])
        .findings;
        let order: Vec<_> = findings
            .iter()
            .map(|finding| (finding.severity.as_str(), finding.path.as_str(), finding.lines.map(|lines| lines.start)))
            .collect();
        assert_eq!(
            order,
            [
                ("critical", "src/a.rs", Some(11)),
                ("high", "a/deep.rs", Some(1)),
                ("high", "src/a.rs", None),
                ("high", "src/a.rs", Some(12)),
                ("low", "src/a.rs", Some(30)),
            ]
        );
    }

    #[test]
    fn a_fingerprint_survives_moved_lines_and_new_indentation() {
        let name = |start: u32, text: &str, title: &str| {
            let change = diff(vec![file("a.rs", &[(start, &[text])])]);
            let draft = Draft { title: title.to_owned(), ..draft("a.rs", start, start) };
            judge(vec![draft], &change, &Options::default()).findings[0].fingerprint.clone()
        };
        let first = name(1, "+let x = y[3];", "Index out of bounds at line 1");
        assert_eq!(first, name(70, "+    let  x = y[3];\r", "index out of bounds, at line 70"));
        assert_ne!(first, name(1, "+let x = y[4];", "Index out of bounds at line 1"));
        assert_ne!(first, name(1, "+let x = y[3];", "Division by zero"));
        assert_eq!(first, "778bd447e120e71b");
    }

    #[test]
    fn identical_lines_are_told_apart_by_their_order() {
        let names = |lines: &[&str], at: [u32; 2]| -> Vec<String> {
            let change = diff(vec![added("a.rs", lines)]);
            let drafts = at.iter().map(|line| draft("a.rs", *line, *line)).collect();
            judge(drafts, &change, &Options::default())
                .findings
                .into_iter()
                .map(|finding| finding.fingerprint)
                .collect()
        };
        let before = names(&["+x[1]", "+x[1]"], [2, 1]);
        let after = names(&["+new", "+x[1]", "+new", "+x[1]"], [2, 4]);
        assert_ne!(before[0], before[1]);
        assert_eq!(before, after);
    }

    #[test]
    fn of_very_many_the_gravest_are_kept_and_the_others_counted() {
        let lines = vec!["+x"; 300_000];
        let change = diff(vec![added("a.rs", &lines)]);
        let drafts = (1..=100_000)
            .map(|line| Draft {
                severity: [Severity::Low, Severity::Info, Severity::High][line as usize % 3],
                title: format!("fault {line}"),
                ..draft("a.rs", line, 300_000)
            })
            .collect();
        let judged = judge(drafts, &change, &Options::default());
        assert_eq!(judged.findings.len(), MAX_FINDINGS);
        assert!(judged.findings.iter().all(|finding| finding.severity == Severity::High));
        assert_eq!(
            judged.notes,
            ["left out 99,000 findings (32,333 high, 33,333 low, 33,334 info) beyond the 1,000 gravest"]
        );
    }

    #[test]
    fn only_a_review_that_saw_everything_is_reviewed() {
        let file = |path: &str, coverage: Coverage| FileCoverage { path: path.to_owned(), coverage };
        let missed = |path: &str| file(path, Coverage::Missed { reason: "over the budget".to_owned() });
        let seen = file("a", Coverage::Seen);
        let excluded = file("b", Coverage::Excluded { reason: "binary".to_owned() });

        let known = file("k", Coverage::Known { job: "01J".to_owned() });

        assert_eq!(outcome(&[seen.clone(), excluded], None), (Outcome::Reviewed, None));
        assert_eq!(outcome(&[known.clone(), seen.clone()], None), (Outcome::Reviewed, None));
        assert_eq!(outcome(&[known, missed("c")], None).0, Outcome::Partial);
        assert_eq!(
            outcome(&[seen.clone(), missed("c\n")], None),
            (Outcome::Partial, Some("1 of 2 files was not seen: `c\\n` (over the budget)".to_owned()))
        );
        let many: Vec<FileCoverage> = ["c", "d", "e", "f", "g"].map(missed).into();
        assert_eq!(
            outcome(&many, Some("stopped at the\nturn limit")).1.unwrap(),
            "5 of 5 files were not seen: `c` (over the budget), `d` (over the budget), `e` (over the budget), \
             and 2 more; stopped at the turn limit"
        );
        assert_eq!(outcome(&[seen], Some("")), (Outcome::Partial, Some("the engine did not finish".to_owned())));
    }

    proptest! {
        #[test]
        fn every_finding_stands_in_the_diff(
            drafts in prop::collection::vec(
                (
                    "(\\./|[ab]/|/|)(src/a\\.rs|old\\.rs|gone\\.rs|nowhere)",
                    any::<Option<u8>>(),
                    any::<Option<u8>>(),
                    any::<String>(),
                    any::<f64>(),
                ),
                0..20,
            )
        ) {
            let drafts: Vec<Draft> = drafts
                .into_iter()
                .map(|(path, start, end, text, confidence)| Draft {
                    start_line: start.map(u32::from),
                    end_line: end.map(u32::from),
                    title: text.clone(),
                    suggestion: Some(text),
                    confidence,
                    ..draft(&path, 0, 0)
                })
                .collect();
            let number = drafts.len();
            let change = change();
            let judged = judge(drafts, &change, &Options::default());
            prop_assert!(judged.findings.len() <= number);
            prop_assert!(judged.findings.len() == number || !judged.notes.is_empty());
            let names: HashSet<&str> = judged.findings.iter().map(|finding| finding.fingerprint.as_str()).collect();
            prop_assert_eq!(names.len(), judged.findings.len());
            for finding in &judged.findings {
                let file = change.files.iter().find(|file| file.path == finding.path);
                prop_assert!(file.is_some());
                prop_assert!((0.0..=1.0).contains(&finding.confidence));
                prop_assert!(!finding.title.is_empty() && !finding.title.contains(plain::is_hidden));
                if let Some(Lines { start, end }) = finding.lines {
                    prop_assert!(start <= end);
                    let in_one_hunk = file.unwrap().hunks.iter().any(|hunk| {
                        (start..=end).all(|number| hunk.lines.iter().any(|line| line.new == Some(number)))
                    });
                    prop_assert!(in_one_hunk);
                    prop_assert!(!finding.excerpt.is_empty());
                }
            }
        }
    }
}
