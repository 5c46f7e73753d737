//! What the jobs that have ended add up to. Each is counted in the transaction that ends it, so that no kill comes in
//! between, and stays counted when it is pruned.

use anyhow::Result;
use rusqlite::{Connection, Transaction, params};

use super::Store;
use crate::agent::AgentName;
use crate::engine::Progress;
use crate::finding::Severity;
use crate::money::Usd;
use crate::review::{Coverage, Outcome, Review};

/// Upper bounds of the buckets of [`Stage`] times, in seconds.
pub const BUCKETS: [u64; 8] = [1, 5, 15, 60, 300, 900, 1800, 3600];

/// A part of a job whose time is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// From being accepted to its last beginning.
    Wait,
    /// From its last beginning to its end.
    Work,
    /// The engine alone.
    Engine,
}

impl Stage {
    pub const ALL: [Stage; 3] = [Stage::Wait, Stage::Work, Stage::Engine];

    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Wait => "wait",
            Stage::Work => "work",
            Stage::Engine => "engine",
        }
    }
}

/// How often a stage took how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// As [`BUCKETS`], each without the ones before it; what took longer comes last.
    pub counts: [u64; BUCKETS.len() + 1],
    pub sum_ms: u64,
}

/// What waits and runs for the runner (`None`) or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub agent: Option<AgentName>,
    pub queued: u64,
    pub running: u64,
    pub oldest_queued_ms: Option<i64>,
}

/// What the calls of an engine for somebody have cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    pub agent: Option<AgentName>,
    pub engine: String,
    pub calls: u64,
    pub spent: Usd,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// All that counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub jobs: Vec<(Option<AgentName>, Outcome, u64)>,
    pub findings: Vec<(Option<AgentName>, Severity, u64)>,
    /// Findings that were dismissed before, and those that a later review did not find any more.
    pub dismissed: u64,
    pub fixed: u64,
    /// Files by coverage: seen, known, excluded, missed.
    pub files: Vec<(String, u64)>,
    /// Waits of engines for their API.
    pub retries: u64,
    pub times: [Times; 3],
    pub waiting: Vec<Waiting>,
    pub costs: Vec<Cost>,
}

impl Store {
    pub async fn totals(&self) -> Result<Totals> {
        self.run(|connection| {
            let mut totals = Totals::default();
            let mut statement = connection.prepare_cached("SELECT agent, name, label, value FROM totals")?;
            let rows = statement.query_map([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, String>(1)?,
                    row.get::<_, String>(2)?,
                    row.get::<_, u64>(3)?,
                ))
            })?;
            for row in rows {
                let (agent, name, label, value) = row?;
                totals.add(agent.parse().ok(), &name, label, value);
            }
            totals.waiting = waiting(connection)?;
            totals.costs = costs(connection)?;
            Ok(totals)
        })
        .await
    }

    /// How many jobs ended in each outcome, those that are forgotten among them.
    pub async fn outcomes(&self) -> Result<Vec<(Outcome, u64)>> {
        let mut sums: Vec<(Outcome, u64)> = Vec::new();
        for (_, outcome, jobs) in self.totals().await?.jobs {
            match sums.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, sum)) => *sum += jobs,
                None => sums.push((outcome, jobs)),
            }
        }
        Ok(sums)
    }
}

impl Totals {
    /// A name or a label of another version says nothing to this one.
    fn add(&mut self, agent: Option<AgentName>, name: &str, label: String, value: u64) {
        let stage = |name: &str| Stage::ALL.iter().position(|stage| stage.as_str() == name);
        match name {
            "jobs" => self.jobs.extend(label.parse().ok().map(|outcome| (agent, outcome, value))),
            "findings" => self.findings.extend(label.parse().ok().map(|severity| (agent, severity, value))),
            "files" => self.files.push((label, value)),
            "fate" if label == "dismissed" => self.dismissed = value,
            "fate" if label == "fixed" => self.fixed = value,
            "retries" => self.retries = value,
            name => {
                let Some((stage, times)) = name.split_once('_').and_then(|(name, what)| Some((stage(name)?, what)))
                else {
                    return;
                };
                match (times, label.parse::<usize>()) {
                    ("sum", _) => self.times[stage].sum_ms = value,
                    ("bucket", Ok(bucket)) if bucket <= BUCKETS.len() => self.times[stage].counts[bucket] = value,
                    _ => {}
                }
            }
        }
    }
}

