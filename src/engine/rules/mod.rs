//! The built-in engine: deterministic rules over the added lines of a diff. No key, no network, no process.
//!
//! A rule is a value: what it says, where it applies, and a function that looks at one line or one file. Rules about
//! lines name literals (`needles`), one of which stands in every line that they could match; all needles are searched
//! in one pass, so a rule costs nothing on the many lines that are none of its business.
//!
//! A rule earns its place by being right: each has cases that it finds and near misses that it leaves alone, and a
//! test insists on both.

mod ci;
mod code;
mod container;
mod debug;
mod files;
mod injection;
mod secrets;
mod shell;
mod source;
mod text;
mod tls;

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};

use crate::diff::{Diff, FileStatus};
use crate::finding::{Category, Draft, Severity};

use source::{At, Lang, SECRET_CAP, Subject};

/// What a rule is about, for people and for reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleInfo {
    /// Stable, kebab-case.
    pub id: &'static str,
    pub title: &'static str,
    pub severity: Severity,
    pub category: Category,
    /// How often a match is a fault, 0 to 1.
    pub confidence: f64,
    /// What is wrong, what follows and what to do.
    pub explanation: &'static str,
}

/// All rules, in the order in which they are applied.
pub fn catalogue() -> impl Iterator<Item = &'static RuleInfo> {
    RULES.iter().map(|rule| &rule.info)
}

/// What the rules find in a change, in the order of its files and lines.
pub fn review(diff: &Diff) -> Vec<Draft> {
    let mut findings = Findings::default();
    for (index, file) in diff.files.iter().enumerate() {
        if file.status != FileStatus::Deleted {
            findings.review(index, &Subject::new(file));
        }
    }
    findings.drafts()
}

struct Rule {
    info: RuleInfo,
    scope: Scope,
    check: Check,
}

