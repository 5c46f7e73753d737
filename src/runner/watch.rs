//! An agent that looks by itself for what is to be reviewed: beside the worker, it asks the forge for the open pull
//! requests and puts a job into the queue for each whose [`Key`] is another than before.
//!
//! [`decide`] and [`commands`] are pure; [`Look`](store::Look)s are written down in one transaction with their jobs
//! ([`crate::store`]). Whether a draft, a bot or a label is a reason not to review is decided in the job.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::Shared;
use super::worker::note_expiry;
use crate::agent::AgentName;
use crate::api::{ReviewRequest, Trigger};
use crate::config::{Agent, GitHubConfig, On, TriggerConfig, WatchConfig};
use crate::error::Fail;
use crate::forge::github::{GitHub, TOKEN, credentials};
use crate::forge::{Comment, Forge, ForgeError, Permission, Polled, PullRequest, Reaction};
use crate::secret::Stamp;
use crate::store::{self, Changed, Key, Step, Watch, Watched, now_ms};
use crate::{plain, quantity, review};

/// How often it looks whether it is to watch by now, or has a token by now.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// The first pause where nobody answers, and the longest where something is wrong.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What is watched, and how.
struct Eye {
    watch: Watch,
    repo: String,
    config: WatchConfig,
    /// The first line of a comment that asks for a review, where comments may; `full` behind it asks for one of the whole
    /// change.
    command: Option<String>,
    github: GitHubConfig,
    /// Whether reviews are published, so that this agent may write to the forge.
    posts: bool,
}

impl Eye {
    fn new(agent: Agent) -> Option<Eye> {
        let repo = agent.watches()?.to_owned();
        let watch = Watch::new(agent.name, &repo);
        let config = agent.config;
        let TriggerConfig { on, command, .. } = config.trigger;
        Some(Eye {
            watch,
            repo,
            config: config.watch,
            command: Some(command).filter(|_| on.contains(&On::Comment)),
            github: config.forge.github,
            posts: config.review.post,
        })
    }
}

/// What is kept between two looks that went well.
struct Open {
    forge: GitHub,
    repo: String,
    github: GitHubConfig,
    /// The secrets as they were when it was made.
    secrets: Vec<(PathBuf, Stamp)>,
    etag: Option<String>,
}

