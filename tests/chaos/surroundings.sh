#!/bin/bash
# What stands around a runner breaks: the bus, the user manager, the journal, the socket's other end, the store. Work that
# was accepted goes on, whoever asks properly is answered, and what cannot go on says why and overwrites nothing.
#
# Called as a case of tests/machine is (see lib.sh there), with
#   CHAOS_PARTS   which (default: all of those below)
. "${BASH_SOURCE[0]%/*}/../machine/lib.sh"

own=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
parts=${CHAOS_PARTS:-bus manager journal silent head body deaf follower locked flipped garbage}

program chaos <"$own/inside.py"
program slow <<'FILE'
#!/bin/sh
cat >/dev/null
sleep "$1"
echo '{"findings": []}'
FILE
set_up --yes --cpu 100% || exit
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/slow", "5"]'
store=.local/state/cicd-toolkit/store.db

# during TITLE USER SCRIPT: while a review of five seconds is under way; it ends well, and the next one, too.
during() {
    run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait --quiet >~/job
        for i in $(seq 200); do pgrep -u $UID -f "^/bin/sh /usr/local/bin/slow" >/dev/null && exit; sleep 0.05; done; exit 1'
    ended "$1: a review is under way" 0
    run as_user "$2" bash -c "$3"
    ended "$1: it was done" 0
    run alice 'for i in $(seq 150); do cicdctl job show $(cat ~/job) --json >review.json; jq -e ".state == \"ended\"" review.json >/dev/null && break; sleep 0.2; done
        jq -r "\"\(.outcome): \(.reason), attempts \(.attempts)\"" review.json; cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -r "\"next \(.outcome)\""'
    shows "$1: the review ends as if nothing had been" '^reviewed: null, attempts 1$'
    shows "$1: the next one, too" '^next reviewed$'
}

# crowded KIND: 300 clients of that kind, and one who asks properly.
crowded() {
    # What the followers wait for.
    [ "$1" != follower ] || alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait --quiet >~/job'
    run alice 'chaos crowd "$1" 300 12 & sleep 2; chaos latency runner 15 1 ~/myapp; wait' "$1"
    printf '%s\n' "$output" | sed "s/^/# $1: /"
    local call
    call=$(sed -n 's/^GET .*max \([0-9]*\) ms.*/\1/p' <<<"$output")
    check "$1: who asks properly meanwhile is answered within 5 s (${call:-never})" test "${call:-99999}" -le 5000
    shows "$1: and reviewed" '^review by the rules'
    check "$1: afterwards the places are free again" alice 'for i in $(seq 100); do
        curl -sS --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock http://localhost/metrics | grep -xE "cicd_connections [1-3]" && exit; sleep 0.2; done; exit 1'
}

# damaged TITLE PYTHON: with the store changed by that, clear words and no write. What was there is put back at the end.
damaged() {
    run alice 'systemctl --user stop "cicd-*.service" "cicd-*.socket"; cd ~/.local/state/cicd-toolkit && rm -rf ~/whole && mkdir ~/whole && cp -a store.db* ~/whole
        python3 -c "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(\"PRAGMA wal_checkpoint(TRUNCATE)\")" store.db
        python3 -c "$1" store.db && sha256sum store.db >~/sums
        systemctl --user start cicd-runner.socket cicd-agent@myapp.socket' "$2"
    ended "$1: the store is changed" 0
    run alice 'cd ~/myapp; curl -sS --max-time 30 -w "\nanswered %{http_code}\n" --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock -d "{\"path\": \"$HOME/myapp\", \"range\": \"HEAD~1..HEAD\"}" http://localhost/review
        sleep 12; echo "--"; cicdctl status; echo "status $?"; echo "--"; cicdctl doctor; echo "doctor $?"; echo "--"
        timeout 30 cicdctl job list | head -n 3
        echo "starts $(journalctl --user -u cicd-runner.service -o cat --since -15s | grep -c "^Starting")"
        cd ~/.local/state/cicd-toolkit && sha256sum --check ~/sums && echo "nothing overwritten"'
    printf '%s\n' "$output" | sed "s/^/# $1: /"
    shows "$1: nothing is promised" '^answered (000|[45])'
    shows "$1: status says that the store is damaged" '^! .*(store|database disk image is malformed)'
    shows "$1: doctor says it, too" '^.*store.*(damaged|not a database|malformed)'
    shows "$1: nothing is overwritten" '^nothing overwritten$'
    check "$1: it is not started again and again" test "$(sed -n 's/^starts //p' <<<"$output")" -le 5
    run alice 'systemctl --user stop "cicd-*.service" "cicd-*.socket"; cd ~/.local/state/cicd-toolkit && rm -f store.db* && cp -a ~/whole/store.db* . && systemctl --user reset-failed
        cicdctl agent start myapp --quiet; systemctl --user start cicd-runner.socket; cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -r .outcome'
    shows "$1: with the file put back it reviews" '^reviewed$'
}

