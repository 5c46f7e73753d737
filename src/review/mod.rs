//! One review, from request to receipt: the steps of design 7 in their order. Knows git, the diff, engines, the cage
//! and the forge; knows neither our own HTTP API nor the store.

pub mod judge;
pub mod plan;
pub mod publish;
#[cfg(test)]
pub mod sample;
mod types;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use tokio::sync::watch;

use crate::api::{Happening, ReviewRequest, Stage};
use crate::cage::{Cage, Input, Order, Wish};
use crate::config::{Config, EngineName};
use crate::engine::{Bundle, ClaudeSpec, CommandSpec, EngineSpec, ErrorKind};
use crate::error::Fail;
use crate::forge::{Forge, ForgeError, PullRequest};
use crate::git::{Change, Mirror, Repository};
use crate::{files, quantity, store};

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
    pub api_key_file: Option<PathBuf>,
    pub api_key_in_environment: bool,
    /// This program, and where `claude` was found.
    pub program: &'a Path,
    pub claude: Option<PathBuf>,
    /// The project's repository at its forge, where there is one and a token for it. Nothing of it goes into the cage.
    pub forge: Option<&'a dyn Forge>,
}

/// Told of each thing that happens, in order.
pub type Sink<'a> = dyn FnMut(Happening) + Send + 'a;

/// Reviews. Whatever goes wrong is an outcome; `None` means that the runner's stop ended it and it is to be begun
/// again.
pub async fn run(
    job: &str,
    request: &ReviewRequest,
    setting: &Setting<'_>,
    wish: &mut watch::Receiver<Wish>,
    tell: &mut Sink<'_>,
) -> Option<Review> {
    let began = Instant::now();
    let dir = setting.workspace.join(job);
    let mut review = Review {
        job: job.to_owned(),
        project: String::new(),
        subject: request.subject(),
        outcome: Outcome::Failed,
        reason: None,
        summary: None,
        findings: Vec::new(),
        receipt: Receipt::default(),
    };
    let mut posting = None;
    let ended = steps(&dir, request, setting, wish, tell, &mut review, &mut posting).await;
    if let Err(error) = remove_tree(&dir).await {
        tracing::warn!("could not clean up after job {job}, ignoring: {error:#}");
    }
    if ended.is_err() {
        not_seen(&mut review.receipt, "the review did not come to its end");
    }
    match ended {
        Ok(()) => {}
        Err(Stopped::Wish(Wish::Release)) => return None,
        Err(Stopped::Wish(_)) => {
            (review.outcome, review.reason) = (Outcome::Cancelled, Some("cancelled while it ran".into()));
        }
        Err(Stopped::Error(error)) => {
            review.outcome = match error.downcast_ref() {
                Some(ForgeError::RateLimited { .. }) => Outcome::Deferred,
                _ => Outcome::Failed,
            };
            review.reason = Some(reason(&error));
        }
    }
    if let (Some(pull), Some(forge)) = (posting, setting.forge) {
        // The summary has the time until here, the stored receipt also that of publishing.
        review.receipt.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        publish::finish(forge, &pull, setting.config.review.max_inline as usize, &mut review, tell).await;
    }
    review.receipt.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Some(review)
}

/// Why a review did not come to its end.
enum Stopped {
    Wish(Wish),
    Error(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Stopped::Error(error.into())
    }
}

