//! The findings ledger: what was found before and what became of it, compared with what is found now. Pure;
//! `store::ledger` keeps the rows, `recall` brings both together.
//!
//! A finding is known by the fingerprint of its first report. A later report that means the same adopts it, however it
//! is worded and wherever its lines stand by now, so that nothing is posted twice. A dismissal lasts as long as the
//! lines that it was about.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::judge::{self, normalised};
use super::{Coverage, FileCoverage};
use crate::diff::Diff;
use crate::finding::{Finding, Lines, Severity};

/// Lines of a finding that are remembered.
const MAX_LINES: usize = 100;
/// From which share of common words on two titles are about the same.
const SIMILAR: f64 = 0.5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Reported, and nothing came of it yet
    Open,
    /// No longer reported by a review that looked
    Fixed,
    /// Not wanted: not shown again unless its lines change
    Dismissed,
}

impl State {
    pub const ALL: [State; 3] = [State::Open, State::Fixed, State::Dismissed];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Fixed => "fixed",
            State::Dismissed => "dismissed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        State::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("`{text}` is no state"))
    }
}

/// A finding of one pull request, or of a repository on this host, through all its reviews.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// `owner/name` in lower case, or the path of a repository on this host.
    pub project: String,
    /// 0 where it is of no pull request.
    pub pull: u64,
    /// That of its first report, by which it is known at the forge.
    pub fingerprint: String,
    /// The one that its newest report has by itself.
    pub latest: String,
    pub state: State,
    /// As it was reported last.
    pub finding: Finding,
    /// Digests of the lines meant, as in [`Texts`]; none for a finding about a file as a whole.
    pub lines: Vec<String>,
    /// The engine that reported it last.
    pub engine: String,
    pub first: Report,
    pub last: Report,
    /// The head at which it was no longer reported.
    pub fixed_head: Option<String>,
    pub dismissal: Option<Dismissal>,
    pub heard: Heard,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub job: String,
    pub base: String,
    pub head: String,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dismissal {
    pub by: String,
    pub why: Option<String>,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// How much of the conversation about a finding has been counted: what was counted once does not dismiss again after
/// somebody has restored the finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Heard {
    /// Id of the newest reply.
    pub reply: u64,
    pub resolved: bool,
}

/// What the conversation says about a finding, beyond what was heard before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub heard: Heard,
    pub dismissal: Option<Dismissal>,
}

/// A row to write, and the state in which it was found; `None` for a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub row: Row,
    pub was: Option<State>,
}

/// What is remembered of a project.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Of this pull request.
    pub rows: Vec<Row>,
    /// Dismissed in other pull requests of the project.
    pub elsewhere: Vec<Row>,
}

/// The review that has ended.
pub struct Now<'a> {
    pub project: &'a str,
    pub pull: u64,
    pub engine: &'a str,
    pub report: Report,
    pub files: &'a [FileCoverage],
    pub texts: &'a Texts,
    /// The engine has read all that it was given.
    pub to_the_end: bool,
    /// Findings that are below it are not reported.
    pub floor: &'a (dyn Fn(&Finding) -> Severity + Sync),
}

#[derive(Debug, Default)]
pub struct Decided {
    /// Gravest first; each under the fingerprint by which it is known.
    pub findings: Vec<Finding>,
    /// How many were left out as dismissed.
    pub dismissed: usize,
    /// How many are no longer reported since this head.
    pub fixed: usize,
    /// All rows of this pull request as they are now.
    pub rows: Vec<Row>,
    /// Those of them that have changed.
    pub changed: Vec<Entry>,
}

