#!/bin/bash
# The socket: it wakes the runner, loses no request while the runner leaves, streams events, and
# takes a job back. A stop puts what runs back into the queue.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program slow <<'FILE'
#!/bin/sh
# An engine: takes SECONDS in a child, and leaves another child behind.
cat >/dev/null
sleep 300 &
sleep "$1"
echo '{"findings": []}'
FILE
set_up --yes || exit
check "git remote with a pull request" alice '
    git clone -q --bare ~/myapp ~/origin.git && cd ~/myapp && git remote add origin ~/origin.git &&
    git -C ~/origin.git update-ref refs/pull/42/head HEAD && git -C ~/origin.git update-ref refs/heads/main HEAD~1'

ask='ask() { curl -sS --max-time 60 --unix-socket "$XDG_RUNTIME_DIR/cicd-runner.sock" "$@"; }
    active() { systemctl --user is-active "$1"; }
    outcome() { ask http://localhost/jobs/$1 | jq -r ".outcome // .state"; }
    until_is() { for i in $(seq 150); do [ "$(outcome $1)" = $2 ] && return; sleep 0.2; done; ask http://localhost/jobs/$1; return 1; }
    '

#-- it wakes ----------------------------------------------------------------------------

run alice "$ask"'
    systemctl --user stop cicd-runner.service 2>/dev/null; active cicd-runner.service
    curl --silent --show-error --write-out "%{http_code}\n" --output job --unix-socket "$XDG_RUNTIME_DIR/cicd-runner.sock" \
        -X POST http://localhost/review -H "Content-Type: application/json" -d "{\"pr\":\"42\"}"
    active cicd-runner.service
    jq -r .id job | tee id; until_is $(cat id) reviewed && echo done'
same "asleep, then 202, then awake, then reviewed" 'inactive
202
active
done' "$(grep -v '^01' <<<"$output")"
check "pull request 42 it is, with its findings" alice "$ask"'
    ask http://localhost/jobs/$(cat id) | jq -e "(.review.findings | length) == 11 and .request.pr == 42 and .agent == \"myapp\""'
check "an agent wakes as well" alice '
    cicdctl agent stop myapp --quiet && systemctl --user start cicd-agent@myapp.socket && ! systemctl --user --quiet is-active cicd-agent@myapp.service &&
    cd ~/myapp && cicdctl review HEAD~1..HEAD --quiet >/dev/null && systemctl --user --quiet is-active cicd-agent@myapp.service'

#-- events ------------------------------------------------------------------------------

run alice "$ask"'ask -N -i -H "Accept: text/event-stream" http://localhost/review -d "{\"range\": \"HEAD~1..HEAD\"}"'
ended "a stream of events ends by itself" 0
shows "it is one" '^content-type: text/event-stream'
shows "from the first event" '^data: .*"seq":1,.*"event":"accepted"'
same "to the one that says how it ended" reviewed \
    "$(sed -n 's/^data: //p' <<<"$output" | tail -n 1 | jq -r 'select(.event == "ended").outcome')"
check "a stream can be taken up where it broke" alice "$ask"'
    ask -H "Last-Event-ID: 2" http://localhost/jobs/$(cat id)/events | grep -m 1 "^id:" | grep -qx "id: 3"'

#-- cancel ------------------------------------------------------------------------------

configure <<'FILE'
[engine.command]
argv = ["/usr/local/bin/slow", "60"]
FILE
slow='{\"range\": \"HEAD~1..HEAD\", \"engine\": \"command\"}'
run alice "$ask"'
    for i in 1 2 3; do ask http://localhost/review -d "'"$slow"'" | jq -r .id >job$i; done
    for i in $(seq 100); do pgrep -u alice -x slow >/dev/null && break; sleep 0.1; done; sleep 0.3
    cage=$(systemctl --user show -P ControlGroup cicd-job-$(cat job1).service)
    for root in /sys/fs/cgroup/unified /sys/fs/cgroup /sys/fs/cgroup/systemd; do [ -n "$cage" ] && [ -e $root$cage/cgroup.procs ] && break; done
    echo "in the cage: $(wc -l <$root$cage/cgroup.procs)"
    echo "third: $(outcome $(cat job3))"
    echo "deleted: $(ask -o /dev/null -w "%{http_code}" -X DELETE http://localhost/jobs/$(cat job3)) $(outcome $(cat job3))"
    for i in 1 2; do ask -X DELETE http://localhost/jobs/$(cat job$i) >/dev/null; done
    until_is $(cat job1) cancelled && until_is $(cat job2) cancelled && echo both cancelled
    echo "left in the cage: $(cat $root$cage/cgroup.procs 2>/dev/null | wc -l)"
    echo "processes: $(pgrep -u alice -c "^(slow|sleep)$")"
    echo "units: $(systemctl --user list-units --all --no-legend --plain "cicd-job-*" | wc -l)"
    echo "again: $(ask -o /dev/null -w "%{http_code}" -X DELETE http://localhost/jobs/$(cat job1))"'
shows "two engines run, with all that they started" '^in the cage: [4-9]'
shows "the third job waits" '^third: queued'
shows "DELETE of a queued job ends it at once" '^deleted: 200 cancelled'
shows "DELETE of running jobs ends them" '^both cancelled'
shows "no process is left in the cage" '^left in the cage: 0'
shows "nor anywhere else" '^processes: 0'
shows "nor a unit" '^units: 0'
shows "DELETE of what has ended is a conflict" '^again: 409'

#-- stop --------------------------------------------------------------------------------

alice 'sed -i "s/^#stop_timeout = .*/stop_timeout = \"1s\"/" ~/.config/cicd-toolkit/config.toml && cicdctl apply --yes' >/dev/null 2>&1
configure <<'FILE'
[engine.command]
argv = ["/usr/local/bin/slow", "8"]
FILE
run alice "$ask"'
    job=$(ask http://localhost/review -d "'"$slow"'" | jq -r .id)
    for i in $(seq 100); do pgrep -u alice -x slow >/dev/null && break; sleep 0.1; done
    time systemctl --user stop cicd-agent@myapp.service
    echo "stopped: $(active cicd-agent@myapp.service) $(systemctl --user show -P Result cicd-agent@myapp.service), $(pgrep -u alice -c "^(slow|sleep)$") processes, $(outcome $job)"
    sed -i s/\"8\"/\"0\"/ ~/.config/cicd-toolkit/agents/myapp.toml
    systemctl --user start cicd-agent@myapp.service
    until_is $job reviewed && echo "reviewed after the start"
    ask http://localhost/jobs/$job/events | grep -c requeued'
shows "a stop puts the job back into the queue, and its engine goes on" '^stopped: inactive success, [1-9] processes, queued'
shows "after the start it is done" '^reviewed after the start'
run alice "$ask"'
    configured=~/.config/cicd-toolkit/agents/myapp.toml; sed -i s/\"0\"/\"5\"/ $configured
    job=$(ask http://localhost/review -d "'"$slow"'" | jq -r .id)
    for i in $(seq 100); do pgrep -u alice -x slow >/dev/null && break; sleep 0.1; done
    systemctl --user kill --signal=KILL --kill-whom=main cicd-agent@myapp.service
    sed -i s/\"5\"/\"0\"/ $configured
    until_is $job reviewed && echo "reviewed in attempt $(ask http://localhost/jobs/$job | jq .attempts)"
    echo "processes: $(pgrep -u alice -c "^(slow|sleep)$")"'
shows "an agent that was killed comes back and does the job" '^reviewed in attempt 2'
shows "without the first engine" '^processes: 0'

#-- it leaves, and nobody notices -------------------------------------------------------

alice 'sed -i "s/^#idle_timeout = .*/idle_timeout = \"2s\"/" ~/.config/cicd-toolkit/config.toml && cicdctl apply --yes' >/dev/null 2>&1
check "a shorter idle time holds without a restart" wait_for 20 expect_output '^inactive$' \
    alice 'systemctl --user is-active cicd-runner.service || :'
run alice "$ask"'
    ask http://localhost/healthz >/dev/null; sleep 4; active cicd-runner.service; active cicd-runner.socket'
same "idle for longer than that it is gone, and its socket is there" $'inactive\nactive' "$output"
run alice "$ask"'
    for pause in 1.70 1.85 1.95 2.00 2.05 2.10 2.15 2.20 2.25 2.30 2.40 2.50 2.02 2.12 2.22 2.32; do
        sleep $pause; ask -o /dev/null -w "%{http_code}\n" http://localhost/review -d "{\"range\": \"HEAD~1..HEAD\", \"path\": \"/nowhere\"}"
    done | sort | uniq -c
    systemctl --user show -P NRestarts -P Result cicd-runner.service'
same "requests around the moment of leaving are all accepted" '16 202' "$(head -n 1 <<<"$output" | xargs)"
shows "and no start has failed" '^success$'
check "nothing in the queue was lost" wait_for 15 alice "$ask"'
    ask "http://localhost/jobs?limit=16" | jq -e "map(.outcome) | unique == [\"failed\"]"'

summary
