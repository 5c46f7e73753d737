use cicdctl::api::{ReviewRequest, Trigger};
use cicdctl::review::{Outcome, Review};
use cicdctl::store::{Ask, Store};

use crate::Place;

#[test]
fn without_a_runner_it_says_how_to_get_one() {
    let place = Place::new();
    for line in ["job list", "job show x", "job follow x", "job cancel x"] {
        place.run(line).status(1).stderr(&format!(
            "error: could not reach the runner at `{}`: nobody listens there\n  cause: No such file or directory (os error 2)\n  hint: `cicdctl status` shows the socket's unit, `cicdctl init` sets it up, `cicdctl logs` says why it failed\n",
            place.text("run/cicd-runner.sock")
        ));
    }
}

/// A job of pull request 42 that was skipped, and one of another repository that waits.
async fn two_jobs(place: &Place) -> (String, String) {
    let store = Store::open(&place.path("home/.local/state/cicd-toolkit/store.db")).unwrap();
    let ask = |repo: &str, trigger| Ask {
        request: ReviewRequest { pr: Some(42), trigger, ..Default::default() },
        pull: Some(format!("{repo}#42")),
        ..Ask::default()
    };
    let skipped = store.accept(ask("acme/shop", Trigger::Event)).await.unwrap().job.id;
    store.claim(None).await.unwrap().unwrap();
    let review = Review {
        job: skipped.clone(),
        project: "acme/shop".into(),
        subject: "pull request 42".into(),
        outcome: Outcome::Skipped,
        reason: Some("it is a draft".into()),
        summary: None,
        findings: vec![],
        receipt: Default::default(),
        retry_at_ms: None,
        unpublished: None,
    };
    store.finish(&skipped, review).await.unwrap();
    let waiting = store.accept(ask("acme/web", Trigger::Comment)).await.unwrap().job.id;
    (skipped, waiting)
}

#[tokio::test]
async fn without_a_runner_the_store_says_why_a_pull_request_was_not_reviewed() {
    let place = Place::new();
    let (skipped, waiting) = two_jobs(&place).await;
    let lines = |ran: &mut crate::Ran| -> Vec<String> {
        // The time is left out.
        let text = ran.take_stdout();
        text.lines().map(|line| line.split(" 20").next().unwrap().to_owned()).collect()
    };
    let both = [
        format!("{waiting} acme/web#42, asked for in a comment"),
        "    waits in the queue of the runner".into(),
        format!("{skipped} acme/shop#42, asked for by an event"),
        "    not reviewed: it is a draft".into(),
    ];
    assert_eq!(lines(&mut place.run("job list --why 42")), both);
    assert_eq!(lines(&mut place.run("job list --why 42 --repo Acme/Shop")), both[2..]);
    let json: serde_json::Value =
        serde_json::from_str(&place.run("job list --why 42 --repo acme/shop --json").take_stdout()).unwrap();
    assert_eq!((&json[0]["why"], &json[0]["outcome"]), (&"not reviewed: it is a draft".into(), &"skipped".into()));
    assert_eq!(json.as_array().unwrap().len(), 1);

    place.run("job list --why 7").stderr("Nothing has asked for a review of pull request 7 yet.\n");
    place.run("job list --why 7 --json").stdout("[]\n");
    place.run("job list --why 42 --repo shop").status(2).stderr_has(&["`shop` is no repository"]);
    place.run("job list --repo acme/shop").status(2).stderr_has(&["--why <NUMBER>"]);
    place.run("job list").stdout_has(&[&waiting, &skipped, "it is a draft"]);
}
