//! What is to be posted about a review: which findings stand at their lines, and every text. Pure.
//!
//! Each text begins with a hidden marker, by which a later run knows what is there already. What engine and change say
//! is made harmless by `report::markdown`; it can neither write a marker nor anything else that acts.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::diff::{Diff, Hunk, LineKind};
use crate::finding::{Finding, Lines};
use crate::forge::{ChangedFile, Mark};
use crate::plain;
use crate::quantity::count;
use crate::report::markdown;
use crate::review::{EngineUsed, Receipt, Review};

/// GitHub takes 65,536 characters, or bytes, depending on the field.
const MAX_BODY: usize = 60_000;
/// A suggestion cannot be cut: what is left of it would be applied.
const MAX_SUGGESTION: usize = 20_000;
/// How much of a summary its parts may take, in bytes; details of findings get what is left.
const MAX_OPENING: usize = 12_000;
const MAX_TABLE: usize = 12_000;
const MAX_RECEIPT: usize = 12_000;

const SUMMARY: &str = "<!-- cicdctl:summary v1";
/// Around what stands on top of a summary for the time being.
const NOTICE: &str = "<!-- cicdctl:notice v1 -->\n";
const NOTICE_END: &str = "<!-- /cicdctl:notice -->\n";
const REVIEW: &str = "<!-- cicdctl:review v1";
const FINDING: &str = "<!-- cicdctl:finding v1";

/// A finding at its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub fingerprint: String,
    pub path: String,
    pub lines: Lines,
    pub body: String,
}

impl Comment {
    /// As the API takes it.
    pub fn to_json(&self) -> Value {
        let mut comment = json!({ "path": self.path, "body": self.body, "line": self.lines.end, "side": "RIGHT" });
        // For one line the start is left out: it would have to precede the end.
        if self.lines.start < self.lines.end {
            comment["start_line"] = self.lines.start.into();
            comment["start_side"] = "RIGHT".into();
        }
        comment
    }
}

/// The comments to post: of the `max` gravest findings that have commentable lines, those that are not `posted`.
///
/// The gravest are chosen first. Otherwise every further run would post the next few.
pub fn comments(review: &Review, files: &[ChangedFile], posted: &HashSet<String>, max: usize) -> Vec<Comment> {
    let hunks: HashMap<&str, Vec<Hunk>> =
        files.iter().filter_map(|file| Some((file.path.as_str(), hunks(file.patch.as_deref()?)?))).collect();
    review
        .findings
        .iter()
        .filter_map(|finding| Some((finding, anchor(finding, hunks.get(finding.path.as_str())?)?)))
        .take(max)
        .filter(|(finding, _)| !posted.contains(&finding.fingerprint))
        .map(|(finding, anchor)| Comment {
            fingerprint: finding.fingerprint.clone(),
            path: finding.path.clone(),
            lines: anchor.lines,
            body: comment_body(finding, &anchor),
        })
        .collect()
}

/// The summary: everything that does not stand `inline`, and the receipt.
pub fn summary(review: &Review, inline: &HashSet<String>) -> String {
    let digest = hex::encode(&Sha256::digest(summary_text(&steady(review), inline))[..8]);
    format!("{} {} -->\n{}", marker(SUMMARY, review), digest, summary_text(review, inline))
}

/// The same for a check run, which shows some findings as marks at their lines.
pub fn check_summary(review: &Review, marked: &[&Finding]) -> String {
    summary_text(review, &marked.iter().map(|finding| finding.fingerprint.clone()).collect())
}

/// The summary `old` with how this review stands on top, in place of an earlier notice. Findings of an earlier review
/// stay to be read: that this one was not made says nothing about them.
///
/// The marker is changed, too: a review that comes to the same result as `old` is to be posted all the same.
pub fn with_notice(old: Option<&str>, review: &Review) -> String {
    let old = old.unwrap_or_default().replace("\r\n", "\n");
    let (first, rest) = old.split_once('\n').unwrap_or_default();
    let below = match rest.strip_prefix(NOTICE).and_then(|rest| rest.split_once(NOTICE_END)) {
        Some((_, below)) => below,
        None => rest,
    };
    let marker = match first.trim_end().strip_suffix("-->").map(str::trim_end).filter(|_| !below.is_empty()) {
        Some(start) => start.strip_suffix(" noticed").unwrap_or(start).to_owned(),
        None => marker(SUMMARY, review),
    };
    let mut notice = cut(&markdown::opening(review), MAX_OPENING / 4);
    if !below.is_empty() {
        let head = review.receipt.head_sha.as_deref().unwrap_or_default();
        let head = plain::short(head);
        notice.push_str(&format!("That is said of {head}; what stands below is of an earlier review.\n\n---\n\n"));
    }
    format!("{marker} noticed -->\n{NOTICE}{notice}{NOTICE_END}{below}")
}

