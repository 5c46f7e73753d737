//! An agent that watches: the real runner, store, worker and publishing in a thread that can be stopped or killed, and
//! at the other end a GitHub with many pull requests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cicdctl::agent::AgentName;
use cicdctl::api::ReviewRequest;
use cicdctl::api::client::Client;
use cicdctl::cage::Cage;
use cicdctl::review::Outcome;
use cicdctl::runner::{self, Listening, Scope, Shared};
use cicdctl::secret::Value;
use cicdctl::store::{Store, Watch, now_ms};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{oneshot, watch};

use crate::fake::{Fake, Fault, REPO, TOKEN, text};
use crate::support::Place;

/// Of the agent, but for what a test lays over it.
const SETTINGS: &str = "repo = \"acme/shop\"\n[review]\npost = true\n";

fn name() -> AgentName {
    "shop".parse().unwrap()
}

/// What the process of the agent is: a thread with a runtime of its own.
struct Process {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    kill: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Process {
    /// As `runner::run` begins, without systemd.
    async fn start(place: &Place) -> Process {
        let host = place.host();
        let socket = host.paths.agent_socket(&name());
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let store = place.store();
        store.recover(Some(name()), vec![]).await.unwrap();
        let shared = Shared::new(host, Scope::Agent(name()), store, Cage::Child { because: "a test".into() });
        let (stop, told) = oneshot::channel::<()>();
        let (kill, mut killed) = watch::channel(false);
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let stop = async {
                    let _ = told.await;
                    Ok("the test says so")
                };
                let timeout = Duration::from_millis(200);
                tokio::select! {
                    served = runner::serve(serving, Listening::Systemd(listener), timeout, stop) => {
                        served.unwrap();
                    }
                    _ = killed.wait_for(|killed| *killed) => {}
                }
            });
            // Whatever it was about to do is not done any more.
            runtime.shutdown_background();
        });
        Process { shared, stop: Some(stop), kill, thread }
    }

    async fn end(mut self, orderly: bool) {
        match orderly {
            true => drop(self.stop.take()),
            false => drop(self.kill.send_replace(true)),
        }
        tokio::task::spawn_blocking(move || self.thread.join().unwrap()).await.unwrap();
    }

    fn client(&self) -> Client {
        Client::new(self.shared.host.paths.agent_socket(&name()))
    }

    fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Lets it look, and waits until it has.
    async fn look(&self) {
        let watch = Watch::new(name(), REPO);
        let before = now_ms();
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.shared.look.notify_one();
        for _ in 0..3000 {
            let state = self.store().watch_state(&watch).await.unwrap();
            if state.asked_ms.is_some_and(|asked| asked > before) {
                assert_eq!(state.trouble(), None);
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it does not look");
    }

    /// Until nothing is to be done any more, a look more included.
    async fn settle(&self, limit: Duration) {
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < 2 {
            self.look().await;
            match self.store().open_jobs(Some(name())).await.unwrap() {
                (0, 0) => quiet += 1,
                _ => quiet = 0,
            }
            if began.elapsed() > limit {
                let jobs = self.store().jobs(Some(name()), 50).await.unwrap();
                panic!(
                    "it does not come to rest: {:#?}",
                    jobs.iter().filter(|job| job.ended_ms.is_none()).collect::<Vec<_>>()
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for job in self.store().jobs(Some(name()), 100_000).await.unwrap() {
            *counts.entry(job.outcome.map_or("open".into(), |outcome| outcome.to_string())).or_insert(0) += 1;
        }
        counts
    }
}

/// A host with the agent, and a repository of pull requests, each with heads to come.
struct World {
    place: Place,
    fake: Fake,
    /// Of each pull request its heads, the first of which it begins with.
    heads: BTreeMap<u64, Vec<String>>,
    base: String,
}

impl World {
    /// `heads`: how many each pull request will have.
    async fn new(heads: &BTreeMap<u64, usize>, agent: &str) -> World {
        let place = Place::in_memory();
        let fake = Fake::start().await;
        fake.state().open = false;
        fake.state().git_root = Some(place.path("root"));
        place.config(&format!(
            "[forge.github]\napi_url = \"{}\"\nwrite_pause = \"0s\"\n[runner]\njobs = 8\n",
            fake.api()
        ));
        place.agent("shop", &format!("{SETTINGS}{agent}"));
        std::fs::create_dir_all(place.path("config/credentials")).unwrap();
        std::fs::write(place.path("config/credentials/github-token"), TOKEN).unwrap();
        let mut world = World { place, fake, heads: BTreeMap::new(), base: String::new() };
        world.import(heads);
        world
    }

    fn bare(&self) -> PathBuf {
        self.place.path("root/acme/shop.git")
    }

    fn git(&self, args: &[&str], input: &str) -> String {
        use std::io::Write;
        let mut child = Command::new("git")
            .arg("-C")
            .arg(self.bare())
            .args(args)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success(), "git {args:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// All commits at once.
    fn import(&mut self, heads: &BTreeMap<u64, usize>) {
        std::fs::create_dir_all(self.bare()).unwrap();
        self.git(&["init", "-q", "--bare", "-b", "main", "."], "");
        let data = |text: &str| format!("data {}\n{text}\n", text.len());
        let who = "committer dev <dev@example.invalid> 1700000000 +0000\n";
        let mut stream =
            format!("commit refs/heads/main\n{who}{}M 100644 inline README\n{}\n", data("base"), data("hello\n"));
        for (number, count) in heads {
            for head in 0..*count {
                stream.push_str(&format!(
                    "commit refs/made/{number}/{head}\n{who}{}from refs/heads/main\nM 100644 inline {}\n{}\n",
                    data(&format!("head {head}")),
                    path(*number),
                    data(&content(*number, head)),
                ));
            }
        }
        self.git(&["fast-import", "--quiet"], &stream);
        let refs = self.git(&["for-each-ref", "--format=%(refname) %(objectname)"], "");
        let refs: HashMap<&str, &str> = refs.lines().filter_map(|line| line.split_once(' ')).collect();
        self.base = refs["refs/heads/main"].to_owned();
        for (number, count) in heads {
            let of = |head| refs[format!("refs/made/{number}/{head}").as_str()].to_owned();
            self.heads.insert(*number, (0..*count).map(of).collect());
        }
    }

    /// The pull request now stands at that head of its, first for git and then for the API.
    fn push(&self, number: u64, head: usize) {
        let sha = &self.heads[&number][head];
        let file = self.bare().join(format!("refs/pull/{number}/head"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let new = file.with_extension("new");
        std::fs::write(&new, format!("{sha}\n")).unwrap();
        std::fs::rename(new, file).unwrap();
        let text = content(number, head);
        let added: String = text.lines().map(|line| format!("\n+{line}")).collect();
        let patch = format!("@@ -0,0 +1,{} @@{added}", text.lines().count());
        self.fake.other(number, |pull| {
            pull.base = self.base.clone();
            pull.head = sha.clone();
            pull.files = vec![(path(number), Some(patch))];
            pull.updated = Timestamp::now();
        });
    }

    /// Somebody writes a comment; its id.
    fn say(&self, number: u64, who: serde_json::Value, body: &str) -> u64 {
        self.fake.other(number, |pull| {
            let mut comment = pull.posted(body, "issuecomment");
            comment["user"] = who;
            pull.issue_comments.push(comment.clone());
            comment["id"].as_u64().unwrap()
        })
    }
}

fn path(number: u64) -> String {
    format!("change_{number}.py")
}

/// Two findings, one of which no other head has.
fn content(number: u64, head: usize) -> String {
    format!(
        "import requests\n\nkept_{number} = requests.get(base, verify=False)\n\n\
         def head_{head}():\n    return requests.post(address_{head}, verify=False)\n"
    )
}

/// The same numbers each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound as u64) as usize
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// What happens at GitHub.
    Push(u64, usize),
    Draft(u64),
    Label(u64),
    OpenOrClose(u64),
    /// Somebody calls the API about it, perhaps late and again: with the head that was new then, or without.
    Call(u64, Option<usize>),
    /// GitHub does what it is asked for and says 502, or does nothing and says it.
    Fault(&'static str, &'static str, bool),
    Stop,
    Kill,
}

const PULLS: u64 = 20;
const EVENTS: usize = 1000;
const FACTS: usize = 300;
const FAULTS: usize = 60;
const STOPS: usize = 4;

/// All events in their order, and how many heads each pull request has by the end.
fn script(dice: &mut Dice) -> (Vec<Event>, BTreeMap<u64, usize>) {
    let mut heads: BTreeMap<u64, usize> = (1..=PULLS).map(|number| (number, 1)).collect();
    let mut timed: Vec<(usize, Event)> = Vec::new();
    let mut closed = BTreeSet::new();
    let span = FACTS * 10;
    for at in 0..FACTS {
        let number = 1 + dice.below(PULLS as usize) as u64;
        let event = match dice.below(10) {
            face if face == 2 && dice.below(2) == 0 || face > 4 && closed.contains(&number) => {
                if !closed.remove(&number) {
                    closed.insert(number);
                }
                Event::OpenOrClose(number)
            }
            0 => Event::Draft(number),
            1 => Event::Label(number),
            _ => {
                let head = heads.get_mut(&number).unwrap();
                *head += 1;
                Event::Push(number, *head - 1)
            }
        };
        timed.push((at * 10, event));
    }
    let facts = timed.clone();
    for _ in 0..FAULTS {
        let (method, end) = [
            ("POST", "/reviews"),
            ("POST", "/comments"),
            ("GET", "/files"),
            ("GET", "/comments"),
            ("GET", "/pulls"),
            ("GET", "/reviews"),
        ][dice.below(6)];
        timed.push((dice.below(span), Event::Fault(method, end, dice.below(3) > 0)));
    }
    for _ in 0..STOPS {
        timed.push((dice.below(span), Event::Stop));
        timed.push((dice.below(span), Event::Kill));
    }
    while timed.len() < EVENTS {
        let (at, fact) = &facts[dice.below(facts.len())];
        let (number, head) = match fact {
            Event::Push(number, head) => (*number, Some(*head).filter(|_| dice.below(5) > 0)),
            Event::Draft(number) | Event::Label(number) | Event::OpenOrClose(number) => (*number, None),
            _ => continue,
        };
        timed.push((at + 1 + dice.below(400), Event::Call(number, head)));
    }
    timed.sort_by_key(|(at, _)| *at);
    (timed.into_iter().map(|(_, event)| event).collect(), heads)
}

#[tokio::test]
async fn a_token_that_is_stored_while_it_runs_speaks_from_then_on() {
    let world =
        World::new(&BTreeMap::from([(1, 2)]), "[watch]\ninterval = \"1h\"\ndebounce = \"0s\"\nbacklog = true\n").await;
    world.push(1, 0);
    world.fake.state().expires = Some("2099-01-01 00:00:00 UTC".into());
    let process = Process::start(&world.place).await;
    process.settle(Duration::from_secs(60)).await;
    assert_eq!(process.store().expiries().await.unwrap(), [("github-token".to_owned(), 4_070_908_800_000)]);
    const SECOND: &str = "ghs_5678_canary.second";
    let spoken = || std::mem::take(&mut world.fake.state().spoken);
    let before = spoken();
    assert!(!before.is_empty() && before.iter().all(|token| token == TOKEN), "{before:?}");
    // Both are good for a while, as GitHub's are, so nothing but the store tells it.
    world.fake.state().second_token = Some(SECOND.into());
    process.shared.host.vault().store("github-token", &Value::new(SECOND), true).unwrap();
    process.look().await;
    let after = spoken();
    assert!(!after.is_empty() && after.iter().all(|token| token == SECOND), "{after:?}");
    assert_eq!(process.store().expiries().await.unwrap(), [], "that one has no end");
    // The next job, too.
    world.push(1, 1);
    process.settle(Duration::from_secs(60)).await;
    let last = spoken();
    assert!(last.len() > after.len() && last.iter().all(|token| token == SECOND), "{last:?}");
    assert_eq!(process.outcomes().await, BTreeMap::from([("reviewed".to_owned(), 2)]));
    process.end(true).await;
}

#[tokio::test]
async fn of_a_thousand_shuffled_and_doubled_events_each_surviving_head_has_one_published_review() {
    let began = Instant::now();
    let mut dice = Dice(0x5EED_2026);
    let (events, heads) = script(&mut dice);
    assert_eq!(events.len(), EVENTS);
    let world = World::new(&heads, "[watch]\ninterval = \"10s\"\ndebounce = \"1s\"\nbacklog = true\n").await;
    let fake = &world.fake;
    for number in heads.keys() {
        world.push(*number, 0);
    }
    let mut process = Process::start(&world.place).await;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        let kind = match event {
            Event::Push(number, head) => {
                world.push(number, head);
                "pushes"
            }
            Event::Draft(number) => {
                fake.other(number, |pull| (pull.draft, pull.updated) = (!pull.draft, Timestamp::now()));
                "drafts and ready"
            }
            Event::Label(number) => {
                fake.other(number, |pull| {
                    pull.labels = if pull.labels.is_empty() { vec!["later".into()] } else { vec![] };
                    pull.updated = Timestamp::now();
                });
                "labels"
            }
            Event::OpenOrClose(number) => {
                fake.other(number, |pull| (pull.open, pull.updated) = (!pull.open, Timestamp::now()));
                "closed and reopened"
            }
            Event::Call(number, head) => {
                let head = head.map(|head| world.heads[&number][head].clone());
                let request = ReviewRequest { pr: Some(number), head, ..Default::default() };
                process.client().review(&request).await.unwrap();
                "API calls"
            }
            Event::Fault(method, end, done_first) => {
                let waiting = fake.state().faults.iter().any(|fault| (fault.method, fault.path) == (method, end));
                if !waiting {
                    fake.fault(Fault { done_first, ..Fault::new(method, end, 502) });
                }
                "502s"
            }
            Event::Stop | Event::Kill => {
                process.end(matches!(event, Event::Stop)).await;
                process = Process::start(&world.place).await;
                "restarts"
            }
        };
        *counts.entry(kind).or_default() += 1;
        if dice.below(3) == 0 {
            process.shared.look.notify_one();
        }
        tokio::time::sleep(Duration::from_millis(dice.below(30) as u64)).await;
    }
    let played = began.elapsed();
    fake.state().faults.clear();
    // Whether drafts are reviewed is the business of others.
    for number in heads.keys() {
        fake.other(*number, |pull| (pull.draft, pull.updated) = (false, Timestamp::now()));
    }
    process.settle(Duration::from_secs(90)).await;

    let outcomes = process.outcomes().await;
    let (mut surviving, mut published, mut late, mut wrong) = (0, 0, 0, Vec::new());
    for (number, count) in &heads {
        fake.other(*number, |pull| {
            let of = |sha: &String| pull.reviews.iter().filter(|review| review["commit_id"] == sha.as_str()).count();
            let batches: Vec<usize> = world.heads[number].iter().map(of).collect();
            late += pull.late_summaries;
            published += batches.iter().sum::<usize>();
            if batches.iter().any(|count| *count > 1) {
                wrong.push(format!("{number}: a head has more than one batch: {batches:?}"));
            }
            if !pull.open {
                return;
            }
            surviving += 1;
            let head = &world.heads[number][*count - 1];
            assert_eq!(*head, pull.head);
            // One finding is new with each head, the other one was commented on at the first.
            let here = pull.review_comments.iter().filter(|comment| comment["line"] == 6).count();
            if batches[*count - 1] != 1 || here != batches.iter().sum::<usize>() {
                wrong.push(format!("{number}: {batches:?}, {here} comments"));
            }
            let summaries = pull.issue_comments.len();
            if summaries != 1 || !pull.issue_comments[0]["body"].as_str().unwrap().contains(head) {
                wrong.push(format!("{number}: {summaries} summaries, or one of another head than {head}"));
            }
            let last = fake_status(&world, head);
            if last.as_deref() != Some("success") {
                wrong.push(format!("{number}: the status of {head} is {last:?}"));
            }
        });
    }
    eprintln!(
        "{EVENTS} events {counts:?} in {:.1} s; jobs {outcomes:?}; {} heads, {published} published, {surviving} survive; \
         {late} summaries overtaken by a push on their way; {:.1} s in all",
        played.as_secs_f64(),
        heads.values().sum::<usize>(),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(wrong, [""; 0]);
    let failed = process.store().jobs(Some(name()), 100_000).await.unwrap().into_iter();
    let failed: Vec<Option<String>> =
        failed.filter(|job| job.outcome == Some(Outcome::Failed)).map(|job| job.reason).collect();
    assert_eq!(failed, []);
    assert!(surviving > PULLS as usize / 2);
    process.end(true).await;
}

/// The last status of a commit.
fn fake_status(world: &World, sha: &str) -> Option<String> {
    let state = world.fake.state();
    state.statuses.iter().rev().find(|(of, ..)| of == sha).map(|(_, state, _)| state.clone())
}

#[tokio::test]
async fn what_is_open_at_the_first_look_is_left_alone_until_it_changes() {
    let heads = BTreeMap::from([(1, 2), (2, 1)]);
    let world = World::new(&heads, "[watch]\ninterval = \"10s\"\ndebounce = \"0s\"\n").await;
    world.push(1, 0);
    let process = Process::start(&world.place).await;
    process.settle(Duration::from_secs(20)).await;
    assert_eq!(process.outcomes().await, BTreeMap::new());
    assert!(world.fake.state().log.iter().all(|line| line.starts_with("GET ")));
    process.end(true).await;

    // What comes while nobody looks is found afterwards.
    world.push(1, 1);
    world.push(2, 0);
    let process = Process::start(&world.place).await;
    process.settle(Duration::from_secs(30)).await;
    assert_eq!(process.outcomes().await, BTreeMap::from([("reviewed".to_owned(), 2)]));
    let asked = world.fake.count("GET /repos/acme/shop/pulls/");
    process.end(false).await;

    let process = Process::start(&world.place).await;
    process.settle(Duration::from_secs(20)).await;
    assert_eq!(process.outcomes().await, BTreeMap::from([("reviewed".to_owned(), 2)]));
    assert_eq!(world.fake.count("GET /repos/acme/shop/pulls/"), asked);
    process.end(true).await;
}

#[tokio::test]
async fn a_push_within_the_debounce_ends_what_waits_and_a_closed_pull_request_takes_it_along() {
    let heads = BTreeMap::from([(1, 4)]);
    let world = World::new(&heads, "[watch]\ninterval = \"10s\"\ndebounce = \"2s\"\n").await;
    let process = Process::start(&world.place).await;
    process.look().await;
    for head in 0..3 {
        world.push(1, head);
        process.look().await;
    }
    assert_eq!(process.outcomes().await, BTreeMap::from([("superseded".to_owned(), 2), ("open".to_owned(), 1)]));
    process.settle(Duration::from_secs(30)).await;
    assert_eq!(world.fake.other(1, |pull| pull.reviews.len()), 1);
    world.push(1, 3);
    process.look().await;
    world.fake.other(1, |pull| (pull.open, pull.updated) = (false, Timestamp::now()));
    process.look().await;
    let last = process.store().jobs(Some(name()), 1).await.unwrap().remove(0);
    assert_eq!((last.outcome, last.reason.as_deref()), (Some(Outcome::Cancelled), Some("the pull request was closed")));
    process.end(true).await;
}

#[tokio::test]
async fn who_may_write_asks_by_a_comment_once() {
    let heads = BTreeMap::from([(1, 1)]);
    let world = World::new(&heads, "[watch]\ninterval = \"10s\"\ndebounce = \"0s\"\n").await;
    let person = |login: &str| json!({ "id": 9, "login": login, "type": "User" });
    world.push(1, 0);
    world.fake.state().writers = vec!["bob".into(), "helper[bot]".into()];
    let old = world.say(1, person("bob"), "/review");
    let mut process = Process::start(&world.place).await;
    process.settle(Duration::from_secs(20)).await;
    assert_eq!(process.outcomes().await, BTreeMap::new(), "what was said before is old");

    // GitHub's times are in whole seconds, and what is as old as the first look is none of ours.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let stranger = world.say(1, person("mallory"), "/review full");
    let chat = world.say(1, person("bob"), "what does /review do?");
    world.say(1, json!({ "id": 8, "login": "helper[bot]", "type": "Bot" }), "/review");
    process.settle(Duration::from_secs(20)).await;
    assert_eq!(process.outcomes().await, BTreeMap::new());
    assert_eq!(world.fake.state().reactions, [(stranger, "confused".to_owned())]);

    let asked = world.say(1, person("bob"), "/review full\n\nplease");
    process.settle(Duration::from_secs(30)).await;
    let reactions = [(stranger, "confused".to_owned()), (asked, "eyes".to_owned())];
    assert_eq!(world.fake.state().reactions, reactions);
    let job = process.store().jobs(Some(name()), 9).await.unwrap();
    assert_eq!((job.len(), job[0].outcome, job[0].request.full), (1, Some(Outcome::Reviewed), true));
    assert_eq!(serde_json::to_value(job[0].request.trigger).unwrap(), "comment");
    assert_eq!(world.fake.other(1, |pull| pull.reviews.len()), 1);

    // Neither another text, nor a restart, nor both make an old one new.
    for orderly in [true, false] {
        process.end(orderly).await;
        world.fake.other(1, |pull| {
            pull.updated = Timestamp::now();
            for comment in &mut pull.issue_comments {
                if [old, chat].contains(&comment["id"].as_u64().unwrap()) {
                    (comment["body"], comment["updated_at"]) = ("/review".into(), text(pull.updated).into());
                }
            }
        });
        process = Process::start(&world.place).await;
        process.settle(Duration::from_secs(20)).await;
    }
    assert_eq!(process.store().jobs(Some(name()), 9).await.unwrap().len(), 1);
    assert_eq!(world.fake.state().reactions, reactions);
    process.end(true).await;
}

#[tokio::test]
async fn a_forge_that_is_not_there_is_waited_for_and_what_is_wrong_is_known() {
    let heads = BTreeMap::from([(1, 1)]);
    let world = World::new(&heads, "[watch]\ninterval = \"10s\"\n").await;
    std::fs::write(world.place.path("config/credentials/github-token"), "wrong").unwrap();
    let watch = Watch::new(name(), REPO);
    let until = async |process: &Process, words: Option<&str>| {
        let before = now_ms();
        tokio::time::sleep(Duration::from_millis(2)).await;
        process.shared.look.notify_one();
        loop {
            let state = process.store().watch_state(&watch).await.unwrap();
            if state.asked_ms.is_some_and(|asked| asked > before) {
                let trouble = state.trouble();
                assert_eq!(trouble.is_some(), words.is_some(), "{trouble:?}");
                assert!(words.is_none_or(|words| trouble.unwrap().contains(words)), "{trouble:?}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let process = Process::start(&world.place).await;
    until(&process, Some("`cicdctl secret set github-token` stores another")).await;
    std::fs::remove_file(world.place.path("config/credentials/github-token")).unwrap();
    until(&process, Some("there is no token for GitHub")).await;
    std::fs::write(world.place.path("config/credentials/github-token"), TOKEN).unwrap();
    until(&process, None).await;
    world.fake.fault(Fault::new("GET", "/pulls", 403).header("retry-after", "60"));
    until(&process, Some("it takes requests again after 20")).await;
    // In the middle of a long pause it ends at once.
    let began = Instant::now();
    process.end(true).await;
    assert!(began.elapsed() < Duration::from_secs(3));
}
