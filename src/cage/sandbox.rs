//! Limits and sandbox of one job as properties of a transient unit. Pure.
//!
//! The shape: an empty home with a few windows, a read-only system, a /tmp of its own, a user namespace (without
//! which systemd 252 ignores most of it), processes that see and signal nobody else, no bus, no network where the
//! engine needs none, and an environment built from nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use zbus::wire::Variant;

use super::{API_KEY, Order};
use crate::engine::EngineSpec;
use crate::forge::github::TOKEN_VARIABLES;
use crate::secret::VARIABLES;
use crate::systemd::Manager;

type Property = (&'static str, Variant<'static>);

/// What a cage has to know of the user manager that makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Around {
    /// Its version: 252 refuses what it does not know.
    pub systemd: u32,
    /// Names of the variables that it passes on to every unit.
    pub variables: Vec<String>,
}

impl Around {
    pub async fn of(manager: &Manager) -> anyhow::Result<Around> {
        let (systemd, environment) = tokio::join!(manager.major_version(), manager.environment());
        let name = |line: String| line.split_once('=').map(|(name, _)| name.to_owned());
        Ok(Around { systemd: systemd?, variables: environment?.into_iter().filter_map(name).collect() })
    }

    /// `PrivatePIDs=` came with 257. Before, unshare(1) does the same within the sandbox.
    fn has_private_pids(&self) -> bool {
        self.systemd >= 257
    }
}

const UNSHARE: &str = "/usr/bin/unshare";

/// What a cage has in its environment, whatever the user manager has in its own.
const ENVIRONMENT: [(&str, &str); 2] = [("LANG", "C.UTF-8"), ("PATH", "/usr/local/bin:/usr/bin:/bin")];

/// What systemd sets by itself (systemd.exec(5)) and no engine has a use for. The credentials' directory stays.
const OF_SYSTEMD: [&str; 14] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LOGNAME",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "SHELL",
    "SYSTEMD_EXEC_PID",
    "USER",
    "XDG_RUNTIME_DIR",
];

/// Properties for `StartTransientUnit` (org.freedesktop.systemd1(5)).
pub fn properties(order: &Order<'_>, sandboxed: bool, grace: Duration, around: &Around) -> Vec<Property> {
    with_command(order, &["run", "job", "--dir", &text(order.dir)], sandboxed, grace, around)
}

/// The same around another command of this program that knows `--first`, too.
pub fn with_command(
    order: &Order<'_>,
    command_line: &[&str],
    sandboxed: bool,
    grace: Duration,
    around: &Around,
) -> Vec<Property> {
    let first: &[&str] = match (sandboxed, around.has_private_pids()) {
        (false, _) => &[],
        (true, true) => &["--first"],
        (true, false) => &["--first", "--no-namespaces"],
    };
    let mut properties = command(order, &[command_line, first].concat(), sandboxed && !around.has_private_pids());
    properties.extend(environment(order, around));
    properties.extend(limits(order, grace));
    if sandboxed {
        properties.extend(sandbox(order, around));
    }
    properties
}

/// Names of the variables that the command of an order is to find in its environment, and no others.
pub fn variables(order: &Order<'_>) -> Vec<String> {
    let own = ENVIRONMENT.map(|(name, _)| name.to_owned());
    own.into_iter().chain(order.limits.pass_environment.iter().cloned()).collect()
}

/// With `unshared` in namespaces of users and processes that unshare(1) makes.
fn command(order: &Order<'_>, arguments: &[&str], unshared: bool) -> Vec<Property> {
    let program = text(order.program);
    let unshare = [UNSHARE, "--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--"];
    let before = if unshared { &unshare[..] } else { &[] };
    let words = before.iter().copied().chain([program.as_str()]).chain(arguments.iter().copied());
    let argv: Vec<String> = words.map(str::to_owned).collect();
    vec![
        ("Description", format!("cicdctl: the engine of job {}", order.job).into()),
        ("ExecStart", vec![(argv[0].clone(), argv, false)].into()),
        ("Type", "exec".to_owned().into()),
        ("Slice", "cicd.slice".to_owned().into()),
        ("SyslogIdentifier", "cicd-job".to_owned().into()),
        ("LogExtraFields", vec![format!("CICD_JOB={}", order.job).into_bytes()].into()),
    ]
}

