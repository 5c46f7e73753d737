//! Takes jobs of its scope from the queue and runs a bounded number at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::hold::{self, Hold};
use super::{Scope, Shared, room};
use crate::api::{Happening, Job, JobEvent, ReviewRequest};
use crate::cage::{API_KEY, Cage, Wish};
use crate::config::{Agent, Config};
use crate::disk;
use crate::error::Fail;
use crate::forge::Forge;
use crate::forge::github::{GitHub, TOKEN, TOKEN_VARIABLES, credentials};
use crate::host::Host;
use crate::review::{self, Again, Outcome, Review, Setting};
use crate::store::{Blame, Ending, Next, Store, is_damage, now_ms};
use crate::trace;

/// How often it looks for jobs that another process wrote down without knocking, and for cancellations.
const LOOK: Duration = Duration::from_millis(1000);

/// How often it looks for what is left of jobs that have ended while nobody worked on them: cancelled, or superseded.
const SWEEP: Duration = Duration::from_secs(5);

/// Works until [`stop_taking`] was called and all that runs has ended.
pub async fn work(shared: Arc<Shared>) {
    let (mut running, mut traces) = (JoinSet::new(), JoinSet::new());
    let mut hand_over = |ended: Result<Option<String>, JoinError>| {
        // Nobody waits for that but the end of the process.
        while traces.try_join_next().is_some() {}
        if let Ok(Some(id)) = ended {
            traces.spawn(hand_over_trace(shared.clone(), id));
        }
    };
    let mut stopping = shared.wish.subscribe();
    let mut swept = Instant::now();
    loop {
        while let Some(ended) = running.try_join_next() {
            hand_over(ended);
        }
        if *stopping.borrow_and_update() != Wish::GoOn || shared.is_stopping() {
            break;
        }
        let (at_once, config) = match hold::configuration(&shared.host, &shared.scope) {
            Ok(config) => {
                shared.say_right_again();
                (config.runner.jobs as usize, Some(config))
            }
            Err(wrong) => {
                // A drain does not wait for it to be put right.
                let drain = shared.store.paused(shared.scope.agent().cloned()).await.ok().flatten();
                let drain = drain.filter(|pause| pause.drains).map(Hold::Paused);
                shared.say_held(drain.or(Some(wrong)));
                (0, None)
            }
        };
        let has_room = room::is_there(&shared, config.as_ref());
        if running.len() < at_once && !has_room {
            // A pause holds all the same, and a drain does not wait for room.
            if let Ok(pause) = shared.store.paused(shared.scope.agent().cloned()).await {
                shared.say_held(pause.map(Hold::Paused));
            }
        }
        if running.len() < at_once && has_room {
            match shared.store.next(shared.scope.agent().cloned()).await {
                Ok(Next::Job(job)) => {
                    shared.say_held(None);
                    shared.touch();
                    shared.news.notify_waiters();
                    shared.running.fetch_add(1, Ordering::SeqCst);
                    shared.changed.notify_one();
                    running.spawn(one(shared.clone(), *job));
                    continue;
                }
                Ok(Next::Paused(pause)) => shared.say_held(Some(Hold::Paused(pause))),
                Ok(Next::Nothing) => shared.say_held(None),
                Err(error) => {
                    tracing::error!("{error:#}");
                    if is_damage(&error) {
                        shared.note_damage(error);
                        break;
                    }
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            }
        }
        if swept.elapsed() >= SWEEP {
            sweep(&shared).await;
            swept = Instant::now();
        }
        tokio::select! {
            () = shared.work.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            Some(ended) = running.join_next(), if !running.is_empty() => hand_over(ended),
            _ = stopping.changed() => {}
        }
    }
    while let Some(ended) = running.join_next().await {
        hand_over(ended);
    }
    while traces.join_next().await.is_some() {}
}

async fn sweep(shared: &Shared) {
    let workspace = shared.host.paths.workspace(shared.scope.agent());
    if let Err(error) = review::sweep(&workspace, &shared.cage, Some(&shared.store)).await {
        tracing::warn!("{error:#}");
    }
}

/// No further job is begun.
pub fn stop_taking(shared: &Shared) {
    shared.stopping.store(true, Ordering::SeqCst);
    shared.work.notify_waiters();
    shared.work.notify_one();
}

/// Works on a job; hands its id back where it has ended.
async fn one(shared: Arc<Shared>, job: Job) -> Option<String> {
    let id = job.id.clone();
    let mut has_ended = false;
    tracing::info!(CICD_JOB = %id, "job {id} begins: {}", job.request.subject());
    let workspace = shared.host.paths.workspace(shared.scope.agent());
    let review = review_job(&shared, &job).await;
    match review {
        Ok(review) if review.outcome == Outcome::Deferred && may_wait(&job) => {
            let until_ms =
                review.retry_at_ms.unwrap_or_else(|| now_ms() + pause_ms(job.deferrals)).max(now_ms() + 1000);
            let reason = review.reason.clone().unwrap_or_default();
            match patiently(&shared, &id, false, || shared.store.defer(&id, until_ms, review.clone())).await {
                Ok(()) => {
                    tracing::info!(
                        CICD_JOB = %id, CICD_OUTCOME = "deferred",
                        "job {id} deferred until {}: {reason}", crate::quantity::time(until_ms)
                    );
                    review::remove(&workspace, &id).await;
                }
                // Where this fails, the next process finds it running, and nobody who runs it.
                Err(error) => tracing::error!(CICD_JOB = %id, "{error:#}"),
            }
        }
        Ok(review) => {
            let outcome = review.outcome;
            let reason = review.reason.clone().map_or(String::new(), |reason| format!(": {reason}"));
            let findings = crate::quantity::count(review.findings.len(), "finding");
            match patiently(&shared, &id, outcome != Outcome::Failed, || shared.store.finish(&id, review.clone())).await
            {
                Ok(()) => {
                    if outcome == Outcome::Failed {
                        tracing::error!(CICD_JOB = %id, CICD_OUTCOME = %outcome, "job {id} {outcome}{reason}");
                    } else {
                        tracing::info!(CICD_JOB = %id, CICD_OUTCOME = %outcome, "job {id} {outcome}, {findings}{reason}");
                    }
                    // Not before: who begins the job again finds there what was paid for.
                    review::remove(&workspace, &id).await;
                    has_ended = true;
                }
                Err(error) => tracing::error!(CICD_JOB = %id, "{error:#}"),
            }
        }
        Err(again) => {
            let (reason, blame) = match again {
                Again::Stopped => ("the runner stopped".to_owned(), Blame::None),
                // Nothing can be said of the job before it is known whether all of this user's units stop now, and
                // nothing can be done for it while nobody answers.
                Again::Lost(why) if stops_soon(&shared).await || !manager_answers(&shared).await => (why, Blame::None),
                Again::Lost(why) => (why, Blame::Full),
            };
            tracing::info!(CICD_JOB = %id, "job {id} goes back into the queue: {reason}");
            match patiently(&shared, &id, true, || shared.store.requeue(&id, &reason, blame)).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::error!(CICD_JOB = %id, CICD_OUTCOME = "failed", "job {id} is given up: {reason}");
                    shared.owed.notify_one();
                    has_ended = true;
                }
                // The next process finds it running, and nobody who runs it.
                Err(error) => tracing::error!(CICD_JOB = %id, "{error:#}"),
            }
        }
    }
    shared.running.fetch_sub(1, Ordering::SeqCst);
    shared.touch();
    shared.changed.notify_one();
    shared.news.notify_waiters();
    shared.work.notify_one();
    has_ended.then_some(id)
}

