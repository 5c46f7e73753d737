//! What changes or shows the user's units, where there is no user manager.

use crate::Place;

/// What `uid` is told.
fn no_manager(place: &Place, uid: u32) -> String {
    let user = nix::unistd::User::from_uid(uid.into()).unwrap().map_or_else(|| uid.to_string(), |user| user.name);
    let run = place.text("run");
    format!(
        "error: could not reach the systemd user manager\n  cause: neither `{run}/bus` nor `{run}/systemd/private` exists\n  hint: log in by ssh, `su -` or `sudo -i` (`sudo -u`, cron and services open no session), or let root run `loginctl enable-linger {user}`; root can also run `cicdctl --user {user} …`\n"
    )
}

#[test]
fn status_and_init_say_that_there_is_no_user_manager() {
    let place = Place::new();
    let own = nix::unistd::getuid().as_raw();
    place.run("status").status(1).stderr(&no_manager(&place, own));
    place.run("status --json").status(1).stderr(&no_manager(&place, own));
    if let Some(ran) = place.run_as_user("init --yes") {
        ran.status(1).stderr(&no_manager(&place, if own == 0 { 65534 } else { own }));
        assert_eq!(std::fs::read_dir(place.path("home")).unwrap().count(), 0, "nothing was written");
    }
}

#[test]
fn root_gets_no_runner() {
    if !nix::unistd::getuid().is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let place = Place::new();
    let error = "error: root does not need a runner of its own\n  hint: run this as the user who is to have it, or as root with `cicdctl --user NAME init`\n";
    place.run("init").status(2).stderr(error);
    place.run("init --yes --dry-run").status(2).stderr(error);
    place.run("--user no-such-user status").status(2).stderr("error: there is no user `no-such-user`\n");
    assert_eq!(std::fs::read_dir(place.path("home")).unwrap().count(), 0);
}

#[test]
fn agents_come_after_init() {
    let place = Place::new();
    place
        .run("agent add web")
        .status(1)
        .stderr("error: nothing is set up for this user yet\n  hint: run `cicdctl init` first\n");
    place
        .run("agent add ../x")
        .status(2)
        .stderr_has(&["error: `../x` cannot be the name of an agent: `/` may not stand in it"]);
    place.run("apply").status(1).stderr("error: nothing is set up for this user yet\n  hint: run `cicdctl init`\n");
    place.run("uninstall").stderr("Nothing to remove: cicdctl is not set up for this user.\n");
}

#[test]
fn an_agent_cannot_be_added_without_a_user_manager() {
    let place = Place::new();
    place.write("home/.local/state/cicd-toolkit/install.json", "{}");
    place.run("agent add web").status(1).stderr(&no_manager(&place, nix::unistd::getuid().as_raw()));
    assert!(!place.path("home/.config/cicd-toolkit").exists());
}
