# Shared by contain.sh, verify.sh and rollback.sh. Needs bash 3.2 or later and the AWS CLI; nothing else.
# Values from logs stand in single quotes or in JSON given to --cli-input-json, and are never evaluated.
set -u
shopt -u patsub_replacement 2>/dev/null || true # bash 5.2 would read & in a replacement
umask 077
export AWS_PAGER='' AWS_CLI_AUTO_PROMPT=off

EXECUTE=no REOPEN=no IN_ORDER=yes WAIT='' STATE_DIR=''
PROFILES=() ONLY_STEPS=' ' ONLY_ACCOUNTS=' ' SKIPPED=' ' ENTERED=' '
FAILURES=0 REFUSALS=0

say() { printf '%s\n' "$*"; }
die() {
  printf 'STOPPED: %s\n' "$*" >&2
  note "stopped: $*"
  exit 1
}
utc() { date -u +%Y-%m-%dT%H:%M:%SZ; }

usage() {
  cat <<'USAGE'
Prints what it would do. With --execute it does it.
  --execute                      call AWS
  --profile-for ACCOUNT=PROFILE  AWS CLI profile for an account (repeatable); without it, the credentials at hand
  --step ID, --account ID        only these (repeatable)
  --skip ID                      pass over this step, and note that (repeatable)
  --ignore-order                 run a step although one that it depends on is not done
  --wait SECONDS                 instead of the waits that the plan states
  --state DIR                    where captured values and done marks lie (default: beside this script)
  --reopen-attacker-access       rollback only: undo even what would let the attacker in again
USAGE
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --execute) EXECUTE=yes ;;
      --ignore-order) IN_ORDER=no ;;
      --reopen-attacker-access) REOPEN=yes ;;
      -h | --help) usage; exit 0 ;;
      --profile-for | --step | --account | --skip | --wait | --state)
        [ $# -ge 2 ] || { say "$1 needs a value" >&2; usage >&2; exit 2; }
        option "$1" "$2"
        shift
        ;;
      *) say "unknown option: $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
  done
  local here
  here=$(cd "$(dirname "$0")" && pwd) || exit 1
  [ -n "$STATE_DIR" ] || STATE_DIR=$here/state-$PLAN
  [ "$EXECUTE" = no ] || prepare "$here"
}

option() {
  case $1 in
    --profile-for)
      case $2 in
        [0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]=?*) PROFILES+=("$2") ;;
        *) say "--profile-for takes ACCOUNT=PROFILE, not $2" >&2; exit 2 ;;
      esac
      ;;
    --step | --skip)
      case " $STEPS " in
        *" $2 "*) ;;
        *) say "the plan has no step $2; its steps are: $STEPS" >&2; exit 2 ;;
      esac
      if [ "$1" = --step ]; then ONLY_STEPS="$ONLY_STEPS$2 "; else SKIPPED="$SKIPPED$2 "; fi
      ;;
    --account)
      case " $ACCOUNTS " in
        *" $2 "*) ONLY_ACCOUNTS="$ONLY_ACCOUNTS$2 " ;;
        *) say "the plan does nothing in account $2; its accounts are: $ACCOUNTS" >&2; exit 2 ;;
      esac
      ;;
    --wait)
      case $2 in
        '' | *[!0-9]*) say "--wait takes a number of seconds, not $2" >&2; exit 2 ;;
      esac
      WAIT=$2
      ;;
    --state) STATE_DIR=$2 ;;
  esac
}

prepare() { # the state folder: bound to this plan, readable by nobody else
  command -v aws >/dev/null || { say "the AWS CLI (aws) is not on the PATH" >&2; exit 1; }
  mkdir -p -- "$STATE_DIR" || exit 1
  if [ -f "$STATE_DIR/plan" ] && [ "$(cat "$STATE_DIR/plan")" != "$PLAN" ]; then
    say "$STATE_DIR holds the state of another plan; choose another with --state" >&2
    exit 1
  fi
  printf '%s\n' "$PLAN" >"$STATE_DIR/plan"
  local file # a later plan must not take away the way back from this one
  [ "$SCRIPT" != hub_updates.sh ] || return 0
  for file in plan.json verify.sh rollback.sh; do
    if [ -f "$1/$file" ] && [ ! -f "$STATE_DIR/$file" ]; then cp -- "$1/$file" "$STATE_DIR/$file"; fi
  done
}

note() { # one line of the log: time, script, step, account, what
  [ "$EXECUTE" = no ] || [ ! -d "$STATE_DIR" ] ||
    printf '%s\t%s\t%s\t%s\t%s\n' "$(utc)" "$SCRIPT" "${STEP:--}" "${ACCOUNT:--}" "${*//[$'\n\t']/ }" >>"$STATE_DIR/log.tsv"
}