/// Compares what is reported with what is known. `answers` are by fingerprint.
pub fn decide(known: Known, findings: Vec<Finding>, answers: &HashMap<String, Answer>, now: &Now<'_>) -> Decided {
    let Known { mut rows, elsewhere } = known;
    let before = rows.clone();
    let elsewhere = by_fingerprint(&elsewhere);
    let mut reports: Vec<Reported> = findings.into_iter().map(|finding| Reported::new(finding, now.texts)).collect();
    let partners = partners(&rows, &reports, now.texts);
    let mut decided = Decided::default();

    for (row, partner) in rows.iter_mut().zip(&partners) {
        let answer = answers.get(&row.fingerprint);
        let dismissal = answer.and_then(|answer| answer.dismissal.clone());
        row.heard = answer.map_or(row.heard, |answer| answer.heard);
        match partner {
            Some(number) => {
                let report = &mut reports[*number];
                report.known = true;
                let own = std::mem::replace(&mut report.finding.fingerprint, row.fingerprint.clone());
                let dismissal =
                    dismissal.or_else(|| elsewhere_dismissed(&elsewhere, [own.as_str(), row.fingerprint.as_str()]));
                row.state = match (row.state, &dismissal) {
                    (State::Dismissed, _) | (_, Some(_)) => State::Dismissed,
                    (State::Open | State::Fixed, None) => State::Open,
                };
                row.dismissal = row.dismissal.take().or(dismissal).filter(|_| row.state == State::Dismissed);
                row.fixed_head = None;
                // What was taken over from an earlier review has no lines here, and bears the adopted name already.
                if let Some(lines) = &report.lines {
                    (row.latest, row.lines) = (own, lines.clone());
                    row.engine = now.engine.to_owned();
                }
                row.finding = report.finding.clone();
                row.last = now.report.clone();
                report.dismissed = row.state == State::Dismissed;
            }
            None if row.state == State::Dismissed => {}
            None => {
                let looked = now.has_looked_for(row);
                match dismissal {
                    // Whoever resolves what has been mended says that it is mended.
                    Some(dismissal) if !(looked && now.is_gone(row)) => {
                        row.state = State::Dismissed;
                        row.dismissal = Some(dismissal);
                    }
                    _ if row.state == State::Open && looked => {
                        row.state = State::Fixed;
                        row.fixed_head = Some(now.report.head.clone());
                    }
                    _ => {}
                }
            }
        }
    }
    decided.changed = before
        .iter()
        .zip(&rows)
        .filter(|(before, row)| before != row)
        .map(|(before, row)| Entry { row: row.clone(), was: Some(before.state) })
        .collect();

    let dismissed: Vec<(Row, Option<Lines>)> = rows
        .iter()
        .zip(&partners)
        .filter(|(row, _)| row.state == State::Dismissed)
        .filter_map(|(row, partner)| Some((row.clone(), reports[(*partner)?].finding.lines)))
        .collect();
    for report in reports.iter_mut().filter(|report| !report.known) {
        // An engine may say twice, in two ways, what was dismissed once. The same lines in another place are another
        // finding.
        let is_said_before = |(row, lines): &(Row, Option<Lines>)| {
            report.finding.lines == *lines
                && report.is_at_lines_of(row)
                && alike(&report.words, &words(&row.finding.title)) >= SIMILAR
        };
        if dismissed.iter().any(is_said_before) {
            report.dismissed = true;
            continue;
        }
        let row = report.new_row(now, answers, &elsewhere);
        report.dismissed = row.state == State::Dismissed;
        decided.changed.push(Entry { row: row.clone(), was: None });
        rows.push(row);
    }

    decided.dismissed = reports.iter().filter(|report| report.dismissed).count();
    decided.findings = reports.into_iter().filter(|report| !report.dismissed).map(|report| report.finding).collect();
    judge::sort(&mut decided.findings);
    let fixed_now = |row: &&Row| row.state == State::Fixed && row.fixed_head.as_ref() == Some(&now.report.head);
    decided.fixed = rows.iter().filter(fixed_now).count();
    decided.rows = rows;
    decided
}

impl Now<'_> {
    /// Whether this review would have reported what the row is about, were it still there.
    fn has_looked_for(&self, row: &Row) -> bool {
        // Reviews of one's own files are of whatever was asked for; only the same base makes two of them comparable.
        let same_change = self.pull > 0 || row.last.base == self.report.base;
        let file = self.files.iter().find(|file| file.path == row.finding.path);
        // What a pull request no longer changes needs no look; of one's own files this may be another part.
        let Some(file) = file else { return self.pull > 0 };
        same_change
            && file.coverage == Coverage::Seen
            && self.to_the_end
            && row.engine == self.engine
            && row.finding.severity >= (self.floor)(&row.finding)
    }

    /// Whether the lines meant are certain to be there no longer.
    fn is_gone(&self, row: &Row) -> bool {
        let in_change = self.files.iter().any(|file| file.path == row.finding.path);
        !in_change || self.texts.has(&row.finding.path, &row.lines) == Some(false)
    }
}

/// A finding of this review.
struct Reported {
    finding: Finding,
    /// Digests of its lines; `None` where the diff is not at hand.
    lines: Option<Vec<String>>,
    words: BTreeSet<String>,
    /// It has a row.
    known: bool,
    dismissed: bool,
}

impl Reported {
    fn new(finding: Finding, texts: &Texts) -> Reported {
        let (lines, words) = (texts.lines(&finding), words(&finding.title));
        Reported { finding, lines, words, known: false, dismissed: false }
    }

    /// How surely this is what a row of another name is about: the lower the surer; `None` if it is not.
    fn rank(&self, row: &Row, likeness: f64, texts: &Texts) -> Option<u8> {
        let finding = &self.finding;
        if finding.path != row.finding.path {
            return None;
        }
        if finding.fingerprint == row.latest {
            return Some(1);
        }
        if self.is_at_lines_of(row) {
            return Some(2);
        }
        (likeness >= SIMILAR && self.touches_lines_of(row, texts)).then_some(3)
    }

    /// Rules are precise: two of them are two faults.
    fn is_of_other_rule(&self, row: &Row) -> bool {
        matches!((&self.finding.rule, &row.finding.rule), (Some(rule), Some(other)) if rule != other)
    }

