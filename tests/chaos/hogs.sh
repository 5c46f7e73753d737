#!/bin/bash
# Engines that want all there is: each is ended at its limit, the reason says at which, nothing of it is left, and the
# agent next door answers as before. Hogs of memory, tasks and CPU, and `agent`, need limits that are in force: a machine
# of the kind computer.
#
# Called as a case of tests/machine is (see lib.sh there), with
#   CHAOS_HOGS    which (default: all of hog.py, and `agent`: a hog in an agent's own unit)
. "${BASH_SOURCE[0]%/*}/../machine/lib.sh"

own=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
hogs=${CHAOS_HOGS:-memory bomb spinner daemon holder stubborn flood lines errors stall mute scratch agent}

program chaos <"$own/inside.py"
program hog <"$own/hog.py"
set_up --yes --memory 128M || exit
check "an agent next door" alice 'git clone -q myapp other && cicdctl agent add other --path ~/other --cpu 100% --yes --quiet'
case " $hogs " in
    *" memory "* | *" bomb "* | *" spinner "* | *" agent "*)
        run alice 'cicdctl status'
        shows "limits are enforced here" '^limits +memory, cpu, tasks enforced$'
        ;;
esac
[ "$failures" -eq 0 ] || { summary; exit; }

run alice 'chaos latency other 40 3 ~/other'
printf '%s\n' "$output" | sed 's/^/# before: /'
# What is not to be passed, with room for the one slow processor that all share.
worst() { sed -n "s/^$1 .*max \([0-9]*\) ms.*/\1/p" <<<"$2"; }
call_before=$(worst 'GET' "$output") review_before=$(worst review "$output")
check "the agent next door was timed" test "${call_before:-0}" -gt 0 -a "${review_before:-0}" -gt 0

# hog KIND SETTING...: reviewed by it with settings of [job], while the agent next door is timed; what became of it.
hog() {
    local kind=$1
    shift
    { printf '[engine.command]\nargv = ["/usr/local/bin/hog", "%s"]\n[job]\n' "$kind"; printf '%s\n' "$@"; } | configure
    run alice '
        cd ~/myapp; group=/sys/fs/cgroup/user.slice/user-$UID.slice/user@$UID.service/cicd.slice
        before=$(systemctl --user show -P MainPID cicd-agent@myapp.service)
        job=$(cicdctl review HEAD~1..HEAD --engine command --no-wait --quiet)
        cage=$group/cicd-job-$job.service
        for i in $(seq 200); do pgrep -u $UID -f "^/usr/bin/python3 /usr/local/bin/hog" >/dev/null && break; sleep 0.05; done
        ( until [ ! -d $cage ]; do
            cat $cage/pids.current; sleep 0.2; done 2>/dev/null | sort -n | tail -n 1 >~/tasks ) &
        ( until [ ! -d $cage ]; do sed -n "s/usage_usec //p" $cage/cpu.stat; sleep 0.2; done 2>/dev/null | tail -n 1 >~/cpu ) &
        chaos latency other 25 1 ~/other
        for i in $(seq 400); do cicdctl job show $job --json >review.json; jq -e ".state == \"ended\"" review.json >/dev/null && break; sleep 0.3; done
        for i in $(seq 50); do [ ! -d $cage ] && break; sleep 0.2; done
        jq -r "\"\(.outcome): \(.reason) \(.review.summary)\", \"peak \(.review.receipt.peak_memory)\", \"took \(((.ended_ms - .started_ms) / 1000))\"" review.json
        echo "tasks $(cat ~/tasks)"; echo "cpu $(cat ~/cpu)"
        echo "left $(cat $cage/cgroup.procs 2>/dev/null | wc -l) in its group, $(pgrep -u $UID -fc "^/usr/bin/python3 /usr/local/bin/hog") in all, $(ls -d $group/cicd-job-* 2>/dev/null | wc -l) cages"
        [ "$(systemctl --user show -P MainPID cicd-agent@myapp.service)" = "$before" ] && echo "same agent"'
    printf '%s\n' "$output" | sed "s/^/# $kind: /"
}

# ends KIND OUTCOME-AND-REASON: with what holds after each of them.
ends() {
    local call review
    shows "$1: $2" "^$2"
    shows "$1: nothing is left, neither process nor cage" '^left 0 in its group, 0 in all, 0 cages$'
    shows "$1: its agent did not notice" '^same agent$'
    call=$(worst GET "$output") review=$(worst review "$output")
    check "$1: the agent next door answers within ${limit_call} ms (${call:-never})" test "${call:-99999}" -le "$limit_call"
    check "$1: and reviews within ${limit_review} ms (${review:-never})" test "${review:-99999}" -le "$limit_review"
}
limit_call=$((call_before * 5 + 500)) limit_review=$((review_before * 4 + 2000))
value() { sed -n "s/^$1 \([0-9]*\).*/\1/p" <<<"$output"; }