fault() { # what AWS answered, without what could drive a terminal
  LC_ALL=C tr -d '\000-\010\013-\037\177' <"$STATE_DIR/error" | tr '\n' ' '
}

word() { # the text as one shell word
  local quote="'" escaped="'\\''"
  printf "'%s'" "${1//$quote/$escaped}"
}

profile() { # PROFILE: the one that was given for an account, or empty
  PROFILE=''
  local pair
  for pair in ${PROFILES[@]+"${PROFILES[@]}"}; do
    if [ "${pair%%=*}" = "$1" ]; then PROFILE=${pair#*=}; fi
  done
}

aws_call() { # service operation json [query]
  local command
  profile "$ACCOUNT"
  command=(aws)
  [ -z "$PROFILE" ] || command+=("--profile=$PROFILE")
  command+=(--region "$REGION" --output json "$1" "$2" --cli-input-json "$3")
  [ $# -lt 4 ] || command+=(--query "$4")
  "${command[@]}" 2>"$STATE_DIR/error"
}

print_call() { # lead service operation json [query]
  local line
  profile "$ACCOUNT"
  line="$1aws"
  [ -z "$PROFILE" ] || line="$line $(word "--profile=$PROFILE")"
  line="$line --region $REGION $2 $3 --cli-input-json $(word "$4")"
  [ $# -lt 5 ] || line="$line --query $(word "$5")"
  say "$line"
}

enter() { # before an account's first step: the right account, and a caller that is no target of the plan
  case "$ENTERED" in *" $ACCOUNT "*) return 0 ;; esac
  local caller account arn target
  caller=$(aws_call sts get-caller-identity '{}' '[Account, Arn]') ||
    die "account $ACCOUNT: no credentials (give --profile-for $ACCOUNT=PROFILE): $(fault)"
  account=$(printf '%s' "$caller" | sed -n 2p | tr -d ' ",')
  arn=$(printf '%s' "$caller" | sed -n 3p | sed -e 's/^ *"//' -e 's/"$//')
  [ "$account" = "$ACCOUNT" ] ||
    die "the credentials are of account $account, not of $ACCOUNT; give --profile-for $ACCOUNT=PROFILE"
  for target in ${CONTAINED[@]+"${CONTAINED[@]}"}; do
    if [ "$arn" = "$target" ]; then die "$arn is contained by this plan and must not run it"; fi
    case $target in
      */) if [ "${arn#"$target"}" != "$arn" ]; then die "$arn is contained by this plan and must not run it"; fi ;;
    esac
  done
  ENTERED="$ENTERED$ACCOUNT "
  say "    in account $ACCOUNT as $arn"
  note "as $arn"
}

begin() { # step account region title: is it to be looked at in this run?
  STEP=$1 ACCOUNT=$2 REGION=$3 BROKEN='' REFUSED='' OUTPUTS=()
  NOW='(the time when the step runs)'
  [ "$ONLY_STEPS" = ' ' ] || case "$ONLY_STEPS" in *" $1 "*) ;; *) return 1 ;; esac
  [ "$ONLY_ACCOUNTS" = ' ' ] || case "$ONLY_ACCOUNTS" in *" $2 "*) ;; *) return 1 ;; esac
  say ""
  say "[$1] $4"
  HOME_OF=$STATE_DIR/$1
  case "$SKIPPED" in
    *" $1 "*)
      say "    skipped"
      note "skipped"
      return 1
      ;;
  esac
}

step() { # contain: not done yet
  begin "$@" || return 1
  [ "$EXECUTE" = yes ] || return 0
  if [ -f "$HOME_OF/done" ]; then
    say "    done at $(cat "$HOME_OF/done")"
    return 1
  fi
  mkdir -p -- "$HOME_OF" || die "cannot write to $STATE_DIR"
  enter
}

needs() { # the steps that this one depends on
  [ "$EXECUTE" = yes ] && [ "$IN_ORDER" = yes ] || return 0
  local one
  for one in "$@"; do
    [ -f "$STATE_DIR/$one/done" ] || case "$SKIPPED" in
      *" $one "*) ;;
      *) die "$STEP depends on $one, which is not done (--ignore-order runs it all the same)" ;;
    esac
  done
}

