use std::os::unix::fs::PermissionsExt;

use crate::Place;

const VALUE: &str = "canary-4711";

/// As a plain file: whether it could be encrypted is up to the host that the tests run on.
#[test]
fn a_secret_is_stored_for_its_owner_alone_and_never_shown() {
    let place = Place::new();
    place.run("secret list").stderr("There are no secrets.\n");
    let set = place.run_with_input("secret set --plain anthropic-api-key", format!("{VALUE}\n").as_bytes());
    set.stderr("stored `anthropic-api-key`; the next job uses it\n");
    let dir = place.path("home/.config/cicd-toolkit/credentials");
    let file = dir.join("anthropic-api-key");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), VALUE);

    let listed = place.run("secret list").take_stdout();
    assert!(
        listed.starts_with("anthropic-api-key  plain          11 bytes  ") && listed.ends_with(" ago\n"),
        "{listed}"
    );
    let listed = place.run("secret list --json").take_stdout();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["kept"], "plain");
    assert_eq!((&listed[0]["name"], &listed[0]["bytes"]), (&"anthropic-api-key".into(), &11.into()));
    place
        .run_with_input("secret set -v --plain anthropic-api-key", b"\xef\xbb\xbfexport ANTHROPIC_API_KEY='other'\r\n")
        .stderr("stored `anthropic-api-key`; the next job uses it\nin a plain file that only you can read; it is not encrypted: as was asked for\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "other");

    place
        .run("secret remove --dry-run anthropic-api-key")
        .stdout(&format!("would remove `anthropic-api-key` from {}\n", file.display()));
    place.run("secret remove anthropic-api-key").stderr("removed `anthropic-api-key`\n");
    assert!(!file.exists());
    place
        .run("secret remove anthropic-api-key")
        .status(1)
        .stderr("error: there is no secret `anthropic-api-key`\n  hint: `cicdctl secret list` shows the names\n");
}

#[test]
fn names_that_are_none_and_values_that_are_none_are_refused() {
    let place = Place::new();
    for name in ["../x", "A", "a.b", "a/b"] {
        place
            .run_with_input(&format!("secret set {name}"), b"")
            .status(2)
            .stderr(&format!("error: `{name}` cannot be the name of a secret: lower-case letters, digits and `-`\n"));
    }
    for (value, why) in [
        (&b""[..], "the value is empty"),
        (b"\n", "the value is empty"),
        (b"a\nb", "the value has 2 lines, and `github-token` has one"),
        (b"a b", "there is white space in the value, and `github-token` has none"),
        (b"ANTHROPIC_API_KEY=x", "that is the line of ANTHROPIC_API_KEY, which is the secret `anthropic-api-key`"),
    ] {
        place.run_with_input("secret set github-token", value).status(2).stderr(&format!("error: {why}\n"));
    }
    assert!(!place.path("home/.config/cicd-toolkit/credentials").exists());
}

#[test]
fn the_key_of_an_app_is_a_whole_file() {
    let place = Place::new();
    let key = include_bytes!("../github/app-key.pem");
    let file = place.path("home/.config/cicd-toolkit/credentials/github-app-key");
    place.run_with_input("secret set --plain github-app-key", &key[..200]).status(2).stderr(
        "error: the value is no key in PEM: its first line is `-----BEGIN … KEY-----`, its last `-----END …`; hand the whole file over\n",
    );
    let crlf = String::from_utf8(key.to_vec()).unwrap().replace('\n', "\r\n");
    for value in [&key[..], crlf.as_bytes()] {
        place
            .run_with_input("secret set --plain github-app-key", value)
            .stderr("stored `github-app-key`; the next job uses it\n");
        assert_eq!(std::fs::read(&file).unwrap(), key);
    }
    let broken = String::from_utf8(key.to_vec()).unwrap().replacen("MII", "MIX", 1);
    let refused = place.run_with_input("secret set --plain github-app-key", broken.as_bytes()).status(2).take_stderr();
    assert!(refused.starts_with("error: the value is of no use: the App's key is"), "{refused}");
}

#[test]
fn a_name_that_nobody_asks_for_is_stored_with_a_word() {
    let place = Place::new();
    place.run_with_input("secret set --plain anthropic-key", b"x").stderr(
        "warning: nothing here asks for a secret `anthropic-key`; is `anthropic-api-key` meant?\nstored `anthropic-key`; the next job uses it\n",
    );
    place
        .run_with_input("secret set --dry-run something-else", b"x")
        .stdout(&format!(
            "would store `something-else` at {}\n",
            place.text("home/.config/cicd-toolkit/credentials/something-else")
        ))
        .stderr("warning: nothing here asks for a secret `something-else`\n");
}

