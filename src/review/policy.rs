//! Whether a pull request is reviewed at all, by rules from trusted places only: the host, and the tip of the base
//! branch. [`decide`] is pure; the rest finds out what it wants to know.

use anyhow::{Context, Result};

use super::attributes::Attributes;
use super::{Outcome, Run, Stopped};
use crate::api::Trigger;
use crate::config::{Config, Forks, On, REPOSITORY_FILE, TriggerConfig, parse_repository};
use crate::forge::{Forge, PullRequest};
use crate::git::{Change, Mirror};
use crate::globs::Globs;
use crate::plain::{self, short};
use crate::store::Store;

/// Largest `.cicd-toolkit.toml` that is read, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// What holds for one change.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    /// The host's configuration with the repository's own file laid over it.
    pub config: Config,
    /// What the base says of the files of the change.
    pub attributes: Attributes,
}

/// What became of a pull request so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Heads that were reviewed, wholly or in part.
    pub reviewed_heads: Vec<String>,
    /// The head at which the label was first seen; absent where it is not there now.
    pub approved_head: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Review {
        /// Findings may stand at their lines.
        inline: bool,
    },
    Skip {
        reason: String,
        /// The review is not unwanted: somebody has yet to approve it.
        pending: bool,
    },
}

/// Whether to review the head of `pull` now.
///
/// An event is held to all of `policy`. Somebody who asks in person is trusted and knows what is asked for: of the
/// rules only `forks = "summary-only"` holds then.
pub fn decide(policy: &TriggerConfig, pull: &PullRequest, trigger: Trigger, history: &History) -> Result<Decision> {
    let skip = |reason: String| Ok(Decision::Skip { reason, pending: false });
    if pull.state != "open" {
        return skip("the pull request is closed".into());
    }
    let inline = !(pull.from_fork && policy.forks == Forks::SummaryOnly);
    match trigger {
        Trigger::Event => {}
        Trigger::Comment if !policy.on.contains(&On::Comment) => {
            return skip("comments do not ask for reviews of it (`trigger.on`)".into());
        }
        Trigger::Comment | Trigger::Manual => return Ok(Decision::Review { inline }),
    }
    if has_label(pull, &policy.skip_label) {
        return skip(format!("it has the label `{}`", policy.skip_label));
    }
    if pull.draft && !policy.drafts {
        return skip("it is a draft".into());
    }
    if pull.author_is_bot && !policy.bots {
        return skip(format!("its author `{}` is a bot", shown(&pull.author)));
    }
    if policy.ignore_authors.iter().any(|login| login.eq_ignore_ascii_case(&pull.author)) {
        return skip(format!("its author `{}` is in `trigger.ignore_authors`", shown(&pull.author)));
    }
    if !policy.base_branches.is_empty() && Globs::of_branches(&policy.base_branches)?.first(&pull.base_ref).is_none() {
        return skip(format!("its base branch `{}` is not in `trigger.base_branches`", shown(&pull.base_ref)));
    }
    if let Some(reason) = not_asked_for(policy, pull, history) {
        return skip(reason);
    }
    if pull.from_fork {
        return Ok(forked(policy, pull, history));
    }
    Ok(Decision::Review { inline })
}

/// Why none of the events in `on` is there, if none is.
fn not_asked_for(policy: &TriggerConfig, pull: &PullRequest, history: &History) -> Option<String> {
    let on = |event: On| policy.on.contains(&event);
    let is_first = history.reviewed_heads.iter().all(|head| *head == pull.head_sha);
    if on(On::Push) || on(On::Opened) && is_first || on(On::Label) && has_label(pull, &policy.label) {
        return None;
    }
    let label = || format!("the label `{}`", policy.label);
    Some(match (on(On::Opened), on(On::Label)) {
        (true, true) => format!("only its first head is reviewed, and others with {}", label()),
        (true, false) => "only its first head is reviewed (`trigger.on`)".into(),
        (false, true) => format!("it does not have {}", label()),
        (false, false) if on(On::Comment) => format!("it is reviewed when a comment says `{}`", policy.command),
        (false, false) => "it is reviewed when asked by hand (`trigger.on` is empty)".into(),
    })
}

