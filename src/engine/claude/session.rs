//! The conversation that the reviews of one pull request share: the first one begins a session, the next one goes on
//! with it, so that the model knows what it has read and said, and is told only what is new.
//!
//! Facts that shape this file, measured on 2.1.330:
//! - A session is found from any directory, but its id is only refused as "already in use" in the directory where it
//!   began. Each of our jobs has a directory of its own, so whether an id was used is looked up here.
//! - `--resume` brings the history and the model back and none of the restrictions: every call has all the flags.
//! - The system prompt of the first call is sent again, whatever the present one says, but for
//!   `--system-prompt-snapshot off`.
//! - `--max-budget-usd` counts the present run alone; the price in the result also counts those before.
//!
//! A session is a convenience. Whatever is wrong with one costs a fresh one and a note, never the review.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::{Call, Look, add, also_used, prompt};
use crate::engine::{Bundle, EngineError, EngineReport, Progress, SessionWish};
use crate::review::SessionUsed;

/// After so many reviews a conversation is begun anew: each carries all before it along, and pays for it.
const MAX_RESUMES: u32 = 8;
/// A pull request without a review for so long is done with.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What becomes of the conversation of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is forgotten.
    Nothing,
    Begin(Uuid),
    Resume(Uuid),
}

/// Why a call in a session came to nothing, where that is the session's fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It cannot be gone on with.
    Lost(&'static str),
    /// There is another one by the id that was to be new.
    Taken,
}

/// A review by one call.
pub async fn review(
    call: &Call<'_>,
    bundle: &Bundle,
    events: &mut dyn FnMut(Progress),
) -> Result<EngineReport, EngineError> {
    let mut budget = call.spec.max_budget_usd;
    let Some(wish) = &bundle.session else {
        return call.look(prompt::review(bundle)?, budget, Keep::Nothing, events).await?.end;
    };
    let home = call.workplace.engine_home.join("claude/projects");
    sweep(&home);
    let mut lost = None;
    if let Some((session, id, since)) = to_resume(wish) {
        let used = SessionUsed { resumes: session.resumes + 1, ..session.clone() };
        let look = call.look(prompt::again(bundle, since)?, budget, Keep::Resume(id), events).await?;
        let Some(Trouble::Lost(why)) = look.trouble else { return look.in_session(Some(used)) };
        let spent = look.used();
        budget -= spent.cost_usd.unwrap_or(0.0);
        if budget <= 0.0 {
            let why =
                format!("the conversation of the earlier review {why}, and nothing is left of the budget for another");
            return Err(also_used(EngineError::failed(why), spent));
        }
        lost = Some((why, spent));
    }
    let mut fresh = None;
    for id in ids(&bundle.project, wish.pull, &bundle.head_sha).filter(|id| !is_kept(&home, *id)).take(2) {
        let look = call.look(prompt::review(bundle)?, budget, Keep::Begin(id), events).await?;
        if look.trouble != Some(Trouble::Taken) {
            fresh = Some(look.in_session(Some(SessionUsed { id: id.to_string(), resumes: 0 })));
            break;
        }
    }
    let end = match fresh {
        Some(end) => end,
        None => call.look(prompt::review(bundle)?, budget, Keep::Nothing, events).await?.end,
    };
    let Some((why, spent)) = lost else { return end };
    match end {
        Ok(mut report) => {
            add(&mut report.used, &spent);
            report.notes.push(format!("the conversation of the earlier review {why}: a new one was begun"));
            Ok(report)
        }
        Err(error) => Err(also_used(error, spent)),
    }
}

impl Look {
    fn in_session(self, session: Option<SessionUsed>) -> Result<EngineReport, EngineError> {
        self.end.map(|mut report| {
            report.used.session = session;
            report
        })
    }
}

/// The session to go on with, and the head that it saw last.
fn to_resume(wish: &SessionWish) -> Option<(&SessionUsed, Uuid, &str)> {
    let (session, since) = wish.resume.as_ref()?;
    let id = session.id.parse().ok()?;
    (session.resumes < MAX_RESUMES).then_some((session, id, since))
}

