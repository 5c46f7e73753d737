//! Whole reviews: a repository on disk or over HTTP, the built program as the cage's inside, and the forge.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use cicdctl::api::ReviewRequest;
use cicdctl::cage::{Cage, Wish};
use cicdctl::config::{Config, EngineName};
use cicdctl::engine::pin::Pins;
use cicdctl::forge::github::GitHub;
use cicdctl::forge::{Forge, Token};
use cicdctl::review::{self, Outcome, Review, Setting};
use cicdctl::secret::Vault;
use cicdctl::skill::Catalog;
use cicdctl::store::{Ask, Store};
use serde_json::Value;

use crate::fake::{Fake, Fault, REPO, TOKEN};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cicdctl");

/// A repository with a pull request, and a GitHub that knows it.
pub struct World {
    pub dir: tempfile::TempDir,
    pub fake: Fake,
    pub github: GitHub,
    pub config: Config,
    /// Where secrets are, if there are any.
    pub secrets: PathBuf,
    pub store: Option<Store>,
    /// How often the job was put off.
    pub turn: u32,
}

impl World {
    pub async fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start().await;
        let token = Token::new(TOKEN).unwrap();
        let github = GitHub::new(fake.api().parse().unwrap(), REPO.into(), token).unwrap().with_pace(Duration::ZERO);
        let secrets = dir.path().join("secrets");
        let world = World { dir, fake, github, config: Config::default(), secrets, store: None, turn: 0 };
        let bare = world.bare();
        std::fs::create_dir_all(&bare).unwrap();
        world.git(&bare, &["init", "-q", "--bare", "-b", "main", "."]);
        let work = world.work();
        std::fs::create_dir_all(&work).unwrap();
        world.git(&work, &["init", "-q", "-b", "main", "."]);
        world.git(&work, &["remote", "add", "origin", bare.to_str().unwrap()]);
        world.commit("a.py", "import requests\n\n\ndef fetch(url):\n    return requests.get(url)\n");
        world.git(&work, &["push", "-q", "origin", "main"]);
        world.push("import requests\n\n\ndef fetch(url):\n    return requests.get(url, verify=False)\n");
        world
    }

    pub fn bare(&self) -> PathBuf {
        self.dir.path().join("root/acme/shop.git")
    }

    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn git(&self, dir: &Path, args: &[&str]) -> String {
        let out = Command::new("git")
            .args(args)
            .current_dir(dir)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "dev")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "dev@example.invalid")))
            .output()
            .unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    pub fn commit(&self, path: &str, text: &str) {
        std::fs::write(self.work().join(path), text).unwrap();
        self.git(&self.work(), &["add", "-A"]);
        self.git(&self.work(), &["commit", "-q", "--allow-empty", "-m", "change"]);
    }

    /// A new head of the pull request, here and at the forge.
    pub fn push(&self, text: &str) {
        let work = self.work();
        self.commit("a.py", text);
        self.git(&work, &["push", "-q", "origin", "+HEAD:refs/pull/42/head"]);
        let patch = self.git(&work, &["diff", "origin/main...HEAD", "--", "a.py"]);
        let patch = patch[patch.find("@@").unwrap()..].trim_end().to_owned();
        let mut state = self.fake.state();
        state.head = self.git(&work, &["rev-parse", "HEAD"]).trim().to_owned();
        state.base = self.git(&work, &["rev-parse", "origin/main"]).trim().to_owned();
        state.files = vec![("a.py".into(), Some(patch))];
    }

    pub async fn review(&self, request: ReviewRequest) -> Review {
        let review = self.review_as("01JTEST", request).await;
        self.ended("01JTEST").await;
        review
    }

    /// Does what is done once the end of a job is written down.
    pub async fn ended(&self, job: &str) {
        review::remove(&self.path("workspace"), job).await;
    }

    /// A job that the store knows, from its acceptance to its end.
    pub async fn stored_job(&self, request: ReviewRequest) -> Review {
        let store = self.store.as_ref().unwrap();
        let ask = Ask { request, pull: Some(format!("{REPO}#42")), ..Ask::default() };
        store.accept(ask).await.unwrap();
        let job = store.claim(None).await.unwrap().unwrap();
        let review = self.review_as(&job.id, job.request).await;
        store.finish(&job.id, review.clone()).await.unwrap();
        self.ended(&job.id).await;
        review
    }

    /// Without [`World::ended`] it is as if the process had been killed before it wrote the end down.
    pub async fn review_as(&self, job: &str, request: ReviewRequest) -> Review {
        let (_keep, mut wish) = tokio::sync::watch::channel(Wish::GoOn);
        let place = |name: &str| self.dir.path().join(name);
        let skills = Catalog::default();
        let setting = Setting {
            skills: &skills,
            config: &self.config,
            cage: &Cage::Child { because: "a test".into() },
            project: None,
            cache_dir: &place("cache"),
            workspace: &place("workspace"),
            engine_home: &place("home"),
            vault: &Vault::new(self.secrets.clone(), place("environment.conf"), Arc::default()),
            api_key_in_environment: false,
            program: Path::new(PROGRAM),
            hidden: Vec::new(),
            claude: None,
            pins: &Pins { file: place("engines.lock"), digests: place("digests.json") },
            forge: Some(&self.github as &dyn Forge),
            repo: None,
            store: self.store.as_ref(),
            turn: self.turn,
        };
        review::run(job, &request, &setting, &mut wish, &mut |_| {}).await.unwrap()
    }

    pub async fn post(&self) -> Review {
        self.review(ReviewRequest { path: Some(self.work()), ..posted() }).await
    }

    /// An engine of our own: a shell script.
    pub fn with_engine(mut self, script: &str) -> World {
        let program = self.program("engine", &format!("#!/bin/sh\n{script}\n"));
        self.config.review.engine = EngineName::Command;
        self.config.engine.command.argv = vec![program.to_str().unwrap().into()];
        self
    }

    /// An executable file; `ROOT` in it becomes the place where all of this world is.
    pub fn program(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let program = self.dir.path().join(name);
        std::fs::write(&program, text.replace("ROOT", self.dir.path().to_str().unwrap())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// State and description of each status, with the head that it is of.
    pub fn statuses(&self) -> Vec<(String, String)> {
        self.fake.state().statuses.iter().map(|(_, state, text)| (state.clone(), text.clone())).collect()
    }

    pub fn states(&self) -> Vec<String> {
        self.statuses().into_iter().map(|(state, _)| state).collect()
    }

    /// Whether the token stands in any file that was written.
    fn leaks(&self) -> bool {
        let out = Command::new("grep").args(["-r", "-l", "canary"]).arg(self.dir.path()).output().unwrap();
        !out.stdout.is_empty()
    }

    /// The program as a user runs it.
    pub async fn cicdctl(&self, args: &[&str], environment: &[(&str, &str)]) -> Output {
        let home = self.dir.path().join("user");
        let config = home.join(".config/cicd-toolkit");
        std::fs::create_dir_all(&config).unwrap();
        let text = format!("[forge.github]\napi_url = \"{}\"\n", self.fake.api());
        std::fs::write(config.join("config.toml"), text).unwrap();
        tokio::process::Command::new(PROGRAM)
            .args(args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", &home)
            .env("XDG_RUNTIME_DIR", &home)
            .envs(environment.iter().copied())
            .current_dir(self.dir.path())
            .stdin(std::process::Stdio::null())
            .output()
            .await
            .unwrap()
    }
}

pub fn posted() -> ReviewRequest {
    ReviewRequest { pr: Some(42), post: Some(true), ..Default::default() }
}

pub fn body(value: &Value) -> &str {
    value["body"].as_str().unwrap()
}

#[tokio::test]
async fn a_pull_request_is_reviewed_and_published_and_a_second_run_changes_nothing() {
    let world = World::new().await;
    let review = world.post().await;
    assert_eq!((review.outcome, &review.reason), (Outcome::Reviewed, &None));
    assert_eq!((review.project.as_str(), review.findings.len()), (REPO, 1));
    let published = review.receipt.published.unwrap();
    assert_eq!((published.new_comments, published.known_comments), (1, 0));
    let (reviews, comments, summaries) = {
        let state = world.fake.state();
        assert_eq!(review.receipt.head_sha.as_ref(), Some(&state.head));
        assert_eq!(state.reviews[0]["state"], "COMMENTED");
        assert_eq!((&state.review_comments[0]["path"], &state.review_comments[0]["line"]), (&"a.py".into(), &5.into()));
        assert!(state.statuses.iter().all(|(sha, ..)| *sha == state.head));
        let summary = body(&state.issue_comments[0]);
        assert!(summary.contains("<summary>Receipt</summary>") && summary.contains(&state.head), "{summary}");
        (state.reviews.clone(), state.review_comments.clone(), state.issue_comments.clone())
    };
    assert_eq!((reviews.len(), comments.len(), summaries.len()), (1, 1, 1));
    assert_eq!(world.statuses()[0], ("pending".into(), "being reviewed".into()));
    let (state, text) = world.statuses().remove(1);
    assert_eq!(state, "success");
    assert!(text.starts_with("1 finding (1 ") && text.ends_with("; 1 file seen"), "{text}");

    let again = world.post().await;
    assert_eq!(again.outcome, Outcome::Reviewed);
    let published = again.receipt.published.unwrap();
    assert_eq!((published.new_comments, published.known_comments), (0, 1));
    {
        let state = world.fake.state();
        assert_eq!((&state.reviews, &state.review_comments, &state.issue_comments), (&reviews, &comments, &summaries));
    }

    world.push("import requests\n\n\ndef fetch(url):\n    requests.post(url, verify=False)\n    return requests.get(url, verify=False)\n");
    let third = world.post().await;
    assert_eq!((third.outcome, third.findings.len()), (Outcome::Reviewed, 2));
    let state = world.fake.state();
    assert_eq!((state.reviews.len(), state.review_comments.len(), state.issue_comments.len()), (2, 2, 1));
    assert_eq!(state.review_comments[1]["line"], 5);
    assert!(body(&state.issue_comments[0]).contains(&state.head));
    drop(state);
    assert!(!world.leaks());
}

#[tokio::test]
async fn nothing_is_posted_unless_it_is_asked_for() {
    let world = World::new().await;
    let request = ReviewRequest { pr: Some(42), path: Some(world.work()), ..Default::default() };
    assert_eq!(world.review(request).await.outcome, Outcome::Reviewed);
    let request = ReviewRequest { dry_run: true, path: Some(world.work()), ..posted() };
    assert_eq!(world.review(request).await.outcome, Outcome::Skipped);
    assert_eq!(world.fake.count("POST"), 0);
}

#[tokio::test]
async fn a_head_that_moves_while_it_is_reviewed_supersedes_the_review() {
    let world = World::new().await;
    world.fake.state().moves = Some((1, "d".repeat(40)));
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Superseded);
    assert!(review.reason.unwrap().starts_with("the head is dddddddddd by now and no longer "));
    assert_eq!(world.states(), ["pending", "error"]);
    let state = world.fake.state();
    assert_eq!((state.reviews.len(), state.issue_comments.len()), (0, 0));
}

#[tokio::test]
async fn what_git_has_must_be_what_github_names() {
    let world = World::new().await;
    world.fake.state().head = "d".repeat(40);
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Failed);
    assert!(review.reason.as_ref().unwrap().starts_with("the head of pull request 42 is dddd"), "{:?}", review.reason);
    assert_eq!(world.states(), ["error"]);
}

