#!/bin/bash
# From an empty home to findings in one command line, without a terminal; what may come after it;
# and nothing of it for another user.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

sample_repo alice myapp >/dev/null

#-- one command line --------------------------------------------------------------------

run alice 'exec <&-
    cicdctl init --yes && cicdctl agent add myapp --path ~/myapp && cd ~/myapp &&
    cicdctl review HEAD~1..HEAD && cicdctl status && cicdctl logs myapp'
ended "init, agent add, review, status and logs in one command, stdin closed" 0
shows "init says that the runner answers" '^Done: the runner answers'
shows "and how to undo it" 'undo +cicdctl uninstall --purge'
shows "agent add says that the agent answers" '^Done: agent `myapp` answers'
shows "review finds the private key" 'deploy/id_deploy:1'
shows "and says that it saw every file" '^reviewed: 11 findings .*8 files seen'
shows "it was caged" 'caged in cicd-job-[0-9A-Z]{26}\.service'
shows "status shows the runner" '^runner +(ready|working|asleep)'
shows "and the agent with its review" 'myapp +(ready|working|asleep)'
shows "logs shows what the agent logged" 'cicd-agent-myapp.* job [0-9A-Z]{26} reviewed, 11 findings'
hides "no secret of the change is shown" 'ghp_9f|Q3EGRP7'

#-- exit status and formats -------------------------------------------------------------

review='cd ~/myapp && cicdctl review HEAD~1..HEAD --quiet'
check "findings alone are status 0" expect_status 0 alice "$review"
check "--fail-on high is status 3" expect_status 3 alice "$review --fail-on high"
check "a clean change with --fail-on info is status 0" \
    expect_status 0 alice 'cd ~/myapp && cicdctl review HEAD~2..HEAD~1 --quiet --fail-on info'
check "--json is a review" alice "$review --json | jq -e '.outcome == \"reviewed\" and (.findings | length) == 11'"
check "--format json, too" alice "$review --format json | jq -e '.receipt.files | length == 8'"
check "--format sarif is SARIF 2.1.0" \
    alice "$review --format sarif | jq -e '.version == \"2.1.0\" and (.runs[0].results | length) == 11'"
check "--format rdjson is one diagnostic for each finding" \
    alice "$review --format rdjson | jq -e '.diagnostics | length == 11'"
check "--format markdown is Markdown" expect_output '^#+ |^\*\*|^- ' alice "$review --format markdown"
check "--html is one file with findings and what happened when" alice '
    cicdctl job show $(cicdctl job list --json | jq -r ".[0].id") --html >report.html &&
    grep -q "Content-Security-Policy" report.html && test $(grep -c "<details class=.finding" report.html) = 11 && grep -q ">begun<" report.html'
check "stdout is the report and nothing else" \
    alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --format json 2>/dev/null | jq -e .outcome'

#-- metrics -----------------------------------------------------------------------------

check "metrics are read the same from the socket and without it" alice '
    jobs() { grep "^cicd_jobs_ended_total"; }
    cicdctl metrics | jobs >own && curl -sS --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock http://localhost/metrics | jobs >socket && diff own socket &&
        grep -qx "cicd_jobs_ended_total{agent=\"myapp\",outcome=\"reviewed\"} [1-9][0-9.]*" own'
alice 'cicdctl metrics --textfile m.prom && cat m.prom' >"/tmp/$name.prom"
check "promtool has nothing against the textfile" promtool check metrics <"/tmp/$name.prom"
rm -f "/tmp/$name.prom"

#-- units -------------------------------------------------------------------------------

run alice 'cd ~/.config/systemd/user &&
    systemd-analyze --user verify cicd-runner.service cicd-runner.socket cicd.slice \
        cicd-agent@myapp.service cicd-agent@myapp.socket cicd-agent@.service cicd-agent@.socket'
ended "systemd-analyze verify finds nothing wrong with the units" 0
same "and says nothing about them" '' "$output"
check "enabled for the next boot, lingering" alice '
    test -e /var/lib/systemd/linger/alice && systemctl --user --quiet is-enabled \
        cicd-runner.service cicd-runner.socket cicd-agent@myapp.service cicd-agent@myapp.socket'
