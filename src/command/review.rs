//! `cicdctl review`: asks the runner for a review, follows it, reports it. Where no runner is set up it reviews in
//! this process.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap_complete::ArgValueCandidates;
use tokio::sync::watch;

use super::progress::Meter;

use crate::agent::AgentName;
use crate::api::client::Client;
use crate::api::{Happening, Job, JobEvent, JobState, ReviewRequest, Trigger};
use crate::cage::{Cage, Wish};
use crate::command::complete;
use crate::config::EngineName;
use crate::config::variable;
use crate::error::{Exit, Fail};
use crate::finding::Severity;
use crate::host::Host;
use crate::report::{self, Format, Style};
use crate::review::{self, Again, Outcome, Review};
use crate::runner::{self, Scope};
use crate::store::{Store, now_ms};
use crate::ui::Ui;

/// Review a change
///
/// Without arguments: all that has changed in the working tree. The change is read from the repository's objects;
/// nothing in it is run, and nothing in the repository is written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl review                  what is not committed yet
  cicdctl review HEAD~3..HEAD     the last three commits
  cicdctl review --base main      all since this branch left main
  cicdctl review --pr 42          pull request 42 of the remote `origin`
  cicdctl review --pr 42 --repo acme/shop --post
                                  the same at GitHub, published there")]
pub struct Args {
    /// Commits: A..B, A...B (since they parted), or one commit
    #[arg(conflicts_with_all = ["pr", "staged"])]
    range: Option<String>,
    /// A pull request of the remote `origin`
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pr: Option<u64>,
    /// What is staged
    #[arg(long, conflicts_with_all = ["pr", "base"])]
    staged: bool,
    /// Compare with this branch or revision
    #[arg(long, value_name = "REF", conflicts_with = "range")]
    base: Option<String>,
    /// The project at the forge, where an agent has it
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// Working copy [default: the current directory]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The agent that is to review
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::agents))]
    agent: Option<String>,
    /// Another engine than the configured one
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    /// What the engine is to look for, instead of the configured skills; more than one by giving it again
    ///
    /// `cicdctl skill list` shows those there are. The engine `rules` takes none.
    #[arg(long = "skill", value_name = "NAME", add = ArgValueCandidates::new(complete::skills))]
    skills: Vec<String>,
    /// How the review is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print the JSON Schema of `--format json` and do nothing else
    #[arg(long)]
    schema: bool,
    /// Exit with status 3 if a finding is this grave or graver
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Print the job and do not wait for its end
    #[arg(long)]
    no_wait: bool,
    /// Show what would be reviewed, and call no engine
    #[arg(long)]
    dry_run: bool,
    /// Publish the review of the pull request at GitHub
    ///
    /// As a summary, comments at the lines of the gravest findings, and a commit status. Needs a token
    /// (`cicdctl secret set github-token`, or GITHUB_TOKEN) and the repository, from `--repo` or the agent. Publishing
    /// twice changes nothing. `[review] post = true` makes it the rule.
    #[arg(long, requires = "pr")]
    post: bool,
    /// Publish nothing, whatever the configuration says
    #[arg(long, requires = "pr", conflicts_with = "post")]
    no_post: bool,
    /// Review all of the change anew, whatever was reviewed before
    #[arg(long)]
    full: bool,
    /// Review in this process, without the runner
    #[arg(long, conflicts_with = "no_wait")]
    local: bool,
    /// Go on where the engine's sandbox cannot be had; the receipt says so
    #[arg(long)]
    unsandboxed: bool,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    if args.schema {
        host.ui.data_json(&report::schema())?;
        return Ok(Exit::Done);
    }
    let mut request = request(&args, host)?;
    let use_runner = !args.local && !args.dry_run && host.paths.runner_socket().exists();
    if use_runner {
        by_variables(&mut request, host)?;
    }
    host.skills()?.choose(&request.skills)?;
    let review = if use_runner {
        let client = Client::new(host.paths.runner_socket());
        let job = client.review(&request).await?;
        if args.no_wait {
            if host.ui.json {
                host.ui.data_json(&job)?;
            } else {
                host.ui.data(&job.id)?;
                host.ui.say(&format!("follow it with `cicdctl job follow {}`", job.id));
            }
            return Ok(Exit::Done);
        }
        by_runner(host, &client, &job).await?
    } else {
        if args.no_wait {
            bail!(
                Fail::usage("`--no-wait` needs the runner, and its socket is not there")
                    .hint("`cicdctl init` sets it up")
            );
        }
        in_process(host, &args, request).await?
    };
    let format = if host.ui.json { Format::Json } else { args.format };
    host.ui.data(&report::render(format, &review, style(&host.ui)))?;
    Ok(exit(&review, args.fail_on))
}

