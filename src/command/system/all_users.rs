//! `cicdctl status --all-users`: a line for each user who has a runner.

use std::time::Duration;

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{as_user, record, require_root, users_with_a_runner};
use crate::error::Exit;
use crate::host::Host;
use crate::install::Manifest;
use crate::plain;

/// How long one user's answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One user, as `--json` has it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    user: String,
    /// What `cicdctl status --json` of that user prints; absent where it could not be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub async fn run(host: &Host) -> Result<Exit> {
    require_root(host, "sees the runners of all users")?;
    let manifest = Manifest::load(&record())?.unwrap_or_default();
    let users = users_with_a_runner(&manifest)?;
    let rows = futures_util::future::join_all(users.into_iter().map(|user| look(host, user.name))).await;
    if host.ui.json {
        host.ui.data_json(&rows)?;
    } else if rows.is_empty() {
        host.ui.say("No user has a runner yet. `cicdctl init --system --users NAME,…` sets some up");
    } else {
        host.ui.data(&table(&rows))?;
    }
    Ok(if rows.iter().any(|row| row.error.is_some()) { Exit::Failed } else { Exit::Done })
}

async fn look(host: &Host, user: String) -> Row {
    let asked = async {
        let output = as_user(&host.program, &user, &["status", "--json", "--quiet"], PATIENCE).await?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let said = plain::one_line(&String::from_utf8_lossy(&output.stderr), 300);
            if said.is_empty() { "it printed no status".to_owned() } else { said }
        })
    };
    match asked.await {
        Ok(status) => Row { user, status: Some(status), error: None },
        // What is wrong with the JSON that it did not print is of no use to anybody.
        Err(error) => Row { user, status: None, error: Some(error.to_string()) },
    }
}

fn table(rows: &[Row]) -> String {
    // What a process of theirs has printed goes to root's terminal.
    let text = |value: Option<&Value>, or: &str| plain::visible(value.and_then(Value::as_str).unwrap_or(or));
    let number = |status: &Value, at: &str| status.pointer(at).and_then(Value::as_u64).unwrap_or(0);
    let mut lines = vec![["USER", "RUNNER", "AGENTS", "QUEUED", "RUNNING", "LAST HOUR", "TROUBLE"].map(str::to_owned)];
    for row in rows {
        let user = plain::visible(&row.user);
        let Some(status) = &row.status else {
            let error = row.error.as_deref().unwrap_or_default();
            lines.push([user, "?".into(), "-".into(), "-".into(), "-".into(), "-".into(), plain::visible(error)]);
            continue;
        };
        let slices = status.pointer("/last_hour").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let sum = |of: &str| slices.iter().map(|slice| number(slice, of)).sum::<u64>();
        let trouble = status.pointer("/trouble").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let first = text(trouble.first(), "-");
        lines.push([
            user,
            text(status.pointer("/runner/word"), "?"),
            status.pointer("/agents").and_then(Value::as_array).map_or(0, Vec::len).to_string(),
            number(status, "/queue/queued").to_string(),
            number(status, "/queue/running").to_string(),
            format!("{} reviewed, {} failed", sum("/reviewed"), sum("/failed")),
            match trouble.len() {
                0 | 1 => first,
                more => format!("{first} (and {} more)", more - 1),
            },
        ]);
    }
    let widths: Vec<usize> =
        (0..6).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        for (cell, &width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(&line[6]);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_user_and_for_who_cannot_be_asked() {
        let status = serde_json::json!({
            "runner": {"word": "ready"}, "agents": [{}, {}], "queue": {"queued": 3, "running": 1},
            "last_hour": [{"reviewed": 2, "failed": 0, "other": 1}, {"reviewed": 5, "failed": 1, "other": 0}],
            "trouble": ["shop is \u{1b}c failed", "b"],
        });
        let row = |user: &str, status, error: Option<&str>| Row {
            user: user.into(),
            status,
            error: error.map(str::to_owned),
        };
        let text = table(&[row("alice", Some(status), None), row("bob", None, Some("no bus\u{1b}[31m"))]);
        assert_eq!(
            text,
            "USER   RUNNER  AGENTS  QUEUED  RUNNING  LAST HOUR             TROUBLE\n\
             alice  ready   2       3       1        7 reviewed, 1 failed  shop is \\x1bc failed (and 1 more)\n\
             bob    ?       -       -       -        -                     no bus\\x1b[31m\n"
        );
    }
}