#[test]
fn a_value_that_is_too_long_is_refused_and_not_cut() {
    let place = Place::new();
    let refused = place.run_with_input("secret set github-token", "x".repeat((64 << 10) + 1).as_bytes()).status(2);
    refused.stderr("error: the value is longer than 64 KiB\n");
    place.run("secret list").stderr("There are no secrets.\n");
    place
        .run_with_input("secret set --plain github-token", "x".repeat(60 << 10).as_bytes())
        .stderr("stored `github-token`; the next job uses it\n");
}

#[test]
fn by_the_guides_way_it_is_a_variable_until_doctor_moves_it() {
    let place = Place::new();
    place.write("home/.config/cicd-toolkit/config.toml", "secrets = \"environment.d\"\n");
    let file = place.path("home/.config/environment.d/cicd-toolkit.conf");
    let set = place.run_with_input("secret set github-token", VALUE.as_bytes()).take_stderr();
    assert!(set.contains("stored `github-token` as GITHUB_TOKEN in") && !set.contains(VALUE), "{set}");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.ends_with("\n\nGITHUB_TOKEN=\"canary-4711\"\n"), "{text}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(place.run("secret list").take_stdout().starts_with("github-token  environment.d "));

    // The setting is taken back; somebody has a file of their own with the other one.
    place.write("home/.config/cicd-toolkit/config.toml", "");
    let own = "# mine\nEDITOR=vi\nexport ANTHROPIC_API_KEY=nothing\nANTHROPIC_API_KEY='canary-8899'\n# end\n";
    place.write("home/.config/environment.d/50-mine.conf", own);
    let fixed = place.run("doctor --fix --dry-run").take_stdout();
    assert_eq!(fixed.lines().count(), 2, "{fixed}");
    let fixed = place.run("doctor --fix --yes");
    let mut fixed = fixed.status(1);
    let (stdout, stderr) = (fixed.take_stdout(), fixed.take_stderr());
    assert!(stderr.contains("moved GITHUB_TOKEN") && stderr.contains("moved ANTHROPIC_API_KEY"), "{stderr}");
    assert!(stdout.contains("2 secrets kept") && !format!("{stdout}{stderr}").contains("canary"), "{stdout}{stderr}");
    assert!(!file.exists());
    let rest = std::fs::read_to_string(place.path("home/.config/environment.d/50-mine.conf")).unwrap();
    assert_eq!(rest, own.replace("ANTHROPIC_API_KEY='canary-8899'\n", ""));
    let listed = place.run("secret list").take_stdout();
    assert!(listed.contains("anthropic-api-key") && listed.contains("github-token"), "{listed}");
}

#[test]
fn doctor_says_who_else_can_see_a_secret_and_does_not_take_the_wrong_one() {
    let place = Place::new();
    place
        .run_with_input("secret set --plain github-token", b"canary-new")
        .stderr("stored `github-token`; the next job uses it\n");
    place.write("home/.config/environment.d/50-mine.conf", "GITHUB_TOKEN=canary-old\nGH_TOKEN=canary-gh\n");
    let dir = place.path("home/.config/cicd-toolkit/credentials");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o750)).unwrap();
    let mut ran = place.run("doctor").status(1);
    let (stdout, _) = (ran.take_stdout(), ran.take_stderr());
    for expected in [
        "FAILED   secrets      other users can get at",
        "GITHUB_TOKEN in",
        "as `github-token`",
        "GH_TOKEN in",
        "can be seen by every",
    ] {
        assert!(stdout.contains(expected), "{expected}: {stdout}");
    }
    let mut ran = place.run("doctor --fix --yes").status(1);
    let (stdout, stderr) = (ran.take_stdout(), ran.take_stderr());
    assert!(stderr.contains("GITHUB_TOKEN has another value than the secret `github-token`"), "{stderr}");
    assert!(!format!("{stdout}{stderr}").contains("canary") && !stdout.contains("other users can get at"), "{stdout}");
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let text = std::fs::read_to_string(place.path("home/.config/environment.d/50-mine.conf")).unwrap();
    assert_eq!(text, "GITHUB_TOKEN=canary-old\nGH_TOKEN=canary-gh\n");
}

#[test]
fn the_end_of_a_token_that_is_gone_is_forgotten() {
    use cicdctl::store::Store;
    let place = Place::new();
    let dir = place.path("home/.local/state/cicd-toolkit");
    std::fs::create_dir_all(&dir).unwrap();
    let store = Store::open(&dir.join("store.db")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ends = || runtime.block_on(store.expiries()).unwrap().len();
    let note = |name: &str| runtime.block_on(store.note_expiry(name, Some(1))).unwrap();
    note("github-token");
    place.run_with_input("secret set --plain github-token --dry-run", b"ghp_canary\n").stdout_has(&["would store"]);
    assert_eq!(ends(), 1);
    place.run_with_input("secret set --plain github-token", b"ghp_canary\n").stderr_has(&["stored `github-token`"]);
    assert_eq!(ends(), 0);
    note("github-token");
    note("other");
    place.run("secret remove github-token").stderr_has(&["removed"]);
    assert_eq!(ends(), 1);
}
