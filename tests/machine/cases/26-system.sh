#!/bin/bash
# A host for all its users, from the package: root sets it up, each reviews and sees nothing of the other, what the
# administrator has locked holds, and root takes all of it back without a trace.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

package
as_root rm /usr/local/bin/cicdctl
as_root useradd --create-home --key HOME_MODE=0700 --shell /bin/bash --uid 1003 carol
for user in alice bob; do sample_repo "$user" myapp >/dev/null; done
as_root dpkg -i /root/cicdctl.deb >/dev/null
installed=$(as_root sh -c "$EVERYWHERE")

check "only root does it" expect_status 2 alice 'cicdctl init --system --users alice'
check "nor does a user see the others" expect_status 2 alice 'cicdctl status --all-users'
check "a user that is not there" expect_status 2 expect_output 'there is no user `mallory`' as_root cicdctl init --system --users alice,mallory --yes
check "a dry run shows it all" expect_output '^  set up bob: ' as_root cicdctl init --system --users alice,bob --dry-run
same "and changes nothing" "$installed" "$(as_root sh -c "$EVERYWHERE")"
check "root sets the host up, and two users with it" as_root cicdctl init --system --users alice,bob --yes --quiet
full=$(as_root sh -c "$EVERYWHERE")
check "a second run finds nothing to do" expect_output '^$' as_root cicdctl init --system --yes --quiet
same "and changes nothing" "$full" "$(as_root sh -c "$EVERYWHERE")"
check "units are there once, for all users" alice 'test ! -e ~/.config/systemd/user/cicd-runner.service &&
    realpath "$(systemctl --user show -P FragmentPath cicd-runner.service)" | grep -x /etc/systemd/user/cicd-runner.service'
check "they start what the package has" as_root grep -q '^ExecStart=/usr/bin/cicdctl run daemon$' /etc/systemd/user/cicd-runner.service
check "systemd has nothing against them" alice '! systemd-analyze --user verify /etc/systemd/user/cicd-*.{service,socket,timer} 2>&1 | grep -i cicd'
check "the tree of the deployment guide" as_root sh -c 'ls -d /opt/cicd-toolkit/bin/cicd-runner /opt/cicd-toolkit/skills /opt/cicd-toolkit/configs /usr/local/bin/cicd-runner \
    /var/lib/cicd-toolkit/users/1001/sessions /var/lib/cicd-toolkit/users/1001/sockets'
check "its command line works, too" expect_output '^cicdctl [0-9]' as_root /opt/cicd-toolkit/bin/cicd-runner --version
check "delegation of all controllers is asked for" as_root sh -c 'all=" $(systemctl show -P DelegateControllers user@1001.service) "
    for one in cpu cpuset io memory pids; do case $all in *" $one "*) ;; *) echo "$all"; exit 1 ;; esac; done'

for user in alice bob; do
    check "$user adds an agent" as_user "$user" bash -c 'cicdctl agent add myapp --path ~/myapp --yes --quiet'
    check "$user reviews" expect_output '^reviewed: 11 findings' as_user "$user" bash -c 'cd myapp && cicdctl review HEAD~1..HEAD'
    check "$user: what is kept is in the host's place" as_user "$user" bash -c 'cd /var/lib/cicd-toolkit/users/$UID && test -s sessions/store.db && test ! -e ~/.local/state/cicd-toolkit'
    check "$user: sockets answer there, too" as_user "$user" bash -c '
        curl -s --max-time 5 --unix-socket /var/lib/cicd-toolkit/users/$UID/sockets/myapp.sock http://localhost/healthz | jq -e .ready'
    check "$user: doctor finds cages closed and nothing adrift" as_user "$user" bash -c '
        cicdctl doctor --json | jq -e "all(.[]; (.code | IN(\"sandbox\", \"hardening\", \"drift\", \"units\") | not) or .verdict == \"ok\")"'
done
check "neither sees the other's" as_user alice bash -c '
    ! ls /var/lib/cicd-toolkit/users 2>/dev/null && ! ls /var/lib/cicd-toolkit/users/1002 2>/dev/null && ! ls /run/user/1002 2>/dev/null &&
    ! curl -s --max-time 3 --unix-socket /var/lib/cicd-toolkit/users/1002/sockets/cicd-runner.sock http://localhost/healthz &&
    [ "$(cicdctl job list --json | jq length)" = 1 ]'
run as_root cicdctl status --all-users
shows "root sees a line for each" '^alice +(ready|asleep) +1 +0 +0 +1 reviewed, 0 failed'
shows "and for the other" '^bob +(ready|asleep) +1 +0 +0 +1 reviewed, 0 failed'
check "in JSON, too" as_root sh -c 'cicdctl status --all-users --json | jq -e "map(.user) == [\"alice\", \"bob\"] and all(.[]; .status.trouble | type == \"array\")"'

