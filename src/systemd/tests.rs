//! Against a fake manager at the other end of a socket pair.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use zbus::connection::Builder;
use zbus::message::Type;
use zbus::wire::ObjectPath;
use zbus::{Guid, MessageStream};

use super::*;

/// What the fake does when it is called, in order.
enum Act {
    /// Replies with the path of this job.
    Job(u32),
    /// Signals that a job is over.
    Removed(u32, &'static str),
    Fail(&'static str),
    /// Replies with the properties of a unit.
    Properties(Vec<(&'static str, Variant<'static>)>),
    /// Goes away.
    HangUp,
}

use Act::{Fail as Refuse, HangUp, Job, Properties, Removed};

/// A manager whose calls of jobs and of `GetAll` are answered by `answer`, and the members that were called.
async fn fake(answer: impl Fn(&str, &str) -> Vec<Act> + Send + 'static) -> (Manager, Arc<Mutex<Vec<String>>>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = Builder::unix_stream(theirs).server(Guid::generate()).p2p().build();
    let client = Builder::unix_stream(ours).p2p().method_timeout(Duration::from_secs(20)).build();
    let (server, client) = tokio::join!(server, client);
    let (server, called) = (server.unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = called.clone();
    tokio::spawn(async move {
        let mut calls = MessageStream::from(&server);
        while let Some(Ok(call)) = calls.next().await {
            if call.message_type() != Type::MethodCall {
                continue;
            }
            let header = call.header();
            let member = header.member().unwrap().to_string();
            let path = header.path().unwrap().to_string();
            // The last part of a unit's path stands for its name; the first argument names it elsewhere.
            let unit = match member.as_str() {
                "GetAll" => path.rsplit('/').next().unwrap().replace("_2e", "."),
                "StartUnit" | "StopUnit" | "RestartUnit" => call.body().deserialize::<(String, String)>().unwrap().0,
                "LoadUnit" | "ResetFailedUnit" => call.body().deserialize::<String>().unwrap(),
                _ => String::new(),
            };
            if member != "GetNameOwner" {
                log.lock().unwrap().push(format!("{member} {unit}").trim().to_owned());
            }
            match member.as_str() {
                "Subscribe" | "ResetFailedUnit" | "Reload" => server.reply(&header, &()).await.unwrap(),
                "LoadUnit" => {
                    let path = format!("/org/freedesktop/systemd1/unit/{}", unit.replace('.', "_2e"));
                    server.reply(&header, &ObjectPath::try_from(path).unwrap()).await.unwrap();
                }
                // Whoever owns a name: nobody has one on a private socket, and systemd says the same.
                "GetNameOwner" => {
                    let unknown = "org.freedesktop.DBus.Error.UnknownMethod";
                    server.reply_error(&header, unknown, &"no").await.unwrap();
                }
                _ => {
                    for act in answer(&member, &unit) {
                        match act {
                            Job(id) => server.reply(&header, &job(id)).await.unwrap(),
                            Removed(id, result) => {
                                let body = (id, job(id), unit.as_str(), result);
                                let to = None::<&str>;
                                let manager = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
                                server.emit_signal(to, manager.0, manager.1, "JobRemoved", &body).await.unwrap();
                            }
                            Refuse(name) => server.reply_error(&header, name, &"no").await.unwrap(),
                            Properties(pairs) => {
                                let map: HashMap<_, _> = pairs.into_iter().collect();
                                server.reply(&header, &map).await.unwrap();
                            }
                            HangUp => return,
                        }
                    }
                }
            }
        }
    });
    (Manager::new(client.unwrap()).await.unwrap(), called)
}

fn job(id: u32) -> ObjectPath<'static> {
    ObjectPath::try_from(format!("/org/freedesktop/systemd1/job/{id}")).unwrap()
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it hangs")
}

fn failed(pairs: &[(&'static str, &'static str)], status: i32) -> Act {
    let mut all: Vec<(&'static str, Variant<'static>)> =
        vec![("ActiveState", "failed".into()), ("ExecMainStatus", status.into())];
    all.extend(pairs.iter().map(|(name, value)| (*name, (*value).into())));
    Properties(all)
}

fn names(units: &[&str]) -> Vec<String> {
    units.iter().map(|unit| (*unit).to_owned()).collect()
}

#[tokio::test]
async fn a_start_waits_for_the_end_of_its_job_and_for_no_other() {
    let (manager, called) =
        fake(|_, _| vec![Removed(6, "failed"), Job(7), Removed(8, "failed"), Removed(7, "done")]).await;
    within(manager.change_one(Verb::Start, "x.service")).await.unwrap();
    assert_eq!(*called.lock().unwrap(), ["Subscribe", "ResetFailedUnit x.service", "StartUnit x.service"]);
}

#[tokio::test]
async fn a_job_that_is_over_before_the_reply_is_not_waited_for_in_vain() {
    for verb in [Verb::Start, Verb::Stop, Verb::Restart] {
        let (manager, _) = fake(|_, _| vec![Removed(7, "done"), Job(7)]).await;
        within(manager.change_one(verb, "x.service")).await.unwrap();
    }
    let (manager, _) = fake(|_, _| vec![Removed(7, "done"), Job(7)]).await;
    within(manager.start_transient("x.service", &[("Description", "x".into())])).await.unwrap();
}

#[tokio::test]
async fn a_job_that_did_not_do_it_says_why() {
    for (result, cause) in [
        ("failed", "its process exited with status 203 (EXEC: the program could not be started)"),
        ("timeout", "it was not ready in time"),
        ("dependency", "a unit that it needs did not start"),
        ("canceled", "another request took the place of this one"),
        ("something-new", "its process exited with status 203 (EXEC: the program could not be started)"),
    ] {
        let (manager, _) = fake(move |member, _| match member {
            "GetAll" => vec![failed(&[("Result", "exit-code")], 203)],
            _ => vec![Job(7), Removed(7, result)],
        })
        .await;
        let error = within(manager.change_one(Verb::Start, "x.service")).await.unwrap_err();
        assert_eq!(
            crate::error::describe(&error),
            format!("error: could not start `x.service`\n  cause: {cause}"),
            "{result}"
        );
    }
    let (manager, _) = fake(|_, _| vec![Job(7), Removed(7, "skipped")]).await;
    within(manager.change_one(Verb::Start, "x.service")).await.unwrap();
}

#[tokio::test]
async fn to_stop_a_unit_that_does_not_exist_is_done_and_to_start_it_is_an_error() {
    let unknown = |_: &str, _: &str| vec![Refuse("org.freedesktop.systemd1.NoSuchUnit")];
    let (manager, _) = fake(unknown).await;
    within(manager.change_one(Verb::Stop, "x.service")).await.unwrap();
    let error = within(manager.change_one(Verb::Start, "x.service")).await.unwrap_err();
    assert!(crate::error::describe(&error).starts_with("error: could not start `x.service`\n  cause: "), "{error:#}");
}

#[tokio::test]
async fn of_several_units_each_has_a_result_of_its_own() {
    let (manager, _) = fake(|member, unit| match (member, unit) {
        ("GetAll", _) => vec![failed(&[("Result", "signal")], 9)],
        (_, "a.service") => vec![Job(1)],
        (_, "b.service") => vec![Job(2), Removed(2, "failed"), Removed(1, "done")],
        _ => vec![Refuse("org.freedesktop.DBus.Error.AccessDenied")],
    })
    .await;
    let units = names(&["a.service", "b.service", "c.service"]);
    let mut results = within(manager.change(Verb::Restart, &units)).await.unwrap();
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let texts: Vec<_> = results.into_iter().map(|(unit, result)| (unit, result.err().map(|e| e.to_string()))).collect();
    assert_eq!(texts[0], ("a.service".into(), None));
    assert_eq!(texts[1], ("b.service".into(), Some("its process was killed by signal 9".into())));
    assert!(texts[2].1.as_ref().unwrap().contains("AccessDenied"), "{texts:?}");
}

#[tokio::test]
async fn hundreds_of_jobs_that_end_before_the_last_is_begun_do_not_block_the_connection() {
    let next = std::sync::atomic::AtomicU32::new(1);
    let (manager, _) = fake(move |_, _| {
        let id = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        vec![Removed(id, "done"), Job(id)]
    })
    .await;
    let units: Vec<String> = (0..300).map(|number| format!("u{number}.service")).collect();
    let results = within(manager.change(Verb::Start, &units)).await.unwrap();
    assert_eq!(results.iter().filter(|(_, result)| result.is_ok()).count(), 300);
}

#[tokio::test]
async fn a_state_is_read_from_all_interfaces_and_an_error_names_the_unit() {
    let (manager, called) = fake(|_, unit| match unit {
        "x.service" => vec![Properties(vec![
            ("Id", "x.service".into()),
            ("LoadState", "loaded".into()),
            ("ActiveState", "active".into()),
            ("SubState", "running".into()),
            ("MemoryCurrent", 4096u64.into()),
            ("MemoryMax", u64::MAX.into()),
            ("StatusText", "idle".into()),
        ])],
        _ => vec![Refuse("org.freedesktop.DBus.Error.NoReply")],
    })
    .await;
    let state = within(manager.state("x.service")).await.unwrap();
    assert_eq!((state.load.as_str(), state.active.as_str(), state.sub.as_str()), ("loaded", "active", "running"));
    assert_eq!((state.memory, state.memory_max, state.status_text.as_deref()), (Some(4096), None, Some("idle")));
    assert!(state.is_active() && !state.is_failed());
    assert_eq!(*called.lock().unwrap(), ["GetAll x.service"]);
    let error = within(manager.states(&names(&["x.service", "y.service"]))).await.unwrap_err();
    assert_eq!(error.to_string(), "could not read the state of `y.service`");
}

#[tokio::test]
async fn a_transient_unit_that_does_not_start_says_why() {
    let (manager, _) = fake(|member, _| match member {
        "GetAll" => vec![failed(&[("Result", "exit-code")], 226)],
        _ => vec![Job(7), Removed(7, "failed")],
    })
    .await;
    let error = within(manager.start_transient("x.service", &[])).await.unwrap_err();
    assert!(error.to_string().contains("226 (NAMESPACE"), "{error:#}");

    let (manager, _) = fake(|_, _| vec![Refuse("org.freedesktop.systemd1.UnitExists")]).await;
    let error = within(manager.start_transient("x.service", &[])).await.unwrap_err();
    assert!(error.to_string().contains("UnitExists"), "{error:#}");
}

#[tokio::test]
async fn a_manager_that_goes_away_ends_the_wait() {
    let (manager, _) = fake(|_, _| vec![Job(7), HangUp]).await;
    let error = within(manager.change_one(Verb::Start, "x.service")).await.unwrap_err();
    assert!(format!("{error:#}").contains("the connection to the user manager was lost"), "{error:#}");
    let (manager, _) = fake(|_, _| vec![HangUp]).await;
    within(manager.start_transient("x.service", &[])).await.unwrap_err();
}

#[tokio::test]
async fn without_a_bus_the_error_says_what_is_missing_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let Err(error) = Manager::connect(None, dir.path()).await else { panic!("a manager?") };
    let text = crate::error::describe(&error);
    let place = dir.path().display();
    assert!(text.starts_with("error: could not reach the systemd user manager\n"), "{text}");
    assert!(text.contains(&format!("cause: neither `{place}/bus` nor `{place}/systemd/private` exists")), "{text}");
    assert!(text.contains("hint: log in by ssh"), "{text}");
    // A socket that nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("bus")).unwrap());
    let Err(error) = within(Manager::connect(None, dir.path())).await else { panic!("a manager?") };
    assert!(format!("{error:#}").contains("/bus: "), "{error:#}");
}
