#!/bin/bash
# kill -9 in the middle of init, agent add, apply, agent remove and uninstall: what is there is old or
# new and never half, the same command again finishes, once more there is nothing to do, and
# uninstall --purge gives back what was there before init.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

# A round kills each command once. KILLS=all: at every system call that changes something.
rounds=${KILLS:-10}

sample_repo alice myapp >/dev/null
# A manager that stays, with lingering off, and what it makes once for all: its bus, the directory of transient units.
as_root sh -c 'systemctl start "user@$(id -u alice).service"'
alice 'busctl --user list >/dev/null; systemd-run --user --quiet --wait true'
# A directory of units that is somebody else's as well.
alice 'mkdir -p ~/.config/systemd/user && printf "[Service]\nExecStart=true\n" >~/.config/systemd/user/own.service'

run with_stdin alice bash -s "$rounds" <<'SCRIPT'
rounds=$1
units=~/.config/systemd/user
config=~/.config/cicd-toolkit
run=$XDG_RUNTIME_DIR
cd

# All of the home and of the runtime directory, units, lingering, the manager's environment. Left out is
# what systemd keeps for itself: the number of each unit's run, a stage for units with namespaces, and the directory of
# transient units once there was one.
snapshot() {
    find ~ "$run" \( -path "$run/systemd/units" -o -path "$run/systemd/propagate" -o -path "$run/systemd/inaccessible" \
        -o -path "$run/systemd/transient" -empty \) \
        -prune -o -printf '%p %y %m %U:%G %l\n' | sort
    find ~ -type f -exec sha256sum {} + | sort
    systemctl --user list-unit-files --no-legend --no-pager | sort
    systemctl --user list-units --all --plain --no-legend --no-pager | awk '{ print $1, $2, $3, $4 }' | sort
    systemctl --user show-environment | sort
    ls /var/lib/systemd/linger
}

# What is half: a generated file whose digest is not that of its text, a record that cannot be read, a
# configuration that is none of those that were written here.
half() {
    local file want
    find "$units" ~/.config/environment.d -type f \( -name 'cicd*' -o -name '50-cicdctl.conf' \) 2>/dev/null | while read -r file; do
        want=$(sed -n 's/^# cicdctl-digest: //p' "$file" | head -n 1)
        [ "$(sed '1,/^$/d' "$file" | sha256sum | cut -c1-32)" = "$want" ] || echo "half: $file"
    done
    for file in ~/.local/state/cicd-toolkit/install.json "$run/cicd-toolkit-install.json"; do
        [ ! -e "$file" ] || jq -e . "$file" >/dev/null || echo "half: $file"
    done
    for file in "$config/config.toml" "$config/agents/myapp.toml"; do
        [ ! -e "$file" ] || grep -q "^$(sha256sum <"$file")" /tmp/whole || echo "half: $file"
    done
}

# What is told of units that is not so, after the last of a command.
unread() {
    systemctl --user show -P NeedDaemonReload cicd-runner.service cicd-runner.socket cicd-agent@myapp.service | grep -q yes && echo 'not reloaded'
}

change() { sed -i 's/^#cpu_weight = .*/cpu_weight = 55/; s/^\[environment\]/&\nCICD_TRIED = "50% of $x"/' "$config/config.toml"; }
fault() {
    printf 'fault: %s\n' "$*"
    faults=$((faults + 1))
}
declare -A line=(
    [init]='init --yes' [add]='agent add myapp --path myapp' [apply]='apply --yes' [remove]='agent remove myapp --yes'
    [uninstall]='uninstall --yes' [purge]='uninstall --purge --yes'
)
declare -A again=(
    [init]='nothing would change' [add]='nothing would change' [apply]='nothing would change' [remove]='there is no agent'
    [uninstall]='' [purge]='^Nothing to remove'
)
order='init add apply remove uninstall purge'
calls='mkdir openat write fsync fchmod rename renameat renameat2 symlink unlink rmdir sendmsg'
before() { [ "$1" != apply ] || change; }

#-- once without a kill: how many calls there are, and what whole files are --------------

