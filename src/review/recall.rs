//! Brings a review together with what is remembered of earlier ones: before it is published, what was dismissed is taken
//! out and what is known keeps its name; once it is published, what became of each finding is written down.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::ledger::{self, Answer, Entry, Heard, Known, Now, Report, Row, State, Texts};
use super::paths::PathRules;
use super::skills::Skills;
use super::{Coverage, FileCoverage, Outcome, Receipt, Review, Run, Setting, Stopped, Unpublished, answers, engine};
use crate::config::Config;
use crate::diff::Diff;
use crate::engine::EngineSpec;
use crate::finding::{Finding, Severity};
use crate::forge::{Forge, ForgeError, Mark, Permission, Thread};
use crate::quantity::count;
use crate::store::now_ms;

/// What an engine was given, and whether it looked for all that is looked for, to the end.
pub(super) struct Looked {
    pub(super) diff: Diff,
    pub(super) to_the_end: bool,
}

/// What this review reports: of which engine, and from which severity on.
pub(super) struct Bar<'a> {
    engine: &'static str,
    floor: Severity,
    rules: PathRules,
    skills: &'a Skills,
}

impl Bar<'_> {
    pub(super) fn new<'a>(spec: &EngineSpec, config: &Config, skills: &'a Skills) -> Result<Bar<'a>> {
        let (floor, rules) = (config.review.min_severity, PathRules::new(&config.paths)?);
        Ok(Bar { engine: engine::name_of(spec).as_str(), floor, rules, skills })
    }

    fn floor(&self, finding: &Finding) -> Severity {
        self.rules.floor(&finding.path).unwrap_or(self.floor).max(self.skills.floor(finding))
    }
}

/// What is to be done once the review is published.
pub(super) struct Recalled {
    changed: Vec<Entry>,
    /// Comments of ours that are to show what became of their finding.
    marks: Vec<(Thread, Mark)>,
}

impl Run<'_> {
    /// Compares what was found with what was found before, and with what people have answered.
    pub(super) async fn recall(&mut self, bar: &Bar<'_>) -> Result<(), Stopped> {
        let forge = self.request.pr.zip(self.setting.forge);
        if !matches!(self.review.outcome, Outcome::Reviewed | Outcome::Partial)
            || self.request.dry_run
            || (forge.is_none() && self.setting.store.is_none())
        {
            return Ok(());
        }
        let pull = self.request.pr.unwrap_or(0);
        let project = match forge {
            Some((_, forge)) => forge.repo().to_lowercase(),
            None => self.review.project.clone(),
        };
        let mut projects = vec![project.clone()];
        projects.extend(self.setting.repo.as_ref().map(|repo| repo.to_lowercase()).filter(|repo| *repo != project));
        let known = match self.setting.store {
            Some(store) => store.known_findings(projects, pull).await?,
            None => Known::default(),
        };
        let (base, head) = (self.review.receipt.base_sha.clone(), self.review.receipt.head_sha.clone());
        let (base, head) = (base.unwrap_or_default(), head.unwrap_or_default());
        let mut findings = self.review.findings.clone();
        add_restored(&mut findings, &known.rows, &self.review, bar);
        // Should the forge give no answer the review waits for it, and is not made again.
        let (outcome, reason) = (self.review.outcome, self.review.reason.clone());
        self.review.unpublished = forge.is_some().then_some(Unpublished { outcome, reason });
        let threads = match forge {
            Some((number, forge)) if !(findings.is_empty() && known.rows.is_empty()) => {
                self.conversation(forge, number).await?
            }
            _ => Vec::new(),
        };
        let answers = match forge {
            Some((_, forge)) if !threads.is_empty() => self.answers(forge, &threads, &known.rows).await?,
            _ => HashMap::new(),
        };

        let looked = self.looked.take();
        let paths =
            findings.iter().chain(known.rows.iter().map(|row| &row.finding)).map(|finding| finding.path.as_str());
        let texts = looked.as_ref().map(|looked| Texts::of(&looked.diff, paths)).unwrap_or_default();
        let receipt = &mut self.review.receipt;
        let now = Now {
            project: &project,
            pull,
            engine: bar.engine,
            report: Report { job: self.review.job.clone(), base, head, at_ms: now_ms() },
            files: &receipt.files,
            texts: &texts,
            to_the_end: looked.as_ref().is_some_and(|looked| looked.to_the_end),
            floor: &|finding| bar.floor(finding),
        };
        let decided = ledger::decide(known, findings, &answers, &now);
        let marks = marks(&decided.rows, threads, &texts);
        (receipt.dismissed, receipt.fixed) = (decided.dismissed, decided.fixed);
        self.review.findings = decided.findings;
        self.review.unpublished = None;
        self.recalled = Some(Recalled { changed: decided.changed, marks });
        Ok(())
    }

    /// What people have said about our findings. Where that cannot be read the review goes on without.
    async fn conversation(&mut self, forge: &dyn Forge, number: u64) -> Result<Vec<Thread>, Stopped> {
        match forge.conversation(number).await {
            Ok(threads) => Ok(threads),
            Err(error @ ForgeError::RateLimited { .. }) => Err(error.into()),
            Err(error) => {
                self.note(format!("what was answered to earlier findings could not be read: {error}"));
                Ok(Vec::new())
            }
        }
    }

    async fn answers(
        &mut self,
        forge: &dyn Forge,
        threads: &[Thread],
        rows: &[Row],
    ) -> Result<HashMap<String, Answer>, Stopped> {
        let heard: HashMap<String, Heard> = rows.iter().map(|row| (row.fingerprint.clone(), row.heard)).collect();
        let mut permissions: HashMap<String, Permission> = HashMap::new();
        for login in answers::people(threads, &heard) {
            match forge.permission(&login).await {
                Ok(permission) => {
                    permissions.insert(login, permission);
                }
                Err(error @ ForgeError::RateLimited { .. }) => return Err(error.into()),
                Err(error) => self.note(format!(
                    "what `{}` may do could not be found out, so their answers do not count: {error}",
                    crate::plain::one_line(&login, 100)
                )),
            }
        }
        Ok(answers::answers(threads, &heard, &permissions, now_ms()))
    }

    fn note(&mut self, text: String) {
        let notes = &mut self.review.receipt.notes;
        // A review that is used again has its notes already.
        if !notes.contains(&text) {
            notes.push(text);
        }
    }
}