enum Check {
    /// Every added line that has one of the needles (lower case).
    Line(&'static [&'static str], fn(&At<'_>) -> Option<Hit>),
    /// The same, but a file has at most one finding, on the first such line.
    FirstLine(&'static [&'static str], fn(&At<'_>) -> Option<Hit>),
    File(fn(&Subject<'_>) -> Option<Hit>),
    /// One finding for all such files of the change, on the first.
    Files(fn(&Subject<'_>) -> bool),
}

/// Findings of one rule in one file; the lines beyond are counted.
const MOST_IN_FILE: usize = 50;

impl Rule {
    fn on_line(&self, at: &At<'_>) -> Option<Hit> {
        match self.check {
            Check::Line(_, find) | Check::FirstLine(_, find) => find(at),
            Check::File(_) | Check::Files(_) => None,
        }
    }

    fn most_in_file(&self) -> usize {
        if matches!(self.check, Check::FirstLine(..)) { 1 } else { MOST_IN_FILE }
    }
}

/// The files that a rule looks at.
#[derive(Clone, Copy)]
struct Scope {
    /// Empty: all.
    langs: &'static [Lang],
    tests: bool,
    docs: bool,
    generated: bool,
}

impl Scope {
    const ANYWHERE: Scope = Scope { langs: &[], tests: true, docs: true, generated: true };
    /// Whatever people wrote for production.
    const OWN: Scope = Scope::code(&[]);

    /// These languages, outside of tests, documents and other people's code.
    const fn code(langs: &'static [Lang]) -> Scope {
        Scope { langs, tests: false, docs: false, generated: false }
    }

    const fn and_tests(self) -> Scope {
        Scope { tests: true, ..self }
    }

    const fn and_docs(self) -> Scope {
        Scope { docs: true, ..self }
    }

    fn covers(&self, subject: &Subject<'_>) -> bool {
        (self.langs.is_empty() || self.langs.contains(&subject.lang))
            && (self.tests || !subject.test)
            && (self.docs || !subject.doc)
            && (self.generated || !subject.generated)
    }
}

/// A match: where it differs from what the rule says of itself.
#[derive(Debug, Default, Clone, PartialEq)]
struct Hit {
    /// First and last line, other than the line looked at.
    lines: Option<(u32, u32)>,
    /// Put behind the title; never the whole of a secret.
    shown: Option<String>,
    severity: Option<Severity>,
    confidence: Option<f64>,
}

impl Hit {
    fn when(found: bool) -> Option<Hit> {
        found.then(Hit::default)
    }

    fn shown(text: impl Into<String>) -> Hit {
        Hit { shown: Some(text.into()), ..Hit::default() }
    }

    fn lines(start: u32, end: u32) -> Hit {
        Hit { lines: Some((start, end)), ..Hit::default() }
    }

    fn severity(self, severity: Severity) -> Hit {
        Hit { severity: Some(severity), ..self }
    }

    fn confidence(self, confidence: f64) -> Hit {
        Hit { confidence: Some(confidence), ..self }
    }
}

/// A pattern over bytes: without Unicode it is fast on any text, and what rules look for is ASCII.
struct Pattern(Regex);

impl Pattern {
    fn new(pattern: &str) -> Pattern {
        let regex = RegexBuilder::new(pattern).unicode(false).build();
        Pattern(regex.expect("the patterns of rules are tested"))
    }

    fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// The first group of each match, or the whole of it where there is no group.
    fn all<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'t, '_> {
        self.0.captures_iter(text.as_bytes()).filter_map(move |captures| {
            let found = captures.get(1).or_else(|| captures.get(0))?;
            text.get(found.range())
        })
    }

    fn first<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.all(text).next()
    }
}

/// A pattern compiled when it is first needed.
macro_rules! pattern {
    ($pattern:expr) => {{
        static PATTERN: std::sync::LazyLock<$crate::engine::rules::Pattern> =
            std::sync::LazyLock::new(|| $crate::engine::rules::Pattern::new($pattern));
        &*PATTERN
    }};
}
use pattern;

static RULES: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| {
    [
        secrets::RULES,
        files::RULES,
        text::RULES,
        injection::RULES,
        tls::RULES,
        shell::RULES,
        ci::RULES,
        container::RULES,
        code::RULES,
        debug::RULES,
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// The needles of all rules in one automaton: which rules may match a line.
struct Prefilter {
    needles: AhoCorasick,
    /// The rule that each needle belongs to.
    rules: Vec<usize>,
}

// A `RegexSet` does the same, but builds its states while it searches: in the short life of a job that was most of the
// time spent here.
static PREFILTER: LazyLock<Prefilter> = LazyLock::new(|| {
    let all = RULES.iter().enumerate().flat_map(|(index, rule)| match rule.check {
        Check::Line(needles, _) | Check::FirstLine(needles, _) => {
            needles.iter().map(|needle| (index, needle)).collect()
        }
        Check::File(_) | Check::Files(_) => Vec::new(),
    });
    let (rules, needles): (Vec<usize>, Vec<&str>) = all.unzip();
    let needles = AhoCorasick::builder().ascii_case_insensitive(true).build(needles);
    Prefilter { needles: needles.expect("a few hundred short needles"), rules }
});

impl Prefilter {
    /// Puts the rules that may match the line into `found`, in their order.
    fn rules_for(&self, text: &str, found: &mut Vec<usize>) {
        found.clear();
        let needles = self.needles.find_overlapping_iter(text);
        found.extend(needles.map(|needle| self.rules[needle.pattern().as_usize()]));
        found.sort_unstable();
        found.dedup();
    }
}

/// How often a rule matched in a file, and where in `Findings::found` its last draft stands.
struct Tally {
    rule: usize,
    hits: usize,
    last: usize,
}

#[derive(Default)]
struct Findings {
    /// With the file and the rule, by which they are put in order.
    found: Vec<(usize, usize, Draft)>,
    /// For the rules that speak once per change: their place in `found`, and how often they matched.
    of_change: Vec<(usize, u32, usize)>,
}

impl Findings {
    fn review(&mut self, file: usize, subject: &Subject<'_>) {
        let covered: Vec<bool> = RULES.iter().map(|rule| rule.scope.covers(subject)).collect();
        self.review_file(file, subject, &covered);
        self.review_lines(file, subject, &covered);
    }

    fn review_file(&mut self, file: usize, subject: &Subject<'_>, covered: &[bool]) {
        for (index, rule) in RULES.iter().enumerate().filter(|&(index, _)| covered[index]) {
            match rule.check {
                Check::File(find) => {
                    if let Some(hit) = find(subject) {
                        self.found.push((file, index, draft(rule, subject, None, hit)));
                    }
                }
                Check::Files(find) if find(subject) => {
                    match self.of_change.iter_mut().find(|(rule, ..)| *rule == index) {
                        Some((_, count, _)) => *count += 1,
                        None => {
                            self.of_change.push((index, 1, self.found.len()));
                            self.found.push((file, index, draft(rule, subject, None, Hit::default())));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn review_lines(&mut self, file: usize, subject: &Subject<'_>, covered: &[bool]) {
        let mut may_match = Vec::new();
        let mut tallies: Vec<Tally> = Vec::new();
        for side in &subject.sides {
            for (at, line) in side.lines.iter().enumerate().filter(|(_, line)| line.added) {
                let text = &line.text[..line.text.floor_char_boundary(SECRET_CAP)];
                PREFILTER.rules_for(text, &mut may_match);
                if may_match.is_empty() {
                    continue;
                }
                let at = At::new(subject, side, at);
                let mut hits: Vec<(&Rule, usize, Hit)> = may_match
                    .iter()
                    .copied()
                    .filter(|&index| covered[index] && (RULES[index].scope.tests || !at.in_test()))
                    .filter_map(|index| Some((RULES[index], index, RULES[index].on_line(&at)?)))
                    .collect();
                secrets::keep_the_specific(&mut hits);
                for (rule, index, hit) in hits {
                    let tally = match tallies.iter_mut().position(|tally| tally.rule == index) {
                        Some(known) => &mut tallies[known],
                        None => tallies.push_mut(Tally { rule: index, hits: 0, last: 0 }),
                    };
                    tally.hits += 1;
                    if tally.hits <= rule.most_in_file() {
                        tally.last = self.found.len();
                        self.found.push((file, index, draft(rule, subject, Some(line.number), hit)));
                    }
                }
            }
        }
        for Tally { rule, hits, last } in tallies {
            let more = match hits.saturating_sub(RULES[rule].most_in_file()) {
                0 => continue,
                1 => " 1 more added line of this file has the same.".to_owned(),
                more => format!(" {more} more added lines of this file have the same."),
            };
            self.found[last].2.explanation.push_str(&more);
        }
    }

    fn drafts(mut self) -> Vec<Draft> {
        for &(_, count, place) in self.of_change.iter().filter(|&&(_, count, _)| count > 1) {
            let explanation = &mut self.found[place].2.explanation;
            explanation.push_str(&format!(" The change has {count} such files."));
        }
        self.found.sort_by_key(|(file, rule, draft)| (*file, draft.start_line, *rule));
        self.found.into_iter().map(|(_, _, draft)| draft).collect()
    }
}

fn draft(rule: &Rule, subject: &Subject<'_>, line: Option<u32>, hit: Hit) -> Draft {
    let RuleInfo { id, title, severity, category, confidence, explanation } = rule.info;
    let lines = hit.lines.or(line.map(|line| (line, line)));
    Draft {
        path: subject.path().to_owned(),
        start_line: lines.map(|(start, _)| start),
        end_line: lines.map(|(_, end)| end),
        severity: hit.severity.unwrap_or(severity),
        category,
        title: match hit.shown {
            Some(shown) => format!("{title}: `{shown}`"),
            None => title.to_owned(),
        },
        explanation: explanation.to_owned(),
        suggestion: None,
        confidence: hit.confidence.unwrap_or(confidence),
        rule: Some(id.to_owned()),
    }
}

/// What a rule is to find, and what it is to leave alone: a new file with this text.
#[cfg(test)]
struct Case {
    rule: &'static str,
    path: &'static str,
    text: String,
    size: Option<u64>,
    mode: &'static str,
    fires: bool,
}

#[cfg(test)]
impl Case {
    fn sized(self, size: u64) -> Case {
        Case { size: Some(size), ..self }
    }

    fn mode(self, mode: &'static str) -> Case {
        Case { mode, ..self }
    }
}

#[cfg(test)]
fn fires(rule: &'static str, path: &'static str, text: impl Into<String>) -> Case {
    Case { rule, path, text: text.into(), size: None, mode: "100644", fires: true }
}

#[cfg(test)]
fn quiet(rule: &'static str, path: &'static str, text: impl Into<String>) -> Case {
    Case { fires: false, ..fires(rule, path, text) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::diff::{FileDiff, Hunk, Line, LineKind};

    /// A file as it looks when it is new.
    pub fn added(path: &str, text: &str) -> FileDiff {
        let lines: Vec<Line> = text
            .split_terminator('\n')
            .zip(1..)
            .map(|(line, number)| Line { kind: LineKind::Added, old: None, new: Some(number), text: line.into() })
            .collect();
        let new_lines = u32::try_from(lines.len()).expect("few lines");
        let hunk = Hunk { old_start: 0, old_lines: 0, new_start: 1, new_lines, section: String::new(), lines };
        FileDiff {
            path: path.into(),
            old_path: None,
            status: FileStatus::Added,
            old_mode: None,
            new_mode: Some("100644".into()),
            binary: false,
            size: None,
            unread: None,
            hunks: if new_lines > 0 { vec![hunk] } else { Vec::new() },
        }
    }

    fn reviewed(files: Vec<FileDiff>) -> Vec<Draft> {
        review(&Diff { files })
    }

    fn rules_of(drafts: &[Draft]) -> Vec<(&str, Option<u32>)> {
        drafts.iter().map(|draft| (draft.rule.as_deref().expect("a rule"), draft.start_line)).collect()
    }

    fn cases() -> Vec<Case> {
        [
            ci::cases(),
            code::cases(),
            container::cases(),
            debug::cases(),
            files::cases(),
            injection::cases(),
            secrets::cases(),
            shell::cases(),
            text::cases(),
            tls::cases(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    #[test]
    fn rules_find_what_they_are_for_and_leave_near_misses_alone() {
        let mut wrong = Vec::new();
        for Case { rule, path, text, size, mode, fires } in cases() {
            let file = FileDiff { size, new_mode: Some(mode.into()), ..added(path, &text) };
            let drafts = reviewed(vec![file]);
            if drafts.iter().any(|draft| draft.rule.as_deref() == Some(rule)) != fires {
                let verb = if fires { "misses" } else { "is wrong about" };
                wrong.push(format!("{rule} {verb} {path}: {text}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_rule_has_cases_of_both_kinds() {
        let cases = cases();
        let ids: HashSet<&str> = catalogue().map(|info| info.id).collect();
        for case in &cases {
            assert!(ids.contains(case.rule), "`{}` is no rule", case.rule);
        }
        for info in catalogue() {
            for fires in [true, false] {
                let some = cases.iter().any(|case| case.rule == info.id && case.fires == fires);
                assert!(some, "`{}` has no case where it {}", info.id, if fires { "fires" } else { "is quiet" });
            }
        }
    }

    #[test]
    fn catalogue_is_well_formed() {
        let mut ids = HashSet::new();
        for RuleInfo { id, title, severity: _, category: _, confidence, explanation } in catalogue() {
            assert!(ids.insert(id), "`{id}` twice");
            assert!(Pattern::new("^[a-z][a-z0-9]*(-[a-z0-9]+)+$").is_match(id), "`{id}` is not kebab-case");
            assert!(!title.is_empty() && title.len() <= 80 && !title.ends_with('.'), "title of `{id}`");
            assert!(explanation.len() > 60 && explanation.ends_with('.'), "explanation of `{id}`");
            assert!((0.0..=1.0).contains(confidence), "confidence of `{id}`");
        }
        assert!(ids.len() >= 36, "{} rules", ids.len());
    }

    #[test]
    fn needles_are_lower_case_and_there() {
        for rule in RULES.iter() {
            if let Check::Line(needles, _) | Check::FirstLine(needles, _) = rule.check {
                assert!(!needles.is_empty(), "{}", rule.info.id);
                for needle in needles {
                    assert!(!needle.is_empty() && !needle.contains(|c: char| c.is_ascii_uppercase()), "{needle}");
                }
            }
        }
    }

    #[test]
    fn only_added_lines_count() {
        let text = "diff --git a/a.rs b/a.rs\n--- a/a.rs\n+++ b/a.rs\n\
                    @@ -7,3 +7,3 @@\n dbg!(a);\n-dbg!(b);\n+dbg!(c);\n dbg!(d);\n";
        let diff = Diff::parse(text.as_bytes()).expect("a diff");
        assert_eq!(rules_of(&review(&diff)), [("rust-dbg", Some(8))]);
    }

    #[test]
    fn deleted_files_are_left_alone() {
        let mut file = added("id_rsa", "");
        file.status = FileStatus::Deleted;
        assert_eq!(reviewed(vec![file]), []);
    }

    #[test]
    fn findings_come_in_the_order_of_files_and_lines() {
        let drafts = reviewed(vec![
            added("b.py", "breakpoint()\nimport pdb; pdb.set_trace()\n"),
            added("a.rs", "fn f() {\n    dbg!(1);\n}\n"),
        ]);
        assert_eq!(
            rules_of(&drafts),
            [("python-breakpoint", Some(1)), ("python-breakpoint", Some(2)), ("rust-dbg", Some(2))]
        );
    }

    #[test]
    fn a_change_without_faults_has_no_findings() {
        assert_eq!(reviewed(vec![added("src/lib.rs", "//! A crate.\n\npub fn one() -> u32 {\n    1\n}\n")]), []);
        assert_eq!(review(&Diff::default()), []);
    }

    #[test]
    fn secrets_are_found_far_into_a_long_line_and_not_beyond() {
        let token = format!("{}{}", "dop_v1", "_0f3a9c4be1d27586".to_owned() + &"a1c9e07b4d2f8365".repeat(3));
        let line = |before: usize| format!("x = '{}' '{token}'\n", "lorem ip".repeat(before / 8));
        assert_eq!(rules_of(&reviewed(vec![added("a.py", &line(50_000))])), [("secret-digitalocean-token", Some(1))]);
        assert_eq!(reviewed(vec![added("a.py", &line(70_000))]), []);
    }

    /// Lines that cost most: long, and full of needles.
    #[test]
    fn hostile_lines_end() {
        for text in ["eyj", "password=\"", "curl -", "rm -rf $", "/*", "\"", "catch (", "${{ github.event.", "://:"] {
            let line = text.repeat(1_000_000 / text.len());
            for path in ["a.py", "a.js", "a.sh", "a.rs", ".github/workflows/a.yml", "Dockerfile"] {
                reviewed(vec![added(path, &line)]);
            }
        }
    }

    /// What looks at the lines around a match must not do so without end.
    #[test]
    fn floods_end_and_are_counted() {
        let conflict = "<".repeat(7);
        for (path, line) in [
            ("a.sh", "rm -rf \"$A\"/\n"),
            ("a.c", &format!("{conflict} a\n")),
            ("a.c", &format!("{conflict} a\n=======\n")),
            ("a.md", "```\n"),
            ("a.py", "def f(a=[]):\n    ctx.check_hostname = False\n    f(verify=False, shell=True)\n"),
            (".github/workflows/a.yml", "   a ${{ github.head_ref }}\n"),
            ("Dockerfile", "USER root\n"),
        ] {
            let drafts = reviewed(vec![added(path, &line.repeat(20_000))]);
            assert!(drafts.len() <= 3 * MOST_IN_FILE, "{path}: {}", drafts.len());
        }
        let drafts = reviewed(vec![added("a.sh", &"curl -k https://acme.io\n".repeat(MOST_IN_FILE + 2))]);
        assert_eq!(drafts.len(), MOST_IN_FILE);
        let last = &drafts[MOST_IN_FILE - 1].explanation;
        assert!(last.ends_with(" 2 more added lines of this file have the same."), "{last}");
    }

    fn any_line() -> impl Strategy<Value = String> {
        let needles: Vec<&'static str> = RULES
            .iter()
            .filter_map(|rule| match rule.check {
                Check::Line(needles, _) | Check::FirstLine(needles, _) => Some(needles),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        prop::collection::vec(
            prop_oneof![
                prop::sample::select(needles).prop_map(str::to_owned),
                "[ -~äß\u{200b}\u{202e}]{0,8}",
                Just("\"\"\"".to_owned()),
                Just("${{ }}".to_owned()),
                Just("/*".to_owned()),
                Just("\r".to_owned()),
            ],
            0..6,
        )
        .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn never_panics_and_points_at_added_lines(
            lines in prop::collection::vec((any_line(), any::<bool>()), 1..20),
            path in prop::sample::select(vec![
                "a.py", "a.js", "a.rs", "a.go", "a.sh", "a.c", "a.php", "a.java", "a.rb", "a.sql", "a.html", "a.md",
                "Dockerfile", "compose.yml", ".github/workflows/a.yml", ".env", "tests/a.ts", "x",
            ]),
        ) {
            let mut file = added(path, &"\n".repeat(lines.len()));
            for (line, (text, added)) in file.hunks[0].lines.iter_mut().zip(lines) {
                line.text = text;
                line.kind = if added { LineKind::Added } else { LineKind::Context };
            }
            for draft in reviewed(vec![file.clone()]) {
                prop_assert_eq!(&draft.path, path);
                if let Some(line) = draft.start_line {
                    prop_assert!(file.commentable(line) && draft.end_line >= draft.start_line);
                    prop_assert!(file.commentable(draft.end_line.expect("with a start")));
                }
            }
        }
    }
}
