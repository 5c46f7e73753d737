//! `cicdctl job list --why 42`: what became of each job of a pull request, and why, in words. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use crate::agent::AgentName;
use crate::api::{Job, JobState, Trigger};
use crate::plain::{self, short};
use crate::quantity::{count, time};
use crate::review::Outcome;

/// Longest reason that is shown, in characters.
const MAX_REASON: usize = 1000;

/// A job, and what became of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained<'a> {
    #[serde(flatten)]
    job: &'a Job,
    why: String,
}

/// In the order of `jobs`, the newest first.
pub fn explained(jobs: &[Job]) -> Vec<Explained<'_>> {
    jobs.iter().map(|job| Explained { job, why: why(job, jobs) }).collect()
}

/// The same for people.
pub fn text(jobs: &[Job]) -> String {
    explained(jobs).iter().map(|Explained { job, why }| format!("{}\n    {why}\n", heading(job))).collect()
}

fn heading(job: &Job) -> String {
    let by = match job.request.trigger {
        Trigger::Event => "by an event",
        Trigger::Comment => "in a comment",
        Trigger::Manual => "by hand",
    };
    let repo = job.request.repo.as_ref().map_or(String::new(), |repo| format!(" of {repo}"));
    let pull = job.pull.clone().unwrap_or_else(|| format!("{}{repo}", job.request.subject()));
    let head = job.head.as_deref().map_or(String::new(), |head| format!(" at {}", short(head)));
    format!("{} {pull}{head}, asked for {by} {}", job.id, time(job.created_ms))
}

fn why(job: &Job, all: &[Job]) -> String {
    let reason =
        job.reason.as_deref().map(|reason| plain::one_line(reason, MAX_REASON)).filter(|text| !text.is_empty());
    let because = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let ended = job.ended_ms.map_or(String::new(), |at| format!(" {}", time(at)));
    match (job.state, job.outcome) {
        (JobState::Queued, _) => waiting(job, &because),
        (JobState::Running, _) => {
            format!("being reviewed since {}", time(job.started_ms.unwrap_or(job.created_ms)))
        }
        (JobState::Ended, Some(Outcome::Reviewed)) => {
            format!("reviewed{ended}; `cicdctl job show {}` has what was found", job.id)
        }
        (JobState::Ended, Some(Outcome::Partial)) => format!("reviewed in part{ended}{because}"),
        (JobState::Ended, Some(Outcome::Skipped)) => format!("not reviewed{because}"),
        (JobState::Ended, Some(Outcome::Deferred)) if job.deferrals > 0 => {
            format!(
                "not reviewed, and given up after it was put off {}{because}",
                count(job.deferrals as usize, "time")
            )
        }
        (JobState::Ended, Some(Outcome::Deferred)) => format!("not reviewed, for want of quota{because}"),
        (JobState::Ended, Some(Outcome::Superseded)) => match successor(job, all) {
            Some(next) => format!("not reviewed{because}; that is job {}{}", next.id, at_head(next)),
            None => format!("not reviewed{because}"),
        },
        (JobState::Ended, Some(Outcome::Cancelled)) => format!("not reviewed{because}"),
        (JobState::Ended, Some(Outcome::Failed) | None) => format!("not reviewed, as it failed{ended}{because}"),
    }
}

fn waiting(job: &Job, because: &str) -> String {
    let whose = job.agent.as_ref().map_or("the runner".to_owned(), |name: &AgentName| format!("agent `{name}`"));
    match job.not_before_ms {
        _ if let Some(why) = &job.waits_because => {
            format!("waits in the queue of {whose}, which is {}", plain::visible(why))
        }
        Some(until) if job.deferrals > 0 => format!("put off until {}{because}", time(until)),
        Some(until) if job.attempts > 0 => {
            format!("begun {} so far, the next try is {}{because}", count(job.attempts as usize, "time"), time(until))
        }
        Some(until) => format!("waits until {}{because}", time(until)),
        None if job.reason.is_some() => format!("in the queue of {whose} again{because}"),
        None => format!("waits in the queue of {whose}"),
    }
}

/// The job that reviews the head which made this one obsolete: of those accepted later, the first for another head.
fn successor<'a>(job: &Job, all: &'a [Job]) -> Option<&'a Job> {
    let same_pull = |other: &Job| match &job.pull {
        Some(pull) => other.pull.as_ref() == Some(pull),
        None => other.request.repo == job.request.repo,
    };
    let other_head = |other: &Job| other.head.is_some() && other.head != job.head;
    all.iter().filter(|other| other.id > job.id && same_pull(other) && other_head(other)).min_by_key(|other| &other.id)
}