/// What earlier reviews have reported of what is not read again, and have not shown: it may have been restored meanwhile.
fn add_restored(findings: &mut Vec<Finding>, rows: &[Row], review: &Review, bar: &Bar<'_>) {
    let Receipt { base_sha, head_sha, files, reviewed_by, .. } = &review.receipt;
    let shown: HashSet<String> = findings.iter().map(|finding| finding.fingerprint.clone()).collect();
    let is_known = |row: &Row| {
        let of_file =
            |file: &FileCoverage| file.path == row.finding.path && matches!(file.coverage, Coverage::Known { .. });
        // Another engine's findings are not carried over.
        row.state == State::Open && row.engine == bar.engine && files.iter().any(of_file)
    };
    let is_of_this_change = |row: &Row| {
        reviewed_by.is_some() && Some(&row.last.base) == base_sha.as_ref() && Some(&row.last.head) == head_sha.as_ref()
    };
    let reported = rows.iter().filter(|row| is_known(row) || is_of_this_change(row));
    let wanted = |row: &&Row| !shown.contains(&row.fingerprint) && row.finding.severity >= bar.floor(&row.finding);
    for row in reported.filter(wanted) {
        let mut finding = row.finding.clone();
        if Some(&row.last.head) != head_sha.as_ref() {
            // Where its lines are by now nobody has looked; better none than others.
            (finding.lines, finding.suggestion) = (None, None);
        }
        findings.push(finding);
    }
}

/// The comments whose finding is fixed, or open. What is shown already is left to the forge, which changes nothing then.
fn marks(rows: &[Row], threads: Vec<Thread>, texts: &Texts) -> Vec<(Thread, Mark)> {
    let by_name: HashMap<&str, &Row> = rows.iter().map(|row| (row.fingerprint.as_str(), row)).collect();
    threads
        .into_iter()
        .filter_map(|thread| {
            let row = by_name.get(thread.fingerprint.as_str())?;
            let mark = match (row.state, &row.fixed_head) {
                (State::Open, _) => Mark::Open,
                (State::Fixed, Some(head)) => Mark::Fixed {
                    head: head.clone(),
                    unchanged: !row.lines.is_empty() && texts.has(&row.finding.path, &row.lines) == Some(true),
                },
                (State::Fixed, None) | (State::Dismissed, _) => return None,
            };
            Some((thread, mark))
        })
        .collect()
}

/// Writes down what became of each finding, and shows it at the comments where the review was published. The review has
/// ended: what goes wrong here is a note.
pub(super) async fn conclude(
    setting: &Setting<'_>,
    recalled: Option<Recalled>,
    published_at: Option<&dyn Forge>,
    review: &mut Review,
) {
    let Some(Recalled { changed, marks }) = recalled else { return };
    if !matches!(review.outcome, Outcome::Reviewed | Outcome::Partial) {
        return;
    }
    if let Some(store) = setting.store
        && let Err(error) = store.record_findings(changed).await
    {
        tracing::warn!("{error:#}");
        review.receipt.notes.push(format!("{error:#}"));
    }
    let Some(forge) = published_at else { return };
    let mut failures = Vec::new();
    for (thread, mark) in &marks {
        if let Err(error) = forge.mark_finding(thread, mark).await {
            let limited = matches!(error, ForgeError::RateLimited { .. });
            failures.push(error);
            // The next review finds the others as they are.
            if limited {
                break;
            }
        }
    }
    if let Some(first) = failures.first() {
        let comments = count(failures.len(), "comment");
        review.receipt.notes.push(format!("{comments} could not be made to show what became of the finding: {first}"));
    }
}
