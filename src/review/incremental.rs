//! What an earlier review of the same pull request has read, and what of that need not be read again.
//!
//! Contents are compared, not commits: a file is known where its diff against the base is the same as it was in the
//! earlier review, line numbers aside. So a rebase, a force push or a merge of the base costs only the files whose diff it
//! has changed. What is known keeps its findings; they move to where their lines stand now.
//!
//! An earlier review counts only on the same terms (engine, model, instructions, limits), and only for the files that it
//! has truly seen. The first part of this file asks store and git; [`compare`] and what it is made of are pure.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::policy::Policy;
use super::skills::Skills;
use super::{Coverage, FileCoverage, Outcome, Review, Run, SessionUsed, judge, terms};
use crate::diff::{Diff, FileDiff, Hunk};
use crate::engine::{EngineSpec, OpenFinding, SessionWish};
use crate::finding::{Finding, Lines};
use crate::git::{Change, Mirror};
use crate::store::Earlier;

/// How many earlier reviews are looked through for one on the same terms.
const LOOKED_THROUGH: u32 = 20;

/// What earlier reviews leave for this one.
#[derive(Debug, Default, PartialEq)]
pub struct Known {
    /// Files that need not be read, and the job that has seen each.
    files: HashMap<String, String>,
    /// Every path of the change, in its order.
    order: Vec<String>,
    /// Findings in `files`, where they stand now.
    carried: Vec<Finding>,
    /// Findings in the other files, as they stood then.
    open: Vec<Finding>,
    /// What the earlier review said of the change as a whole.
    summary: Option<String>,
    session: Option<SessionWish>,
    note: Option<String>,
}

impl Run<'_> {
    /// Compares the change with what earlier reviews have seen of it.
    pub(super) async fn known(
        &mut self,
        mirror: &Mirror,
        change: &Change,
        policy: &Policy,
        spec: &EngineSpec,
        skills: &Skills,
        diff: &Diff,
    ) -> Result<Known> {
        let nothing = Known { order: paths(diff), ..Known::default() };
        let (Some(store), Some(forge), Some(number)) = (self.setting.store, self.setting.forge, self.request.pr) else {
            return Ok(nothing);
        };
        // The rules are done before the earlier diff is computed.
        if matches!(spec, EngineSpec::Rules) {
            return Ok(nothing);
        }
        let keeps_sessions = matches!(spec, EngineSpec::Claude(_));
        let fresh = keeps_sessions.then_some(SessionWish { pull: number, resume: None });
        if self.request.full {
            return Ok(Known { session: fresh, ..nothing });
        }
        let digest = terms(policy, spec, skills)?;
        let mut earlier = store.earlier(&format!("{}#{number}", forge.repo()), LOOKED_THROUGH).await?;
        earlier.retain(|earlier| earlier.digest == digest);
        let session = fresh.map(|fresh| SessionWish { resume: to_resume(&earlier), ..fresh });
        let Some(last) = earlier.into_iter().find(is_sound) else { return Ok(Known { session, ..nothing }) };
        let then = Change { base: last.base.clone(), head: last.head.clone(), ..change.clone() };
        Ok(match mirror.diff(&then).await {
            Ok(before) => Known { session, ..compare(&last, &before, diff) },
            Err(error) => {
                tracing::debug!("job {}: {error:#}", self.review.job);
                let note = format!("read in full: the commits that job {} has reviewed are gone", last.job);
                Known { session, note: Some(note), ..nothing }
            }
        })
    }
}

impl Known {
    /// The part of the change that is to be read; the budget for a change is spent on this alone, so what one review has
    /// no room for has its turn in the next.
    pub fn unread(&self, mut diff: Diff) -> Diff {
        diff.files.retain(|file| !self.files.contains_key(&file.path));
        diff
    }

