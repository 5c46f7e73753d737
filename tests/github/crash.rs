//! A reviewer that is killed at any moment, and the next one that takes the job up: nothing is paid, posted or noted
//! twice.

use std::time::Duration;

use cicdctl::api::Job;
use cicdctl::review::{Outcome, Review};
use cicdctl::store::{Ask, Store, Wanted};

use crate::fake::REPO;
use crate::money;
use crate::review::{World, body, posted};

/// An engine that says the same in other words each time.
const FICKLE: &str = r#"echo called >>ROOT/calls; n=$(wc -l <ROOT/calls)
echo '{"findings": [{"path": "a.py", "start_line": 5, "severity": "high", "category": "security",
"title": "'$(echo "$n" | tr 1-9 a-i)' nobody checks whom it talks to", "explanation": "Certificates are not looked at."}]}'"#;

async fn begun(world: &mut World) -> Job {
    let store = match &world.store {
        Some(store) => store.clone(),
        None => Store::open(&world.path("store.db")).unwrap(),
    };
    let request = cicdctl::api::ReviewRequest { path: Some(world.work()), ..posted() };
    store.accept(Ask { request, pull: Some(format!("{REPO}#42")), ..Ask::default() }).await.unwrap();
    let job = store.claim(None).await.unwrap().unwrap();
    world.store = Some(store);
    job
}

/// The review, unless its process is killed as soon as GitHub has been asked so often.
async fn killed_at(world: &World, job: &Job, requests: usize) -> Option<Review> {
    let enough = async {
        while world.fake.state().log.len() < requests {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = enough => None,
        review = world.review_as(&job.id, job.request.clone()) => Some(review),
    }
}

fn calls(world: &World) -> usize {
    std::fs::read_to_string(world.path("calls")).unwrap_or_default().lines().count()
}

#[tokio::test]
async fn a_kill_at_any_request_to_the_forge_doubles_nothing() {
    let (mut kills, mut after_engine) = (0, 0);
    for requests in 1.. {
        let mut world = World::new().await.with_engine(FICKLE);
        let job = begun(&mut world).await;
        let first = killed_at(&world, &job, requests).await;
        let is_over = first.is_some();
        let had_result = world.path(&format!("workspace/{}/out/result.json", job.id)).exists();
        // Killed before the end is written down, too.
        let review = world.review_as(&job.id, job.request.clone()).await;
        assert_eq!((review.outcome, &review.reason), (Outcome::Reviewed, &None), "after {requests}");
        assert_eq!(review.receipt.notes, [""; 0], "after {requests}");
        if had_result {
            assert_eq!(calls(&world), 1, "after {requests}: paid twice");
        }
        {
            let state = world.fake.state();
            let counts = (state.reviews.len(), state.review_comments.len(), state.issue_comments.len());
            assert_eq!(counts, (1, 1, 1), "after {requests}: {:?}", state.log);
            assert!(body(&state.review_comments[0]).contains(&review.findings[0].title), "after {requests}: reworded");
            assert_eq!(state.statuses.last().unwrap().1, "success");
        }
        let rows = world.store.as_ref().unwrap().findings(Wanted::default()).await.unwrap();
        assert_eq!(rows.len(), 1, "after {requests}: {rows:?}");
        assert_eq!(rows[0].first.job, job.id);
        if is_over {
            break;
        }
        kills += 1;
        after_engine += usize::from(had_result);
    }
    // Where nothing was killed it has shown nothing.
    assert!(kills >= 8 && after_engine >= 5, "{kills} kills, {after_engine} of them after the engine");
}

#[tokio::test]
async fn what_was_reserved_is_settled_once_by_who_takes_the_result() {
    let mut world = money::world(&["cost 0.40"]).await;
    let job = begun(&mut world).await;
    let store = world.store.clone().unwrap();
    // As soon as its result is there, and before it is settled, as far as that can be hit.
    let result = world.path(&format!("workspace/{}/out/result.json", job.id));
    let there = async {
        while !result.exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = there => {}
        review = world.review_as(&job.id, job.request.clone()) => panic!("{review:?}"),
    }
    let held = store.spending(0, 0).await.unwrap();
    assert_eq!((held.len(), held[0].spent, held[0].priced), (1, None, false), "{held:?}");
    let review = world.review_as(&job.id, job.request.clone()).await;
    assert_eq!((review.outcome, review.findings.len()), (Outcome::Reviewed, 1), "{:?}", review.reason);
    let spent = store.spending(0, 0).await.unwrap();
    let cost = spent[0].spent.map(|spent| spent.micros());
    assert_eq!((spent.len(), cost, spent[0].priced), (1, Some(400_000), true), "{spent:?}");
    assert_eq!(money::budgets(&world).len(), 1);
}

#[tokio::test]
async fn another_head_or_another_turn_is_other_work() {
    let mut world = World::new().await.with_engine(FICKLE);
    let job = begun(&mut world).await;
    let first = world.review_as(&job.id, job.request.clone()).await;
    world.push("import requests\n\n\ndef fetch(url):\n    return requests.put(url, verify=False)\n");
    let second = world.review_as(&job.id, job.request.clone()).await;
    assert_ne!(first.receipt.head_sha, second.receipt.head_sha);
    assert_eq!((second.outcome, calls(&world)), (Outcome::Reviewed, 2));
    // The same again is the same, also where other instructions come between that are taken back.
    world.config.review.instructions = "Look twice.".into();
    world.review_as(&job.id, job.request.clone()).await;
    assert_eq!(calls(&world), 3);
    world.review_as(&job.id, job.request.clone()).await;
    assert_eq!(calls(&world), 3);
    world.turn = 1;
    world.review_as(&job.id, job.request.clone()).await;
    assert_eq!(calls(&world), 4);
}