    /// The very same lines, and the same kind of fault.
    fn is_at_lines_of(&self, row: &Row) -> bool {
        let same_rule = self.finding.rule.is_some() && self.finding.rule == row.finding.rule;
        (same_rule || self.finding.category == row.finding.category)
            && !self.is_of_other_rule(row)
            && self.finding.path == row.finding.path
            && self.lines.as_ref().is_some_and(|lines| *lines == row.lines && lines.iter().any(|line| tells(line)))
    }

    /// Some of the same lines. What was dismissed is so for its lines as they were, all of them.
    fn touches_lines_of(&self, row: &Row, texts: &Texts) -> bool {
        let Some(lines) = self.lines.as_ref().filter(|_| !self.is_of_other_rule(row)) else { return false };
        let both_about_the_file = lines.is_empty() && row.lines.is_empty();
        let shared = || lines.iter().any(|line| tells(line) && row.lines.contains(line));
        let as_it_was = || row.state != State::Dismissed || texts.has(&row.finding.path, &row.lines) == Some(true);
        *lines == row.lines || both_about_the_file || (shared() && as_it_was())
    }

    fn new_row(
        &self,
        now: &Now<'_>,
        answers: &HashMap<String, Answer>,
        elsewhere: &HashMap<&str, (&Row, &Dismissal)>,
    ) -> Row {
        let finding = self.finding.clone();
        let answer = answers.get(&finding.fingerprint).cloned().unwrap_or_default();
        let dismissal = answer.dismissal.or_else(|| elsewhere_dismissed(elsewhere, [finding.fingerprint.as_str()]));
        Row {
            project: now.project.to_owned(),
            pull: now.pull,
            fingerprint: finding.fingerprint.clone(),
            latest: finding.fingerprint.clone(),
            state: if dismissal.is_some() { State::Dismissed } else { State::Open },
            finding,
            lines: self.lines.clone().unwrap_or_default(),
            engine: now.engine.to_owned(),
            first: now.report.clone(),
            last: now.report.clone(),
            fixed_head: None,
            dismissal,
            heard: answer.heard,
        }
    }
}

/// For each row the report that is about the same, if there is one. Each report belongs to one row at most.
fn partners(rows: &[Row], reports: &[Reported], texts: &Texts) -> Vec<Option<usize>> {
    let by_name: HashMap<&str, usize> =
        reports.iter().enumerate().map(|(number, report)| (report.finding.fingerprint.as_str(), number)).collect();
    // Most are reported as before, and need no comparison with all the others.
    let mut partners: Vec<Option<usize>> =
        rows.iter().map(|row| by_name.get(row.fingerprint.as_str()).copied()).collect();
    let mut taken: HashSet<usize> = partners.iter().copied().flatten().collect();
    let mut pairs = Vec::new();
    for (of_row, row) in rows.iter().enumerate().filter(|(of_row, _)| partners[*of_row].is_none()) {
        let words = words(&row.finding.title);
        for (of_report, report) in reports.iter().enumerate().filter(|(number, _)| !taken.contains(number)) {
            if report.finding.path != row.finding.path {
                continue;
            }
            let likeness = alike(&report.words, &words);
            let Some(rank) = report.rank(row, likeness, texts) else { continue };
            let likeness = (likeness * 1000.0) as u32;
            // Between equals what was dismissed comes first: no wording may bring it back.
            let state = match row.state {
                State::Dismissed => 0,
                State::Open => 1,
                State::Fixed => 2,
            };
            pairs.push((rank, Reverse(likeness), state, of_row, of_report));
        }
    }
    pairs.sort_unstable();
    for (.., row, report) in pairs {
        if partners[row].is_none() && taken.insert(report) {
            partners[row] = Some(report);
        }
    }
    partners
}

fn by_fingerprint(dismissed: &[Row]) -> HashMap<&str, (&Row, &Dismissal)> {
    let each = |row| {
        let Row { fingerprint, latest, dismissal, .. }: &Row = row;
        let found = dismissal.as_ref().map(|dismissal| (row, dismissal));
        [fingerprint.as_str(), latest.as_str()].into_iter().filter_map(move |name| Some((name, found?)))
    };
    dismissed.iter().flat_map(each).collect()
}

/// A dismissal holds for the whole project.
fn elsewhere_dismissed<'a>(
    elsewhere: &HashMap<&str, (&Row, &Dismissal)>,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<Dismissal> {
    let (row, dismissal) = *names.into_iter().find_map(|name| elsewhere.get(name))?;
    let place = match row.pull {
        0 => row.project.clone(),
        pull => format!("{}#{pull}", row.project),
    };
    // One that came from elsewhere itself says so already.
    let why = match &dismissal.why {
        Some(why) if why.starts_with("dismissed in ") => why.clone(),
        Some(why) => format!("dismissed in {place}: {why}"),
        None => format!("dismissed in {place}"),
    };
    Some(Dismissal { why: Some(why), ..dismissal.clone() })
}

