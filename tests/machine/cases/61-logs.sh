#!/bin/bash
# Logs: of several agents by names and globs, by level, by job, with fields; from the journal, and the same from our own file
# where the user can read no journal.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

set_up --yes || exit
check "two more agents" alice 'for n in 1 2; do git clone -q myapp web-$n && cicdctl agent add web-$n --path ~/web-$n --yes --quiet; done'
reviewed='for n in 1 2; do (cd ~/web-$n && cicdctl review HEAD~1..HEAD --quiet >/dev/null); done; cicdctl review --pr 7 --repo acme/none --agent myapp --quiet >/dev/null 2>&1
    job=$(cicdctl job list --json | jq -r "map(select(.agent == \"web-1\"))[0].id")'

looked_at() { # BY WHICH ROUTE
    run alice "cicdctl logs 'web-*' 2>/dev/null"
    shows "$1: a glob names both" 'cicd-agent-web-1.*reviewed, [0-9]+ findings'
    shows "$1: and the other" 'cicd-agent-web-2.*reviewed, [0-9]+ findings'
    check "$1: and nobody else" test "$(grep -c 'cicd-agent-myapp\|cicd-runner' <<<"$output")" = 0
    run alice 'cicdctl logs --level err 2>/dev/null'
    shows "$1: by level" 'cicd-agent-myapp.*failed'
    check "$1: only that" test "$(grep -c 'accepted' <<<"$output")" = 0
    run alice "$reviewed"'; cicdctl logs --job $job -o json 2>/dev/null | jq -r "select(.CICD_OUTCOME != null) | \"\(.CICD_JOB == \"$job\") \(.CICD_OUTCOME) \(.PRIORITY) \(.SYSLOG_IDENTIFIER)\""'
    shows "$1: a job's, with its fields" '^true reviewed 6 cicd-agent-web-1$'
    run alice 'cicdctl logs --grep "READY as web" 2>/dev/null; cicdctl logs --grep "ready as web" -o cat -n 1 2>/dev/null'
    shows "$1: by a regular expression" '^cicdctl .* is ready as web-[12] on'
    check "$1: capitals count where there are some; as many lines as asked for" test "$(wc -l <<<"$output")" = 1
    run alice 'cicdctl logs --since -2h --until -1h; cicdctl logs --since soon; echo "status $?"; cicdctl logs --grep "("; echo "status $?"; cicdctl logs nobody; echo "status $?"'
    shows "$1: nothing is said to be nothing" 'no messages that match'
    check "$1: what cannot be understood is wrong usage" test "$(grep -c '^status 2$' <<<"$output")" = 2
    shows "$1: an unknown name" 'no agent is called|there is no agent|`nobody`'
    run alice '(timeout 8 cicdctl logs "web-*" -f -n 0 2>/dev/null >~/followed &) ; sleep 1.5; (cd ~/web-2 && cicdctl review HEAD~1..HEAD --quiet >/dev/null); sleep 7; cat ~/followed'
    shows "$1: what comes is followed" 'cicd-agent-web-2.*reviewed, [0-9]+ findings'
    run alice 'cicdctl logs --color always --level err 2>/dev/null | cat -v'
    shows "$1: errors have their colour" '\^\[\[[0-9;]*31m'
}

run alice "$reviewed"
looked_at journal
check "the agent is a field" alice 'journalctl --user CICD_AGENT=web-1 -o cat | grep -q reviewed'
check "the journal is kept in memory only" as_root bash -c 'rm -rf /var/log/journal && systemctl restart systemd-journald'
run alice 'systemctl --user restart cicd-runner.service "cicd-agent@*.service"; '"$reviewed"'; cicdctl logs -n 1'
shows "it says which is shown and why" 'The journal of this host cannot be read by alice .*showing `.*runner\.log`'
shows "and what root can do" 'usermod -aG systemd-journal alice'
looked_at "own file"

summary
