//! One review, from request to receipt: the steps of design 7 in their order. Knows git, the diff, engines, the cage,
//! the forge and what the store remembers of earlier reviews; knows nothing of our own HTTP API.

mod answers;
pub mod attributes;
mod begun;
pub mod budget;
mod change;
mod engine;
pub mod incremental;
pub mod jobdir;
pub mod judge;
pub mod ledger;
pub mod paths;
pub mod plan;
pub mod policy;
pub mod publish;
mod recall;
mod room;
#[cfg(test)]
pub mod sample;
mod skills;
mod types;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::api::{Happening, ReviewRequest, Stage};
use crate::cage::{API_KEY, Cage, Finished, Input, Key, Order, Start, Wish};
use crate::config::{Config, ReviewConfig};
use crate::diff::Diff;
use crate::engine::pin::Pins;
use crate::engine::{Bundle, EngineReport, EngineSpec, Progress};
use crate::error::Fail;
use crate::forge::{Forge, ForgeError, PullRequest};
use crate::git::{Change, Mirror};
use crate::plain::short;
use crate::secret::{Kept, Vault};
use crate::skill::Catalog;
use crate::store::{Earlier, Store, now_ms};
use crate::task::off_the_loop;
use crate::{disk, files, quantity};

pub use jobdir::{discard, engines, engines_left, make_room, remove, sweep, sweep_cages};
use paths::PathRules;
use policy::Policy;
use publish::Posting;
use skills::Skills;
pub use types::*;

/// What a review is made with; the same in the runner and in process.
pub struct Setting<'a> {
    pub config: &'a Config,
    pub cage: &'a Cage,
    /// The working copy to review, unless the request names one.
    pub project: Option<PathBuf>,
    pub cache_dir: &'a Path,
    /// Jobs have their directories below it.
    pub workspace: &'a Path,
    pub engine_home: &'a Path,
    /// The engine's key is read from it when it is needed, so that the one that is stored now is used.
    pub vault: &'a Vault,
    pub api_key_in_environment: bool,
    /// This program, and where `claude` was found.
    pub program: &'a Path,
    /// See [`Order::hidden`].
    pub hidden: Vec<PathBuf>,
    pub claude: Option<PathBuf>,
    /// Which programs may be engines.
    pub pins: &'a Pins,
    /// The project's repository at its forge, where there is one and a token for it. Nothing of it goes into the cage.
    pub forge: Option<&'a dyn Forge>,
    /// `owner/name` of the project, where an agent has it.
    pub repo: Option<String>,
    /// What an engine may be told to look for.
    pub skills: &'a Catalog,
    /// What is known of earlier reviews; without it each review is the first.
    pub store: Option<&'a Store>,
    /// How often this job was put off.
    pub turn: u32,
}

/// For how long the forge may still show the head before a push that it has announced, or git one that the API has.
const LAG: Duration = Duration::from_secs(2);

/// Told of each thing that happens, in order.
pub type Sink<'a> = dyn FnMut(Happening) + Send + 'a;

/// A review under way.
struct Run<'a> {
    /// The job's own directory, and what keeps others from it once it is made.
    dir: PathBuf,
    held: Option<std::fs::File>,
    /// A cage in it that an earlier process has begun, until somebody goes on with it or ends it.
    left: Option<begun::Note>,
    /// For how long its engine had worked when we took it over.
    before_ms: u64,
    request: &'a ReviewRequest,
    setting: &'a Setting<'a>,
    wish: &'a mut watch::Receiver<Wish>,
    tell: &'a mut Sink<'a>,
    review: Review,
    /// Where it is published, from the moment on when its head is known.
    posting: Option<Posting>,
    /// What the engine has read, until it is compared with the ledger.
    looked: Option<recall::Looked>,
    /// What becomes of the ledger if all goes well.
    recalled: Option<recall::Recalled>,
    /// A cap on what may be spent did not allow it.
    capped: bool,
}

/// Why a review did not come to its end.
enum Stopped {
    Wish(Wish),
    /// Its engine was ended by somebody else.
    Lost(String),
    Error(anyhow::Error),
}

