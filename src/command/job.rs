//! `cicdctl job`: the work that was accepted, and what became of it.

use anyhow::{Result, bail};
use clap::Subcommand;
use clap_complete::ArgValueCandidates;

use super::progress::Meter;
use super::why;
use crate::api::client::{Client, find_job};
use crate::api::{Job, JobEvent};
use crate::command::complete;
use crate::config::is_repo;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::report::html::Life;
use crate::report::{self, Format};
use crate::review::{Receipt, Review};
use crate::store::Store;

/// List, show, follow and cancel jobs
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the newest jobs
    ///
    /// Without the runner they are read from its store.
    #[command(after_help = "Examples:
  cicdctl job list -n 50
  cicdctl job list --why 42        what became of pull request 42")]
    List {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        lines: u32,
        /// Tell what became of each job of this pull request, and why
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
        why: Option<u64>,
        /// The pull request's repository, where several have one of this number
        #[arg(long, value_name = "OWNER/NAME", requires = "why")]
        repo: Option<String>,
    },
    /// Show a job with its findings and its receipt
    #[command(after_help = "Examples:
  cicdctl job show XY7Z            the end of an id is enough
  cicdctl job show XY7Z --html >report.html")]
    Show {
        /// Its id, or the end of it
        #[arg(add = ArgValueCandidates::new(complete::jobs))]
        id: String,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
        /// As one HTML file, with what happened when: the same as `--format html`
        #[arg(long, conflicts_with_all = ["format", "json"])]
        html: bool,
    },
    /// Follow a job to its end
    #[command(after_help = "Example:
  cicdctl job follow XY7Z")]
    Follow {
        /// Its id, or the end of it
        #[arg(add = ArgValueCandidates::new(complete::jobs))]
        id: String,
    },
    /// Cancel a job; a running engine is ended
    #[command(after_help = "Example:
  cicdctl job cancel XY7Z")]
    Cancel {
        /// Its id, or the end of it
        #[arg(add = ArgValueCandidates::new(complete::jobs))]
        id: String,
    },
}

pub async fn run(command: Command, host: &Host) -> Result<Exit> {
    let client = Client::new(host.paths.runner_socket());
    match command {
        Command::List { lines, why: Some(number), repo } => {
            if let Some(repo) = repo.as_ref().filter(|repo| !is_repo(repo)) {
                bail!(Fail::usage(format!("`{repo}` is no repository; it is written `owner/name`")));
            }
            let repo = repo.as_deref();
            let jobs = match without_runner(&client, host).await? {
                Some(store) => store.jobs_of_pull(number, repo, None, lines).await?,
                None => client.jobs_of_pull(number, repo, lines).await?,
            };
            if host.ui.json {
                host.ui.data_json(&why::explained(&jobs))?;
            } else if jobs.is_empty() {
                host.ui.say(&format!("Nothing has asked for a review of pull request {number} yet."));
            } else {
                host.ui.data(&why::text(&jobs))?;
            }
        }
        Command::List { lines, why: None, .. } => {
            let jobs = match without_runner(&client, host).await? {
                Some(store) => store.jobs(None, lines).await?,
                None => client.jobs(lines).await?,
            };
            if host.ui.json {
                host.ui.data_json(&jobs)?;
            } else if jobs.is_empty() {
                host.ui.say("There are no jobs yet.");
            } else {
                for job in &jobs {
                    host.ui.data(&super::status::job_line(job, &host.ui))?;
                }
            }
        }
        Command::Show { id, format, html } if html || (format == Format::Html && !host.ui.json) => {
            let job = find_job(&client, &id).await?;
            host.ui.data(&page(&client, &job).await?)?;
        }
        Command::Show { id, format, .. } => {
            let job = find_job(&client, &id).await?;
            match &job.review {
                Some(review) if !host.ui.json => {
                    host.ui.data(&report::render(format, review, super::review::style(&host.ui)))?;
                }
                _ if host.ui.json => host.ui.data_json(&job)?,
                _ => host.ui.data(&super::status::job_line(&job, &host.ui))?,
            }
        }
        Command::Follow { id } => {
            let job = find_job(&client, &id).await?;
            let meter = Meter::new(&host.ui);
            let mut told = |event: &JobEvent| meter.tell(event);
            let job = tokio::select! {
                job = client.follow(&job.id, true, &mut told) => job?,
                never = meter.run() => match never {},
            };
            drop(meter);
            host.ui.data(&super::status::job_line(&job, &host.ui))?;
        }
        Command::Cancel { id } => {
            let job = find_job(&client, &id).await?;
            let job = client.cancel(&job.id).await?;
            host.ui.say(&format!(
                "job {} is {}",
                job.id,
                if job.outcome.is_some() { "cancelled" } else { "being ended" }
            ));
        }
    }
    Ok(Exit::Done)
}

/// A job that has ended, as HTML; one that came to no review has its reason.
async fn page(client: &Client, job: &Job) -> Result<String> {
    let Some(outcome) = job.outcome else {
        bail!(
            Fail::new(format!("job {} has not ended yet", job.id))
                .hint(format!("`cicdctl job follow {}` waits for its end", job.id))
        );
    };
    let mut events = Vec::new();
    client.follow(&job.id, true, &mut |event| events.push(event.clone())).await?;
    let review = job.review.clone().unwrap_or_else(|| Review {
        job: job.id.clone(),
        project: job.pull.clone().or_else(|| job.request.repo.clone()).unwrap_or_else(|| "no project".into()),
        subject: job.request.subject(),
        outcome,
        reason: job.reason.clone(),
        summary: None,
        findings: Vec::new(),
        receipt: Receipt::default(),
        retry_at_ms: None,
        unpublished: None,
    });
    Ok(report::html::render(&review, Some(Life { job, events: &events })))
}

/// The store, where nobody answers for it: then nobody has it open either, perhaps in an older form.
async fn without_runner(client: &Client, host: &Host) -> Result<Option<Store>> {
    if client.is_there().await || !host.paths.store().exists() {
        return Ok(None);
    }
    Store::open(&host.paths.store()).map(Some)
}
