# Sourced by every client script: a fresh store, a token in it, and checks that print 'ok - claim' or 'not ok - claim'.
#
# MODULE names the PKCS#11 module under test (default: the release build). Another token's module works as well:
#   MODULE=/usr/lib/softhsm/libsofthsm2.so conformance/clients/pkcs11_tool.sh
# KEEP=1 leaves the work folder behind.
# shellcheck shell=bash disable=SC2034 # the variables are for the scripts

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
script=$(basename "$0" .sh)
if [[ $script == run ]]; then script=$(basename "$(dirname "$(realpath "$0")")"); fi
MODULE=${MODULE:-$root/.build/release/libstrongroom-pkcs11.so}
TOKEN=conformance
PIN=1234-user
SO_PIN=5678-officer
TOKEN_URI=pkcs11:token=$TOKEN
LIMIT=${LIMIT:-120}   # seconds that one command may take
idle_seconds=2

passed=0
failed=0
finished=false
work=$(mktemp -d "${TMPDIR:-/tmp}/strongroom-$script.XXXXXX")
chmod 700 "$work"
cd "$work"
# Clients read their own files below HOME; the user's are not for tests.
user_home=$HOME
export HOME=$work/home
export XDG_CONFIG_HOME=$HOME/.config XDG_RUNTIME_DIR=$HOME/run XDG_DATA_HOME=$HOME/.local/share
mkdir -m 700 -p "$XDG_CONFIG_HOME" "$XDG_RUNTIME_DIR" "$XDG_DATA_HOME"
unset OPENSSL_CONF GNUTLS_PIN P11_KIT_SERVER_ADDRESS SSH_AUTH_SOCK
background=()

softhsm() { [[ $MODULE == *softhsm* ]]; }

ok() { echo "ok - $script: $1"; passed=$((passed + 1)); }
not_ok() {
  echo "not ok - $script: $1"
  failed=$((failed + 1))
  if [[ -s ${2-} ]]; then tail -n 12 "$2" | cut -c 1-400 | sed 's/^/#   /'; fi
}

# run COMMAND...: runs a program under the time limit, or a function of the script, which must set limits itself.
run() {
  if [[ $(type -t "$1") == function ]]; then "$@"; else timeout -k 5 "$LIMIT" "$@"; fi
}

# check CLAIM COMMAND...: the command succeeds.
check() {
  local claim=$1 status=0
  shift
  run "$@" > "$work/output" 2>&1 < /dev/null || status=$?
  if ((status == 0)); then ok "$claim"; else echo "exit status $status" >> "$work/output"; not_ok "$claim" "$work/output"; fi
}

# shows CLAIM PATTERN COMMAND...: the command succeeds and prints a line that matches the extended expression.
shows() {
  local claim=$1 pattern=$2 status=0
  shift 2
  run "$@" > "$work/output" 2>&1 < /dev/null || status=$?
  if ((status == 0)) && grep -Eaq -- "$pattern" "$work/output"; then
    ok "$claim"
  else
    echo "exit status $status; expected: $pattern" >> "$work/output"
    not_ok "$claim" "$work/output"
  fi
}

# refuses CLAIM PATTERN COMMAND...: the command fails by itself (no signal, no time limit) and says PATTERN.
refuses() {
  local claim=$1 pattern=$2 status=0
  shift 2
  run "$@" > "$work/output" 2>&1 < /dev/null || status=$?
  if ((status > 0 && status < 124)) && grep -Eaq -- "$pattern" "$work/output"; then
    ok "$claim"
  else
    echo "exit status $status; expected a refusal: $pattern" >> "$work/output"
    not_ok "$claim" "$work/output"
  fi
}

# same CLAIM FILE FILE: both files hold the same bytes, and at least one.
same() {
  if [[ -s $2 ]] && cmp -s "$2" "$3"; then ok "$1"; else not_ok "$1"; fi
}

# differ CLAIM FILE FILE: both files have content, and not the same.
differ() {
  if [[ -s $2 && -s $3 ]] && ! cmp -s "$2" "$3"; then ok "$1"; else not_ok "$1"; fi
}

# start COMMAND...: runs a server in the background with its output in server.log; stopped at the end or by stop.
start() {
  "$@" > "$work/server.log" 2>&1 < /dev/null &
  server=$!
  background+=("$server")
}

stop() {
  kill "$1" 2> /dev/null || true
  wait "$1" 2> /dev/null || true
}

# wait_for PROCESS: the status of a background process of this script.
wait_for() { wait "$1"; }

# free_port: prints a TCP port of the loopback interface that nothing listens on.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# await_port PORT: waits until somebody listens on it, ten seconds at most.
await_port() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; then return 0; fi
    sleep 0.1
  done
  return 1
}

# await_path PATH: waits until it exists, ten seconds at most.
await_path() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    if [[ -e $1 ]]; then return 0; fi
    sleep 0.1
  done
  return 1
}

# configure: an empty store of our own in $store, chosen by the configuration file.
configure() {
  store=$work/store
  mkdir -m 700 -p "$store"
  printf 'store = %s\nidle-seconds = %s\n' "$store" "$idle_seconds" > "$work/strongroom.conf"
  export STRONGROOM_CONF=$work/strongroom.conf
  printf '%s\n' "directories.tokendir = $store" 'objectstore.backend = file' 'log.level = ERROR' \
    'library.reset_on_fork = true' > "$work/softhsm2.conf"
  export SOFTHSM2_CONF=$work/softhsm2.conf
}

# initialise_token: the token with its two PINs, made with pkcs11-tool as a user would.
initialise_token() {
  {
    timeout "$LIMIT" pkcs11-tool --module "$MODULE" --slot-index 0 --init-token --label "$TOKEN" --so-pin "$SO_PIN" &&
      timeout "$LIMIT" pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --init-pin --login --login-type so \
        --so-pin "$SO_PIN" --new-pin "$PIN"
  } > "$work/setup.log" 2>&1 < /dev/null || {
    not_ok "the token can be initialised" "$work/setup.log"
    exit 1
  }
}

# secure_worlds: process ids of the secure worlds that serve this script's store.
secure_worlds() {
  local environment
  for environment in /proc/[0-9]*/cmdline; do
    if tr '\0' ' ' 2> /dev/null < "$environment" | grep -Eq "^[^ ]*strongroom-(tee|peripheral) .*$work"; then
      basename "$(dirname "$environment")"
    fi
  done
}

# finish: the last call of a script; without it the script counts as ended early.
finish() {
  finished=true
}

leave() {
  local status=$? process
  set +e
  if ! $finished; then not_ok "the script runs to its end (stopped after line ${last_line:-?})"; fi
  for process in "${background[@]}"; do stop "$process"; done
  if ! softhsm; then
    # Nothing of ours stays: the secure world goes when it has been idle.
    for ((process = 0; process < (idle_seconds + 8) * 5; process++)); do
      [[ -n $(secure_worlds) ]] || break
      sleep 0.2
    done
    if [[ -z $(secure_worlds) ]]; then
      ok "no secure world is left behind"
    else
      not_ok "no secure world is left behind"
      # shellcheck disable=SC2046 # a list of numbers
      kill $(secure_worlds)
    fi
  fi
  cd /
  if [[ -n ${KEEP-} ]]; then echo "# kept: $work"; else rm -rf "$work"; fi
  echo "# $script: $passed passed, $failed failed"
  if ((failed > 0 || status != 0)); then exit 1; fi
}
set -E
trap 'last_line=$LINENO' ERR
trap leave EXIT

configure