/// What a review is posted with; its comments say the rest.
pub fn review_body(review: &Review, comments: &[Comment]) -> String {
    let head = review.receipt.head_sha.as_deref().unwrap_or_default();
    format!(
        "{}\n{} at {}; the summary has the whole review.",
        review_marker(review, comments),
        count(comments.len(), "new finding"),
        plain::short(head)
    )
}

/// What the body of this review begins with, by which it is found again.
pub fn review_marker(review: &Review, comments: &[Comment]) -> String {
    let mut hash = Sha256::new();
    for comment in comments {
        hash.update(&comment.fingerprint);
    }
    format!("{} {} -->", marker(REVIEW, review), hex::encode(&hash.finalize()[..8]))
}

pub fn is_summary(body: &str) -> bool {
    body.starts_with(SUMMARY)
}

pub fn is_review(body: &str) -> bool {
    body.starts_with(REVIEW)
}

/// Whether both say the same of the same head; times and job differ each time.
pub fn same_summary(old: &str, new: &str) -> bool {
    is_summary(old) && old.lines().next().map(str::trim_end) == new.lines().next()
}

/// What a finding's comment is to be so that it shows what became of the finding; `None` where it does already, or is
/// no such comment. The text stays below, folded, and comes back when the finding does.
pub fn marked(body: &str, mark: &Mark) -> Option<String> {
    const FOLD: &str = "\n\n<details><summary>What it was about</summary>\n\n";
    const END: &str = "\n\n</details>";
    // As it comes back where somebody has edited it in a browser.
    let body = body.replace("\r\n", "\n");
    fingerprint(&body)?;
    let (marker, text) = body.split_once('\n')?;
    let is_said =
        |said: &&str| !said.contains('\n') && (said.starts_with("Fixed in ") || said.starts_with("No longer found "));
    let folded = text.split_once(FOLD).filter(|(said, _)| is_said(said)).map(|(_, folded)| folded);
    match (folded, mark) {
        (None, Mark::Fixed { head, unchanged }) => {
            let head = plain::short(head);
            let said = match unchanged {
                false => format!("Fixed in {head}."),
                true => format!("No longer found in {head}; its lines are the same."),
            };
            Some(format!("{marker}\n{said}{FOLD}{}{END}\n", text.trim_end()))
        }
        (Some(folded), Mark::Open) => {
            let text = folded.trim_end();
            Some(format!("{marker}\n{}\n", text.strip_suffix(END.trim_start()).unwrap_or(text).trim_end()))
        }
        (None, Mark::Open) | (Some(_), Mark::Fixed { .. }) => None,
    }
}

/// The fingerprint in a comment's marker.
pub fn fingerprint(body: &str) -> Option<&str> {
    let rest = body.strip_prefix(FINDING)?.strip_prefix(' ')?;
    let name = rest.split(' ').next()?;
    name.chars().all(|c| c.is_ascii_hexdigit()).then_some(name)
}

fn marker(kind: &str, review: &Review) -> String {
    format!("{kind} {}", review.receipt.head_sha.as_deref().unwrap_or("none"))
}

/// The review without what is different each time.
fn steady(review: &Review) -> Review {
    let Receipt {
        base_sha,
        head_sha,
        files,
        engine,
        duration_ms: _,
        engine_ms: _,
        peak_memory: _,
        cage,
        reviewed_by: _,
        published: _,
        dismissed,
        fixed,
        notes,
    } = review.receipt.clone();
    let engine =
        engine.map(|EngineUsed { name, version, model, .. }| EngineUsed { name, version, model, ..Default::default() });
    Review {
        job: String::new(),
        receipt: Receipt { base_sha, head_sha, files, engine, cage, dismissed, fixed, notes, ..Default::default() },
        ..review.clone()
    }
}