/// Whether the head of a fork may be reviewed; each head needs an approval of its own.
fn forked(policy: &TriggerConfig, pull: &PullRequest, history: &History) -> Decision {
    let (label, head) = (&policy.label, short(&pull.head_sha));
    let reason = match (policy.forks, &history.approved_head) {
        (Forks::Full, _) => return Decision::Review { inline: true },
        (Forks::SummaryOnly, _) => return Decision::Review { inline: false },
        (Forks::Label, Some(approved)) if *approved == pull.head_sha => return Decision::Review { inline: true },
        (Forks::Label, Some(approved)) => format!(
            "it is from a fork: the label `{label}` approved {}; for {head} remove it and set it again",
            short(approved)
        ),
        (Forks::Label, None) => format!("it is from a fork, and the label `{label}` has not approved {head}"),
        (Forks::Off, _) => "it is from a fork (`trigger.forks` is `off`)".into(),
    };
    Decision::Skip { reason, pending: policy.forks == Forks::Label }
}

/// Labels that differ in case alone are one at GitHub.
fn has_label(pull: &PullRequest, label: &str) -> bool {
    pull.labels.iter().any(|one| one.to_lowercase() == label.to_lowercase())
}

fn shown(text: &str) -> String {
    plain::one_line(text, 100)
}

impl Run<'_> {
    /// What holds for the change; `None` where it is not to be reviewed, which the review then says.
    pub(super) async fn policy(
        &mut self,
        mirror: &Mirror,
        change: &Change,
        pull: Option<(&dyn Forge, &PullRequest)>,
    ) -> Result<Option<Policy>, Stopped> {
        let host = self.setting.config;
        let config = match host.policy.from_repository {
            true => of_repository(mirror, change, host).await?,
            false => host.clone(),
        };
        if let Some((forge, pull)) = pull {
            let history = history(self.setting.store, &config.trigger, forge.repo(), pull).await?;
            // Who asked in a comment has read another head, where this one came after it. Of a fork each wants an approval.
            let trigger = match self.request.trigger {
                Trigger::Comment if pull.from_fork && self.request.head.is_some() => Trigger::Event,
                trigger => trigger,
            };
            let max_inline = match decide(&config.trigger, pull, trigger, &history)? {
                Decision::Review { inline: true } => config.review.max_inline,
                Decision::Review { inline: false } => 0,
                Decision::Skip { reason, pending } => {
                    (self.review.outcome, self.review.reason) = (Outcome::Skipped, Some(reason));
                    // What the commit says about the review that it had is not taken back, nor is a closed one told.
                    if pull.state != "open" || history.reviewed_heads.contains(&pull.head_sha) {
                        self.posting = None;
                    } else if let Some(posting) = &mut self.posting {
                        posting.waits = pending;
                    }
                    return Ok(None);
                }
            };
            if let Some(posting) = &mut self.posting {
                posting.max_inline = Some(max_inline as usize);
            }
        } else if self.request.pr.is_some() && self.request.trigger == Trigger::Event {
            let note =
                "whether policy wants this review is not known: without a repository and a token nobody asks the forge";
            self.review.receipt.notes.push(note.into());
        }
        let attributes = Attributes::of(mirror, change, &self.scratch()).await?;
        Ok(Some(Policy { config, attributes }))
    }
}

async fn history(store: Option<&Store>, policy: &TriggerConfig, repo: &str, pull: &PullRequest) -> Result<History> {
    let has_label = has_label(pull, &policy.label);
    let Some(store) = store else {
        // Nobody remembers when the label came, so it is now.
        let approved_head = has_label.then(|| pull.head_sha.clone());
        return Ok(History { reviewed_heads: Vec::new(), approved_head });
    };
    let name = format!("{repo}#{}", pull.number);
    let approved_head = match pull.from_fork {
        true => store.approval(&name, &pull.head_sha, has_label).await?,
        false => None,
    };
    Ok(History { reviewed_heads: store.reviewed_heads(&name).await?, approved_head })
}

