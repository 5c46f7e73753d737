use std::os::unix::fs::PermissionsExt;

use crate::Place;

const VALUE: &str = "canary-4711";

#[test]
fn a_secret_is_stored_for_its_owner_alone_and_never_shown() {
    let place = Place::new();
    place.run("secret list").stderr("There are no secrets.\n");
    let set = place.run_with_input("secret set anthropic-api-key", format!("{VALUE}\n").as_bytes());
    set.stderr("stored `anthropic-api-key`; the next job uses it\n");
    let dir = place.path("home/.config/cicd-toolkit/credentials");
    let file = dir.join("anthropic-api-key");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), VALUE);

    place.run("secret list").stdout("anthropic-api-key\n");
    place.run("secret list --json").stdout("[\n  \"anthropic-api-key\"\n]\n");
    place
        .run_with_input("secret set -v anthropic-api-key", b"other")
        .stderr("stored `anthropic-api-key`; the next job uses it\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "other");

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
    for value in [&b""[..], b"\n", b"a\nb", b"a\0b"] {
        let refused = place.run_with_input("secret set x", value).status(2);
        refused.stderr("error: the value is empty or has a control character in it\n");
    }
    assert!(!place.path("home/.config/cicd-toolkit/credentials").exists());
}

#[test]
fn a_value_that_is_too_long_is_refused_and_not_cut() {
    let place = Place::new();
    let refused = place.run_with_input("secret set x", "x".repeat((64 << 10) + 1).as_bytes()).status(2);
    refused.stderr("error: the value is longer than 64 KiB\n");
    place.run("secret list").stderr("There are no secrets.\n");
    place.run_with_input("secret set x", "x".repeat(60 << 10).as_bytes()).stderr("stored `x`; the next job uses it\n");
}