pub fn style(ui: &Ui) -> Style {
    Style { color: ui.color(), width: ui.width() }
}

fn request(args: &Args, host: &Host) -> Result<ReviewRequest> {
    let agent: Option<AgentName> = args.agent.as_ref().map(|name| name.parse().map_err(Fail::usage)).transpose()?;
    let path = match (&args.path, &agent, &args.repo) {
        (Some(path), ..) => Some(
            path.canonicalize()
                .map_err(|error| Fail::new(format!("there is no directory `{}`: {error}", path.display())))?,
        ),
        // Who names the project means its own working copy, wherever we stand; where it has none, this one.
        (None, Some(name), _) if args.pr.is_none() => match host.known_agent(name, &host.config()?)?.path {
            Some(_) => None,
            None => Some(std::env::current_dir()?),
        },
        (None, Some(_), _) | (None, _, Some(_)) => None,
        (None, None, None) => Some(std::env::current_dir()?),
    };
    if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
        bail!(
            Fail::new(format!("the path `{}` is not UTF-8, so it cannot be told to the runner", path.display()))
                .hint("rename the directory")
        );
    }
    let request = ReviewRequest {
        pr: args.pr,
        repo: args.repo.clone(),
        base: args.base.clone(),
        head: None,
        range: args.range.clone(),
        staged: args.staged,
        path,
        agent,
        engine: args.engine,
        skills: args.skills.clone(),
        unsandboxed: args.unsandboxed,
        dry_run: args.dry_run,
        post: (args.post || args.no_post).then_some(args.post),
        full: args.full,
        trigger: Trigger::Manual,
    };
    match request.problem() {
        Some(problem) => bail!(Fail::usage(problem)),
        None => Ok(request),
    }
}

/// The runner does not see the variables that are set here: it is asked for what can be asked for, and of the rest it is
/// said.
fn by_variables(request: &mut ReviewRequest, host: &Host) -> Result<()> {
    let config = host.config()?;
    let set = |key: &str| variable::of(key).is_some_and(|name| host.variable(&name).is_some());
    if set("review.engine") {
        request.engine.get_or_insert(config.review.engine);
    }
    if set("review.skills") && request.skills.is_empty() {
        request.skills.clone_from(&config.review.skills);
    }
    if set("review.post") && request.pr.is_some() {
        request.post.get_or_insert(config.review.post);
    }
    let is_asked_for = |key: &str| ["review.engine", "review.skills", "review.post"].contains(&key);
    for (key, name) in variable::all() {
        if host.variable(&name).is_some() && !is_asked_for(&key) && !config.environment.contains_key(&name) {
            host.ui.warn(&format!(
                "the runner does not see `{name}`, which is set here; `cicdctl config set {key} …` is for it"
            ));
        }
    }
    Ok(())
}

