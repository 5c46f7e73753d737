//! Files of the user, of the repository, of the host: configuration, policy, skills, units, the record of what was made.

use std::path::Path;

use cicdctl::agent::AgentName;
use cicdctl::config::{self, Config, Source};
use cicdctl::engine::rules;
use cicdctl::install::Manifest;
use cicdctl::review::attributes::Attributes;
use cicdctl::review::paths::PathRules;
use cicdctl::unit::plan::{Authorship, Plan, Present, authorship, with_header};
use cicdctl::unit::{self, Places, UnitFile};
use cicdctl::{command, diff, skill};

use crate::run::{Target, deep, long, many, run};
use crate::support::Place;

const AGENT: &str = "path = \"/home/a/shop\"\nrepo = \"acme/shop\"\n\n[limits]\ncpu = \"25%\"\nmemory = \"512M\"\n\n[review]\nengine = \"claude\"\n\
    post = true\n\n[watch]\ninterval = \"60s\"\ndebounce = \"20s\"\n\n[budget]\nday = 5\n";
const POLICY: &str = "[trigger]\non = [\"push\", \"comment\"]\nforks = \"label\"\nbase_branches = [\"release/*\"]\n\n[review]\nmin_severity = \"low\"\n\
    exclude = [\"docs/**\"]\n\n[[paths]]\nmatch = [\"src/api/**\"]\ninstructions = \"Look twice.\"\nmax_diff = \"10K\"\n";
const YAML: &str = "runner:\n  jobs: 1\n  idle_timeout: 5m\nreview:\n  engine: rules\n  exclude: [docs/**, \"*.lock\"]\nenvironment:\n  A: b\n";
const WORDS: &[&str] = &[
    "[runner]",
    "[runner.limits]",
    "[agents.limits]",
    "[environment]",
    "[engine.claude]",
    "[[paths]]",
    "match = [\"**\"]",
    "jobs = 2",
    "memory = \"1G\"",
    "cpu = \"50%\"",
    "max_diff = \"400K\"",
    "idle_timeout = \"5m\"",
    "exclude = [\"",
    "{a,b}",
    "[!a-z]",
    "**/",
    "\\",
    "x = 1",
    "a.b.c = 1",
    "= [",
    "\"\"\"",
    "1979-05-27T07:32:00Z",
    "PATH = \"x\"",
    "A = \"%h $HOME \\\" \\\\ `id`\"",
    "argv = [\"a\"]",
    "18446744073709551615",
    "99999999999999999999G",
    "1e400",
    "0.1s",
];

/// The default configuration with every key set.
fn whole() -> String {
    config::starter()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn places() -> Places {
    Places {
        program: "/opt/a b/100%/$x/cicdctl".into(),
        unit_dir: "/home/a/.config/systemd/user".into(),
        environment_file: "/home/a/.config/environment.d/cicd-toolkit.conf".into(),
        home: Some("/home/a".into()),
        is_host_wide: true,
        state_dir: "/home/a/.local/state/cicd-toolkit".into(),
        cache_dir: "/home/a/.cache/cicd-toolkit".into(),
        environment: vec![("PATH".into(), "/usr/bin".into())],
        secrets: Vec::new(),
    }
}

/// Every line of a unit is a comment, a section or a setting whose name we know: nothing that a value holds has become
/// a setting of its own.
fn sound(files: &[UnitFile]) {
    for file in files {
        let is_environment = file.path.extension().is_some_and(|end| end == "conf") && file.mode == 0o600;
        for line in file.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.split('=').next().unwrap_or_default();
            let good = if is_environment {
                !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') && line.ends_with('"')
            } else {
                line.starts_with('[') || name.bytes().all(|c| c.is_ascii_alphanumeric())
            };
            assert!(good, "{}: {line:?}", file.path.display());
            assert!(!line.ends_with('\\'), "{}: {line:?} goes on", file.path.display());
        }
    }
}