fn waiting(connection: &Connection) -> Result<Vec<Waiting>> {
    // By `state != 'ended'` the index of open jobs is taken, which stays small.
    let sql = "SELECT agent, count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'running'),
                      min(created_ms) FILTER (WHERE state = 'queued')
               FROM jobs WHERE state != 'ended' GROUP BY agent";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let agent: Option<String> = row.get(0)?;
        Ok(Waiting {
            agent: agent.and_then(|name| name.parse().ok()),
            queued: row.get(1)?,
            running: row.get(2)?,
            oldest_queued_ms: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn costs(connection: &Connection) -> Result<Vec<Cost>> {
    let sql = "SELECT agent, engine, calls, spent, input_tokens, output_tokens FROM costs ORDER BY agent, engine";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(Cost {
            // `''` is no name of an agent.
            agent: row.get::<_, String>(0)?.parse().ok(),
            engine: row.get(1)?,
            calls: row.get(2)?,
            spent: Usd::from_micros(row.get(3)?),
            input_tokens: row.get(4)?,
            output_tokens: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Counts a job that has just ended.
pub(super) fn ended(transaction: &Transaction<'_>, id: &str, outcome: Outcome, review: Option<&Review>) -> Result<()> {
    type Row = (Option<String>, i64, Option<i64>, i64);
    let (agent, created, started, ended): Row = transaction
        .prepare_cached("SELECT agent, created_ms, started_ms, ended_ms FROM jobs WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let agent = agent.unwrap_or_default();
    add(transaction, &agent, "jobs", outcome.as_str(), 1)?;
    if let Some(started) = started {
        took(transaction, Stage::Wait, started - created)?;
        took(transaction, Stage::Work, ended - started)?;
    }
    let Some(review) = review else { return Ok(()) };
    let receipt = &review.receipt;
    if let Some(engine) = receipt.engine_ms {
        took(transaction, Stage::Engine, i64::try_from(engine).unwrap_or(i64::MAX))?;
    }
    for severity in Severity::ALL {
        let number = review.findings.iter().filter(|finding| finding.severity == severity).count();
        add(transaction, &agent, "findings", severity.as_str(), number)?;
    }
    add(transaction, "", "fate", "dismissed", receipt.dismissed)?;
    add(transaction, "", "fate", "fixed", receipt.fixed)?;
    let is = |wanted: &str| receipt.files.iter().filter(|file| coverage(&file.coverage) == wanted).count();
    for label in COVERAGES {
        add(transaction, "", "files", label, is(label))?;
    }
    Ok(())
}

/// Counts what an engine says of itself.
pub(super) fn progressed(transaction: &Transaction<'_>, progress: &Progress) -> Result<()> {
    match progress {
        Progress::Waiting { .. } => add(transaction, "", "retries", "", 1),
        _ => Ok(()),
    }
}

pub const COVERAGES: [&str; 4] = ["seen", "known", "excluded", "missed"];

fn coverage(coverage: &Coverage) -> &'static str {
    match coverage {
        Coverage::Seen => "seen",
        Coverage::Known { .. } => "known",
        Coverage::Excluded { .. } => "excluded",
        Coverage::Missed { .. } => "missed",
    }
}

/// A clock that was set back makes no time negative.
fn took(transaction: &Transaction<'_>, stage: Stage, ms: i64) -> Result<()> {
    let ms = usize::try_from(ms.max(0)).unwrap_or(usize::MAX);
    let bucket = BUCKETS.iter().position(|bound| ms as u64 <= bound * 1000).unwrap_or(BUCKETS.len());
    add(transaction, "", &format!("{}_bucket", stage.as_str()), &bucket.to_string(), 1)?;
    add(transaction, "", &format!("{}_sum", stage.as_str()), "", ms)
}

fn add(transaction: &Transaction<'_>, agent: &str, name: &str, label: &str, number: usize) -> Result<()> {
    if number > 0 {
        transaction
            .prepare_cached(
                "INSERT INTO totals (agent, name, label, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET value = value + excluded.value",
            )?
            .execute(params![agent, name, label, i64::try_from(number).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Happening, ReviewRequest};
    use crate::report::sample;
    use crate::store::{Ask, now_ms};

    #[tokio::test]
    async fn what_has_ended_stays_counted_when_it_is_pruned() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let shop: AgentName = "shop".parse().unwrap();
        for agent in [Some(shop.clone()), Some(shop.clone()), None] {
            let request = ReviewRequest { range: Some("a..b".into()), ..Default::default() };
            store.accept(Ask { agent: agent.clone(), request, ..Ask::default() }).await.unwrap();
            let job = store.claim(agent).await.unwrap().unwrap();
            let progress = Progress::Waiting { reason: "busy".into(), retry_ms: 5 };
            store.append(&job.id, Happening::Engine { progress }).await.unwrap();
            store.finish(&job.id, sample::typical()).await.unwrap();
            // A job ends once.
            store.finish(&job.id, sample::typical()).await.unwrap();
        }
        let review = sample::typical();
        let totals = store.totals().await.unwrap();
        let mut jobs = totals.jobs.clone();
        jobs.sort_by_key(|(agent, _, _)| agent.clone());
        assert_eq!(jobs, [(None, review.outcome, 1), (Some(shop), review.outcome, 2)]);
        let findings: u64 = totals.findings.iter().map(|(_, _, number)| number).sum();
        assert_eq!(findings as usize, 3 * review.findings.len());
        let files: u64 = totals.files.iter().map(|(_, number)| number).sum();
        assert_eq!((files as usize, totals.retries), (3 * review.receipt.files.len(), 3));
        for stage in [Stage::Wait, Stage::Work] {
            assert_eq!(totals.times[stage as usize].counts.iter().sum::<u64>(), 3, "{stage:?}");
        }
        let pruned = store.prune(now_ms() + 3_600_000, 1, false).await.unwrap();
        assert_eq!(pruned.jobs, 3);
        assert_eq!(store.totals().await.unwrap(), totals);
    }
}
