//! `cicdctl job`: the work that was accepted, and what became of it.

use anyhow::Result;
use clap::Subcommand;

use crate::api::client::{Client, find_job};
use crate::error::Exit;
use crate::host::Host;
use crate::report::{self, Format};

/// List, show, follow and cancel jobs
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the newest jobs
    List {
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        lines: u32,
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
        Command::List { lines } => {
            let jobs = client.jobs(lines).await?;
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