#[test]
fn configuration() {
    let target = Target {
        name: "config.toml",
        mixed: false,
        cases: 2000,
        samples: [config::starter(), &whole(), "[environment]\nA = \"b\"\nHTTPS_PROXY = 'http://p:1/$x\"%'\n", ""]
            .map(|text| text.as_bytes().to_vec())
            .into(),
        words: WORDS,
        giants: vec![
            deep("[review]\nexclude = ", "[", "", "]"),
            deep("x = ", "{a=", "1", "}"),
            deep("[", "a.", "a", ""),
            deep("", "a.", "a = 1\n", ""),
            deep("[", "a.", "a]\n[", "a."),
            long("[review]\ninstructions = \"", "long ", "\"\n"),
            long("", "a", ""),
            long("[review]\nexclude = [", "\"a\",", "]\n"),
            many(100_000, |n| format!("k{n} = 1\n")),
            many(50_000, |n| format!("[t{n}]\n")),
            many(50_000, |n| format!("[[paths]]\nmatch = [\"{n}\"]\n")),
            many(200_000, |_| "\n".into()),
            format!("[environment]\n{}", String::from_utf8(many(20_000, |n| format!("A{n} = \"b\"\n"))).unwrap())
                .into_bytes(),
        ],
    };
    let path = Path::new("config.toml");
    run(&target, |case| {
        let text = String::from_utf8_lossy(case);
        match config::parse_config(&[Source { path, text: &text }]) {
            Ok(config) => {
                if let Ok(files) = unit::files(&config, &[], &places()) {
                    sound(&files);
                }
                let _ = PathRules::new(&config.paths);
                true
            }
            Err(error) => {
                assert!(format!("{error:#}").len() < 64 << 10, "an error of {} bytes", format!("{error:#}").len());
                false
            }
        }
    });
}

#[test]
fn agent() {
    let target = Target {
        name: "agents/NAME.toml",
        mixed: false,
        cases: 2000,
        samples: vec![AGENT.into(), "".into(), "path = \"/a\"\n".into()],
        words: WORDS,
        giants: vec![deep("path = ", "[", "", "]"), deep("[limits.", "a.", "a]", ""), long("repo = \"", "a/", "\"")],
    };
    let (name, user, path) = ("shop".parse().unwrap(), Config::default(), Path::new("agents/shop.toml"));
    run(&target, |case| {
        let text = String::from_utf8_lossy(case);
        match config::parse_agent(&name, Source { path, text: &text }, &user) {
            Ok(agent) => {
                sound(&unit::files(&user, &[agent], &places()).unwrap());
                true
            }
            Err(_) => false,
        }
    });
}

#[test]
fn repository() {
    let target = Target {
        name: ".cicd-toolkit.toml",
        mixed: false,
        cases: 2000,
        samples: vec![POLICY.into(), "".into(), "[trigger]\non = []\n".into()],
        words: WORDS,
        giants: vec![
            deep("[[paths]]\nmatch = [\"", "{a,", "", "}"),
            deep("[[paths]]\nmatch = [\"", "[", "", "\"]"),
            deep("[[paths]]\nmatch = [\"", "**/", "", "\"]"),
            long("[[paths]]\nmatch = [\"", "*a", "\"]"),
            many(20_000, |n| format!("[[paths]]\nmatch = [\"a{n}/**\"]\nmin_severity = \"low\"\n")),
        ],
    };
    let host = Config::default();
    run(&target, |case| {
        let text = String::from_utf8_lossy(case);
        let Ok(config) = config::parse_repository(&text, &host) else { return false };
        // A repository may be stricter than its host, never less.
        assert!(config.trigger.forks <= host.trigger.forks);
        assert_eq!((&config.budget, &config.job, &config.engine), (&host.budget, &host.job, &host.engine));
        if let Ok(rules) = PathRules::new(&config.paths) {
            for path in ["src/api/a.rs", "a/a/a/a/a/a/a/a/a/a/a/a/a/b", "", "\u{e9}"] {
                let _ = (rules.excluded(path), rules.floor(path), rules.budget(path));
            }
        }
        true
    });
}

