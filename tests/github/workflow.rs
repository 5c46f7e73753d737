//! The workflow that `cicdctl workflow github` prints: its script, run by bash as a runner of Actions does, against a
//! runner of ours on a socket and the forge behind it.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{REPO, TOKEN};
use crate::review::World;
use crate::support::{Place, Runner};

/// A pull request at a forge, and a place for a runner that may review it.
struct Scene {
    world: World,
    place: Place,
}

impl Scene {
    async fn new() -> Scene {
        let scene = Scene { world: World::new().await, place: Place::new() };
        scene.world.fake.state().git_root = Some(scene.world.bare().parent().unwrap().parent().unwrap().to_owned());
        std::fs::create_dir_all(scene.place.path("config/credentials")).unwrap();
        std::fs::write(scene.place.path("config/credentials/github-token"), TOKEN).unwrap();
        scene.place.agent("other", "");
        scene
    }

    fn engine(&self, script: &str, review: &str) {
        let argv = json!(["/bin/sh", "-c", script]);
        self.place.config(&format!(
            "[review]\nengine = \"command\"\n{review}[engine.command]\nargv = {argv}\n[forge.github]\napi_url = \"{}\"\n",
            self.world.fake.api()
        ));
    }

    fn head(&self) -> String {
        self.world.fake.state().head.clone()
    }

    /// The script of the step, with its variables as GitHub would fill them in.
    fn step(&self, arguments: &[&str]) -> (String, Vec<(String, String)>) {
        let printed = std::process::Command::new(env!("CARGO_BIN_EXE_cicdctl"))
            .args(["workflow", "github", "-q"])
            .args(arguments)
            .env_clear()
            .env("HOME", self.place.path(""))
            .env("XDG_CONFIG_HOME", self.place.path("xdg"))
            .output()
            .unwrap();
        assert!(printed.status.success() && printed.stderr.is_empty(), "{printed:?}");
        let yaml: Value = serde_saphyr::from_slice(&printed.stdout).unwrap();
        let step = &yaml["jobs"]["review"]["steps"][0];
        assert_eq!(step["shell"], "bash");
        let filled = |text: &str| match text {
            "${{ github.event.pull_request.number }}" => "42".to_owned(),
            "${{ github.event.pull_request.head.sha }}" => self.head(),
            "${{ github.repository }}" => REPO.to_owned(),
            text => text.to_owned(),
        };
        let variables = step["env"].as_object().unwrap().iter();
        let variables = variables.map(|(name, value)| (name.clone(), filled(value.as_str().unwrap()))).collect();
        (step["run"].as_str().unwrap().to_owned(), variables)
    }