check "doctor has nothing against bus, units, sandbox and engine" alice '
    cicdctl doctor --json | jq -e "map(select(.code | IN(\"bus\", \"linger\", \"drift\", \"units\", \"socket\", \"sandbox\", \"engine\"))) |
        length == 7 and all(.verdict == \"ok\")"'

#-- agents ------------------------------------------------------------------------------

run alice 'for n in web-1 web-2; do cicdctl agent add $n --repo example/$n || exit; done
    cicdctl agent stop "web-*"; cicdctl agent list'
ended "agents without a working copy; stop takes a glob" 0
shows "the one is stopped" '^web-1 +stopped'
shows "the other, too" '^web-2 +stopped'
shows "the third goes on" '^myapp +(ready|asleep|working) +/home/alice/myapp'
check "nobody listens on the socket of a stopped agent" \
    alice '! curl -sS --max-time 5 --unix-socket $XDG_RUNTIME_DIR/cicd-toolkit/agents/web-1.sock http://localhost/healthz'
run alice 'cicdctl agent start web-1 "web-[2-9]" && cicdctl agent list'
shows "start takes names and globs" '^started: web-1, web-2'
shows "they are up" '^web-2 +ready'
check "restart is another process" alice '
    pid() { systemctl --user show -P MainPID cicd-agent@web-1.service; }
    before=$(pid); cicdctl agent restart web-1 && test "$(pid)" != "$before" && test "$(pid)" != 0'
check "show tells of one" expect_output '^memory +512M' alice 'cicdctl agent show web-1'
check "show --json as well" alice 'cicdctl agent show web-1 --json | jq -e ".agent.repo == \"example/web-1\""'
check "a glob that means nobody is an error" expect_status 1 expect_output 'no agent is called' alice 'cicdctl agent stop "x-*"'
check "remove takes a glob" alice 'cicdctl agent remove --yes "web-*" && test "$(ls ~/.config/cicd-toolkit/agents)" = myapp.toml'

#-- another user ------------------------------------------------------------------------

# The home directory is opened, so that what is looked at is our own directories and sockets.
alice 'echo sk-canary-1 | cicdctl secret set anthropic-api-key' >/dev/null 2>&1
uid=$(as_root id -u alice)
as_root chmod 755 /home/alice /home/alice/.config /home/alice/.local /home/alice/.local/state "/run/user/$uid"
for dir in .config/cicd-toolkit .config/cicd-toolkit/credentials .local/state/cicd-toolkit .cache/cicd-toolkit; do
    refute "bob cannot list ~alice/$dir" as_user bob ls "/home/alice/$dir"
done
# Where systemd encrypts it, it has another name.
key=$(as_root sh -c 'cd /home/alice && ls .config/cicd-toolkit/credentials/anthropic-api-key*')
for file in .local/state/cicd-toolkit/store.db "$key"; do
    check "~alice/$file is there" as_root test -s "/home/alice/$file"
    refute "bob cannot read it" as_user bob cat "/home/alice/$file"
done
for socket in cicd-runner.sock cicd-toolkit/agents/myapp.sock; do
    socket=/run/user/$uid/$socket
    check "$socket is there" as_root test -S "$socket"
    refute "bob's curl is refused there" as_user bob curl -sS --max-time 5 --unix-socket "$socket" http://localhost/healthz
done
connect='import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b"GET /healthz HTTP/1.0\r\n\r\n"); sys.exit(not s.recv(9))'
refute "nor does a bare connection succeed" as_user bob python3 -c "$connect" "/run/user/$uid/cicd-runner.sock"
check "while alice's does" as_user alice python3 -c "$connect" "/run/user/$uid/cicd-runner.sock"
# Were the mode of the socket lost, the peer's uid would still be looked at.
as_root sh -c "chmod 755 /run/user/$uid/cicd-toolkit /run/user/$uid/cicd-toolkit/agents; chmod 666 /run/user/$uid/cicd-runner.sock /run/user/$uid/cicd-toolkit/agents/myapp.sock"
refute "bob is not answered even on a socket with mode 0666" \
    as_user bob python3 -c "$connect" "/run/user/$uid/cicd-runner.sock"
refute "nor by the agent" as_user bob python3 -c "$connect" "/run/user/$uid/cicd-toolkit/agents/myapp.sock"
check "and the runner says so" wait_for 5 expect_output 'refused a connection of uid' as_user alice cicdctl logs runner

summary
