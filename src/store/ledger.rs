//! The rows of the findings ledger. What they mean is decided in `review::ledger`; here they are kept. Reviews, the
//! runner's and those of the command line, and `cicdctl finding` write at the same time: a state is only changed by who
//! has seen the present one.

use anyhow::{Context, Result};
use rusqlite::types::Type;
use rusqlite::{Connection, Row as SqlRow, params};
use serde::de::DeserializeOwned;

use super::{Store, begin};
use crate::review::ledger::{Dismissal, Entry, Heard, Known, Row, State};

const COLUMNS: &str = "project, pull, fingerprint, latest, state, finding, lines, engine, first, last, fixed_head, \
                       dismissal, heard_reply, heard_resolved";

/// Which rows are meant; what is absent does not narrow it down.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `owner/name`, or paths.
    pub projects: Option<Vec<String>>,
    pub pull: Option<u64>,
    pub state: Option<State>,
}

impl Store {
    /// What is remembered of a pull request (0: of none) of the first of `projects`; what was dismissed in others holds
    /// for all of them.
    pub async fn known_findings(&self, projects: Vec<String>, pull: u64) -> Result<Known> {
        self.run(move |connection| {
            let own = projects.first().cloned().unwrap_or_default();
            let sql = format!("SELECT {COLUMNS} FROM findings WHERE project = ?1 AND pull = ?2 ORDER BY fingerprint");
            let mut known = Known { rows: rows(connection, &sql, params![own, pull])?, elsewhere: Vec::new() };
            let sql = format!(
                "SELECT {COLUMNS} FROM findings WHERE project = ?1 AND state = 'dismissed'
                 ORDER BY pull, fingerprint"
            );
            for project in &projects {
                let dismissed = rows(connection, &sql, params![project])?;
                known.elsewhere.extend(dismissed.into_iter().filter(|row| (&row.project, row.pull) != (&own, pull)));
            }
            Ok(known)
        })
        .await
        .context("could not read the findings ledger")
    }

    /// Writes what a review has made of the rows. Where somebody has changed the state of one meanwhile, that stands.
    pub async fn record_findings(&self, entries: Vec<Entry>) -> Result<()> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            for Entry { row, was } in &entries {
                let Row {
                    project,
                    pull,
                    fingerprint,
                    latest,
                    state,
                    finding,
                    lines,
                    engine,
                    first,
                    last,
                    fixed_head,
                    dismissal,
                    heard: Heard { reply, resolved },
                } = row;
                transaction
                    .prepare_cached(&format!(
                        "INSERT INTO findings ({COLUMNS})
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                         ON CONFLICT DO UPDATE SET
                         latest = ?4, finding = ?6, lines = ?7, engine = ?8, last = ?10,
                         heard_reply = max(heard_reply, ?13), heard_resolved = ?14,
                         state = iif(state IS ?15, ?5, state),
                         fixed_head = iif(state IS ?15, ?11, fixed_head),
                         dismissal = iif(state IS ?15, ?12, dismissal)"
                    ))?
                    .execute(params![
                        project,
                        pull,
                        fingerprint,
                        latest,
                        state.as_str(),
                        serde_json::to_string(finding)?,
                        serde_json::to_string(lines)?,
                        engine,
                        serde_json::to_string(first)?,
                        serde_json::to_string(last)?,
                        fixed_head,
                        dismissal.as_ref().map(serde_json::to_string).transpose()?,
                        reply,
                        resolved,
                        was.map(State::as_str),
                    ])?;
            }
            Ok(transaction.commit()?)
        })
        .await
        .context("could not write the findings ledger")
    }

    /// By project and pull request.
    pub async fn findings(&self, wanted: Wanted) -> Result<Vec<Row>> {
        self.run(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM findings ORDER BY project, pull, fingerprint");
            let mut all = rows(connection, &sql, [])?;
            all.retain(|row| wanted.includes(row));
            Ok(all)
        })
        .await
        .context("could not read the findings ledger")
    }

    /// Dismisses the findings of these names, or those that are reported under them by now, wherever `wanted` has them;
    /// without a dismissal it opens again what was dismissed. Hands back the rows that have changed, as they are now.
    pub async fn settle_findings(
        &self,
        names: Vec<String>,
        wanted: Wanted,
        dismissal: Option<Dismissal>,
    ) -> Result<Vec<Row>> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let sql = format!(
                "SELECT {COLUMNS} FROM findings WHERE fingerprint = ?1 OR latest = ?1 ORDER BY project, pull, fingerprint"
            );
            let (to, text) = match &dismissal {
                Some(dismissal) => (State::Dismissed, Some(serde_json::to_string(dismissal)?)),
                None => (State::Open, None),
            };
            let mut changed = Vec::new();
            for name in &names {
                for mut row in rows(&transaction, &sql, params![name])? {
                    let was_dismissed = row.state == State::Dismissed;
                    if !wanted.includes(&row) || was_dismissed == dismissal.is_some() {
                        continue;
                    }
                    transaction.execute(
                        "UPDATE findings SET state = ?4, dismissal = ?5, fixed_head = NULL
                         WHERE project = ?1 AND pull = ?2 AND fingerprint = ?3",
                        params![row.project, row.pull, row.fingerprint, to.as_str(), text],
                    )?;
                    (row.state, row.dismissal, row.fixed_head) = (to, dismissal.clone(), None);
                    changed.push(row);
                }
            }
            transaction.commit()?;
            Ok(changed)
        })
        .await
        .context("could not write the findings ledger")
    }
}

