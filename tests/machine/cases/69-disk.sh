#!/bin/bash
# A disk that is almost full lets no review begin, one that is full refuses what it cannot promise, and neither loses
# or damages anything; what is old is given back; no job takes more than its share; a damaged store is named.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

# Two small file systems: one for the state, one for configuration and units.
as_root sh -c '
    install -d -o alice -g alice /home/alice/.local /home/alice/.local/state /home/alice/.config
    mount -t tmpfs -o size=24m,mode=755,uid=alice,gid=alice tmpfs /home/alice/.local/state
    mount -t tmpfs -o size=1m,mode=755,uid=alice,gid=alice tmpfs /home/alice/.config' || exit
state=.local/state/cicd-toolkit

program filler <<'FILE'
#!/bin/bash
cat >/dev/null
cd "$TMPDIR" || exit
case $1 in
    sleep) sleep 2 ;;
    many) for i in $(seq 40); do head -c 2M /dev/zero >"$i"; sleep 0.1; done; sleep 30 ;;
    tmp) for i in $(seq 40); do head -c 2M /dev/zero >"/tmp/$i"; sleep 0.1; done; sleep 30 ;;
    one) exec head -c 100M /dev/zero >one ;;
esac
echo '{"findings": []}'
FILE
set_up --yes || exit
check "min_free is above what there is" alice 'cicdctl status 2>&1 | grep -q "almost full"'

# engine WORD [TABLES]: the agent's engine is `filler WORD`.
engine() { printf '[engine.command]\nargv = ["/usr/local/bin/filler", "%s"]\n%s' "$1" "${2:-}" | configure; }
# floor SIZE
floor() { alice 'sed -i "s/^#*min_free = \"[^\"]*\"/min_free = \"$1\"/" ~/.config/cicd-toolkit/config.toml && grep -q "^min_free = \"$1\"" ~/.config/cicd-toolkit/config.toml' "$1"; }
ask='cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait -q'
is_ended='cicdctl job show "$1" --json | jq -e ".state == \"ended\" and .outcome == \"reviewed\""'

#-- the floor -------------------------------------------------------------------------------------

engine sleep
waits=$(alice "$ask")
check "what is asked for is accepted all the same" test -n "$waits"
check "the job says for what it waits" wait_for 10 alice 'cicdctl job show "$1" --json | jq -e ".state == \"queued\" and (.reason | test(\"almost full.*below 500M.*cicdctl gc\"))"' "$waits"
check "so do status, the agent's own status text, and doctor" alice '
    cicdctl status | grep -q "^! the disk is almost full: .* free for .*begins by itself" &&
    systemctl --user show -P StatusText cicd-agent@myapp | grep -q "queued; the disk is almost full" &&
    ! cicdctl doctor >out && grep -q "^FAILED *disk .*almost full" out'
check "gc was tried, once" alice 'cicdctl logs myapp -n 1000 | tee out; [ "$(grep -c "of the disk back" out)" = 1 ]'
check "it did not begin" alice 'cicdctl job show "$1" --json | jq -e ".attempts == 0"' "$waits"
floor 4M
check "with room it begins by itself and ends" wait_for 20 alice "$is_ended" "$waits"
check "status says nothing of it any more" wait_for 5 alice '! cicdctl status | grep -q "almost full"'

#-- full ------------------------------------------------------------------------------------------

# Without a floor, the worst case: all of it goes, to the last byte, while reviews run, wait and are asked for.
floor 0
alice 'for i in 1 2 3 4 5 6; do (cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait -q); done >~/before; wc -l <~/before' >/dev/null
check "reviews run" wait_for 10 alice 'cicdctl status --json | jq -e ".queue.running > 0"'
alice 'dd if=/dev/zero of=~/.local/state/full bs=64k 2>/dev/null; head -c 200k /dev/zero | dd of=~/.local/state/rest bs=512 2>/dev/null; test "$(df --output=avail ~/.local/state | tail -1)" -eq 0' || not_ok "the disk is full"
alice '
    socket=$XDG_RUNTIME_DIR/cicd-runner.sock
    # The store has some room in files that are there already.
    : >~/codes
    for round in $(seq 0 9); do for i in $(seq $((60 * round + 1)) $((60 * round + 60))); do
        curl -s --max-time 40 --unix-socket $socket -H "Content-Type: application/json" -o ~/answer.$i -w "%{http_code} %{content_type}\n" \
            -d "{\"agent\": \"myapp\", \"range\": \"HEAD~1..HEAD\", \"engine\": \"command\"}" http://localhost/review &
    done >>~/codes; wait; ! grep -q ^507 ~/codes || break; done' >/dev/null 2>&1
