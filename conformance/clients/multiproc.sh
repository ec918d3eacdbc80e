#!/usr/bin/env bash
# Several processes at one token: what one does the others see, and one that is killed disturbs nobody.
# TRIES=n lets a client try again, for tokens that lose a race between processes now and then; ours may not.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

TRIES=${TRIES:-1}
once() {
  timeout -k 5 "$LIMIT" pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --login --pin "$PIN" "$@"
}
user() {
  local try
  for ((try = 1; try < TRIES; try++)); do
    if once "$@"; then return 0; fi
  done
  once "$@"
}
check "a key to share is made" user --keypairgen --key-type EC:prime256v1 --id 0001 --label shared --usage-sign
echo 'some data' > data
openssl dgst -sha256 -binary data > digest

# worker NUMBER: five keys of its own, each used at once, and the shared one.
worker() {
  local key id
  for key in 1 2 3 4 5; do
    id=$(printf '%02x%02x' "$1" "$key")
    user --keypairgen --key-type EC:prime256v1 --id "$id" --label "worker-$1-$key" --usage-sign || return 1
    user --sign --mechanism ECDSA --id "$id" --input-file digest --output-file "signature-$id" || return 2
    user --sign --mechanism ECDSA --id 0001 --input-file digest --output-file "shared-$id" || return 3
  done
}
for number in 1 2 3 4 5 6; do
  worker "$number" > "worker-$number.log" 2>&1 &
  workers[number]=$!
done
for number in 1 2 3 4 5 6; do
  status=0
  wait "${workers[number]}" || status=$?
  if ((status == 0)); then ok "process $number of six does its work"; else not_ok "process $number of six does its work" "worker-$number.log"; fi
done
user --list-objects --type privkey > objects 2>&1 || true
check "all thirty keys are there" test "$(grep -c 'label: *worker-' objects)" = 30
timeout "$LIMIT" pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --read-object --type pubkey --id 0001 \
  --output-file shared.der > output 2>&1 || true
for signature in shared-*; do
  shows "the shared key's signature $signature is valid" 'Signature is valid' \
    user --verify --mechanism ECDSA --id 0001 --input-file digest --signature-file "$signature"
done | { grep -v '^ok' || true; } > wrong
check "all thirty signatures of the shared key are valid" test ! -s wrong

# Clients killed while they generate keys, at 25 moments.
for ((moment = 1; moment <= 25; moment++)); do
  once --keypairgen --key-type rsa:2048 --id ff --label victim --usage-sign > /dev/null 2>&1 &
  victim=$!
  sleep "0.$(printf '%03d' $((moment * 11)))"
  pkill -KILL -P "$victim" 2> /dev/null || true
  kill -KILL "$victim" 2> /dev/null || true
  wait "$victim" 2> /dev/null || true
done
user --list-objects > objects 2>&1 || true
check "after 25 killed clients the token still lists its keys" test "$(grep -c 'label: *worker-' objects)" = 60
check "and makes new ones" user --keypairgen --key-type EC:prime256v1 --id 0002 --label after --usage-sign
check "and signs with the old" user --sign --mechanism ECDSA --id 0001 --input-file digest --output-file after.sig
shows "validly" 'Signature is valid' user --verify --mechanism ECDSA --id 0001 --input-file digest --signature-file after.sig

if ! softhsm; then
  # The secure world itself, killed between clients and in the middle of one.
  killed=0
  for ((moment = 1; moment <= 10; moment++)); do
    once --keypairgen --key-type rsa:2048 --id fe --label victim --usage-sign > /dev/null 2>&1 &
    victim=$!
    sleep "0.$(printf '%03d' $((moment * 23)))"
    for process in $(secure_worlds); do kill -KILL "$process" 2> /dev/null && killed=$((killed + 1)); done
    wait "$victim" 2> /dev/null || true
  done
  check "secure worlds were killed while they worked" test "$killed" -ge 5
  user --list-objects > objects 2>&1 || true
  check "nothing that was committed is lost" test "$(grep -c 'label: *worker-' objects)" = 60
  check "and the token works" user --sign --mechanism ECDSA --id 0001 --input-file digest --output-file again.sig
  check "no private key is left without its public half" bash -c \
    'test "$(grep -c "Private Key Object" objects)" = "$(grep -c "Public Key Object" objects)"'
fi

finish
