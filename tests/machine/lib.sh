# shellcheck shell=bash
# lib.sh - for the cases in cases/: run something in the machine, say whether it was right.
#
# A case starts with
#
#   #!/bin/bash
#   # What it shows.
#   # machine: nspawn bookworm trixie
#   . "${BASH_SOURCE[0]%/*}/../lib.sh"
#
# and ends with `summary`. tests/run calls it as `CASE NAME SUITE` for each suite of that line,
# with a fresh machine NAME in which $CICDCTL is /usr/local/bin/cicdctl, and with
#
#   MACHINE   the path of `machine`
#   CICDCTL   the path of the release binary
#
# By hand: MACHINE=tests/machine/machine CICDCTL=target/release/cicdctl CASE NAME SUITE.
#
#   check "it says its version" expect_output '^cicdctl [0-9]' as_user alice cicdctl --version
#   check "bad usage is 2" expect_status 2 as_user alice cicdctl --nonsense
#   check "both at once" expect_status 3 expect_output 'critical' as_user alice sh -c 'cd app && …'
#
# Where one command is looked at from several sides:
#
#   run alice 'cicdctl status'
#   ended "it works" 0
#   shows "with the socket" 'cicd-runner.sock'
#
# A check that fails shows what its command printed. Output of the case is in the form of TAP.
# shellcheck disable=SC2034 # for the case
set -u

name=${1:?NAME of the machine} suite=${2:?SUITE}
: "${MACHINE:?the path of tests/machine/machine}" "${CICDCTL:?the path of cicdctl}"
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
checks=0 failures=0

# as_user USER COMMAND...: in a login session of USER, in the home directory, without stdin.
as_user() {
    local user=$1
    shift
    "$MACHINE" exec "$name" -u "$user" -n -- "$@"
}

as_root() { "$MACHINE" exec "$name" -n -- "$@"; }

# with_stdin USER COMMAND...: as as_user, with the caller's stdin.
with_stdin() {
    local user=$1
    shift
    "$MACHINE" exec "$name" -u "$user" -- "$@"
}

# alice SCRIPT [ARG...]: bash of alice, in her home directory.
alice() { as_user alice bash -c "$1" bash "${@:2}"; }

# sample_repo USER DIR: the repository of `sample-repo`, in the machine.
sample_repo() { with_stdin "$1" bash -s "$2" <"$here/sample-repo"; }

# program NAME: stdin becomes /usr/local/bin/NAME in the machine, where a cage finds it, too.
program() {
    "$MACHINE" exec "$name" -- sh -c 'cat >"$1" && chmod 755 "$1"' sh "/usr/local/bin/$1"
}

# set_up [OPTION...]: alice has the sample repository, a runner and the agent myapp for it.
set_up() {
    sample_repo alice myapp >/dev/null &&
        alice 'cicdctl init --yes --quiet && cicdctl agent add myapp --path ~/myapp --quiet "$@"' "$@"
}

# configure: stdin is laid over the configuration of the agent myapp, in place of what the last call did.
configure() {
    with_stdin alice bash -c '
        cd ~/.config/cicd-toolkit/agents && test -s myapp.toml.first || cp myapp.toml myapp.toml.first
        cat myapp.toml.first - >myapp.toml.new && mv myapp.toml.new myapp.toml'
}

