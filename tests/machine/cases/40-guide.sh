#!/bin/bash
# The units of the deployment guide, as they stand there, with the program installed as
# /usr/local/bin/cicd-runner.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

as_root ln -s cicdctl /usr/local/bin/cicd-runner
as_root loginctl enable-linger alice
units=.config/systemd/user
alice "mkdir -p ~/$units ~/.config/cicd-toolkit"
# file PATH: stdin becomes that file of alice.
file() { with_stdin alice sh -c 'cat >"$1"' sh "$1"; }

file $units/cicd-runner.service <<'FILE'
[Unit]
Description=CICD AI Toolkit Runner
After=network.target

[Service]
Type=simple
Restart=always
RestartSec=5

# Resource limits (cgroups)
CPUQuota=50%
MemoryMax=1G

# Environment
Environment="PATH=/usr/local/bin:/usr/bin:/bin"
Environment="CLAUDE_CONFIG_DIR=%h/.config/cicd-toolkit"

# ExecStart
ExecStart=/usr/local/bin/cicd-runner daemon --config %h/.config/cicd-toolkit/config.yaml

# Logging
StandardOutput=journal
StandardError=journal
SyslogIdentifier=cicd-runner

[Install]
WantedBy=default.target
FILE
file $units/cicd-agent@.service <<'FILE'
[Unit]
Description=CICD Agent for %i
After=network.target

[Service]
Type=simple
Restart=always
RestartSec=3

# Resource limits per instance
CPUQuota=25%
MemoryMax=512M

# Session-specific config
Environment="SESSION_ID=%i"
Environment="CLAUDE_CONFIG_DIR=%h/.config/cicd-toolkit/%i"

ExecStart=/usr/local/bin/cicd-runner agent \
    --session-id %i \
    --config %h/.config/cicd-toolkit/config.yaml

StandardOutput=journal
StandardError=journal
SyslogIdentifier=cicd-agent-%i

[Install]
WantedBy=default.target
FILE
# The guide's file, in YAML; its keys are those of config.toml.
file .config/cicd-toolkit/config.yaml <<'FILE'
runner:
  jobs: 1
review:
  engine: rules
FILE

services='cicd-runner.service cicd-agent@myapp.service cicd-agent@project-a.service'
state="for unit in $services; do echo \$unit \$(systemctl --user show -P ActiveState \$unit) \$(systemctl --user show -P NRestarts \$unit); done"
well='cicd-runner.service active 0
cicd-agent@myapp.service active 0
cicd-agent@project-a.service active 0'
healthy='curl -sSf --max-time 10 --unix-socket "$XDG_RUNTIME_DIR/$1" http://localhost/healthz | jq -r .scope'

#-- with config.yaml --------------------------------------------------------------------

run alice 'systemctl --user daemon-reload && systemctl --user enable --quiet cicd-runner.service && systemctl --user start cicd-runner.service &&
    systemctl --user start cicd-agent@myapp.service && systemctl --user start cicd-agent@project-a.service && sleep 6
    '"$state"
same "6 s after their start all run, without a restart" "$well" "$output"
check "the runner answers where the guide calls it" expect_output '^runner$' alice "$healthy" cicd-runner.sock
check "an agent answers on its own socket" expect_output '^myapp$' alice "$healthy" cicd-toolkit/agents/myapp.sock
check "so does another" expect_output '^project-a$' alice "$healthy" cicd-toolkit/agents/project-a.sock
sample_repo alice myapp >/dev/null
check "a review by the guide's runner" alice '
    cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -e "(.findings | length) == 11 and (.receipt.cage.unit | startswith(\"cicd-job-\"))"'
check "its journal is found as the guide looks for it" expect_output 'reviewed, 11 findings' \
    alice 'journalctl --user -u cicd-runner.service -n 100 --no-pager'
check "status of cicdctl knows the guide's unit" expect_output '^runner +ready' alice 'cicdctl status'
check "a second process for the same agent is refused, with a status that is tried again" \
    expect_status 75 expect_output 'another process' alice 'cicd-runner agent --session-id myapp'