/// Watches as the agent's configuration says, read anew for each look. Ends with the process: whoever stops it drops it.
pub async fn watch(shared: Arc<Shared>, name: AgentName) {
    let mut open: Option<Open> = None;
    let mut fails = Fails::default();
    loop {
        let pause = match eye(&shared, &name) {
            Ok(None) => {
                open = None;
                shared.say_watching(None);
                LOOK_AGAIN
            }
            Ok(Some(eye)) => {
                // From now on it has something to do, so it may not leave during a first look that takes its time.
                if shared.watching().is_none() {
                    shared.say_watching(Some(format!("beginning to watch {}", eye.repo)));
                }
                let asked_ms = now_ms();
                let looked = look(&shared, &eye, &mut open).await;
                let failure = looked.as_ref().err().map(|error| plain::one_line(&review::reason(error), 500));
                if let Err(error) = shared.store.asked(&eye.watch, asked_ms, failure.clone()).await {
                    tracing::warn!("could not write down when {} was asked, ignoring: {error:#}", eye.repo);
                }
                shared.say_watching(Some(match &failure {
                    None => format!("watching {}", eye.repo),
                    Some(failure) => format!("cannot watch {}: {failure}", eye.repo),
                }));
                match looked {
                    Ok(()) => {
                        fails.ended(&eye.repo);
                        jittered(eye.config.interval.0)
                    }
                    Err(error) => {
                        // Another token may be there by the next time.
                        if !matches!(error.downcast_ref(), Some(ForgeError::RateLimited { .. })) {
                            open = None;
                        }
                        fails.say(&eye.repo, &error);
                        pause(eye.config.interval.0, &error, fails.count, Timestamp::now())
                    }
                }
            }
            // The worker's next job shows it, too.
            Err(error) => {
                if shared.watching().is_some() {
                    shared.say_watching(Some("cannot watch: the configuration is wrong".into()));
                }
                fails.say("anything", &error);
                LOOK_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.look.notified() => {}
        }
    }
}

fn eye(shared: &Shared, name: &AgentName) -> Result<Option<Eye>> {
    let user = shared.host.config()?;
    Ok(shared.host.agent(name, &user)?.and_then(Eye::new))
}

/// One look at the repository, and all that follows from it.
async fn look(shared: &Shared, eye: &Eye, open: &mut Option<Open>) -> Result<()> {
    // Another token may have been stored, which is to be used though the old one is still good.
    let stamps = shared.host.vault().stamps();
    let known = open.take().filter(|open| open.repo == eye.repo && open.github == eye.github && open.secrets == stamps);
    let open = open.insert(match known {
        Some(open) => open,
        None => connect(shared, eye, stamps)?,
    });
    let polled = pulls(shared, eye, &open.forge, open.etag.as_deref()).await;
    note_expiry(&shared.store, &open.forge).await;
    let polled = polled?;
    // Only now: had it been noted earlier, the next look would find nothing to be done.
    open.etag = polled.or(open.etag.take());
    comments(shared, eye, &open.forge).await
}

fn connect(shared: &Shared, eye: &Eye, secrets: Vec<(PathBuf, Stamp)>) -> Result<Open> {
    // Whatever this connection brings to the log is cleaned of what it was made with.
    shared.host.vault().redactor();
    let Some(credentials) = credentials::find(&shared.host, &eye.github)? else {
        return Err(Fail::new("there is no token for GitHub")
            .hint(format!("`cicdctl secret set {TOKEN}` stores one"))
            .into());
    };
    let forge = GitHub::connect(&shared.host, &eye.github, eye.repo.clone(), credentials)?;
    Ok(Open { forge, repo: eye.repo.clone(), github: eye.github.clone(), secrets, etag: None })
}

/// Brings the queue to where the open pull requests are; hands back the ETag of what it has seen, if that is new.
async fn pulls(shared: &Shared, eye: &Eye, forge: &dyn Forge, etag: Option<&str>) -> Result<Option<String>> {
    let asked_ms = now_ms();
    let Polled::Changed { etag, pulls, complete } = forge.open_pull_requests(etag).await? else { return Ok(None) };
    let state = shared.store.watch_state(&eye.watch).await?;
    let known: BTreeMap<u64, Watched> =
        shared.store.watched(&eye.watch).await?.into_iter().map(|watched| (watched.number, watched)).collect();
    let mut seen: Vec<Seen> = pulls.into_iter().map(Seen::from).collect();
    let mut gone = Vec::new();
    for number in missing(&known, &seen, complete) {
        // A list may lag, and its pages shift while they are read.
        match forge.pull_request(number).await {
            Ok(pull) => seen.push(pull.into()),
            Err(ForgeError::NotFound(_)) => gone.push(Step::Forget(number)),
            Err(ForgeError::Other(why)) => tracing::debug!("leaving pull request {number} as it is: {why}"),
            Err(error) => return Err(error.into()),
        }
    }
    let newest_ms = seen.iter().map(|seen| seen.updated_ms).max().unwrap_or(0);
    let mut steps = decide(&known, seen, state.begun.then_some(state.newest_ms), eye.config.backlog);
    steps.extend(gone);
    if !state.begun {
        let how = if eye.config.backlog { "they are reviewed" } else { "what changes from now on is reviewed" };
        tracing::info!("watching {}: {} open; {how}", eye.repo, quantity::count(steps.len(), "pull request"));
    }
    let debounce_ms = i64::try_from(eye.config.debounce.0.as_millis()).unwrap_or(i64::MAX);
    let look = store::Look { asked_ms, not_before_ms: now_ms().saturating_add(debounce_ms), newest_ms, steps };
    tell(shared, &shared.store.looked(&eye.watch, look).await?);
    Ok(etag)
}

/// Reads what was said since the last time, and does what it asks for.
async fn comments(shared: &Shared, eye: &Eye, forge: &dyn Forge) -> Result<()> {
    let Some(command) = &eye.command else { return Ok(()) };
    let mut permissions: HashMap<String, Permission> = HashMap::new();
    for watched in shared.store.watched(&eye.watch).await? {
        if !watched.key.open || watched.updated_ms <= watched.read_ms {
            continue;
        }
        let number = watched.number;
        let since = Timestamp::from_millisecond(watched.read_ms.max(0)).ok().filter(|_| watched.read_ms > 0);
        let said = match forge.comments(number, since).await {
            Ok(said) => said,
            // Heads are reviewed all the same.
            Err(error @ (ForgeError::Forbidden(_) | ForgeError::NotFound(_))) => {
                tracing::warn!("could not read the comments on pull request {number}, ignoring: {error}");
                vec![]
            }
            Err(error) => return Err(error.into()),
        };
        let mut asks = Vec::new();
        let mut marks = Vec::new();
        for (comment, full) in commands(command, &watched, &said) {
            let may = match permissions.get(&comment.author) {
                Some(permission) => *permission,
                None => {
                    let permission = permission(forge, &comment.author).await?;
                    permissions.insert(comment.author.clone(), permission);
                    permission
                }
            } >= Permission::Write;
            let who = plain::one_line(&comment.author, 100);
            if may {
                tracing::info!("`{who}` asks for a review of pull request {number}");
                asks.push(ReviewRequest { pr: Some(number), full, trigger: Trigger::Comment, ..Default::default() });
            } else {
                tracing::info!("`{who}` asks for a review of pull request {number} and may not write to {}", eye.repo);
            }
            marks.push((comment.id, if may { Reaction::Eyes } else { Reaction::Confused }));
        }
        let read = Watched {
            read_ms: read_until(watched.updated_ms, now_ms()),
            comment: said.iter().map(|comment| comment.id).max().unwrap_or(0).max(watched.comment),
            ..watched
        };
        // The jobs first: what is marked is sure to be done, and a mark that is missing does no harm.
        tell(shared, &shared.store.comments_read(&eye.watch, &read, asks).await?);
        for (comment, mark) in marks.into_iter().filter(|_| eye.posts) {
            if let Err(error) = forge.react(comment, mark).await {
                tracing::warn!("could not mark a comment on pull request {number}, ignoring: {error}");
            }
        }
    }
    Ok(())
}

/// What the author of a comment may do; nothing where that cannot be found out. Nobody's comment ends the watch.
async fn permission(forge: &dyn Forge, login: &str) -> Result<Permission> {
    match forge.permission(login).await {
        Err(error @ (ForgeError::RateLimited { .. } | ForgeError::Unavailable { .. })) => Err(error.into()),
        Err(error) => {
            let who = plain::one_line(login, 100);
            tracing::warn!("what `{who}` may do could not be found out, so it counts as nothing: {error}");
            Ok(Permission::None)
        }
        Ok(permission) => Ok(permission),
    }
}

fn tell(shared: &Shared, changed: &Changed) {
    for job in &changed.accepted {
        tracing::info!(CICD_JOB = %job.id, "job {} accepted: {}", job.id, job.request.subject());
    }
    for id in &changed.ended {
        tracing::info!(CICD_JOB = %id, "job {id} is obsolete");
    }
    if *changed != Changed::default() {
        shared.touch();
        shared.work.notify_one();
        shared.news.notify_waiters();
        shared.changed.notify_one();
    }
}

/// A pull request as the forge shows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    number: u64,
    key: Key,
    updated_ms: i64,
}

