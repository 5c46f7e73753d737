//! Hardening levels as data: which directives a runner's or agent's unit gets, and why each is there. Pure.
//!
//! Only what was seen to work in a user manager on systemd 252 and 257 is here. On 252 the file-system directives do
//! nothing without `PrivateUsers=yes` beside them, so that stands first; where user namespaces are forbidden it makes
//! the unit fail (217/USER) instead of running it open.

use crate::config::Level;

pub struct Directive {
    pub name: &'static str,
    pub value: &'static str,
    pub why: &'static str,
    pub since: Level,
}

const fn directive(since: Level, name: &'static str, value: &'static str, why: &'static str) -> Directive {
    Directive { name, value, why, since }
}

use Level::{Standard, Strict};

pub const DIRECTIVES: [Directive; 21] = [
    directive(Standard, "PrivateUsers", "yes", "a user namespace of its own; the file-system directives need it"),
    directive(Standard, "NoNewPrivileges", "yes", "sudo and set-uid programs gain nothing"),
    directive(Standard, "ProtectSystem", "strict", "the whole file system is read-only, but for the paths named"),
    directive(Standard, "ProtectHome", "read-only", "home directories are read-only, but for the paths named"),
    directive(Standard, "ProtectControlGroups", "yes", "limits cannot be lifted from inside"),
    directive(Standard, "ProtectHostname", "yes", "the host's name cannot be changed"),
    directive(Standard, "LockPersonality", "yes", "no other execution domain"),
    directive(Standard, "RestrictRealtime", "yes", "no realtime scheduling that starves the host"),
    directive(Standard, "RestrictSUIDSGID", "yes", "no set-uid file can be made"),
    directive(Standard, "RestrictNamespaces", "yes", "no further namespaces, a wide door into the kernel"),
    directive(
        Standard,
        "RestrictAddressFamilies",
        "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "no exotic sockets; AF_NETLINK for looking up names",
    ),
    directive(Standard, "SystemCallArchitectures", "native", "no system calls of other architectures"),
    directive(Standard, "UMask", "0077", "what it writes is its user's alone"),
    directive(Standard, "LimitCORE", "0", "no core dump with secrets in it"),
    directive(Strict, "PrivateTmp", "yes", "a /tmp of its own; working copies below /tmp cannot be reviewed"),
    directive(Strict, "PrivateDevices", "yes", "no device but the harmless ones"),
    directive(Strict, "PrivateIPC", "yes", "no shared memory with the rest of the user's programs"),
    directive(Strict, "ProtectKernelTunables", "yes", "/proc and /sys settings are read-only"),
    directive(Strict, "MemoryDenyWriteExecute", "yes", "no code made at run time; the runner has none"),
    directive(Strict, "SystemCallFilter", "@system-service", "no system call that a service has no use for"),
    directive(Strict, "SystemCallErrorNumber", "EPERM", "a refused call fails and does not kill"),
];

pub fn directives(level: Level) -> impl Iterator<Item = &'static Directive> {
    DIRECTIVES.iter().filter(move |directive| match level {
        Level::Off => false,
        Standard => directive.since == Standard,
        Strict => true,
    })
}
