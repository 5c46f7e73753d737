use crate::Place;

#[test]
fn without_a_bus_it_fails_and_says_what_to_do() {
    let place = Place::new();
    let run = place.text("run");
    place.run("doctor").status(1).stderr("1 check failed.\n").stdout_has(&[
        "ok       config       defaults; there is no file\n",
        &format!("FAILED   bus          could not reach the systemd user manager: neither `{run}/bus` nor `{run}/systemd/private` exists\n"),
        "                      -> log in by ssh or on the console, or let root run `loginctl enable-linger ",
        "ok       engine       rules (built in)\n",
        "ok       skills       in use: code-reviewer\n",
        "ok       forge        not in use: no token is stored, and no agent has a repository\n",
    ]);
}

#[test]
fn as_json_it_has_a_code_for_each_check() {
    let mut ran = Place::new().run("doctor --json -q").status(1);
    let checks: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
    let verdicts: Vec<_> = checks.as_array().unwrap().iter().map(|check| (&check["code"], &check["verdict"])).collect();
    assert_eq!(
        serde_json::json!(verdicts),
        serde_json::json!([
            ["config", "ok"],
            ["bus", "failure"],
            ["store", "ok"],
            ["secrets", "ok"],
            ["engine", "ok"],
            ["skills", "ok"],
            ["forge", "ok"]
        ])
    );
}

/// Defaults would name another forge than the one that the token is for.
#[test]
fn a_wrong_configuration_has_nothing_checked_by_defaults() {
    let place = Place::new();
    place.write("home/.config/cicd-toolkit/config.toml", "[trigger]\nonn = 1\n");
    place.write("home/.config/cicd-toolkit/credentials/github-token", "ghp_x\n");
    let mut ran = place.run("doctor --json -q").status(1);
    let checks: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
    for code in ["engine", "skills", "forge"] {
        let check = checks.as_array().unwrap().iter().find(|check| check["code"] == code).unwrap();
        assert_eq!(
            (&check["verdict"], &check["found"]),
            (&"warning".into(), &"not checked, as the configuration is wrong".into())
        );
    }
}

#[test]
fn a_store_that_is_damaged_or_newer_is_found() {
    let place = Place::new();
    let store = "home/.local/state/cicd-toolkit/store.db";
    place.write(
        store,
        "no database, but as long as the head of one has to be: 100 bytes at the least of what nobody knows\n",
    );
    let found = |place: &Place| {
        let mut ran = place.run("doctor --json -q").status(1);
        let checks: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
        checks.as_array().unwrap().iter().find(|check| check["code"] == "store").unwrap().clone()
    };
    let damaged = found(&place);
    assert_eq!(damaged["verdict"], "failure");
    assert!(damaged["found"].as_str().unwrap().contains("file is not a database"), "{damaged}");
    assert!(damaged["remedy"].as_str().unwrap().contains("store.db"), "{damaged}");
}

#[test]
fn a_skill_that_is_not_there_is_found_before_a_review_needs_it() {
    let place = Place::new();
    place.write("home/.config/cicd-toolkit/agents/shop.toml", "[review]\nskills = [\"code-revewer\"]\n");
    place
        .run("doctor")
        .status(1)
        .stderr("2 checks failed.\n")
        .stdout_has(&["FAILED   skills       there is no skill `code-revewer` (did you mean `code-reviewer`?"]);
    place.write("home/.config/cicd-toolkit/agents/shop.toml", "");
    place.write("home/.config/cicd-toolkit/skills/own.md", "no head\n");
    place.run("doctor -q").status(1).stdout_has(&["warning  skills       not in order: own\n"]);
}

#[test]
fn a_wrong_configuration_is_a_check_that_failed() {
    let place = Place::new();
    place.write("home/.config/cicd-toolkit/config.toml", "[runner]\njobs = 0\n");
    place
        .run("doctor")
        .status(1)
        .stderr("2 checks failed.\n")
        .stdout_has(&["FAILED   config ", "config.toml:2: `runner.jobs`: it must be 1 to 64\n"]);
}

#[test]
fn each_code_has_its_part_in_the_manual() {
    let place = Place::new();
    let mut ran = place.run("doctor --json");
    let checks: Vec<serde_json::Value> = serde_json::from_str(&ran.take_stdout()).unwrap();
    ran.status(1).stderr_has(&["failed"]);
    assert!(checks.len() > 5, "{checks:?}");
    for check in checks {
        let code = check["code"].as_str().unwrap();
        assert!(cicdctl::command::generate::troubleshooting::CODES.iter().any(|(known, ..)| *known == code), "{code}");
    }
}