/// The share of words that two titles have in common, 0 to 1.
fn alike(words: &BTreeSet<String>, others: &BTreeSet<String>) -> f64 {
    let all = words.len() + others.len();
    if all == 0 { 0.0 } else { 2.0 * words.intersection(others).count() as f64 / all as f64 }
}

/// The words of a title that carry it.
fn words(title: &str) -> BTreeSet<String> {
    const EMPTY: [&str; 20] = [
        "a", "an", "the", "is", "are", "be", "can", "may", "of", "in", "on", "at", "to", "for", "and", "or", "with",
        "by", "it", "this",
    ];
    let normalised = normalised(title);
    normalised.split(' ').filter(|word| !word.is_empty() && !EMPTY.contains(word)).map(str::to_owned).collect()
}

/// The new sides of files, as far as a diff shows them: each line as a digest of its words, whatever their spacing. A
/// line without a letter or a digit tells nothing and has none.
#[derive(Debug, Default)]
pub struct Texts {
    /// Numbers ascending.
    files: HashMap<String, Vec<(u32, String)>>,
}

impl Texts {
    /// The files of these paths.
    pub fn of<'a>(diff: &Diff, paths: impl IntoIterator<Item = &'a str>) -> Texts {
        let wanted: HashSet<&str> = paths.into_iter().collect();
        let mut files: HashMap<String, Vec<(u32, String)>> = HashMap::new();
        for file in diff.files.iter().filter(|file| wanted.contains(file.path.as_str())) {
            let lines = file.hunks.iter().flat_map(|hunk| &hunk.lines);
            let new = lines.filter_map(|line| Some((line.new?, digest(&line.text))));
            files.entry(file.path.clone()).or_default().extend(new);
        }
        files.values_mut().for_each(|lines| lines.sort_by_key(|(number, _)| *number));
        Texts { files }
    }

    /// Those that a finding means; `None` where the file is not at hand.
    fn lines(&self, finding: &Finding) -> Option<Vec<String>> {
        let file = self.files.get(&finding.path)?;
        let Some(lines) = finding.lines else { return Some(Vec::new()) };
        let start = file.partition_point(|(number, _)| *number < lines.start);
        let meant = file[start..].iter().take_while(|(number, _)| *number <= lines.end);
        Some(meant.take(MAX_LINES).map(|(_, digest)| digest.clone()).collect())
    }

    /// Whether the file shows these lines, one after the other; `None` where the file is not at hand.
    pub fn has(&self, path: &str, lines: &[String]) -> Option<bool> {
        let file = self.files.get(path)?;
        let follow = |window: &[(u32, String)]| {
            window.iter().zip(lines).all(|((_, shown), line)| shown == line)
                && window.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0)
        };
        Some(lines.is_empty() || file.windows(lines.len()).any(follow))
    }
}

fn digest(line: &str) -> String {
    if !line.contains(char::is_alphanumeric) {
        return String::new();
    }
    let mut hash = Sha256::new();
    for word in line.split_whitespace() {
        hash.update(word);
        hash.update(" ");
    }
    hex::encode(&hash.finalize()[..8])
}

fn tells(digest: &str) -> bool {
    !digest.is_empty()
}

#[cfg(test)]
pub mod sample {
    //! Rows for tests.

    use super::*;
    use crate::finding::Category;

    pub fn finding(name: &str, title: &str, line: u32) -> Finding {
        Finding {
            fingerprint: name.to_owned(),
            severity: Severity::High,
            category: Category::Correctness,
            path: "a.rs".to_owned(),
            lines: (line > 0).then_some(Lines { start: line, end: line }),
            title: title.to_owned(),
            explanation: "Because.".to_owned(),
            suggestion: None,
            confidence: 1.0,
            rule: None,
            excerpt: vec![],
        }
    }

