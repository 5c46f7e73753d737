//! Which cicdctl this is, whether an upgrade was interrupted, and whether others lie in the way.

use std::path::{Path, PathBuf};

use super::{Check, ok, warning};
use crate::command::upgrade::{Note, installed};
use crate::engine::pin;
use crate::files;
use crate::host::Host;

pub(super) async fn checks(host: &Host) -> Vec<Check> {
    let mut checks = Vec::new();
    match Note::load(host) {
        Ok(Some(note)) => checks.push(warning("upgrade", note.in_words(), "`cicdctl upgrade` brings it to its end")),
        Ok(None) => {}
        Err(error) => checks.push(warning("upgrade", format!("{error:#}"), "remove the file, then `cicdctl upgrade`")),
    }
    let program = match installed(host) {
        Ok(program) => program,
        Err(error) => {
            checks.push(warning("upgrade", format!("{error:#}"), "run `apply` of the cicdctl that is to be used"));
            return checks;
        }
    };
    let left = program.parent().map(files::abandoned).and_then(Result::ok).unwrap_or_default();
    if let (true, Some(left)) = (checks.is_empty(), left.first()) {
        let found = format!("`{}` is left of an upgrade that was killed before it replaced anything", left.display());
        checks.push(warning(
            "upgrade",
            found,
            "`cicdctl upgrade` removes it, where root installed the program as root",
        ));
    }
    let mut others = Vec::new();
    for path in others_on_path(host, &program) {
        let version = pin::version(&path).await.unwrap_or_else(|_| "one that does not start".into());
        if version != format!("cicdctl {}", crate::version()) {
            others.push(format!("`{}` is {version}", path.display()));
        }
    }
    if !others.is_empty() {
        checks.push(warning(
            "upgrade",
            format!("the units start `{}`; also on your PATH: {}", program.display(), others.join(", ")),
            "remove what is not meant, or `cicdctl upgrade --from` the newer one",
        ));
    }
    if checks.is_empty() {
        checks.push(ok("upgrade", format!("cicdctl {} at {}, and no other", crate::version(), program.display())));
    }
    checks
}

/// Each program of our names that is another file than the installed one.
fn others_on_path(host: &Host, program: &Path) -> Vec<PathBuf> {
    let path = host.variable("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in std::env::split_paths(path) {
        for name in ["cicdctl", "cicd-runner"] {
            if let Ok(real) = dir.join(name).canonicalize()
                && real.is_file()
                && real != program
                && !found.contains(&real)
            {
                found.push(real);
            }
        }
    }
    found
}
