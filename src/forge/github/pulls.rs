//! Pull requests and their files, as GitHub tells of them.

use jiff::Timestamp;
use serde::Deserialize;

use super::client::PER_PAGE;
use super::{GitHub, Kind, Result, User};
use crate::forge::{ChangedFile, ForgeError, Polled, PullRequest};
use crate::plain;

/// GitHub lists at most 3,000 files of a pull request.
const MAX_FILE_PAGES: usize = 30;
/// Of the open pull requests; the rest have not changed for long.
const MAX_OPEN_PAGES: usize = 3;
/// After some 20,000 lines of patches GitHub leaves those of the other files on a page out, and does not say so. From
/// here on that is looked into, by asking for smaller pages.
const MANY_LINES: usize = 10_000;

#[derive(Deserialize)]
struct Wire {
    number: u64,
    title: String,
    #[serde(default)]
    draft: bool,
    state: String,
    user: Option<User>,
    head: Head,
    base: Base,
    #[serde(default)]
    labels: Vec<Label>,
    #[serde(default)]
    changed_files: u64,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct Head {
    sha: String,
    /// Null where the fork is gone.
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Base {
    #[serde(rename = "ref")]
    name: String,
    sha: String,
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    id: u64,
    full_name: String,
}

#[derive(Deserialize)]
struct Label {
    name: String,
}

/// A file as it is listed.
#[derive(Deserialize)]
struct File {
    filename: String,
    previous_filename: Option<String>,
    status: String,
    patch: Option<String>,
    #[serde(default)]
    additions: u64,
    #[serde(default)]
    deletions: u64,
}

impl GitHub {
    pub(super) async fn pull(&self, number: u64) -> Result<PullRequest> {
        let pull: Wire = self.client.get_if_changed(&self.path(&format!("/pulls/{number}"))).await?;
        pull.checked()
    }

    pub(super) async fn open_pulls(&self, etag: Option<&str>) -> Result<Polled> {
        let path = self.path("/pulls?state=open&sort=updated&direction=desc");
        let Some((pulls, etag)) = self.client.pages_if_changed::<Wire>(&path, etag, MAX_OPEN_PAGES).await? else {
            return Ok(Polled::Unchanged);
        };
        let listed = pulls.len();
        // One that cannot be read must not hide the others.
        let pulls = pulls.into_iter().filter_map(|pull| {
            let number = pull.number;
            pull.checked().map_err(|error| tracing::warn!("leaving pull request {number} out: {error}")).ok()
        });
        Ok(Polled::Changed { etag, pulls: pulls.collect(), complete: listed < MAX_OPEN_PAGES * PER_PAGE })
    }

    pub(super) async fn files(&self, pull: &PullRequest) -> Result<Vec<ChangedFile>> {
        let path = self.path(&format!("/pulls/{}/files", pull.number));
        let mut files = Vec::new();
        for number in 1..=MAX_FILE_PAGES {
            let (page, more) = self.client.page(&path, PER_PAGE, number).await?;
            files.extend(self.with_all_patches(&path, page, PER_PAGE, number).await?);
            if !more {
                break;
            }
        }
        if (files.len() as u64) < pull.changed_files {
            tracing::info!(
                "GitHub lists {} of the {} files of pull request {}; findings in the others go to the summary",
                files.len(),
                pull.changed_files,
                pull.number
            );
        }
        let file = |File { filename, previous_filename, status, patch, .. }| ChangedFile {
            path: filename,
            previous: previous_filename,
            status,
            patch,
        };
        Ok(files.into_iter().map(file).collect())
    }

    /// The same files from ten smaller pages, and each of those from smaller ones again, where patches seem to have been
    /// left out.
    async fn with_all_patches(&self, path: &str, page: Vec<File>, size: usize, number: usize) -> Result<Vec<File>> {
        if size == 1 || !lacks_patches(&page) {
            return Ok(page);
        }
        let size = size / 10;
        let mut files = Vec::new();
        for number in (number - 1) * 10 + 1..=number * 10 {
            let (page, more) = self.client.page(path, size, number).await?;
            files.extend(Box::pin(self.with_all_patches(path, page, size, number)).await?);
            if !more {
                break;
            }
        }
        // A push in between may have left fewer of them.
        Ok(if files.len() < page.len() { page } else { files })
    }
}

/// Whether there are files without a patch and without a count behind so many lines that GitHub may have stopped. A
/// binary file and one that was only renamed look the same, so one look more may be in vain.
fn lacks_patches(files: &[File]) -> bool {
    let mut lines = 0;
    files.iter().any(|file| {
        lines += file.patch.as_ref().map_or(0, |patch| patch.lines().count());
        let bare = file.patch.is_none() && file.additions == 0 && file.deletions == 0;
        bare && lines >= MANY_LINES
    })
}

impl Wire {
    fn checked(self) -> Result<PullRequest> {
        let Wire { number, title, draft, state, user, head, base, labels, changed_files, updated_at } = self;
        let sha = |sha: String| {
            let valid = matches!(sha.len(), 40 | 64) && sha.chars().all(|c| c.is_ascii_hexdigit());
            if valid {
                Ok(sha)
            } else {
                Err(ForgeError::Other(format!("GitHub names a commit `{}`", sha.escape_debug())))
            }
        };
        if base.name.is_empty() || base.name.starts_with('-') || base.name.chars().any(char::is_control) {
            return Err(ForgeError::Other(format!("GitHub names a branch `{}`", base.name.escape_debug())));
        }
        let author = user.unwrap_or_default();
        let of = |repo: &Option<Repo>| repo.as_ref().map(|repo| repo.id);
        Ok(PullRequest {
            number,
            title: plain::one_line(&title, 300),
            head_sha: sha(head.sha)?,
            base_sha: sha(base.sha)?,
            base_ref: base.name,
            draft,
            state,
            author_is_bot: author.kind == Kind::Bot,
            author: author.login,
            from_fork: head.repo.is_none() || of(&head.repo) != of(&base.repo),
            head_repo: head.repo.map(|repo| repo.full_name).filter(|name| crate::config::is_repo(name)),
            labels: labels.into_iter().map(|label| label.name).collect(),
            updated_at,
            changed_files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_patches_behind_many_lines_is_looked_at_again() {
        let file = |lines: usize| File {
            filename: "a".into(),
            previous_filename: None,
            status: "modified".into(),
            patch: (lines > 0).then(|| "+x\n".repeat(lines)),
            additions: lines as u64,
            deletions: 0,
        };
        assert!(lacks_patches(&[file(6000), file(6000), file(0)]));
        assert!(!lacks_patches(&[file(6000), file(0), file(6000)]));
        assert!(!lacks_patches(&[file(0), file(12_000)]));
        // Too large by itself: that one is counted, and no smaller page brings its patch.
        assert!(!lacks_patches(&[file(12_000), File { additions: 30_000, ..file(0) }]));
    }
}