#[tokio::test]
async fn a_rate_limit_defers_at_the_start_and_at_the_end() {
    let world = World::new().await;
    world.fake.fault(Fault::new("GET", "/pulls/42", 429).header("retry-after", "60"));
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Deferred);
    assert!(review.reason.unwrap().contains("it takes requests again after 20"));
    assert_eq!(world.states(), [""; 0]);

    world.fake.fault(Fault::new("POST", "/pulls/42/reviews", 403).header("retry-after", "60"));
    let review = world.post().await;
    assert_eq!((review.outcome, review.findings.len()), (Outcome::Deferred, 1));
    assert!(review.reason.unwrap().starts_with("reviewed, but not published: "));
    assert_eq!(world.states(), ["pending", "pending"]);
    assert!(world.statuses()[1].1.starts_with("not reviewed yet (deferred): "));
}

#[tokio::test]
async fn a_review_that_only_could_not_be_published_is_not_made_again() {
    for (fault, outcome) in [
        (Fault::new("POST", "/pulls/42/reviews", 403).header("retry-after", "60"), Outcome::Deferred),
        (Fault::new("GET", "/pulls/42/comments", 403).header("retry-after", "60"), Outcome::Deferred),
    ] {
        let mut world = World::new().await.with_engine(
            r#"echo called >>ROOT/calls; echo '{"findings": [{"path": "a.py", "start_line": 5, "severity": "high",
            "category": "security", "title": "no check", "explanation": "It is off."}]}'"#,
        );
        let store = Store::open(&world.path("store.db")).unwrap();
        world.store = Some(store.clone());
        let request = ReviewRequest { path: Some(world.work()), ..posted() };
        let ask = Ask { request, pull: Some(format!("{REPO}#42")), ..Ask::default() };
        store.accept(ask).await.unwrap();
        let job = store.claim(None).await.unwrap().unwrap();
        world.fake.fault(fault);
        let first = world.review_as(&job.id, job.request.clone()).await;
        assert_eq!((first.outcome, first.findings.len()), (outcome, 1), "{:?}", first.reason);
        assert!(first.retry_at_ms.is_some() && first.unpublished.is_some());
        store.defer(&job.id, 1, first).await.unwrap();
        store.claim(None).await.unwrap().unwrap();
        let second = world.review_as(&job.id, job.request).await;
        assert_eq!((second.outcome, &second.reason, &second.unpublished), (Outcome::Reviewed, &None, &None));
        assert_eq!((second.findings.len(), second.receipt.seen()), (1, 1));
        assert_eq!(world.fake.state().review_comments.len(), 1);
        assert_eq!(std::fs::read_to_string(world.path("calls")).unwrap(), "called\n");
        store.finish(&job.id, second).await.unwrap();
    }
}

