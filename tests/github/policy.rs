//! What a review obeys, and where that is read from: whole reviews of pull requests that would rather not be reviewed.

use cicdctl::api::{ReviewRequest, Trigger};
use cicdctl::config::Forks;
use cicdctl::review::{Coverage, Outcome, Review};
use cicdctl::store::{Ask, Store};
use serde_json::{Value, json};

use crate::fake::REPO;
use crate::review::{World, posted};

/// An engine that leaves a trace, so that a call which should not be made is seen.
const PAID: &str = "cat >\"$(dirname \"$0\")/bundle.json\"; echo '{\"findings\": []}'";

impl World {
    /// Files on the base branch, besides those that are there; the pull request stays where it left it.
    fn on_base(&self, files: &[(&str, &str)]) -> &World {
        let work = self.work();
        self.git(&work, &["checkout", "-q", "-B", "onto", "origin/main"]);
        for (path, text) in files {
            std::fs::create_dir_all(work.join(path).parent().unwrap()).unwrap();
            self.commit(path, text);
        }
        self.git(&work, &["push", "-q", "origin", "HEAD:main"]);
        self.git(&work, &["checkout", "-q", "main"]);
        self.git(&work, &["fetch", "-q", "origin"]);
        self
    }

    /// Something about the pull request as GitHub tells of it.
    fn pull(&self, key: &str, value: Value) {
        self.fake.state().pull[key] = value;
    }

    fn paid(&self) -> bool {
        self.dir.path().join("bundle.json").exists()
    }

    /// Accepted, claimed, reviewed and written down.
    async fn job(&self, trigger: Trigger) -> Review {
        let store = self.store.as_ref().unwrap();
        let request = ReviewRequest { path: Some(self.work()), trigger, ..posted() };
        let pull = Some(format!("{REPO}#42"));
        store.accept(Ask { request: request.clone(), pull, ..Ask::default() }).await.unwrap();
        let job = store.claim(None).await.unwrap().unwrap();
        let review = self.review_as(&job.id, request).await;
        store.finish(&job.id, review.clone()).await.unwrap();
        review
    }

    fn remembering(mut self) -> World {
        self.store = Some(Store::open(&self.dir.path().join("store.db")).unwrap());
        self
    }
}

fn reason(review: &Review) -> &str {
    review.reason.as_deref().unwrap_or_default()
}

fn coverage(review: &Review) -> Vec<String> {
    let files = review.receipt.files.iter();
    files
        .map(|file| match &file.coverage {
            Coverage::Seen => format!("{}: seen", file.path),
            Coverage::Known { job } => format!("{}: known from {job}", file.path),
            Coverage::Excluded { reason } => format!("{}: {reason}", file.path),
            Coverage::Missed { reason } => format!("{}: missed, {reason}", file.path),
        })
        .collect()
}

#[tokio::test]
async fn a_pull_request_that_edits_its_own_policy_changes_nothing_in_its_own_review() {
    let world = World::new().await;
    let before = world.post().await;
    assert_eq!((before.outcome, before.findings.len()), (Outcome::Reviewed, 1));
    for (path, text) in [
        (
            ".cicd-toolkit.toml",
            "[trigger]\non = []\n[[paths]]\nmatch = [\"**\"]\nexclude = true\n[review]\nmin_severity = \"critical\"\n",
        ),
        (".gitattributes", "* linguist-generated linguist-vendored\n"),
    ] {
        world.commit(path, text);
    }
    world.push("import requests\n\n\ndef fetch(url):\n    return requests.get(url, verify=False)\n\n");
    let after = world.post().await;
    assert_eq!((after.outcome, after.reason.as_ref()), (Outcome::Reviewed, None));
    assert_eq!(coverage(&after), [".cicd-toolkit.toml: seen", ".gitattributes: seen", "a.py: seen"]);
    let said = |review: &Review| review.findings.iter().map(|one| one.title.clone()).collect::<Vec<_>>();
    assert_eq!(said(&after), said(&before));

    // Nor does it when what it edits is there already; nonsense is no matter either.
    world.on_base(&[
        (".cicd-toolkit.toml", "[[paths]]\nmatch = [\"a.py\"]\nexclude = true\n"),
        (".gitattributes", "*.toml linguist-generated\n"),
    ]);
    world.commit(".cicd-toolkit.toml", "[trigger\n");
    world.push("import requests\n");
    let after = world.post().await;
    assert_eq!(
        coverage(&after),
        [
            ".cicd-toolkit.toml: generated (`linguist-generated`)",
            ".gitattributes: seen",
            "a.py: excluded by the rule for `a.py`",
        ],
        "{after:?}"
    );
}

