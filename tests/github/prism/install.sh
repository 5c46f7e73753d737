#!/bin/sh
# install.sh - install prism and GitHub's own API description, cut to what cicdctl uses; print the directory.
#
# Usage:  CICDCTL_TEST_PRISM=$(tests/github/prism/install.sh) cargo test --test github
#
# Prism stands between program and fake in tests/github/contract.rs: a request that GitHub's description does not allow
# stops there, and so does an answer of the fake that GitHub would not give. Versions are pinned in package.json (prism
# 5.16 needs Node 24). All goes to ${XDG_CACHE_HOME:-~/.cache}/cicdctl-tests/prism-DIGEST; a second run only prints it.
#
# Needs: Node 18.20 or later, npm, about 110 MB of disk.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/cicdctl-tests
home=$cache/prism-$(cat "$here"/package-lock.json "$here"/*.mjs | sha256sum | cut -c1-12)

if [ ! -e "$home/description.json" ]; then
    mkdir -p "$cache"
    aside=$(mktemp -d "$home.XXXXXX")
    trap 'rm -rf "$aside"' EXIT
    cp "$here"/package.json "$here"/package-lock.json "$here"/.npmrc "$here"/*.mjs "$aside"
    (cd "$aside" && npm ci --loglevel=error && node cut.mjs --prefix /api/v3 --out description.json) >&2
    rm -rf "$aside/.spec"
    # Loses against another run that was faster; its result is the same.
    mv -T "$aside" "$home" 2>/dev/null || [ -e "$home/description.json" ]
fi

printf '%s\n' "$home"