#[tokio::test]
async fn a_forge_in_trouble_defers_and_blames_nobody() {
    let world = World::new().await;
    for _ in 0..3 {
        world.fake.fault(Fault::new("GET", "/pulls/42", 502));
    }
    let review = world.post().await;
    assert_eq!((review.outcome, review.retry_at_ms), (Outcome::Deferred, None), "{:?}", review.reason);
    assert_eq!(world.states(), [""; 0]);
    for _ in 0..3 {
        world.fake.fault(Fault::new("GET", "/pulls/42/files", 502));
    }
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Deferred);
    assert!(review.reason.unwrap().starts_with("reviewed, but not published: "));
    assert_eq!(world.states(), ["pending", "pending"]);
    assert_eq!(world.post().await.outcome, Outcome::Reviewed);
}

#[tokio::test]
async fn a_push_while_git_fetches_is_followed() {
    let world = World::new().await;
    let old = world.fake.state().head.clone();
    world.push("import requests\n\n\ndef fetch(url):\n    return requests.put(url, verify=False)\n");
    let new = std::mem::replace(&mut world.fake.state().head, old.clone());
    world.fake.state().moves = Some((1, new.clone()));
    let review = world.post().await;
    assert_eq!(
        (review.outcome, review.receipt.head_sha.as_ref()),
        (Outcome::Reviewed, Some(&new)),
        "{:?}",
        review.reason
    );
    let state = world.fake.state();
    let said: Vec<(&str, &str)> = state.statuses.iter().map(|(sha, state, _)| (sha.as_str(), state.as_str())).collect();
    assert_eq!(said, [(new.as_str(), "pending"), (new.as_str(), "success")]);
}