"$MACHINE" exec "$name" -- sh -c 'cat >/etc/cicd-toolkit/config.toml' <<'END'
locked = ["job.memory", "agents.limits.memory", "hardening.level"]
[job]
memory = "1G"
[runner.limits]
memory = "700M"
END
check "what the administrator has changed is rolled out" as_root cicdctl init --system --yes --quiet
check "and read by the managers that run" expect_output '^734003200$' alice 'systemctl --user show -P MemoryMax cicd-runner.service'
check "a locked key stays as it is" expect_status 1 expect_output 'config.toml:[0-9]+: `job.memory`: the administrator of this host has locked it' \
    alice 'cicdctl config set job.memory 9G'
check "so does the engine's sandbox" expect_status 4 expect_output 'has locked `hardening.level`' alice 'cd myapp && cicdctl config set engine.command.argv "[\"/bin/true\"]" && cicdctl review HEAD~1..HEAD --engine command --unsandboxed'
check "in agents, too" expect_status 1 expect_output 'myapp.toml:[0-9]+: `limits.memory`: the administrator of this host' alice 'cicdctl agent set myapp --memory 9G'
check "others are the user's" alice 'cicdctl config set runner.limits.memory 300M && cicdctl apply --yes --quiet &&
    test "$(systemctl --user show -P MemoryMax cicd-runner.service)" = 314572800 && test -e ~/.config/systemd/user/cicd-runner.service'
check "and go back to the host's" alice 'cicdctl config set runner.limits.memory 700M && cicdctl apply --yes --quiet &&
    test "$(systemctl --user show -P MemoryMax cicd-runner.service)" = 734003200 && test ! -e ~/.config/systemd/user/cicd-runner.service'
check "a skill of the host is everybody's" as_root sh -c 'printf "%s\n" --- "description: house rules" --- "Look for tabs." >/opt/cicd-toolkit/skills/house.md'
check "so users find it" expect_output 'house' as_user bob cicdctl skill list

check "another user sets up alone" as_user carol cicdctl --user carol init --yes --quiet
check "with the units of the host, and what the administrator says in them" as_user carol sh -c 'test ! -e ~/.config/systemd/user/cicd-runner.service &&
    test "$(systemctl --user show -P MemoryMax cicd-runner.service)" = 734003200'
check "a variable is no way around a lock" expect_status 1 expect_output 'CICD_JOB_MEMORY: `job.memory`: the administrator' as_user carol env CICD_JOB_MEMORY=9G cicdctl status
check "nor is another file in the place of hers" expect_status 1 expect_output '^/tmp/c.yaml: `job.memory`: the administrator' as_user carol sh -c 'printf "job:\n  memory: 9G\n" >/tmp/c.yaml; cicdctl --config /tmp/c.yaml config check'
check "who is gone and there again keeps to it from the start" as_user carol sh -c 'cicdctl uninstall --purge --yes --quiet; ! test -e ~/.config/cicd-toolkit'
check "so she sets up once more" as_user carol cicdctl init --yes --quiet
check "root sees that, too" expect_output '^carol ' as_root cicdctl status --all-users
run as_root cicdctl uninstall --system --purge --yes
ended "root takes it back" 0
shows "and says who keeps a runner" 'carol has a runner that was not set up with the host'
check "who is left gets units of her own" as_user carol sh -c 'cicdctl apply --yes --quiet && cicdctl status --json | jq -e ".runner.socket.active == \"active\""'
check "and takes them back" as_user carol cicdctl uninstall --purge --yes --quiet
check "her manager ends" wait_for 20 as_root test ! -e /run/user/1003
as_root rm -f /opt/cicd-toolkit/skills/house.md
# Those of the others are there as long as they are logged in.
for user in alice bob; do as_user "$user" true; done
same "all is as it was" "$installed" "$(as_root sh -c "$EVERYWHERE")"

check "set up once more" as_root cicdctl init --system --users alice --yes --quiet
check "and taken back, but for what was kept" as_root cicdctl uninstall --system --yes --quiet
check "who goes on alone works with what was kept" expect_output '^reviewed: 11 findings' alice 'cicdctl init --yes --quiet && cicdctl agent add myapp --path ~/myapp --yes --quiet && cd myapp && cicdctl review HEAD~1..HEAD'
alice 'cicdctl uninstall --purge --yes --quiet'
check "the host is set up again" as_root cicdctl init --system --users alice,bob --yes --quiet
as_root sh -c 'echo "{" >/var/lib/cicd-toolkit/users/1002/sessions/install.json'
check "who cannot be taken back is no reason to give up on the others" expect_status 1 expect_output 'the runner of bob is still there' as_root cicdctl uninstall --system --yes
check "alice is taken back" as_root sh -c '! test -e /home/alice/.local/state/cicd-toolkit/install.json && pgrep -u bob -x cicdctl && ! pgrep -u alice -x cicdctl'
check "dpkg purges it, and the host's set-up with it" as_root dpkg -P cicdctl
check "nothing of it runs" as_root sh -c '! pgrep -x cicdctl'
check "nothing is left of the host's" as_root sh -c 'test ! -e /opt/cicd-toolkit && test ! -e /etc/cicd-toolkit && ! ls /etc/systemd/user | grep cicd && test ! -e /usr/local/bin/cicd-runner'
as_root sh -c 'rm -rf /home/alice/.config/cicd-toolkit /var/lib/cicd-toolkit'
summary