/// Why a review is to be begun again. Its directory stays, and what goes on in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Again {
    /// The runner stops.
    Stopped,
    /// Something that is not its own has kept it from its end.
    Lost(String),
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Stopped::Error(error.into())
    }
}

/// Reviews. Whatever goes wrong with the review is an outcome. The job's directory is to be removed once that is
/// written down ([`remove`]): until then whoever begins again finds the engine's result there.
pub async fn run<'a>(
    job: &str,
    request: &'a ReviewRequest,
    setting: &'a Setting<'a>,
    wish: &'a mut watch::Receiver<Wish>,
    tell: &'a mut Sink<'a>,
) -> Result<Review, Again> {
    let began = Instant::now();
    let review = Review {
        job: job.to_owned(),
        project: String::new(),
        subject: request.subject(),
        outcome: Outcome::Failed,
        reason: None,
        summary: None,
        findings: Vec::new(),
        receipt: Receipt::default(),
        retry_at_ms: None,
        unpublished: None,
    };
    let dir = setting.workspace.join(job);
    let (held, left, posting, looked, recalled) = (None, None, None, None, None);
    let mut run = Run {
        dir,
        held,
        left,
        before_ms: 0,
        request,
        setting,
        wish,
        tell,
        review,
        posting,
        capped: false,
        looked,
        recalled,
    };
    let ended = run.steps().await;
    // Asked before anything of the job's own goes.
    let disk_full = matches!(&ended, Err(Stopped::Error(error)) if disk::is_full(error, setting.workspace));
    match ended {
        Err(Stopped::Wish(Wish::Release)) => return Err(Again::Stopped),
        Err(Stopped::Lost(why)) => return Err(Again::Lost(why)),
        // There was nothing to be read this time.
        _ => {
            if let Err(error) = run.end_left().await {
                tracing::warn!("could not clean up after job {job}, ignoring: {error:#}");
            }
        }
    }
    let Run { held: _held, before_ms, tell, mut review, posting, capped, recalled, .. } = run;
    if ended.is_err() && review.unpublished.is_none() {
        not_seen(&mut review.receipt, "the review did not come to its end");
    }
    match ended {
        Ok(()) => {}
        Err(Stopped::Wish(Wish::Supersede)) => {
            (review.outcome, review.reason) =
                (Outcome::Superseded, Some("a newer head of the pull request took its place".into()));
        }
        Err(Stopped::Wish(_) | Stopped::Lost(_)) => {
            (review.outcome, review.reason) = (Outcome::Cancelled, Some("cancelled while it ran".into()));
        }
        Err(Stopped::Error(error)) => {
            review.outcome = match error.downcast_ref() {
                Some(ForgeError::RateLimited { until, .. }) => {
                    review.retry_at_ms = Some(until.as_millisecond());
                    Outcome::Deferred
                }
                // A server in trouble says nothing about the change, and is over it some day.
                Some(ForgeError::Unavailable { .. }) => Outcome::Deferred,
                // Nor does a full disk.
                _ if disk_full => {
                    review.retry_at_ms = room::again_ms(setting, job).await;
                    Outcome::Deferred
                }
                _ => Outcome::Failed,
            };
            review.reason = Some(reason(&error));
        }
    }
    if let (Some(posting), Some(forge)) = (&posting, setting.forge) {
        // The summary has the time until here, the stored receipt also that of publishing.
        review.receipt.duration_ms = milliseconds(began.elapsed()) + before_ms;
        publish::finish(forge, posting, capped, &mut review, tell).await;
    }
    recall::conclude(setting, recalled, setting.forge.filter(|_| posting.is_some()), &mut review).await;
    review.receipt.duration_ms = milliseconds(began.elapsed()) + before_ms;
    Ok(review)
}