impl From<PullRequest> for Seen {
    fn from(pull: PullRequest) -> Seen {
        let mut labels = pull.labels;
        labels.sort();
        let open = pull.state == "open";
        let key = Key { head: pull.head_sha, base: pull.base_ref, draft: pull.draft, labels, open };
        Seen { number: pull.number, key, updated_ms: pull.updated_at.as_millisecond() }
    }
}

/// Those that were open and are not in the list, though it reaches as far as where they would be.
fn missing(known: &BTreeMap<u64, Watched>, seen: &[Seen], complete: bool) -> Vec<u64> {
    let oldest = seen.iter().map(|seen| seen.updated_ms).min().filter(|_| !complete);
    let listed: std::collections::BTreeSet<u64> = seen.iter().map(|seen| seen.number).collect();
    known
        .values()
        .filter(|known| known.key.open && !listed.contains(&known.number))
        .filter(|known| oldest.is_none_or(|oldest| known.updated_ms >= oldest))
        .map(|known| known.number)
        .collect()
}

/// What is to be done about what is seen. `newest_ms` is the latest change that any look has shown before; `None` at the
/// first look, to which nothing is new unless the `backlog` is wanted.
fn decide(known: &BTreeMap<u64, Watched>, seen: Vec<Seen>, newest_ms: Option<i64>, backlog: bool) -> Vec<Step> {
    seen.into_iter()
        .filter_map(|Seen { number, key, updated_ms }| {
            let Some(before) = known.get(&number) else {
                let from_ms = newest_ms.unwrap_or(updated_ms);
                let watched = Watched { number, key, updated_ms, from_ms, read_ms: from_ms, comment: 0 };
                return match watched.key.open {
                    false => None,
                    true if newest_ms.is_some() || backlog => Some(Step::Review { watched, moved: true }),
                    true => Some(Step::Remember(watched)),
                };
            };
            // It shows how things were: a list may lag behind what was seen already.
            if updated_ms < before.updated_ms {
                return None;
            }
            let moved = key.head != before.key.head || !before.key.open;
            let watched = Watched { key, updated_ms, ..before.clone() };
            match (watched.key == before.key, watched.key.open) {
                (true, _) if updated_ms == before.updated_ms => None,
                (true, _) => Some(Step::Remember(watched)),
                (false, true) => Some(Step::Review { watched, moved }),
                (false, false) => Some(Step::Close(watched)),
            }
        })
        .collect()
}

