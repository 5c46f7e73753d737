# shellcheck shell=bash disable=SC2154 # dir, machines, digest, timeout are of `machine`
# uml.sh - machines of the kind computer (User-Mode Linux), for `machine`, which sources this.
#
# On the host a machine is one process that leads a session; the processes inside are host
# processes of that session. The disk is a copy-on-write file over the image, so a start copies
# nothing. A directory of the host, share, is all of the host that the machine sees, by hostfs,
# as /host; through it the agent (see build) gets its jobs. Directories bound in are mounted
# below share, in the machine's own mount namespace.

# What is preloaded into the kernel, if anything: see xstate.c.
computer_preload() {
    local source=${BASH_SOURCE[0]%/*}/xstate.c digest library
    grep -qsw amx_tile /proc/cpuinfo || return 0
    digest=$(sha256sum <"$source")
    library=$dir/xstate-${digest:0:12}.so
    if [ ! -e "$library" ]; then
        cc -O2 -Wall -shared -fPIC -o "$library.$BASHPID" "$source" -ldl || die "could not compile $source"
        mv "$library.$BASHPID" "$library"
    fi
    printf '%s\n' "$library"
}

computer_boot() {
    local name=$1 machine=$machines/$1 mode from to number=0 binds=() preload
    [ -e "$machine/image" ] || die "$name has no image"
    preload=$(computer_preload) || exit
    rm -rf --one-file-system "$machine/share" "$machine/uml"
    mkdir -p "$machine/share/q" "$machine/share/bind" "$machine/uml"
    while read -r mode from to; do
        [ -n "$mode" ] || continue
        mkdir "$machine/share/bind/$number"
        binds+=("$from" "$machine/share/bind/$number")
        printf '%s %s %s\n' "$number" "$mode" "$to" >>"$machine/share/binds"
        number=$((number + 1))
    done <"$machine/binds"
    # con1 is the terminal of `machine shell`. The memory is a file: of /dev/shm where that has
    # the room, else of the machine's directory.
    detached "$machine/console" unshare --mount --propagation private bash -c '
        machine=$1 preload=$2
        shift 2
        while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done
        shift
        room=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
        [ "${room:-0}" -gt 4194304 ] || export TMPDIR=$machine
        [ -z "$preload" ] || export LD_PRELOAD=$preload
        exec linux.uml "$@"' "machine $name" "$machine" "$preload" "${binds[@]}" -- \
        "mem=$(fact "$name" mem)" "uml_dir=$machine/uml/" "umid=$name" \
        "ubd0=$machine/disk,$(fact "$name" image)" root=/dev/ubda rw "hostfs=$machine/share" \
        con=null con0=null,fd:1 con1=pts ssl=null \
        "systemd.hostname=$name" systemd.show_status=0 quiet
    remember_pid "$name" "$detached_pid"
    computer_wait "$name"
}

computer_wait() {
    computer_run "$1" systemctl is-system-running --wait >/dev/null </dev/null || :
}

# computer_run NAME COMMAND...: hand a job to the agent and pass on what it writes while it runs.
# Renames make each step of the exchange whole.
computer_run() {
    local name=$1 line job status out err end=$((SECONDS + timeout))
    shift
    printf -v line '%q ' "$@"
    job=$machines/$name/share/q/$BASHPID-$RANDOM
    : >"$job.out"
    : >"$job.err"
    if [ ! -t 0 ]; then cat >"$job.in"; fi
    printf '%s\n' "$line" >"$job.tmp"
    mv "$job.tmp" "$job.job"
    exec {out}<"$job.out" {err}<"$job.err"
    until [ -e "$job.rc" ]; do
        host_pid "$name" >/dev/null || died "$name"
        # The time limit is for the agent to take the job, not for the job.
        [ ! -e "$job.job" ] || [ "$SECONDS" -lt "$end" ] || die "$name: no answer after $timeout s"
        sleep 0.1
        cat <&"$out"
        cat <&"$err" >&2
    done
    cat <&"$out"
    cat <&"$err" >&2
    read -r status <"$job.rc"
    exec {out}<&- {err}<&-
    rm -f "$job".*
    return "$status"
}

# User-Mode Linux starts anew in place, in the same host process.
computer_reboot() {
    local name=$1 old end=$((SECONDS + timeout)) boot=$machines/$1/share/boot
    read -r old <"$boot"
    # The job may be cut short by what it does.
    computer_run "$name" systemctl reboot </dev/null || :
    while ! grep -q . "$boot" || grep -qxF "$old" "$boot"; do
        host_pid "$name" >/dev/null || died "$name"
        [ "$SECONDS" -lt "$end" ] || die "$name: still the old boot"
        sleep 0.2
    done
    computer_wait "$name"
}

computer_kill() {
    local pid
    pid=$(host_pid "$1") || return 0
    kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || :
    while [ -n "$(pgrep -g "$pid")" ]; do sleep 0.02; done
}

computer_forget() { :; }

# The machine's second console is a pseudo-terminal of the host that exists while it is open in
# the machine; the kernel log says which. The job opens it, tells it, and when told to go on
# logs USER in there. Here our terminal, in raw mode, is joined to it by two cat.
computer_shell() {
    local name=$1 user=$2 go=/run/shell-$$ job pid pts saved relay status=0 argv
    login_shell "$user"
    saved=$(stty -g)
    exec {job}< <(computer_run "$name" bash -c '
        exec 8<>/dev/tty1
        dmesg | sed -n "s/.*Virtual console 1 assigned device .\([^ ]*\).$/\1/p" | tail -n 1
        until [ -e "$1" ]; do sleep 0.1; done
        rm "$1"
        read -r rows columns <<<"$2"
        stty sane rows "$rows" cols "$columns" <&8
        shift 2
        "$@" <&8 >&8 2>&8' sh "$go" "$(stty size)" "${argv[@]}" </dev/null)
    pid=$!
    read -r pts <&"$job" || :
    [ -c "$pts" ] || die "$name has no terminal for this"
    # shellcheck disable=SC2064
    trap "stty '$saved'" EXIT
    stty raw -echo
    stty raw -echo <"$pts"
    cat "$pts" &
    relay=$!
    cat <&0 >"$pts" &
    relay="$relay $!"
    computer_run "$name" touch "$go" </dev/null
    wait "$pid" || status=$?
    sleep 0.2
    # shellcheck disable=SC2086
    kill $relay 2>/dev/null || :
    return "$status"
}
