//! `cicdctl job`: the work that was accepted, and what became of it.

use anyhow::{Result, bail};
use clap::Subcommand;

use super::why;
use crate::api::client::{Client, find_job};
use crate::config::is_repo;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::report::{self, Format};
use crate::store::Store;

/// List, show, follow and cancel jobs
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the newest jobs
    ///
    /// Without the runner they are read from its store.
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
    Show {
        /// Its id, or the end of it
        id: String,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Follow a job to its end
    Follow {
        /// Its id, or the end of it
        id: String,
    },
    /// Cancel a job; a running engine is ended
    Cancel {
        /// Its id, or the end of it
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
        Command::Show { id, format } => {
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
            let job = client.follow(&job.id, true, &mut |event| super::review::progress(&host.ui, event)).await?;
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

/// The store, where nobody answers for it: then nobody has it open either, perhaps in an older form.
async fn without_runner(client: &Client, host: &Host) -> Result<Option<Store>> {
    if client.is_there().await || !host.paths.store().exists() {
        return Ok(None);
    }
    Store::open(&host.paths.store()).map(Some)
}
