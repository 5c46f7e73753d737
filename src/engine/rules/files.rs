//! What can be told of a file by its name, mode and size: credentials, build products, leftovers, sheer weight.

use crate::diff::FileStatus;
use crate::finding::{Category, Severity};

use super::source::Subject;
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

const LARGE: u64 = 1024 * 1024;
const HUGE: u64 = 10 * LARGE;

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "file-env",
            title: "Environment file with secrets",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.85,
            explanation: "This file gives values to names that stand for secrets, and from now on everyone with the \
                          repository has them. Change the values, list the file in .gitignore, and commit an example \
                          without values in its place.",
        },
        scope: Scope::OWN,
        check: Check::File(env_file),
    },
    Rule {
        info: RuleInfo {
            id: "file-key-store",
            title: "Key store or private key file",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.8,
            explanation: "Files of this kind hold private keys, protected by a password at best, and the history keeps \
                          them for good. Replace the keys and hand the new ones out by other means.",
        },
        scope: Scope::OWN,
        check: Check::File(key_store),
    },
    Rule {
        info: RuleInfo {
            id: "file-credentials",
            title: "Credentials file of a tool",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.8,
            explanation: "Tools keep logins and tokens in files of this name. Revoke what is in it, remove it from the \
                          change and list it in .gitignore.",
        },
        scope: Scope::OWN,
        check: Check::File(credentials),
    },
    Rule {
        info: RuleInfo {
            id: "file-terraform-state",
            title: "Terraform state",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.9,
            explanation: "State holds every attribute of the resources in clear text, passwords and keys among them, and \
                          two people who apply from their copies overwrite each other. Use a remote backend with \
                          locking, and list the file in .gitignore.",
        },
        scope: Scope::code(&[]),
        check: Check::File(|subject| {
            Hit::when(arrives(subject) && pattern!(r"\.tfstate(?:\.backup)?$").is_match(subject.name()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "file-large",
            title: "File of more than 1 MiB",
            severity: Severity::Low,
            category: Category::Maintainability,
            confidence: 0.8,
            explanation: "Every clone carries this file from now on, also after it is deleted. Keep large files in Git LFS \
                          or an artefact store, or make them in the build.",
        },
        scope: Scope::ANYWHERE,
        check: Check::File(large),
    },
    Rule {
        info: RuleInfo {
            id: "file-build-product",
            title: "Compiled file",
            severity: Severity::Medium,
            category: Category::Maintainability,
            confidence: 0.9,
            explanation: "Compilers make such files, so they go stale as soon as the source changes, and nobody can review \
                          what is in them. Remove them from the change and list them in .gitignore.",
        },
        scope: Scope::code(&[]),
        check: Check::Files(build_product),
    },
    Rule {
        info: RuleInfo {
            id: "file-node-modules",
            title: "Installed packages (node_modules)",
            severity: Severity::Medium,
            category: Category::Maintainability,
            confidence: 0.95,
            explanation: "Installed packages are what the lock file says; in the repository they drown every change and can \
                          differ from what was published without anyone noticing. Remove them and list node_modules in \
                          .gitignore.",
        },
        scope: Scope { tests: false, docs: true, generated: true, langs: &[] },
        check: Check::Files(|subject| arrives(subject) && in_folder(subject.path(), "node_modules")),
    },
    Rule {
        info: RuleInfo {
            id: "file-desktop-litter",
            title: "Leftover of a desktop or an editor",
            severity: Severity::Low,
            category: Category::Maintainability,
            confidence: 0.95,
            explanation: "The desktop or the editor made this file for itself, and it may tell names of files that are not \
                          in the repository. Remove it and list it in your global gitignore.",
        },
        scope: Scope::ANYWHERE,
        check: Check::Files(|subject| {
            let litter = pattern!(r"^(?:\.DS_Store|Thumbs\.db|desktop\.ini|\._.+|\..+\.sw[op]|.+~|#.+#|\.#.+)$");
            arrives(subject) && litter.is_match(subject.name())
        }),
    },
    Rule {
        info: RuleInfo {
            id: "file-merge-leftover",
            title: "Leftover of a merge or a patch",
            severity: Severity::Low,
            category: Category::Maintainability,
            confidence: 0.85,
            explanation: "A merge tool or `patch` left this file beside the one that it worked on. A `.rej` also means that \
                          a part of the patch was not applied: see to that, then remove the file.",
        },
        scope: Scope::OWN,
        check: Check::Files(|subject| {
            let leftover = pattern!(r"^.+\.(?:orig|rej)$|_(?:BACKUP|BASE|LOCAL|REMOTE)_[0-9]+(?:\.[a-z]+)?$");
            arrives(subject) && leftover.is_match(subject.name())
        }),
    },
    Rule {
        info: RuleInfo {
            id: "file-link-outside",
            title: "Symbolic link that leads out of the repository",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "The link leads to a place that is different on each machine, or missing, and whatever reads or \
                          writes through it leaves the checkout. Link to a path inside the repository.",
        },
        scope: Scope::ANYWHERE,
        check: Check::File(|subject| {
            let link = subject.file.new_mode.as_deref() == Some("120000");
            let target = subject.lines().find(|line| line.added).map(|line| line.text);
            Hit::when(link && target.is_some_and(|target| leads_out(subject.path(), target)))
        }),
    },
];

/// Whether the file is new at its place.
fn arrives(subject: &Subject<'_>) -> bool {
    subject.file.status != FileStatus::Modified
}

fn in_folder(path: &str, folder: &str) -> bool {
    path.split('/').rev().skip(1).any(|part| part == folder)
}

fn env_file(subject: &Subject<'_>) -> Option<Hit> {
    let name = pattern!(
        r"^(?:\.env(?:\.(?:local|prod|production|stag|staging|live|[a-z]+\.local))?|(?:prod|production|staging)\.env)$"
    );
    if !arrives(subject) || !name.is_match(subject.name()) {
        return None;
    }
    let secret = pattern!(
        r#"(?i)^\s*(?:export\s+)?[a-z0-9_]*(?:passw(?:or)?d|secret|token|api_?key|private_?key|access_?key|credentials?|dsn|database_url)[a-z0-9_]*\s*=\s*["']?([^\s"'#]{6,})"#
    );
    let placeholder =
        pattern!(r"(?i)example|change.?me|your|xxx|placeholder|dummy|todo|^[<$]|\$\{|localhost|127\.0\.0\.1");
    let real = subject.lines().any(|line| {
        line.text.len() < 1000 && secret.first(line.text).is_some_and(|value| !placeholder.is_match(value))
    });
    Hit::when(real)
}

fn key_store(subject: &Subject<'_>) -> Option<Hit> {
    let name =
        pattern!(r"(?i)^id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?$|\.(?:p12|pfx|jks|keystore|kdbx|ppk|bks)$|^secring\.gpg$");
    // every Android SDK has the same one
    let debug = subject.name().eq_ignore_ascii_case("debug.keystore");
    Hit::when(arrives(subject) && name.is_match(subject.name()) && !debug)
}

fn credentials(subject: &Subject<'_>) -> Option<Hit> {
    let path = pattern!(
        r"(?:^|/)(?:\.aws/credentials|\.netrc|_netrc|\.pgpass|\.my\.cnf|\.git-credentials|\.htpasswd|\.docker/config\.json|\.dockercfg|\.vault-token|\.kube/config|\.s3cfg|\.boto|\.config/gcloud/[^/]+\.(?:json|db)|\.config/gh/hosts\.yml|\.config/hub)$"
    );
    Hit::when(arrives(subject) && path.is_match(subject.path()))
}

fn large(subject: &Subject<'_>) -> Option<Hit> {
    let size = subject.file.size.filter(|&size| size > LARGE)?;
    let new = matches!(subject.file.status, FileStatus::Added | FileStatus::Copied);
    if !new || subject.lock {
        return None;
    }
    let hit = Hit::shown(format!("{:.1} MiB", size as f64 / LARGE as f64));
    Some(if size > HUGE { hit.severity(Severity::Medium) } else { hit })
}

fn build_product(subject: &Subject<'_>) -> bool {
    let always = pattern!(r"\.(?:class|pyc|pyo|beam|elc|ko|gch|rlib|rmeta|dSYM)$");
    // text of other kinds goes by these names
    let binary = pattern!(r"\.(?:o|obj|lo|la|a|lib|pdb|ilk|exp|hi|mo|idb)$");
    let name = subject.name();
    arrives(subject)
        && (always.is_match(name)
            || (subject.file.binary && binary.is_match(name) && !name.ends_with(".mo"))
            || in_folder(subject.path(), "__pycache__"))
}

/// Whether a link at `path` leaves the tree that the path starts from.
fn leads_out(path: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut depth = path.split('/').count() - 1;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    vec![
        fires("file-env", ".env", "PORT=3000\nDB_PASSWORD=kV9pq2LwX3\n"),
        fires("file-env", "api/.env.production", format!("export STRIPE_SECRET='{}'\n", "q8v2nXc71L")),
        quiet("file-env", ".env", "PORT=3000\nCOMPOSE_PROJECT_NAME=acme\n"),
        quiet("file-env", ".env", "DB_PASSWORD=\nAPI_TOKEN=changeme\nSECRET=${SECRET}\n"),
        quiet("file-env", ".env.example", "DB_PASSWORD=kV9pq2LwX3\n"),
        quiet("file-env", "src/env.ts", "DB_PASSWORD=kV9pq2LwX3\n"),
        fires("file-key-store", "deploy/id_ed25519", "x"),
        fires("file-key-store", "android/release.keystore", "x"),
        quiet("file-key-store", "deploy/id_ed25519.pub", "x"),
        quiet("file-key-store", "android/app/debug.keystore", "x"),
        quiet("file-key-store", "tests/data/server.p12", "x"),
        quiet("file-key-store", "certs/ca.pem", "x"),
        fires("file-credentials", "home/.aws/credentials", "x"),
        fires("file-credentials", ".netrc", "x"),
        quiet("file-credentials", ".aws/config", "x"),
        quiet("file-credentials", "src/credentials.rs", "x"),
        fires("file-terraform-state", "infra/terraform.tfstate", "{}"),
        fires("file-terraform-state", "infra/terraform.tfstate.backup", "{}"),
        quiet("file-terraform-state", "infra/state.tf", "x"),
        fires("file-build-product", "src/__pycache__/a.cpython-312.pyc", ""),
        fires("file-build-product", "out/Main.class", ""),
        quiet("file-build-product", "models/chair.obj", "v 1.0 1.0 1.0\n"),
        quiet("file-build-product", "tests/data/Main.class", ""),
        quiet("file-build-product", "src/class.c", "x"),
        fires("file-node-modules", "web/node_modules/left-pad/index.js", "x"),
        quiet("file-node-modules", "src/node_modules.rs", "x"),
        quiet("file-node-modules", "tests/fixtures/node_modules/a/index.js", "x"),
        fires("file-desktop-litter", "docs/.DS_Store", ""),
        fires("file-desktop-litter", "src/.main.c.swp", ""),
        fires("file-desktop-litter", "src/main.c~", "x"),
        quiet("file-desktop-litter", ".gitignore", ".DS_Store\n"),
        quiet("file-desktop-litter", "src/main.swift", "x"),
        fires("file-merge-leftover", "src/main.c.orig", "x"),
        fires("file-merge-leftover", "src/main.c.rej", "x"),
        fires("file-merge-leftover", "src/a_LOCAL_12345.py", "x"),
        quiet("file-merge-leftover", "src/orig.c", "x"),
        quiet("file-merge-leftover", "src/REMOTE_10.py", "x"),
        fires("file-large", "video.mp4", "").sized(LARGE + 1),
        quiet("file-large", "video.mp4", "").sized(LARGE),
        quiet("file-large", "yarn.lock", "").sized(LARGE + 1),
        fires("file-link-outside", "docs/etc.txt", "/etc/passwd").mode("120000"),
        quiet("file-link-outside", "docs/etc.txt", "../README.md").mode("120000"),
        quiet("file-link-outside", "docs/etc.txt", "/etc/passwd"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::added;
    use super::*;
    use crate::diff::{Diff, FileDiff};
    use crate::engine::rules::review;
    use crate::finding::Draft;

    fn found(file: FileDiff) -> Vec<Draft> {
        review(&Diff { files: vec![file] })
    }

    fn sized(path: &str, size: u64) -> FileDiff {
        FileDiff { size: Some(size), binary: true, ..added(path, "") }
    }

    fn link(path: &str, target: &str) -> FileDiff {
        FileDiff { new_mode: Some("120000".into()), ..added(path, target) }
    }

    #[test]
    fn large_files() {
        let drafts = found(sized("data/model.bin", 3 * LARGE / 2));
        assert_eq!(drafts[0].title, "File of more than 1 MiB: `1.5 MiB`");
        assert_eq!((drafts[0].start_line, drafts[0].severity), (None, Severity::Low));
        assert_eq!(found(sized("data/model.bin", 11 * LARGE))[0].severity, Severity::Medium);
        assert_eq!(found(sized("data/model.bin", LARGE)), []);
        assert_eq!(found(sized("package-lock.json", 3 * LARGE)), []);
        let known = FileDiff { status: FileStatus::Modified, ..sized("data/model.bin", 3 * LARGE) };
        assert_eq!(found(known), []);
    }

    #[test]
    fn objects_are_binary() {
        assert_eq!(found(sized("src/a.o", 10))[0].rule.as_deref(), Some("file-build-product"));
        assert_eq!(found(sized("locale/de/app.mo", 10)), []);
    }

    #[test]
    fn links_that_leave() {
        for (path, target, out) in [
            ("a", "/etc/passwd", true),
            ("a", "../b", true),
            ("d/a", "../b", false),
            ("d/a", "../../b", true),
            ("d/a", "x/../../b", false),
            ("d/a", "./x/../../../b", true),
            ("CLAUDE.md", "AGENTS.md", false),
        ] {
            assert_eq!(found(link(path, target)).len(), usize::from(out), "{path} → {target}");
        }
    }

    #[test]
    fn one_finding_for_all_installed_packages() {
        let files = (0..3).map(|n| added(&format!("node_modules/p{n}/index.js"), "x")).collect();
        let drafts = review(&Diff { files });
        assert_eq!(drafts.len(), 1);
        assert!(drafts[0].explanation.ends_with(" The change has 3 such files."));
        assert_eq!(drafts[0].path, "node_modules/p0/index.js");
    }

    #[test]
    fn a_file_that_was_there_is_not_new() {
        let file = FileDiff { status: FileStatus::Modified, ..added("infra/terraform.tfstate", "{}") };
        assert_eq!(found(file), []);
    }
}