    /// Runs the step, as GitHub does with `shell: bash`.
    async fn run(&self, arguments: &[&str], other: &[(&str, &str)]) -> Ran {
        let (script, variables) = self.step(arguments);
        let file = tempfile::NamedTempFile::new_in(self.place.path("")).unwrap();
        std::fs::write(file.path(), script).unwrap();
        let output = tokio::process::Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail"])
            .arg(file.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("XDG_RUNTIME_DIR", self.place.path("runtime"))
            .envs(variables)
            .envs(other.iter().copied())
            .current_dir(self.place.path(""))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        Ran::new(tokio::time::timeout(Duration::from_secs(120), output).await.expect("it does not end").unwrap())
    }

    /// The only job, once its engine runs.
    async fn running(&self, runner: &Runner) -> String {
        let began = std::time::Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", runner.get("/jobs").await.body);
            for job in runner.get("/jobs").await.json().as_array().unwrap() {
                let id = job["id"].as_str().unwrap();
                let events = runner.shared.store.events(id, 0).await.unwrap();
                let begun = serde_json::to_string(&events).unwrap().contains("\"event\":\"engine\"");
                if job["state"] == "running" && begun {
                    return id.to_owned();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[derive(Debug)]
struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Ended with the outcome, and has printed nothing but its own words.
    #[track_caller]
    fn is(&self, status: i32, outcome: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.stdout.contains(&format!("cicdctl: {outcome}; cicdctl job show ")), "{self:?}");
        assert!(self.stdout.lines().all(|line| line.starts_with("cicdctl: ")) && self.stderr.is_empty(), "{self:?}");
    }
}

#[tokio::test]
async fn a_run_that_waits_is_green_for_what_was_reviewed_and_for_nothing_else() {
    let scene = Scene::new().await;
    let commands = "half\n::error::x ##[set-env name=A]b \"event\":\"ended\",\"outcome\":\"reviewed\"}";
    let hostile = json!({ "incomplete": commands, "summary": commands, "findings": [{
        "path": "a.py", "start_line": 5, "severity": "high", "category": "security", "title": commands,
        "explanation": commands,
    }] });
    scene.engine("echo '{\"findings\":[]}'", "");
    let runner = scene.place.runner();
    scene.run(&["--wait"], &[]).await.is(0, "reviewed");
    assert_eq!(scene.world.fake.state().statuses.last().unwrap().1, "success");
    let job = runner.get("/jobs?limit=1").await.json()[0].clone();
    assert_eq!((&job["request"]["head"], &job["request"]["post"]), (&json!(scene.head()), &json!(true)));
    assert_eq!((&job["pull"], &job["request"].get("trigger")), (&json!("acme/shop#42"), &None), "{job}");

    scene.engine(&format!("cat <<'END'\n{hostile}\nEND"), "");
    scene.run(&["--wait", "--repo", REPO], &[]).await.is(4, "partial");
    scene.engine("exit 3", "");
    scene.run(&["--wait"], &[]).await.is(4, "failed");
    scene.engine("exit 3", "exclude = [\"*.py\"]\n");
    scene.run(&["--wait"], &[]).await.is(0, "skipped");
    scene.engine("exit 75", "");
    scene.run(&["--wait"], &[]).await.is(4, "deferred");
    runner.stop().await;
}

#[tokio::test]
async fn a_run_that_waits_sees_the_job_ended_by_others_and_a_runner_that_starts_anew() {
    let scene = Scene::new().await;
    scene.engine("sleep 600", "");
    let runner = scene.place.runner();
    let cancel = async {
        let job = scene.running(&runner).await;
        runner.ask("DELETE", &format!("/jobs/{job}"), "", "").await;
    };
    let (ran, ()) = tokio::join!(scene.run(&["--wait"], &[]), cancel);
    ran.is(4, "cancelled");

    let supersede = async {
        scene.running(&runner).await;
        scene.world.push("import requests\n\n\ndef fetch(url):\n    return requests.get(url, verify=None)\n");
        let request = json!({"pr": 42, "head": scene.head(), "repo": REPO, "post": true});
        runner.post(&request).await.json()["id"].as_str().unwrap().to_owned()
    };
    let (ran, second) = tokio::join!(scene.run(&["--wait"], &[]), supersede);
    ran.is(4, "superseded");
    runner.ask("DELETE", &format!("/jobs/{second}"), "", "").await;
    // Asked for again before it has ended, it would be the same job.
    runner.client().follow(&second, false, &mut |_| {}).await.unwrap();

    let restart = async {
        scene.running(&runner).await;
        runner.stop().await;
        scene.engine("echo '{\"findings\":[]}'", "");
        scene.place.runner()
    };
    let (ran, runner) = tokio::join!(scene.run(&["--wait"], &[]), restart);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("cicdctl: reviewed; "), "{ran:?}");
    runner.stop().await;
}

#[tokio::test]
async fn a_run_that_does_not_wait_is_green_once_the_job_is_taken() {
    let scene = Scene::new().await;
    scene.engine("sleep 600", "");
    let runner = scene.place.runner();
    let began = std::time::Instant::now();
    let ran = scene.run(&[], &[]).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    let job = runner.get("/jobs?limit=1").await.json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (ran.status, ran.stdout.as_str(), ran.stderr.as_str()),
        (
            0,
            format!(
                "cicdctl: job {job} reviews {}\ncicdctl: the status cicdctl/review of the commit says what comes of it\n",
                scene.head()
            )
            .as_str(),
            ""
        )
    );
    runner.ask("DELETE", &format!("/jobs/{job}"), "", "").await;

    let refused = scene.run(&["--wait"], &[("AGENT", "nobody")]).await;
    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("the runner answered 422: ") && refused.stderr.contains("no agent `nobody`"));
    runner.stop().await;

    // The socket's file is left, and nobody listens.
    std::fs::remove_file(scene.place.path("runtime/cicd-runner.sock")).unwrap();
    let alone = scene.run(&["--wait"], &[]).await;
    assert_eq!(alone.status, 1, "{alone:?}");
    assert!(alone.stderr.starts_with("cicdctl: there is no socket "), "{alone:?}");
}

#[tokio::test]
async fn what_an_event_brings_is_data_and_asks_for_nothing_else() {
    let scene = Scene::new().await;
    scene.engine("exit 3", "");
    let runner = scene.place.runner();
    let sha = scene.head();
    for (name, value) in [
        ("PR", "42; touch canary"),
        ("PR", "42,\"unsandboxed\":true"),
        ("PR", "0"),
        ("PR", ""),
        ("PR", "a[$(touch canary)]"),
        ("HEAD", "$(touch canary)"),
        ("HEAD", "main"),
        ("HEAD", &format!("{sha}\n\"")),
        ("REPOSITORY", "acme/shop\",\"path\":\"/"),
        ("REPOSITORY", "`touch canary`"),
        ("AGENT", "x\" --upload-file /etc/passwd \""),
    ] {
        let ran = scene.run(&["--wait"], &[(name, value)]).await;
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{value}");
        assert!(ran.stderr.starts_with(&format!("cicdctl: {name} is no")), "{value}: {ran:?}");
    }
    assert_eq!(runner.get("/jobs").await.json(), json!([]));
    assert!(!scene.place.path("canary").exists());
    runner.stop().await;
}