wait_after() { # step seconds: how long IAM takes to spread a change, counted from when that step ran
  local seconds=${WAIT:-$2} since passed
  if [ "$EXECUTE" = no ]; then
    say "    wait until $seconds seconds after $1"
    return 0
  fi
  [ -f "$STATE_DIR/$1/epoch" ] || return 0
  since=$(cat "$STATE_DIR/$1/epoch")
  passed=$(($(date -u +%s) - since))
  if [ "$passed" -lt "$seconds" ]; then
    say "    waiting $((seconds - passed)) seconds"
    sleep $((seconds - passed))
  fi
}

moment() { # the time of this step; noted, since rollback and verify count from it
  [ "$EXECUTE" = yes ] || return 0
  NOW=$(utc)
  printf '"%s"' "$NOW" >"$HOME_OF/now.json"
  date -u +%s >"$HOME_OF/epoch"
}

capture() { # name expected service operation json query: save the state first; what is saved stays
  if [ "$EXECUTE" = no ]; then
    print_call "    read $1: " "$3" "$4" "$5" "$6"
    return 0
  fi
  local got file=$HOME_OF/$1.json
  if [ -f "$file" ]; then
    got=$(cat "$file")
  else
    got=$(answer "$3" "$4" "$5" "$6") || die "$STEP: cannot read its target: $(fault)"
    printf '%s' "$got" >"$file"
  fi
  [ -z "$2" ] || [ "$got" = "$2" ] || BROKEN="$1 is $got, not $2"
}

answer() { # like aws_call with a query; what is not there is null
  aws_call "$@" && return 0
  if grep -q -e 'NoSuch' -e 'NotFound' "$STATE_DIR/error"; then
    printf 'null'
    return 0
  fi
  return 1
}

expect() { # expected service operation json query: how to see that the step holds
  EXPECTED=$1
  CHECK=("$2" "$3" "$4" "$5")
}

holds() {
  GOT=$(answer "${CHECK[@]}") || { GOT="an error: $(fault)"; return 1; }
  [ "$GOT" = "$EXPECTED" ]
}

change() { # service operation json: make the change, unless an earlier run made it, and see that it holds
  if [ "$EXECUTE" = yes ]; then
    if [ -f "$HOME_OF/started" ] && holds; then
      finish "done by an earlier run"
      return 0
    fi
    if [ -n "$BROKEN" ]; then
      holds || die "$STEP: its target is no longer as the plan recorded it ($BROKEN). Look at it; then plan again, or --skip $STEP"
      say "    it is so already: nothing to do"
      : >"$HOME_OF/already"
      finish "already so"
      return 0
    fi
    rm -f -- "$HOME_OF/answer.json"
  fi
  perform "$@"
  settle
}

puts_out() { # name query...: what later calls need of the answer; of several, each must be a text, a number or null
  OUTPUTS=("$@")
}

