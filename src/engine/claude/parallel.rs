//! A change that is too large for one call: several at once, within one budget and one deadline, and one report of them
//! all. A call that comes to nothing costs exactly its files, which the report names.

use std::cell::RefCell;
use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::session::Keep;
use super::{Call, add, prompt};
use crate::diff::Diff;
use crate::engine::drafts::shorten;
use crate::engine::{Bundle, EngineError, EngineReport, ErrorKind, Progress, Unseen, failed};
use crate::quantity::count;
use crate::review::EngineUsed;

/// US dollars; with less a call would only be begun.
const LEAST_SHARE: f64 = 0.01;

/// Bytes that a call is about besides its part of the diff: our own words, and what it looks up around the change. So a
/// small chunk gets enough to be read at all.
const BESIDES: usize = 30_000;

/// What came of one chunk.
struct Part {
    paths: Vec<String>,
    end: Result<EngineReport, EngineError>,
    /// US dollars that it could spend.
    share: f64,
}

/// Gives each of `chunks` (places in the bundle's diff) to a call of its own. Beside the report stands what they have
/// spent at most, in US dollars.
pub async fn review(
    call: &Call<'_>,
    bundle: &Bundle,
    chunks: &[Vec<usize>],
    events: &mut dyn FnMut(Progress),
) -> Result<(EngineReport, f64), EngineError> {
    let text =
        format!("reads {} in {} parts, {} at once", files(bundle), chunks.len(), call.spec.parallel.min(chunks.len()));
    events(Progress::Note { text });
    let bundles: Vec<Bundle> = chunks.iter().map(|chunk| part(bundle, chunk)).collect();
    let size = |bundle: &Bundle| bundle.diff.files.iter().map(|file| file.to_text().len()).sum::<usize>() + BESIDES;
    let sizes = bundles.iter().map(size).collect();
    let mut purse = Purse::new(call.spec.max_budget_usd, sizes);
    let events = RefCell::new(events);
    let one = async |index: usize, share: f64| {
        let mut events = |progress| (events.borrow_mut())(progress);
        let look = async {
            let prompt = prompt::review(&bundles[index])?;
            call.look(prompt, share, Keep::Nothing, &mut events).await?.end
        };
        (index, share, look.await)
    };

    let mut ends: Vec<Option<Part>> = bundles.iter().map(|_| None).collect();
    let mut waiting = 0..bundles.len();
    // Dropped with the future of this function, and each call with it.
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < call.spec.parallel.max(1)
            && let Some(index) = waiting.next()
        {
            let share = purse.take(index);
            let not_begun = if share < LEAST_SHARE {
                Some("the budget of this review was used up before its turn")
            } else if call.time_left().is_zero() {
                Some("the time of this review was over before its turn")
            } else {
                None
            };
            match not_begun {
                None => running.push(one(index, share)),
                Some(why) => {
                    purse.give_back(share, 0.0);
                    ends[index] = Some(Part { paths: paths(&bundles[index]), end: Err(failed(why)), share: 0.0 });
                }
            }
        }
        let Some((index, share, end)) = running.next().await else { break };
        purse.give_back(share, spent(&end, share));
        let is_refused = matches!(&end, Err(EngineError { kind: ErrorKind::Unauthenticated, .. }));
        ends[index] = Some(Part { paths: paths(&bundles[index]), end, share });
        if is_refused {
            // None of the others will be answered either.
            let others_run = !running.is_empty();
            drop(running);
            return Err(refused(ends.into_iter().flatten().collect(), others_run));
        }
    }
    let report = merge(ends.into_iter().flatten().collect())?;
    Ok((report, call.spec.max_budget_usd - purse.left))
}

/// The bundle of one call, which knows of the others' files by name alone.
fn part(bundle: &Bundle, chunk: &[usize]) -> Bundle {
    let files: Vec<_> = chunk.iter().map(|place| bundle.diff.files[*place].clone()).collect();
    let own: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut others: Vec<String> = bundle.diff.files.iter().map(|file| file.path.clone()).collect();
    others.retain(|path| !own.contains(path.as_str()));
    others.dedup();
    others.extend(bundle.others.iter().cloned());
    let open = bundle.open.iter().filter(|finding| own.contains(finding.path.as_str())).cloned().collect();
    Bundle {
        version: bundle.version,
        project: bundle.project.clone(),
        subject: bundle.subject.clone(),
        base_sha: bundle.base_sha.clone(),
        head_sha: bundle.head_sha.clone(),
        instructions: bundle.instructions.clone(),
        others,
        open,
        session: None,
        diff: Diff { files },
    }
}