/// Names for a conversation about a head, the first one to be had first.
fn ids(project: &str, pull: u64, head: &str) -> impl Iterator<Item = Uuid> {
    let name = format!("cicdctl\0{project}\0{pull}\0{head}");
    (0..8).map(move |number| match number {
        0 => Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()),
        number => Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{name}\0{number}").as_bytes()),
    })
}

/// Whether Claude Code has a session by this name: `projects/DIRECTORY/ID.jsonl`.
fn is_kept(home: &Path, id: Uuid) -> bool {
    let file = format!("{id}.jsonl");
    fs::read_dir(home).into_iter().flatten().flatten().any(|folder| folder.path().join(&file).exists())
}

/// Removes what nobody will go on with. What cannot be removed stays: the next review tries again.
fn sweep(home: &Path) {
    let old = |path: &Path| {
        let modified = fs::symlink_metadata(path).and_then(|about| about.modified()).ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_some_and(|age| age > KEPT)
    };
    for folder in fs::read_dir(home).into_iter().flatten().flatten() {
        // Asked now, as each removal makes it young. A young one may be another call's, which is about to fill it.
        let done_with = old(&folder.path());
        for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten().filter(|entry| old(&entry.path())) {
            let _ = match entry.file_type() {
                Ok(kind) if kind.is_dir() => crate::files::remove_tree(&entry.path()).map_err(drop),
                _ => fs::remove_file(entry.path()).map_err(drop),
            };
        }
        if done_with {
            // Only goes where it is empty.
            let _ = fs::remove_dir(folder.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_project_pull_request_and_head() {
        let first = |project: &str, pull, head: &str| ids(project, pull, head).next().unwrap();
        let id = first("acme/shop", 42, "4ead");
        assert_eq!(id.get_version_num(), 5);
        assert_eq!(id, first("acme/shop", 42, "4ead"));
        assert_eq!(id.to_string(), "b33c7d2c-8940-5ca4-af09-f965166c74b5");
        let others = [first("acme/web", 42, "4ead"), first("acme/shop", 43, "4ead"), first("acme/shop", 42, "4eae")];
        assert!(!others.contains(&id));
        let mut all: Vec<Uuid> = ids("acme/shop", 42, "4ead").collect();
        all.dedup();
        assert_eq!(all.len(), 8);
    }

    #[test]
    fn a_session_is_not_gone_on_with_for_ever() {
        let wish = |id: &str, resumes| SessionWish {
            pull: 42,
            resume: Some((SessionUsed { id: id.to_owned(), resumes }, "4ead".to_owned())),
        };
        let id = "e2aa3ac3-c5ed-5aa5-9b5e-5d0ac2d9cdbb";
        assert_eq!(to_resume(&wish(id, 7)).map(|(_, id, _)| id.to_string()).as_deref(), Some(id));
        assert_eq!(to_resume(&wish(id, 8)), None);
        assert_eq!(to_resume(&wish("--dangerously-skip-permissions", 0)), None);
        assert_eq!(to_resume(&SessionWish { pull: 42, resume: None }), None);
    }

    #[test]
    fn old_sessions_go_and_empty_folders_with_them() {
        let home = tempfile::tempdir().unwrap();
        let id = ids("acme/shop", 42, "4ead").next().unwrap();
        let (new, old) = (home.path().join("-work-1"), home.path().join("-work-2"));
        for folder in [&new, &old] {
            fs::create_dir_all(folder.join("results")).unwrap();
            fs::write(folder.join("results/1.txt"), "x").unwrap();
        }
        fs::write(new.join(format!("{id}.jsonl")), "{}").unwrap();
        fs::write(old.join("other.jsonl"), "{}").unwrap();
        let long_ago = SystemTime::now() - KEPT - Duration::from_secs(60);
        for path in [old.join("other.jsonl"), old.join("results"), old.clone(), new.clone()] {
            fs::File::open(path).unwrap().set_modified(long_ago).unwrap();
        }
        sweep(home.path());
        assert!(is_kept(home.path(), id) && !old.exists() && new.join("results/1.txt").exists());
        sweep(&home.path().join("nowhere"));
    }
}
