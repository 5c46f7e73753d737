//! The files of a host that is set up for all its users (`cicdctl init --system`), as text. Pure.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use askama::Template;

use super::{Places, UnitFile, plan};
use crate::config::Config;
use crate::host_wide;

/// What makes the directories below `/var/lib/cicd-toolkit` (tmpfiles.d(5)).
pub const TMPFILES: &str = "/etc/tmpfiles.d/cicd-toolkit.conf";
/// What user managers may pass on to their units (systemd.resource-control(5), `Delegate=`).
pub const DELEGATE: &str = "/etc/systemd/system/user@.service.d/50-cicdctl.conf";
/// The controllers that limits of ours need.
pub const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// What an administrator finds to begin with.
pub const POLICY: &str = include_str!("../../templates/host/config.toml");

const COMMAND: &str = "cicdctl init --system";

/// Somebody who has a directory there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
}

#[derive(Template)]
#[template(path = "host/tmpfiles.conf", config = "templates/askama.toml")]
struct Tmpfiles<'a> {
    users: &'a [User],
}

#[derive(Template)]
#[template(path = "host/delegate.conf", config = "templates/askama.toml")]
struct Delegate {}

/// Where things are for whichever user's manager reads the units.
pub fn places(program: PathBuf) -> Places {
    // Nothing of it is written as it is: it becomes `%h`.
    let home = PathBuf::from("/home/of/whoever");
    Places {
        program,
        unit_dir: host_wide::UNIT_DIR.into(),
        environment_file: Path::new(host_wide::UNIT_DIR).join("cicd-toolkit.environment"),
        is_host_wide: true,
        state_dir: host_wide::usual_state_dir(&home),
        cache_dir: home.join(".cache/cicd-toolkit"),
        environment: vec![("PATH".to_owned(), super::search_path(&home))],
        secrets: Vec::new(),
        home: Some(home),
    }
}

/// Every file that the administrator's configuration calls for; `delegate`: user managers pass on too little.
pub fn files(config: &Config, places: &Places, users: &[User], delegate: bool) -> Result<Vec<UnitFile>> {
    // Variables are written for each user.
    let config = Config { environment: Default::default(), ..config.clone() };
    let mut files = super::files(&config, &[], places)?;
    for file in &mut files {
        file.text = plan::with_header(body(&file.text), COMMAND);
    }
    let tmpfiles = Tmpfiles { users }.render().context("could not render the tmpfiles.d file")?;
    let delegation = Delegate {}.render().context("could not render the drop-in for `user@.service`")?;
    for (path, text, wanted) in [(TMPFILES, tmpfiles, true), (DELEGATE, delegation, delegate)] {
        if wanted {
            files.push(UnitFile { path: path.into(), text: plan::with_header(&text, COMMAND), mode: 0o644 });
        }
    }
    Ok(files)
}

/// A text of ours without its header.
pub fn body(text: &str) -> &str {
    text.split_once("\n\n").map_or(text, |(_, body)| body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Level;

    fn all(config: &Config) -> Vec<UnitFile> {
        let user = User { name: "ada".into(), uid: 1001, gid: 100, home: "/home/ada".into() };
        files(config, &places("/usr/bin/cicdctl".into()), &[user], true).unwrap()
    }

    fn text(files: &[UnitFile], path: &str) -> String {
        files.iter().find(|file| file.path == Path::new(path)).unwrap().text.clone()
    }

    #[test]
    fn units_of_the_host_name_no_home_and_have_the_users_own_directory() {
        let mut config = Config::default();
        config.environment.insert("HTTPS_PROXY".into(), "http://p:1".into());
        let files = all(&config);
        for file in &files {
            assert!(!file.text.contains("/home/"), "{}", file.text);
            assert!(!file.text.contains("HTTPS_PROXY") && file.text.contains("`cicdctl init --system` rewrites"));
            assert_eq!(plan::authorship(&file.text), plan::Authorship::Ours);
        }
        let service = text(&files, "/etc/systemd/user/cicd-runner.service");
        for line in [
            "Environment=\"PATH=%h/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"",
            "ReadWritePaths=\"-%h/.local/state/cicd-toolkit\"",
            "ReadWritePaths=-/var/lib/cicd-toolkit/users/%U",
            "ExecStart=/usr/bin/cicdctl run daemon",
        ] {
            assert!(service.contains(&format!("\n{line}\n")), "{line}: {service}");
        }
        let socket = text(&files, "/etc/systemd/user/cicd-agent@.socket");
        assert!(socket.contains("\nSymlinks=/var/lib/cicd-toolkit/users/%U/sockets/%i.sock\n"), "{socket}");
        let tmpfiles = text(&files, TMPFILES);
        assert!(tmpfiles.contains("\nd /var/lib/cicd-toolkit/users/1001/sessions 0700 1001 100 -\n"), "{tmpfiles}");
        config.hardening.level = Level::Off;
        assert!(!text(&all(&config), "/etc/systemd/user/cicd-runner.service").contains("ReadWritePaths"));
    }

    #[test]
    fn a_user_with_the_same_configuration_needs_no_unit_of_their_own() {
        let config = Config::default();
        let theirs = Places {
            unit_dir: "/home/ada/.config/systemd/user".into(),
            home: Some("/home/ada".into()),
            state_dir: "/home/ada/.local/state/cicd-toolkit".into(),
            cache_dir: "/home/ada/.cache/cicd-toolkit".into(),
            environment: vec![("PATH".to_owned(), super::super::search_path(Path::new("/home/ada")))],
            ..places("/usr/bin/cicdctl".into())
        };
        let host = all(&config);
        for file in super::super::files(&config, &[], &theirs).unwrap() {
            let same = host.iter().find(|other| other.path.file_name() == file.path.file_name()).unwrap();
            assert_eq!(body(&file.text), body(&same.text));
        }
    }
}