#[tokio::test]
async fn the_tip_of_the_base_counts_and_not_where_the_pull_request_left_it() {
    let mut world = World::new().await.with_engine(PAID);
    world.on_base(&[(".cicd-toolkit.toml", "[trigger]\non = [\"label\"]\nlabel = \"look\"\n")]);
    let review = world.post().await;
    assert_eq!((review.outcome, reason(&review)), (Outcome::Skipped, "it does not have the label `look`"));
    // The host need not ask the repository.
    world.config.policy.from_repository = false;
    assert_eq!(world.post().await.outcome, Outcome::Reviewed);
}

#[tokio::test]
async fn a_skip_costs_no_call_and_leaves_an_earlier_summary_as_it_is() {
    let mut world = World::new().await.remembering();
    assert_eq!(world.job(Trigger::Event).await.outcome, Outcome::Reviewed);
    let posted = { world.fake.state().issue_comments.clone() };
    assert_eq!(posted.len(), 1);
    world = world.with_engine(PAID);
    world.push("import requests\n");
    world.pull("draft", true.into());
    let review = world.job(Trigger::Event).await;
    assert_eq!((review.outcome, reason(&review)), (Outcome::Skipped, "it is a draft"));
    assert_eq!(world.statuses().pop().unwrap(), ("success".into(), "not reviewed (skipped): it is a draft".into()));
    assert_eq!(world.states().iter().filter(|state| *state == "pending").count(), 1, "only that of the first");
    assert!(!world.paid());
    {
        let state = world.fake.state();
        assert_eq!((&state.issue_comments, state.reviews.len()), (&posted, 1));
    }
    // Nothing at all is said where nothing would have been posted.
    let statuses = world.statuses().len();
    let request = ReviewRequest { path: Some(world.work()), pr: Some(42), ..Default::default() };
    assert_eq!(world.review(request).await.outcome, Outcome::Skipped);
    assert_eq!(world.statuses().len(), statuses);
    // A person is not held to it.
    for trigger in [Trigger::Comment, Trigger::Manual] {
        assert_eq!(world.job(trigger).await.outcome, Outcome::Reviewed);
    }
    assert!(world.paid());
}

#[tokio::test]
async fn a_commit_that_was_reviewed_keeps_what_it_says_and_a_closed_one_is_told_nothing() {
    let world = World::new().await.remembering();
    assert_eq!(world.job(Trigger::Event).await.outcome, Outcome::Reviewed);
    let statuses = world.statuses();
    world.pull("draft", true.into());
    assert_eq!(world.job(Trigger::Event).await.outcome, Outcome::Skipped);
    assert_eq!(world.statuses(), statuses);
    world.push("import requests\n");
    world.pull("state", "closed".into());
    let review = world.job(Trigger::Comment).await;
    assert_eq!((review.outcome, reason(&review)), (Outcome::Skipped, "the pull request is closed"));
    assert_eq!(world.statuses(), statuses);
}