async fn steps(
    dir: &Path,
    request: &ReviewRequest,
    setting: &Setting<'_>,
    wish: &mut watch::Receiver<Wish>,
    tell: &mut Sink<'_>,
    review: &mut Review,
    posting: &mut Option<PullRequest>,
) -> Result<(), Stopped> {
    let config = setting.config;
    let scratch = dir.join("scratch");
    // A directory of the same name is left from a runner that crashed.
    remove_tree(dir).await?;
    files::make_dir(&scratch, 0o700)?;

    let pull = match (request.pr, setting.forge) {
        (Some(number), Some(forge)) => Some((forge, forge.pull_request(number).await?)),
        _ => None,
    };
    if let Some((forge, pull)) = &pull
        && request.post.unwrap_or(config.review.post)
        && !request.dry_run
    {
        review.receipt.head_sha = Some(pull.head_sha.clone());
        publish::begin(*forge, pull).await?;
        *posting = Some(pull.clone());
    }
    let (mirror, change) = match (request, &pull) {
        (_, Some((forge, pull))) => fetch(request, setting, *forge, pull, review, tell).await?,
        _ => {
            let project =
                request.path.clone().or_else(|| setting.project.clone()).ok_or_else(|| no_project(request))?;
            tell(Happening::Stage { stage: Stage::Fetch, detail: project.display().to_string() });
            let repository = Repository::open(&project).await?;
            review.project = repository.top.display().to_string();
            let mirror = Mirror::open(setting.cache_dir, repository).await?;
            let change = match request {
                ReviewRequest { pr: Some(number), base, .. } => {
                    mirror.pull_request(*number, base.as_deref(), None).await?
                }
                ReviewRequest { range: Some(range), .. } => mirror.range(range).await?,
                ReviewRequest { staged: true, .. } => mirror.staged(&scratch).await?,
                ReviewRequest { base: Some(base), head: Some(head), .. } => {
                    mirror.range(&format!("{base}...{head}")).await?
                }
                ReviewRequest { base: Some(base), .. } => mirror.since(base).await?,
                _ => mirror.working_tree(&scratch).await?,
            };
            (mirror, change)
        }
    };
    review.subject = change.subject.clone();
    review.receipt.base_sha = Some(change.base.clone());
    review.receipt.head_sha = Some(change.head.clone());

    let spec = engine(request.engine.unwrap_or(config.review.engine), setting)?;
    let diff = mirror.diff(&change).await?;
    if diff.files.is_empty() {
        (review.outcome, review.reason) = (Outcome::Skipped, Some(format!("{}: nothing has changed", change.subject)));
        return Ok(());
    }
    let (budget, exclusions) = reading(config, &spec)?;
    let plan = plan::plan(diff, &budget, &exclusions);
    review.receipt.files = plan.files;
    let seen = review.receipt.seen();
    tell(Happening::Stage {
        stage: Stage::Plan,
        detail: format!("{seen} of {}", quantity::count(review.receipt.files.len(), "file")),
    });
    if seen == 0 {
        let (outcome, reason) = judge::outcome(&review.receipt.files, None);
        review.outcome = if outcome == Outcome::Reviewed { Outcome::Skipped } else { outcome };
        review.reason = reason.or_else(|| Some("every file of the change is excluded".into()));
        return Ok(());
    }

    if request.dry_run {
        let files = quantity::count(review.receipt.files.len(), "file");
        let engine = name_of(&spec).as_str();
        not_seen(&mut review.receipt, "dry run");
        (review.outcome, review.reason) =
            (Outcome::Skipped, Some(format!("dry run: {seen} of {files} would be given to the engine `{engine}`")));
        return Ok(());
    }
    if !matches!(spec, EngineSpec::Rules) {
        files::make_dir(&dir.join("checkout"), 0o700)?;
        mirror.checkout(&change, &dir.join("checkout"), &scratch).await?;
    }
    tell(Happening::Stage { stage: Stage::Engine, detail: name_of(&spec).as_str().to_owned() });
    let input = Input {
        job: review.job.clone(),
        spec,
        bundle: Bundle {
            version: 1,
            project: review.project.clone(),
            subject: change.subject.clone(),
            base_sha: change.base.clone(),
            head_sha: change.head.clone(),
            instructions: config.review.instructions.clone(),
            diff: plan.seen,
        },
        engine_home: setting.engine_home.to_owned(),
    };
    let order = Order {
        job: &review.job,
        dir,
        input: &input,
        limits: &config.job,
        api_key_file: setting.api_key_file.clone(),
        api_key_in_environment: setting.api_key_in_environment,
        unsandboxed: request.unsandboxed,
        program: setting.program,
    };
    let engine_began = Instant::now();
    let end = setting.cage.run(&order, wish, &mut |progress| tell(Happening::Engine { progress })).await?;
    let Some(end) = end else { return Err(Stopped::Wish(*wish.borrow())) };
    review.receipt.engine_ms = Some(u64::try_from(engine_began.elapsed().as_millis()).unwrap_or(u64::MAX));
    review.receipt.peak_memory = end.peak_memory;
    review.receipt.cage = Some(end.used);
    let report = match end.result {
        Ok(report) => report,
        Err(error) => {
            let named = || EngineUsed { name: name_of(&input.spec).as_str().to_owned(), ..Default::default() };
            review.receipt.engine = Some(error.used.as_deref().cloned().unwrap_or_else(named));
            not_seen(&mut review.receipt, "the engine did not finish");
            (review.outcome, review.reason) = match error.kind {
                ErrorKind::Deferred { retry_after: Some(secs) } => {
                    let again =
                        jiff::Timestamp::from_millisecond(store::now_ms() + i64::try_from(secs).unwrap_or(0) * 1000);
                    let again = again.map_or(String::new(), |again| format!("; try again after {again:.0}"));
                    (Outcome::Deferred, Some(format!("{error}{again}")))
                }
                ErrorKind::Deferred { .. } => (Outcome::Deferred, Some(error.to_string())),
                // A key that is stored is given to nobody else.
                ErrorKind::Unauthenticated if !matches!(input.spec, EngineSpec::Claude(_)) => {
                    (Outcome::Failed, Some(error.to_string()))
                }
                ErrorKind::Unauthenticated => (
                    Outcome::Failed,
                    Some(format!("{error}; `cicdctl secret set {}` stores a key", crate::cage::API_KEY.0)),
                ),
                ErrorKind::Failed => (Outcome::Failed, Some(error.to_string())),
            };
            return Ok(());
        }
    };

    tell(Happening::Stage { stage: Stage::Judge, detail: quantity::count(report.drafts.len(), "draft") });
    let options = judge::Options { floor: config.review.min_severity, checkout: Some(dir.join("checkout")) };
    let judged = judge::judge(report.drafts, &input.bundle.diff, &options);
    review.findings = judged.findings;
    review.summary = report.summary;
    review.receipt.engine = Some(report.used);
    review.receipt.notes.extend(report.notes);
    review.receipt.notes.extend(judged.notes);
    (review.outcome, review.reason) = judge::outcome(&review.receipt.files, report.incomplete.as_deref());
    Ok(())
}

