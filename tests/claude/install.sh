#!/bin/sh
# install.sh - install the Claude Code CLI that tests/claude.rs runs, and print the path of its executable.
#
# Usage:  CICDCTL_TEST_CLAUDE=$(tests/claude/install.sh) cargo test --test claude
#
# The version is pinned: events, flags and model aliases change between releases, and the recordings in
# tests/fixtures/claude are of this one. It goes to ${XDG_CACHE_HOME:-~/.cache}/cicdctl-tests/claude-VERSION; a second
# run finds it there and only prints the path. Two runs at once are fine: each installs aside and moves it into place.
#
# The platform package is taken, not @anthropic-ai/claude-code: that one puts the same program in place by a
# postinstall script and needs Node 22 for a current version.
#
# Needs: npm, about 500 MB of disk.
set -eu

version=${1:-2.1.330}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cicdctl-tests
home=$cache/claude-$version

case $(uname -m) in
    x86_64) machine=x64 ;;
    aarch64 | arm64) machine=arm64 ;;
    *) echo "install.sh: no Claude Code for $(uname -m)" >&2; exit 1 ;;
esac
platform=linux-$machine
if ldd --version 2>&1 | grep -qi musl; then platform=$platform-musl; fi
package=@anthropic-ai/claude-code-$platform
program=node_modules/$package/claude

if [ ! -x "$home/$program" ]; then
    mkdir -p "$cache"
    aside=$(mktemp -d "$cache/claude-$version.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    npm install --prefix "$aside" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error \
        "$package@$version" >&2
    # Loses against another run that was faster; its result is the same.
    mv -T "$aside" "$home" 2>/dev/null || [ -x "$home/$program" ]
fi

printf '%s\n' "$home/$program"