/// The configuration with the file of the base laid over it. One that is wrong stops the review: without it more, or
/// something else, would be reviewed than the project wants.
async fn of_repository(mirror: &Mirror, change: &Change, host: &Config) -> Result<Config> {
    match mirror.root_file(&change.rules, REPOSITORY_FILE, MAX_FILE).await? {
        Some(text) => parse_repository(&text, host)
            .with_context(|| format!("the policy at the base ({}) cannot be used", short(&change.rules))),
        None => Ok(host.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Source, parse_config};

    fn pull() -> PullRequest {
        PullRequest {
            number: 42,
            title: "add a login".into(),
            head_sha: "b".repeat(40),
            base_ref: "main".into(),
            base_sha: "0".repeat(40),
            draft: false,
            state: "open".into(),
            author: "alice".into(),
            author_is_bot: false,
            from_fork: false,
            head_repo: Some("acme/shop".into()),
            labels: vec![],
            updated_at: jiff::Timestamp::UNIX_EPOCH,
            changed_files: 1,
        }
    }

    fn decided(policy: &str, pull: &PullRequest, trigger: Trigger, history: &History) -> String {
        let text = format!("[trigger]\n{policy}\n");
        let source = Source { path: Path::new("config.toml"), text: &text };
        let trigger_config = parse_config(&[source]).unwrap().trigger;
        match decide(&trigger_config, pull, trigger, history).unwrap() {
            Decision::Review { inline: true } => "review".into(),
            Decision::Review { inline: false } => "review, summary only".into(),
            Decision::Skip { reason, pending: false } => format!("skip: {reason}"),
            Decision::Skip { reason, pending: true } => format!("wait: {reason}"),
        }
    }

    /// Each pull request under each policy, as an event finds it. In brackets what somebody who asks in person gets,
    /// where that is something else.
    #[test]
    fn events_and_policies() {
        let labelled = |label: &str| PullRequest { labels: vec!["bug".into(), label.into()], ..pull() };
        let fork = PullRequest { from_fork: true, head_repo: Some("eve/shop".into()), ..pull() };
        let approved = PullRequest { from_fork: true, ..labelled("cicd-review") };
        let known = |reviewed: &[&str], approved: Option<&str>| History {
            reviewed_heads: reviewed.iter().map(|head| head.repeat(40)).collect(),
            approved_head: approved.map(|head| head.repeat(40)),
        };
        let new = History::default();
        let pulls: Vec<(&str, PullRequest, History)> = vec![
            ("plain, first head", pull(), new.clone()),
            ("plain, first head again", pull(), known(&["b"], None)),
            ("plain, second head", pull(), known(&["a"], None)),
            ("second head with the label", labelled("CICD-review"), known(&["a"], None)),
            ("with the label no-review", labelled("no-review"), new.clone()),
            ("draft", PullRequest { draft: true, ..pull() }, new.clone()),
            ("of a bot", PullRequest { author: "dep[bot]".into(), author_is_bot: true, ..pull() }, new.clone()),
            ("of Mallory", PullRequest { author: "Mallory".into(), ..pull() }, new.clone()),
            ("into release/1", PullRequest { base_ref: "release/1".into(), ..pull() }, new.clone()),
            ("closed", PullRequest { state: "closed".into(), ..pull() }, new.clone()),
            ("fork", fork, new),
            ("fork, head approved", approved.clone(), known(&[], Some("b"))),
            ("fork, push after it", approved, known(&["a"], Some("a"))),
        ];
        let mut table = String::new();
        for policy in [
            "",
            "drafts = true\nbots = true\nforks = \"full\"",
            "on = []\nforks = \"summary-only\"",
            "on = [\"opened\"]\nforks = \"off\"",
            "on = [\"label\", \"comment\"]",
            "on = [\"opened\", \"label\"]\nignore_authors = [\"mallory\"]\nbase_branches = [\"main\", \"dev/*\"]",
            "on = [\"comment\"]\nskip_label = \"bug\"",
        ] {
            table
                .push_str(&format!("== {}\n", if policy.is_empty() { "defaults" } else { policy }.replace('\n', ", ")));
            for (name, pull, history) in &pulls {
                let event = decided(policy, pull, Trigger::Event, history);
                let person = decided(policy, pull, Trigger::Manual, history);
                let comment = decided(policy, pull, Trigger::Comment, history);
                match person == comment || pull.state != "open" {
                    true => assert_eq!(person, comment),
                    false => assert_eq!(comment, "skip: comments do not ask for reviews of it (`trigger.on`)"),
                }
                let other = if person == event { String::new() } else { format!(" [{person}]") };
                table.push_str(&format!("{name}: {event}{other}\n"));
            }
        }
        assert_eq!(table, include_str!("policy.golden"), "\n{table}");
    }

    #[test]
    fn reasons_fit_the_status_of_a_commit() {
        let fork = PullRequest { from_fork: true, ..pull() };
        let history = History { approved_head: Some("a".repeat(40)), ..History::default() };
        let reason = decided("", &fork, Trigger::Event, &history);
        assert!(reason.chars().count() + "not reviewed (skipped): ".len() <= 140, "{reason}");
    }

    #[test]
    fn names_from_the_forge_do_no_harm() {
        let bot = PullRequest { author: "\u{1b}[2Jx\u{202e}".repeat(50), author_is_bot: true, ..pull() };
        let reason = decided("", &bot, Trigger::Event, &History::default());
        assert!(reason.chars().count() < 150 && !reason.contains(plain::is_hidden), "{reason}");
    }
}