    /// Every file of the change, in its order, from what was planned for the unread ones.
    pub fn covered(&self, planned: Vec<FileCoverage>) -> Vec<FileCoverage> {
        let mut planned: HashMap<String, FileCoverage> =
            planned.into_iter().map(|file| (file.path.clone(), file)).collect();
        let known = |path: &String| {
            let job = self.files.get(path)?.clone();
            Some(FileCoverage { path: path.clone(), coverage: Coverage::Known { job } })
        };
        self.order.iter().filter_map(|path| known(path).or_else(|| planned.remove(path))).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The paths of the change that are not in `seen`.
    pub fn others(&self, seen: &Diff) -> Vec<String> {
        let seen: HashSet<&str> = seen.files.iter().map(|file| file.path.as_str()).collect();
        self.order.iter().filter(|path| !seen.contains(path.as_str())).cloned().collect()
    }

    /// What was found before in the files of `seen`.
    pub fn open(&self, seen: &Diff) -> Vec<OpenFinding> {
        let mut now: HashMap<&str, &str> = HashMap::new();
        for file in &seen.files {
            now.insert(&file.path, &file.path);
            if let Some(old) = &file.old_path {
                now.entry(old).or_insert(&file.path);
            }
        }
        let open = self.open.iter().filter_map(|finding| {
            Some(OpenFinding {
                path: (*now.get(finding.path.as_str())?).to_owned(),
                lines: finding.lines,
                severity: finding.severity,
                category: finding.category,
                title: finding.title.clone(),
            })
        });
        open.collect()
    }

    pub fn session(&self) -> Option<SessionWish> {
        self.session.clone()
    }

    /// Adds what is known to a review of the rest.
    pub fn join(self, review: &mut Review) {
        review.findings.extend(self.carried);
        judge::sort(&mut review.findings);
        review.receipt.notes.extend(self.note);
        // What was said of a part now does not take the place of what was said of the whole, but it is newer.
        if review.summary.is_none() && !self.files.is_empty() {
            review.summary = self.summary;
        }
    }

    /// The same for a review that ends before its engine has brought anything; what is known stands all the same.
    pub fn join_partial(self, review: &mut Review) {
        if review.outcome == Outcome::Partial {
            self.join(review);
        }
    }
}

/// Whether a review tells which files were seen: one that is partial only because some were not, too.
fn is_sound(earlier: &Earlier) -> bool {
    let review = &earlier.review;
    match review.outcome {
        Outcome::Reviewed => true,
        Outcome::Partial => {
            let by_files = judge::outcome(&review.receipt.files, None);
            by_files == (review.outcome, review.reason.clone())
        }
        _ => false,
    }
}

/// The conversation of the newest review that an engine has made, and the head it was about. An older one would not know
/// what that review has read, and take it for unchanged.
fn to_resume(earlier: &[Earlier]) -> Option<(SessionUsed, String)> {
    // A review that stands for an older one shows that one's engine.
    let made =
        |earlier: &&Earlier| earlier.review.receipt.engine.is_some() && earlier.review.receipt.reviewed_by.is_none();
    let last = earlier.iter().find(made)?;
    Some((last.review.receipt.engine.as_ref()?.session.clone()?, last.head.clone()))
}

/// What of `now` the earlier review has seen, whose change was `before`.
pub fn compare(earlier: &Earlier, before: &Diff, now: &Diff) -> Known {
    let receipt = &earlier.review.receipt;
    let first = receipt.reviewed_by.as_ref().unwrap_or(&earlier.job);
    let seen_by: HashMap<&str, &String> = receipt
        .files
        .iter()
        .filter_map(|file| match &file.coverage {
            Coverage::Seen => Some((file.path.as_str(), first)),
            Coverage::Known { job } => Some((file.path.as_str(), job)),
            Coverage::Excluded { .. } | Coverage::Missed { .. } => None,
        })
        .collect();
    let (before, parts) = (by_path(before), by_path(now));
    let mut known = Known { order: paths(now), summary: earlier.review.summary.clone(), ..Known::default() };
    for path in &known.order {
        let (Some(job), Some(then), Some(now)) =
            (seen_by.get(path.as_str()), before.get(path.as_str()), parts.get(path.as_str()))
        else {
            continue;
        };
        if same(then, now) {
            known.files.insert(path.clone(), (*job).clone());
        }
    }
    for finding in &earlier.review.findings {
        let path = finding.path.as_str();
        let moved = match known.files.contains_key(path) {
            true => Moves::between(&before[path], &parts[path]).finding(finding),
            false => None,
        };
        match moved {
            Some(moved) => known.carried.push(moved),
            None => known.open.push(finding.clone()),
        }
    }
    // A finding that cannot be moved must not get lost with its file.
    for finding in &known.open {
        known.files.remove(&finding.path);
    }
    let files = &known.files;
    let (carried, lost): (Vec<_>, Vec<_>) =
        std::mem::take(&mut known.carried).into_iter().partition(|finding| files.contains_key(&finding.path));
    known.carried = carried;
    known.open.extend(lost);
    known
}

fn paths(diff: &Diff) -> Vec<String> {
    let mut said = HashSet::new();
    diff.files.iter().map(|file| file.path.clone()).filter(|path| said.insert(path.clone())).collect()
}

/// git prints a file that becomes a symlink as two.
fn by_path(diff: &Diff) -> HashMap<&str, Vec<&FileDiff>> {
    let mut parts: HashMap<&str, Vec<&FileDiff>> = HashMap::new();
    for file in &diff.files {
        parts.entry(&file.path).or_default().push(file);
    }
    parts
}

/// Whether an engine would read the same; of a binary file, and of one that is too large, the diff does not tell.
fn same(before: &[&FileDiff], now: &[&FileDiff]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(before, now)| same_part(before, now))
}

