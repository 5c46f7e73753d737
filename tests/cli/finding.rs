use cicdctl::review::ledger::{Dismissal, Entry, Row, State};
use cicdctl::store::{Store, Wanted};
use serde_json::Value;

use crate::Place;

/// A repository with a fault, and a store as `init` makes one: from then on a review is remembered.
fn with_store() -> Place {
    let place = Place::new().with_fault();
    let path = place.path("home/.local/state/cicd-toolkit/store.db");
    drop(Store::open(&path).unwrap());
    place
}

fn listed(place: &Place, line: &str) -> Vec<Value> {
    let mut ran = place.run(line);
    serde_json::from_str(&ran.take_stdout()).unwrap()
}

const FOUND: &[&str] = &["reviewed: 1 finding (1 high), 1 file seen\n"];

#[test]
fn a_dismissed_finding_is_not_shown_until_it_is_restored_or_its_lines_change() {
    let place = with_store();
    place.run("review -q").stdout_has(FOUND);
    let rows = listed(&place, "finding list --json");
    let name = rows[0]["fingerprint"].as_str().unwrap().to_owned();
    let repo = place.text("repo");
    assert_eq!((rows.len(), &rows[0]["state"], &rows[0]["project"]), (1, &"open".into(), &repo.as_str().into()));
    place
        .run("finding list")
        .stdout(&format!("{name} open      high     {repo} app.py:2 TLS certificates are not checked\n"));

    let reason = "--reason test=only";
    place
        .run(&format!("finding dismiss {} {reason}", &name[..6]))
        .stderr(&format!("dismissed `{name}` in {repo}: TLS certificates are not checked\n"));
    place.run("review -q").stdout_has(&["reviewed: no findings, 1 dismissed before, 1 file seen\n"]);
    place.run("review -q --fail-on info").stdout_has(&["1 dismissed before"]);
    place.run("finding list").stderr("There are no open findings.\n");
    place.run("finding list --state dismissed --path .").stdout_has(&["dismissed high", ": test=only)\n"]);
    place.run(&format!("finding show {name}")).stdout_has(&["state     dismissed at 20", "where     app.py:2\n"]);
    place.run(&format!("finding dismiss {name}")).stderr("Nothing to change: dismissed already.\n");

    place
        .run(&format!("finding restore {name}"))
        .stderr(&format!("restored `{name}` in {repo}: TLS certificates are not checked\n"));
    place.run("review -q").stdout_has(FOUND);
    place.run(&format!("finding restore {name}")).stderr("Nothing to change: not dismissed.\n");

    place.run(&format!("finding dismiss -q {name}"));
    place.write("repo/app.py", "import requests\nresponse = requests.get(url, verify=False)\n");
    place.run("review -q").stdout_has(FOUND);
}

#[test]
fn what_is_mended_is_fixed() {
    let place = with_store();
    place.run("review -q").stdout_has(FOUND);
    place.write("repo/app.py", "import requests\nr = requests.get(url)\n");
    place.run("review -q").stdout_has(&["reviewed: no findings, 1 fixed since the last review, 1 file seen\n"]);
    assert_eq!(listed(&place, "finding list --state fixed --json").len(), 1);
}

#[test]
fn a_working_copy_obeys_what_was_dismissed_in_the_repository_of_its_agent() {
    let place = with_store();
    place.run("review -q").stdout_has(FOUND);
    let path = place.path("home/.local/state/cicd-toolkit/store.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&path).unwrap();
        let row = store.findings(Wanted::default()).await.unwrap().remove(0);
        let dismissal = Some(Dismissal { by: "mary".into(), why: None, at_ms: 1 });
        let row = Row { project: "acme/shop".into(), pull: 7, state: State::Dismissed, dismissal, ..row };
        store.record_findings(vec![Entry { row, was: None }]).await.unwrap();
    });
    place.run("review -q").stdout_has(FOUND);
    let agent = format!("path = \"{}\"\nrepo = \"Acme/Shop\"\n", place.text("repo"));
    place.write("home/.config/cicd-toolkit/agents/shop.toml", &agent);
    place.run("review -q").stdout_has(&["reviewed: no findings, 1 dismissed before, 1 file seen\n"]);
    assert_eq!(listed(&place, "finding list --state dismissed --path . --json").len(), 2);
    assert_eq!(listed(&place, "finding list --state all --repo acme/SHOP --json").len(), 1);
    assert_eq!(listed(&place, "finding list --state all --pr 8 --json").len(), 0);
}

#[test]
fn an_id_that_is_none_or_several_is_refused() {
    let place = with_store();
    place.write("repo/b.py", "import requests\nx = requests.get(a, verify=False)\ny = requests.put(b, verify=False)\n");
    place.run("review -q").stdout_has(&["3 findings"]);
    let rows = listed(&place, "finding list --json");
    let names: Vec<&str> = rows.iter().map(|row| row["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3);
    let missing = "  hint: `cicdctl finding list --state all` shows their fingerprints\n";
    place.run("finding dismiss xyz").status(1).stderr(&format!("error: there is no finding `xyz`\n{missing}"));
    let path = place.path("home/.local/state/cicd-toolkit/store.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&path).unwrap();
        let row = store.findings(Wanted::default()).await.unwrap().remove(0);
        let twin = Row { fingerprint: format!("{}zz", &row.fingerprint[..14]), pull: 7, ..row };
        store.record_findings(vec![Entry { row: twin, was: None }]).await.unwrap();
    });
    let (first, beginning) = (names[0], &names[0][..14]);
    let title = "TLS certificates are not checked";
    place.run(&format!("finding dismiss {beginning}")).status(1).stderr(&format!(
        "error: `{beginning}` is the beginning of 2 findings\n  hint: write more of it: `{first}` ({title}) and `{beginning}zz` ({title})\n"
    ));
    place.run(&format!("finding dismiss -q {beginning} --pr 7"));
    assert_eq!(listed(&place, "finding list --pr 7 --state dismissed --json").len(), 1);
    place.run(&format!("finding dismiss -q {} {}", names[0], names[1]));
    assert_eq!(listed(&place, "finding list --json").len(), 1);
    place.run("finding list --repo x").status(2).stderr("error: `--repo` is written `owner/name`\n");
    place.run("finding dismiss").status(2).stderr_has(&["required arguments were not provided"]);
}

#[test]
fn where_nothing_is_set_up_nothing_is_left() {
    let place = Place::new().with_fault();
    place.run("review -q").stdout_has(FOUND);
    place.run("finding list").stderr("There are no open findings.\n");
    place.run("finding list --json").stdout("[]\n");
    place.run("finding dismiss aa").status(1).stderr_has(&["error: there is no finding `aa`"]);
    assert!(!place.path("home/.local/state/cicd-toolkit/store.db").exists());
}
