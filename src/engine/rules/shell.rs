//! Commands: what deletes too much, opens too much, or runs what nobody has read.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "shell-pipe-to-shell",
            title: "Download is run without a check",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.7,
            explanation: "Whatever the server sends is run at once, so whoever controls it, or a connection that breaks half \
                          way, decides what happens here. Download a fixed version, compare its checksum, then run it.",
        },
        scope: Scope::code(Lang::COMMANDS),
        check: Check::Line(&["curl", "wget"], |at| {
            let piped = pattern!(
                r#"\b(?:curl|wget)\b[^|;&]*(?:&&?[^|;&]*)?\|&?\s*(?:(?:sudo|env)\s+(?:-\S+\s+|\w+=\S+\s+)*)?(?:/(?:usr/)?bin/)?(?:ba|z|da|k)?sh(?:\s|$|["')])|\b(?:ba|z|da|k)?sh\s+(?:-c\s+["']?\$\(|<\()\s*(?:curl|wget)\b"#
            );
            Hit::when(piped.is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "shell-world-writable",
            title: "Everyone may write to the file",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "Every user and every compromised service of the machine can change the file, and what runs or reads \
                          it. Give the mode that its users need (755, 750, 640), and own it by the right user.",
        },
        scope: Scope::code(Lang::COMMANDS),
        check: Check::Line(&["chmod", "--mode"], |at| {
            let mode = pattern!(
                r"\bchmod\s+(?:-[a-zA-Z-]+\s+)*(?:0?[0-7][0-7][2367]|[ug]*[ao][ugoa]*[+=][rx]*w[rwxX]*)\s|--chmod=0?[0-7][0-7][2367]\s"
            );
            Hit::when(mode.is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "shell-setuid",
            title: "Program with set-user-ID bit",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.8,
            explanation: "Whoever starts the program has the rights of its owner, so each fault in it is a way to those \
                          rights. Use a service, a file capability or a narrow sudo rule.",
        },
        scope: Scope::code(Lang::COMMANDS),
        check: Check::Line(&["chmod", "install"], |at| {
            let mode = pattern!(
                r"\bchmod\s+(?:-[a-zA-Z-]+\s+)*(?:0?[4-7][0-7]{3}|[ugoa]*[+=][rwxXt]*s[rwxXt]*)\s|\binstall\s.*-m\s*0?[4-7][0-7]{3}\b"
            );
            // a set-group-ID bit on a directory is how groups share it
            let group = pattern!(r"\bchmod\s+(?:-[a-zA-Z-]+\s+)*g[+=]");
            Hit::when(mode.is_match(at.code()) && !group.is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "shell-rm-variable-root",
            title: "Deletes from the root where the variable is empty",
            severity: Severity::High,
            category: Category::Reliability,
            confidence: 0.8,
            explanation: "Where the variable is empty or unset, the path that is deleted is `/`. Write `\"${VAR:?}\"/`, \
                          which stops with an error instead.",
        },
        scope: Scope::code(Lang::COMMANDS).and_tests(),
        check: Check::Line(&["rm -", "rm  -", "rm\t-"], rm),
    },
    Rule {
        info: RuleInfo {
            id: "shell-eval-arguments",
            title: "Arguments are evaluated as commands",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.7,
            explanation: "`eval` parses what the caller passed once more, so that blanks, quotes and `;` in it become \
                          commands. Run \"$@\" itself, or build an array.",
        },
        scope: Scope::code(&[Lang::Shell, Lang::Workflow, Lang::Make]),
        check: Check::Line(&["eval"], |at| {
            Hit::when(pattern!(r#"(?:^|[;&|]|\bthen|\bdo)\s*eval\s+["']?\$(?:[@*1-9]|\{[@*1-9])"#).is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "shell-sudo-everything",
            title: "sudo without password for every command",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.75,
            explanation: "Whatever runs as this user is root with one more word. Name the commands that are needed, with \
                          their full paths.",
        },
        scope: Scope::code(&[Lang::Shell, Lang::Dockerfile, Lang::Yaml, Lang::Other]),
        check: Check::Line(&["nopasswd"], |at| {
            Hit::when(pattern!(r"\bALL\s*=\s*\(\s*ALL(?:\s*:\s*ALL)?\s*\)\s*NOPASSWD:\s*ALL\b").is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "shell-trusted-key-off",
            title: "Packages are installed without checking signatures",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.85,
            explanation: "The package manager takes packages from whoever answers, and runs their scripts as root. Import \
                          the key of the repository and leave the check on.",
        },
        scope: Scope::code(Lang::COMMANDS),
        check: Check::Line(
            &[
                "allow-unauthenticated",
                "trusted=yes",
                "--nogpgcheck",
                "gpgcheck=0",
                "--allow-untrusted",
                "--no-gpg-checks",
            ],
            |at| {
                let off = pattern!(
                    r"\bapt(?:-get)?\s.*--allow-unauthenticated\b|\bdeb\s+\[[^\]]*\btrusted=yes\b|\b(?:yum|dnf|zypper|rpm)\s.*--(?:nogpgcheck|no-gpg-checks)\b|\bgpgcheck=0\b|\bapk\s.*--allow-untrusted\b"
                );
                // a package that was built here has no signature: `apk add --allow-untrusted ./x.apk`
                let own = pattern!(r#"--allow-untrusted\s+["']?(?:\.|/|\$|\w+/)"#);
                Hit::when(off.is_match(at.code()) && !own.is_match(at.code()))
            },
        ),
    },
    Rule {
        info: RuleInfo {
            id: "code-world-writable",
            title: "Everyone may write to the file",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.8,
            explanation: "Every user and every compromised service of the machine can change the file, and what runs or reads \
                          it. Give the mode that its users need (0o755, 0o750, 0o640).",
        },
        scope: Scope::code(Lang::CODE),
        check: Check::Line(&["chmod", "from_mode", "set_mode"], |at| {
            let mode = pattern!(
                r"(?i)\b(?:f|l)?chmod(?:Sync)?\s*\([^)]*,\s*0o?[0-7][0-7][2367]\s*\)|\bFileUtils\.chmod(?:_R)?\s*\(?\s*0o?[0-7][0-7][2367]\b|\b(?:from|set)_mode\s*\(\s*0o[0-7][0-7][2367]\s*\)|\.chmod\s*\(\s*0o?[0-7][0-7][2367]\s*\)"
            );
            Hit::when(at.subject.lang != Lang::Shell && mode.is_match(at.bare()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "code-mkdir-world-writable",
            title: "Directory that everyone may write to",
            severity: Severity::Low,
            category: Category::Security,
            confidence: 0.5,
            explanation: "Where the umask is permissive, as in many containers and services, every user can put files here and \
                          remove those of others. Ask for 0o755 or 0o700.",
        },
        scope: Scope::code(&[Lang::Python, Lang::JavaScript, Lang::TypeScript, Lang::Go, Lang::Php, Lang::Ruby]),
        check: Check::Line(&["mkdir", "makedirs"], |at| {
            let mode = pattern!(r"(?i)\b(?:mkdir(?:all|sync|_p)?|makedirs)\s*\(.*[,\s=:]0o?777\b");
            Hit::when(mode.is_match(at.bare()) && !at.bare().contains("def "))
        }),
    },
];

/// `"$VAR"/`, `$VAR/*`; but not `${VAR:?}/`, and not where the script has seen to it.
fn rm(at: &At<'_>) -> Option<Hit> {
    let target = pattern!(
        r#"\brm\s+(?:-\S+\s+)*-[a-zA-Z]*[rR][a-zA-Z]*\s+(?:[^;&|#]*\s)?["']?\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?["']?/["']?\*?["']?(?:\s|;|&|\||$)"#
    );
    let name = target.first(at.code())?;
    let guarded = at.before().any(|line| {
        let text = line.code();
        let tested = text.contains(name) && pattern!(r"\[\[?\s|\btest\s|:\?|:=|\bmktemp\b|\bpwd\b").is_match(text);
        // a value with a fixed part, however short, is not the root
        let assigned =
            pattern!(r#"\b([A-Za-z_][A-Za-z0-9_]*)=["']?[^"'$\s][^\s]*"#).all(text).any(|found| found == name);
        tested || assigned
    });
    Hit::when(!guarded)
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    vec![
        fires("shell-pipe-to-shell", "a.sh", "curl -fsSL https://get.acme.io | sudo -E bash -"),
        fires("shell-pipe-to-shell", "Dockerfile", "RUN wget -qO- https://get.acme.io | sh"),
        fires("shell-pipe-to-shell", ".github/workflows/a.yml", "      - run: bash <(curl -s https://acme.io/x)"),
        fires("shell-pipe-to-shell", "a.sh", "sh -c \"$(curl -fsSL https://acme.io/x)\""),
        quiet("shell-pipe-to-shell", "a.sh", "curl -fsSL https://acme.io/x | shasum -a 256"),
        quiet("shell-pipe-to-shell", "a.sh", "curl -fsSL https://acme.io/x.tar.gz | tar xz"),
        quiet("shell-pipe-to-shell", "a.sh", "# curl https://acme.io/x | sh"),
        quiet("shell-pipe-to-shell", "README.md", "curl https://acme.io/x | sh"),
        fires("shell-world-writable", "a.sh", "chmod -R 777 /srv/app"),
        fires("shell-world-writable", "Dockerfile", "RUN chmod a+rwx /app && true"),
        fires("shell-world-writable", "a.sh", "chmod 0666 $f"),
        quiet("shell-world-writable", "a.sh", "chmod 1777 /tmp"),
        quiet("shell-world-writable", "a.sh", "chmod u+w,go-w file"),
        quiet("shell-world-writable", "a.sh", "chmod 775 dir"),
        quiet("shell-world-writable", "a.sh", "chmod a+x tool"),
        fires("shell-setuid", "a.sh", "chmod 4755 /usr/local/bin/tool"),
        fires("shell-setuid", "Dockerfile", "RUN chmod u+s /usr/bin/tool"),
        quiet("shell-setuid", "a.sh", "chmod 0755 /usr/local/bin/tool"),
        quiet("shell-setuid", "a.sh", "chmod g+s /srv/shared"),
        quiet("shell-setuid", "a.sh", "chmod 2775 /srv/shared"),
        fires("shell-rm-variable-root", "a.sh", "rm -rf \"$PREFIX\"/"),
        fires("shell-rm-variable-root", "a.sh", "rm -rf $DIR/*"),
        fires("shell-rm-variable-root", "a.sh", "rm -r -f \"${DIR}/\""),
        quiet("shell-rm-variable-root", "a.sh", "rm -rf \"${DIR:?}/\""),
        quiet("shell-rm-variable-root", "a.sh", "rm -rf \"$DIR/build\""),
        quiet("shell-rm-variable-root", "a.sh", "rm -rf \"$DIR\""),
        quiet("shell-rm-variable-root", "a.sh", "[ -n \"$DIR\" ] || exit 1\nrm -rf \"$DIR\"/*"),
        quiet("shell-rm-variable-root", "a.sh", "DIR=/srv/cache\nrm -rf \"$DIR\"/*"),
        quiet("shell-rm-variable-root", "a.sh", "DIR=$(mktemp -d)\nrm -rf \"$DIR\"/*"),
        fires("shell-eval-arguments", "a.sh", "eval \"$@\""),
        fires("shell-eval-arguments", "a.sh", "if x; then eval $1; fi"),
        quiet("shell-eval-arguments", "a.sh", "eval \"$(ssh-agent -s)\""),
        quiet("shell-eval-arguments", "a.sh", "retrieval $1"),
        fires("shell-sudo-everything", "Dockerfile", "RUN echo 'dev ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers"),
        quiet(
            "shell-sudo-everything",
            "Dockerfile",
            "RUN echo 'dev ALL=(root) NOPASSWD: /usr/bin/apt-get' > /etc/sudoers.d/dev",
        ),
        fires("shell-trusted-key-off", "Dockerfile", "RUN apt-get install -y --allow-unauthenticated foo"),
        fires(
            "shell-trusted-key-off",
            "a.sh",
            "echo 'deb [trusted=yes] https://apt.acme.io ./' > /etc/apt/sources.list.d/a.list",
        ),
        quiet("shell-trusted-key-off", "a.sh", "echo 'deb [signed-by=/etc/apt/keyrings/a.gpg] https://apt.acme.io ./'"),
        quiet("shell-trusted-key-off", "Dockerfile", "RUN apk add --allow-untrusted /tmp/own.apk"),
        fires("code-world-writable", "a.py", "os.chmod(path, 0o777)"),
        fires("code-world-writable", "a.go", "if err := os.Chmod(path, 0666); err != nil {"),
        fires("code-world-writable", "a.rs", "fs::set_permissions(p, Permissions::from_mode(0o777))?;"),
        quiet("code-world-writable", "a.py", "os.chmod(path, 0o755)"),
        quiet("code-world-writable", "a.py", "os.chmod(path, mode & 0o777)"),
        quiet("code-world-writable", "a.py", "# os.chmod(path, 0o777)"),
        fires("code-mkdir-world-writable", "a.go", "err := os.MkdirAll(dir, 0777)"),
        fires("code-mkdir-world-writable", "a.py", "os.makedirs(path, mode=0o777)"),
        quiet("code-mkdir-world-writable", "a.go", "err := os.MkdirAll(dir, 0755)"),
        quiet("code-mkdir-world-writable", "a.py", "def mkdir(self, mode=0o777):"),
        quiet("code-mkdir-world-writable", "a.php", "mkdir($dir, 0750, true);"),
    ]
}
