use crate::Place;

#[test]
fn a_wrong_key_has_its_place_and_the_right_name() {
    let place = Place::new();
    place.write("home/.config/cicd-toolkit/config.toml", "[review]\nengin = \"rules\"\n");
    let file = place.text("home/.config/cicd-toolkit/config.toml");
    let error = format!(
        "error: {file}:2:1: unknown field `engin`, expected one of `engine`, `min_severity`, `exclude`, `max_diff`, `chunk`, `parallel`, `instructions`, `skills`, `post`, `max_inline`, `refute`\n  hint: did you mean `engine`?\n"
    );
    place.run("status").status(1).stderr(&error);
    // Systemd must not start it again.
    place.run("run daemon").status(78).stderr(&error);
}

#[test]
fn another_file_is_named_by_an_option() {
    let place = Place::new().with_fault();
    place.write("other.toml", "[review]\nmin_severity = \"critical\"\n");
    let other = place.text("other.toml");
    place.run(&format!("review -q --config {other}")).stdout_has(&["reviewed: no findings, 1 file seen"]);
    place
        .run("status --config /nonexistent.toml")
        .status(1)
        .stderr("error: the configuration `/nonexistent.toml` does not exist\n");
}

#[test]
fn a_runner_that_is_there_twice_gives_way() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("home/.local/state/cicd-toolkit")).unwrap();
    let lock = std::fs::File::create(place.path("home/.local/state/cicd-toolkit/.runner.lock")).unwrap();
    lock.lock().unwrap();
    place.run("run daemon").status(75).stderr_has(&["error: another process of this user already is the runner\n"]);
}