fn summary_text(review: &Review, inline: &HashSet<String>) -> String {
    let mut text = cut(&markdown::opening(review), MAX_OPENING);
    let receipt = match markdown::receipt(review) {
        receipt if receipt.len() <= MAX_RECEIPT => receipt,
        receipt => format!("{}\n\n</details>\n", cut(&receipt, MAX_RECEIPT)),
    };
    let findings = &review.findings;
    if !findings.is_empty() {
        let mut table = markdown::TABLE.to_owned();
        let rows = findings.iter().map(markdown::row).take_while(|row| {
            let fits = table.len() + row.len() <= MAX_TABLE;
            if fits {
                table.push_str(row);
            }
            fits
        });
        let listed = rows.count();
        text.push_str(&table);
        text.push('\n');
        if listed < findings.len() {
            text.push_str(&format!("{}\n\n", without_room(review, findings.len() - listed)));
        }
    }
    let rest: Vec<&Finding> = findings.iter().filter(|finding| !inline.contains(&finding.fingerprint)).collect();
    let room = MAX_BODY.saturating_sub(receipt.len() + 1000);
    let mut shown = 0;
    for finding in &rest {
        let details = markdown::details(finding);
        let details = if shown == 0 && text.len() + details.len() > room {
            format!("{}\n\n", cut(&details, room.saturating_sub(text.len())))
        } else {
            details
        };
        if text.len() + details.len() > room + 2 {
            break;
        }
        text.push_str(&details);
        shown += 1;
    }
    if shown < rest.len() {
        text.push_str(&format!("{}\n\n", without_room(review, rest.len() - shown)));
    }
    text.push_str(&receipt);
    text
}

fn without_room(review: &Review, number: usize) -> String {
    let job = plain::one_line(&review.job, 100);
    format!("{} without room here: `cicdctl job show {job}` has all of it.", count(number, "more finding"))
}

fn comment_body(finding: &Finding, anchor: &Anchor<'_>) -> String {
    let head = format!("{FINDING} {} -->\n", finding.fingerprint);
    let title = markdown::inline(&finding.title).replace("**", "\\*\\*");
    let mut text = format!("**{}: {title}**\n\n", finding.severity);
    if !finding.explanation.is_empty() {
        text.push_str(&format!("{}\n\n", markdown::prose(&finding.explanation)));
    }
    let applicable = anchor.suggestion(finding);
    let offer = applicable.or_else(|| markdown::suggestion(finding)).unwrap_or_default();
    let offer = if offer.len() > MAX_SUGGESTION { String::new() } else { offer };
    let traits = markdown::traits(finding);
    let room = MAX_BODY.saturating_sub(head.len() + offer.len() + traits.len() + 100);
    format!("{head}{}\n\n{offer}{traits}\n", cut(&text, room).trim_end())
}

/// Where in a patch a finding stands.
struct Anchor<'a> {
    hunk: &'a Hunk,
    lines: Lines,
    /// The lines are those that the finding means, all of them.
    exact: bool,
}

impl Anchor<'_> {
    /// A block that its reader can apply with a click, where that does what is said: it replaces exactly the lines
    /// meant, none of them stands beside a removed line within the range, nothing in it is hidden from the eye, and it
    /// is no shorter than what it replaces (that would delete code without a word).
    fn suggestion(&self, finding: &Finding) -> Option<String> {
        let suggestion = finding.suggestion.as_deref().filter(|_| self.exact)?;
        if suggestion.chars().any(|c| plain::is_hidden(c) && !matches!(c, '\n' | '\r' | '\t')) {
            return None;
        }
        let at = |number| self.hunk.lines.iter().position(|line| line.new == Some(number));
        let range = &self.hunk.lines[at(self.lines.start)?..=at(self.lines.end)?];
        if range.iter().any(|line| line.kind == LineKind::Removed) {
            return None;
        }
        let mut lines: Vec<String> =
            suggestion.split('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect();
        if suggestion.is_empty() || lines.len() < range.len() {
            return None;
        }
        // What ends its lines as Windows does is to go on so.
        if range.iter().all(|line| line.text.ends_with('\r')) {
            lines.iter_mut().for_each(|line| line.push('\r'));
        }
        let inside = lines.join("\n");
        let fence = plain::fence(&inside);
        Some(format!("{fence}suggestion\n{inside}\n{fence}\n\n"))
    }
}

