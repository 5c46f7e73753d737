#!/bin/bash
# The release binary runs on both systems, for an ordinary user and for root.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

version=$("$CICDCTL" --version)

check "alice finds cicdctl in her PATH" expect_output '^/usr/local/bin/cicdctl$' as_user alice sh -c 'command -v cicdctl'
check "it says for alice what it says outside" test "$(as_user alice cicdctl --version)" = "$version"
check "it says for root what it says outside" test "$(as_root cicdctl --version)" = "$version"
check "the first line is a name and a version" expect_output '^cicdctl [0-9]+\.[0-9]+\.[0-9]+' as_user alice cicdctl --version
refute "alice cannot become root" as_user alice su -c true
check "the sample repository is there to review" sample_repo alice app
check "its last commit changes 8 files" expect_output '^8$' as_user alice sh -c 'git -C app diff --name-only HEAD~1..HEAD | wc -l'

summary