fn at_head(job: &Job) -> String {
    job.head.as_deref().map_or(String::new(), |head| format!(" ({})", short(head)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ReviewRequest;

    fn job(id: &str, state: JobState, outcome: Option<Outcome>, reason: &str) -> Job {
        Job {
            id: id.to_owned(),
            state,
            agent: Some("shop".parse().unwrap()),
            request: ReviewRequest { pr: Some(42), ..Default::default() },
            created_ms: 1_795_000_000_000,
            started_ms: Some(1_795_000_001_000),
            ended_ms: (state == JobState::Ended).then_some(1_795_000_100_000),
            attempts: 1,
            outcome,
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            pull: Some("acme/shop#42".into()),
            head: Some(id[..1].repeat(40)),
            not_before_ms: None,
            deferrals: 0,
            waits_because: None,
            review: None,
        }
    }

    #[test]
    fn every_end_has_its_sentence() {
        use JobState::{Ended, Queued, Running};
        let mut jobs = vec![
            job("9", Queued, None, ""),
            Job { not_before_ms: Some(1_795_000_050_000), ..job("8", Queued, None, "") },
            Job {
                not_before_ms: Some(1_795_003_600_000),
                deferrals: 1,
                ..job("7", Queued, None, "the quota\nis \u{1b}[2Jspent")
            },
            job("6", Queued, None, "the runner stopped"),
            job("5", Running, None, ""),
            job("4", Ended, Some(Outcome::Superseded), "a newer head of the pull request took its place"),
            job("3", Ended, Some(Outcome::Skipped), "it is a draft"),
            job("2", Ended, Some(Outcome::Reviewed), ""),
            job("1", Ended, Some(Outcome::Partial), "1 of 2 files was not seen"),
            job("0", Ended, Some(Outcome::Failed), "no key"),
        ];
        jobs[9].request.trigger = Trigger::Manual;
        jobs[8].request.trigger = Trigger::Comment;
        jobs[7].head = None;
        jobs[7].pull = None;
        jobs[1].attempts = 0;
        jobs[7].request.repo = Some("acme/shop".into());
        let said = text(&jobs);
        let expected = "\
9 acme/shop#42 at 9999999999, asked for by an event 2026-11-18T11:06:40Z
    waits in the queue of agent `shop`
8 acme/shop#42 at 8888888888, asked for by an event 2026-11-18T11:06:40Z
    waits until 2026-11-18T11:07:30Z
7 acme/shop#42 at 7777777777, asked for by an event 2026-11-18T11:06:40Z
    put off until 2026-11-18T12:06:40Z: the quota is spent
6 acme/shop#42 at 6666666666, asked for by an event 2026-11-18T11:06:40Z
    in the queue of agent `shop` again: the runner stopped
5 acme/shop#42 at 5555555555, asked for by an event 2026-11-18T11:06:40Z
    being reviewed since 2026-11-18T11:06:41Z
4 acme/shop#42 at 4444444444, asked for by an event 2026-11-18T11:06:40Z
    not reviewed: a newer head of the pull request took its place; that is job 5 (5555555555)
3 acme/shop#42 at 3333333333, asked for by an event 2026-11-18T11:06:40Z
    not reviewed: it is a draft
2 pull request 42 of acme/shop, asked for by an event 2026-11-18T11:06:40Z
    reviewed 2026-11-18T11:08:20Z; `cicdctl job show 2` has what was found
1 acme/shop#42 at 1111111111, asked for in a comment 2026-11-18T11:06:40Z
    reviewed in part 2026-11-18T11:08:20Z: 1 of 2 files was not seen
0 acme/shop#42 at 0000000000, asked for by hand 2026-11-18T11:06:40Z
    not reviewed, as it failed 2026-11-18T11:08:20Z: no key
";
        assert_eq!(said, expected, "\n{said}");
    }

    #[test]
    fn what_gave_up_says_so() {
        let ended = |outcome| job("1", JobState::Ended, Some(outcome), "why");
        let said = |job: Job| why(&job, &[]);
        assert_eq!(said(ended(Outcome::Deferred)), "not reviewed, for want of quota: why");
        let job = Job { deferrals: 30, ..ended(Outcome::Deferred) };
        assert_eq!(said(job), "not reviewed, and given up after it was put off 30 times: why");
        assert_eq!(said(ended(Outcome::Superseded)), "not reviewed: why");
        assert_eq!(said(ended(Outcome::Cancelled)), "not reviewed: why");
    }

    #[test]
    fn as_json_a_job_has_one_field_more() {
        let jobs = [job("1", JobState::Ended, Some(Outcome::Skipped), "it is a draft")];
        let value = serde_json::to_value(explained(&jobs)).unwrap();
        assert_eq!((&value[0]["why"], &value[0]["id"]), (&"not reviewed: it is a draft".into(), &"1".into()));
    }
}
