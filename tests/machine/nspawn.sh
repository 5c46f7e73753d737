# shellcheck shell=bash disable=SC2154 # dir, machines, digest, timeout are of `machine`
# nspawn.sh - machines of the kind nspawn, for `machine`, which sources this.
#
# On the host a machine is a supervisor (a shell) > systemd-nspawn > PID 1 of the machine. The
# last two change at a reboot and are looked up each time. The overlay over the image is mounted
# in the supervisor's own mount namespace: the host's mount table is not touched, and the
# overlay goes when the machine goes. Where overlays cannot be had (the directory is on one
# already), the image is copied.

nspawn_hierarchies() {
    local h
    for h in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
        [ ! -e "$h/cgroup.procs" ] || printf '%s\n' "$h"
    done
}

# Machines in one cgroup kill each other's services, and --keep-unit makes nspawn use the
# cgroup that it is started in. So each gets its own.
nspawn_cgroups() {
    nspawn_hierarchies | sed "s,\$,/cicdctl-$digest-$1,"
}

nspawn_leader() {
    local pid
    pid=$(host_pid "$1") || return 1
    pid=$(pgrep -P "$pid" -x systemd-nspawn) || return 1
    pgrep -P "$pid" -x systemd
}

# nspawn_run NAME COMMAND...: by nsenter alone. The process stays in the caller's cgroup, and
# logind 257 does not serve such a caller. Enough for systemctl and systemd-run. Takes the place
# of the shell that calls it.
nspawn_run() {
    local pid
    pid=$(nspawn_leader "$1") || return 125
    shift
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        LANG=C.UTF-8 TERM="${TERM:-dumb}" nsenter -t "$pid" -m -u -i -n -p -C \
        --root="/proc/$pid/root" --wd="/proc/$pid/root" -- "$@"
}

nspawn_supervisor='
    machine=$1 image=$2 cgroups=$3
    shift 3
    if [ ! -e "$machine/copied" ]; then
        mount -t overlay overlay \
            -o "lowerdir=$image,upperdir=$machine/upper,workdir=$machine/work" "$machine/root" || {
            rm -rf "$machine/root"
            cp -a --reflink=auto "$image" "$machine/root" && : >"$machine/copied" || exit
        }
    fi
    # With --keep-unit, nspawn ends with 133 where the machine wants to reboot.
    while :; do
        (
            for c in $cgroups; do echo $BASHPID >"$c/cgroup.procs" || exit; done
            SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --quiet "$@"
        )
        [ $? -eq 133 ] || exit
    done'

nspawn_boot() {
    local name=$1 machine=$machines/$1 cgroups c mode from to binds=()
    mkdir -p "$machine/upper" "$machine/work" "$machine/root"
    while read -r mode from to; do
        case $mode in
            rw) binds+=("--bind=$from:$to") ;;
            ro) binds+=("--bind-ro=$from:$to") ;;
        esac
    done <"$machine/binds"
    cgroups=$(nspawn_cgroups "$name")
    for c in $cgroups; do
        # On a cgroup2 host this hands the controllers down; refused where they are not ours.
        for mode in cpu memory pids io; do
            { echo "+$mode" >"${c%/*}/cgroup.subtree_control"; } 2>/dev/null || :
        done
        mkdir -p "$c"
    done
    detached "$machine/console" unshare --mount --propagation private \
        bash -c "$nspawn_supervisor" "machine $name" "$machine" "$(fact "$name" image)" "$cgroups" \
        --directory="$machine/root" --machine="cicdctl-$digest-$name" --hostname="$name" \
        --boot --register=no --keep-unit --console=pipe --link-journal=no --resolv-conf=off \
        --timezone=off --private-network "${binds[@]}" systemd.show_status=0
    remember_pid "$name" "$detached_pid"
    nspawn_wait "$name"
}

nspawn_wait() {
    local end=$((SECONDS + timeout)) state
    until (nspawn_run "$1" test -S /run/systemd/private) 2>/dev/null; do
        host_pid "$1" >/dev/null || died "$1"
        [ "$SECONDS" -lt "$end" ] || die "$1: no PID 1 after $timeout s"
        sleep 0.05
    done
    state=$(nspawn_run "$1" timeout "$timeout" systemctl is-system-running --wait) || :
    case $state in
        running | degraded) ;;
        *) die "$1: its state is '$state'" ;;
    esac
}

nspawn_reboot() {
    local name=$1 old end=$((SECONDS + timeout))
    old=$(nspawn_leader "$name") || die "$name is not running"
    (nspawn_run "$name" systemctl reboot) || :
    while start_time "$old" >/dev/null; do
        [ "$SECONDS" -lt "$end" ] || die "$name: does not shut down"
        sleep 0.05
    done
    nspawn_wait "$name"
}

# The supervisor leads the session, and the death of PID 1 is the death of all inside. What is
# in the machine's cgroups by then (nspawn caught between fork and exec) dies with them.
nspawn_kill() {
    local pid leader c procs end=$((SECONDS + timeout))
    if leader=$(nspawn_leader "$1"); then kill -KILL "$leader" 2>/dev/null || :; fi
    if pid=$(host_pid "$1"); then kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || :; fi
    while host_pid "$1" >/dev/null; do sleep 0.02; done
    for c in $(nspawn_cgroups "$1"); do
        [ -d "$c" ] || continue
        while procs=$(find "$c" -name cgroup.procs -exec cat {} + 2>/dev/null) && [ -n "$procs" ]; do
            [ "$SECONDS" -lt "$end" ] || die "$1: cannot kill $procs"
            # shellcheck disable=SC2086
            kill -KILL $procs 2>/dev/null || :
            sleep 0.02
        done
        find "$c" -depth -type d -exec rmdir {} + 2>/dev/null || :
    done
}

nspawn_forget() {
    rmdir "/run/systemd/nspawn/propagate/cicdctl-$digest-$1" 2>/dev/null || :
}

nspawn_shell() {
    local argv
    login_shell "$2"
    nspawn_run "$1" "${argv[@]}"
}
