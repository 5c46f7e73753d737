//! Brings the change under review: from the working copy, or from the forge.

use anyhow::{Result, anyhow};

use super::{LAG, Run, Stopped};
use crate::api::{Happening, ReviewRequest, Stage};
use crate::error::Fail;
use crate::forge::{Forge, PullRequest};
use crate::git::{Change, Mirror, Repository};

impl Run<'_> {
    /// What the request names, in a repository on this machine.
    pub(super) async fn local_change(&mut self) -> Result<(Mirror, Change), Stopped> {
        let request = self.request;
        let project =
            request.path.clone().or_else(|| self.setting.project.clone()).ok_or_else(|| no_project(request))?;
        (self.tell)(Happening::Stage { stage: Stage::Fetch, detail: project.display().to_string() });
        let repository = Repository::open(&project).await?;
        self.review.project = repository.top.display().to_string();
        let mirror = Mirror::open(self.setting.cache_dir, repository).await?;
        let scratch = self.scratch();
        let change = match request {
            ReviewRequest { pr: Some(number), base, .. } => mirror.pull_request(*number, base.as_deref(), None).await?,
            ReviewRequest { range: Some(range), .. } => mirror.range(range).await?,
            ReviewRequest { staged: true, .. } => mirror.staged(&scratch).await?,
            ReviewRequest { base: Some(base), head: Some(head), .. } => {
                mirror.range(&format!("{base}...{head}")).await?
            }
            ReviewRequest { base: Some(base), .. } => mirror.since(base).await?,
            _ => mirror.working_tree(&scratch).await?,
        };
        Ok((mirror, change))
    }

    /// The commits of a pull request that the forge has told us about: through the working copy where there is one,
    /// otherwise straight from the forge. The pull request is another one where there was a push meanwhile; `None` where
    /// another job has that in hand.
    pub(super) async fn change_of(
        &mut self,
        forge: &dyn Forge,
        mut pull: PullRequest,
    ) -> Result<Option<(Mirror, Change, PullRequest)>, Stopped> {
        self.review.project = forge.repo().to_owned();
        (self.tell)(Happening::Stage { stage: Stage::Fetch, detail: format!("{}#{}", forge.repo(), pull.number) });
        let source = forge.source().await?;
        let mirror = match self.request.path.as_ref().or(self.setting.project.as_ref()) {
            Some(project) => Mirror::open(self.setting.cache_dir, Repository::open(project).await?).await?,
            None => Mirror::of_remote(self.setting.cache_dir, &source).await?,
        };
        let base = self.request.base.clone().unwrap_or_else(|| pull.base_ref.clone());
        let mut change = mirror.pull_request(pull.number, Some(&base), Some(&source)).await?;
        if change.head != pull.head_sha {
            // A push in between, or one of the two lags behind.
            tokio::time::sleep(LAG).await;
            let Some(now) = self.pull_request(forge, pull.number).await? else { return Ok(None) };
            pull = now;
            change = mirror.pull_request(pull.number, Some(&base), Some(&source)).await?;
        }
        if change.head != pull.head_sha {
            // Another repository altogether.
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
        Ok(Some((mirror, change, pull)))
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
