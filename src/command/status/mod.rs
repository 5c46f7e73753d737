//! `cicdctl status`: one screen that says what is really going on, trouble first.

mod gather;
mod show;

use anyhow::Result;

use crate::error::Exit;
use crate::host::Host;
use gather::gather;
use show::show;

pub use gather::{Watching, held_word, watch_of, word};
pub use show::job_line;

/// Show units, queue and last reviews on one screen
///
/// Memory, CPU and tasks stand against their limits; each limit is either enforced by the kernel or only declared.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this agent
    name: Option<String>,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let status = gather(&args, host).await?;
    if host.ui.json {
        host.ui.data_json(&status)?;
    } else {
        host.ui.data(&show(&status, &host.ui))?;
    }
    Ok(if status.problems.is_empty() { Exit::Done } else { Exit::Failed })
}
