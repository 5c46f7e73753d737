#!/bin/bash
# What an operator does while jobs run and wait: limits, pauses, drains, stops, reloads, changed units. No accepted job is
# lost.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

agent=cicd-agent@myapp.service
program slow <<'FILE'
#!/bin/sh
# Ends once it may.
cat >/dev/null
while [ ! -e "$CICD_CHECKOUT/go" ] && [ ! -e /tmp/go ] && [ "$(cat /usr/local/share/go 2>/dev/null)" != go ]; do sleep 0.1; done
echo '{"findings": []}'
FILE
go() { as_root sh -c 'echo "$1" >/usr/local/share/go; chmod 644 /usr/local/share/go' sh "$1"; }
go stay
set_up --yes || exit
configure <<<$'# of mine\n[review]\nengine = "command"\n[engine.command]\nargv = ["/usr/local/bin/slow"] # kept'
ask='cd ~/myapp && cicdctl review HEAD~1..HEAD --no-wait -q'
# jobs: such as "2 queued 1 running".
jobs='cicdctl job list --json | jq -r ".[] | .outcome // .state" | sort | uniq -c | xargs'
are() { wait_for "${2:-20}" alice "test \"\$($jobs)\" = '$1' || { $jobs; false; }"; }

#-- limits ------------------------------------------------------------------------------

pid=$(alice "systemctl --user show -P MainPID $agent")
run alice 'cicdctl agent add other --quiet; cicdctl agent set "my*" other --memory 600M --cpu 40% --dry-run; grep -c 600M ~/.config/cicd-toolkit/agents/*.toml'
shows "a dry run shows the edit" '^ +\+memory = "600M"'
shows "and changes nothing" 'myapp\.toml:0'
run alice 'cicdctl agent set "my*" other --memory 600M --cpu 40%'
ended "limits of several agents" 0
shows "before and after" 'myapp: cpu 25% → 40%, memory 512M → 600M'
shows "of each" 'other: cpu 25% → 40%, memory 512M → 600M'
check "the manager has them" alice "systemctl --user show -p MemoryMax -p CPUQuotaPerSecUSec -p NeedDaemonReload $agent | xargs | grep -q 'CPUQuotaPerSecUSec=400ms MemoryMax=629145600 NeedDaemonReload=no'"
same "without a restart" "$pid" "$(alice "systemctl --user show -P MainPID $agent")"
check "they last: file and drop-in" alice 'grep -q "^memory = \"600M\"" ~/.config/cicd-toolkit/agents/myapp.toml && grep -q MemoryMax=600M ~/.config/systemd/user/cicd-agent@myapp.service.d/50-cicdctl.conf'
check "comments stay" alice 'grep -q "^# of mine" ~/.config/cicd-toolkit/agents/myapp.toml && grep -q "# kept" ~/.config/cicd-toolkit/agents/myapp.toml'
check "nothing is left in user.control" alice '! ls $XDG_RUNTIME_DIR/systemd/user.control/*/* ~/.config/systemd/user.control/*/* 2>/dev/null'
check "and apply has nothing to do" expect_output 'Nothing to change' alice 'cicdctl apply --yes'
run alice 'cicdctl agent set myapp --memory 1M'
ended "too little is refused" 1
run alice "sed -i 's/^memory = \"600M\"/memory = \"500M\"/' ~/.config/cicd-toolkit/agents/myapp.toml; cicdctl apply --yes; systemctl --user show -P MemoryMax $agent"
shows "a hand edit of limits is applied without a restart" 'file changed, 0 units restarted, 1 with new limits|1 file changed.*0 units restarted'
shows "and holds" '^524288000$'
same "the same process" "$pid" "$(alice "systemctl --user show -P MainPID $agent")"

#-- pause -------------------------------------------------------------------------------