/// Comments that ask for a review and were not read before; true for all of the change. An old one that was given another
/// text is none.
fn commands<'a>(command: &str, watched: &Watched, said: &'a [Comment]) -> Vec<(&'a Comment, bool)> {
    said.iter()
        .filter(|comment| comment.id > watched.comment && comment.created_at.as_millisecond() > watched.from_ms)
        .filter(|comment| !comment.author_is_bot && !comment.author.is_empty())
        .filter_map(|comment| Some((comment, is_full(command, &comment.body)?)))
        .collect()
}

/// Up to where comments are read, after a change at `updated_ms`. The forge's times are whole seconds: what is said in the
/// rest of this one changes nothing that a list shows, so they are read once more.
fn read_until(updated_ms: i64, now_ms: i64) -> i64 {
    const SETTLED_MS: i64 = 2000;
    if (now_ms - updated_ms).abs() < SETTLED_MS { updated_ms - 1 } else { updated_ms }
}

/// `None` where the text does not ask for a review.
fn is_full(command: &str, body: &str) -> Option<bool> {
    let mut words = body.lines().next()?.split_whitespace();
    if !command.split_whitespace().all(|word| words.next() == Some(word)) {
        return None;
    }
    match (words.next(), words.next()) {
        (None, _) => Some(false),
        (Some("full"), None) => Some(true),
        _ => None,
    }
}

/// What has gone wrong again and again is said once.
#[derive(Default)]
struct Fails {
    /// In a row.
    count: u32,
    said: Option<std::mem::Discriminant<ForgeError>>,
}

impl Fails {
    fn say(&mut self, what: &str, error: &anyhow::Error) {
        let kind = error.downcast_ref::<ForgeError>().map(std::mem::discriminant);
        if self.count == 0 || self.said != kind {
            tracing::warn!("cannot watch {what}: {}; it is tried again", review::reason(error));
        }
        self.count = self.count.saturating_add(1);
        self.said = kind;
    }

    fn ended(&mut self, what: &str) {
        if self.count > 0 {
            tracing::info!("watching {what} again");
        }
        *self = Fails::default();
    }
}