fn paths(bundle: &Bundle) -> Vec<String> {
    let mut paths: Vec<String> = bundle.diff.files.iter().map(|file| file.path.clone()).collect();
    paths.dedup();
    paths
}

fn files(bundle: &Bundle) -> String {
    count(paths(bundle).len(), "file")
}

/// One budget for several calls, in US dollars. Each takes its share by size of what is left to those that have not
/// begun; what it does not spend comes back to them.
#[derive(Debug)]
struct Purse {
    /// Neither spent nor taken by a call that runs.
    left: f64,
    sizes: Vec<usize>,
    /// Sum of the sizes of those that have not begun.
    waiting: usize,
}

impl Purse {
    fn new(budget: f64, sizes: Vec<usize>) -> Purse {
        Purse { left: budget, waiting: sizes.iter().sum(), sizes }
    }

    fn take(&mut self, index: usize) -> f64 {
        let size = self.sizes[index];
        // The last one gets all there is; a division could leave a rest.
        let part = if size >= self.waiting { 1.0 } else { size as f64 / self.waiting as f64 };
        let share = (self.left * part).max(0.0);
        self.waiting -= size.min(self.waiting);
        self.left -= share;
        share
    }

    /// A call may have overdrawn its share by its last answer: then the others have less.
    fn give_back(&mut self, share: f64, spent: f64) {
        self.left += share - spent;
    }
}

fn used(end: &Result<EngineReport, EngineError>) -> Option<&EngineUsed> {
    match end {
        Ok(report) => Some(&report.used),
        Err(error) => error.used.as_deref(),
    }
}

/// Whether a call was ended before it named a price, although the model had begun to answer.
pub(super) fn is_unpriced(used: &EngineUsed) -> bool {
    used.cost_usd.is_none() && used.turns.is_some()
}

/// US dollars; where nobody knows, all that it could spend.
fn spent(end: &Result<EngineReport, EngineError>, share: f64) -> f64 {
    let Some(used) = used(end) else { return 0.0 };
    used.cost_usd.unwrap_or(if is_unpriced(used) { share } else { 0.0 })
}

/// What all calls have used.
fn used_by_all(parts: &[Part]) -> Option<EngineUsed> {
    let mut all = parts.iter().filter_map(|part| used(&part.end));
    let mut sum = all.next()?.clone();
    for used in all {
        sum.version = sum.version.or_else(|| used.version.clone());
        sum.model = sum.model.or_else(|| used.model.clone());
        add(&mut sum, used);
    }
    Some(sum)
}

/// The error of a key that was refused, with what the calls have used until then.
fn refused(parts: Vec<Part>, others_run: bool) -> EngineError {
    let mut used = used_by_all(&parts);
    // Those that were ended on the way named no price.
    if let Some(used) = used.as_mut().filter(|_| others_run) {
        used.cost_usd = None;
    }
    let refusal = parts.into_iter().filter_map(|part| part.end.err());
    let error = refusal
        .into_iter()
        .find(|error| error.kind == ErrorKind::Unauthenticated)
        .unwrap_or_else(|| EngineError::unauthenticated("the key was refused"));
    EngineError { used: used.map(Box::new), ..error }
}

/// The parts → one report; an error only where no part has any.
fn merge(parts: Vec<Part>) -> Result<EngineReport, EngineError> {
    let number = parts.len();
    let mut used = used_by_all(&parts).unwrap_or_default();
    // Half a price is none: who counts the money is to know that.
    let unpriced: Vec<f64> =
        parts.iter().filter(|part| self::used(&part.end).is_some_and(is_unpriced)).map(|part| part.share).collect();
    let priced = if unpriced.is_empty() { None } else { used.cost_usd.take() };
    let mut report = EngineReport {
        used: EngineUsed::default(),
        summary: None,
        drafts: Vec::new(),
        notes: Vec::new(),
        incomplete: None,
        unseen: Vec::new(),
    };
    let mut summaries = Vec::new();
    let mut errors = Vec::new();
    for Part { paths, end, share: _ } in parts {
        match end {
            Ok(EngineReport { used: _, summary, drafts, notes, incomplete, unseen }) => {
                summaries.extend(summary.map(|summary| (about(&paths), summary)));
                report.drafts.extend(drafts);
                report.notes.extend(notes);
                report.incomplete = report.incomplete.or(incomplete);
                report.unseen.extend(unseen);
            }
            Err(error) => {
                let reason = shorten(&error.cause, 300);
                report.unseen.extend(paths.into_iter().map(|path| Unseen { path, reason: reason.clone() }));
                errors.push(error);
            }
        }
    }
    if errors.len() == number {
        return Err(EngineError { used: Some(Box::new(used)), ..all_failed(&errors) });
    }
    if !unpriced.is_empty() {
        let (calls, share) = (count(unpriced.len(), "call"), unpriced.iter().sum::<f64>());
        let known = priced.unwrap_or(0.0);
        let note = format!("what {calls} cost is not known: at most ${share:.2}, besides ${known:.4} of the others");
        report.notes.push(note);
    }
    report.used = used;
    report.summary = joined(summaries);
    without_repeats(&mut report);
    Ok(report)
}

