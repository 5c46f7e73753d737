use serde_json::Value;

use crate::{NO_RUNNER, Place};

const REVIEWED: &[&str] = &[
    "── app.py\n",
    "  high: TLS certificates are not checked\n",
    "\nreviewed: 1 finding (1 high), 1 file seen\n",
    "not caged: there is no systemd user manager",
];

fn steps(place: &Place) -> String {
    format!("fetch   {}\nplan    1 of 1 file\nengine  rules\njudge   1 draft\n", place.text("repo"))
}

#[test]
fn the_working_tree_is_reviewed_in_this_process_where_there_is_no_runner() {
    let place = Place::new().with_fault();
    place.run("review").stdout_has(REVIEWED).stderr(&format!("{NO_RUNNER}{}", steps(&place)));
    place.run("review --local").stdout_has(REVIEWED).stderr(&steps(&place));
    place.run("review -q").stdout_has(REVIEWED);
    assert!(!place.path("home/.local/state/cicd-toolkit/store.db").exists(), "the store is the runner's");
}

#[test]
fn the_exit_status_tells_findings_from_reviews_that_were_none() {
    let place = Place::new().with_fault();
    for (severity, status) in [("info", 3), ("high", 3), ("critical", 0)] {
        place.run(&format!("review -q --fail-on {severity}")).status(status).stdout_has(REVIEWED);
    }
    place.write("home/.config/cicd-toolkit/config.toml", "[engine.command]\nargv = [\"/bin/false\"]\n");
    place
        .run("review -q --engine command --fail-on info")
        .status(4)
        .stdout_has(&["not reviewed (failed): `/bin/false` ended with exit status 1 and wrote nothing", "1 not seen"]);
    place.write("home/.config/cicd-toolkit/config.toml", "[engine.command]\nargv = [\"/nonexistent\"]\n");
    place.run("review -q --engine command").status(4).stdout_has(&["not reviewed (failed): ", "/nonexistent"]);
}

#[test]
fn staged_changes() {
    let place = Place::new().with_fault();
    place.run("review -q --staged").stdout("not reviewed (skipped): staged changes: nothing has changed\n");
    place.git(&["add", "app.py"]);
    place.run("review -q --staged").stdout_has(REVIEWED);
}

#[test]
fn commits() {
    let place = Place::new().with_fault();
    place.git(&["add", "-A"]);
    place.git(&["commit", "-q", "-m", "two"]);
    place.run("review -q HEAD~1..HEAD").stdout_has(REVIEWED);
    place.run("review -q --base HEAD~1").stdout_has(REVIEWED);
    place.run("review -q").stdout("not reviewed (skipped): working tree: nothing has changed\n");
}

#[test]
fn every_format_is_what_it_says() {
    let place = Place::new().with_fault();
    let json = |line: &str| -> Value {
        let mut ran = place.run(line);
        serde_json::from_str(&ran.take_stdout()).unwrap()
    };
    let review = json("review -q --format json");
    assert_eq!((&review["outcome"], &review["findings"][0]["path"]), (&"reviewed".into(), &"app.py".into()));
    assert_eq!(review["receipt"]["cage"]["uncaged_because"], "there is no systemd user manager");
    assert_eq!(json("review -q --json")["findings"], review["findings"]);
    let sarif = json("review -q --format sarif");
    assert_eq!(
        (&sarif["version"], &sarif["runs"][0]["results"][0]["ruleId"]),
        (&"2.1.0".into(), &"tls-python-unverified".into())
    );
    assert_eq!(json("review -q --format rdjson")["diagnostics"][0]["location"]["path"], "app.py");
    place.run("review -q --format markdown").stdout_has(&["app.py", "TLS certificates are not checked"]);
    place.run("review --format xml").status(2).stderr_has(&["invalid value 'xml' for '--format <FORMAT>'"]);
}

#[test]
fn where_there_is_nothing_to_review_it_says_so() {
    let place = Place::new();
    let repo = place.text("repo");
    place.run("review -q").status(4).stdout(&format!(
        "not reviewed (failed): `{repo}` is not in a git repository (go to a working copy, or name one with `--path`)\n"
    ));
    let place = place.with_fault();
    place
        .run("review -q nothing..HEAD")
        .status(4)
        .stdout_has(&["not reviewed (failed): there is no revision `nothing` in", "git branch --all"]);
    place.run("review -q --pr 7").status(4).stdout_has(&["has no remote `origin`"]);
    place.run("review -q -- --output=x").status(2).stderr("error: `range` is no revision\n");
    assert!(!place.path("repo/x").exists());
    place.run("review -q --path /nonexistent").status(1).stderr_has(&["error: there is no directory `/nonexistent`"]);
    place.run("review -q --agent nobody").status(1).stderr(
        "error: there is no agent `nobody`\n  hint: there are none yet; add it with `cicdctl agent add nobody --path DIR`\n",
    );
    place.run("review --no-wait").status(2).stderr(
        "error: `--no-wait` needs the runner, and its socket is not there\n  hint: `cicdctl init` sets it up\n",
    );
}

#[test]
fn a_socket_that_nobody_listens_on_is_an_error_and_no_reason_to_review_without_the_runner() {
    let place = Place::new().with_fault();
    drop(std::os::unix::net::UnixListener::bind(place.path("run/cicd-runner.sock")).unwrap());
    place.run("review").status(1).stderr_has(&["error: could not reach the runner at", "hint: `cicdctl status`"]);
}

#[test]
fn what_a_killed_review_leaves_goes_with_the_next_one() {
    let place = Place::new().with_fault();
    place.write("home/.config/cicd-toolkit/config.toml", "[engine.command]\nargv = [\"/bin/sleep\", \"300\"]\n");
    let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
    let mut killed = command.args(["review", "-q", "--local", "--engine", "command"]).spawn().unwrap();
    let workspace = place.path("home/.local/state/cicd-toolkit/workspace");
    let jobs =
        || std::fs::read_dir(&workspace).map_or(Vec::new(), |jobs| jobs.map(|job| job.unwrap().path()).collect());
    let engines = || {
        let of_job = |pid: &std::path::Path| {
            let words = std::fs::read(pid.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains(workspace.to_str().unwrap())
        };
        std::fs::read_dir("/proc").unwrap().filter(|entry| of_job(&entry.as_ref().unwrap().path())).count()
    };
    wait_for(|| jobs().iter().any(|job| job.join("out/events.jsonl").exists()));
    // What is forked looks like its parent for a moment.
    wait_for(|| engines() == 1);
    // One that lives is left alone.
    place.run("review -q --local").stdout_has(REVIEWED);
    assert_eq!(jobs().len(), 1);
    wait_for(|| engines() == 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    wait_for(|| engines() == 0);
    assert_eq!(jobs().len(), 1);
    place.run("review -q --local").stdout_has(REVIEWED);
    assert_eq!(jobs().len(), 0);
}

fn wait_for(is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed().as_secs() < 20, "it did not come to that");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