codes=$(alice 'cut -d" " -f1 ~/codes | sort | uniq -c | tr -s " \n" " "')
check "each request is accepted or refused with 507, and nothing else" alice '[ "$(wc -l <~/codes)" -ge 60 ] && ! grep -vE "^(202 application/json|507 application/problem.json)$" ~/codes'
check "some are refused" alice 'grep -q ^507 ~/codes'
check "the refusal says what helps" alice 'grep -l "\"status\":507" ~/answer.* | xargs cat | grep -q "nothing was accepted; make room (.cicdctl gc.)"'
alice 'jq -r "select(.id != null).id" ~/answer.* >~/during 2>/dev/null'
sleep 3
check "runner and agent are alive and were never started anew" alice '
    systemctl --user show -P ActiveState -P NRestarts cicd-runner cicd-agent@myapp | sort | uniq -c | tee out
    systemctl --user is-active -q cicd-runner cicd-agent@myapp && [ "$(systemctl --user show -P NRestarts cicd-runner cicd-agent@myapp | grep -c ^0)" = 2 ]'
alice 'rm ~/.local/state/full ~/.local/state/rest'
check "when room is back all jobs end" wait_for 300 alice '
    cicdctl status --json | jq -e ".queue.queued + .queue.running == 0"'
counts=$(alice '
    sort -u ~/before ~/during >~/accepted
    while read -r id; do cicdctl job show "$id" --json | jq -r .outcome; done <~/accepted | sort | uniq -c | tr -s " \n" " "')
accepted=$(alice 'grep -c . ~/accepted') wrong=$(alice 'while read -r id; do cicdctl job show "$id" --json | jq -e ".outcome == \"reviewed\"" >/dev/null || echo "$id"; done <~/accepted')
printf '# answers while full:%s; accepted in all: %s; ended:%s; lost: %s\n' "$codes" "$accepted" "$counts" "$(grep -c . <<<"$wrong")"
check "no accepted one is lost" test -z "$wrong"
check "the store is whole" alice 'cicdctl doctor --json | jq -e ".[] | select(.code == \"store\") | .verdict == \"ok\""'
check "no directory of a job is left" alice "! ls $state/agents/myapp/workspace | grep ."
check "the log of changes is cut to size" alice "test \$(stat -c %s $state/store.db-wal) -lt 9000000"

# An agent that is woken on a full disk waits for room, and does not fail.
alice "systemctl --user stop cicd-agent@myapp.service cicd-runner.service 2>/dev/null
    # The last to close it takes away what SQLite keeps beside it; an agent that left in a hurry did not.
    python3 -c 'import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(\"SELECT count(*) FROM jobs\"); c.close()' $state/store.db
    dd if=/dev/zero of=~/.local/state/full bs=64k 2>/dev/null; dd if=/dev/zero of=~/.local/state/rest bs=512 2>/dev/null; systemctl --user start --no-block cicd-agent@myapp.service"
check "woken on a full disk it says for what it waits" wait_for 10 alice 'systemctl --user show -P StatusText cicd-agent@myapp | grep "waiting: the disk is full"'
alice 'rm ~/.local/state/full ~/.local/state/rest'
check "and goes on" wait_for 10 alice 'systemctl --user show -P StatusText cicd-agent@myapp | grep ^idle'

#-- a job's share ---------------------------------------------------------------------------------

quota=$'[job]\ndisk = "16M"\n'
for how in many tmp; do
    engine $how "$quota"
    run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command'
    ended "an engine that writes too much ($how) is ended" 4
    shows "and the receipt says why" 'took more than its 16M of disk and was ended: [0-9]+ MB for itself'
done
engine one "$quota"
run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command'
shows "one file that is too large is the kernel's to refuse" 'killed by SIGXFSZ: it wrote a file larger'
check "nothing of them is left" alice "! ls $state/agents/myapp/workspace | grep ."
alice 'git -C myapp checkout -q -b big && head -c 17M /dev/zero >myapp/big.bin && echo "# more" >>myapp/README.md && git -C myapp add -A && git -C myapp -c user.name=a -c user.email=a@b.c commit -qm big'
run alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command'
shows "a checkout that is too large is refused" 'the files of the head take 18 MB \([0-9]+ files\), and a job may take 16M'
alice 'git -C myapp checkout -q - && git -C myapp branch -qD big'

#-- gc --------------------------------------------------------------------------------------------

# An agent that is awake clears its own workspace.
alice "
    cicdctl agent stop myapp --quiet
    d=$state/agents/myapp; mkdir -p \$d/workspace/01ARZ3NDEKTSV4RRFFQ69G5FAV \$d/engine-home/claude/debug \$d/engine-home/claude/projects/-x
    head -c 300k /dev/zero >\$d/workspace/01ARZ3NDEKTSV4RRFFQ69G5FAV/x
    head -c 200k /dev/zero >\$d/engine-home/claude/debug/log; head -c 100k /dev/zero >\$d/engine-home/claude/projects/-x/new.jsonl
    touch -d '2 days ago' \$d/engine-home/claude/debug/log; touch -d '5 days ago' \$d/engine-home/claude/projects/-x/new.jsonl"
run alice 'cicdctl gc --dry-run'
shows "a dry run shows what is in use" '^ +[0-9.]+ (MB|kB)    engine home of agent myapp$'
shows "and what would go" '^ +30[0-9] kB  job directories \(1\)$'
shows "of the engine's home only what is junk" '^ +20[0-9] kB  engine homes \(1\)$'
check "and touches nothing" alice "test -d $state/agents/myapp/workspace/01ARZ3NDEKTSV4RRFFQ69G5FAV"
run alice 'cicdctl gc --yes --json'
ended "gc" 0
check "it is gone, and what is young stays" alice "! ls $state/agents/myapp/workspace | grep . || exit; test ! -e $state/agents/myapp/engine-home/claude/debug && test -e $state/agents/myapp/engine-home/claude/projects/-x/new.jsonl"
alice 'cicdctl agent start myapp --quiet'
check "its timer is on and its unit does the same" alice 'systemctl --user is-active -q cicd-gc.timer && systemctl --user is-enabled -q cicd-gc.timer && systemctl --user start cicd-gc.service'
alice 'sed -i "s/^#gc = .*/gc = \"off\"/" ~/.config/cicd-toolkit/config.toml'
check "off, it is gone without a trace" alice 'cicdctl apply --yes -q && ! find ~/.config/systemd ~/.local/share -name "*cicd-gc*" | grep .'
alice 'sed -i "s/^gc = .*/gc = \"weekly\"/" ~/.config/cicd-toolkit/config.toml'
check "and comes back" alice 'cicdctl apply --yes -q && systemctl --user is-active -q cicd-gc.timer && systemctl --user cat cicd-gc.timer | grep -q ^OnCalendar=weekly'

#-- files of the user on a full disk --------------------------------------------------------------

alice 'cp -r myapp other'
# With room for so many more blocks, from none to enough: each file is as it was or as it will be.
whole='cd ~/.config && find . -type f ! -name full -exec sha256sum {} + | sort -k2'
before=$(alice "$whole")
half=0 done_at=
for blocks in 0 1 2 3 4 6 8; do
    alice 'dd if=/dev/zero of=~/.config/full bs=4k 2>/dev/null; s=$(stat -c %s ~/.config/full); truncate -s $((s - $1 * 4096)) ~/.config/full' "$blocks"
    run alice 'cicdctl agent add other --path ~/other --yes -q && cicdctl apply --yes -q'
    [ "$status" -eq 0 ] || grep -q 'No space left on device' <<<"$output" || half=$((half + 1))
    now=$(alice "$whole")
    # Every file of before is there unchanged, and a new one is complete: its digest is that of its text.
    [ -z "$(comm -23 <(printf '%s\n' "$before" | sort) <(printf '%s\n' "$now" | sort))" ] || half=$((half + 1))
    alice 'find ~/.config -name ".cicdctl-*" | grep .' >/dev/null && half=$((half + 1))
    alice 'rm ~/.config/full'
    [ "$status" -ne 0 ] || { done_at=$blocks; break; }
done
check "with too little room agent add fails and says so, and no file is half" test "$half" -eq 0
check "with no room at all it failed" test "${done_at:-9}" -gt 0
check "with room it comes to its end" alice 'cicdctl agent add other --path ~/other --yes -q && cicdctl apply --yes 2>&1 | grep "^Nothing to change" && ! cicdctl doctor | grep drift | grep -v ^ok'

#-- a damaged store -------------------------------------------------------------------------------

alice "systemctl --user stop 'cicd-*' 2>/dev/null; python3 -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute(\"PRAGMA wal_checkpoint(TRUNCATE)\")' $state/store.db; cp $state/store.db ~/sound; dd if=/dev/urandom of=$state/store.db bs=4096 seek=1 count=20 conv=notrunc 2>/dev/null; sha256sum $state/store.db >~/sum; systemctl --user start cicd-runner.socket; systemctl --user start --no-block cicd-agent@myapp.service"
check "an agent with a damaged store ends with 78 and is not started again" wait_for 20 alice '
    systemctl --user show -P ActiveState -P ExecMainStatus -P NRestarts cicd-agent@myapp | tr "\n" " " | tee out; grep -q "^failed 0 78\|^failed 78 0\|^0 failed 78\|failed" out && grep -qw 78 out'
run alice 'cicdctl status'
shows "status names it, and what helps" '^! the store .*store.db. is damaged: .*move it away'
check "nothing was written over it" alice 'sha256sum -c --quiet ~/sum'
check "with the sound one in its place all goes on" alice "cp ~/sound $state/store.db && rm -f $state/store.db-wal $state/store.db-shm && cicdctl agent start myapp && cicdctl init --yes -q && cicdctl job list -n 1"

summary
