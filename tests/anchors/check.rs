//! Drafts all over a change, and what must be true of the findings and comments that are made of them.

use std::collections::{HashMap, HashSet};

use cicdctl::diff::Diff;
use cicdctl::finding::{Category, Draft, Lines, Severity};
use cicdctl::forge::ChangedFile;
use cicdctl::forge::github::publish;
use cicdctl::review::judge::{self, Options};
use cicdctl::review::{Outcome, Receipt, Review};

use crate::oracle::Shown;

/// Figures of a test.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub changes: usize,
    pub files: usize,
    /// Lines at which a draft was put.
    pub drafts: usize,
    pub strays: usize,
    pub findings: usize,
    /// Lines that comments stand at, all of them looked up.
    pub comment_lines: u64,
    pub comments: usize,
    /// Findings that stand at no line and are in the summary.
    pub summary: usize,
    /// Summaries that were written and searched for these.
    pub summaries: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        let Tally { changes, files, drafts, strays, findings, comment_lines, comments, summary, summaries } = other;
        self.changes += changes;
        self.files += files;
        self.drafts += drafts;
        self.strays += strays;
        self.findings += findings;
        self.comment_lines += comment_lines;
        self.comments += comments;
        self.summary += summary;
        self.summaries += summaries;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { changes, files, drafts, strays, findings, comment_lines, comments, summary, summaries } = self;
        write!(
            f,
            "{changes} changes, {files} files, {drafts} drafts ({strays} at no file of the change) → {findings} findings: \
             {comments} comments on {comment_lines} lines, {summary} in the summary ({summaries} summaries searched)"
        )
    }
}

/// Numbers that are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % u64::from(end.max(1))) as u32
    }
}

/// Fewer than are kept of one review.
const AT_ONCE: usize = 900;

/// Checks a change as we read it (`diff`) against what git shows.
pub fn check(diff: &Diff, shown: &[Shown], dice: &mut Dice) -> Tally {
    let mut tally = Tally { changes: 1, files: shown.len(), ..Tally::default() };
    let mut ours: Vec<&str> = diff.files.iter().map(|file| file.path.as_str()).collect();
    ours.dedup();
    let theirs: Vec<&str> = shown.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(ours, theirs, "the files of the change");

    let mut drafts: Vec<(Draft, Option<&Shown>)> = Vec::new();
    let mut some: Vec<&Shown> = Vec::new();
    for file in shown {
        some.push(file);
        for place in places(file, dice) {
            let spelt = match (&file.old_path, dice.below(5)) {
                (Some(old), 0 | 1) if !theirs.contains(&old.as_str()) => old.clone(),
                // A tree can be made by hand with a folder `.` or `..` in it; such a path only means itself.
                (_, 2) if !file.path.split('/').any(|part| matches!(part, "." | "..")) => format!("./{}", file.path),
                _ => file.path.clone(),
            };
            drafts.push((draft(&spelt, place, drafts.len()), Some(file)));
            if drafts.len() == AT_ONCE {
                tally += check_some(diff, &some, std::mem::take(&mut drafts), &theirs, dice);
                some = vec![file];
            }
        }
    }
    for stray in ["../etc/passwd", "/etc/passwd", "no such file", "", "a/../../b"] {
        drafts.push((draft(stray, (Some(1), Some(1)), drafts.len()), None));
    }
    tally += check_some(diff, &some, drafts, &theirs, dice);
    tally
}

type Place = (Option<u32>, Option<u32>);

fn draft(path: &str, (start_line, end_line): Place, number: usize) -> Draft {
    Draft {
        path: path.to_owned(),
        start_line,
        end_line,
        severity: Severity::ALL[number % 5],
        category: Category::Other,
        title: format!("draft {number:06}"),
        explanation: "why".into(),
        suggestion: number.is_multiple_of(3).then(|| "better\n".into()),
        confidence: 1.0,
        rule: None,
    }
}

/// Lines and ranges inside hunks, at their edges, between and beyond them.
fn places(file: &Shown, dice: &mut Dice) -> Vec<Place> {
    let line = |number: u32| (Some(number), None);
    let range = |start: u32, end: u32| (Some(start), Some(end));
    let mut places = vec![(None, None), line(0), line(1), line(u32::MAX), range(1, u32::MAX), (None, Some(7))];
    let last = file.hunks.last().map_or(10, |hunk| hunk.1);
    for (index, (start, end)) in file.hunks.iter().enumerate() {
        // Of a file with very many hunks, a few.
        if index > 5 && index + 2 < file.hunks.len() && dice.below(20) != 0 {
            continue;
        }
        let (start, end) = (*start, *end);
        places.extend((start.saturating_sub(5)..=start + 1).chain(end.saturating_sub(1)..=end + 5).map(line));
        places.extend([
            range(start, end),
            range(end, start),
            range(start.saturating_sub(2), start),
            range(end, end + 2),
        ]);
        places.push(line(start + dice.below(end - start + 1)));
        if let Some(next) = file.hunks.get(index + 1) {
            places.extend([
                range(end, next.0),
                range(start, next.1),
                range(end + 1, next.0.saturating_sub(1)),
                line((end + next.0) / 2),
            ]);
        }
    }
    for _ in 0..6 {
        let (start, length) = (dice.below(last + 20), dice.below(40));
        places.extend([line(start), range(start, start + length)]);
    }
    places
}

