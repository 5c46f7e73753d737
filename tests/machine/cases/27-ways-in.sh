#!/bin/bash
# Every way in: with a session, without one, and where the user's manager runs anyway. Prints the table.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

as_root sh -c 'echo "127.0.0.1 $(cat /etc/hostname 2>/dev/null || uname -n)" >>/etc/hosts
    mkdir -p /run/sshd && ssh-keygen -q -t ed25519 -N "" -f /root/key && install -d -m 700 -o bob -g bob /home/bob/.ssh &&
    install -m 600 -o bob -g bob /root/key.pub /home/bob/.ssh/authorized_keys && systemctl start ssh cron
    useradd --create-home --shell /usr/sbin/nologin --uid 1010 svc'
# What is done on each way; it leaves its output and its status in a file.
program enter <<'END'
#!/bin/bash
/usr/local/bin/cicdctl "$@" >"/tmp/out.$UID.new" 2>&1
echo "status $?" >>"/tmp/out.$UID.new"
mv "/tmp/out.$UID.new" "/tmp/out.$UID"
END
# enter WAY COMMAND...: as bob, by that way; prints what it said.
enter() {
    local way=$1
    shift
    as_root rm -f /tmp/out.1002
    case $way in
        ssh) as_root ssh -q -o StrictHostKeyChecking=no -i /root/key bob@localhost enter "$@" ;;
        su) as_root su bob -c "enter $*" ;;
        'su -') as_root su - bob -c "enter $*" ;;
        'sudo -u') as_root sudo -u bob enter "$@" ;;
        'sudo -i') as_root sudo -i -u bob enter "$@" ;;
        service) as_root systemd-run --quiet --wait --pipe -p User=bob enter "$@" ;;
        cron)
            as_root sh -c 'echo "* * * * * bob /usr/local/bin/enter $*" >/etc/cron.d/bob' sh "$@"
            wait_for 90 as_root test -e /tmp/out.1002 >/dev/null
            as_root rm /etc/cron.d/bob
            ;;
        'root --user') as_root sh -c 'cicdctl --user bob "$@" >/tmp/out.1002 2>&1; echo "status $?" >>/tmp/out.1002' sh "$@" ;;
    esac >/dev/null 2>&1
    as_root cat /tmp/out.1002
}
# Nobody is logged in as bob, and nothing of his runs or is there.
gone() {
    as_root sh -c 'loginctl disable-linger bob; loginctl terminate-user bob; while [ -e /run/user/1002 ]; do sleep 0.2; done
        rm -rf /home/bob/.config /home/bob/.local /home/bob/.cache' >/dev/null 2>&1
}
row() { table+=$(printf '# %-14s %-28s %s' "$1" "$2" "$3")$'\n'; }
table=$(printf '# %-14s %-28s %s' 'way in' 'nobody logged in' 'lingering')$'\n'
remedy='hint: log in by ssh, `su -` or `sudo -i` \(`sudo -u`, cron and services open no session\), or let root run `loginctl enable-linger bob`; root can also run `cicdctl --user bob'

declare -A cold
for way in ssh su 'su -' 'sudo -i' 'root --user'; do
    gone
    check "$way: there is a session, or root makes do without: init works" expect_output '^status 0$' enter "$way" init --yes --quiet
    cold[$way]='init works'
done
for way in 'sudo -u' service cron; do
    gone
    run enter "$way" init --yes --quiet
    shows "$way: there is no session: init fails" '^status 1$'
    shows "$way: and says what helps" "$remedy"
    check "$way: it has left nothing" as_root sh -c '! ls -d /home/bob/.config /home/bob/.local /home/bob/.cache 2>/dev/null'
    cold[$way]='fails, with the remedy'
done
gone
as_root cicdctl --user bob init --yes --quiet
for way in ssh su 'su -' 'sudo -u' 'sudo -i' service cron 'root --user'; do
    run enter "$way" status
    shows "$way: with lingering status works" '^status 0$'
    shows "$way: and reaches the manager" '^host +runs without a login, user bus'
    row "$way" "${cold[$way]}" 'works'
done
check "root at a terminal: the user's process has another one" as_root sh -c 'sleep 6 | TERM=xterm timeout 5 script -qec "cicdctl --user bob top" /dev/null >/dev/null 2>&1 &
    sleep 3; ps -eo user=,tty=,comm= | grep "pts.*cicdctl$" | sort >/tmp/ttys; wait; cat /tmp/ttys
    test "$(cut -d" " -f1 /tmp/ttys | paste -sd" ")" = "bob root" && test "$(awk "{print \$2}" /tmp/ttys | sort -u | wc -l)" = 2'
as_root cicdctl --user bob uninstall --purge --yes --quiet

check "nologin: root sets it up" as_root cicdctl --user svc init --yes --quiet
check "nologin: its runner answers" as_root sh -c 'cicdctl --user svc status --json | jq -e ".runner.socket.active == \"active\""'
check "another's runtime directory in the environment is not taken for one's own" expect_status 1 expect_output 'XDG_RUNTIME_DIR is left over' \
    as_root setpriv --reuid=1002 --regid=1002 --init-groups env HOME=/home/bob XDG_RUNTIME_DIR=/run/user/1010 cicdctl status
check "nologin: root takes it back" as_root cicdctl --user svc uninstall --purge --yes --quiet
row nologin 'root sets it up (--user)' 'works'
check "root without --user is told" expect_status 2 expect_output 'cicdctl --user NAME init' as_root cicdctl init
row root 'is told of --user' 'is told of --user'

set_up --yes || exit
check "a variable of [environment] reaches the runner" expect_output '^reviewed: 7 findings' \
    alice 'cicdctl config set environment.CICD_REVIEW_MIN_SEVERITY high && cicdctl apply --yes && cd myapp && cicdctl review HEAD~1..HEAD'
check "and is gone again" expect_output '^reviewed: 11 findings' \
    alice 'cicdctl config unset environment.CICD_REVIEW_MIN_SEVERITY && cicdctl apply --yes && cd myapp && cicdctl review HEAD~1..HEAD'
run alice 'cd myapp && CICD_REVIEW_ENGINE=claude CICD_JOB_TASKS=77 cicdctl review HEAD~1..HEAD'
shows "of those of the shell the runner is asked for the engine" 'the engine `claude` is not installed'
shows "and what it does not see is said" 'the runner does not see `CICD_JOB_TASKS`'
alice 'systemctl --user stop dbus.socket dbus.service 2>/dev/null; systemctl --user mask --runtime dbus.socket dbus.service; rm -f /run/user/1001/bus' >/dev/null 2>&1
run alice 'cicdctl status'
ended "no bus daemon: status works" 0
shows "no bus daemon: over the manager's private socket" '^host .*, no bus daemon'
check "no bus daemon: so does a review" expect_output '^reviewed: 11 findings' alice 'cd myapp && cicdctl review HEAD~1..HEAD'
check "no bus daemon: and apply" alice 'cicdctl apply --yes'
row 'no bus daemon' 'works (private socket)' 'works (private socket)'
printf '%s' "$table"
summary