/// The lines of one hunk that the finding means; `None` where GitHub would refuse a comment.
fn anchor<'a>(finding: &Finding, hunks: &'a [Hunk]) -> Option<Anchor<'a>> {
    let meant = finding.lines?;
    hunks.iter().find_map(|hunk| {
        let new = || hunk.lines.iter().filter_map(|line| line.new);
        let lines = Lines { start: new().next()?.max(meant.start), end: new().next_back()?.min(meant.end) };
        (lines.start <= lines.end).then_some(Anchor { hunk, lines, exact: lines == meant })
    })
}

/// The hunks of GitHub's `patch`, which has no header.
fn hunks(patch: &str) -> Option<Vec<Hunk>> {
    let text = format!("diff --git a/x b/x\n--- a/x\n+++ b/x\n{patch}");
    match Diff::parse(text.as_bytes()) {
        Ok(diff) => diff.files.into_iter().next().map(|file| file.hunks),
        Err(error) => {
            tracing::debug!("GitHub sent a patch that cannot be read: {error}");
            None
        }
    }
}

/// At most `max` bytes, cut at the end of a paragraph or line, with open code blocks closed.
fn cut(text: &str, max: usize) -> String {
    const END: &str = "\n\n(Cut: too long for a comment.)";
    if text.len() <= max {
        return text.to_owned();
    }
    // Room for the fence that may have to be added, which is as long as one in the text.
    let longest = text.lines().filter_map(markdown::fence_of).map(str::len).max().unwrap_or(0);
    let room = text.floor_char_boundary(max.saturating_sub(END.len() + longest + 1));
    let half = room / 2;
    let end = ["\n\n", "\n"].iter().find_map(|end| text[..room].rfind(end).filter(|at| *at > half)).unwrap_or(room);
    let mut kept = text[..end].trim_end().to_owned();
    let mut open: Option<&str> = None;
    for line in text[..end].lines() {
        match (open, markdown::fence_of(line)) {
            (None, Some(fence)) => open = Some(fence),
            (Some(opened), Some(fence)) if fence.starts_with(opened) && line.trim() == fence => open = None,
            _ => {}
        }
    }
    if let Some(fence) = open {
        kept.push('\n');
        kept.push_str(fence);
    }
    kept.push_str(END);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::{Category, Severity};
    use crate::review::Outcome;

    const PATCH: &str = "@@ -8,6 +8,7 @@ fn main() {\n eight\n nine\n-ten\n+TEN\n+more\n eleven\n twelve\n thirteen\n\
                         @@ -40 +41,2 @@\n forty\n+new\n\\ No newline at end of file";

    fn file(path: &str, patch: Option<&str>) -> ChangedFile {
        ChangedFile { path: path.into(), previous: None, status: "modified".into(), patch: patch.map(str::to_owned) }
    }

    fn finding(name: &str, start: u32, end: u32) -> Finding {
        Finding {
            fingerprint: format!("{name:0>16}"),
            severity: Severity::High,
            category: Category::Correctness,
            path: "a.rs".into(),
            lines: (start > 0).then_some(Lines { start, end }),
            title: "it breaks".into(),
            explanation: "Because.".into(),
            suggestion: None,
            confidence: 1.0,
            rule: None,
            excerpt: vec![],
        }
    }

    fn review(findings: Vec<Finding>) -> Review {
        Review {
            job: "01J".into(),
            project: "acme/shop".into(),
            subject: "pull request 42".into(),
            outcome: Outcome::Reviewed,
            reason: None,
            summary: None,
            findings,
            receipt: Receipt { head_sha: Some("a".repeat(40)), ..Default::default() },
            retry_at_ms: None,
            unpublished: None,
        }
    }

    fn planned(findings: Vec<Finding>) -> Vec<Comment> {
        comments(&review(findings), &[file("a.rs", Some(PATCH))], &HashSet::new(), 25)
    }

    fn with_suggestion(start: u32, end: u32, text: &str) -> String {
        let finding = Finding { suggestion: Some(text.into()), ..finding("1", start, end) };
        planned(vec![finding]).remove(0).body
    }

    #[test]
    fn a_comment_as_the_api_takes_it() {
        let one = planned(vec![finding("1", 11, 11)]).remove(0).to_json();
        assert_eq!((&one["line"], &one["side"], one.get("start_line")), (&json!(11), &json!("RIGHT"), None));
        let range = planned(vec![finding("1", 10, 12)]).remove(0).to_json();
        assert_eq!(
            (&range["start_line"], &range["start_side"], &range["line"]),
            (&json!(10), &json!("RIGHT"), &json!(12))
        );
        assert_eq!(
            one["body"],
            "<!-- cicdctl:finding v1 0000000000000001 -->\n**high: it breaks**\n\nBecause.\n\ncorrectness\n"
        );
    }

    #[test]
    fn only_lines_of_one_hunk_are_commented_on() {
        for (start, end, at) in [
            (8, 8, Some((8, 8))),
            (14, 14, Some((14, 14))),
            (42, 42, Some((42, 42))),
            (12, 42, Some((12, 14))),
            (1, 9, Some((8, 9))),
            (7, 7, None),
            (15, 40, None),
            (43, 50, None),
            (0, 0, None),
        ] {
            let comments = planned(vec![finding("1", start, end)]);
            assert_eq!(comments.first().map(|comment| (comment.lines.start, comment.lines.end)), at, "{start}-{end}");
        }
        let binary = comments(&review(vec![finding("1", 8, 8)]), &[file("a.rs", None)], &HashSet::new(), 5);
        assert_eq!(binary, []);
        let garbled = comments(&review(vec![finding("1", 8, 8)]), &[file("a.rs", Some("@@ what"))], &HashSet::new(), 5);
        assert_eq!(garbled, []);
    }

    #[test]
    fn the_gravest_are_posted_and_never_the_next_ones_in_their_place() {
        let review = review((1..=4).map(|number| finding(&number.to_string(), 8, 8)).collect());
        let files = [file("a.rs", Some(PATCH))];
        let first = comments(&review, &files, &HashSet::new(), 2);
        let names: HashSet<String> = first.iter().map(|comment| comment.fingerprint.clone()).collect();
        assert_eq!(names, HashSet::from(["0000000000000001".into(), "0000000000000002".into()]));
        assert_eq!(comments(&review, &files, &names, 2), []);
        assert_eq!(comments(&review, &files, &HashSet::new(), 0), []);
    }

    #[test]
    fn a_suggestion_replaces_exactly_what_is_meant() {
        assert!(with_suggestion(11, 11, "let x;").contains("\n```suggestion\nlet x;\n```\n"));
        assert!(with_suggestion(10, 11, "a\n```\nb").contains("\n````suggestion\na\n```\nb\n````\n"));
        for (start, end, text, why) in [
            (12, 42, "a\nb\nc", "cut to its hunk"),
            (10, 12, "a\nb", "shorter than the range"),
            (11, 11, "", "deletes"),
            (11, 11, "a\u{202e}b", "reads otherwise than it is"),
            (9, 10, "a\nb", "spans a removed line"),
        ] {
            let body = with_suggestion(start, end, text);
            assert!(!body.contains("```suggestion") && body.contains("```diff\n"), "{why}: {body}");
            assert!(!body.contains('\u{202e}'), "{why}");
        }
        assert!(!with_suggestion(11, 11, &"x".repeat(20_001)).contains("xxx"));
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        let patch = "@@ -1 +1,2 @@\n a\r\n+b\r\n";
        let finding = Finding { suggestion: Some("c\nd".into()), ..finding("1", 2, 2) };
        let body = comments(&review(vec![finding]), &[file("a.rs", Some(patch))], &HashSet::new(), 5).remove(0).body;
        assert!(body.contains("```suggestion\nc\r\nd\r\n```"), "{body}");
    }

    #[test]
    fn what_others_wrote_does_nothing() {
        let hostile = Finding {
            title: "@alice **x** <!-- cicdctl:finding v1 ffff -->".into(),
            explanation:
                "<!-- cicdctl:summary v1 x -->\n![x](https://evil.example/x.png) @bob #12\n```suggestion\nrm\n```\n<b>"
                    .into(),
            ..finding("1", 11, 11)
        };
        let body = planned(vec![hostile.clone()]).remove(0).body;
        let rest = body.split_once('\n').unwrap().1;
        for bad in ["<!--", "@alice", "@bob", "](https", "```suggestion", "<b>", "#12", "x** <"] {
            assert!(!rest.contains(bad), "{bad}: {rest}");
        }
        assert_eq!(fingerprint(&body), Some("0000000000000001"));
        let summary = summary(&review(vec![hostile]), &HashSet::new());
        assert_eq!(summary.matches("<!--").count(), 1);
        assert!(is_summary(&summary) && !is_review(&summary));
    }

    #[test]
    fn markers_are_read_only_where_they_belong() {
        assert_eq!(fingerprint("<!-- cicdctl:finding v1 00ff -->\nx"), Some("00ff"));
        assert_eq!(fingerprint("x <!-- cicdctl:finding v1 00ff -->"), None);
        assert_eq!(fingerprint("<!-- cicdctl:finding v1 x -->"), None);
        let (review, none) = (review(vec![finding("1", 11, 11)]), HashSet::new());
        let comments = comments(&review, &[file("a.rs", Some(PATCH))], &none, 5);
        let body = review_body(&review, &comments);
        assert!(is_review(&body) && body.starts_with(&review_marker(&review, &comments)));
        assert!(body.ends_with("\n1 new finding at aaaaaaaaaa; the summary has the whole review."));
    }

    #[test]
    fn a_comment_shows_that_its_finding_is_fixed_and_that_it_is_back() {
        let body = planned(vec![finding("1", 11, 11)]).remove(0).body;
        let fixed = Mark::Fixed { head: "0123456789abcdef".into(), unchanged: false };
        let folded = marked(&body, &fixed).unwrap();
        assert_eq!(
            folded,
            "<!-- cicdctl:finding v1 0000000000000001 -->\nFixed in 0123456789.\n\n\
             <details><summary>What it was about</summary>\n\n**high: it breaks**\n\nBecause.\n\ncorrectness\n\n</details>\n"
        );
        assert_eq!(fingerprint(&folded), fingerprint(&body));
        assert_eq!(marked(&folded, &fixed), None);
        assert_eq!(marked(&folded.replace('\n', "\r\n"), &Mark::Open).unwrap(), body);
        assert_eq!(marked(&folded, &Mark::Open).unwrap(), body);
        assert_eq!(marked(&body, &Mark::Open), None);
        let unchanged = Mark::Fixed { head: "0123456789abcdef".into(), unchanged: true };
        let folded = marked(&body, &unchanged).unwrap();
        assert!(folded.contains("\nNo longer found in 0123456789; its lines are the same.\n"), "{folded}");
        assert_eq!(marked(&folded, &Mark::Open).unwrap(), body);
        assert_eq!(marked("somebody's own words", &fixed), None);
    }

    #[test]
    fn a_summary_is_the_same_until_something_else_is_found() {
        let one = review(vec![finding("1", 11, 11)]);
        let mut again = Review { job: "01K".into(), ..one.clone() };
        (again.receipt.duration_ms, again.receipt.peak_memory) = (99, Some(7));
        let none = HashSet::new();
        assert!(same_summary(&summary(&one, &none), &summary(&again, &none)));
        assert_ne!(summary(&one, &none), summary(&again, &none));
        again.findings[0].title = "it breaks more".into();
        assert!(!same_summary(&summary(&one, &none), &summary(&again, &none)));
        let mut moved = one.clone();
        moved.receipt.head_sha = Some("b".repeat(40));
        assert!(!same_summary(&summary(&one, &none), &summary(&moved, &none)));
        assert!(!same_summary("edited by hand", &summary(&one, &none)));
    }

    #[test]
    fn no_finding_is_lost_between_lines_and_summary() {
        let review = review(vec![finding("1", 11, 11), finding("2", 100, 100), finding("3", 0, 0)]);
        let text = summary(&review, &HashSet::from(["0000000000000001".to_owned()]));
        assert_eq!(text.matches("\n| high |").count(), 3);
        assert_eq!(text.matches("\n### high").count(), 2);
        assert!(text.contains("`a.rs:100`") && text.contains("<summary>Receipt</summary>"));
    }

    #[test]
    fn a_notice_stands_on_top_and_the_findings_stay() {
        let earlier = summary(&review(vec![finding("1", 11, 11)]), &HashSet::new());
        let mut later = review(vec![]);
        later.receipt.head_sha = Some("b".repeat(40));
        (later.outcome, later.reason) = (Outcome::Deferred, Some("the cap is spent --> <!-- x".into()));
        let noticed = with_notice(Some(&earlier), &later);
        let (marker, rest) = noticed.split_once('\n').unwrap();
        assert!(is_summary(marker) && marker.contains(&"a".repeat(40)) && marker.ends_with(" noticed -->"), "{marker}");
        assert!(
            rest.starts_with("<!-- cicdctl:notice v1 -->\n## Not reviewed yet (deferred)\n\n**Why:** the cap"),
            "{rest}"
        );
        assert!(rest.contains("That is said of bbbbbbbbbb; what stands below is of an earlier review."), "{rest}");
        assert!(noticed.ends_with(earlier.split_once('\n').unwrap().1));
        assert_eq!(noticed.matches("<!-- /cicdctl:notice -->").count(), 1);
        // A review that finds the very same is posted again, as the notice has to go.
        assert!(!same_summary(&noticed, &earlier));
        // One notice takes the place of another, and the same again changes nothing.
        assert_eq!(with_notice(Some(&noticed), &later), noticed);
        assert_eq!(with_notice(Some(&noticed.replace('\n', "\r\n")), &later), noticed);
        later.reason = Some("other words".into());
        let other = with_notice(Some(&noticed), &later);
        assert!(other.contains("other words") && !other.contains("the cap"), "{other}");
        assert!(other.ends_with(earlier.split_once('\n').unwrap().1));

        let alone = with_notice(None, &later);
        assert!(is_summary(&alone) && alone.contains(&"b".repeat(40)) && !alone.contains("stands below"), "{alone}");
        assert_eq!(with_notice(Some(&alone), &later), alone);
    }

    #[test]
    fn long_texts_are_cut_and_still_sound() {
        let long = Finding { explanation: format!("```\n{}", "@é\n".repeat(40_000)), ..finding("1", 11, 11) };
        let many = (0..3000).map(|number| Finding { title: "x".repeat(200), ..finding(&number.to_string(), 0, 0) });
        let mut huge = review(std::iter::once(long.clone()).chain(many).collect());
        huge.summary = Some("s ".repeat(50_000));
        huge.receipt.notes = vec!["n".repeat(1000); 200];
        let text = summary(&huge, &HashSet::new());
        assert!(text.len() <= MAX_BODY, "{}", text.len());
        assert!(text.trim_end().ends_with("</details>"));
        assert!(text.contains("without room here: `cicdctl job show 01J`"));
        let body = planned(vec![long]).remove(0).body;
        assert!(body.len() <= MAX_BODY && body.contains("\n```\n\n(Cut: too long for a comment.)\n\ncorrectness"));
    }

    proptest! {
        #[test]
        fn a_cut_text_fits_and_has_no_open_fence(
            lines in prop::collection::vec(prop_oneof!["[a-zé ]{0,30}", Just("```".to_owned()), Just("````rust".to_owned()), Just(String::new())], 0..60),
            max in 80usize..400,
        ) {
            let text = lines.join("\n");
            let short = cut(&text, max);
            prop_assert!(short.len() <= max.max(text.len().min(max)));
            if short.len() < text.len() && short != text {
                let mut open: Option<&str> = None;
                for line in short.lines() {
                    match (open, markdown::fence_of(line)) {
                        (None, Some(fence)) => open = Some(fence),
                        (Some(opened), Some(fence)) if fence.starts_with(opened) && line.trim() == fence => open = None,
                        _ => {}
                    }
                }
                prop_assert_eq!(open, None);
            }
        }

        #[test]
        fn every_comment_stands_where_github_takes_it(start in 0u32..60, length in 0u32..60) {
            for comment in planned(vec![finding("1", start, start + length)]) {
                let lines = hunks(PATCH).unwrap();
                let in_one = lines.iter().any(|hunk| {
                    (comment.lines.start..=comment.lines.end).all(|n| hunk.lines.iter().any(|line| line.new == Some(n)))
                });
                prop_assert!(in_one);
            }
        }
    }
}