fn check_some(
    diff: &Diff,
    some: &[&Shown],
    drafts: Vec<(Draft, Option<&Shown>)>,
    theirs: &[&str],
    dice: &mut Dice,
) -> Tally {
    let meant: HashMap<String, (Place, Option<&Shown>)> =
        drafts.iter().map(|(draft, file)| (draft.title.clone(), ((draft.start_line, draft.end_line), *file))).collect();
    let strays = drafts.iter().filter(|(_, file)| file.is_none()).count();
    let drafts: Vec<Draft> = drafts.into_iter().map(|(draft, _)| draft).collect();
    let number = drafts.len();
    let judged = judge::judge(drafts, diff, &Options::default());

    // Every draft is a finding, or counted among those that are about no file of the change.
    assert_eq!(judged.findings.len(), number - strays, "{:?}", judged.notes);
    let left_out: usize = judged.notes.iter().map(|note| number_in(note)).sum();
    assert_eq!(left_out, strays, "{:?}", judged.notes);
    let titles: HashSet<&str> = judged.findings.iter().map(|finding| finding.title.as_str()).collect();
    assert_eq!(titles.len(), number - strays);
    for finding in &judged.findings {
        let ((start, end), file) = meant[&finding.title];
        let file = file.expect("a stray is no finding");
        assert_eq!(finding.path, file.path);
        if let Some(lines) = finding.lines {
            assert!(file.shows(lines.start, lines.end), "{finding:?} is not in {:?}", file.hunks);
        }
        // What can stand where it is meant does, so nothing is proved by giving up.
        let wanted = start.or(end).map(|first| (first.min(end.unwrap_or(first)), first.max(end.unwrap_or(first))));
        if let Some((first, last)) = wanted.filter(|(first, last)| file.shows(*first, *last)) {
            assert_eq!(finding.lines.map(|lines| (lines.start, lines.end)), Some((first, last)), "{finding:?}");
        }
        let touches =
            wanted.is_some_and(|(first, last)| file.hunks.iter().any(|hunk| first <= hunk.1 && hunk.0 <= last));
        assert!(finding.lines.is_some() || !touches, "{finding:?} in {:?}", file.hunks);
    }

    let review = Review {
        job: "01J".into(),
        project: "acme/shop".into(),
        subject: "pull request 42".into(),
        outcome: Outcome::Reviewed,
        reason: None,
        summary: None,
        findings: judged.findings,
        receipt: Receipt { head_sha: Some("4ead".into()), ..Receipt::default() },
        retry_at_ms: None,
        unpublished: None,
    };
    let mut unjudged = review.clone();
    for finding in &mut unjudged.findings {
        let (start, end) = meant[&finding.title].0;
        finding.lines = start.or(end).map(|start| Lines { start, end: end.unwrap_or(start) });
    }
    let mut tally = Tally { drafts: number, strays, findings: review.findings.len(), ..Tally::default() };
    // GitHub shows the hunks of some files only; then the others are for the summary.
    for with_patch in [|_: usize| true, |index: usize| index.is_multiple_of(2)] {
        let shown: HashMap<&str, &Shown> = some
            .iter()
            .enumerate()
            .filter(|(index, _)| with_patch(*index))
            .map(|(_, file)| (file.path.as_str(), *file))
            .collect();
        let changed: Vec<ChangedFile> = some
            .iter()
            .map(|file| ChangedFile {
                path: file.path.clone(),
                previous: file.old_path.clone(),
                status: file.status.to_string(),
                patch: file.patch.clone().filter(|_| shown.contains_key(file.path.as_str())),
            })
            .collect();
        let comments = publish::comments(&review, &changed, &HashSet::new(), usize::MAX);
        let inline: HashSet<String> = comments.iter().map(|comment| comment.fingerprint.clone()).collect();
        assert_eq!(inline.len(), comments.len(), "a comment for a finding");
        for comment in &comments {
            assert!(theirs.contains(&comment.path.as_str()));
            let file = shown.get(comment.path.as_str()).expect("a comment only where there is a patch");
            assert!(file.shows(comment.lines.start, comment.lines.end), "{comment:?} is not in {:?}", file.hunks);
            let finding = review.findings.iter().find(|finding| finding.fingerprint == comment.fingerprint).unwrap();
            assert_eq!(Some(comment.lines), finding.lines, "{comment:?}");
            tally.comment_lines += u64::from(comment.lines.end - comment.lines.start + 1);
        }
        // Neither does publishing rely on the judgement, whose diff may be another one than GitHub's.
        for comment in publish::comments(&unjudged, &changed, &HashSet::new(), usize::MAX) {
            let file = shown.get(comment.path.as_str()).expect("a comment only where there is a patch");
            assert!(file.shows(comment.lines.start, comment.lines.end), "{comment:?} is not in {:?}", file.hunks);
        }
        for finding in &review.findings {
            let stands = finding.lines.is_some() && shown.contains_key(finding.path.as_str());
            assert_eq!(inline.contains(&finding.fingerprint), stands, "{finding:?}");
        }
        tally.comments += comments.len();
        tally.summary += review.findings.len() - comments.len();
        // The text takes longer to write than all of the above, so it is looked at now and then.
        if dice.below(8) == 0 {
            tally.summaries += 1;
            all_is_told(&review, &inline);
        }
    }
    tally
}

/// What stands at no line is in the summary, or counted there.
fn all_is_told(review: &Review, inline: &HashSet<String>) {
    let text = publish::summary(review, inline);
    let told: HashSet<&str> = text.match_indices("draft ").filter_map(|(at, _)| text.get(at..at + 12)).collect();
    let elsewhere = review.findings.iter().filter(|finding| !inline.contains(&finding.fingerprint));
    let untold = elsewhere.filter(|finding| !told.contains(finding.title.as_str())).count();
    let without_room =
        text.lines().filter(|line| line.contains(" without room here")).map(number_in).max().unwrap_or(0);
    assert!(untold <= without_room, "{untold} findings are neither at lines nor in the summary");
}

/// The first number in a text.
fn number_in(text: &str) -> usize {
    let digits: String = text
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap_or(0)
}