/// How long to wait after the `fails`th failure in a row. Whoever named a time gets it; a network that is not there yet
/// is waited out in short pauses, and what somebody has to see to is asked for ever more rarely.
fn pause(interval: Duration, error: &anyhow::Error, fails: u32, now: Timestamp) -> Duration {
    let doubled = |first: Duration| first.saturating_mul(1 << fails.saturating_sub(1).min(16));
    match error.downcast_ref::<ForgeError>() {
        Some(ForgeError::RateLimited { until, .. }) => {
            let seconds = u64::try_from(until.as_second() - now.as_second()).unwrap_or(0) + 1;
            jittered(Duration::from_secs(seconds)).max(Duration::from_secs(seconds)).max(interval)
        }
        Some(ForgeError::Unavailable { .. }) => doubled(FIRST_PAUSE).min(interval).min(LONGEST_PAUSE),
        Some(_) => doubled(interval).min(LONGEST_PAUSE).max(interval),
        // Nobody was asked: there is no token, or the store did not answer.
        None => LOOK_AGAIN.min(interval),
    }
}

/// A tenth more or less, so that not all agents of all hosts ask at once.
fn jittered(time: Duration) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish() % 2001;
    time.mul_f64(0.9 + 0.0001 * random as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(number: u64, head: &str, updated_ms: i64) -> Seen {
        let key = Key { head: head.into(), base: "main".into(), draft: false, labels: vec![], open: true };
        Seen { number, key, updated_ms }
    }

    fn watched(number: u64, head: &str, updated_ms: i64) -> Watched {
        let Seen { key, .. } = seen(number, head, updated_ms);
        Watched { number, key, updated_ms, from_ms: 500, read_ms: 500, comment: 7 }
    }

    fn known(all: impl IntoIterator<Item = Watched>) -> BTreeMap<u64, Watched> {
        all.into_iter().map(|watched| (watched.number, watched)).collect()
    }

    #[test]
    fn the_first_look_reviews_nothing_unless_the_backlog_is_wanted() {
        let first = decide(&known([]), vec![seen(1, "a", 1000)], None, false);
        let Step::Remember(watched) = &first[0] else { panic!("{first:?}") };
        assert_eq!((watched.from_ms, watched.read_ms), (1000, 1000));
        let all = decide(&known([]), vec![seen(1, "a", 1000)], None, true);
        // What was said before is old all the same.
        assert!(matches!(&all[0], Step::Review { watched, moved: true } if watched.from_ms == 1000), "{all:?}");
        let later = decide(&known([]), vec![seen(1, "a", 1000)], Some(900), false);
        assert!(matches!(&later[0], Step::Review { watched, moved: true } if watched.from_ms == 900), "{later:?}");
    }

    #[test]
    fn only_a_change_of_what_matters_is_reviewed_and_what_lags_behind_is_none() {
        let before = known([watched(1, "a", 1000)]);
        let of = |seen: Seen| decide(&before, vec![seen], Some(1000), false);
        assert_eq!(of(seen(1, "a", 1000)), []);
        assert!(
            matches!(&of(seen(1, "a", 2000))[..], [Step::Remember(now)] if now.updated_ms == 2000 && now.comment == 7)
        );
        assert!(matches!(&of(seen(1, "b", 2000))[..], [Step::Review { moved: true, .. }]));
        assert!(matches!(&of(seen(1, "b", 1000))[..], [Step::Review { moved: true, .. }]));
        assert_eq!(of(seen(1, "b", 999)), []);
        let mut labelled = seen(1, "a", 2000);
        labelled.key.labels = vec!["review".into()];
        assert!(matches!(&of(labelled)[..], [Step::Review { moved: false, .. }]));
        let mut closed = seen(1, "a", 2000);
        closed.key.open = false;
        let Step::Close(closed) = of(closed).remove(0) else { panic!("it is closed") };
        // An old list still shows it open; a new one shows it open again.
        assert_eq!(decide(&known([closed.clone()]), vec![seen(1, "a", 1000)], Some(2000), false), []);
        let again = decide(&known([closed]), vec![seen(1, "a", 3000)], Some(2000), false);
        assert!(matches!(&again[..], [Step::Review { moved: true, .. }]), "{again:?}");
    }

    #[test]
    fn shuffled_and_doubled_looks_end_where_the_newest_one_is() {
        let looks: Vec<Seen> = (1..=9).map(|n| seen(1, &n.to_string(), 1000 * n)).collect();
        for start in 0..9 {
            let mut all = known([]);
            let mut reviews = Vec::new();
            for step in (0..18).map(|n| (start + n * 4) % 9) {
                for step in decide(&all, vec![looks[step].clone()], Some(0), false) {
                    let Step::Review { watched, .. } = step else { panic!("{step:?}") };
                    reviews.push(watched.key.head.clone());
                    all.insert(1, watched);
                }
            }
            assert_eq!(all[&1].key.head, "9");
            assert!(reviews.is_sorted() && reviews.last().unwrap() == "9", "{reviews:?}");
            reviews.dedup();
            assert!(reviews.len() <= 9 && reviews.iter().filter(|head| *head == "9").count() == 1, "{reviews:?}");
        }
    }

    #[test]
    fn missing_is_what_was_open_and_would_be_listed() {
        let mut closed = watched(3, "c", 3000);
        closed.key.open = false;
        let before = known([watched(1, "a", 1000), watched(2, "b", 2000), closed, watched(4, "d", 4000)]);
        assert_eq!(missing(&before, &[seen(4, "d", 4000)], true), [1, 2]);
        assert_eq!(missing(&before, &[seen(4, "d", 4000), seen(5, "e", 1500)], false), [2]);
        assert_eq!(missing(&before, &[], true), [1, 2, 4]);
    }

    #[test]
    fn a_command_is_the_whole_first_line_of_a_new_comment_by_a_person() {
        for (text, full) in [
            ("/review", Some(false)),
            ("/review full", Some(true)),
            (" /review  full \r\nthanks", Some(true)),
            ("/review now", None),
            ("/review full please", None),
            ("/reviewer", None),
            ("please /review", None),
            ("\n/review", None),
            ("> /review", None),
            ("", None),
        ] {
            assert_eq!(is_full("/review", text), full, "{text:?}");
        }
        assert_eq!(is_full("@shop  look", "@shop look full"), Some(true));
        assert_eq!(is_full("@shop look", "@shop"), None);
        let comment = |id, at_ms, bot| Comment {
            id,
            author: "bob".into(),
            author_is_bot: bot,
            body: "/review".into(),
            created_at: Timestamp::from_millisecond(at_ms).unwrap(),
        };
        let said = [comment(6, 900, false), comment(8, 500, false), comment(9, 900, true), comment(10, 900, false)];
        let found: Vec<u64> =
            commands("/review", &watched(1, "a", 1000), &said).into_iter().map(|(comment, _)| comment.id).collect();
        assert_eq!(found, [10]);
    }

    #[test]
    fn comments_of_the_present_second_are_read_once_more() {
        assert_eq!([10_500, 11_999, 9_000].map(|now_ms| read_until(10_000, now_ms)), [9_999; 3]);
        assert_eq!([12_000, 99_000, 1000].map(|now_ms| read_until(10_000, now_ms)), [10_000; 3]);
    }

    #[test]
    fn pauses_fit_what_went_wrong() {
        let now = Timestamp::from_second(1000).unwrap();
        let minute = Duration::from_secs(60);
        let after = |error: ForgeError, fails| pause(minute, &error.into(), fails, now).as_secs();
        let limited = || ForgeError::RateLimited { until: Timestamp::from_second(1600).unwrap(), text: "x".into() };
        assert!((601..=670).contains(&after(limited(), 1)));
        let gone = || ForgeError::Unavailable { text: "x".into(), perhaps_done: false };
        assert_eq!([1, 2, 3, 9, 99].map(|fails| after(gone(), fails)), [5, 10, 20, 60, 60]);
        let refused = || ForgeError::Unauthenticated("x".into());
        assert_eq!([1, 2, 3, 5, 99].map(|fails| after(refused(), fails)), [60, 120, 240, 600, 600]);
        assert_eq!(pause(minute, &anyhow::anyhow!("no token"), 5, now), LOOK_AGAIN);
        let hour = Duration::from_secs(3600);
        assert_eq!(pause(hour, &refused().into(), 1, now), hour);
        for _ in 0..100 {
            assert!((54..=66).contains(&jittered(minute).as_secs()));
        }
    }
}