async fn by_runner(host: &Host, client: &Client, job: &Job) -> Result<Review> {
    host.ui.detail(&format!("job {}", job.id));
    let begun = std::sync::atomic::AtomicBool::new(false);
    let meter = Meter::new(&host.ui);
    let mut told = |event: &JobEvent| {
        if !matches!(event.what, Happening::Accepted) {
            begun.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        meter.tell(event);
    };
    // A stopped agent takes nothing; whoever waits for it is to know what they wait for.
    let patience = async {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        if !begun.load(std::sync::atomic::Ordering::Relaxed) {
            let whose = job.agent.as_ref().map_or("the runner".to_owned(), |name| format!("agent `{name}`"));
            meter.say(&match &job.waits_because {
                Some(why) => format!("the job waits in the queue of {whose}, which is {why}"),
                None => format!("the job waits in the queue of {whose}; `cicdctl status` says what it does"),
            });
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    let ended = tokio::select! {
        ended = client.follow(&job.id, false, &mut told) => ended?,
        never = patience => match never {},
        never = meter.run() => match never {},
        _ = tokio::signal::ctrl_c() => {
            drop(meter);
            client.cancel(&job.id).await?;
            bail!(Fail { exit: Exit::NotReviewed, ..Fail::new(format!("interrupted; job {} was cancelled", job.id)) });
        }
    };
    match ended.review {
        Some(review) => Ok(review),
        // It ended before anybody began it.
        None => Ok(Review {
            outcome: ended.outcome.unwrap_or(Outcome::Failed),
            reason: ended.reason,
            subject: ended.request.subject(),
            job: ended.id,
            project: String::new(),
            summary: None,
            findings: Vec::new(),
            receipt: Default::default(),
            retry_at_ms: None,
            unpublished: None,
        }),
    }
}

async fn in_process(host: &Host, args: &Args, request: ReviewRequest) -> Result<Review> {
    let cage = if host.has_manager() {
        match host.manager().await {
            Ok(manager) => Cage::Unit(manager),
            Err(error) => Cage::Child { because: format!("{error:#}") },
        }
    } else {
        Cage::Child { because: "there is no systemd user manager".into() }
    };
    if !args.local && !args.dry_run {
        host.ui.say(match host.paths.manifest().exists() {
            true => "The runner's socket is not there (`cicdctl status` says why); reviewing in this process.",
            false => "No runner is set up (`cicdctl init`); reviewing in this process.",
        });
    }
    let job = Job {
        id: ulid::Ulid::generate().to_string(),
        state: JobState::Running,
        agent: None,
        request,
        created_ms: now_ms(),
        started_ms: None,
        ended_ms: None,
        attempts: 1,
        outcome: None,
        reason: None,
        pull: None,
        head: None,
        not_before_ms: None,
        deferrals: 0,
        waits_because: None,
        review: None,
    };
    let (scope, config) = match &job.request.agent {
        Some(name) => (Scope::Agent(name.clone()), Some(host.known_agent(name, &host.config()?)?.config)),
        // One that is wrong shows in the review.
        None => (Scope::Runner, host.config().ok()),
    };
    // Money is counted wherever it is spent. Besides, where nothing is set up a review leaves nothing behind.
    let engine = job.request.engine.or(config.map(|config| config.review.engine));
    let costs = engine == Some(EngineName::Claude);
    let wanted = host.paths.store().exists() || costs && !job.request.dry_run;
    let store = match wanted.then(|| Store::open(&host.paths.store())) {
        Some(Err(error)) if !costs && job.request.pr.is_none() => {
            host.ui.warn(&format!("{error:#}; what was dismissed before is shown again"));
            None
        }
        found => found.transpose()?,
    };
    let workspace = host.paths.workspace(scope.agent());
    if let Err(error) = review::sweep(&workspace, &cage, store.as_ref()).await {
        host.ui.say(&format!("{error:#}"));
    }
    let (wish, mut wished) = watch::channel(Wish::GoOn);
    let interrupted = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            wish.send_replace(Wish::Cancel);
        }
        std::future::pending::<()>().await;
    });
    let meter = Meter::new(&host.ui);
    let mut told = |what| meter.tell(&JobEvent { seq: 0, at_ms: 0, what });
    let review = tokio::select! {
        review = runner::in_scope(host, &scope, &cage, store.as_ref(), &job, &mut wished, &mut told) => review,
        never = meter.run() => match never {},
    };
    drop(meter);
    interrupted.abort();
    match review {
        Ok(review) => {
            review::remove(&workspace, &job.id).await;
            Ok(review)
        }
        Err(Again::Stopped) => bail!("the review was ended"),
        Err(Again::Lost(why)) => {
            if let Err(error) = review::discard(&workspace, &job.id, &cage).await {
                host.ui.say(&format!("{error:#}"));
            }
            bail!(Fail { exit: Exit::NotReviewed, ..Fail::new(format!("the review was not made: {why}")) })
        }
    }
}

fn exit(review: &Review, fail_on: Option<Severity>) -> Exit {
    match review.outcome {
        Outcome::Reviewed => {}
        // Nothing was to be reviewed, and that is said.
        Outcome::Skipped => return Exit::Done,
        Outcome::Partial | Outcome::Deferred | Outcome::Failed | Outcome::Superseded | Outcome::Cancelled => {
            return Exit::NotReviewed;
        }
    }
    match fail_on {
        Some(least) if review.findings.iter().any(|finding| finding.severity >= least) => Exit::Findings,
        _ => Exit::Done,
    }
}
