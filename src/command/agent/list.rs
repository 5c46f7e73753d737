//! `cicdctl agent list`: every agent on a line.

use anyhow::Result;
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
pub struct Args {}

#[derive(Serialize)]
struct Row {
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
    let manager = host.manager().await.ok();
    let store = host.paths.store().exists().then(|| Store::open(&host.paths.store())).and_then(Result::ok);
    let mut rows = Vec::new();
    for agent in agents {
        let (service, socket) = match &manager {
            Some(manager) => {
                (manager.state(&agent.name.service()).await.ok(), manager.state(&agent.name.socket()).await.ok())
            }
            None => (None, None),
        };
        let pause = super::paused(store.as_ref(), &Scope::Agent(agent.name.clone())).await;
        rows.push(Row { agent, service, socket, pause });
    }
    if host.ui.json {
        host.ui.data_json(&rows)?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        host.ui.say("There are no agents yet. Add one: `cicdctl agent add NAME --path DIR`");
        return Ok(Exit::Done);
    }
    let width = rows.iter().map(|row| row.agent.name.as_str().len()).max().unwrap_or(0);
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
        host.ui.data(&format!("{:width$}  {state:10}  {project}{pause}", row.agent.name))?;
    }
    Ok(Exit::Done)
}