fn same_part(before: &FileDiff, now: &FileDiff) -> bool {
    let FileDiff { path, old_path, status, old_mode, new_mode, binary, size: _, unread, hunks } = now;
    !binary
        && !before.binary
        && unread.is_none()
        && before.unread.is_none()
        && *path == before.path
        && *old_path == before.old_path
        && *status == before.status
        && *old_mode == before.old_mode
        && *new_mode == before.new_mode
        && hunks.len() == before.hunks.len()
        && hunks.iter().zip(&before.hunks).all(|(now, before)| same_lines(now, before))
}

fn same_lines(now: &Hunk, before: &Hunk) -> bool {
    now.lines.len() == before.lines.len()
        && now.lines.iter().zip(&before.lines).all(|(now, before)| now.kind == before.kind && now.text == before.text)
}

/// Where the lines of a file went whose diff has stayed the same.
struct Moves(HashMap<u32, u32>);

impl Moves {
    fn between(before: &[&FileDiff], now: &[&FileDiff]) -> Moves {
        let lines = |parts: &[&FileDiff]| -> Vec<Option<u32>> {
            parts.iter().flat_map(|part| &part.hunks).flat_map(|hunk| &hunk.lines).map(|line| line.new).collect()
        };
        Moves(lines(before).into_iter().zip(lines(now)).filter_map(|(then, now)| Some((then?, now?))).collect())
    }

