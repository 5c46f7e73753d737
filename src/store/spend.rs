//! What engines cost, and what is set aside for those that are at work. The runner, the agents and the command line
//! share the file, so a reservation is one transaction that has the write lock from its beginning: two processes never
//! find the same money.
//!
//! A call counts with all that is held for it until its price is known. If nobody was left to tell the price, because a
//! process was killed, it may have been paid all the same: it stays at that amount, and no longer counts as under way
//! once its job is begun again or its engine's deadline is over.

use std::collections::HashMap;

use anyhow::{Context, Result};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use super::{Store, begin};
use crate::agent::AgentName;
use crate::money::{Balance, Grant, Scope, Usd, grant};

/// Whom a call is for; each is a sum that may have a cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payer {
    /// `acme/shop` in lower case, or a path.
    pub project: String,
    /// `acme/shop#42`
    pub pull: Option<String>,
    pub agent: Option<AgentName>,
}

/// Caps as they are now, and when the present day and month began, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    pub caps: Vec<(Scope, Usd)>,
    pub day_ms: i64,
    pub month_ms: i64,
}

/// A call that is about to be made.
#[derive(Debug, Clone)]
pub struct Call {
    pub job: String,
    pub engine: String,
    pub payer: Payer,
    pub wanted: Usd,
    /// With less it is not worth beginning.
    pub least: Usd,
    /// How far one answer of the engine's API may take it beyond its budget. What was seen of this engine counts where
    /// it is more.
    pub overshoot: Usd,
    /// Milliseconds since 1970; its engine has ended by `until_ms`.
    pub at_ms: i64,
    pub until_ms: i64,
}

/// What became of a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// To be settled by this number.
    Granted {
        id: i64,
        amount: Usd,
        held: Usd,
        cut_by: Option<Balance>,
    },
    Refused {
        cap: Balance,
        settles: bool,
    },
}

/// What a call has really cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// Not known where it is absent: then all that was held counts.
    pub cost: Option<Usd>,
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

/// A call as the store remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    pub job: String,
    pub payer: Payer,
    pub engine: String,
    pub at_ms: i64,
    /// What counts where it has ended.
    pub spent: Option<Usd>,
    pub held: Usd,
    /// The engine said so.
    pub priced: bool,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

