use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use cicdctl::git::{Change, Mirror, Repository};

use crate::check::{Dice, Tally, check};
use crate::oracle;

/// What the repository of `history.py` must have at least; of another one so many are looked at.
const LEAST: usize = 2000;
const OF_OURS: usize = 150;

#[test]
fn what_is_commented_on_is_shown_by_git_in_thousands_of_real_commits() {
    let (repository, least) = match std::env::var_os("CICDCTL_TEST_HISTORY") {
        Some(path) => (PathBuf::from(path), LEAST),
        None => {
            eprintln!("without CICDCTL_TEST_HISTORY (see tests/anchors/history.py) it is our own commits");
            (PathBuf::from(env!("CARGO_MANIFEST_DIR")), 1)
        }
    };
    let listed = oracle::git(&repository).args(["rev-list", "--no-merges", "--parents", "HEAD"]).output().unwrap();
    if !listed.status.success() && least == 1 {
        eprintln!("skipped: no repository here");
        return;
    }
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut pairs: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    if least == 1 {
        pairs.truncate(OF_OURS);
    }
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let tally = look(&repository, &pairs, &next);
                *total.lock().unwrap() += tally;
            });
        }
    });
    let total = *total.lock().unwrap();
    eprintln!("real commits: {total}; {:.0} s", began.elapsed().as_secs_f64());
    assert_eq!(total.changes, pairs.len());
    assert!(total.changes >= least, "only {} commits", total.changes);
    assert!(total.comments > total.changes && total.summary > 0, "{total}");
}

fn look(repository: &Path, pairs: &[(&str, &str)], next: &AtomicUsize) -> Tally {
    let cache = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut total = Tally::default();
    runtime.block_on(async {
        let mirror = Mirror::open(cache.path(), Repository::open(repository).await.unwrap()).await.unwrap();
        while let Some((head, base)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let change = Change {
                base: (*base).to_owned(),
                head: (*head).to_owned(),
                rules: (*base).to_owned(),
                subject: (*head).to_owned(),
            };
            let diff = mirror.diff(&change).await.unwrap();
            let shown = oracle::files(repository, base, head);
            let seed = u64::from_str_radix(&head[..16], 16).unwrap();
            total += check(&diff, &shown, &mut Dice(seed));
        }
    });
    total
}