    pub fn row(project: &str, pull: u64, name: &str) -> Row {
        Row {
            project: project.to_owned(),
            pull,
            fingerprint: name.to_owned(),
            latest: name.to_owned(),
            state: State::Open,
            finding: finding(name, "it breaks", 3),
            lines: vec!["0011".to_owned()],
            engine: "claude".to_owned(),
            first: Report { job: "01A".into(), base: "b".into(), head: "h".into(), at_ms: 1 },
            last: Report { job: "01B".into(), base: "b".into(), head: "i".into(), at_ms: 2 },
            fixed_head: None,
            dismissal: None,
            heard: Heard::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::{Category, Draft};
    use crate::review::sample::{added, diff};

    const PROJECT: &str = "acme/shop";
    const FILE: [&str; 6] = ["fn a() {", "    let x = y[3];", "}", "fn b() {", "    z.unwrap();", "}"];

    /// A pull request under review, round after round; what is decided is remembered.
    #[derive(Clone)]
    struct Pull {
        lines: Vec<String>,
        rows: Vec<Row>,
        elsewhere: Vec<Row>,
        answers: HashMap<String, Answer>,
        files: Vec<FileCoverage>,
        engine: &'static str,
        to_the_end: bool,
        floor: Severity,
        number: u64,
        head: u32,
        base: &'static str,
    }

    impl Pull {
        fn new() -> Pull {
            Pull {
                lines: FILE.map(str::to_owned).into(),
                rows: vec![],
                elsewhere: vec![],
                answers: HashMap::new(),
                files: vec![FileCoverage { path: "a.rs".into(), coverage: Coverage::Seen }],
                engine: "claude",
                to_the_end: true,
                floor: Severity::Info,
                number: 42,
                head: 0,
                base: "base",
            }
        }

        /// Each finding is its first and last line and its title.
        fn review(&mut self, reported: &[(u32, u32, &str)]) -> Decided {
            self.review_drafts(reported.iter().map(|(start, end, title)| draft(*start, *end, title)).collect())
        }

        fn review_drafts(&mut self, drafts: Vec<Draft>) -> Decided {
            let lines: Vec<String> = self.lines.iter().map(|line| format!("+{line}")).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let diff = diff(vec![added("a.rs", &lines)]);
            let findings = judge::judge(drafts, &diff, &judge::Options::default()).findings;
            self.decide(findings, &Texts::of(&diff, ["a.rs"]))
        }

        fn decide(&mut self, findings: Vec<Finding>, texts: &Texts) -> Decided {
            self.head += 1;
            let known = Known { rows: self.rows.clone(), elsewhere: self.elsewhere.clone() };
            let report = Report {
                job: format!("job {}", self.head),
                base: self.base.into(),
                head: format!("head {}", self.head),
                at_ms: i64::from(self.head),
            };
            let now = Now {
                project: PROJECT,
                pull: self.number,
                engine: self.engine,
                report,
                files: &self.files,
                texts,
                to_the_end: self.to_the_end,
                floor: &|_| self.floor,
            };
            let decided = decide(known, findings, &std::mem::take(&mut self.answers), &now);
            self.rows = decided.rows.clone();
            decided
        }

        fn states(&self) -> Vec<State> {
            self.rows.iter().map(|row| row.state).collect()
        }

        fn dismiss(&mut self, name: &str) {
            let row = self.rows.iter_mut().find(|row| row.fingerprint == name).unwrap();
            (row.state, row.dismissal) = (State::Dismissed, Some(dismissal()));
        }

        fn answer(&mut self, name: &str) {
            let heard = Heard { reply: 5, resolved: false };
            self.answers.insert(name.to_owned(), Answer { heard, dismissal: Some(dismissal()) });
        }
    }

    fn dismissal() -> Dismissal {
        Dismissal { by: "mary".into(), why: Some("intended".into()), at_ms: 1 }
    }

    fn draft(start: u32, end: u32, title: &str) -> Draft {
        Draft {
            path: "a.rs".into(),
            start_line: (start > 0).then_some(start),
            end_line: (start > 0).then_some(end),
            severity: Severity::High,
            category: Category::Correctness,
            title: title.into(),
            explanation: "Because.".into(),
            suggestion: None,
            confidence: 1.0,
            rule: None,
        }
    }

    fn only(decided: &Decided) -> &str {
        assert_eq!(decided.findings.len(), 1, "{decided:?}");
        &decided.findings[0].fingerprint
    }

    #[test]
    fn a_finding_keeps_its_name_when_lines_move_and_words_change() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(2, 2, "index out of bounds")])).to_owned();
        pull.lines.insert(0, "use std;".into());
        assert_eq!(only(&pull.review(&[(3, 3, "index out of bounds")])), name);
        pull.lines[2] = "let  x = y[3];".into();
        assert_eq!(only(&pull.review(&[(3, 3, "y may have fewer than four items")])), name);
        // One more line of what is around it, in about the same words.
        assert_eq!(only(&pull.review(&[(2, 3, "y may have too few items")])), name);
        assert_eq!(pull.rows.len(), 1);
        assert_eq!(pull.rows[0].first.head, "head 1");
        assert_eq!(
            (pull.rows[0].last.head.as_str(), pull.rows[0].finding.title.as_str()),
            ("head 4", "y may have too few items")
        );
    }

    #[test]
    fn another_fault_at_the_same_lines_has_its_own_name() {
        let mut pull = Pull::new();
        let first = only(&pull.review(&[(2, 2, "index out of bounds")])).to_owned();
        let both = pull.review(&[(2, 2, "name says nothing"), (2, 2, "out of bounds index")]);
        assert_eq!(both.findings.iter().filter(|finding| finding.fingerprint == first).count(), 1);
        assert_eq!(pull.states(), [State::Open, State::Open]);
        let rule = |rule: &str| Draft { rule: Some(rule.into()), ..draft(5, 5, "no unwrap") };
        pull.review_drafts(vec![rule("unwrap")]);
        let other = pull.review_drafts(vec![rule("panic")]);
        assert_eq!((other.fixed, pull.rows.len()), (1, 4));
    }

    #[test]
    fn what_is_dismissed_is_taken_out_and_counted_however_it_is_worded() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(2, 2, "index out of bounds")])).to_owned();
        pull.dismiss(&name);
        for (line, title) in [(2, "index out of bounds"), (2, "y may have fewer items"), (3, "out of bounds: an index")]
        {
            if line == 3 {
                pull.lines.insert(0, "use std;".into());
            }
            let decided = pull.review(&[(line, line, title)]);
            assert_eq!((decided.findings.len(), decided.dismissed), (0, 1), "{title}");
            assert_eq!(pull.states(), [State::Dismissed]);
        }
        // Said twice, and about one line more.
        let twice = pull.review(&[(3, 3, "index out of bounds"), (3, 3, "the index is out of the bounds")]);
        assert_eq!((twice.findings.len(), twice.dismissed), (0, 2));
        assert_eq!(pull.review(&[(2, 3, "index may be out of bounds")]).dismissed, 1);
        assert_eq!(pull.rows.len(), 1);
        assert_eq!(pull.rows[0].dismissal, Some(dismissal()));
    }

    #[test]
    fn the_same_lines_in_another_place_are_not_dismissed_with_the_first() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(5, 5, "unwrap of nothing")])).to_owned();
        pull.dismiss(&name);
        pull.lines.extend(["fn c() {".to_owned(), FILE[4].to_owned()]);
        let decided = pull.review(&[(5, 5, "unwrap of nothing"), (8, 8, "unwrap of nothing")]);
        assert_eq!((decided.dismissed, decided.findings.len()), (1, 1));
        assert_eq!(decided.findings[0].lines.unwrap().start, 8);
    }

    #[test]
    fn a_dismissal_ends_when_its_lines_change() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(1, 2, "index out of bounds")])).to_owned();
        pull.dismiss(&name);
        pull.lines[1] = "    let x = y[4];".into();
        let decided = pull.review(&[(1, 2, "index out of bounds")]);
        assert_ne!(only(&decided), name);
        assert_eq!((decided.dismissed, pull.states()), (0, vec![State::Dismissed, State::Open]));
        // And holds again where they are as they were.
        pull.lines[1] = FILE[1].into();
        assert_eq!(pull.review(&[(1, 2, "index out of bounds")]).dismissed, 1);
    }

    #[test]
    fn a_dismissal_holds_for_the_whole_project() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(2, 2, "index out of bounds")])).to_owned();
        pull.dismiss(&name);
        let mut other = Pull { number: 7, elsewhere: pull.rows.clone(), ..Pull::new() };
        assert_eq!(other.review(&[(2, 2, "index out of bounds")]).dismissed, 1);
        assert_eq!(other.states(), [State::Dismissed]);
        assert_eq!(
            other.rows[0].dismissal.as_ref().unwrap().why.as_deref(),
            Some("dismissed in acme/shop#42: intended")
        );
        // By its exact name alone: other words are another finding there.
        let mut third = Pull { number: 8, elsewhere: pull.rows.clone(), ..Pull::new() };
        assert_eq!(third.review(&[(2, 2, "y may have fewer items")]).findings.len(), 1);
        // Also what was open there already.
        let mut fourth = Pull { number: 9, ..Pull::new() };
        fourth.review(&[(2, 2, "index out of bounds")]);
        fourth.elsewhere = other.rows.clone();
        assert_eq!(fourth.review(&[(2, 2, "index out of bounds")]).dismissed, 1);
        assert_eq!(
            fourth.rows[0].dismissal.as_ref().unwrap().why.as_deref(),
            Some("dismissed in acme/shop#42: intended")
        );
    }

    #[test]
    fn what_a_review_looked_for_and_did_not_find_is_fixed_and_may_come_back() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(2, 2, "index out of bounds")])).to_owned();
        let gone = pull.review(&[]);
        assert_eq!((gone.fixed, pull.states()), (1, vec![State::Fixed]));
        assert_eq!(pull.rows[0].fixed_head.as_deref(), Some("head 2"));
        // The same head again says the same; a later one does not.
        pull.head = 1;
        assert_eq!((pull.review(&[]).fixed, pull.review(&[]).fixed), (1, 0));
        let back = pull.review(&[(2, 2, "an index is out of bounds")]);
        assert_eq!((only(&back), pull.states(), &pull.rows[0].fixed_head), (name.as_str(), vec![State::Open], &None));
    }

    #[test]
    fn what_nobody_looked_for_stays_open() {
        let begun = || {
            let mut pull = Pull::new();
            pull.review(&[(2, 2, "index out of bounds")]);
            pull
        };
        let of_file = |coverage| vec![FileCoverage { path: "a.rs".into(), coverage }];
        let missed = of_file(Coverage::Missed { reason: "budget".into() });
        let excluded = of_file(Coverage::Excluded { reason: "vendored".into() });
        for (why, mut pull) in [
            ("missed", Pull { files: missed, ..begun() }),
            ("excluded", Pull { files: excluded, ..begun() }),
            ("another engine", Pull { engine: "rules", ..begun() }),
            ("ended early", Pull { to_the_end: false, ..begun() }),
            ("below the floor", Pull { floor: Severity::Critical, ..begun() }),
        ] {
            pull.review(&[]);
            assert_eq!(pull.states(), [State::Open], "{why}");
        }
        let mut gone = Pull { files: vec![], ..begun() };
        gone.review(&[]);
        assert_eq!(gone.states(), [State::Fixed], "no longer in the change");
    }

    #[test]
    fn reviews_of_ones_own_files_are_compared_where_their_base_is_the_same() {
        let mut local = Pull { number: 0, ..Pull::new() };
        local.review(&[(2, 2, "index out of bounds")]);
        let mut other = Pull { base: "another", files: vec![], ..local.clone() };
        other.review(&[]);
        assert_eq!(other.states(), [State::Open]);
        local.review(&[]);
        assert_eq!(local.states(), [State::Fixed]);
    }

    #[test]
    fn an_answer_dismisses_what_still_stands() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(2, 2, "index out of bounds")])).to_owned();
        pull.answer(&name);
        let decided = pull.review(&[(2, 2, "y may have fewer items")]);
        assert_eq!((decided.findings.len(), decided.dismissed), (0, 1));
        assert_eq!((pull.states(), pull.rows[0].heard.reply), (vec![State::Dismissed], 5));

        // Not reported this time, but its lines are there: it is not to come back either.
        let mut silent = Pull::new();
        silent.review(&[(2, 2, "index out of bounds")]);
        silent.answer(&name);
        silent.review(&[]);
        assert_eq!(silent.states(), [State::Dismissed]);
        assert_eq!(silent.review(&[(2, 2, "index out of bounds")]).dismissed, 1);
    }

    #[test]
    fn who_resolves_what_was_mended_does_not_dismiss_it() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(2, 2, "index out of bounds")])).to_owned();
        pull.lines[1] = "    let x = y.get(3);".into();
        pull.answer(&name);
        assert_eq!(pull.review(&[]).fixed, 1);
        assert_eq!((pull.states(), pull.rows[0].heard.reply), (vec![State::Fixed], 5));
        pull.lines[1] = FILE[1].into();
        assert_eq!(only(&pull.review(&[(2, 2, "index out of bounds")])), name);
    }

    #[test]
    fn a_conversation_counts_where_nothing_was_remembered() {
        let mut pull = Pull::new();
        let name = only(&pull.clone().review(&[(2, 2, "index out of bounds")])).to_owned();
        pull.answer(&name);
        assert_eq!(pull.review(&[(2, 2, "index out of bounds")]).dismissed, 1);
        assert_eq!(pull.states(), [State::Dismissed]);
    }

    #[test]
    fn what_is_carried_over_from_an_earlier_review_is_a_report_like_others() {
        let mut pull = Pull::new();
        pull.review(&[(2, 2, "index out of bounds")]);
        let carried = pull.review(&[(2, 2, "y may have fewer items")]).findings;
        let before = pull.rows[0].clone();
        pull.engine = "";
        let again = pull.decide(carried, &Texts::default());
        pull.engine = "claude";
        assert_eq!(pull.rows[0].engine, "claude");
        assert_eq!(only(&again), before.fingerprint);
        assert_eq!((&pull.rows[0].latest, &pull.rows[0].lines), (&before.latest, &before.lines));
        assert_eq!(only(&pull.review(&[(2, 2, "four items are too many")])), before.fingerprint);
    }

    #[test]
    fn a_finding_about_a_file_as_a_whole_is_known_by_its_words() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(0, 0, "no test covers this file")])).to_owned();
        assert_eq!(only(&pull.review(&[(0, 0, "this file is covered by no test")])), name);
        assert_ne!(only(&pull.review(&[(0, 0, "the licence is missing")])), name);
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let mut pull = Pull::new();
        let first = pull.review(&[(2, 2, "index out of bounds"), (5, 5, "panics")]);
        assert!(first.changed.iter().all(|entry| entry.was.is_none()) && first.changed.len() == 2);
        let second = pull.review(&[(5, 5, "panics")]);
        assert_eq!(second.changed.iter().map(|entry| entry.was).collect::<Vec<_>>(), [Some(State::Open); 2]);
        let third = pull.review(&[(5, 5, "panics")]);
        assert_eq!(third.changed.len(), 1);
    }

    #[test]
    fn a_line_without_a_word_tells_nothing() {
        let mut pull = Pull::new();
        let name = only(&pull.review(&[(3, 3, "missing newline")])).to_owned();
        assert_ne!(only(&pull.review(&[(6, 6, "brace is in the wrong place")])), name);
    }

    const TITLES: [&str; 4] =
        ["index out of bounds", "index is out of the bounds", "y may have fewer items", "unwrap of nothing"];

    proptest! {
        /// Whatever is reported in whichever words: what was dismissed is not shown while its lines are there, nothing
        /// is shown twice, and nothing is lost.
        #[test]
        fn nothing_dismissed_comes_back_and_nothing_is_shown_twice(
            rounds in prop::collection::vec(
                (
                    prop::collection::vec((0u32..7, 0u32..2, 0usize..4), 0..5),
                    any::<Option<prop::sample::Index>>(),
                    prop::option::of((0usize..6, 0u8..3)),
                    0usize..3,
                ),
                1..8,
            )
        ) {
            let mut pull = Pull::new();
            for (reported, dismissed, changed, moved) in rounds {
                if let Some((line, text)) = changed {
                    let at = pull.lines.len() - 6 + line;
                    pull.lines[at] = format!("    changed({text});");
                }
                for _ in 0..moved {
                    pull.lines.insert(0, "use std;".into());
                }
                let offset = pull.lines.len() as u32 - 6;
                let reported: Vec<(u32, u32, &str)> = reported
                    .into_iter()
                    .map(|(line, more, title)| match line {
                        0 => (0, 0, TITLES[title]),
                        line => (offset + line, offset + (line + more).min(6), TITLES[title]),
                    })
                    .collect();
                let before = pull.rows.clone();
                let decided = pull.review(&reported);

                let names: HashSet<&str> = decided.findings.iter().map(|finding| finding.fingerprint.as_str()).collect();
                prop_assert_eq!(names.len(), decided.findings.len());
                let distinct: HashSet<_> = reported.iter().collect();
                prop_assert_eq!(decided.findings.len() + decided.dismissed, distinct.len());
                for row in &pull.rows {
                    prop_assert_eq!(row.state == State::Open, names.contains(row.fingerprint.as_str()));
                    prop_assert_eq!(row.state == State::Dismissed, row.dismissal.is_some());
                    prop_assert_eq!(row.state == State::Fixed, row.fixed_head.is_some());
                }
                let all: HashSet<String> = pull.rows.iter().map(|row| row.fingerprint.clone()).collect();
                prop_assert_eq!(all.len(), pull.rows.len());
                // Every earlier row is still there, and dismissed if it was.
                for row in &before {
                    let now = pull.rows.iter().find(|now| now.fingerprint == row.fingerprint);
                    prop_assert!(now.is_some_and(|now| row.state != State::Dismissed || now.state == State::Dismissed));
                }
                // The same again changes nothing that is shown.
                let mut again = pull.clone();
                let second = again.review(&reported);
                prop_assert_eq!(&second.findings, &decided.findings);
                prop_assert_eq!(second.dismissed, decided.dismissed);
                prop_assert_eq!(again.states(), pull.states());

                if let Some(index) = dismissed.filter(|_| !pull.rows.is_empty()) {
                    let name = pull.rows[index.index(pull.rows.len())].fingerprint.clone();
                    if pull.rows.iter().any(|row| row.fingerprint == name && row.state == State::Open) {
                        pull.dismiss(&name);
                        // Said at once in any other words, at the very same lines, it is no new finding.
                        let finding = &pull.rows.iter().find(|row| row.fingerprint == name).unwrap().finding;
                        if let Some(Lines { start, end }) = finding.lines
                            && pull.lines[start as usize - 1..end as usize].iter().any(|line| line.contains(char::is_alphanumeric))
                        {
                            for title in TITLES {
                                let shown = pull.clone().review(&[(start, end, title)]).findings;
                                let known = |finding: &Finding| finding.fingerprint != name && all.contains(finding.fingerprint.as_str());
                                prop_assert!(shown.iter().all(known), "{shown:?}");
                            }
                        }
                    }
                }
            }
        }

        #[test]
        fn texts_find_lines_that_are_there_and_no_others(lines in prop::collection::vec("[a-c]{0,2}", 1..12), start in 0usize..12, length in 1usize..4) {
            let shown: Vec<String> = lines.iter().map(|line| format!("+{line}")).collect();
            let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
            let texts = Texts::of(&diff(vec![added("a.rs", &shown)]), ["a.rs"]);
            let start = start.min(lines.len() - 1);
            let end = (start + length).min(lines.len());
            let meant: Vec<String> = lines[start..end].iter().map(|line| digest(line)).collect();
            prop_assert_eq!(texts.has("a.rs", &meant), Some(true));
            prop_assert_eq!(texts.has("b.rs", &meant), None);
            let other: Vec<String> = lines[start..end].iter().map(|line| digest(&format!("{line}x"))).collect();
            prop_assert_eq!(texts.has("a.rs", &other), Some(false));
        }
    }
}
