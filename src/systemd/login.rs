//! Lingering: whether the user manager runs with nobody logged in (loginctl(1), org.freedesktop.login1(5)).

use std::path::Path;

use anyhow::{Context, Result};

use super::proxy;
use crate::error::Fail;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linger {
    On,
    Off,
}

/// Where logind keeps who lingers; readable by everybody.
const LINGER_DIR: &str = "/var/lib/systemd/linger";

pub fn linger(user: &str) -> Linger {
    if Path::new(LINGER_DIR).join(user).exists() { Linger::On } else { Linger::Off }
}

/// Turns lingering on or off through logind.
pub async fn set_linger(uid: u32, user: &str, enable: bool) -> Result<()> {
    let verb = if enable { "enable-linger" } else { "disable-linger" };
    let set = async {
        let connection = zbus::connection::Builder::system().build().await?;
        let login = proxy::LoginProxy::new(&connection).await?;
        login.set_user_linger(uid, enable, false).await?;
        anyhow::Ok(())
    };
    set.await.with_context(|| {
        Fail::new(format!("could not {} lingering for `{user}`", if enable { "enable" } else { "disable" }))
            .hint(format!("let root run `loginctl {verb} {user}`, then run this command again"))
    })
}