impl Store {
    /// Sets money aside for a call, as much as the narrowest cap has left. What is still held for an earlier call of
    /// the same job is spent from now on.
    pub async fn reserve(&self, call: Call, caps: Caps) -> Result<Reserved> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            transaction
                .prepare_cached("UPDATE spend SET spent = held WHERE spent IS NULL AND job = ?1")?
                .execute([&call.job])?;
            transaction
                .prepare_cached("UPDATE spend SET spent = held WHERE spent IS NULL AND until_ms < ?1")?
                .execute([call.at_ms])?;
            let balances = balances(&transaction, &call.payer, &caps)?;
            let reserved = match grant(call.wanted, call.least, &balances) {
                Grant::Refused { cap, settles } => Reserved::Refused { cap, settles },
                Grant::Granted { amount, cut_by } => {
                    let held = amount + call.overshoot.max(seen_overshoot(&transaction, &call.engine, caps.month_ms)?);
                    let Payer { project, pull, agent } = &call.payer;
                    transaction
                        .prepare_cached(
                            "INSERT INTO spend (job, agent, project, pull, engine, at_ms, until_ms, reserved, held)
                             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                        )?
                        .execute(params![
                            call.job,
                            agent.as_ref().map(AgentName::as_str),
                            project,
                            pull,
                            call.engine,
                            call.at_ms,
                            call.until_ms,
                            amount.micros(),
                            held.micros(),
                        ])?;
                    Reserved::Granted { id: transaction.last_insert_rowid(), amount, held, cut_by }
                }
            };
            transaction.commit()?;
            Ok(reserved)
        })
        .await
        .context("could not reserve what the review may cost")
    }

    /// Ends a reservation. A price that comes late is better than none, and nothing changes one that is known.
    pub async fn settle(&self, id: i64, price: Price) -> Result<()> {
        self.run(move |connection| {
            let Price { cost, input_tokens, output_tokens } = price;
            connection
                .prepare_cached(
                    "UPDATE spend SET spent = coalesce(?2, held), priced = ?2 IS NOT NULL,
                     input_tokens = ?3, output_tokens = ?4
                     WHERE id = ?1 AND priced = 0",
                )?
                .execute(params![id, cost.map(Usd::micros), input_tokens, output_tokens])?;
            Ok(())
        })
        .await
        .context("could not write down what the review cost")
    }

    /// How the caps of a payer stand.
    pub async fn balances(&self, payer: Payer, caps: Caps) -> Result<Vec<Balance>> {
        self.run(move |connection| balances(connection, &payer, &caps)).await
    }

    /// What each agent has spent and holds, today and this month ([`Scope::AgentDay`], [`Scope::AgentMonth`]).
    pub async fn agents_spending(&self, day_ms: i64, month_ms: i64) -> Result<HashMap<(AgentName, Scope), (Usd, Usd)>> {
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT agent, coalesce(sum(spent), 0), coalesce(sum(held) FILTER (WHERE spent IS NULL), 0)
                 FROM spend WHERE at_ms >= ?1 AND agent IS NOT NULL GROUP BY agent",
            )?;
            let mut found = HashMap::new();
            for (scope, since_ms) in [(Scope::AgentDay, day_ms), (Scope::AgentMonth, month_ms)] {
                let mut rows = statement.query([since_ms])?;
                while let Some(row) = rows.next()? {
                    if let Ok(agent) = row.get::<_, String>(0)?.parse() {
                        let (spent, held) = (row.get(1)?, row.get(2)?);
                        found.insert((agent, scope), (Usd::from_micros(spent), Usd::from_micros(held)));
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    /// All calls since then (milliseconds since 1970), oldest first. One whose deadline was over at `now_ms` is no
    /// longer under way.
    pub async fn spending(&self, since_ms: i64, now_ms: i64) -> Result<Vec<Spending>> {
        self.run(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT job, agent, project, pull, engine, at_ms,
                 CASE WHEN spent IS NULL AND until_ms < ?2 THEN held ELSE spent END, held, priced,
                 coalesce(input_tokens, 0), coalesce(output_tokens, 0)
                 FROM spend WHERE at_ms >= ?1 ORDER BY at_ms, id",
            )?;
            let rows = statement.query_map(params![since_ms, now_ms], |row| {
                let agent: Option<String> = row.get(1)?;
                Ok(Spending {
                    job: row.get(0)?,
                    payer: Payer {
                        // Written by us, so it is a name.
                        agent: agent.and_then(|name| name.parse().ok()),
                        project: row.get(2)?,
                        pull: row.get(3)?,
                    },
                    engine: row.get(4)?,
                    at_ms: row.get(5)?,
                    spent: row.get::<_, Option<u64>>(6)?.map(Usd::from_micros),
                    held: Usd::from_micros(row.get(7)?),
                    priced: row.get(8)?,
                    input_tokens: row.get(9)?,
                    output_tokens: row.get(10)?,
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

/// A clock that was set back gives no money again: what lies in the future counts as today's.
fn balances(connection: &Connection, payer: &Payer, caps: &Caps) -> Result<Vec<Balance>> {
    let Payer { project, pull, agent } = payer;
    let agent = || Value::from(agent.as_ref().map(|name| name.as_str().to_owned()));
    let mut found = Vec::new();
    for (scope, cap) in &caps.caps {
        let (condition, values) = match scope {
            Scope::Pull => match pull {
                Some(pull) => ("pull = ?1 AND pull IS NOT NULL", vec![Value::from(pull.clone())]),
                None => continue,
            },
            Scope::Project => ("at_ms >= ?1 AND project = ?2", vec![caps.month_ms.into(), project.clone().into()]),
            Scope::Month => ("at_ms >= ?1", vec![caps.month_ms.into()]),
            Scope::Day => ("at_ms >= ?1", vec![caps.day_ms.into()]),
            Scope::AgentMonth => ("at_ms >= ?1 AND agent IS ?2", vec![caps.month_ms.into(), agent()]),
            Scope::AgentDay => ("at_ms >= ?1 AND agent IS ?2", vec![caps.day_ms.into(), agent()]),
        };
        let sql = format!(
            "SELECT coalesce(sum(spent), 0), coalesce(sum(held) FILTER (WHERE spent IS NULL), 0)
             FROM spend WHERE {condition}"
        );
        let (spent, held) = connection
            .prepare_cached(&sql)?
            .query_row(params_from_iter(values), |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))?;
        found.push(Balance { scope: *scope, cap: *cap, spent: Usd::from_micros(spent), held: Usd::from_micros(held) });
    }
    Ok(found)
}

/// The most by which a call of this engine has passed its budget since then.
fn seen_overshoot(connection: &Connection, engine: &str, since_ms: i64) -> Result<Usd> {
    let most: u64 = connection
        .prepare_cached(
            "SELECT coalesce(max(spent - reserved), 0) FROM spend
             WHERE at_ms >= ?1 AND engine = ?2 AND priced = 1 AND spent > reserved",
        )?
        .query_row(params![since_ms, engine], |row| row.get(0))?;
    Ok(Usd::from_micros(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Cost;

    const NOON: i64 = 1_000_000_000;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        (dir, store)
    }

    fn caps(caps: &[(Scope, u64)]) -> Caps {
        let caps = caps.iter().map(|(scope, cents)| (*scope, Usd::cents(*cents))).collect();
        Caps { caps, day_ms: NOON - 1000, month_ms: NOON - 10_000 }
    }

    fn call(job: &str, pull: u64, cents: u64) -> Call {
        Call {
            job: job.to_owned(),
            engine: "claude".into(),
            payer: Payer { project: "acme/shop".into(), pull: Some(format!("acme/shop#{pull}")), agent: None },
            wanted: Usd::cents(cents),
            least: Usd::cents(10),
            overshoot: Usd::cents(25),
            at_ms: NOON,
            until_ms: NOON + 1000,
        }
    }

    async fn granted(store: &Store, call: Call, caps: &Caps) -> (i64, Usd) {
        match store.reserve(call, caps.clone()).await.unwrap() {
            Reserved::Granted { id, amount, .. } => (id, amount),
            refused => panic!("{refused:?}"),
        }
    }

    fn cost(cents: u64) -> Price {
        Price { cost: Some(Usd::cents(cents)), ..Price::default() }
    }

    fn sums(balances: &[Balance]) -> Vec<(Scope, u64, u64)> {
        balances.iter().map(|one| (one.scope, one.spent.micros() / 10_000, one.held.micros() / 10_000)).collect()
    }

    #[tokio::test]
    async fn a_reservation_counts_in_full_until_its_price_is_known() {
        let (_dir, store) = store();
        let caps = caps(&[(Scope::Pull, 1000), (Scope::Day, 500)]);
        let (id, amount) = granted(&store, call("a", 1, 200), &caps).await;
        assert_eq!(amount, Usd::cents(200));
        let stands = async |pull| sums(&store.balances(call("", pull, 0).payer, caps.clone()).await.unwrap());
        assert_eq!(stands(1).await, [(Scope::Pull, 0, 225), (Scope::Day, 0, 225)]);
        assert_eq!(stands(2).await, [(Scope::Pull, 0, 0), (Scope::Day, 0, 225)]);
        store.settle(id, cost(30)).await.unwrap();
        assert_eq!(stands(1).await, [(Scope::Pull, 30, 0), (Scope::Day, 30, 0)]);
        // Nothing changes a known price, and of an unknown one all counts that was held.
        store.settle(id, Price::default()).await.unwrap();
        assert_eq!(stands(1).await, [(Scope::Pull, 30, 0), (Scope::Day, 30, 0)]);
        let (id, _) = granted(&store, call("b", 1, 200), &caps).await;
        store.settle(id, Price { input_tokens: Some(7), ..Price::default() }).await.unwrap();
        assert_eq!(stands(1).await, [(Scope::Pull, 255, 0), (Scope::Day, 255, 0)]);
        let all = store.spending(0, NOON).await.unwrap();
        let shown: Vec<_> = all.iter().map(|one| (one.job.as_str(), one.priced, one.input_tokens)).collect();
        assert_eq!(shown, [("a", true, 0), ("b", false, 7)]);
        // A price that comes late is better than none.
        store.settle(id, cost(40)).await.unwrap();
        assert_eq!(stands(1).await, [(Scope::Pull, 70, 0), (Scope::Day, 70, 0)]);
    }

    #[tokio::test]
    async fn what_a_crash_left_is_spent_when_its_job_is_begun_again_or_its_deadline_is_over() {
        let (dir, store) = store();
        let caps = caps(&[(Scope::Day, 1000)]);
        granted(&store, call("crashed", 1, 200), &caps).await;
        let (id, _) = granted(&store, call("crashed", 1, 200), &caps).await;
        let stands = async || sums(&store.balances(call("", 1, 0).payer, caps.clone()).await.unwrap());
        assert_eq!(stands().await, [(Scope::Day, 225, 225)]);
        store.settle(id, cost(50)).await.unwrap();
        assert_eq!(stands().await, [(Scope::Day, 275, 0)]);

        granted(&store, call("gone", 1, 100), &caps).await;
        assert_eq!(stands().await, [(Scope::Day, 275, 125)]);
        let late = Call { at_ms: NOON + 1001, ..call("other", 2, 100) };
        let (late, _) = granted(&store, late, &caps).await;
        store.settle(late, cost(0)).await.unwrap();
        assert_eq!(stands().await, [(Scope::Day, 400, 0)]);
        let all = store.spending(NOON, NOON).await.unwrap();
        assert_eq!(all.iter().filter(|one| one.spent.is_none()).count(), 0);

        // All of it is counted, also in a store that did not count yet.
        let total = async |store: &Store| {
            let Cost { calls, spent, .. } = store.totals().await.unwrap().costs.remove(0);
            (calls, spent)
        };
        assert_eq!(total(&store).await, (4, Usd::cents(400)));
        let back = "DROP TABLE costs; DROP TRIGGER costs_counted; DROP TABLE credentials; PRAGMA user_version = 10";
        store.run(move |connection| Ok(connection.execute_batch(back)?)).await.unwrap();
        drop(store);
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        assert_eq!(total(&store).await, (4, Usd::cents(400)));
        let stands = async || sums(&store.balances(call("", 1, 0).payer, caps.clone()).await.unwrap());
        // A price that comes late counts for the caps in place of what was held; a counter never goes down.
        store
            .settle(id - 1, Price { cost: Some(Usd::cents(5)), input_tokens: Some(3), ..Price::default() })
            .await
            .unwrap();
        assert_eq!(stands().await, [(Scope::Day, 180, 0)]);
        assert_eq!(total(&store).await, (4, Usd::cents(400)));
    }

    #[tokio::test]
    async fn a_refusal_names_the_cap_and_writes_nothing() {
        let (_dir, store) = store();
        let caps = caps(&[(Scope::Pull, 300), (Scope::Day, 10_000)]);
        let (id, _) = granted(&store, call("a", 1, 280), &caps).await;
        let refused = store.reserve(call("b", 1, 200), caps.clone()).await.unwrap();
        let cap = Balance { scope: Scope::Pull, cap: Usd::cents(300), spent: Usd::ZERO, held: Usd::cents(305) };
        assert_eq!(refused, Reserved::Refused { cap, settles: true });
        store.settle(id, cost(295)).await.unwrap();
        let refused = store.reserve(call("b", 1, 200), caps.clone()).await.unwrap();
        let cap = Balance { spent: Usd::cents(295), held: Usd::ZERO, ..cap };
        assert_eq!(refused, Reserved::Refused { cap, settles: false });
        assert_eq!(store.spending(0, NOON).await.unwrap().len(), 1);
        granted(&store, call("b", 2, 200), &caps).await;
    }

    #[tokio::test]
    async fn days_months_projects_and_agents_are_sums_of_their_own() {
        let (_dir, store) = store();
        let all = caps(&[
            (Scope::Pull, 10_000),
            (Scope::Project, 10_000),
            (Scope::Month, 10_000),
            (Scope::AgentMonth, 10_000),
            (Scope::Day, 10_000),
            (Scope::AgentDay, 10_000),
        ]);
        let agent = |name: &str| Some(name.parse::<AgentName>().unwrap());
        let mut calls = [call("a", 1, 100), call("b", 1, 100), call("c", 2, 100), call("d", 1, 100)];
        calls[0].at_ms = NOON - 20_000;
        calls[1].at_ms = NOON - 5000;
        calls[2].payer.agent = agent("shop");
        calls[3].payer = Payer { project: "/home/a/web".into(), pull: None, agent: agent("web") };
        for (number, call) in calls.into_iter().enumerate() {
            let (id, _) = granted(&store, call, &all).await;
            store.settle(id, cost(1 << number)).await.unwrap();
        }
        let stands = async |payer: Payer| {
            let found = store.balances(payer, all.clone()).await.unwrap();
            found.iter().map(|one| (one.scope, one.spent.micros() / 10_000)).collect::<Vec<_>>()
        };
        let shop = Payer { agent: agent("shop"), ..call("", 1, 0).payer };
        assert_eq!(
            stands(shop).await,
            [
                (Scope::Pull, 1 + 2),
                (Scope::Project, 2 + 4),
                (Scope::Month, 2 + 4 + 8),
                (Scope::AgentMonth, 4),
                (Scope::Day, 4 + 8),
                (Scope::AgentDay, 4)
            ]
        );
        let agents = store.agents_spending(all.day_ms, all.month_ms).await.unwrap();
        let spent = |name, scope| agents.get(&(agent(name).unwrap(), scope)).copied();
        assert_eq!(spent("shop", Scope::AgentDay), Some((Usd::cents(4), Usd::ZERO)));
        assert_eq!((spent("web", Scope::AgentMonth), agents.len()), (Some((Usd::cents(8), Usd::ZERO)), 4));
        let local = Payer { project: "/home/a/web".into(), pull: None, agent: None };
        let found = stands(local).await;
        assert_eq!(found[0], (Scope::Project, 8), "without a pull request there is no cap of one");
        assert_eq!(found[2], (Scope::AgentMonth, 2), "nobody's agent is one, too");
    }

    #[tokio::test]
    async fn an_overshoot_that_was_seen_is_set_aside_from_then_on() {
        let (_dir, store) = store();
        let caps = caps(&[(Scope::Day, 10_000)]);
        let (id, _) = granted(&store, call("a", 1, 100), &caps).await;
        store.settle(id, cost(190)).await.unwrap();
        granted(&store, call("b", 1, 100), &caps).await;
        let stands = sums(&store.balances(call("", 1, 0).payer, caps.clone()).await.unwrap());
        assert_eq!(stands, [(Scope::Day, 190, 190)]);
    }

    /// Each store has a connection and a thread of its own, as processes have.
    #[tokio::test]
    async fn eight_connections_never_find_the_same_money() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let caps = caps(&[(Scope::Day, 1000)]);
        Store::open(&path).unwrap();
        let mut all = tokio::task::JoinSet::new();
        for number in 0..8u64 {
            let (store, caps) = (Store::open(&path).unwrap(), caps.clone());
            all.spawn(async move {
                let mut granted = 0;
                for turn in 0..10 {
                    let job = format!("{number}-{turn}");
                    if let Reserved::Granted { amount, .. } =
                        store.reserve(call(&job, number, 70), caps.clone()).await.unwrap()
                    {
                        granted += amount.micros();
                    }
                }
                granted
            });
        }
        let granted: u64 = all.join_all().await.into_iter().sum();
        // Ten fit with their overshoot; the eleventh gets the rest, which is less.
        assert_eq!(granted, Usd::cents(10 * 70 + 50).micros());
        let store = Store::open(&path).unwrap();
        let stands = sums(&store.balances(call("", 1, 0).payer, caps).await.unwrap());
        assert_eq!(stands, [(Scope::Day, 0, 10 * 95 + 75)]);
    }

    #[tokio::test]
    async fn a_pull_request_is_found_by_its_index() {
        let (_dir, store) = store();
        let plan: String = store
            .run(|connection| {
                let sql = "EXPLAIN QUERY PLAN SELECT sum(spent) FROM spend WHERE pull = ?1 AND pull IS NOT NULL";
                Ok(connection.query_row(sql, ["x"], |row| row.get(3))?)
            })
            .await
            .unwrap();
        assert!(plan.contains("INDEX spend_pull"), "{plan}");
    }
}