/// A shutdown stops cage, bus and runner at once, in any order: within this time the runner learns of it, too.
const STOP_SHOWS: Duration = Duration::from_secs(2);

async fn stops_soon(shared: &Shared) -> bool {
    let began = Instant::now();
    while !shared.is_stopping() && began.elapsed() < STOP_SHOWS {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    shared.is_stopping()
}

/// Waits for the user manager; false where the runner is to stop before it answers.
async fn manager_answers(shared: &Shared) -> bool {
    let Cage::Unit(manager) = &shared.cage else { return true };
    while let Err(error) = manager.revive().await {
        tracing::warn!("{error:#}; it is tried again");
        for _ in 0..50 {
            if shared.is_stopping() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    true
}

/// How often a job is put off before it ends as deferred; with the pauses below that takes at least a day.
const MAX_DEFERRALS: u32 = 30;

/// Whether a job that found no quota goes back into the queue. What was asked of a working tree would mean another
/// change by then.
fn may_wait(job: &Job) -> bool {
    job.request.is_lasting() && job.deferrals < MAX_DEFERRALS
}

/// How long to wait where nobody says: a minute, and twice as long each time, up to an hour.
fn pause_ms(deferrals: u32) -> i64 {
    60_000 * (1 << deferrals.min(6)).min(60)
}

/// Writes down what became of a job, however long that takes: a disk that is full has room again some day, and until then
/// nobody else may begin the job. Perhaps it is the job's own directory that fills it: then what of that is not needed any
/// more goes, and all of it where nothing in it is to be `kept`. A process that is to stop leaves it to the next one.
async fn patiently<T, F: Future<Output = Result<T>>>(
    shared: &Shared,
    id: &str,
    kept: bool,
    write: impl Fn() -> F,
) -> Result<T> {
    loop {
        match write().await {
            // Of a damaged store nothing can be hoped.
            Err(error) if is_damage(&error) => {
                shared.note_damage(error);
                bail!("the store is damaged");
            }
            Err(error) if !shared.is_stopping() => {
                tracing::error!(CICD_JOB = %id, "{error:#}; it is tried again");
                let paths = &shared.host.paths;
                if disk::is_full(&error, &paths.state_dir) {
                    review::make_room(&paths.workspace(shared.scope.agent()), id, kept).await;
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            done => return done,
        }
    }
}

/// Tells the collector of a job that has ended, where one is configured.
async fn hand_over_trace(shared: Arc<Shared>, id: String) {
    let told = async {
        let Some(endpoint) = shared.host.config()?.traces.endpoint else { return Ok(()) };
        let Some(job) = shared.store.job(&id).await? else { return Ok(()) };
        let mut events = Vec::new();
        // They come in pages; what a trace cannot take is left out there.
        while let more = shared.store.events(&id, events.last().map_or(0, |event: &JobEvent| event.seq)).await?
            && !more.is_empty()
        {
            events.extend(more);
        }
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        match trace::document(&job, &events, &host_name) {
            Some(document) => trace::send::send(&endpoint, &document).await,
            None => Ok(()),
        }
    };
    if let Err(error) = told.await {
        tracing::warn!(CICD_JOB = %id, "the trace of job {id} is lost: {error:#}");
    }
}

async fn review_job(shared: &Arc<Shared>, job: &Job) -> Result<Review, Again> {
    let (wish, mut wished) = watch::channel(Wish::GoOn);
    // Events are written in their order by one task, beside the review.
    let (tell, mut told) = mpsc::unbounded_channel::<Happening>();
    let scribe = {
        let (shared, id) = (shared.clone(), job.id.clone());
        tokio::spawn(async move {
            while let Some(what) = told.recv().await {
                if let Err(error) = shared.store.append(&id, what).await {
                    tracing::warn!("could not write an event of job {id} down: {error:#}");
                }
                shared.news.notify_waiters();
            }
        })
    };
    let watcher = tokio::spawn(watch_wishes(shared.clone(), job.id.clone(), wish));
    let review =
        in_scope(&shared.host, &shared.scope, &shared.cage, Some(&shared.store), job, &mut wished, &mut |what| {
            // The scribe ends after us.
            let _ = tell.send(what);
        })
        .await;
    watcher.abort();
    drop(tell);
    let _ = scribe.await;
    review
}

/// Passes on the runner's stop, and a cancellation, which may come from any process by way of the store.
async fn watch_wishes(shared: Arc<Shared>, id: String, wish: watch::Sender<Wish>) {
    let mut runner = shared.wish.subscribe();
    loop {
        if *runner.borrow_and_update() == Wish::Release {
            wish.send_replace(Wish::Release);
            return;
        }
        match shared.store.ending(&id).await {
            Ok(Some(ending)) => {
                let ending = match ending {
                    Ending::Cancelled => Wish::Cancel,
                    Ending::Superseded => Wish::Supersede,
                };
                wish.send_replace(ending);
                return;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!("could not look whether job {id} is to end: {error:#}"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK / 4) => {}
            _ = runner.changed() => {}
        }
    }
}

/// Reviews with the configuration of the scope; a configuration that is wrong fails the job. Used without a runner,
/// too.
pub async fn in_scope(
    host: &Host,
    scope: &Scope,
    cage: &Cage,
    store: Option<&Store>,
    job: &Job,
    wish: &mut watch::Receiver<Wish>,
    tell: &mut (dyn FnMut(Happening) + Send),
) -> Result<Review, Again> {
    // The last net: nothing that leaves here, to be stored, logged, shown or told, has a secret in it.
    let vault = host.vault();
    let redactor = vault.redactor();
    let mut tell = |what| tell(redactor.clean(what));
    let review = async {
        let (config, agent) = match settings(host, scope) {
            Ok(found) => found,
            Err(error) => return Ok(failed(job, &format!("{error:#}"))),
        };
        let in_environment = match key_in_environment(host, cage).await {
            Ok(found) => found,
            Err(error) => return Err(Again::Lost(format!("systemd could not be asked: {error:#}"))),
        };
        let owner = match (&agent, &job.request.path) {
            // Who asks without the runner does not say whose project it is.
            (None, Some(path)) => host.owner_of(path, &config).ok().flatten(),
            _ => None,
        };
        let known_repo = agent.as_ref().or(owner.as_ref()).and_then(|agent| agent.repo.clone());
        let (project, repo) = agent.map_or((None, None), |agent| (agent.path, agent.repo));
        let forge = match forge(host, &config, &job.request, repo) {
            Ok(forge) => forge,
            Err(error) => return Ok(failed(job, &review::reason(&error))),
        };
        let skills = match host.skills() {
            Ok(skills) => skills,
            Err(error) => return Ok(failed(job, &review::reason(&error))),
        };
        let setting = Setting {
            config: &config,
            cage,
            project,
            cache_dir: &host.paths.cache_dir,
            workspace: &host.paths.workspace(scope.agent()),
            engine_home: &host.paths.engine_home(scope.agent()),
            vault: &vault,
            api_key_in_environment: in_environment,
            program: &host.program,
            hidden: host.paths.beside_home(),
            claude: host.find_program("claude"),
            pins: &host.paths.pins(),
            forge: forge.as_ref().map(|forge| forge as &dyn Forge),
            repo: known_repo,
            skills: &skills,
            store,
            turn: job.deferrals,
        };
        let review = review::run(&job.id, &job.request, &setting, wish, &mut tell).await;
        if let (Some(store), Some(forge)) = (store, &forge) {
            note_expiry(store, forge).await;
        }
        review
    }
    .await;
    // Another secret may have been stored meanwhile.
    let review = review.map(|review| vault.redactor().clean(redactor.clean(review)));
    review.map_err(|again| match again {
        Again::Lost(why) => Again::Lost(vault.redactor().text(&why)),
        Again::Stopped => Again::Stopped,
    })
}

/// Where the pull request of a request is read and published: where the repository is known and there is a token.
pub(super) fn forge(
    host: &Host,
    config: &Config,
    request: &ReviewRequest,
    repo: Option<String>,
) -> Result<Option<GitHub>> {
    let Some(number) = request.pr else { return Ok(None) };
    let github = &config.forge.github;
    let credentials = credentials::find(host, github)?;
    let repo = request.repo.clone().or(repo);
    let post = request.post.unwrap_or(config.review.post) && !request.dry_run;
    match (repo, credentials) {
        (Some(repo), Some(credentials)) => Ok(Some(GitHub::connect(host, github, repo, credentials)?)),
        (None, _) if post => bail!(
            Fail::new(format!("the review of pull request {number} is to be published, and nobody says where"))
                .hint("name the repository: `--repo owner/name`, or `repo` in the agent's file")
        ),
        (_, None) if post => bail!(
            Fail::new(format!("the review of pull request {number} is to be published, and there is no token"))
                .hint(format!("`cicdctl secret set {TOKEN}` stores one; {} works, too", TOKEN_VARIABLES[1]))
        ),
        _ => Ok(None),
    }
}

/// Keeps until when the token is good, as GitHub has just said, for `status` and the metrics.
pub(super) async fn note_expiry(store: &Store, forge: &GitHub) {
    let Some(expires) = forge.expires() else { return };
    if let Err(error) = store.note_expiry(TOKEN, expires.map(|time| time.as_millisecond())).await {
        tracing::warn!("could not note until when the token for GitHub is good: {error:#}");
    }
}

pub(super) fn settings(host: &Host, scope: &Scope) -> Result<(Config, Option<Agent>)> {
    let user = host.config()?;
    let agent = match scope.agent() {
        Some(name) => host.agent(name, &user)?,
        None => None,
    };
    Ok(match agent {
        Some(agent) => (agent.config.clone(), Some(agent)),
        None => (user, None),
    })
}

/// Whether the engine's key is where the guide has it: in the environment of all units.
async fn key_in_environment(host: &Host, cage: &Cage) -> Result<bool> {
    Ok(match cage {
        Cage::Unit(manager) => {
            manager.environment().await?.iter().any(|variable| variable.starts_with(&format!("{}=", API_KEY.1)))
        }
        Cage::Child { .. } => host.variable(API_KEY.1).is_some(),
    })
}

pub(super) fn failed(job: &Job, reason: &str) -> Review {
    Review {
        job: job.id.clone(),
        project: String::new(),
        subject: job.request.subject(),
        outcome: Outcome::Failed,
        reason: Some(reason.to_owned()),
        summary: None,
        findings: Vec::new(),
        receipt: review::Receipt::default(),
        retry_at_ms: None,
        unpublished: None,
    }
}