run alice 'cicdctl agent pause myapp runner --note "disk is swapped" --for 2h'
ended "pause" 0
alice "$ask; $ask" >/dev/null
run alice 'cicdctl status; cicdctl agent list; cicdctl job list; sleep 1.5; systemctl --user show -P StatusText cicd-agent@myapp.service'
shows "status says who, until when and why" '^ +paused by alice until 20.*Z: disk is swapped'
shows "so does the list of agents" '^myapp +paused .*\(paused by alice until .*disk is swapped\)'
shows "each job says why it waits" 'queued +myapp .*\(paused by alice until'
shows "and systemctl" '^(idle|0 running, [12] queued); paused by alice'
check "nothing is begun" are '2 queued' 1
check "without a busy loop" alice '
    cpu() { awk "{print \$14 + \$15}" /proc/$(systemctl --user show -P MainPID cicd-agent@myapp.service)/stat; }
    before=$(cpu); sleep 3; used=$(($(cpu) - before)); echo "$used ticks in 3 s"; test $used -lt 30'
check "a restart does not end it" alice "cicdctl agent restart myapp -q && sleep 1.5 && test \"\$($jobs)\" = '2 queued'"
run alice 'cicdctl agent resume myapp runner'
shows "resume" 'myapp: resumed, was paused by alice'
check "and both begin" are '2 running'
alice 'cicdctl agent pause myapp --for 3s -q'
alice "$ask" >/dev/null
check "a short pause holds" are '1 queued 2 running' 2
go go
check "and ends by itself; what ran went on" are '3 reviewed'

#-- drain -------------------------------------------------------------------------------

go stay
alice "for i in 1 2 3 4; do $ask; done" >/dev/null
check "two run and two wait" are '2 queued 3 reviewed 2 running'
run alice 'cicdctl agent drain myapp --note bye --timeout 1s'
ended "a drain that takes too long says so" 1
shows "and how to take it back" 'cicdctl agent resume myapp'
check "it goes on draining" expect_output 'myapp +draining' alice 'cicdctl status'
alice 'cicdctl agent drain myapp >~/drained 2>&1' &
draining=$!
sleep 1
go go
wait "$draining"
check "it ends once nothing runs" expect_output 'myapp: drained and stopped, 2 waiting jobs kept' alice 'cat ~/drained'
check "with its units stopped" alice '! systemctl --user --quiet is-active cicd-agent@myapp.service && ! systemctl --user --quiet is-active cicd-agent@myapp.socket'
check "and what waited is kept" are '2 queued 5 reviewed' 1
alice 'cicdctl agent start myapp -q'
check "a start goes on with it" are '7 reviewed'
go stay
alice "$ask" >/dev/null
check "one runs" are '7 reviewed 1 running'
check "a drain without waiting" alice 'cicdctl agent drain myapp --no-wait -q && cicdctl status >/dev/null'
go go
check "stops by itself" wait_for 20 alice '! systemctl --user --quiet is-active cicd-agent@myapp.socket && ! systemctl --user --quiet is-active cicd-agent@myapp.service'
check "having done what ran" are '8 reviewed' 1
alice 'cicdctl agent start myapp -q'

#-- a stop while jobs are accepted ------------------------------------------------------

# At an agent that begins none of them. They come until it was stopped thrice: a busy machine starts it slowly.
alice 'cicdctl agent pause other -q
    cat >~/burst <<"BURST"
