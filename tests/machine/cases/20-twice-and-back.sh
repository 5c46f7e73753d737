#!/bin/bash
# Asked twice it changes nothing; a hand edit is kept; uninstall takes back what was done and no
# more, whatever others have made, do at the same time, or is under way. 21 kills it half-way.
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

#-- what others have made ----------------------------------------------------------------

alice 'mkdir -p ~/.config/systemd && ln -s /tmp ~/.config/systemd/user'
check "units are not written where somebody else's directory is" expect_status 1 \
    expect_output 'leads to ./tmp., which belongs to another user' alice 'cicdctl init --yes'
alice 'rm -r ~/.config'
check "nor where the user manager does not look" expect_status 1 \
    expect_output 'does not look for units in ./home/alice/elsewhere' alice 'XDG_CONFIG_HOME=~/elsewhere cicdctl init --yes'
same "nor anything else" "$before" "$(alice "$traces")"

# A directory that is kept elsewhere is a directory; a file that is a link is somebody's own.
alice 'mkdir -p ~/dotfiles/user ~/.config && ln -s ~/dotfiles ~/.config/systemd'
run alice '
    cd ~/dotfiles/user && cicdctl init --yes --quiet && mv cicd-runner.service ../ && ln -s ../cicd-runner.service . &&
    sed -i "s/^#cpu_weight = .*/cpu_weight = 55/" ~/.config/cicd-toolkit/config.toml && cicdctl apply --yes --force; cicdctl uninstall --purge --yes
    grep CPUWeight ../cicd-runner.service; ls'
ended "with a directory of units that is a symlink, and a unit in it that is one" 0
shows "the link is told of" 'cicd-runner.service. is a symlink and is left as it is'
same "it is neither followed nor replaced nor removed" 'CPUWeight=100
cicd-runner.service' "$(tail -n 2 <<<"$output")"
alice 'rm -r ~/dotfiles ~/.config'
same "and that was all" "$before" "$(alice "$traces")"

#-- several at once ----------------------------------------------------------------------

run alice '
    for n in 1 2 3; do cicdctl init --yes & done; wait
    for n in 1 2 3; do git init -q ~/p$n; cicdctl agent add p$n --path ~/p$n --quiet & done; wait
    cicdctl agent list; flock "$XDG_RUNTIME_DIR" sleep 1 & sleep 0.3; cicdctl agent add p1 --path ~/p1; wait
    for n in 1 2 3; do cicdctl agent remove p$n --yes --quiet & done; cicdctl uninstall --purge --yes --quiet & wait; rm -rf ~/p?'
ended "several commands at once" 0
shows "have set up the runner once" '^Done: the runner answers'
shows "and say so" '^Nothing to change: the runner is set up'
same "and all agents" $'p1\np2\np3' "$(sed -n 's/^\(p[123]\) .*/\1/p' <<<"$output")"
shows "who waits says for whom" '^waiting for .flock .* \(process [0-9]+\) to end'
same "and nothing is left" "$before" "$(alice "$traces")"

#-- with work under way ------------------------------------------------------------------

slow='cicdctl init --yes --quiet && printf "[runner]\nstop_timeout = \"1s\"\n[review]\nengine = \"command\"\n[engine.command]\nargv = [\"/usr/bin/sleep\", \"300\"]\n" \
        >~/.config/cicd-toolkit/config.toml && cicdctl apply --yes --quiet && cicdctl agent add myapp --path ~/myapp --quiet && cd ~/myapp &&
    for n in 1 2 3; do cicdctl review HEAD~1..HEAD --no-wait --quiet; done
    for n in $(seq 50); do systemctl --user list-units "cicd-job-*" --no-legend --plain | grep -q running && break; sleep 0.1; done'
run alice "$slow"'
    cicdctl agent remove myapp --yes; echo "removed: $?"
    systemctl --user list-units --all --no-legend --plain "cicd-job-*" "cicd-agent@*"; cicdctl job list'
shows "an agent is removed while it works" '^removed: 0'
hides "nothing of it runs" '^cicd-'
hides "no job waits for who will never come" 'queued|running'
shows "they are cancelled" 'cancelled'
run alice 'cicdctl uninstall --purge --yes --quiet;'"$slow"'; cicdctl uninstall --purge --yes'
ended "uninstall while an agent works" 0
same "leaves nothing" "$before" "$(alice "$traces")"

# A runner that falls over again and again, with a configuration that cannot be read.
run alice 'cicdctl init --yes --quiet && mkdir ~/.config/systemd/user/cicd-runner.service.d &&
    printf "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\nExecStart=/bin/false\nRestart=always\nRestartSec=100ms\n" >~/.config/systemd/user/cicd-runner.service.d/own.conf &&
    systemctl --user daemon-reload && systemctl --user restart --no-block cicd-runner.service; sleep 1; systemctl --user show -P NRestarts cicd-runner.service
    echo "= [" >~/.config/cicd-toolkit/config.toml; cicdctl uninstall --purge --yes'
ended "uninstall while the runner falls over again and again" 0
shows "it did" '^[1-9][0-9]*$'
check "leaves the drop-in, which is not ours, and stops the rest" alice '
    cd ~/.config/systemd/user && test "$(find . -type f)" = ./cicd-runner.service.d/own.conf && cd && rm -r ~/.config/systemd'
alice 'systemctl --user daemon-reload; rmdir ~/.config 2>/dev/null'
same "nothing else is left" "$before" "$(alice "$traces")"

summary
