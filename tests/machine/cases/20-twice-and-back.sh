#!/bin/bash
# Asked twice it changes nothing; a hand edit is kept; uninstall takes back what was done and no
# more, also after an init that was killed half-way.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

sample_repo alice myapp >/dev/null
# A manager that stays, with lingering off: its units are looked at before and after.
as_root sh -c 'systemctl start "user@$(id -u alice).service"'

# What is there, with modes: the home, the runtime directory (but for what systemd and the bus keep
# there themselves), the units, lingering.
traces='find ~ "$XDG_RUNTIME_DIR" -path "$XDG_RUNTIME_DIR/systemd" -prune -o -path "$XDG_RUNTIME_DIR/dbus-1" -prune -o -printf "%p %M %u %l\n" | sort
    systemctl --user list-units --all --no-legend --plain --no-pager "cicd*"
    systemctl --user list-unit-files --no-legend --no-pager "cicd*"
    ls /var/lib/systemd/linger'
before=$(alice "$traces")
written='find ~/.config ~/.local ~/.cache -printf "%p %M %s %T@ %i\n" | sort'

#-- twice -------------------------------------------------------------------------------

run alice 'cicdctl init --yes'
ended "init" 0
check "a dry run of agent add does nothing" alice '
    cicdctl agent add myapp --path ~/myapp --dry-run && test ! -e ~/.config/cicd-toolkit/agents'
run alice 'cicdctl agent add myapp --path ~/myapp'
ended "agent add" 0
first=$(alice "$written")
run alice 'cicdctl init --yes'
ended "init again" 0
shows "says that there is nothing to change" '^Nothing to change'
run alice 'cicdctl agent add myapp --path ~/myapp'
ended "agent add again" 0
shows "says so, too" '^Nothing to change'
check "so does apply" expect_output '^Nothing to change' alice 'cicdctl apply --yes'
same "no file was touched" "$first" "$(alice "$written")"
check "another agent for the same working copy is refused" \
    expect_status 1 expect_output 'agent `myapp` has this working copy already' alice 'cicdctl agent add other --path ~/myapp'
check "so is the same agent with other settings" \
    expect_status 1 expect_output 'already, with other settings' alice 'cicdctl agent add myapp --path ~/myapp --memory 1G'

#-- a hand edit -------------------------------------------------------------------------

unit='$HOME/.config/systemd/user/cicd-runner.service'
alice "sed -i 's/^CPUWeight=100/CPUWeight=77/' $unit"
run alice 'cicdctl apply --dry-run'
ended "apply --dry-run with an edited unit" 0
shows "names the unit in a warning" "^warning: .*cicd-runner.service. was edited by hand"
shows "shows what was edited" '^ +-CPUWeight=77$'
shows "and what it would be" '^ +\+CPUWeight=100$'
check "apply keeps it" alice "cicdctl apply --yes; cicdctl init --yes; grep -qx CPUWeight=77 $unit"
check "apply --force overwrites it" alice "cicdctl apply --force --yes && grep -qx CPUWeight=100 $unit"
check "and then there is nothing to change" expect_output '^Nothing to change' alice 'cicdctl apply --yes'
alice "printf '[Service]\nNice=3\n' >~/.config/systemd/user/own.service
    sed -i 's/^#cpu_weight = .*/cpu_weight = 55/' ~/.config/cicd-toolkit/config.toml"
run alice 'cicdctl apply --yes'
ended "a changed configuration is applied" 0
check "and in force" alice '
    test "$(systemctl --user show -P CPUWeight cicd-runner.service)" = 55'

#-- uninstall ---------------------------------------------------------------------------

run alice 'cicdctl uninstall'
ended "uninstall without a terminal and without --yes is refused" 2
run alice 'cicdctl uninstall --yes'
ended "uninstall" 0
check "keeps configuration and reviews" alice '
    test -s ~/.config/cicd-toolkit/config.toml && test -s ~/.config/cicd-toolkit/agents/myapp.toml && test -s ~/.local/state/cicd-toolkit/store.db'
check "leaves what is not ours in the unit directory" alice '
    test "$(find ~/.config/systemd/user -mindepth 1 -printf "%f\n")" = own.service'
run alice 'systemctl --user list-units --all --no-legend --plain "cicd*"; ls /var/lib/systemd/linger'
same "leaves no unit and no lingering" '' "$output"
run alice 'cicdctl init --yes && cicdctl agent list && cd ~/myapp && cicdctl review HEAD~1..HEAD'
ended "init after uninstall takes up where it was" 0
shows "with the agent" '^myapp '
run alice 'rm ~/.config/systemd/user/own.service; cicdctl uninstall --purge --yes'
ended "uninstall --purge" 0
same "files, units and lingering are as before init" "$before" "$(alice "$traces")"
run alice 'cicdctl uninstall --purge --yes'
ended "uninstall again" 0
shows "has nothing to remove" '^Nothing to remove'
same "and changes nothing" "$before" "$(alice "$traces")"

# Lingering that was on before stays on.
as_root loginctl enable-linger alice
alice 'cicdctl init --yes --quiet && cicdctl uninstall --purge --yes --quiet'
check "lingering that was not ours stays" as_root test -e /var/lib/systemd/linger/alice
as_root loginctl disable-linger alice
as_root sh -c 'systemctl start "user@$(id -u alice).service"'

#-- killed half-way ---------------------------------------------------------------------

finish='cicdctl init --yes --quiet && curl -sSf --unix-socket "$XDG_RUNTIME_DIR/cicd-runner.sock" http://localhost/healthz >/dev/null &&
    systemctl --user --quiet is-enabled cicd-runner.socket cicd-runner.service && test -e /var/lib/systemd/linger/alice &&
    cicdctl uninstall --purge --yes --quiet'
for pause in 0.00 0.01 0.03 0.06 0.10 0.15; do
    run alice 'cicdctl init --yes --quiet & sleep "$1"; kill -KILL $!; wait $!
        echo "killed: $?"; '"$finish" "$pause"
    ended "killed after $pause s, the next init finishes$(sed -n 's/^killed: 137/ (it was killed)/p' <<<"$output")" 0
    same "and uninstall --purge leaves nothing" "$before" "$(alice "$traces")"
done
# Each step that changes something, and not only what a clock happens to strike.
for call in mkdir fsync '/^rename' symlink sendmsg; do
    run alice '
        call=$1 killed=0 left=0
        traces() { '"$traces"'; }
        traces >/tmp/before
        for n in $(seq 1 60); do
            { strace -f -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" cicdctl init --yes --quiet; } >/dev/null 2>&1
            status=$?
            [ $status -ne 137 ] || killed=$((killed + 1))
            { '"$finish"'; } || { echo "init does not finish after a kill at $call $n"; exit 1; }
            traces | diff /tmp/before - || { echo "left after a kill at $call $n"; left=1; break; }
            [ $status -eq 137 ] || break
        done
        rm -f /tmp/before
        echo "$killed times"
        [ $left -eq 0 ] && [ $killed -gt 0 ]' "$call"
    ended "killed at each ${call#/^} in turn, $(tail -n 1 <<<"$output"), nothing is left" 0
done

summary
