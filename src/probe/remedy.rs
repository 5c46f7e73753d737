//! The one command that puts right what keeps limits or hardening from being in force.

use std::path::Path;

use crate::unit::host::DELEGATE;

/// What this host says of user namespaces; absent settings are those of another kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// `kernel.unprivileged_userns_clone` (Debian)
    pub clone: Option<u64>,
    /// `user.max_user_namespaces`
    pub max: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns` (Ubuntu)
    pub restricted: Option<u64>,
}

impl Namespaces {
    pub fn of_host() -> Namespaces {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().parse().ok();
        Namespaces {
            clone: read("kernel/unprivileged_userns_clone"),
            max: read("user/max_user_namespaces"),
            restricted: read("kernel/apparmor_restrict_unprivileged_userns"),
        }
    }

    /// For root; it holds after a reboot, too.
    pub fn remedy(self) -> String {
        let mut settings = Vec::new();
        if self.clone == Some(0) {
            settings.push("kernel.unprivileged_userns_clone=1");
        }
        if self.max == Some(0) {
            settings.push("user.max_user_namespaces=15000");
        }
        if self.restricted.is_some_and(|value| value != 0) {
            settings.push("kernel.apparmor_restrict_unprivileged_userns=0");
        }
        if settings.is_empty() {
            return "the kernel allows user namespaces: `cicdctl logs runner` and `journalctl --user -n 50` say what \
                    systemd could not set up"
                .into();
        }
        let lines: String = settings.iter().map(|setting| format!("{setting}\\n")).collect();
        format!("as root: `printf '{lines}' > /etc/sysctl.d/60-cicdctl.conf && sysctl --system`")
    }
}

/// Of the controllers that limits need, those that the user manager is not given.
pub fn missing<'a>(controllers: &[impl AsRef<str>], needed: &[&'a str]) -> Vec<&'a str> {
    needed.iter().copied().filter(|name| !controllers.iter().any(|known| known.as_ref() == *name)).collect()
}

/// What a host is like, as far as that decides who gets controllers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around {
    /// It has the unified hierarchy (cgroup v2) and nothing else.
    pub unified: bool,
    /// `cicdctl init --system` has told user managers to pass all of them on.
    pub delegated: bool,
}

impl Around {
    pub fn look() -> Around {
        Around {
            unified: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
            delegated: Path::new(DELEGATE).exists(),
        }
    }
}

/// What lets the user manager have these controllers.
pub fn controllers(missing: &[&str], around: Around, uid: u32) -> String {
    if missing.is_empty() {
        // It has them and has not passed them on.
        "`systemctl --user daemon-reexec`, then `cicdctl doctor`".into()
    } else if around.delegated {
        format!(
            "log out everywhere and in again, or as root: `systemctl restart user@{uid}.service`; where that changes \
             nothing, what the host runs in (a container?) does not pass them on"
        )
    } else if around.unified {
        format!(
            "as root: `mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory pids\\n' > \
             /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload && systemctl restart user@{uid}.service`"
        )
    } else {
        "as root: `sed -i 's/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && \
         update-grub && reboot`: the host uses the legacy cgroup hierarchy"
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_one_command_for_the_cause_that_is_there() {
        let namespaces = Namespaces { clone: Some(1), max: Some(0), restricted: None };
        assert_eq!(
            namespaces.remedy(),
            "as root: `printf 'user.max_user_namespaces=15000\\n' > /etc/sysctl.d/60-cicdctl.conf && sysctl --system`"
        );
        let ubuntu = Namespaces { clone: Some(1), max: Some(1000), restricted: Some(1) };
        assert!(ubuntu.remedy().contains("'kernel.apparmor_restrict_unprivileged_userns=0\\n'"), "{}", ubuntu.remedy());
        assert!(Namespaces::default().remedy().starts_with("the kernel allows"));

        assert_eq!(missing(&["memory", "pids"], &["cpu", "memory", "pids"]), ["cpu"]);
        let (old, new) = (Around::default(), Around { unified: true, delegated: false });
        assert!(controllers(&["cpu"], new, 1001).ends_with("systemctl restart user@1001.service`"));
        assert!(controllers(&["cpu"], old, 1001).contains("unified_cgroup_hierarchy=1"));
        assert!(controllers(&[], new, 1001).starts_with("`systemctl --user"));
        assert!(controllers(&["cpu"], Around { delegated: true, ..new }, 1001).starts_with("log out"));
    }
}