#[test]
fn yaml() {
    let target = Target {
        name: "config.yaml",
        mixed: false,
        cases: 1500,
        samples: vec![YAML.into(), "".into(), "runner: {jobs: 2}\n".into()],
        words: &[
            "&a ",
            "*a",
            "<<: *a",
            "!!map",
            "- ",
            "? ",
            ": ",
            "|\n",
            ">-\n",
            "'",
            "\"",
            "{",
            "}",
            "[",
            "]",
            "%YAML 1.2\n",
            "---\n",
            "0o17",
            ".inf",
            "~",
        ],
        giants: vec![
            deep("review: ", "[", "", "]"),
            deep("review: ", "{a: ", "1", "}"),
            deep("", "- ", "a", ""),
            deep("", "? ", "a", ""),
            // Each of these lines holds the one before nine times.
            (b'b'..=b'z')
                .fold("a: &a [x]\n".to_owned(), |text, c| {
                    let (c, before) = (char::from(c), char::from(c - 1));
                    text + &format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 9].join(", "))
                })
                .into_bytes(),
            long("review:\n  instructions: \"", "long ", "\"\n"),
            many(50_000, |n| format!("k{n}: 1\n")),
        ],
    };
    run(&target, |case| {
        config::parse_config(&[Source { path: Path::new("config.yaml"), text: &String::from_utf8_lossy(case) }]).is_ok()
    });
}

#[test]
fn skills() {
    let sample = "---\nname: sql\ndescription: Queries that lock\npaths: [\"*.sql\", \"migrations/\"]\nmin_severity: low\ncategories: [performance]\n---\nLook.\n";
    let head = "---\nname: sql\ndescription: d\npaths: ";
    let target = Target {
        name: "skills/NAME.md",
        mixed: false,
        cases: 2000,
        samples: vec![sample.into(), skill::starter("sql").into(), sample.replace('\n', "\r\n").into()],
        words: &[
            "---\n",
            "name: sql\n",
            "paths:\n",
            "  - a\n",
            "min_severity: ",
            "&a [*a]",
            "description: |\n  x\n",
            "categories: []",
            "\u{200b}",
            "{a,b}",
        ],
        giants: vec![
            deep(head, "[", "", "]"),
            deep(head, "[\"{", "", "}\"]"),
            long(head, "[a]", "\n---\nx"),
            // Within what a skill may have.
            format!("{head}{}\n---\nx\n", "[".repeat(30_000)).into_bytes(),
            format!("{head}{}\n---\nx\n", "- ".repeat(15_000)).into_bytes(),
            format!("{head}[\"{}\"]\n---\nx\n", "{a,".repeat(10_000)).into_bytes(),
            format!("{head}[\"{}\"]\n---\nx\n", "**/".repeat(10_000)).into_bytes(),
        ],
    };
    run(&target, |case| match skill::parse("sql", &String::from_utf8_lossy(case)) {
        Ok(_) => true,
        Err(problems) => {
            assert!(!problems.is_empty(), "a skill that is refused for no reason");
            false
        }
    });
}

#[test]
fn units_that_are_there() {
    let ours = with_header("[Service]\nExecStart=/bin/true\n", "cicdctl apply");
    let target = Target {
        name: "unit files that are there",
        mixed: false,
        cases: 4000,
        samples: vec![ours.into(), "[Service]\nExecStart=/bin/true\n".into()],
        words: &["# cicdctl-digest: ", "\n\n", "[Service]\n", "0123456789abcdef0123456789abcdef"],
        giants: vec![long("# cicdctl-digest: ", "a", "\n\n"), many(300_000, |_| "# cicdctl-digest: x\n\n".into())],
    };
    let wanted = UnitFile {
        path: "/u/cicd-runner.service".into(),
        text: with_header("[Service]\nNice=1\n", "cicdctl apply"),
        mode: 0o644,
    };
    run(&target, |case| {
        let text = String::from_utf8_lossy(case).into_owned();
        let whose = authorship(&text);
        let is_ours = whose == Authorship::Ours;
        // Nobody but ourselves writes what counts as ours: what is left of a digest that fits is its text.
        let present = Present { path: wanted.path.clone(), text, authorship: whose };
        let plan = Plan::new(vec![wanted.clone()], &[present], false);
        assert_eq!(plan.is_empty(), !is_ours, "only what is ours is overwritten unasked");
        true
    });
}

