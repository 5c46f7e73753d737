//! Limits and sandbox of one job as properties of a transient unit. Pure.
//!
//! The shape: an empty home with a few windows, a read-only system, a /tmp of its own, a user namespace (without
//! which systemd 252 ignores most of it), no bus, no network where the engine needs none.

use std::path::Path;
use std::time::Duration;

use zbus::wire::Variant;

use super::{API_KEY, Order};
use crate::engine::EngineSpec;
use crate::forge::github::TOKEN_VARIABLES;

type Property = (&'static str, Variant<'static>);

/// Properties for `StartTransientUnit` (org.freedesktop.systemd1(5)).
pub fn properties(order: &Order<'_>, sandboxed: bool, grace: Duration) -> Vec<Property> {
    let mut properties = command(order);
    properties.extend(limits(order, grace));
    if sandboxed {
        properties.extend(sandbox(order));
    }
    properties
}

fn command(order: &Order<'_>) -> Vec<Property> {
    let program = text(order.program);
    let argv: Vec<String> = [&program, "run", "job", "--dir", &text(order.dir)].map(str::to_owned).into();
    let mut properties: Vec<Property> = vec![
        ("Description", format!("cicdctl: the engine of job {}", order.job).into()),
        ("ExecStart", vec![(program, argv, false)].into()),
        ("Type", "exec".to_owned().into()),
        ("Slice", "cicd.slice".to_owned().into()),
        ("SyslogIdentifier", "cicd-job".to_owned().into()),
        ("LogExtraFields", vec![format!("CICD_JOB={}", order.job).into_bytes()].into()),
        ("Environment", vec!["LANG=C.UTF-8".to_owned(), "PATH=/usr/local/bin:/usr/bin:/bin".to_owned()].into()),
    ];
    let mut pass = order.limits.pass_environment.clone();
    match &order.api_key_file {
        _ if !order.needs_key() => {}
        Some(file) => properties.push(("LoadCredential", vec![(API_KEY.0.to_owned(), text(file))].into())),
        None if order.api_key_in_environment => pass.push(API_KEY.1.to_owned()),
        None => {}
    }
    // The user manager may have it from environment.d, and all its units with it.
    properties.push(("UnsetEnvironment", TOKEN_VARIABLES.map(str::to_owned).to_vec().into()));
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

fn sandbox(order: &Order<'_>) -> Vec<Property> {
    let needs_network = !matches!(order.input.spec, EngineSpec::Rules);
    let families = ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"].map(str::to_owned).to_vec();
    let mut properties: Vec<Property> = vec![
        ("PrivateUsers", true.into()),
        ("NoNewPrivileges", true.into()),
        ("ProtectSystem", "strict".to_owned().into()),
        ("ProtectHome", "tmpfs".to_owned().into()),
        ("PrivateDevices", true.into()),
        ("PrivateIPC", true.into()),
        ("ProtectControlGroups", true.into()),
        ("ProtectKernelTunables", true.into()),
        ("ProtectHostname", true.into()),
        ("LockPersonality", true.into()),
        ("RestrictRealtime", true.into()),
        ("RestrictSUIDSGID", true.into()),
        // The set of namespaces that stay allowed: none.
        ("RestrictNamespaces", 0u64.into()),
        ("RestrictAddressFamilies", (true, families).into()),
        ("SystemCallArchitectures", vec!["native".to_owned()].into()),
        ("SystemCallFilter", (true, vec!["@system-service".to_owned()]).into()),
        ("SystemCallErrorNumber", 1i32.into()),
        ("InaccessiblePaths", vec!["-/run/dbus".to_owned(), "-/run/systemd/private".to_owned()].into()),
    ];
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