perform() { # service operation json: the change itself; once an answer is saved, it is not made again
  local query='' place names=() value
  for ((place = 0; place < ${#OUTPUTS[@]}; place += 2)); do
    names+=("${OUTPUTS[place]}")
    query="$query${query:+, }${OUTPUTS[place + 1]}"
  done
  [ ${#names[@]} -le 1 ] || query="[$query]"
  [ -z "$query" ] || set -- "$@" "$query"
  if [ "$EXECUTE" = no ]; then
    print_call "    run: " "$@"
    return 0
  fi
  [ -z "$BROKEN" ] ||
    die "$STEP: its target is no longer as the plan recorded it ($BROKEN). Look at it; then plan again, or --skip $STEP"
  [ ! -f "$HOME_OF/answer.json" ] || return 0
  note "run: $1 $2 $3"
  : >"$HOME_OF/started"
  aws_call "$@" >"$HOME_OF/answer.part" || die "$STEP failed: $(fault)"
  if [ ${#names[@]} = 1 ]; then
    cp -- "$HOME_OF/answer.part" "$HOME_OF/${names[0]}.json"
  else # the AWS CLI gives a list one value a line, between brackets
    place=2
    for value in ${names[@]+"${names[@]}"}; do
      sed -n "${place}p" "$HOME_OF/answer.part" | sed -e 's/^ *//' -e 's/,$//' >"$HOME_OF/$value.json"
      place=$((place + 1))
    done
  fi
  mv -- "$HOME_OF/answer.part" "$HOME_OF/answer.json"
}

settle() { # the check, until it holds
  if [ "$EXECUTE" = no ]; then
    print_call "    then check that it says $EXPECTED: " "${CHECK[@]}"
    return 0
  fi
  local try
  for try in 1 2 3 4 5; do
    holds && { finish "done"; return 0; }
    [ "$try" = 5 ] || sleep "$try"
  done
  die "$STEP ran, but its check says $GOT instead of $EXPECTED"
}

finish() {
  utc >"$HOME_OF/done"
  say "    $1"
  note "$1"
}

load() { # variable step name: a value that a step captured, as JSON
  if [ -f "$STATE_DIR/$2/$3.json" ]; then
    printf -v "$1" '%s' "$(cat "$STATE_DIR/$2/$3.json")"
    return 0
  fi
  if [ "$EXECUTE" = no ]; then
    printf -v "$1" '%s' "($3 of $2)"
    return 0
  fi
  printf -v "$1" '%s' 'null'
  MISSING="$2 has not run, or its state is not in $STATE_DIR"
}

unquote() { # variable: a JSON text without its quotes (times only)
  local value=${!1}
  value=${value#\"}
  printf -v "$1" '%s' "${value%\"}"
}

look() { # verify: every step, read only
  MISSING=''
  begin "$@" || return 1
  [ "$EXECUTE" = no ] || enter
}

judge() {
  if [ "$EXECUTE" = no ]; then
    print_call "    check that it says $EXPECTED: " "${CHECK[@]}"
    return 0
  fi
  if [ -n "$MISSING" ]; then
    GOT=$MISSING
  elif holds; then
    say "    PASS"
    note "verified"
    return 0
  else
    GOT="$GOT instead of $EXPECTED"
  fi
  say "    FAIL: $GOT"
  note "verification failed: $GOT"
  FAILURES=$((FAILURES + 1))
}

undo() { # rollback: only what this plan did
  MISSING=''
  begin "$@" || return 1
  [ "$EXECUTE" = yes ] || return 0
  if [ ! -f "$HOME_OF/done" ]; then
    say "    not done, so not undone"
    return 1
  fi
  if [ -f "$HOME_OF/already" ]; then
    say "    it was so before this plan: left as it is"
    return 1
  fi
  enter
}

irreversible() {
  say "    stays: $1"
  note "stays"
}

reopens() { REFUSED='it would give the attacker access back'; }

stands() { # steps that must stand, or this rollback lets the attacker in
  local one
  for one in "$@"; do
    if [ "$EXECUTE" = no ]; then
      say "    only while $one stands"
    elif [ ! -f "$STATE_DIR/$one/done" ] && [ -z "$REFUSED" ]; then
      REFUSED="$one does not stand: it would give the attacker access back"
    fi
  done
}

not_before() { # step seconds
  if [ "$EXECUTE" = no ]; then
    say "    not before $2 seconds after $1"
    return 0
  fi
  local since=0
  [ ! -f "$STATE_DIR/$1/epoch" ] || since=$(cat "$STATE_DIR/$1/epoch")
  local left=$((since + $2 - $(date -u +%s)))
  if [ -z "$REFUSED" ] && { [ "$since" = 0 ] || [ "$left" -gt 0 ]; }; then
    REFUSED="sessions from before the cut-off can still be alive for $left seconds"
  fi
}

change_back() { # service operation json
  if [ "$EXECUTE" = no ]; then
    [ -z "$REFUSED" ] || say "    refused without --reopen-attacker-access: $REFUSED"
    print_call "    run: " "$1" "$2" "$3"
    return 0
  fi
  if [ -n "$REFUSED" ] && [ "$REOPEN" = no ]; then
    say "    REFUSED: $REFUSED (--reopen-attacker-access does it all the same)"
    note "refused: $REFUSED"
    REFUSALS=$((REFUSALS + 1))
    return 0
  fi
  [ -z "$MISSING" ] || die "$STEP: $MISSING"
  note "run: $1 $2 $3"
  aws_call "$1" "$2" "$3" >/dev/null || die "rollback of $STEP failed: $(fault)"
  mv -- "$HOME_OF" "$HOME_OF.undone-$(date -u +%Y%m%dT%H%M%SZ)" || die "cannot write to $STATE_DIR"
  say "    undone"
  note "undone${REFUSED:+, although $REFUSED}"
}

end() {
  STEP='' ACCOUNT=''
  say ""
  [ "$EXECUTE" = yes ] || say "Nothing was done. --execute does it; --help tells the other options."
}

end_contain() {
  end
  [ "$EXECUTE" = no ] || say "Log and captured state: $STATE_DIR"
}

end_verify() {
  end
  [ "$EXECUTE" = yes ] || exit 0
  [ "$FAILURES" = 0 ] || { say "$FAILURES checks failed"; exit 1; }
  say "every check passed"
}

end_rollback() {
  end
  [ "$REFUSALS" = 0 ] || say "$REFUSALS rollbacks were refused: they would let the attacker in again"
  [ "$REFUSALS" = 0 ] || [ "$ONLY_STEPS" = ' ' ] || exit 1
}