/// Built from nothing: the manager's own variables, those of environment.d among them, are taken out by name.
fn environment(order: &Order<'_>, around: &Around) -> Vec<Property> {
    let mut properties: Vec<Property> =
        vec![("Environment", ENVIRONMENT.map(|(name, value)| format!("{name}={value}")).to_vec().into())];
    let mut pass = order.limits.pass_environment.clone();
    match order.key_source() {
        Some(source) => properties.push(("LoadCredential", vec![(API_KEY.0.to_owned(), text(&source))].into())),
        None if order.needs_key() && order.api_key_in_environment => pass.push(API_KEY.1.to_owned()),
        None => {}
    }
    let stays =
        |name: &str| ENVIRONMENT.iter().any(|(own, _)| *own == name) || pass.iter().any(|passed| passed == name);
    let unset = around.variables.iter().map(String::as_str).chain(OF_SYSTEMD).chain(VARIABLES);
    // The forge's token never gets in, whatever is to be passed.
    let unset = unset.filter(|name| !stays(name)).chain(TOKEN_VARIABLES).map(str::to_owned).collect::<BTreeSet<_>>();
    properties.push(("UnsetEnvironment", unset.into_iter().collect::<Vec<String>>().into()));
    if !pass.is_empty() {
        properties.push(("PassEnvironment", pass.into()));
    }
    properties
}

fn limits(order: &Order<'_>, grace: Duration) -> Vec<Property> {
    let limits = order.limits;
    let usec = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let mut properties: Vec<Property> = vec![
        ("MemoryMax", limits.memory.0.into()),
        ("MemorySwapMax", limits.swap.0.into()),
        ("TasksMax", u64::from(limits.tasks).into()),
        ("RuntimeMaxUSec", usec(limits.timeout.0 + grace).into()),
        ("TimeoutStopUSec", usec(Duration::from_secs(10)).into()),
        ("KillMode", "control-group".to_owned().into()),
        ("SendSIGKILL", true.into()),
        // A part of an engine that was killed for memory must not leave the rest to go on as if nothing were.
        ("OOMPolicy", "kill".to_owned().into()),
        ("OOMScoreAdjust", 500i32.into()),
        ("LimitCORE", 0u64.into()),
        // Of one file; all of them are measured while the engine works.
        ("LimitFSIZE", limits.disk.0.into()),
        ("UMask", 0o077u32.into()),
    ];
    if let Some(cpu) = limits.cpu {
        properties.push(("CPUQuotaPerSecUSec", cpu.usec_per_sec().into()));
    }
    properties
}

fn sandbox(order: &Order<'_>, around: &Around) -> Vec<Property> {
    let needs_network = !matches!(order.input.spec, EngineSpec::Rules);
    let shared_memory = ("/dev/shm".to_owned(), "mode=1777".to_owned());
    // ProtectHome= is about /home, /root and /run/user only.
    let hidden = order.hidden.iter().map(|dir| (text(dir), "mode=0755,ro".to_owned()));
    let families = ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"].map(str::to_owned).to_vec();
    let mut properties: Vec<Property> = vec![
        ("PrivateUsers", true.into()),
        ("NoNewPrivileges", true.into()),
        ("ProtectSystem", "strict".to_owned().into()),
        ("ProtectHome", "tmpfs".to_owned().into()),
        ("PrivateDevices", true.into()),
        ("PrivateIPC", true.into()),
        // PrivateDevices= leaves that of the host there, and PrivateIPC= is about other shared memory.
        ("TemporaryFileSystem", std::iter::once(shared_memory).chain(hidden).collect::<Vec<_>>().into()),
        ("ProtectControlGroups", true.into()),
        ("ProtectKernelTunables", true.into()),
        ("ProtectHostname", true.into()),
        ("LockPersonality", true.into()),
        ("RestrictRealtime", true.into()),
        ("RestrictSUIDSGID", true.into()),
        ("RestrictNamespaces", allowed_namespaces(around).into()),
        ("RestrictAddressFamilies", (true, families).into()),
        ("SystemCallArchitectures", vec!["native".to_owned()].into()),
        ("SystemCallFilter", (true, system_calls(around)).into()),
        ("SystemCallErrorNumber", 1i32.into()),
        (
            "InaccessiblePaths",
            vec![
                "-/run/dbus".to_owned(),
                "-/run/systemd/private".to_owned(),
                "-/run/systemd/io.systemd.Credentials".to_owned(),
            ]
            .into(),
        ),
    ];
    if around.has_private_pids() {
        properties.push(("PrivatePIDs", "yes".to_owned().into()));
    }
    if !needs_network {
        properties.push(("PrivateNetwork", true.into()));
    }
    let mut readable = vec![bind(order.program, false), bind(order.dir, false)];
    let mut push = |path: &Path| {
        // What the system's directories hold is readable as it is.
        if !path.starts_with("/usr") && !path.starts_with("/bin") {
            readable.push(bind(path, true));
        }
    };
    match &order.input.spec {
        EngineSpec::Claude(claude) => push(&claude.program),
        EngineSpec::Command(command) => command.argv.first().into_iter().for_each(|program| push(Path::new(program))),
        EngineSpec::Rules => {}
    }
    for path in &order.limits.readable {
        push(path);
    }
    let writable = vec![
        bind(&order.dir.join("scratch"), false),
        bind(&order.dir.join("out"), false),
        bind(&order.input.engine_home, false),
        // With `PrivateTmp=` it would be where nobody measures it.
        bind_at(&order.dir.join("tmp"), "/tmp"),
        bind_at(&order.dir.join("tmp"), "/var/tmp"),
    ];
    properties.push(("BindReadOnlyPaths", readable.into()));
    properties.push(("BindPaths", writable.into()));
    properties
}

