#!/bin/bash
# Every command of the README and of the help's examples, which the man pages have, too, is run.
# machine: nspawn trixie
. "${BASH_SOURCE[0]%/*}/../lib.sh"

sample_repo alice myapp >/dev/null
alice 'mkdir -p ~/.local/bin && cp /usr/local/bin/cicdctl ~/.local/bin/cicdctl'
"$MACHINE" put "$name" "$here/documented.py" /usr/local/bin/documented
"$MACHINE" put "$name" "$here/../../README.md" /usr/local/share/README.md
as_root chmod 644 /usr/local/share/README.md
while IFS= read -r line; do
    case $line in
        'ok - '*) ok "${line#ok - }" ;;
        'not ok - '*) not_ok "${line#not ok - }" ;;
        *) printf '%s\n' "$line" ;;
    esac
done < <(alice 'PATH=$HOME/.local/bin:$PATH python3 /usr/local/bin/documented /usr/local/share/README.md' 2>&1)
for one in 'agent show' 'agent set'; do
    # Of the object itself, or of each in the list.
    check "$one --json has what its schema says" alice "cicdctl schema $one >/tmp/schema.json
        cicdctl ${one/set/set --memory 300M} myapp --json | jq -e --slurpfile all /tmp/schema.json '
            (\$all[0] | if .items then .[\"\$defs\"][.items[\"\$ref\"] | ltrimstr(\"#/\$defs/\")] else . end) as \$of |
            if type == \"array\" then .[] else . end | (keys - (\$of.properties | keys)) + (\$of.required - keys) == []'"
done
check "that were many" test "$checks" -gt 80
summary