/// One error for all: to be tried later only where that is the reason of each.
fn all_failed(errors: &[EngineError]) -> EngineError {
    let number = errors.len();
    let waits: Option<Vec<Option<u64>>> = errors
        .iter()
        .map(|error| match error.kind {
            ErrorKind::Deferred { retry_after } => Some(retry_after),
            ErrorKind::Unauthenticated | ErrorKind::Failed => None,
        })
        .collect();
    let mut causes: Vec<&str> = errors.iter().map(|error| error.cause.as_str()).collect();
    match waits {
        Some(waits) => {
            let retry_after = waits.into_iter().flatten().max();
            EngineError::deferred(format!("none of {number} calls was answered: {}", causes[0]), retry_after)
        }
        None => {
            let first = errors.iter().find(|error| !matches!(error.kind, ErrorKind::Deferred { .. }));
            let first = first.map_or(causes[0], |error| error.cause.as_str()).to_owned();
            causes.dedup();
            let others = if causes.len() > 1 { "; the others failed otherwise" } else { "" };
            failed(format!("none of {number} calls brought a review: {first}{others}"))
        }
    }
}

/// The files of a part, for the head of its summary.
fn about(paths: &[String]) -> String {
    match paths {
        [one] => format!("`{}`", shorten(one, 120)),
        paths => {
            let folder = folder(paths);
            let files = count(paths.len(), "file");
            if folder.is_empty() { files } else { format!("`{}` ({files})", shorten(&folder, 120)) }
        }
    }
}

/// The folder that all of them are in, with a slash at its end.
fn folder(paths: &[String]) -> String {
    let Some((first, rest)) = paths.split_first() else { return String::new() };
    let mut common = first.rfind('/').map_or("", |at| &first[..=at]);
    while !rest.iter().all(|path| path.starts_with(common)) {
        let shorter = common[..common.len() - 1].rfind('/');
        common = shorter.map_or("", |at| &common[..=at]);
    }
    common.to_owned()
}

