#!/bin/bash
# Secrets of a unique text are stored, jobs of every engine run, are published and fail, engine and runner crash: the
# text is searched for wherever it could get, while all that goes on and after it. The same search finds what is planted.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program fake_github <"$here/../fixtures/github/fake_github.py"
program fake_api <"$here/../fixtures/claude/fake_api.py"
program canary_search <"$here/../fixtures/canary/canary_search.py"
key=sk-c4n4ry+83/api.key token=t0k.c4n4ry-83-forge contrast=c0ntr4st-83-environment planted=pl4nted+83/word
# The encodings that an engine may print its key in, too; and a forge that says back what it was told.
program leaky_claude <<'FILE'
#!/bin/bash
case $1 in --version) echo "2.1.330 (Claude Code)"; exit ;; --help) echo "--print --output-format"; exit ;; esac
cat >/dev/null &
k=$ANTHROPIC_API_KEY
say() { echo "my key is $k, $(printf %s "$k" | base64), $(printf %s "$k" | jq -sRr @uri), $(printf %s "x$k" | base64)"; }
say >&2
say
case $(cat /etc/leaky-mode) in
    crash) ulimit -c unlimited 2>/dev/null; kill -SEGV $$ ;;
    hang) sleep 4 ;;
esac
exit 1
FILE
program nosy <<'FILE'
#!/bin/bash
# An engine that looks for secrets, and prints what it finds in every way it has.
cat >/dev/null
all=$(env; cat "$CREDENTIALS_DIRECTORY"/* /run/user/*/credentials/*/* /proc/[0-9]*/environ \
    /home/alice/.config/cicd-toolkit/credentials/* /home/alice/.config/environment.d/* 2>/dev/null | tr '\0' '\n'
    systemd-creds --user --name=github-token decrypt /home/alice/.config/cicd-toolkit/credentials/github-token.cred - 2>&1)
echo "$all" >&2
jq -n --arg all "$all" '{summary: $all[:1000], findings: [{path: "app/server.py", start_line: 32, end_line: 32, severity: "low",
    category: "other", title: "what I see", explanation: $all[:8000]}]}'
FILE
program echo_forge <<'FILE'
#!/usr/bin/env python3
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"message": "I was told " + str(self.headers.get("Authorization"))}).encode()
        self.send_response(401 if self.path.endswith("/user") else 403); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8097), Handler).serve_forever()
FILE
"$MACHINE" exec "$name" -- bash -c 'cat >/root/words' <<<"$key"$'\n'"$token"
"$MACHINE" exec "$name" -- bash -c 'cat >/root/contrast' <<<"$contrast"
"$MACHINE" exec "$name" -- bash -c 'cat >/root/planted' <<<"$planted"

#-- set up ------------------------------------------------------------------------------

# The servers have the secrets, too: they are another user's.
with_stdin bob bash -c 'umask 077; cat >token' <<<"$token"
sample_repo bob shop >/dev/null
check "bob stays" "$MACHINE" linger "$name" bob
check "a GitHub on loopback" as_user bob bash -c '
    git clone -q --bare shop github/acme/shop.git && cd github/acme/shop.git && git tag two main &&
    git update-ref refs/heads/main main~1 && git update-ref refs/pull/2/head two && cd &&
    systemd-run --user --quiet --unit=fake_github fake_github --port 8098 --root ~/github --token-file ~/token &&
    systemd-run --user --quiet --unit=echo_forge echo_forge &&
    for i in $(seq 50); do curl -s http://127.0.0.1:8098/control/state >state && break; sleep 0.1; done; jq -e ".log == []" state'
with_stdin alice bash -c 'mkdir -p ~/.config/environment.d; cat >~/.config/environment.d/90-contrast.conf; systemctl --user daemon-reload' <<<"GH_TOKEN=$contrast"
sample_repo alice myapp >/dev/null
check "a runner" alice 'cicdctl init --yes --quiet && cd ~/.config/cicd-toolkit && sed -i "
    s|^#api_url.*|api_url = \"http://127.0.0.1:8098/api/v3\"|; s|^#write_pause.*|write_pause = \"0s\"|
    s|^#program = .*|program = \"/usr/local/bin/leaky_claude\"|; s|^#argv = .*|argv = [\"/usr/local/bin/nosy\"]|
    s|^#timeout = .*|timeout = \"30s\"|" config.toml && cicdctl apply --yes --quiet'
with_stdin alice cicdctl secret set anthropic-api-key --quiet <<<"$key"
with_stdin alice cicdctl secret set github-token --quiet <<<"GITHUB_TOKEN=\"$token\""
run alice 'cicdctl secret list'
[ "$suite" = bookworm ] && kept=plain || kept=encrypted
shows "the secrets are kept $kept" "^anthropic-api-key +$kept"
same "and the files say so" "$([ "$kept" = plain ] && echo 2 || echo 0)" \
    "$("$MACHINE" exec "$name" -n -- sh -c 'grep -rlF -f /root/words /home/alice/.config/cicd-toolkit/credentials 2>/dev/null | wc -l')"

#-- jobs, while somebody looks ----------------------------------------------------------

"$MACHINE" exec "$name" -n -- bash -c 'rm -f /root/stop; canary_search alice /root/words until /root/stop >/root/table 2>&1 && touch /root/done' &
searching=$!
# engine NAME MODE [OPTION...]: a review of the pull request by it, published.
engine() {
    as_root sh -c 'echo "$1" >/etc/leaky-mode' sh "$2"
    run alice 'cd ~/myapp && cicdctl review --pr 2 --repo acme/shop --post --full "${@:2}" --engine "$1"; echo "status $?"' "$1" "${@:3}"
}
engine rules none
shows "rules: reviewed and published" '^status 0$'
engine command none
shows "an engine that looks around: reviewed" '^status 0$'
shows "it saw its environment" 'CICD_CHECKOUT'
hides "and none of the secrets" 'c4n4ry|GH_TOKEN'
pid=$(alice 'systemctl --user show -P MainPID cicd-runner.service')
with_stdin bob bash -c 'cat >token' <<<"$token-2"
with_stdin alice cicdctl secret set github-token --quiet <<<"$token-2"
engine rules none
shows "another token is used without a restart" '^status 0$'
same "by the same process" "$pid" "$(alice 'systemctl --user show -P MainPID cicd-runner.service')"
engine claude none
shows "an engine that prints its key: not reviewed" '^status 4$'
shows "what it printed is shown without it" 'my key is \[redacted anthropic-api-key\], \[redacted anthropic-api-key\]'
hides "in no form" 'c4n4ry'
engine claude hang &
hanging=$!
check "an engine runs" wait_for 15 as_root pgrep -x leaky_claude
wait "$hanging"
engine claude crash
shows "an engine that crashes: not reviewed" '^status 4$'
alice 'sed -i "s|:8098/api/v3|:8097/api/v3|" ~/.config/cicd-toolkit/config.toml'
engine rules none
shows "a forge that says the token back: not reviewed" '^status 4$'
shows "what it said is shown without it" 'I was told Bearer \[redacted github-token\]'
run alice 'cicdctl doctor'
shows "doctor, too" 'I was told Bearer \[redacted github-token\]'
hides "in no form" 'c4n4ry'
alice 'sed -i "s|:8097/api/v3|:8098/api/v3|" ~/.config/cicd-toolkit/config.toml'
if [ -n "${CICDCTL_TEST_CLAUDE:-}" ]; then
    check "Claude Code in the machine" "$MACHINE" put "$name" "$CICDCTL_TEST_CLAUDE" /usr/local/bin/claude
    with_stdin bob bash -c 'cat >script.json' <<FILE
{"default": {"structured": {"summary": "Your key is $key.", "findings": [{"path": "app/server.py", "start_line": 32, "end_line": 32,
    "severity": "high", "category": "security", "title": "the key $key", "explanation": "In base64: $(printf %s "$key" | base64)", "confidence": 0.9}]}}}
FILE
    as_user bob bash -c 'systemd-run --user --quiet --unit=fake_api fake_api --port 8099 --script ~/script.json; sleep 1'
    alice 'sed -i "s|^program = .*|base_url = \"http://127.0.0.1:8099\"|; s|^#refute.*|refute = false|; s|^#model.*|model = \"claude-sonnet-5-5\"|" ~/.config/cicd-toolkit/config.toml'
    engine claude none
    shows "a model that says the key: reviewed" '^reviewed'
    shows "without it" 'the key \[redacted anthropic-api-key\]'
    check "and published so" as_root sh -c 'curl -sS http://127.0.0.1:8098/control/state | grep -q "redacted anthropic-api-key"'
fi
check "the runner is no more to be read than another user's process" alice '
    pid=$(systemctl --user show -P MainPID cicd-runner.service) && [ "$pid" -gt 1 ] && ! cat /proc/$pid/environ 2>/dev/null'
alice 'cd; systemctl --user kill --signal=SEGV cicd-runner.service; sleep 1; cicdctl review --help >/dev/null; cd ~/myapp && cicdctl review HEAD~1 --quiet --no-wait'
check "the runner crashed" as_root sh -c 'journalctl --no-pager _UID=1001 | grep -q "cicd-runner.service.*\(SEGV\|core-dump\)"'
as_root touch /root/stop
wait "$searching"
check "the search came to its end" as_root test -e /root/done
table=$(as_root cat /root/table)
printf '%s\n' "$table" | sed 's/^/# /'
places=$(grep -c '  bytes ' <<<"$table")
same "15 places were searched, and there is nothing in them" "15 0" "$places $(grep -c '^    HIT' <<<"$table")"
check "the engine had its key, so there was something to find" grep -q 'there by right: .*the engine itself' <<<"$table"
check "it was looked for more than once" grep -qE '^argv +looks +[0-9]{2}' <<<"$table"

#-- the search can fail -----------------------------------------------------------------

# Something of each kind with the word in it.
as_root bash -c 'cd /tmp && read -r word </root/planted && cat >/root/plant.py <<FILE
import os, sys, time
text = open("/home/alice/planted").read()
if sys.argv[1:] == ["core"]:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
    os.chdir("/home/alice")
    os.kill(os.getpid(), 11)
time.sleep(600)
FILE
chmod 755 /root; chmod 644 /root/plant.py; cp /root/plant.py /usr/local/bin/plant.py; printf %s "$word" >/home/alice/planted; chmod 644 /home/alice/planted'
alice 'word=$(cat planted)
    systemd-run --user --quiet --unit=planted --setenv=PLANTED="$word" sh -c "echo \"$word\"; sleep 600; : $word"
    systemctl --user set-environment PLANTED="$word"
    echo "$word" >$XDG_RUNTIME_DIR/planted; mkdir -p ~/.local/state/cicd-toolkit/workspace/x; echo "$word" >~/.local/state/cicd-toolkit/workspace/x/y
    echo "$word" | base64 >~/.local/state/cicd-toolkit/planted; echo "x$word" | base64 >~/.cache/cicd-toolkit/planted
    echo "# $word" >>~/.config/cicd-toolkit/config.toml; echo "$word" >/tmp/planted
    cd ~/myapp && cicdctl review "HEAD~1..$word" --quiet --no-wait; sleep 1
    curl -sS http://127.0.0.1:8098/control/comment -d "$(jq -n --arg body "$word" "{pr: 2, user: \"bob\", body: \$body}")" >/dev/null
    cd; ulimit -c unlimited; python3 /usr/local/bin/plant.py core' >/dev/null 2>&1
found=$(as_root canary_search alice /root/planted once)
printf '%s\n' "$found" | sed 's/^/# /'
for place in argv environ 'unit properties' 'manager environment' 'runtime directory' 'directories of jobs' 'journal, all fields' \
    'comments at the forge' 'what cicdctl prints' store state cache 'configuration and units' '/tmp' 'core dumps'; do
    check "what is planted is found: $place" grep -qF "    HIT $place: " <<<"$found"
done
found=$(as_root canary_search alice /root/contrast once)
check "a variable of environment.d is found where it is exposed" grep -qE 'HIT (environ|manager environment)' <<<"$found"
same "but in no cage" '' "$(grep 'cicd-job' <<<"$found")"

summary