for kind in $hogs; do
    case $kind in
        memory)
            hog memory 'memory = "64M"' 'timeout = "30s"'
            ends memory 'failed: .*ran out of memory and was killed at its limit of 64M'
            check "memory: it had what it may have and no more" test "$(value peak)" -gt 50000000 -a "$(value peak)" -le 67108864
            ;;
        bomb)
            hog bomb 'tasks = 40' 'timeout = "8s"'
            ends bomb 'failed: .*was not done after 8s.*limit of 40 tasks'
            check "bomb: it came to its limit of tasks and not beyond" test "$(value tasks)" -ge 30 -a "$(value tasks)" -le 40
            ;;
        spinner)
            hog spinner 'cpu = "20%"' 'timeout = "10s"'
            ends spinner 'failed: .*was not done after 10s'
            # Up to 15 seconds of a fifth of a processor, and what a sample may be late by. Without a limit it gets more than
            # that even where it shares the one processor with the agent next door.
            check "spinner: it got its share and no more" test "$(value cpu)" -gt 300000 -a "$(value cpu)" -le 3400000
            ;;
        daemon)
            hog daemon 'timeout = "60s"'
            ends daemon 'reviewed: '
            ;;
        holder)
            hog holder 'timeout = "60s"'
            ends holder 'reviewed: '
            ;;
        stubborn)
            hog stubborn 'timeout = "6s"'
            ends stubborn 'failed: .*was not done after 6s'
            ;;
        flood | lines)
            hog "$kind" 'timeout = "90s"' 'memory = "256M"'
            ends "$kind" 'failed: .*wrote more than [0-9]+ bytes'
            ;;
        errors)
            hog errors 'timeout = "90s"' 'memory = "256M"'
            ends errors 'failed: .*ended with exit status 3.*the last words'
            ;;
        stall)
            hog stall 'first_output = "4s"' 'timeout = "60s"'
            ends stall 'failed: .*wrote nothing in the first 4s'
            ;;
        mute)
            hog mute 'idle_output = "4s"' 'timeout = "60s"'
            ends mute 'failed: .*wrote nothing more for 4s'
            ;;
        scratch)
            hog scratch 'timeout = "90s"' 'memory = "256M"'
            ends scratch 'failed: '
            ;;
        agent)
            # What runs in the agent's own unit (git, above all) is held by that unit's limits. Whoever is
            # below the user manager may put a process there.
            configure </dev/null
            run alice 'group=/sys/fs/cgroup/user.slice/user-$UID.slice/user@$UID.service/cicd.slice/cicd-agent@myapp.service
                cicdctl agent set myapp --cpu 100% --tasks 60 --quiet
                systemctl --user start cicd-agent@myapp.service
                hit() { for i in $(seq 150); do grep -q "^$2 [1-9]" $group/$1 && return; sleep 0.2; done; }
                for kind in memory bomb; do
                    systemd-run --user --quiet sh -c "echo 0 >$group/cgroup.procs && exec hog $kind" </dev/null
                    [ $kind = memory ] || hit pids.events max
                    echo "-- $kind"; chaos latency other 25 1 ~/other
                    [ $kind = bomb ] || hit memory.events oom_kill
                    echo "tasks $(cat $group/pids.current) of $(cat $group/pids.max), refused $(xargs <$group/pids.events), $(grep oom_kill $group/memory.events | xargs)"
                    [ $kind = memory ] || systemctl --user restart cicd-agent@myapp.service
                done
                for i in $(seq 50); do pgrep -u $UID -f "^/usr/bin/python3 /usr/local/bin/hog" >/dev/null || break; sleep 0.2; done
                echo "left $(pgrep -u $UID -fc "^/usr/bin/python3 /usr/local/bin/hog") in all"
                cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -r .outcome'
            printf '%s\n' "$output" | sed 's/^/# agent: /'
            shows "agent: a memory hog in its own unit was killed there" '^tasks .* oom_kill [1-9]'
            shows "agent: a fork bomb came to the unit's limit" '^tasks [0-9]+ of 60, refused max [1-9]'
            shows "agent: nothing of them is left" '^left 0 in all$'
            shows "agent: it reviews afterwards" '^reviewed$'
            call=$(worst GET "$output" | sort -n | tail -n 1)
            check "agent: the agent next door answers within ${limit_call} ms (${call:-never})" test "${call:-99999}" -le "$limit_call"
            ;;
        *) not_ok "there is no hog $kind" ;;
    esac
done

printf '[engine.command]\nargv = ["/usr/local/bin/hog", "daemon"]\n' | configure
check "after all of them a good engine" expect_output '"reviewed"' alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --json'

summary