#[tokio::test]
async fn a_policy_that_cannot_be_used_fails_the_review_and_names_its_place() {
    let world = World::new().await.with_engine(PAID);
    world.on_base(&[(".cicd-toolkit.toml", "[review]\n\nmin_severty = \"low\"\n")]);
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Failed);
    assert!(reason(&review).contains(".cicd-toolkit.toml:3:1: unknown key `min_severty`"), "{}", reason(&review));
    assert!(reason(&review).contains("did you mean `min_severity`?"), "{}", reason(&review));
    assert_eq!(world.states(), ["error"]);

    // A link could lead to a file of the pull request, or of this host.
    world.git(&world.work(), &["checkout", "-q", "-B", "onto", "origin/main"]);
    std::fs::remove_file(world.work().join(".cicd-toolkit.toml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", world.work().join(".cicd-toolkit.toml")).unwrap();
    world.git(&world.work(), &["commit", "-q", "-a", "-m", "link"]);
    world.git(&world.work(), &["push", "-q", "origin", "HEAD:main"]);
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Failed);
    assert!(reason(&review).starts_with("`.cicd-toolkit.toml` is a symbolic link"), "{}", reason(&review));
    assert!(!world.paid());
}

#[tokio::test]
async fn the_label_approves_a_head_of_a_fork_and_a_push_voids_it() {
    let world = World::new().await.with_engine(PAID).remembering();
    let head = |name: &str| json!({ "ref": "topic", "sha": name, "repo": { "id": 6, "full_name": "eve/shop" } });
    let now = || world.fake.state().head.clone();
    world.pull("head", head(&now()));
    let review = world.job(Trigger::Event).await;
    assert_eq!(review.outcome, Outcome::Skipped);
    let waits = format!("it is from a fork, and the label `cicd-review` has not approved {}", &now()[..10]);
    assert_eq!(reason(&review), waits);
    assert_eq!(world.statuses().pop().unwrap(), ("pending".into(), format!("not reviewed (skipped): {waits}")));
    assert!(!world.paid());

    world.pull("labels", json!([{ "name": "cicd-review" }]));
    assert_eq!(world.job(Trigger::Event).await.outcome, Outcome::Reviewed);
    assert!(world.paid());
    std::fs::remove_file(world.dir.path().join("bundle.json")).unwrap();

    let approved = now();
    world.push("import requests\nimport evil\n");
    world.pull("head", head(&now()));
    for _ in 0..2 {
        let review = world.job(Trigger::Event).await;
        assert_eq!(review.outcome, Outcome::Skipped);
        let void = format!(
            "the label `cicd-review` approved {}; for {} remove it and set it again",
            &approved[..10],
            &now()[..10]
        );
        assert!(reason(&review).ends_with(&void), "{}", reason(&review));
    }
    assert!(!world.paid());

    world.pull("labels", json!([]));
    assert_eq!(world.job(Trigger::Event).await.outcome, Outcome::Skipped);
    world.pull("labels", json!([{ "name": "cicd-review" }]));
    assert_eq!(world.job(Trigger::Event).await.outcome, Outcome::Reviewed);
    assert!(world.paid());
}

#[tokio::test]
async fn a_fork_may_get_a_summary_alone() {
    let mut world = World::new().await;
    world.config.trigger.forks = Forks::SummaryOnly;
    // A repository cannot be more generous than its host.
    world.on_base(&[(".cicd-toolkit.toml", "[trigger]\nforks = \"full\"\n")]);
    world.pull("head", json!({ "ref": "topic", "sha": world.fake.state().head, "repo": null }));
    let review = world.post().await;
    assert_eq!((review.outcome, review.findings.len()), (Outcome::Reviewed, 1));
    let state = world.fake.state();
    assert_eq!((state.review_comments.len(), state.reviews.len(), state.issue_comments.len()), (0, 0, 1));
    assert!(state.issue_comments[0]["body"].as_str().unwrap().contains("`a.py"));
}