import json, os, socket, threading
sock = os.environ["XDG_RUNTIME_DIR"] + "/cicd-toolkit/agents/other.sock"
codes = []
def one(n):
    body = json.dumps({"agent": "other", "pr": n, "repo": "a/b"}).encode()
    for _ in range(40):
        try:
            s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sock)
            s.sendall(b"POST /review HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            got = b""
            while (more := s.recv(4096)): got += more
            codes.append(got[9:12].decode() or "closed")
            if codes[-1] == "202": return
        except OSError as error:
            codes.append(type(error).__name__)
sent = 0
while sent < 400 or (sent < 8000 and int(open("terms").read() or 0) < 3):
    threads = [threading.Thread(target=one, args=(sent + n,)) for n in range(1, 21)]
    [t.start() for t in threads]; [t.join() for t in threads]
    sent += 20
print(json.dumps({"sent": sent, **{code: codes.count(code) for code in sorted(set(codes))}}))
BURST
    n=0; echo $n >~/terms
    python3 ~/burst >~/codes & burst=$!
    while kill -0 $burst 2>/dev/null; do
        # Not while it starts: so often in a row systemd takes that for a crash loop.
        [ "$(systemctl --user show -P ActiveState cicd-agent@other.service)" = active ] && systemctl --user kill -s TERM --kill-whom=main cicd-agent@other.service && n=$((n + 1)) && echo $n >~/terms; sleep 0.2
    done
    wait $burst'
stored=$(alice 'python3 -c "
import sqlite3
print(sqlite3.connect(\"/home/alice/.local/state/cicd-toolkit/store.db\").execute(\"SELECT count(*) FROM jobs WHERE pull LIKE ? \", (\"a/b#%\",)).fetchone()[0])"')
terms=$(alice 'cat ~/terms')
printf '# %s times TERM while jobs came; answers %s; stored %s\n' "$terms" "$(alice 'cat ~/codes')" "$stored"
check "it was stopped while they came" test "$terms" -ge 3
check "each 202 means a job, whatever stops came between" alice 'jq -e ".\"202\" == .sent and .sent == '"$stored"'" ~/codes'

#-- reload ------------------------------------------------------------------------------

go stay
mine='cicdctl job list -n 1000 --json | jq -r ".[] | select(.pull == null) | .outcome // .state" | sort | uniq -c | xargs'
starts=$(alice "systemctl --user show -P NRestarts -P MainPID $agent | xargs")
my() { wait_for "${2:-20}" alice "test \"\$($mine)\" = '$1' || { $mine; false; }"; }
alice "for i in 1 2 3; do $ask; done" >/dev/null
check "two run and one waits" my '1 queued 8 reviewed 2 running'
alice "sed -i 's/^#jobs = .*/jobs = 0/' ~/.config/cicd-toolkit/config.toml; systemctl --user reload $agent"
check "a wrong configuration: the agent stays, and says so" wait_for 10 alice "
    test \$(systemctl --user show -P ActiveState $agent) = active && systemctl --user show -P StatusText $agent | grep -q 'configuration is wrong.*config.toml:[0-9]*: .runner.jobs'"
check "so does status" expect_output 'config\.toml:[0-9]+: `runner.jobs`' alice 'cicdctl status || :'
go go
check "what ran ends; what waited waits and does not fail" my '1 queued 10 reviewed'
program other_engine <<'FILE'
#!/bin/sh
cat >/dev/null
echo '{"findings": [], "summary": "new"}'
FILE
configure <<<$'[review]\nengine = "command"\n[engine.command]\nargv = ["/usr/local/bin/other_engine"]'
alice "sed -i 's/^jobs = .*/#jobs = 2/' ~/.config/cicd-toolkit/config.toml; systemctl --user reload $agent"
check "put right, it goes on" my '11 reviewed'
check "with the new configuration" alice 'cicdctl job list -n 1000 --json | jq -r "[.[] | select(.pull == null)][0].id" | xargs cicdctl job show --json | jq -e ".review.summary == \"new\""'
same "without a restart" "$starts" "$(alice "systemctl --user show -P NRestarts -P MainPID $agent | xargs")"

# A changed unit: the agent is restarted, and the job that runs is not lost.
go stay
configure <<<$'[review]\nengine = "command"\n[engine.command]\nargv = ["/usr/local/bin/slow"]'
alice "for i in 1 2 3; do $ask; done" >/dev/null
check "two run and one waits" my '1 queued 11 reviewed 2 running'
alice "printf '[runner]\nstop_timeout = \"1s\"\n[hardening]\nlevel = \"off\"\n' >~/.config/cicd-toolkit/config.toml"
run alice 'cicdctl apply --yes'
ended "apply" 0
shows "restarts what has changed" '[1-9] units? restarted'
go go
check "and all three jobs end as reviewed" my '14 reviewed' 40

summary
