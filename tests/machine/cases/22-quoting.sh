#!/bin/bash
# Values with everything in them that means something to systemd come back from it as they were: in
# environment.d, in Environment= and in paths; also for a user whose home has such a name.
# machine: nspawn bookworm trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

as_root sh -c 'systemctl start "user@$(id -u alice).service"'

run with_stdin alice bash -s <<'SCRIPT'
export LC_ALL=C.UTF-8
RANDOM=20261126
pieces=('%' '%%' '%h' '%n' '$' '$$' '$HOME' '${HOME}' "\\" "\\\\" '\n' '\x41' '\s' '"' "'" '`id`' ' ' '  ' ';' '#' '=' '@' '-' '+' ':' '!' '|'
    '~' '*' '?' '[' ']' '{' '}' '(' ')' '<' '>' '&' ',' 'a' 'B' '0' 'é' $'\u202e' $'\U1f469' $'\u00a0' '$(id)' '/')
value() {
    local text='' n
    for ((n = RANDOM % 12; n >= 0; n--)); do text+=${pieces[RANDOM % ${#pieces[@]}]}; done
    printf %s "$text"
}
cicdctl init --yes --quiet || exit
systemctl --user stop cicd-runner.socket cicd-runner.service
toml=~/.config/cicd-toolkit/config.toml

# 300 variables at once; what a unit of this user gets says what they are.
printf '[environment]\n' >"$toml"
declare -A want
for ((i = 0; i < 300; i++)); do
    want[CICD_T$i]=$(value)
    printf 'CICD_T%s = %s\n' $i "$(jq -nc --arg v "${want[CICD_T$i]}" '$v')" >>"$toml"
done
cicdctl apply --yes --quiet || exit
declare -A have
while IFS= read -r -d '' pair; do have[${pair%%=*}]=${pair#*=}; done < <(systemd-run --user --quiet --wait --pipe cat /proc/self/environ)
wrong=0
for name in "${!want[@]}"; do
    [ "${want[$name]}" = "${have[$name]-unset}" ] || {
        printf 'environment.d: %s became %s\n' "${want[$name]}" "${have[$name]-unset}"
        wrong=$((wrong + 1))
    }
done
printf '%s values in environment.d, %s wrong\n' ${#want[@]} $wrong

# A directory of odd name is a value of Environment=, and a path in the sandbox.
printf '' >"$toml"
tried=0 unit=/org/freedesktop/systemd1/unit/cicd_2drunner_2eservice
for ((i = 0; i < 25; i++)); do
    # Blanks at the end and doubled slashes are no part of a name.
    dir=$(printf %s "$HOME/$(value)x" | tr -s /)
    XDG_CACHE_HOME=$dir cicdctl apply --yes --quiet || wrong=$((wrong + 1))
    found=$(busctl --user --json=short get-property org.freedesktop.systemd1 $unit org.freedesktop.systemd1.Service Environment)
    jq -e --arg v "XDG_CACHE_HOME=$dir" '.data | index($v)' <<<"$found" >/dev/null || {
        printf 'Environment=: %s became %s\n' "$dir" "$found"
        wrong=$((wrong + 1))
    }
    found=$(busctl --user --json=short get-property org.freedesktop.systemd1 $unit org.freedesktop.systemd1.Service ReadWritePaths)
    jq -e --arg v "-$dir/cicd-toolkit" '.data | index($v)' <<<"$found" >/dev/null || {
        printf 'ReadWritePaths=: %s became %s\n' "$dir" "$found"
        wrong=$((wrong + 1))
    }
    tried=$((tried + 1))
done
printf '%s values in Environment= and ReadWritePaths=, %s wrong in all\n' $tried $wrong
cicdctl uninstall --purge --yes --quiet || wrong=$((wrong + 1))
[ $wrong -eq 0 ]
SCRIPT
printf '%s\n' "$output" | sed 's/^/# /'
ended "values come back as they were" 0

# A home that has it all in its name.
home='/home/ca rol 100% $HOME ü#;"q'
as_root sh -c 'useradd -m -d "$1" -s /bin/bash carol && systemctl start "user@$(id -u carol).service"' sh "$home"
run as_user carol bash -c 'cd && git init -q app && cicdctl init --yes && cicdctl agent add app --path app && cicdctl apply --yes &&
    systemctl --user is-active cicd-runner.socket cicd-agent@app.service && cicdctl agent remove app --yes && cicdctl uninstall --purge --yes && rm -rf app && find . -mindepth 1'
ended "init, agent add and uninstall in \`$home\`" 0
shows "the agent runs there" '^active$'
same "and nothing is left" './.bash_logout
./.bashrc
./.profile' "$(as_user carol sh -c 'cd && find . -mindepth 1 | sort')"

summary
