//! Images and containers: what they are built from, and what they may do to the host.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

const DOCKERFILE: Scope = Scope::code(&[Lang::Dockerfile]);

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "docker-add-url",
            title: "ADD downloads without a checksum",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "The image holds whatever the server sends on the day of the build, and no two builds need be the \
                          same. Give `ADD --checksum=sha256:…`, or download and check in a RUN.",
        },
        scope: DOCKERFILE,
        check: Check::Line(&["add"], |at| {
            let add = pattern!(r"(?i)^\s*ADD\s+(?:--\S+\s+)*https?://");
            let git = pattern!(r"\.git(?:#\S*)?\s");
            Hit::when(add.is_match(at.code()) && !at.code().contains("--checksum") && !git.is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "docker-latest-tag",
            title: "Base image without a version",
            severity: Severity::Low,
            category: Category::Reliability,
            confidence: 0.75,
            explanation: "`latest` is another image tomorrow, so a build that worked may break or change without any change \
                          here. Name a version, or a digest.",
        },
        scope: DOCKERFILE,
        check: Check::Line(&[":latest"], |at| {
            Hit::when(pattern!(r"(?i)^\s*FROM\s+(?:--\S+\s+)*\S+:latest(?:\s|$)").is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "docker-root-user",
            title: "Image ends as root",
            severity: Severity::Low,
            category: Category::Security,
            confidence: 0.6,
            explanation: "No later USER takes this back, so the service runs as root, and a fault in it reaches everything in \
                          the container. Switch to an ordinary user at the end.",
        },
        scope: DOCKERFILE,
        check: Check::Line(&["user"], |at| {
            let root = pattern!(r"(?i)^\s*USER\s+(?:root|0)(?::\S+)?\s*$");
            let user = pattern!(r"(?i)^\s*USER\s");
            // only where the whole file is to be seen
            let new = at.subject.file.status == crate::diff::FileStatus::Added;
            Hit::when(new && root.is_match(at.code()) && !at.after().any(|line| user.is_match(line.text())))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "docker-secret-in-env",
            title: "Secret becomes part of the image",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.7,
            explanation: "ENV and the defaults of ARG are stored in the image, where everyone who can pull it reads them with \
                          `docker inspect`. Pass the secret at run time, or mount it with `RUN --mount=type=secret`.",
        },
        scope: DOCKERFILE,
        check: Check::Line(&["env", "arg"], secret_in_env),
    },
    Rule {
        info: RuleInfo {
            id: "container-privileged",
            title: "Container with all rights on the host",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.8,
            explanation: "A privileged container can load modules and mount the disks of the host, so a fault in it is a fault \
                          of the whole machine. Give the capabilities and devices that it needs.",
        },
        scope: Scope::code(Lang::COMMANDS),
        check: Check::Line(&["privileged"], |at| {
            let yaml = pattern!(r"^\s*(?:-\s+)?privileged:\s*true\s*$");
            let command = pattern!(
                r"\b(?:docker|podman|nerdctl)\s+(?:container\s+)?(?:run|create)\s(?:[^|;&]*\s)?--privileged(?:=true)?(?:\s|$)"
            );
            Hit::when(yaml.is_match(at.code()) || command.is_match(at.code()))
        }),
    },
];

fn secret_in_env(at: &At<'_>) -> Option<Hit> {
    let value = pattern!(
        r#"(?i)^\s*(?:ENV|ARG)\s+(?:\S+=\S*\s+)*\w*(?:PASSWORD|PASSWD|SECRET|SECRET_KEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|AUTH_TOKEN|ACCESS_TOKEN|GITHUB_TOKEN|NPM_TOKEN)(?:=|\s+)["']?([^\s"']{6,})"#
    );
    let placeholder = pattern!(
        r"(?i)^\$|\$\{|change.?me|example|dummy|placeholder|your|xxx|^<|^/|^(?:true|false|none|null|build-?time|unused|not-?set|secret|password)$"
    );
    let value = value.first(at.code())?;
    Hit::when(!placeholder.is_match(value))
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    let path = "Dockerfile";
    vec![
        fires("docker-add-url", path, "ADD https://acme.io/tool.tar.gz /opt/"),
        quiet("docker-add-url", path, "ADD --checksum=sha256:24454f83 https://acme.io/tool.tar.gz /opt/"),
        quiet("docker-add-url", path, "ADD https://github.com/acme/tool.git#v1 /src"),
        quiet("docker-add-url", path, "ADD rootfs.tar.gz /"),
        fires("docker-latest-tag", path, "FROM --platform=linux/amd64 node:latest AS build"),
        quiet("docker-latest-tag", path, "FROM node:22.3-slim"),
        quiet("docker-latest-tag", path, "RUN docker pull node:latest"),
        fires("docker-root-user", path, "FROM node:22\nUSER root\nRUN apt-get update\n"),
        quiet("docker-root-user", path, "FROM node:22\nUSER root\nRUN apt-get update\nUSER node\n"),
        fires("docker-secret-in-env", path, "ENV DB_PASSWORD=kV9pq2LwX3"),
        fires("docker-secret-in-env", path, "ARG NPM_TOKEN=\"q8v2nXc71L\""),
        quiet("docker-secret-in-env", path, "ENV DB_PASSWORD=$DB_PASSWORD"),
        quiet("docker-secret-in-env", path, "ENV DB_PASSWORD_FILE=/run/secrets/db"),
        quiet("docker-secret-in-env", path, "ARG NPM_TOKEN"),
        fires("container-privileged", "compose.yml", "    privileged: true"),
        fires("container-privileged", "a.sh", "docker run --rm --privileged acme/tool"),
        quiet("container-privileged", "compose.yml", "    privileged: false"),
        quiet("container-privileged", "pod.yml", "        # privileged: true"),
        quiet("container-privileged", "policy.yml", "      allowPrivilegeEscalation: false"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::added;
    use crate::diff::{Diff, FileDiff, FileStatus};
    use crate::engine::rules::review;

    #[test]
    fn who_comes_behind_root_is_unknown_in_a_part_of_a_file() {
        let file = FileDiff { status: FileStatus::Modified, ..added("Dockerfile", "USER root\n") };
        assert_eq!(review(&Diff { files: vec![file] }), []);
    }
}
