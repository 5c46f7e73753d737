#!/bin/bash
# Runner, agents, cages, publishers and askers are killed at random moments while reviews of a fake GitHub's pull
# requests are asked for; the machine is rebooted and loses its power in between. In the end nothing is lost, nothing
# stands twice, and every commit says how its review ended.
#
# Called as a case of tests/machine is (see lib.sh there), with
#   CHAOS_KILLS   how many (default 12)
#   CHAOS_SEED    for what is killed and when (default 1)
#   CHAOS_PAUSE   seconds between two kills, at least and at most (default "0.1 0.9")
#   CHAOS_CUTS    what happens between the parts that the kills are divided into (default: nothing; "reboot crash")
#   CHAOS_FINISH  for so many seconds nothing may end before what is left counts as lost (default 240)
#   CHAOS_KINDS   what is killed (default: everything; see inside.py)
. "${BASH_SOURCE[0]%/*}/../machine/lib.sh"

kills=${CHAOS_KILLS:-12} seed=${CHAOS_SEED:-1}
read -ra pause <<<"${CHAOS_PAUSE:-0.1 0.9}"
read -ra cuts <<<"${CHAOS_CUTS:-}"
read -ra kinds <<<"${CHAOS_KINDS:-}"
own=$(cd "${BASH_SOURCE[0]%/*}" && pwd)

program chaos <"$own/inside.py"
program fake_github <"$own/../fixtures/github/fake_github.py"
program slow_engine <<'FILE'
#!/bin/sh
# Takes between half a second and three, and finds the line that each of the pull requests has changed.
cat >/dev/null
n=$(od -An -N1 -tu1 /dev/urandom)
sleep "$((n / 100)).$((n % 100 / 10 + 5))"
echo '{"findings": [{"path": "app/orders.py", "start_line": 6, "end_line": 6, "severity": "medium", "category": "security",
    "title": "certificates are not checked", "explanation": "Anyone may answer."}]}'
FILE
with_stdin alice bash -c 'umask 077; cat >token' <<<ghs_chaos.token

# They are there again after a reboot, the forge before anybody who speaks to it.
check "a GitHub that remembers, and somebody who asks" alice '
    mkdir -p ~/.config/systemd/user ~/chaos && chaos repo ~/github/acme/shop.git '"$((kills * 6 + 60))"' &&
    cat >~/.config/systemd/user/chaos-forge.service <<FILE &&
[Unit]
Before=cicd-runner.service cicd-agent@quick.service cicd-agent@slow.service chaos-ask.service
[Service]
Type=notify
ExecStart=/usr/local/bin/fake_github --port 8098 --root %h/github --token-file %h/token --journal %h/chaos/journal
[Install]
WantedBy=default.target
FILE
    cat >~/.config/systemd/user/chaos-ask.service <<FILE &&
[Unit]
After=cicd-runner.socket chaos-forge.service
[Service]
ExecStart=/usr/local/bin/chaos ask '"$seed"'
Environment=PATH=/usr/local/bin:/usr/bin:/bin
KillMode=control-group
TimeoutStopSec=2
[Install]
WantedBy=default.target
FILE
    systemctl --user daemon-reload && systemctl --user enable --now --quiet chaos-forge.service'
check "a runner and two agents" alice '
    cicdctl init --yes --quiet && cicdctl secret set github-token --quiet <~/token &&
    sed -i "s|^#api_url.*|api_url = \"http://127.0.0.1:8098/api/v3\"|; s|^#write_pause.*|write_pause = \"0s\"|" ~/.config/cicd-toolkit/config.toml &&
    cicdctl agent add quick --cpu 100% --yes --quiet && cicdctl agent add slow --engine command --cpu 100% --yes --quiet &&
    printf "[engine.command]\nargv = [\"/usr/local/bin/slow_engine\"]\n" >>~/.config/cicd-toolkit/agents/slow.toml &&
    systemctl --user enable --now --quiet chaos-ask.service'
check "reviews are published" alice 'for i in $(seq 300); do
    curl -sS http://127.0.0.1:8098/control/ends | jq -e "[.[] | select(. == \"success\")] | length >= 3" && exit; sleep 0.5; done; exit 1'
[ "$failures" -eq 0 ] || { alice 'cicdctl job list; cicdctl status; journalctl --user -n 40 --no-pager'; summary; exit; }

parts=$((${#cuts[@]} + 1)) done=0
for ((part = 1; part <= parts; part++)); do
    number=$((kills * part / parts - done)) done=$((kills * part / parts))
    run alice 'chaos kill "$@"' "$number" "$((seed + part))" "${pause[@]}" "${kinds[@]}"
    printf '%s\n' "$output" | sed 's/^/# /'
    ended "part $part: it was killed $number times" 0
    case ${cuts[part - 1]:-} in
        reboot) check "an orderly reboot" "$MACHINE" reboot "$name" ;;
        crash)
            check "the power is cut" "$MACHINE" crash "$name"
            check "it boots" "$MACHINE" boot "$name"
            ;;
    esac
    # As nobody logs in, what follows is done by what is enabled.
    [ -z "${cuts[part - 1]:-}" ] || sleep 5
done

run alice 'chaos finish "${1}"' "${CHAOS_FINISH:-240}"
printf '%s\n' "$output" | sed 's/^/# /'
shows "lost 0" ' lost 0,'
shows "doubled 0" ', doubled 0$'
shows "the store is sound" '^the store: ok$'
shows "every job has one end, every review is published, every commit says how it ended" '^nothing is wrong$'
left='ls ~/.local/state/cicd-toolkit/agents/*/workspace ~/.local/state/cicd-toolkit/workspace 2>/dev/null | grep ^01
    systemctl --user list-units --all --no-legend "cicd-job-*"; pgrep -u alice -fa "[s]low_engine|[r]un job"; true'
# A machine that is not there has nothing left, either.
gone() { local there; there=$(alice "$left") || return; [ -z "$there" ] || { printf '%s\n' "$there"; return 1; }; }
check "no directory, no cage and no engine is left" wait_for 20 gone
[ "$failures" -eq 0 ] || alice 'cicdctl status; systemctl --user --no-pager --failed; cicdctl job list | head -n 20' 2>&1 | sed 's/^/| /'

summary