/// What a service has use for; and what takes more away, where this program does so behind unshare(1).
fn system_calls(around: &Around) -> Vec<String> {
    let more: &[&str] = if around.has_private_pids() { &[] } else { &["seccomp"] };
    ["@system-service"].iter().chain(more).map(|name| (*name).to_owned()).collect()
}

/// The set of namespaces that stay allowed: none. What unshare(1) needs is forbidden again behind it (`--no-namespaces`).
fn allowed_namespaces(around: &Around) -> u64 {
    if around.has_private_pids() { 0 } else { nix::libc::CLONE_NEWUSER as u64 | nix::libc::CLONE_NEWPID as u64 }
}

/// Source, destination, whether it may be missing, mount flags (with what is mounted below it).
fn bind(path: &Path, optional: bool) -> (String, String, bool, u64) {
    (text(path), text(path), optional, MS_REC)
}

fn bind_at(path: &Path, at: &str) -> (String, String, bool, u64) {
    (text(path), at.to_owned(), false, MS_REC)
}

const MS_REC: u64 = 16384;

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cage::Input;
    use crate::config::JobConfig;

    fn properties_of(order: &Order<'_>, systemd: u32, sandboxed: bool) -> String {
        let variables = ["PATH", "LANG", "CLOUD_TOKEN", "PASSED"].map(str::to_owned).to_vec();
        let around = Around { systemd, variables };
        let properties = properties(order, sandboxed, Duration::ZERO, &around);
        properties.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    #[test]
    fn processes_and_environment_of_a_cage_are_its_own_whatever_the_version() {
        let limits = JobConfig { pass_environment: vec!["PASSED".into()], ..JobConfig::default() };
        let bundle = crate::engine::tests::bundle();
        let input = Input { job: "J".into(), spec: EngineSpec::Rules, bundle, engine_home: "/h".into() };
        let order = Order {
            job: "J",
            dir: Path::new("/d"),
            input: &input,
            limits: &limits,
            api_key: None,
            api_key_in_environment: false,
            unsandboxed: false,
            program: Path::new("/p"),
            hidden: &["/srv/ada".into()],
        };
        let new = properties_of(&order, 257, true);
        assert!(new.contains("PrivatePIDs=") && !new.contains(UNSHARE), "{new}");
        assert!(new.contains(r#"["/p", "run", "job", "--dir", "/d", "--first"]"#), "{new}");
        assert!(
            new.contains(r#"TemporaryFileSystem=[("/dev/shm", "mode=1777"), ("/srv/ada", "mode=0755,ro")]"#),
            "{new}"
        );
        let old = properties_of(&order, 252, true);
        assert!(!old.contains("PrivatePIDs="), "{old}");
        assert!(
            old.contains(r#""--kill-child", "--", "/p", "run", "job", "--dir", "/d", "--first", "--no-namespaces"]"#)
        );
        let open = properties_of(&order, 252, false);
        assert!(open.contains(r#"["/p", "run", "job", "--dir", "/d"]"#) && !open.contains("PrivateUsers"), "{open}");
        for text in [new, old, open] {
            let unset = text.lines().find(|line| line.starts_with("UnsetEnvironment=")).unwrap();
            assert!(unset.contains("\"CLOUD_TOKEN\"") && unset.contains("\"HOME\""), "{unset}");
            assert!(!unset.contains("\"PATH\"") && !unset.contains("\"PASSED\""), "{unset}");
        }
    }
}
