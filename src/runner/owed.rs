//! A job that is given up has nobody any more who would say at the forge how it ended: its process was killed again and
//! again, and the store ended it. The commit must not wait for it for ever, so the next process of the scope says it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Shared, worker};
use crate::api::Job;
use crate::forge::Forge;
use crate::review::publish;

/// Until a forge that could not be reached is asked again.
const AGAIN: Duration = Duration::from_secs(60);

/// Tells of what was given up: now, and whenever `owed` is rung.
pub async fn tell(shared: Arc<Shared>) {
    loop {
        let left = match all(&shared).await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!("could not say at the forge what was given up: {error:#}");
                true
            }
        };
        tokio::select! {
            () = shared.owed.notified() => {}
            () = tokio::time::sleep(AGAIN), if left => {}
        }
    }
}

/// Whether something is left to be told.
async fn all(shared: &Shared) -> Result<bool> {
    let mut left = false;
    for job in shared.store.owed(shared.scope.agent().cloned()).await? {
        if let Err(error) = one(shared, &job).await {
            tracing::warn!(CICD_JOB = %job.id, "could not say at the forge that job {} was given up: {error:#}", job.id);
            left = true;
        }
    }
    Ok(left)
}

async fn one(shared: &Shared, job: &Job) -> Result<()> {
    let reason = job.reason.clone().unwrap_or_default();
    let mut review = worker::failed(job, &reason);
    review.receipt.head_sha.clone_from(&job.head);
    let (config, agent) = worker::settings(&shared.host, &shared.scope)?;
    let posts = job.request.post.unwrap_or(config.review.post) && !job.request.dry_run;
    let head = job.head.as_deref().context("the job has no head")?;
    // Another job of that head says how it stands.
    if posts && !shared.store.has_job_for(&job.id, head).await? {
        let repo = agent.and_then(|agent| agent.repo);
        if let Some(forge) = worker::forge(&shared.host, &config, &job.request, repo)? {
            let review = shared.host.vault().redactor().clean(review.clone());
            forge.set_status(head, &publish::status(&review), Some(&review)).await?;
            tracing::info!(CICD_JOB = %job.id, "said at {} that job {} was given up", crate::plain::short(head), job.id);
        }
    }
    shared.store.told_of(&job.id, review).await
}