#[tokio::test]
async fn rules_for_paths_reach_the_engine_the_budget_and_the_judge() {
    let world = World::new().await.with_engine(
        "cat >\"$(dirname \"$0\")/bundle.json\"
         printf '{\"findings\": [%s, %s]}' \
         '{\"path\":\"a.py\",\"start_line\":1,\"severity\":\"low\",\"category\":\"other\",\"title\":\"one\",\"explanation\":\"x\"}' \
         '{\"path\":\"b.js\",\"start_line\":1,\"severity\":\"low\",\"category\":\"other\",\"title\":\"two\",\"explanation\":\"x\"}'",
    );
    world.on_base(&[(
        ".cicd-toolkit.toml",
        "[review]\nmin_severity = \"medium\"\ninstructions = \"Be brief.\"\n
         [[paths]]\nmatch = [\"*.py\"]\nmin_severity = \"low\"\ninstructions = \"Mind the types.\"\n
         [[paths]]\nmatch = [\"*.go\"]\ninstructions = \"Mind the errors.\"\n
         [[paths]]\nmatch = [\"data/**\"]\nmax_diff = \"100\"\n",
    )]);
    std::fs::create_dir_all(world.work().join("data")).unwrap();
    world.commit("data/big.js", &"let x = 1;\n".repeat(50));
    world.commit("b.js", "let y = 1;\n");
    world.push("import requests\n");
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Partial);
    assert!(
        reason(&review)
            .starts_with("1 of 3 files was not seen: `data/big.js` (over the budget of 100 bytes for `data/**`")
    );
    assert_eq!(review.findings.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["a.py"]);
    assert_eq!(review.receipt.notes, ["left out 1 finding below `medium`"]);
    let bundle = std::fs::read_to_string(world.dir.path().join("bundle.json")).unwrap();
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    // After those of the skills.
    let instructions = bundle["instructions"].as_str().unwrap();
    assert!(instructions.ends_with("\n\nBe brief.\n\nFor files that match `*.py`:\nMind the types."), "{instructions}");
    assert!(!instructions.contains("Mind the errors."));
}

#[tokio::test]
async fn another_policy_is_a_reason_to_review_again_and_another_time_to_review_is_not() {
    let world = World::new().await.with_engine(PAID).remembering();
    for (files, again) in [
        (vec![], true),
        (vec![], false),
        (vec![(".cicd-toolkit.toml", "[trigger]\ndrafts = true\n")], false),
        (vec![(".cicd-toolkit.toml", "[[paths]]\nmatch = [\"*.py\"]\ninstructions = \"Mind the types.\"\n")], true),
        (vec![(".gitattributes", "*.js linguist-generated\n")], false),
        (vec![(".gitattributes", "*.py -linguist-generated\n")], true),
    ] {
        world.on_base(&files);
        let review = world.job(Trigger::Event).await;
        assert_eq!((review.outcome, review.receipt.reviewed_by.is_none()), (Outcome::Reviewed, again), "{files:?}");
        assert_eq!(world.paid(), again, "{files:?}");
        let _ = std::fs::remove_file(world.dir.path().join("bundle.json"));
    }
}

#[tokio::test]
async fn a_change_on_this_machine_obeys_its_base() {
    let world = World::new().await;
    let work = world.work();
    world.commit(".cicd-toolkit.toml", "[[paths]]\nmatch = [\"*.txt\"]\nexclude = true\n");
    world.commit(".gitattributes", "docs/** linguist-generated\n");
    std::fs::create_dir_all(work.join("docs")).unwrap();
    std::fs::write(work.join(".cicd-toolkit.toml"), "no policy").unwrap();
    std::fs::write(work.join(".gitattributes"), "").unwrap();
    std::fs::write(work.join("docs/a.md"), "x\n").unwrap();
    std::fs::write(work.join("b.txt"), "x\n").unwrap();
    let review = world.review(ReviewRequest { path: Some(work), trigger: Trigger::Manual, ..Default::default() }).await;
    assert_eq!(
        coverage(&review),
        [
            ".cicd-toolkit.toml: seen",
            ".gitattributes: seen",
            "b.txt: excluded by the rule for `*.txt`",
            "docs/a.md: generated (`linguist-generated`)",
        ],
        "{:?}",
        review.reason
    );
}