/// Brings the commits of a pull request that the forge has told us about: through the working copy where there is one,
/// otherwise straight from the forge.
async fn fetch(
    request: &ReviewRequest,
    setting: &Setting<'_>,
    forge: &dyn Forge,
    pull: &PullRequest,
    review: &mut Review,
    tell: &mut Sink<'_>,
) -> Result<(Mirror, Change), Stopped> {
    review.project = forge.repo().to_owned();
    tell(Happening::Stage { stage: Stage::Fetch, detail: format!("{}#{}", forge.repo(), pull.number) });
    let source = forge.source();
    let mirror = match request.path.as_ref().or(setting.project.as_ref()) {
        Some(project) => Mirror::open(setting.cache_dir, Repository::open(project).await?).await?,
        None => Mirror::of_remote(setting.cache_dir, &source).await?,
    };
    let base = request.base.as_deref().unwrap_or(&pull.base_ref);
    let change = mirror.pull_request(pull.number, Some(base), Some(&source)).await?;
    if change.head != pull.head_sha {
        // A push in between; or another repository altogether.
        return Err(anyhow!(
            Fail::new(format!(
                "the head of pull request {} is {} for {} and {} for git",
                pull.number,
                pull.head_sha,
                forge.repo(),
                change.head
            ))
            .hint("ask again if there was a push just now; otherwise the remote `origin` is another repository")
        )
        .into());
    }
    Ok((mirror, change))
}

