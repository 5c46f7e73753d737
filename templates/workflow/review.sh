# shellcheck shell=bash
export LC_ALL=C
fail() { printf 'cicdctl: %s\n' "$*" >&2; exit 1; }

# These come from the event. What is not as it must be goes into no request.
[[ $PR =~ ^[1-9][0-9]{0,17}$ ]] || fail 'PR is no number of a pull request'
[[ $HEAD =~ ^[0-9a-f]{40}([0-9a-f]{24})?$ ]] || fail 'HEAD is no commit'
[[ $REPOSITORY =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] || fail 'REPOSITORY is not owner/name'
[[ $AGENT =~ ^[A-Za-z0-9._-]*$ ]] || fail 'AGENT is no name of an agent'

request='"pr":'$PR',"head":"'$HEAD'","repo":"'$REPOSITORY'","post":true'
[[ -z $AGENT ]] || request+=',"agent":"'$AGENT'"'

socket=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/cicd-runner.sock
[[ -S $socket ]] || fail "there is no socket $socket: this job must run as the user of cicdctl, see cicdctl status"
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

ask() { curl --silent --show-error --unix-socket "$socket" "$@"; }

# The same head asked for twice is one review, so this may be tried again.
code=$(ask --max-time 60 --retry 4 --retry-connrefused --output "$answer" --write-out '%{http_code}' \
    --header 'Content-Type: application/json' --data "{$request}" http://localhost/review) ||
    fail "the runner does not answer at $socket"
[[ $code = 202 ]] || fail "the runner answered $code: $(head -c 1000 "$answer")"
[[ $(<"$answer") =~ \"id\":\"([0-9A-Z]{26})\" ]] || fail 'the runner named no job'
job=${BASH_REMATCH[1]}
printf 'cicdctl: job %s reviews %s\n' "$job" "$HEAD"
if [[ $WAIT != true ]]; then
    printf 'cicdctl: the status cicdctl/review of the commit says what comes of it\n'
    exit 0
fi

# Events come one on a line. What others have written stands in them, so none is printed as it is: GitHub would take
# commands from it.
event='^data: \{"seq":([0-9]+),"at_ms":[0-9]+,"event":"([a-z-]+)"'
stage='"stage":"([a-z]+)"'
ended='"event":"ended","outcome":"([a-z]+)"'
put_off='"until_ms":[0-9]+\}$'
outcome='' seen=0 silent=0
while [[ -z $outcome ]]; do
    silent=$((silent + 1))
    while read -r line; do
        silent=0
        [[ $line =~ $event ]] || continue
        seen=${BASH_REMATCH[1]}
        case ${BASH_REMATCH[2]} in
            started) outcome='' ;;
            stage) if [[ $line =~ $stage ]]; then printf 'cicdctl: %s\n' "${BASH_REMATCH[1]}"; fi ;;
            requeued) if [[ $line =~ $put_off ]]; then outcome=deferred; fi ;;
            ended) if [[ $line =~ $ended ]]; then outcome=${BASH_REMATCH[1]}; fi ;;
        esac
    done < <(ask --no-buffer --header "Last-Event-ID: $seen" "http://localhost/jobs/$job/events" || true)
    # The runner may be started anew meanwhile; the job goes on then.
    if [[ -z $outcome ]]; then
        ((silent < 30)) || fail "the runner has gone; cicdctl job show $job says what became of the job"
        sleep 2
    fi
done

printf 'cicdctl: %s; cicdctl job show %s says more\n' "$outcome" "$job"
# Only what was wholly reviewed, or by the rules of its owner was not to be, may be green.
case $outcome in
    reviewed | skipped) exit 0 ;;
    *) exit 4 ;;
esac