impl Run<'_> {
    async fn steps(&mut self) -> Result<(), Stopped> {
        let dir = self.dir.clone();
        self.held = Some(off_the_loop(move || jobdir::take(&dir)).await??);
        self.left = begun::Note::read(&self.dir)?;
        if self.left.is_none() {
            jobdir::clear(&self.dir)?;
        }
        let (mirror, change, pull) = match (self.request.pr, self.setting.forge) {
            (Some(number), Some(forge)) => {
                let Some(pull) = self.pull_request(forge, number).await? else { return Ok(()) };
                let Some((mirror, change, pull)) = self.change_of(forge, pull).await? else { return Ok(()) };
                (mirror, change, Some((forge, pull)))
            }
            _ => {
                let (mirror, change) = self.local_change().await?;
                (mirror, change, None)
            }
        };
        self.review.subject = change.subject.clone();
        self.review.receipt.base_sha = Some(change.base.clone());
        self.review.receipt.head_sha = Some(change.head.clone());

        let pull = pull.as_ref().map(|(forge, pull)| (*forge, pull));
        let Some(policy) = self.policy(&mirror, &change, pull).await? else { return Ok(()) };
        let config = &policy.config;
        let spec = engine::spec(self.request.engine.unwrap_or(config.review.engine), config, self.setting)?;
        let skills = Skills::choose(self.setting.skills, self.request, config, &spec)?;
        let bar = recall::Bar::new(&spec, config, &skills)?;
        if !self.is_known(&change, &policy, &spec, &skills).await? {
            self.announce().await?;
            self.read(&mirror, &change, &policy, spec, &skills).await?;
        }
        self.recall(&bar).await
    }

    /// The pull request as it is now; `None` where another job has it in hand.
    async fn pull_request(&mut self, forge: &dyn Forge, number: u64) -> Result<Option<PullRequest>, Stopped> {
        let mut asked_ms = now_ms();
        let mut pull = forge.pull_request(number).await?;
        if let (Some(head), Some(store)) = (&self.request.head, self.setting.store)
            && *head != pull.head_sha
        {
            tokio::time::sleep(LAG).await;
            asked_ms = now_ms();
            pull = forge.pull_request(number).await?;
            if *head != pull.head_sha && store.has_job_for(&self.review.job, &pull.head_sha).await? {
                (self.review.outcome, self.review.reason) = (
                    Outcome::Superseded,
                    Some(format!("the head is {} by now, and another job reviews it", short(&pull.head_sha))),
                );
                return Ok(None);
            }
        }
        self.review.receipt.head_sha = Some(pull.head_sha.clone());
        if let Some(store) = self.setting.store {
            store.found_head(&self.review.job, &pull.head_sha, asked_ms).await?;
        }
        if self.request.post.unwrap_or(self.setting.config.review.post) && !self.request.dry_run {
            self.posting = Some(Posting { pull: pull.clone(), max_inline: None, waits: false });
        }
        Ok(Some(pull))
    }

    /// It is to be read: where it is published its commit waits for it from now on. Where even that is refused there is
    /// nobody to tell.
    async fn announce(&mut self) -> Result<(), Stopped> {
        if let Some((forge, posting)) = self.setting.forge.zip(self.posting.take()) {
            publish::begin(forge, &posting.pull).await?;
            self.posting = Some(posting);
        }
        Ok(())
    }

    /// Whether this very change was reviewed before on the same terms: then that review stands, and nothing is paid.
    async fn is_known(
        &mut self,
        change: &Change,
        policy: &Policy,
        spec: &EngineSpec,
        skills: &Skills,
    ) -> Result<bool, Stopped> {
        let (Some(store), Some(forge), Some(number)) = (self.setting.store, self.setting.forge, self.request.pr) else {
            return Ok(false);
        };
        let digest = terms(policy, spec, skills)?;
        let made = store.unpublished(&self.review.job).await?;
        store.found_terms(&self.review.job, &change.base, &digest).await?;
        if let Some(Earlier { review, .. }) =
            made.filter(|made| made.head == change.head && made.base == change.base && made.digest == digest)
            && let Some(Unpublished { outcome, reason }) = review.unpublished
        {
            let Review { summary, findings, receipt, .. } = review;
            self.review = Review { outcome, reason, summary, findings, receipt, ..self.review.clone() };
            return Ok(true);
        }
        if self.request.full || self.request.dry_run {
            return Ok(false);
        }
        let earlier = store.earlier(&format!("{}#{number}", forge.repo()), 20).await?;
        let same = earlier.into_iter().find(|earlier| {
            earlier.review.outcome == Outcome::Reviewed
                && earlier.head == change.head
                && earlier.base == change.base
                && earlier.digest == digest
        });
        let Some(same) = same else { return Ok(false) };
        let first = same.review.receipt.reviewed_by.clone().unwrap_or(same.job);
        self.review.outcome = Outcome::Reviewed;
        self.review.summary = same.review.summary;
        self.review.findings = same.review.findings;
        self.review.receipt = Receipt { reviewed_by: Some(first), published: None, ..same.review.receipt };
        Ok(true)
    }

    /// From the diff to the findings.
    async fn read(
        &mut self,
        mirror: &Mirror,
        change: &Change,
        policy: &Policy,
        spec: EngineSpec,
        skills: &Skills,
    ) -> Result<(), Stopped> {
        let config = &policy.config;
        let diff = mirror.diff(change).await?;
        if diff.files.is_empty() {
            (self.review.outcome, self.review.reason) =
                (Outcome::Skipped, Some(format!("{}: nothing has changed", change.subject)));
            return Ok(());
        }
        let (budget, exclusions) = engine::reading(policy, &spec)?;
        let known = self.known(mirror, change, policy, &spec, skills, &diff).await?;
        let unread = known.unread(diff);
        let plan = off_the_loop(move || plan::plan(unread, &budget, &exclusions)).await?;
        self.review.receipt.files = known.covered(plan.files);
        let seen = self.review.receipt.seen();
        let files = quantity::count(self.review.receipt.files.len(), "file");
        (self.tell)(Happening::Stage { stage: Stage::Plan, detail: format!("{seen} of {files}") });
        if self.request.dry_run {
            let name = engine::name_of(&spec).as_str();
            not_seen(&mut self.review.receipt, "dry run");
            (self.review.outcome, self.review.reason) =
                (Outcome::Skipped, Some(format!("dry run: {seen} of {files} would be given to the engine `{name}`")));
            return self.foresee(&spec).await;
        }
        if seen == 0 {
            (self.review.outcome, self.review.reason) = judge::outcome(&self.review.receipt.files, None);
            if self.review.outcome == Outcome::Reviewed && known.is_empty() {
                (self.review.outcome, self.review.reason) =
                    (Outcome::Skipped, Some("every file of the change is excluded".into()));
            }
            known.join(&mut self.review);
            return Ok(());
        }
        let rules = PathRules::new(&config.paths)?;
        let own = rules.instructions(&config.review.instructions, &plan.seen);
        let bundle = Bundle {
            version: 1,
            project: self.review.project.clone(),
            subject: change.subject.clone(),
            base_sha: change.base.clone(),
            head_sha: change.head.clone(),
            instructions: skills.instructions(&plan.seen, &own)?,
            others: known.others(&plan.seen),
            open: known.open(&plan.seen),
            session: known.session(),
            diff: plan.seen,
        };
        let Some((report, diff)) = self.ask(mirror, change, spec, bundle).await? else {
            known.join_partial(&mut self.review);
            return Ok(());
        };

        (self.tell)(Happening::Stage { stage: Stage::Judge, detail: quantity::count(report.drafts.len(), "draft") });
        let options = judge::Options { floor: config.review.min_severity, rules, checkout: Some(self.checkout()) };
        let drafts = report.drafts;
        let (mut judged, diff) = off_the_loop(move || (judge::judge(drafts, &diff, &options), diff)).await?;
        judged.notes.extend(skills.keep(&mut judged.findings));
        let review = &mut self.review;
        review.findings = judged.findings;
        review.summary = report.summary;
        review.receipt.engine = Some(report.used);
        review.receipt.notes.extend(report.notes);
        review.receipt.notes.extend(judged.notes);
        known.join(review);
        engine::unseen(&mut review.receipt, &report.unseen);
        (review.outcome, review.reason) = judge::outcome(&review.receipt.files, report.incomplete.as_deref());
        // With skills of its own a request looks for something else than the reviews before.
        let to_the_end = report.incomplete.is_none() && self.request.skills.is_empty();
        self.looked = Some(recall::Looked { diff, to_the_end });
        Ok(())
    }

    /// Has the engine read what is in `bundle`, and hands back its report and the diff that it was given. `None` where
    /// nothing came of it, as the review then says.
    async fn ask(
        &mut self,
        mirror: &Mirror,
        change: &Change,
        mut spec: EngineSpec,
        bundle: Bundle,
    ) -> Result<Option<(EngineReport, Diff)>, Stopped> {
        let name = engine::name_of(&spec).as_str();
        // First of all, as what is pinned is part of what an earlier cage was begun for; one of an engine that is not what
        // was pinned any more is ended.
        let mut seal = engine::seal(&mut spec, self.setting.pins).await?;
        if self.request.unsandboxed && self.setting.config.is_locked("hardening.level") {
            let locked = Fail::new("the administrator of this host has locked `hardening.level`");
            return Err(locked.hint("nothing is reviewed without the engine's sandbox here").into());
        }
        let before = self.begun_before(&spec, &bundle).await?;
        if before.is_none() && !matches!(spec, EngineSpec::Rules) {
            let (size, most) = (mirror.checkout_size(change).await?, self.setting.config.job.disk);
            room::admits(size, most)?;
            files::make_dir(&self.checkout(), 0o700)?;
            mirror.checkout(change, &self.checkout(), &self.scratch()).await?;
            // That may have taken its time.
            seal = engine::seal(&mut spec, self.setting.pins).await?;
        }
        let api_key = match &spec {
            EngineSpec::Claude(_) => self.setting.vault.load(API_KEY.0)?,
            _ => None,
        };
        let api_key = api_key.map(|(kept, value)| Key {
            file: (kept == Kept::Plain).then(|| self.setting.vault.plain_file(API_KEY.0)),
            value,
        });
        let redactor = self.setting.vault.redactor();
        // The last step before the engine: what goes wrong from here on is settled.
        let (reserved, start) = match &before {
            Some(note) => {
                let told = self.told(note).await?;
                self.before_ms = note.age_ms(&self.dir);
                (self.take_over(note.held.as_ref()), Start::Adopt { told })
            }
            None => {
                let Some(reserved) = self.reserve(&mut spec, &bundle.diff).await? else { return Ok(None) };
                self.begins(&spec, &bundle, reserved.held()).await?;
                (reserved, Start::Anew)
            }
        };
        let detail = match start {
            Start::Anew => name.to_owned(),
            Start::Adopt { .. } => format!("{name}, which has gone on meanwhile"),
        };
        (self.tell)(Happening::Stage { stage: Stage::Engine, detail });
        let input =
            Input { job: self.review.job.clone(), spec, bundle, engine_home: self.setting.engine_home.to_owned() };
        let order = Order {
            job: &self.review.job,
            dir: &self.dir,
            input: &input,
            limits: &self.setting.config.job,
            api_key,
            api_key_in_environment: self.setting.api_key_in_environment,
            unsandboxed: self.request.unsandboxed,
            program: self.setting.program,
            hidden: &self.setting.hidden,
        };
        let engine_began = Instant::now();
        let (tell, mut started) = (&mut self.tell, matches!(start, Start::Adopt { told } if told > 0));
        // The cage has cleaned what it hands out, but a hostile engine may write its files, too.
        let mut progress = |progress| {
            let progress = redactor.clean(progress);
            started |= matches!(progress, Progress::Started { .. });
            tell(Happening::Engine { progress });
        };
        let end = match self.setting.cage.run(&order, start, self.wish, &mut progress).await {
            // Who begins the job again takes over what is set aside for it, or counts it as spent.
            Ok(Finished::GoesOn) => return Err(Stopped::Wish(Wish::Release)),
            Ok(Finished::Lost(why)) => return Err(Stopped::Lost(why)),
            Ok(Finished::Wish(wish)) => Err(Stopped::Wish(wish)),
            Ok(Finished::Ended(end)) => Ok(end),
            Err(error) => Err(Stopped::Error(error)),
        };
        let exhausted = self.settle(reserved, started, end.as_ref().ok().map(|end| &end.result)).await;
        let end = end?;
        let receipt = &mut self.review.receipt;
        let engine_ms = before.map_or_else(|| milliseconds(engine_began.elapsed()), |note| note.age_ms(&self.dir));
        receipt.engine_ms = Some(engine_ms);
        receipt.peak_memory = end.peak_memory;
        receipt.cage = Some(end.used);
        let named = || EngineUsed { name: name.to_owned(), ..Default::default() };
        let error = match end.result {
            Ok(report) => {
                let mut report = redactor.clean(report);
                report.used = seal.mark(report.used);
                if let Err(error) = seal.check(self.setting.pins).await {
                    receipt.engine = Some(report.used);
                    return Err(error.into());
                }
                return Ok(Some((report, input.bundle.diff)));
            }
            Err(error) => redactor.clean(error),
        };
        receipt.engine = Some(seal.mark(error.used.as_deref().cloned().unwrap_or_else(named)));
        not_seen(receipt, "the engine did not finish");
        match exhausted {
            Some(cap) => self.refuse(cap),
            None if room::was_missing(&error, self.setting) => {
                self.review.outcome = Outcome::Deferred;
                self.review.reason = Some(format!("the disk is full: {error}"));
                // What costs is not asked again at once.
                if !matches!(input.spec, EngineSpec::Claude(_)) {
                    self.review.retry_at_ms = room::again_ms(self.setting, &self.review.job).await;
                }
            }
            None => engine::failed(&mut self.review, &error, &input.spec),
        }
        Ok(None)
    }

    /// Scratch space of ours; the engine has another, to which it may still write.
    fn scratch(&self) -> PathBuf {
        self.dir.join(jobdir::OWN)
    }

    /// Where the engine finds the files of the head.
    fn checkout(&self) -> PathBuf {
        self.dir.join("checkout")
    }
}