impl Wanted {
    fn includes(&self, row: &Row) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(&row.project))
            && self.pull.is_none_or(|pull| pull == row.pull)
            && self.state.is_none_or(|state| state == row.state)
    }
}

fn rows(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Row>> {
    Ok(connection.prepare_cached(sql)?.query_map(params, row)?.collect::<rusqlite::Result<_>>()?)
}

fn row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    let state: String = row.get(4)?;
    let state = state.parse().map_err(|error: String| unreadable(4, error.into()))?;
    let dismissal: Option<String> = row.get(11)?;
    let dismissal = dismissal.map(|text| serde_json::from_str(&text).map_err(|error| unreadable(11, error.into())));
    Ok(Row {
        project: row.get(0)?,
        pull: row.get(1)?,
        fingerprint: row.get(2)?,
        latest: row.get(3)?,
        state,
        finding: json(row, 5)?,
        lines: json(row, 6)?,
        engine: row.get(7)?,
        first: json(row, 8)?,
        last: json(row, 9)?,
        fixed_head: row.get(10)?,
        dismissal: dismissal.transpose()?,
        heard: Heard { reply: row.get(12)?, resolved: row.get(13)? },
    })
}

fn json<T: DeserializeOwned>(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|error| unreadable(column, error.into()))
}

fn unreadable(column: usize, error: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::ledger::sample;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        (dir, store)
    }

    fn dismissal() -> Dismissal {
        Dismissal { by: "mary".into(), why: Some("no".into()), at_ms: 7 }
    }

    fn entry(row: &Row, was: Option<State>) -> Entry {
        Entry { row: row.clone(), was }
    }

    async fn only(store: &Store) -> Row {
        let mut all = store.findings(Wanted::default()).await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[tokio::test]
    async fn a_row_comes_back_as_it_was() {
        let (_dir, store) = store();
        let mut row = sample::row("acme/shop", 42, "aa");
        store.record_findings(vec![entry(&row, None)]).await.unwrap();
        assert_eq!(only(&store).await, row);
        (row.state, row.fixed_head, row.heard) =
            (State::Fixed, Some("f".repeat(40)), Heard { reply: u64::from(u32::MAX) + 1, resolved: true });
        row.finding.title = "in other words".into();
        store.record_findings(vec![entry(&row, Some(State::Open))]).await.unwrap();
        assert_eq!(only(&store).await, row);
    }

    #[tokio::test]
    async fn a_state_that_somebody_has_changed_meanwhile_stands() {
        let (_dir, store) = store();
        let row = sample::row("acme/shop", 42, "aa");
        store.record_findings(vec![entry(&row, None)]).await.unwrap();
        let changed = store.settle_findings(vec!["aa".into()], Wanted::default(), Some(dismissal())).await.unwrap();
        assert_eq!((changed.len(), changed[0].state), (1, State::Dismissed));

        let fixed = Row { state: State::Fixed, fixed_head: Some("f".into()), engine: "other".into(), ..row.clone() };
        store.record_findings(vec![entry(&fixed, Some(State::Open)), entry(&row, None)]).await.unwrap();
        let now = only(&store).await;
        assert_eq!((now.state, now.dismissal, now.fixed_head), (State::Dismissed, Some(dismissal()), None));
    }

    #[tokio::test]
    async fn what_is_dismissed_in_other_pulls_and_by_other_names_of_the_project_is_known() {
        let (_dir, store) = store();
        let all = [("acme/shop", 42), ("acme/shop", 7), ("/src/shop", 0), ("acme/other", 1)];
        let rows: Vec<Row> = all.iter().map(|(project, pull)| sample::row(project, *pull, "aa")).collect();
        store.record_findings(rows.iter().map(|row| entry(row, None)).collect()).await.unwrap();
        let known = |projects: &[&str], pull| {
            let projects = projects.iter().map(|project| (*project).to_owned()).collect();
            let store = store.clone();
            async move {
                let Known { rows, elsewhere } = store.known_findings(projects, pull).await.unwrap();
                let name = |row: Row| (row.project, row.pull);
                let [rows, elsewhere] = [rows, elsewhere].map(|rows| rows.into_iter().map(name).collect::<Vec<_>>());
                (rows, elsewhere)
            }
        };
        let named = |all: &[(&str, u64)]| all.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect::<Vec<_>>();
        assert_eq!(known(&["acme/shop"], 42).await, (named(&[("acme/shop", 42)]), vec![]));
        let wanted = Wanted { pull: Some(7), ..Wanted::default() };
        store.settle_findings(vec!["aa".into()], wanted, Some(dismissal())).await.unwrap();
        assert_eq!(known(&["acme/shop"], 42).await, (named(&[("acme/shop", 42)]), named(&[("acme/shop", 7)])));
        assert_eq!(known(&["acme/shop"], 7).await, (named(&[("acme/shop", 7)]), vec![]));
        let local = known(&["/src/shop", "acme/shop"], 0).await;
        assert_eq!(local, (named(&[("/src/shop", 0)]), named(&[("acme/shop", 7)])));
    }

    #[tokio::test]
    async fn a_dismissal_is_taken_back_wherever_the_finding_is_known() {
        let (_dir, store) = store();
        let renamed = Row { latest: "bb".into(), ..sample::row("acme/shop", 7, "aa") };
        let rows = [renamed, sample::row("acme/shop", 42, "bb"), sample::row("acme/shop", 42, "cc")];
        store.record_findings(rows.iter().map(|row| entry(row, None)).collect()).await.unwrap();
        let settle = |names: &[&str], dismissal| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let store = store.clone();
            async move { store.settle_findings(names, Wanted::default(), dismissal).await.unwrap().len() }
        };
        assert_eq!(settle(&["bb"], None).await, 0);
        assert_eq!(settle(&["bb", "aa"], Some(dismissal())).await, 2);
        assert_eq!(settle(&["bb"], Some(dismissal())).await, 0);
        assert_eq!(settle(&["bb"], None).await, 2);
        let all = store.findings(Wanted::default()).await.unwrap();
        assert!(all.iter().all(|row| row.state == State::Open && row.dismissal.is_none()));
    }
}
