use crate::Place;

#[test]
fn a_wrong_key_has_its_place_and_the_right_name() {
    let place = Place::new();
    place.write("home/.config/cicd-toolkit/config.toml", "[review]\nengin = \"rules\"\n");
    let file = place.text("home/.config/cicd-toolkit/config.toml");
    let error = format!("error: {file}:2:1: unknown key `engin`\n  hint: did you mean `engine`?\n");
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

const CONFIG: &str = "home/.config/cicd-toolkit/config.toml";

#[test]
fn settings_are_shown_with_their_origin() {
    let place = Place::new();
    place.write(CONFIG, "[job]\ntasks = 99\n[engine.claude]\nmodel = \"m\"\n");
    place.write("home/.config/cicd-toolkit/agents/shop.toml", "repo = \"a/b\"\n[limits]\ncpu = \"30%\"\n");
    place.run("config show job.tasks").stdout("job.tasks = 99\n");
    place.run("config show engine.claude --origin").stdout(
        "engine.claude.max_budget_usd = 2.0  # default\n\
         engine.claude.max_turns = 30        # default\n\
         engine.claude.model = \"m\"           # ~/.config/cicd-toolkit/config.toml:4\n",
    );
    place.run("config show limits --agent shop --origin").stdout_has(&[
        "limits.cpu = \"30%\"         # ~/.config/cicd-toolkit/agents/shop.toml:3\n",
        "limits.memory = \"512M\"     # default\n",
    ]);
    place.run("config get job.tasks --agent shop").stdout("99\n");
    place.run("config get engine.claude.model").stdout("m\n");
    place
        .run("config get engine.claude.program")
        .status(1)
        .stderr("error: `engine.claude.program` is not set, and has no default\n");
    place.run("config get job.memroy").status(2).stderr(
        "error: there is no key `job.memroy`\n  hint: did you mean `job.memory`? `cicdctl config show` lists them\n",
    );
    let mut ran = place.run("config show job.tasks --json");
    let shown: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
    let file = place.text(CONFIG);
    assert_eq!(shown, serde_json::json!([{ "key": "job.tasks", "value": 99, "file": file, "line": 2 }]));
    // What is shown is a configuration itself.
    let mut ran = place.run("config show");
    place.write("shown.toml", &ran.take_stdout());
    place.run(&format!("config check {}", place.text("shown.toml"))).stderr("1 file in order.\n");
}

#[test]
fn a_key_is_set_with_the_comments_kept_and_only_to_what_is_valid() {
    let place = Place::new();
    place
        .run("config set job.tasks 9")
        .status(1)
        .stderr("error: nothing is set up for this user yet\n  hint: run `cicdctl init` first\n");
    let text = "# mine\n[job] # cage\n#memory = \"2G\" # much\ntasks = 99 # enough\n";
    place.write(CONFIG, text);
    let file = place.text(CONFIG);
    let shown = format!("{file}:\n  -#memory = \"2G\" # much\n  +memory = \"1G\" # much\n");
    place.run("config set job.memory 1G --dry-run").stdout(&shown);
    let read = || std::fs::read_to_string(place.path(CONFIG)).unwrap();
    assert_eq!(read(), text);
    place.run("config set job.memory 1G").stderr(&shown);
    assert_eq!(read(), "# mine\n[job] # cage\nmemory = \"1G\" # much\ntasks = 99 # enough\n");
    place.run("config set job.memory 1G").stderr("Nothing to change: it says so already.\n");
    place.run("config set review.exclude [\"docs/**\",\"*.svg\"] -q");
    place.run("config get review.exclude").stdout("[\"docs/**\", \"*.svg\"]\n");
    place.run("config set environment.HTTPS_PROXY http://proxy.example:3128 -q");
    let before = read();
    for (line, status, problem) in [
        ("job.cpu 25", 1, format!("  cause: {file}:5:7: `25` is not a valid CPU share: write a whole percentage")),
        ("runner.jobs 0", 1, format!("{file}:13: `runner.jobs`: it must be 1 to 64")),
        ("runner.jobs many", 1, "invalid type: string \"many\"".into()),
        ("review.engine claud", 1, "  hint: did you mean `claude`?".into()),
        ("review.engin claude", 2, "  hint: did you mean `review.engine`?".into()),
        ("job 3", 2, "there is no key `job`".into()),
        ("environment.a.b x", 2, "there is no key `environment.a.b`".into()),
        ("job.tasks 9 --agent shop", 1, "there is no agent `shop`".into()),
    ] {
        place.run(&format!("config set {line}")).status(status).stderr_has(&["error: ", &problem]);
        assert_eq!(read(), before, "{line}");
    }
    let whole = read();
    place.write(CONFIG, &format!("{whole}[job]\n"));
    place
        .run("config set job.memory 3G")
        .status(1)
        .stderr_has(&[&format!("error: {file}:"), "duplicate key\n  hint: "]);
    place.write(CONFIG, &whole);
    place.run("config unset job.tasks").stderr(&format!("{file}:\n  -tasks = 99 # enough\n"));
    place.run("config unset job.tasks").stderr(&format!("`job.tasks` is not set in `{file}`.\n"));
    place.run("config get job.tasks").stdout("256\n");
}

#[test]
fn an_agents_file_is_changed_too_even_one_that_is_wrong() {
    let place = Place::new();
    place.write(CONFIG, "");
    let agent = "home/.config/cicd-toolkit/agents/shop.toml";
    place.write(agent, "repo = \"a/b\"\n");
    place.run("config set watch.interval 60s --agent shop -q");
    place.run("config set runner.jobs 3 --agent shop").status(2).stderr_has(&["there is no key `runner.jobs`"]);
    assert_eq!(std::fs::read_to_string(place.path(agent)).unwrap(), "repo = \"a/b\"\n\n[watch]\ninterval = \"60s\"\n");
    place.write(agent, "repo = \"a/b\"\n[limits]\ntasks = 1\n");
    place.run("config set limits.tasks 100 --agent shop -q");
    place.run("config get limits.tasks --agent shop").stdout("100\n");
}

#[test]
fn an_editor_gets_the_text_and_what_is_wrong_is_not_kept() {
    let place = Place::new();
    place.write(CONFIG, "[job]\ntasks = 99 # enough\n");
    let edit = |script: &str| {
        let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
        command.args(["config", "edit"]).env("EDITOR", script).env("TMPDIR", place.path("home"));
        crate::Ran::new("config edit", &command.output().unwrap())
    };
    let file = place.text(CONFIG);
    edit("sed -i s/99/88/").stderr(&format!("{file}:\n  -tasks = 99 # enough\n  +tasks = 88 # enough\n"));
    edit("true").stderr("Nothing was changed.\n");
    edit("sed -i s/88/x/").status(1).stderr_has(&["What you have written is in `", &format!("`{file}` is as it was")]);
    edit("false").status(1).stderr_has(&["the editor `false` ended with exit status: 1; nothing was changed"]);
    place.run("config get job.tasks").stdout("88\n");
    let kept = |name: &std::fs::DirEntry| name.file_name().to_string_lossy().starts_with("cicdctl-config-");
    let kept: Vec<_> = std::fs::read_dir(place.path("home")).unwrap().flatten().filter(kept).collect();
    assert_eq!(kept.len(), 1);
    assert!(std::fs::read_to_string(kept[0].path()).unwrap().contains("tasks = x"));
}

#[test]
fn yaml_is_taken_over_key_by_key() {
    let place = Place::new();
    place.write(CONFIG, "# mine\n[job]\n#tasks = 256\n\n[review]\nmin_severity = \"low\" # noisy\n");
    place.write(
        "config.yaml",
        "job:\n  tasks: 7\nreview:\n  exclude: [\"docs/\"]\nbudget:\n  day: none\n  pull: 2.5\npaths:\n  - match: [\"*.sql\"]\n    exclude: true\n",
    );
    let yaml = place.text("config.yaml");
    place.run(&format!("config import {yaml}")).status(2).stderr_has(&["+tasks = 7", "`--yes`"]);
    place.run(&format!("config import {yaml} --yes -q"));
    let text = std::fs::read_to_string(place.path(CONFIG)).unwrap();
    assert!(
        text.starts_with(
            "# mine\n[job]\ntasks = 7\n\n[review]\nmin_severity = \"low\" # noisy\nexclude = [\"docs/\"]\n"
        ),
        "{text}"
    );
    for (key, value) in
        [("job.tasks", "7"), ("review.exclude", "[\"docs/\"]"), ("budget.day", "none"), ("budget.pull", "2.5")]
    {
        place.run(&format!("config get {key}")).stdout(&format!("{value}\n"));
    }
    place.run("config get paths").stdout("[{ exclude = true, match = [\"*.sql\"] }]\n");
    place.write("config.yaml", "job:\n  taks: 7\n");
    place.run(&format!("config import {yaml} --yes")).status(1).stderr_has(&["taks"]);
    place.run(&format!("config set job.tasks 8 --config {yaml}")).status(1).stderr_has(&["is YAML", "config import"]);
}

#[test]
fn check_says_all_that_is_wrong_and_changes_nothing() {
    let place = Place::new();
    place.run("config check").stderr("0 files in order.\n");
    place.write(CONFIG, "[review]\nskills = [\"code-revewer\"]\n");
    place.write("home/.config/cicd-toolkit/agents/a.toml", "[limits]\nmemroy = \"1G\"\n");
    place.write("home/.config/cicd-toolkit/agents/b.toml", "path = \"x\"\n");
    let (a, b) = ("home/.config/cicd-toolkit/agents/a.toml", "home/.config/cicd-toolkit/agents/b.toml");
    place.run("config check").status(1).stdout_has(&[
        "there is no skill `code-revewer`\n  hint: did you mean `code-reviewer`?",
        &format!("{}:2:1: unknown key `memroy`", place.text(a)),
        "  hint: did you mean `memory`?\n",
        &format!("{}:1: `path`: it must be an absolute path", place.text(b)),
    ]);
    let mut ran = place.run("config check --json");
    let found: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
    ran.status(1);
    assert_eq!(found.as_array().unwrap().len(), 3);
    place.write("repo/.cicd-toolkit.toml", "[review]\npost = true\n");
    place.run("config check .cicd-toolkit.toml").status(1).stdout_has(&[".cicd-toolkit.toml:2:1: unknown key `post`"]);
    place.write("repo/.cicd-toolkit.toml", "[review]\nmin_severity = \"low\"\n");
    place.run("config check .cicd-toolkit.toml").stderr("1 file in order.\n");
}

#[test]
fn each_file_has_a_schema() {
    let place = Place::new();
    for of in ["user", "agent", "repository"] {
        let mut ran = place.run(&format!("config schema {of}"));
        let schema: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!(schema["additionalProperties"], false);
        assert!(jsonschema::draft7::meta::is_valid(&schema));
        assert!(!schema.to_string().contains("$ref"));
    }
}

#[test]
fn variables_are_above_the_files() {
    let place = Place::new().with_fault();
    place.write(CONFIG, "[job]\ntasks = 99\n[review]\nmin_severity = \"low\"\n");
    place.write("home/.config/cicd-toolkit/agents/shop.toml", "[job]\ntasks = 50\n[review]\nparallel = 2\n");
    let run = |line: &str, variables: &[(&str, &str)]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_cicdctl"));
        command.args(line.split_whitespace()).envs(variables.iter().copied());
        crate::Ran::new(line, &command.output().unwrap())
    };
    let tasks = [("CICD_JOB_TASKS", "77")];
    run("config get job.tasks", &tasks).stdout("77\n");
    run("config get job.tasks --agent shop", &tasks).stdout("77\n");
    run("config get job.tasks --agent shop", &[]).stdout("50\n");
    run("config get review.parallel --agent shop", &[("CICD_REVIEW_SKILLS", "")]).stdout("2\n");
    run("config show job.tasks --origin --agent shop", &tasks).stdout("job.tasks = 77  # $CICD_JOB_TASKS\n");
    let mut ran = run("config show job.tasks --json", &tasks);
    let shown: serde_json::Value = serde_json::from_str(&ran.take_stdout()).unwrap();
    assert_eq!(
        shown,
        serde_json::json!([{"key": "job.tasks", "value": 77, "file": null, "line": null, "variable": "CICD_JOB_TASKS"}])
    );
    run("review -q", &[]).stdout_has(&["reviewed: 1 finding"]);
    run("review -q", &[("CICD_REVIEW_MIN_SEVERITY", "critical")]).stdout_has(&["reviewed: no findings"]);
    run("config check", &tasks).stderr("2 files in order.\n");
    run("config check", &[("CICD_JOB_TASK", "7")])
        .status(1)
        .stdout("CICD_JOB_TASK: there is no such variable\n  hint: did you mean `CICD_JOB_TASKS`?\n");
    run("status", &[("CICD_JOB_TASKS", "1")])
        .status(1)
        .stderr("error: CICD_JOB_TASKS: `job.tasks`: below 4 no engine starts\n");
    // A file is what it says, whatever is set while it is written.
    run("config set job.memory 4G -q", &tasks);
    run("config get job.tasks", &[]).stdout("99\n");
}