for part in $parts; do
    case $part in
        bus) during "a restart of the user's bus" alice 'systemctl --user restart dbus.service' ;;
        manager) during "the user manager executes itself anew" alice 'systemctl --user daemon-reexec' ;;
        journal)
            during "no journal" root 'systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service && sleep 2 && ! systemctl --quiet is-active systemd-journald.service'
            check "no journal: it comes back" as_root systemctl start systemd-journald.service
            check "no journal: and gets what is said from then on" alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --quiet >/dev/null; job=$(cicdctl job list --json | jq -r ".[0].id")
                for i in $(seq 20); do cicdctl logs myapp -n 50 | grep "job $job reviewed" && exit; sleep 0.5; done; exit 1'
            ;;
        silent | head | body | deaf) crowded "$part" ;;
        follower)
            configure <<<$'[engine.command]\nargv = ["/usr/local/bin/slow", "20"]'
            crowded follower
            ;;
        locked)
            run alice '
                python3 -c "
import sqlite3, time
store = sqlite3.connect(\"$HOME/'"$store"'\", isolation_level=None)
store.execute(\"BEGIN EXCLUSIVE\")
print(\"locked\", flush=True)
time.sleep(10)
store.execute(\"ROLLBACK\")" >~/locked &
                until [ -s ~/locked ]; do sleep 0.1; done; before=$(systemctl --user show -P MainPID cicd-runner.service)
                curl -sS --max-time 40 -o ~/answer -w "answered %{http_code} after %{time_total}\n" --unix-socket $XDG_RUNTIME_DIR/cicd-runner.sock \
                    -d "{\"path\": \"$HOME/myapp\", \"range\": \"HEAD~1..HEAD\", \"engine\": \"rules\"}" http://localhost/review
                wait; job=$(jq -r .id ~/answer); for i in $(seq 100); do [ "$(cicdctl job show $job --json | jq -r .state)" = ended ] && break; sleep 0.2; done
                cicdctl job show $job --json | jq -r .outcome
                [ "$(systemctl --user show -P MainPID cicd-runner.service)" = "$before" ] && echo "same runner"'
            printf '%s\n' "$output" | sed 's/^/# locked: /'
            shows "locked: who asks meanwhile waits and gets a promise" '^answered 202 after'
            shows "locked: which is kept" '^reviewed$'
            shows "locked: by the same process" '^same runner$'
            ;;
        flipped)
            # The first byte of a table's first page says what kind of page it is.
            damaged "a page of the store is damaged" '
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
page, size = (store.execute(sql).fetchone()[0] for sql in ("SELECT rootpage FROM sqlite_schema WHERE name = \"jobs\"", "PRAGMA page_size"))
store.close()
with open(sys.argv[1], "r+b") as file:
    file.seek((page - 1) * size)
    file.write(b"\xa5")'
            ;;
        garbage)
            damaged "the head of the store is garbage" '
import os, sys
with open(sys.argv[1], "r+b") as file:
    file.write(os.urandom(100))'
            ;;
        *) not_ok "there is no part $part" ;;
    esac
done

summary