run alice "systemctl --user stop $services; $state"
same "they stop, and not as failed" "${well//active/inactive}" "$output"
check "no socket is left" alice '! ls "$XDG_RUNTIME_DIR"/cicd-runner.sock "$XDG_RUNTIME_DIR"/cicd-toolkit/agents/*.sock 2>/dev/null'

#-- without the file, and with a wrong one ----------------------------------------------

run alice "rm ~/.config/cicd-toolkit/config.yaml; systemctl --user start $services && sleep 6; $state"
same "without config.yaml they run as well" "$well" "$output"
check "and say that they go on with the defaults" expect_output 'config.yaml. does not exist; going on with the defaults' \
    alice 'journalctl --user -u cicd-runner.service -n 100 --no-pager'
alice "systemctl --user stop $services; printf 'runner:\n  jbos: 1\n' >~/.config/cicd-toolkit/config.yaml"
run alice 'cicd-runner daemon --config ~/.config/cicd-toolkit/config.yaml'
ended "a wrong config.yaml is status 78" 78
shows "and the wrong key is named" 'config.yaml.*jbos'
alice 'rm ~/.config/cicd-toolkit/config.yaml'

#-- the socket --------------------------------------------------------------------------

# `init` beside a guide's unit that runs: it keeps the unit, but has it let go of the socket's place.
run alice 'cicdctl init --yes; ended=$?; systemctl --user is-active cicd-runner.socket cicd-runner.service; cicdctl uninstall --purge --yes --quiet; exit $ended'
ended "init goes on from the guide's running service" 0
shows "which it keeps" 'was there before cicdctl and is left as it is'
alice "systemctl --user stop cicd-runner.service 2>/dev/null"

alice "systemctl --user disable --quiet cicd-runner.service; rm ~/$units/cicd-runner.service"
file $units/cicd-runner.socket <<'FILE'
[Unit]
Description=CICD Runner Socket

[Socket]
ListenStream=/run/user/%U/cicd-runner.sock
SocketMode=0600

[Install]
WantedBy=sockets.target
FILE
file $units/cicd-runner@.service <<'FILE'
[Unit]
Description=CICD Runner (socket-activated)
Requires=cicd-runner.socket

[Service]
ExecStart=/usr/local/bin/cicd-runner --socket-activation
StandardInput=socket
FILE
# A socket without Accept=yes starts cicd-runner.service, never the template (systemd.socket(5)).
run alice 'systemctl --user daemon-reload; systemctl --user enable --now cicd-runner.socket'
ended "the guide's socket with its template cannot start: systemd wants cicd-runner.service" 1

for input in socket null; do
    alice "systemctl --user stop cicd-runner.socket cicd-runner.service 2>/dev/null
        sed 's/^StandardInput=.*/StandardInput=$input/' ~/$units/cicd-runner@.service >~/$units/cicd-runner.service
        systemctl --user daemon-reload; systemctl --user reset-failed 2>/dev/null"
    run alice 'systemctl --user enable --quiet --now cicd-runner.socket && systemctl --user is-active cicd-runner.service
        curl -sSf --max-time 10 --unix-socket /run/user/$UID/cicd-runner.sock http://localhost/healthz && systemctl --user is-active cicd-runner.service'
    ended "as cicd-runner.service with StandardInput=$input the socket wakes it" 0
    shows "it slept" '^inactive$'
    shows "it answers" '"scope":"runner"'
    shows "it is awake" '^active$'
    check "and it reviews" alice 'cd ~/myapp && cicdctl review HEAD~1..HEAD --json | jq -e "(.findings | length) == 11"'
done
# One connection for each process: what Accept=yes makes of the guide's template.
alice "systemctl --user stop cicd-runner.socket cicd-runner.service; rm ~/$units/cicd-runner.service
    sed -i 's/^SocketMode=.*/&\nAccept=yes/' ~/$units/cicd-runner.socket; systemctl --user daemon-reload"
run alice 'systemctl --user start cicd-runner.socket && curl -sSf --max-time 10 --unix-socket /run/user/$UID/cicd-runner.sock http://localhost/healthz'
ended "the guide's own template answers a connection with Accept=yes in the socket" 0
shows "as the runner" '"scope":"runner"'

summary