# package: the Debian package and the tarball, in the machine as /root/cicdctl.deb and /root/cicdctl.tar.gz.
package() {
    if [ -z "${CICDCTL_DEB:-}" ]; then
        local dir
        dir=$(mktemp -d)
        "$here/../../.ci/package" "$dir" >/dev/null
        CICDCTL_DEB=$(printf '%s\n' "$dir"/*.deb) CICDCTL_TARBALL=$(printf '%s\n' "$dir"/*.tar.gz)
    fi
    "$MACHINE" put "$name" "$CICDCTL_DEB" /root/cicdctl.deb
    "$MACHINE" put "$name" "$CICDCTL_TARBALL" /root/cicdctl.tar.gz
}

# For sh of root: every file of the machine, but for what systemd, polkit, dpkg and the bus keep there themselves.
EVERYWHERE='find /etc /home /opt /usr /var -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /var/cache -o -path "/var/lib/systemd/*/*" -o -name "systemd-private-*" \) -prune -o -printf "%p %M %u %l\n" | sort
    ls -A /var/lib/systemd/linger /run/user/* | grep -v "^dbus-1$"'

ok() {
    checks=$((checks + 1))
    printf 'ok - %s\n' "$1"
}

# not_ok DESCRIPTION [OUTPUT]
not_ok() {
    checks=$((checks + 1)) failures=$((failures + 1))
    printf 'not ok - %s\n' "$1"
    [ -z "${2:-}" ] || printf '%s\n' "$2" | sed 's/^/# /'
}

# check DESCRIPTION COMMAND...: right if COMMAND ends with 0.
check() {
    local description=$1 output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    if [ "$status" -eq 0 ]; then
        ok "$description"
    else
        not_ok "$description" "$(printf '%s\nended with %s: %s' "$output" "$status" "$*")"
    fi
}

# refute DESCRIPTION COMMAND...: right if COMMAND fails; not if the machine does (125).
refute() {
    local description=$1 output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    case $status in
        0 | 125) not_ok "$description" "$(printf '%s\nended with %s: %s' "$output" "$status" "$*")" ;;
        *) ok "$description" ;;
    esac
}

# expect_status N COMMAND...
expect_status() {
    local want=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" -eq "$want" ] || {
        printf 'expected status %s, not %s\n' "$want" "$status" >&2
        return 1
    }
}

# expect_output PATTERN COMMAND...: a line of stdout or stderr matches the extended regular
# expression. The status is that of COMMAND; 99 if nothing matched.
expect_output() {
    local pattern=$1 output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    printf '%s\n' "$output"
    grep -qE -e "$pattern" <<<"$output" || {
        printf 'no line matches: %s (status %s)\n' "$pattern" "$status" >&2
        return 99
    }
    return "$status"
}

# expect_no_output PATTERN COMMAND...: the opposite.
expect_no_output() {
    local pattern=$1 output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    printf '%s\n' "$output"
    ! grep -qE -e "$pattern" <<<"$output" || {
        printf 'a line matches: %s (status %s)\n' "$pattern" "$status" >&2
        return 99
    }
    return "$status"
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds; its output is that of the last try.
wait_for() {
    local end=$((SECONDS + $1)) output
    shift
    until output=$("$@" 2>&1); do
        [ "$SECONDS" -lt "$end" ] || {
            printf '%s\n' "$output"
            return 1
        }
        sleep 0.2
    done
    printf '%s\n' "$output"
}

# run COMMAND...: its output, stdout and stderr, and its status are what the next three look at.
run() {
    status=0
    output=$("$@" 2>&1) || status=$?
}

# ended DESCRIPTION N
ended() {
    if [ "$status" -eq "$2" ]; then
        ok "$1"
    else
        not_ok "$1" "$(printf '%s\nended with %s, not %s' "$output" "$status" "$2")"
    fi
}

# shows DESCRIPTION PATTERN: a line matches the extended regular expression.
shows() {
    if grep -qE -e "$2" <<<"$output"; then
        ok "$1"
    else
        not_ok "$1" "$(printf '%s\nno line matches: %s (status %s)' "$output" "$2" "$status")"
    fi
}

# hides DESCRIPTION PATTERN: the opposite.
hides() {
    if grep -qE -e "$2" <<<"$output"; then
        not_ok "$1" "$(printf '%s\na line matches: %s (status %s)' "$output" "$2" "$status")"
    else
        ok "$1"
    fi
}

# same DESCRIPTION A B: two texts are equal.
same() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))"; fi
}

# skip REASON: nothing more of this case can be tried here.
skip() {
    ok "skipped # SKIP $1"
    summary
    exit
}

# The last line of a case; its status is that of the case.
summary() {
    printf '%s passed, %s failed\n' "$((checks - failures))" "$failures"
    [ "$checks" -gt 0 ] && [ "$failures" -eq 0 ]
}
