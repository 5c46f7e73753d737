#!/bin/bash
# Hardening is tried from inside and told: by agent add, doctor and status, at each level; what is
# lost is noticed; and the exposure of our units as systemd reckons it stays below a bound.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

program sitter <<'FILE'
#!/bin/sh
cat >/dev/null
sleep 600
FILE
sample_repo alice myapp >/dev/null && alice 'cicdctl init --yes --quiet' || exit
run alice 'cicdctl agent add myapp --path ~/myapp'
ended "an agent is added" 0
shows "agent add says what its limits and hardening are worth" '^ +limits and hardening: (enforced|hardening enforced; .*declared only)'

level() {
    alice 'file=~/.config/cicd-toolkit/config.toml
        sed -i "/^\[hardening\]/,/^level/d" $file && printf "[hardening]\nlevel = \"%s\"\n" "$1" >>$file && cicdctl apply --yes --quiet' "$1"
}
# figure UNIT: its exposure, 0 to 10.
figure() { alice 'systemd-analyze --user security --no-pager "$1" | sed -n "s/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p"' "$1"; }
at_most() { awk -v figure="$1" -v bound="$2" 'BEGIN { exit !(figure != "" && figure + 0 <= bound) }'; }

# What is reached; less hardening is a higher figure.
for at in off:10 standard:7.2 strict:4.8; do
    level "${at%:*}"
    run alice 'cicdctl status'
    shows "${at%:*}: status knows that nothing has looked at it" '^hardening +services (not probed|enforced \(standard\))'
    run alice 'cicdctl doctor; cicdctl status'
    case $at in
        off*) shows "off: doctor says so" '^ok +hardening +off in 2 services' ;;
        *) shows "${at%:*}: doctor has tried it" "^ok +hardening +${at%:*} of 2 services: enforced \([0-9]{2} attempts" ;;
    esac
    shows "${at%:*}: the cage is tried, too" '^ok +sandbox +of a cage: enforced \([0-9]{2} attempts'
    case $at in
        off*) shows "off: status remembers" '^hardening +services off \(off\), cages enforced$' ;;
        *) shows "${at%:*}: status remembers" "^hardening +services enforced \(${at%:*}\), cages enforced$" ;;
    esac
    for unit in cicd-runner.service cicd-agent@myapp.service; do
        figure=$(figure "$unit")
        check "${at%:*}: exposure of $unit is $figure, at most ${at#*:}" at_most "$figure" "${at#*:}"
    done
done
check "the services still start at strict, and review" alice '
    systemctl --user restart cicd-runner.service cicd-agent@myapp.service && cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -e "(.findings | length) == 11"'
configure <<<$'[engine.command]\nargv = ["/usr/local/bin/sitter"]'
alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --engine command --no-wait --quiet'
check "a cage is up" wait_for 20 as_user alice pgrep -x sitter
cage=$(alice 'systemctl --user list-units --plain --no-legend "cicd-job-*" | cut -d" " -f1')
figure=$(figure "$cage")
# 252 has no PrivatePIDs=, and unshare(1) needs two kinds of namespaces there.
# Its /tmp is its own without PrivateTmp=, which systemd-analyze does not see.
bound=4.9
[ "$suite" != bookworm ] || bound=5.3
check "exposure of a cage ($cage) is $figure, at most $bound" at_most "$figure" "$bound"
alice 'cicdctl job list --json | jq -r ".[0].id" | xargs cicdctl job cancel --quiet'

#-- hardening that is lost ----------------------------------------------------------------

level standard
alice 'cicdctl doctor' >/dev/null
alice 'mkdir -p ~/.config/systemd/user/cicd-runner.service.d
    printf "[Service]\nProtectHome=no\nProtectSystem=no\n" >~/.config/systemd/user/cicd-runner.service.d/90-own.conf
    systemctl --user daemon-reload'
run alice 'cicdctl status'
shows "a drop-in that takes hardening away: status does not go on as if nothing were" '^hardening +services not probed'
run alice 'cicdctl doctor; cicdctl status'
shows "doctor has tried it" '^warning +hardening +cicd-runner.service, standard: declared only: it can write to the home directory'
shows "with what to do" '^ +-> `cicdctl apply --force`'
shows "status remembers" '^hardening +services declared only: it can write to the home directory.*`cicdctl doctor` has the remedy'
refute "and its exposure is beyond the bound" at_most "$(figure cicd-runner.service)" 7.2
check "the probes have left nothing" alice '! find ~ /tmp /run/user/$UID -name ".cicdctl-probe*" 2>/dev/null | grep . && ! systemctl --user list-units --all --plain --no-legend "cicd-probe*" | grep .'

summary
