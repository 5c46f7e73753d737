//! `cicdctl agent list`: every agent on a line.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::status;
use crate::config::Agent;
use crate::error::Exit;
use crate::host::Host;
use crate::plain;
use crate::runner::Scope;
use crate::store::{Pause, Store};
use crate::systemd::UnitState;

/// List the agents
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl agent list
  cicdctl agent list --json")]
pub struct Args {}

/// An agent, as `--json` has it.
#[derive(Serialize, JsonSchema)]
pub struct Row {
    #[serde(flatten)]
    agent: Agent,
    service: Option<UnitState>,
    socket: Option<UnitState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<Pause>,
}

pub async fn run(_: &Args, host: &Host) -> Result<Exit> {
    let config = host.config()?;
    let agents = host.agents(&config)?;
    let manager = host.manager_to_ask().await.ok();
    let store = host.paths.store().exists().then(|| Store::open(&host.paths.store())).and_then(Result::ok);
    let (manager, store) = (manager.as_ref(), store.as_ref());
    let rows = agents.into_iter().map(|agent| async move {
        let (service, socket) = (agent.name.service(), agent.name.socket());
        let state = async |unit: &str| manager?.state(unit).await.ok();
        let scope = Scope::Agent(agent.name.clone());
        let (service, socket, pause) = tokio::join!(state(&service), state(&socket), super::paused(store, &scope));
        Row { agent, service, socket, pause }
    });
    let rows = futures_util::future::join_all(rows).await;
    if host.ui.json {
        host.ui.data_json(&rows)?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        host.ui.say("There are no agents yet. Add one: `cicdctl agent add NAME --path DIR`");
        return Ok(Exit::Done);
    }
    let width = rows.iter().map(|row| row.agent.name.as_str().len()).max().unwrap_or(0);
    let mut out = String::new();
    for row in &rows {
        let project = row
            .agent
            .path
            .as_ref()
            .map(|path| plain::visible(&path.display().to_string()))
            .or_else(|| row.agent.repo.clone());
        let state = status::word(row.service.as_ref(), row.socket.as_ref());
        let state = status::held_word(state, row.pause.as_ref());
        let pause =
            row.pause.as_ref().map_or(String::new(), |pause| format!("  ({})", plain::visible(&pause.in_words())));
        let project = project.as_deref().unwrap_or("-");
        out.push_str(&format!("{:width$}  {state:10}  {project}{pause}\n", row.agent.name));
    }
    host.ui.data(&out)?;
    Ok(Exit::Done)
}