#[tokio::test]
async fn a_token_that_may_not_post_is_found_before_the_engine_runs() {
    let world = World::new().await.with_engine("touch \"$(dirname \"$0\")/ran\"");
    let sha = world.fake.state().head.clone();
    let path: &'static str = Box::leak(sha.into_boxed_str());
    world.fake.fault(Fault::new("POST", path, 403).header("x-accepted-github-permissions", "statuses=write"));
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Failed);
    assert!(review.reason.unwrap().contains("it would take a token with statuses=write"));
    assert!(!world.dir.path().join("ran").exists());
}

#[tokio::test]
async fn a_failure_is_red_and_a_quota_is_not_and_neither_is_green() {
    for (script, outcome, state) in [
        ("exit 9", Outcome::Failed, "error"),
        ("exit 75", Outcome::Deferred, "pending"),
        ("echo '{\"findings\": [], \"incomplete\": \"out of money\"}'", Outcome::Partial, "pending"),
    ] {
        let world = World::new().await.with_engine(script);
        let review = world.post().await;
        assert_eq!(review.outcome, outcome, "{script}: {:?}", review.reason);
        assert_eq!(world.states(), ["pending", state], "{script}");
        let (_, text) = world.statuses().remove(1);
        assert!(text.contains(outcome.as_str()), "{text}");
        // A failure does not take the place of an earlier summary.
        let summaries = world.fake.state().issue_comments.len();
        assert_eq!(summaries, usize::from(outcome == Outcome::Partial), "{script}");
    }
}