fn joined(summaries: Vec<(String, String)>) -> Option<String> {
    let texts: Vec<String> =
        summaries.into_iter().map(|(about, summary)| format!("{about}: {}", summary.trim())).collect();
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// Two calls may see the same fault from both ends, and say the same about their tools.
fn without_repeats(report: &mut EngineReport) {
    let mut said = HashSet::new();
    report.drafts.retain(|draft| {
        said.insert((draft.path.clone(), draft.start_line, draft.end_line, draft.title.to_lowercase()))
    });
    let mut noted = HashSet::new();
    report.notes.retain(|note| noted.insert(note.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::bundle;
    use crate::finding::Draft;
    use crate::review::sample::added;

    fn used(cost: Option<f64>, turns: Option<u32>) -> EngineUsed {
        EngineUsed { name: "claude".into(), cost_usd: cost, turns, input_tokens: Some(10), ..Default::default() }
    }

    fn draft(path: &str, title: &str) -> Draft {
        serde_json::from_value(serde_json::json!({"path": path, "start_line": 3, "severity": "low",
            "category": "other", "title": title, "explanation": "e"}))
        .unwrap()
    }

    fn good(paths: &[&str], summary: &str, drafts: Vec<Draft>) -> Part {
        let report = EngineReport {
            used: used(Some(0.25), Some(2)),
            summary: Some(summary.to_owned()),
            drafts,
            notes: vec!["1 use of a tool was denied to Claude Code".into()],
            incomplete: None,
            unseen: vec![],
        };
        Part { paths: paths.iter().map(|path| (*path).to_owned()).collect(), end: Ok(report), share: 1.0 }
    }

    fn bad(paths: &[&str], error: EngineError) -> Part {
        Part { end: Err(error), ..good(paths, "", vec![]) }
    }

    fn quota(after: Option<u64>) -> EngineError {
        EngineError::deferred("quota or overload: 429", after).having_used(used(Some(0.0), Some(1)))
    }

    #[test]
    fn parts_become_one_report() {
        let report = merge(vec![
            good(
                &["src/a.rs", "src/x/b.rs"],
                "Adds a.\n",
                vec![draft("src/a.rs", "Panics"), draft("src/a.rs", "Leaks")],
            ),
            good(&["web/c.js"], "Removes c.", vec![draft("src/a.rs", "panics"), draft("web/c.js", "Panics")]),
        ])
        .unwrap();
        assert_eq!(report.summary.as_deref(), Some("`src/` (2 files): Adds a.\n\n`web/c.js`: Removes c."));
        let named: Vec<_> = report.drafts.iter().map(|draft| format!("{} {}", draft.path, draft.title)).collect();
        assert_eq!(named, ["src/a.rs Panics", "src/a.rs Leaks", "web/c.js Panics"]);
        assert_eq!(report.notes, ["1 use of a tool was denied to Claude Code"]);
        assert_eq!((report.used.cost_usd, report.used.turns, report.used.input_tokens), (Some(0.5), Some(4), Some(20)));
        assert_eq!(report.unseen, []);
    }

    #[test]
    fn a_part_that_fails_leaves_exactly_its_files_unseen() {
        let report = merge(vec![
            good(&["a"], "s", vec![]),
            bad(&["b", "c"], quota(None)),
            bad(&["d"], failed("Claude Code was killed by SIGKILL").having_used(used(None, Some(1)))),
        ])
        .unwrap();
        let unseen: Vec<_> = report.unseen.iter().map(|file| format!("{}: {}", file.path, file.reason)).collect();
        assert_eq!(
            unseen,
            ["b: quota or overload: 429", "c: quota or overload: 429", "d: Claude Code was killed by SIGKILL"]
        );
        assert_eq!(report.used.cost_usd, None);
        assert_eq!(report.notes[1], "what 1 call cost is not known: at most $1.00, besides $0.2500 of the others");
    }

    #[test]
    fn where_all_fail_there_is_an_error() {
        let error = merge(vec![bad(&["a"], quota(Some(5))), bad(&["b"], quota(Some(60)))]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Deferred { retry_after: Some(60) });
        assert_eq!(error.to_string(), "none of 2 calls was answered: quota or overload: 429");
        assert_eq!(error.used.unwrap().cost_usd, Some(0.0));
        let crash = failed("it crashed").having_used(used(None, Some(1)));
        let error = merge(vec![bad(&["a"], quota(None)), bad(&["b"], crash)]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Failed);
        assert_eq!(error.to_string(), "none of 2 calls brought a review: it crashed; the others failed otherwise");
        assert_eq!(error.used.unwrap().cost_usd, None, "it may be anything");
    }

    #[test]
    fn a_refused_key_is_the_error_whatever_else_there_was() {
        let refusal = EngineError::unauthenticated("the key was refused").having_used(used(None, None));
        let error = refused(vec![good(&["a"], "s", vec![]), bad(&["b"], refusal)], false);
        assert_eq!((error.kind, error.used.unwrap().cost_usd), (ErrorKind::Unauthenticated, Some(0.25)));
    }

    #[test]
    fn shares_go_by_size_and_come_back() {
        let mut purse = Purse::new(2.0, vec![100, 300, 400]);
        let (first, second) = (purse.take(0), purse.take(1));
        assert_eq!((first, second), (0.25, 0.75));
        purse.give_back(first, 0.05);
        assert!((purse.take(2) - 1.2).abs() < 1e-9, "its own and what the first left over");
        purse.give_back(second, 0.8);
        assert!(purse.left < 0.0, "what was overdrawn is missing");
        let mut empty = Purse::new(1.0, vec![0, 0]);
        assert_eq!((empty.take(0), empty.take(1)), (1.0, 0.0));
    }

    #[test]
    fn a_part_knows_the_others_by_name() {
        let mut bundle = bundle();
        bundle.diff.files = ["a", "b", "c"].map(|path| added(path, &["+x"])).into();
        bundle.others = vec!["Cargo.lock".into()];
        let part = part(&bundle, &[0, 2]);
        assert_eq!(paths(&part), ["a", "c"]);
        assert_eq!(part.others, ["b", "Cargo.lock"]);
    }

    #[test]
    fn a_summary_says_what_it_is_about() {
        let about = |paths: &[&str]| about(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert_eq!(about(&["src/a.rs"]), "`src/a.rs`");
        assert_eq!(about(&["src/a/x.rs", "src/ab/y.rs"]), "`src/` (2 files)");
        assert_eq!(about(&["src/a.rs", "README"]), "2 files");
    }
}