#[test]
fn record_of_what_was_made() {
    let sample = r#"{"directories":["/home/a/.local"],"links":["/home/a/.local/bin/cicd-runner"],"enabled":["cicd-runner.socket"],"linger":true,"reload":false,"restart":[]}"#;
    let target = Target {
        name: "install.json",
        mixed: false,
        cases: 1000,
        samples: vec![sample.into(), "{}".into()],
        words: &["\"links\":", "\"linger\":", "/", "../"],
        giants: vec![deep("", "[", "", "]"), deep("{\"links\":", "[", "", "]}"), deep("", "{\"a\":", "1", "}")],
    };
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = dir.path().join("install.json");
    run(&target, |case| {
        std::fs::write(&path, case).unwrap();
        Manifest::load(&path).is_ok()
    });
}

#[test]
fn names_and_values() {
    let target = Target {
        name: "names and values",
        mixed: true,
        cases: 6000,
        samples: [
            "myapp",
            "acme/shop",
            "512M",
            "60s",
            "25%",
            "https://github.example/api/v3",
            "src/**/*.rs",
            "cicd-agent@a.service",
            "CICD_X",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into(),
        words: &[
            "G",
            "ms",
            "%",
            "/",
            "..",
            "@",
            ".git",
            "http://",
            "user:pw@",
            "[::1]",
            "18446744073709551615",
            "\u{130}",
        ],
        giants: vec![long("", "a", ""), long("", "1", ""), deep("", "{", "", "}"), deep("", "[", "", "]")],
    };
    run(&target, |case| {
        let text = String::from_utf8_lossy(case);
        if let Ok(name) = text.parse::<AgentName>() {
            assert_eq!(AgentName::of_unit(&name.service()), Some(name.clone()));
            assert!(!name.as_str().contains('/') && !name.as_str().starts_with('.'));
        }
        if config::is_repo(&text) {
            assert!(!text.split('/').any(|part| part == ".." || part.is_empty()), "{text}");
        }
        let _ = AgentName::of_unit(&text);
        let _ = skill::check_name(&text);
        let mut read = text.parse::<AgentName>().is_ok();
        if let Ok(size) = text.parse::<config::Size>() {
            assert_eq!(size.to_string().parse::<config::Size>().ok(), Some(size));
            read = true;
        }
        if let Ok(span) = text.parse::<config::Span>() {
            assert_eq!(span.to_string().parse::<config::Span>().ok(), Some(span));
            read = true;
        }
        if let Ok(percent) = text.parse::<config::Percent>() {
            assert_eq!(percent.to_string().parse::<config::Percent>().ok(), Some(percent));
            let _ = percent.usec_per_sec();
            read = true;
        }
        let _ = text.parse::<config::ApiUrl>();
        if let Ok(globs) = cicdctl::globs::Globs::of_paths(&[text.clone().into_owned()]) {
            let _ = globs.first("a/b/c.rs");
        }
        let marks: Attributes =
            [[text.clone().into_owned(), "linguist-generated".into(), "set".into()]].into_iter().collect();
        assert_eq!(marks.marks(&text).generated, Some(true));
        let shown = cicdctl::plain::visible(&text);
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\0']), "{shown:?}");
        read
    });
}

/// A name that leads out of the directory of secrets neither reads nor removes anything there.
#[test]
fn secrets() {
    let place = Place::new();
    let host = place.host();
    for name in ["credentials/token", "credentials/inner/x", "outside", "agents/x"] {
        let path = place.path("config").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "precious").unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let target = Target {
        name: "names of secrets",
        mixed: true,
        cases: 2000,
        samples: ["github-token", "../outside", "inner/x", "token/", "./token", "anthropic-api-key"]
            .map(|text| text.as_bytes().to_vec())
            .into(),
        words: &["..", "/", ".", "token", "\0", "-", "\u{130}"],
        giants: vec![long("", "a", ""), deep("", "../", "outside", "")],
    };
    run(&target, |case| {
        let name = String::from_utf8_lossy(case).into_owned();
        let remove = command::secret::Command::Remove { name: name.clone(), dry_run: false };
        let gone = runtime.block_on(command::secret::run(remove, &host)).is_ok();
        let token = place.path("config/credentials/token");
        if gone {
            assert_eq!(name, "token");
            std::fs::write(&token, "precious").unwrap();
        }
        assert!(
            ["credentials/token", "credentials/inner/x", "outside", "agents/x"]
                .iter()
                .all(|name| place.path("config").join(name).is_file()),
            "{name:?}"
        );
        true
    });
}

#[test]
fn diffs_and_rules() {
    let sample = "diff --git a/src/a.py b/src/a.py\nindex 1..2 100644\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1,3 +1,4 @@ def f():\n a\n-b\n+import requests\n+r = requests.get(url, verify=False)\n c\n\\ No newline at end of file\n";
    let others = "diff --git a/old name b/new\tname\nsimilarity index 90%\nrename from old name\nrename to new\tname\n--- a/old name\n+++ \"b/new\\tname\"\n@@ -1 +1 @@\n-x\n+y\n\
        diff --git a/bin b/bin\nnew file mode 100755\nindex 0000000..1111111\nBinary files /dev/null and b/bin differ\n\
        diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-a\n-b\n\
        diff --git \"a/\\303\\274\" \"b/\\303\\274\"\nold mode 100644\nnew mode 100755\n";
    let secrets = "diff --git a/.env b/.env\nnew file mode 100644\n--- /dev/null\n+++ b/.env\n@@ -0,0 +1,3 @@\n+AWS_SECRET_ACCESS_KEY=\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"\n+<<<<<<< HEAD\n+-----BEGIN RSA PRIVATE KEY-----\n";
    let added = |line: &str| {
        let body = format!("+{line}\n");
        format!("diff --git a/a.py b/a.py\nnew file mode 100644\n--- /dev/null\n+++ b/a.py\n@@ -0,0 +1 @@\n{body}")
            .into_bytes()
    };
    let lines = |name: &str, count: usize, line: &dyn Fn(usize) -> String| {
        let body: String = (0..count).map(|n| format!("+{}\n", line(n))).collect();
        format!("diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{count} @@\n{body}").into_bytes()
    };
    let target = Target {
        name: "diff, rules",
        mixed: false,
        cases: 1500,
        samples: vec![sample.into(), others.into(), secrets.into(), "".into()],
        words: &[
            "diff --git ",
            "--- a/",
            "+++ b/",
            "@@ -1,2 +3,4 @@",
            "\\ No newline at end of file\n",
            "rename from ",
            "copy to ",
            "new file mode 160000\n",
            "GIT binary patch\n",
            "Binary files a/x and b/x differ\n",
            "\"a/\\303\\274\"",
            "\\777",
            "/dev/null",
            "password = \"",
            "eval(",
            "os.system(",
            "${{ github.event.issue.title }}",
            "curl | sh",
            "'",
            "\"\"\"",
            "/*",
            "#",
        ],
        giants: vec![
            long("diff --git a/", "x", ""),
            long("diff --git \"a/", "\\303", ""),
            added(&"a".repeat(1 << 20)),
            added(&"(".repeat(1 << 20)),
            added(&"\"\\".repeat(1 << 19)),
            added(&"password = '".repeat(1 << 16)),
            added(&"eyJ".repeat(1 << 18)),
            added(&"$(".repeat(1 << 19)),
            added(&format!("x = \"{}\"", "aB3/".repeat(1 << 18))),
            lines("a.py", 20_000, &|n| format!("x{n} = requests.get(u, verify=False)")),
            lines("a.yml", 20_000, &|n| format!("  - run: echo ${{{{ github.event.issue.title }}}} {n}")),
            lines("a.sh", 20_000, &|_| "curl x | sh # \"".into()),
            lines("a.js", 50_000, &|_| "/*".into()),
            lines("a.py", 50_000, &|_| "\"\"\"".into()),
            lines("Dockerfile", 20_000, &|_| "RUN a \\".into()),
            many(20_000, |n| format!("diff --git a/{n} b/{n}\nold mode 100644\nnew mode 100755\n")),
            many(100_000, |_| "@@ -1 +1 @@\n".into()),
        ],
    };
    run(&target, |case| {
        let room = diff::Room { file: 1 << 20, total: 4 << 20 };
        let _ = diff::Diff::read(case, room);
        let Ok(diff) = diff::Diff::parse(case) else { return false };
        let again = diff::Diff::parse(diff.to_text().as_bytes());
        assert!(again.is_ok(), "what was read and is written again cannot be read: {again:?}");
        for draft in rules::review(&diff) {
            assert!(
                diff.files
                    .iter()
                    .any(|file| file.path == draft.path || file.old_path.as_deref() == Some(draft.path.as_str()))
            );
        }
        true
    });
}