/// Names all that decides how a change is reviewed: with the same terms the same commits need no second review.
fn terms(policy: &Policy, spec: &EngineSpec, skills: &Skills) -> Result<String> {
    let Policy { config, attributes } = policy;
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(&skills.all())?);
    // Where it is published and how long or dear it may get is no part of how a change is read.
    let defaults = ReviewConfig::default();
    let reading = ReviewConfig { post: defaults.post, max_inline: defaults.max_inline, ..config.review.clone() };
    hash.update(serde_json::to_vec(&reading)?);
    hash.update(serde_json::to_vec(&config.paths)?);
    hash.update(serde_json::to_vec(attributes)?);
    hash.update(serde_json::to_vec(&spec.without_bounds())?);
    Ok(hex::encode(&hash.finalize()[..16]))
}

/// In a thread of its own: how much an engine has left behind is up to the engine.
async fn remove_tree(dir: &Path) -> Result<()> {
    let dir = dir.to_owned();
    off_the_loop(move || files::remove_tree(&dir)).await?
}

/// What was planned to be seen was not.
fn not_seen(receipt: &mut Receipt, reason: &str) {
    for file in receipt.files.iter_mut().filter(|file| file.coverage == Coverage::Seen) {
        file.coverage = Coverage::Missed { reason: reason.to_owned() };
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Why it failed, on one line, with what helps.
pub fn reason(error: &anyhow::Error) -> String {
    let mut text = format!("{error:#}");
    if let Some(hint) = error.downcast_ref::<Fail>().and_then(|fail| fail.hint.as_ref()) {
        text = format!("{text} ({hint})");
    }
    text
}