/// In a thread of its own: how much an engine has left behind is up to the engine.
async fn remove_tree(dir: &Path) -> Result<()> {
    let dir = dir.to_owned();
    tokio::task::spawn_blocking(move || files::remove_tree(&dir)).await.context("the removal panicked")?
}

/// What was planned to be seen was not.
fn not_seen(receipt: &mut Receipt, reason: &str) {
    for file in receipt.files.iter_mut().filter(|file| file.coverage == Coverage::Seen) {
        file.coverage = Coverage::Missed { reason: reason.to_owned() };
    }
}

fn no_project(request: &ReviewRequest) -> anyhow::Error {
    match &request.repo {
        Some(repo) => anyhow!(
            "no agent has the repository `{repo}`; `cicdctl agent add NAME --repo {repo} --path DIR` makes one; with \
             `cicdctl secret set {}` its pull requests are read from GitHub",
            crate::forge::github::TOKEN
        ),
        None => anyhow!(
            "the request names no project, and there is not exactly one agent to take it; \
             name `repo`, `path` or `agent`, or add the project with `cicdctl agent add NAME --path DIR`"
        ),
    }
}

/// What an engine is to read: the rules cost nothing and look at lock files and vendored code, too.
fn reading(config: &Config, spec: &EngineSpec) -> Result<(plan::Budget, plan::Exclusions)> {
    if matches!(spec, EngineSpec::Rules) {
        return Ok((plan::Budget::UNLIMITED, plan::Exclusions::only(&config.review.exclude)?));
    }
    let bytes = usize::try_from(config.review.max_diff.0).unwrap_or(usize::MAX);
    Ok((plan::Budget { max_bytes: bytes, max_file_bytes: bytes }, plan::Exclusions::new(&config.review.exclude)?))
}

/// The engine with all that it needs to know.
fn engine(name: EngineName, setting: &Setting<'_>) -> Result<EngineSpec> {
    let config = setting.config;
    let deadlines = config.job.deadlines();
    Ok(match name {
        EngineName::Rules => EngineSpec::Rules,
        EngineName::Claude => {
            let claude = &config.engine.claude;
            let program =
                claude
                    .program
                    .clone()
                    .or_else(|| setting.claude.clone())
                    .context(Fail::new("the engine `claude` is not installed, or not where it was looked for").hint(
                    "`npm install -g @anthropic-ai/claude-code`, or name it: `[engine.claude] program = \"/…/claude\"`",
                ))?;
            // A link in ~/.local/bin leads elsewhere, and the cage only sees what it is given.
            let program = program.canonicalize().with_context(|| format!("could not find `{}`", program.display()))?;
            EngineSpec::Claude(ClaudeSpec {
                program,
                version: claude.version.clone(),
                refute: config.review.refute,
                model: claude.model.clone(),
                max_turns: claude.max_turns,
                max_budget_usd: claude.max_budget_usd,
                base_url: claude.base_url.clone(),
                deadlines,
            })
        }
        EngineName::Command => {
            let argv = config.engine.command.argv.clone();
            let Some(program) = argv.first() else {
                bail!(
                    Fail::new("the engine `command` has no command")
                        .hint("name it: `[engine.command] argv = [\"/usr/local/bin/my-linter\", \"--sarif\"]`")
                );
            };
            if !Path::new(program).is_absolute() {
                bail!(Fail::new(format!("the engine's program `{program}` is no absolute path")));
            }
            EngineSpec::Command(CommandSpec { argv, deadlines })
        }
    })
}

fn name_of(spec: &EngineSpec) -> EngineName {
    match spec {
        EngineSpec::Rules => EngineName::Rules,
        EngineSpec::Claude(_) => EngineName::Claude,
        EngineSpec::Command(_) => EngineName::Command,
    }
}

/// Why it failed, on one line, with what helps.
pub fn reason(error: &anyhow::Error) -> String {
    let mut text = format!("{error:#}");
    if let Some(hint) = error.downcast_ref::<Fail>().and_then(|fail| fail.hint.as_ref()) {
        text = format!("{text} ({hint})");
    }
    text
}