#[tokio::test]
async fn without_a_working_copy_git_asks_github_with_the_token_and_the_engine_never_sees_it() {
    let world = World::new().await.with_engine(
        "cat >/dev/null; all=$(env; cat /proc/$PPID/environ | tr '\\0' '\\n'; cat /proc/$PPID/cmdline | tr '\\0' ' ')\n\
         printf '{\"findings\": [], \"summary\": \"%s\"}' \"$(printf %s \"$all\" | tr -c 'a-zA-Z0-9_.=-' ' ')\"",
    );
    world.fake.state().git_root = Some(world.dir.path().join("root"));
    let review = world.review(posted()).await;
    assert_eq!((review.outcome, &review.reason), (Outcome::Reviewed, &None));
    assert!(review.summary.as_ref().unwrap().contains("CICD_CHECKOUT"), "{:?}", review.summary);
    assert!(!format!("{review:?}").contains("canary"));
    let state = world.fake.state();
    assert!(state.git.iter().all(|header| header.as_ref().is_some_and(|header| header.starts_with("Basic "))));
    assert!(!state.git.is_empty());
    drop(state);
    assert!(!world.leaks());
}

#[tokio::test]
async fn an_engine_that_needs_its_key_gets_no_other_secret() {
    let mut world = World::new().await.with_engine(
        "case $1 in --version | --help) echo 2.1.330; exit ;; esac
         cd \"$(dirname \"$0\")\" && env >engine-env && tr '\\0' '\\n' </proc/$PPID/environ >cage-env
         tr '\\0' ' ' </proc/$PPID/cmdline >cage-argv; exit 1",
    );
    std::fs::create_dir_all(&world.secrets).unwrap();
    std::fs::write(world.secrets.join("anthropic-api-key"), "key-4711\n").unwrap();
    std::fs::write(world.secrets.join("github-token"), "not-for-engines").unwrap();
    world.config.review.engine = EngineName::Claude;
    world.config.engine.claude.program = Some(world.config.engine.command.argv[0].clone().into());
    let uncounted = world.post().await;
    assert!(uncounted.reason.unwrap().contains("there is no store to count it in"));
    assert!(!world.dir.path().join("engine-env").exists());
    world.store = Some(Store::open(&world.dir.path().join("store.db")).unwrap());
    assert_eq!(world.post().await.outcome, Outcome::Failed);
    let read = |name: &str| std::fs::read_to_string(world.dir.path().join(name)).unwrap();
    assert!(read("engine-env").contains("key-4711"));
    let cage = read("cage-env") + &read("cage-argv");
    assert!(cage.contains("run job") && !cage.contains("key-4711") && !cage.contains(TOKEN), "{cage}");
    assert!(!read("engine-env").contains(TOKEN) && !read("engine-env").contains("not-for-engines"));
}

#[tokio::test]
async fn the_command_line_publishes_with_a_token_from_the_environment_or_the_secrets() {
    let world = World::new().await;
    world.fake.state().git_root = Some(world.dir.path().join("root"));
    let args = ["review", "--pr", "42", "--repo", REPO, "--post"];

    let none = world.cicdctl(&args, &[]).await;
    let text = String::from_utf8_lossy(&none.stdout).into_owned();
    assert_eq!(none.status.code(), Some(4), "{text}");
    assert!(text.contains("there is no token") && text.contains("secret set github-token"), "{text}");

    let done = world.cicdctl(&args, &[("GITHUB_TOKEN", TOKEN)]).await;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(0), "{text} {}", String::from_utf8_lossy(&done.stderr));
    assert!(text.contains("published: 1 new comment, https://github.example/acme/shop/pull/42#"), "{text}");
    assert!(!world.leaks());

    let secrets = world.dir.path().join("user/.config/cicd-toolkit/credentials");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("github-token"), format!("{TOKEN}\n")).unwrap();
    // Somebody else's variable does not count where there is a secret.
    let done = world.cicdctl(&args, &[("GITHUB_TOKEN", "wrong")]).await;
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stdout));
    assert_eq!(
        (world.fake.count("POST /repos/acme/shop/pulls/42/reviews"), world.fake.state().issue_comments.len()),
        (1, 1)
    );

    let wrong = world.cicdctl(&["review", "--staged", "--post"], &[]).await;
    assert_eq!(wrong.status.code(), Some(2));
}