    /// `None` where a line of it is not in the diff, and so cannot be followed.
    fn finding(&self, finding: &Finding) -> Option<Finding> {
        let mut moved = finding.clone();
        if let Some(Lines { start, end }) = finding.lines {
            moved.lines = Some(Lines { start: *self.0.get(&start)?, end: *self.0.get(&end)? });
        }
        for line in &mut moved.excerpt {
            line.number = *self.0.get(&line.number)?;
        }
        Some(moved)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::{Category, Draft, Severity};
    use crate::review::sample::{added, binary, deleted, diff, file, renamed};
    use crate::review::{EngineUsed, Receipt};

    fn earlier(files: &[(&str, Coverage)], findings: Vec<Finding>) -> Earlier {
        let files = files
            .iter()
            .map(|(path, coverage)| FileCoverage { path: (*path).to_owned(), coverage: coverage.clone() })
            .collect();
        Earlier {
            job: "01JEARLIER".into(),
            head: "4ead".into(),
            base: "b45e".into(),
            digest: "d".into(),
            review: Review {
                job: "01JEARLIER".into(),
                project: "acme/shop".into(),
                subject: "pull request 42".into(),
                outcome: Outcome::Reviewed,
                reason: None,
                summary: Some("Adds a shop.".into()),
                findings,
                receipt: Receipt { files, ..Receipt::default() },
                retry_at_ms: None,
                unpublished: None,
            },
        }
    }

    fn findings(diff: &Diff, at: &[(&str, u32)]) -> Vec<Finding> {
        let drafts = at
            .iter()
            .map(|(path, line)| Draft {
                path: (*path).to_owned(),
                start_line: Some(*line),
                end_line: None,
                severity: Severity::High,
                category: Category::Correctness,
                title: format!("fault in {path}"),
                explanation: "It panics.".into(),
                suggestion: None,
                confidence: 1.0,
                rule: None,
            })
            .collect();
        judge::judge(drafts, diff, &judge::Options::default()).findings
    }

    fn shown(known: &Known) -> Vec<String> {
        let mut shown: Vec<String> = known.files.iter().map(|(path, job)| format!("{path} {job}")).collect();
        shown.sort();
        shown
    }

    #[test]
    fn a_file_whose_diff_is_the_same_is_known_wherever_its_lines_went() {
        let before = diff(vec![
            file("a.rs", &[(10, &[" fn a() {", "-    old", "+    new", " }"])]),
            file("b.rs", &[(5, &["+one"])]),
            added("c.rs", &["+c"]),
        ]);
        let mut now = diff(vec![
            file("a.rs", &[(70, &[" fn a() {", "-    old", "+    new", " }"])]),
            file("b.rs", &[(5, &["+two"])]),
            added("c.rs", &["+c"]),
            added("d.rs", &["+d"]),
        ]);
        now.files[0].hunks[0].section = "impl Other {".into();
        let found = findings(&before, &[("a.rs", 11), ("b.rs", 5)]);
        let seen = [("a.rs", Coverage::Seen), ("b.rs", Coverage::Seen), ("c.rs", Coverage::Seen)];
        let known = compare(&earlier(&seen, found.clone()), &before, &now);
        assert_eq!(shown(&known), ["a.rs 01JEARLIER", "c.rs 01JEARLIER"]);
        assert_eq!(paths(&known.unread(now.clone())), ["b.rs", "d.rs"]);

        // The finding stands at its line of now, under its old name.
        let carried = &known.carried[0];
        assert_eq!((carried.lines, carried.excerpt[0].number), (Some(Lines { start: 71, end: 71 }), 71));
        assert_eq!((carried.fingerprint.as_str(), known.carried.len()), (found[0].fingerprint.as_str(), 1));
        assert_eq!(findings(&now, &[("a.rs", 71)])[0].fingerprint, carried.fingerprint);

        let unread = known.unread(now);
        let open = known.open(&unread);
        assert_eq!((open.len(), open[0].path.as_str(), open[0].title.as_str()), (1, "b.rs", "fault in b.rs"));
        assert_eq!(known.others(&unread), ["a.rs", "c.rs"]);
        let planned = paths(&unread).into_iter().map(|path| FileCoverage { path, coverage: Coverage::Seen }).collect();
        let covered: Vec<String> = known
            .covered(planned)
            .into_iter()
            .map(|file| format!("{} {}", file.path, if file.coverage == Coverage::Seen { "seen" } else { "known" }))
            .collect();
        assert_eq!(covered, ["a.rs known", "b.rs seen", "c.rs known", "d.rs seen"]);
    }

    #[test]
    fn only_what_was_truly_seen_is_known_and_by_the_job_that_saw_it() {
        let change = diff(["a", "b", "c", "d"].map(|path| added(path, &["+x"])).into());
        let reason = || "r".to_owned();
        let files = [
            ("a", Coverage::Known { job: "01JFIRST".into() }),
            ("b", Coverage::Excluded { reason: reason() }),
            ("c", Coverage::Missed { reason: reason() }),
            ("d", Coverage::Seen),
        ];
        let mut before = earlier(&files, vec![]);
        assert_eq!(shown(&compare(&before, &change, &change)), ["a 01JFIRST", "d 01JEARLIER"]);
        before.review.receipt.reviewed_by = Some("01JBEFORE".into());
        assert_eq!(shown(&compare(&before, &change, &change)), ["a 01JFIRST", "d 01JBEFORE"]);
    }

    #[test]
    fn what_is_different_in_any_way_is_read_again() {
        let one = || file("a", &[(1, &["+x", " y"]), (9, &["-z"])]);
        let mut other_mode = one();
        other_mode.new_mode = Some("100755".into());
        let differing = [
            file("a", &[(1, &["+x", " y"])]),
            file("a", &[(1, &["+x", " y", "-z"])]),
            file("a", &[(1, &["+x", "+y"]), (9, &["-z"])]),
            file("a", &[(1, &["+x ", " y"]), (9, &["-z"])]),
            added("a", &["+x"]),
            deleted("a", &["-z"]),
            renamed("b", "a", &[(1, &["+x", " y"]), (9, &["-z"])]),
            binary("a"),
            other_mode,
        ];
        let seen = earlier(&[("a", Coverage::Seen)], vec![]);
        for other in differing {
            let known = compare(&seen, &diff(vec![one()]), &diff(vec![other]));
            assert!(known.is_empty(), "{known:?}");
        }
        assert!(!compare(&seen, &diff(vec![one()]), &diff(vec![one()])).is_empty());
        assert!(compare(&seen, &diff(vec![binary("a")]), &diff(vec![binary("a")])).is_empty());
        let link = || diff(vec![deleted("a", &["-x"]), added("a", &["+target"])]);
        assert!(!compare(&seen, &link(), &link()).is_empty());
        assert!(compare(&seen, &link(), &diff(vec![added("a", &["+target"])])).is_empty());
    }

    #[test]
    fn a_finding_that_cannot_be_moved_has_its_file_read_again() {
        let change = diff(vec![file("a", &[(1, &["+x"])])]);
        let mut found = findings(&change, &[("a", 1)]);
        found[0].lines = Some(Lines { start: 400, end: 400 });
        let known = compare(&earlier(&[("a", Coverage::Seen)], found), &change, &change);
        assert!(known.is_empty() && known.carried.is_empty());
        assert_eq!(known.open.len(), 1);
        // One about the file as a whole moves with it.
        let mut found = findings(&change, &[("a", 1)]);
        (found[0].lines, found[0].excerpt) = (None, vec![]);
        let known = compare(&earlier(&[("a", Coverage::Seen)], found), &change, &change);
        assert_eq!((known.files.len(), known.carried.len()), (1, 1));
    }

    #[test]
    fn findings_of_a_renamed_file_are_open_in_the_new_one() {
        let before = diff(vec![file("old.rs", &[(1, &["+x"])])]);
        let now = diff(vec![renamed("old.rs", "new.rs", &[(1, &["+x"])])]);
        let known =
            compare(&earlier(&[("old.rs", Coverage::Seen)], findings(&before, &[("old.rs", 1)])), &before, &now);
        assert_eq!(known.open(&now)[0].path, "new.rs");
        assert!(known.is_empty() && known.carried.is_empty());
    }

    #[test]
    fn a_partial_review_counts_where_it_says_what_it_missed() {
        let missed = Coverage::Missed { reason: "it crashed".into() };
        let mut partial = earlier(&[("a", Coverage::Seen), ("b", missed)], vec![]);
        (partial.review.outcome, partial.review.reason) = judge::outcome(&partial.review.receipt.files, None);
        assert!(is_sound(&partial));
        let (_, reason) = judge::outcome(&partial.review.receipt.files, Some("stopped early"));
        partial.review.reason = reason;
        assert!(!is_sound(&partial), "nobody knows what else it did not see");
    }

    #[test]
    fn the_newest_conversation_is_gone_on_with() {
        let with = |id: Option<&str>| {
            let session = id.map(|id| SessionUsed { id: id.into(), resumes: 2 });
            let mut earlier = earlier(&[], vec![]);
            earlier.review.receipt.engine = Some(EngineUsed { session, ..EngineUsed::default() });
            earlier
        };
        let mut stands = with(Some("copied"));
        stands.review.receipt.reviewed_by = Some("01J".into());
        let without_engine = earlier(&[], vec![]);
        let (session, head) = to_resume(&[without_engine, stands, with(Some("b")), with(Some("c"))]).unwrap();
        assert_eq!((session.id.as_str(), session.resumes, head.as_str()), ("b", 2, "4ead"));
        assert_eq!(to_resume(&[with(None), with(Some("c"))]), None, "it does not know what the last one read");
        assert_eq!(to_resume(&[]), None);
    }

    #[test]
    fn what_is_known_joins_what_was_found_now() {
        let change = diff(vec![file("a", &[(1, &["+x"])]), file("b", &[(1, &["+x"])])]);
        let known = compare(&earlier(&[("a", Coverage::Seen)], findings(&change, &[("a", 1)])), &change, &change);
        let mut review = earlier(&[], findings(&change, &[("b", 1)])).review;
        review.summary = None;
        known.join(&mut review);
        let paths: Vec<&str> = review.findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!((paths, review.summary.as_deref()), (vec!["a", "b"], Some("Adds a shop.")));
    }

    proptest! {
        /// Whatever the two diffs: each file is planned once or known, each earlier finding is carried or open, and what
        /// is carried stands in the diff of now.
        #[test]
        fn nothing_gets_lost(
            before in prop::collection::vec(("[a-d]", 1..50_u32, prop::collection::vec("[+ -][xy]", 1..4)), 0..4),
            now in prop::collection::vec(("[a-d]", 1..50_u32, prop::collection::vec("[+ -][xy]", 1..4)), 0..4),
            at in prop::collection::vec(("[a-d]", 1..60_u32), 0..6),
        ) {
            let make = |files: &[(String, u32, Vec<String>)]| {
                let mut said = HashSet::new();
                diff(files
                    .iter()
                    .filter(|(path, ..)| said.insert(path.clone()))
                    .map(|(path, start, lines)| {
                        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                        file(path, &[(*start, &lines)])
                    })
                    .collect())
            };
            let (before, now) = (make(&before), make(&now));
            let at: Vec<(&str, u32)> = at.iter().map(|(path, line)| (path.as_str(), *line)).collect();
            let found = findings(&before, &at);
            let seen: Vec<(&str, Coverage)> =
                before.files.iter().map(|file| (file.path.as_str(), Coverage::Seen)).collect();
            let known = compare(&earlier(&seen, found.clone()), &before, &now);
            prop_assert_eq!(known.carried.len() + known.open.len(), found.len());
            let unread = known.unread(now.clone());
            prop_assert_eq!(unread.files.len() + known.files.len(), now.files.len());
            for finding in &known.carried {
                let file = now.files.iter().find(|file| file.path == finding.path).unwrap();
                if let Some(lines) = finding.lines {
                    prop_assert!((lines.start..=lines.end).all(|line| file.commentable(line)));
                    prop_assert_eq!(&finding.excerpt[0].text, &file.new_line(lines.start).unwrap().text);
                }
            }
        }
    }
}