snapshot >/tmp/before
: >/tmp/whole
declare -A points
for name in $order; do
    before $name
    strace -f -qq -o /tmp/trace -e "trace=${calls// /,}" cicdctl ${line[$name]} --quiet || fault "$name without a kill"
    sha256sum <"$config/config.toml" >>/tmp/whole
    sha256sum <"$config/agents/myapp.toml" >>/tmp/whole
    points[$name]=
    for call in $calls; do
        # Opening a file changes something where it makes one.
        if [ $call = openat ]; then
            for n in $(grep -E '^[0-9]+ +openat\(' /tmp/trace | grep -n O_CREAT | cut -d: -f1); do points[$name]+=" openat:$n"; done
            continue
        fi
        n=$(grep -cE "^[0-9]+ +$call\(" /tmp/trace)
        for ((i = 1; i <= n; i++)); do points[$name]+=" $call:$i"; done
    done
done 2>/dev/null
faults=0
snapshot | diff /tmp/before - >/tmp/diff || fault "without a kill: $(cat /tmp/diff)"

#-- a kill in each -----------------------------------------------------------------------

kills=0 missed=0
: >/tmp/states
most=0
for name in $order; do
    set -- ${points[$name]}
    printf '%s: %s calls that change something\n' "$name" $#
    [ $# -le $most ] || most=$#
done
[ "$rounds" != all ] || rounds=$most
for ((round = 0; round < rounds; round++)); do
    for name in $order; do
        before $name
        set -- ${points[$name]}
        # As far apart as can be, and others in each command; all of them where there are rounds enough.
        if [ "$rounds" -ge $# ]; then at=$((round + 1)); else at=$(((round * $# + $# / 2) / rounds + 1)); fi
        if [ $at -le $# ]; then
            point=${!at}
            { strace -f -qq -o /dev/null -e "trace=${point%:*}" -e "inject=${point%:*}:signal=KILL:when=${point#*:}" \
                cicdctl ${line[$name]} --quiet; } >/tmp/out 2>&1
            if [ $? -eq 137 ]; then kills=$((kills + 1)); else missed=$((missed + 1)); fi
            found=$(half)
            [ -z "$found" ] || fault "$name killed at $point: $found"
            snapshot | sha256sum >>/tmp/states
        elif [ $name = init ] || [ $name = purge ]; then
            point=none
        else
            continue
        fi
        cicdctl ${line[$name]} --quiet >/tmp/out 2>&1
        status=$?
        # What was done before the kill cannot be done again.
        if [ $status -ne 0 ] && ! { [ $name = remove ] && grep -q 'there is no agent' /tmp/out; }; then
            fault "$name after a kill at $point ended with $status: $(cat /tmp/out)"
        fi
        [ $name = purge ] || [ $name = uninstall ] || { found=$(unread) && fault "$name after a kill at $point: $found"; }
        cicdctl ${line[$name]} --dry-run >/tmp/out 2>&1
        grep -q "${again[$name]}" /tmp/out || fault "$name after a kill at $point, a third time: $(cat /tmp/out)"
        if [ $name = apply ] && [ "$(systemctl --user show -P CPUWeight cicd-runner.service)" != 55 ]; then
            fault "apply after a kill at $point is not in force"
        fi
        left=$(find ~ "$run" -name '.cicdctl-*' -o -name '.cicdctl.lock' 2>/dev/null)
        [ -z "$left" ] || fault "$name after a kill at $point left $left"
    done
    snapshot | diff /tmp/before - >/tmp/diff || {
        fault "round $round: $(cat /tmp/diff)"
        break
    }
done
printf '%s kills, %s commands that ended before their call, %s distinct states, %s faults\n' \
    $kills $missed "$(sort -u /tmp/states | wc -l)" $faults
[ $faults -eq 0 ] && [ $kills -ge 12 ] && [ $kills -gt $((missed * 8)) ]
SCRIPT
# shellcheck disable=SC2001 # each line
sed 's/^/# /' <<<"$output"
ended "killed at every place, the next one finishes and nothing is left: $(tail -n 1 <<<"$output")" 0

summary
