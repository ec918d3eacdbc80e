#!/usr/bin/env bash
# The command-line tool as a client of the module: tokens and PINs, keys of each type, URIs, files, messages, exit codes.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
tool=$(dirname "$MODULE")/strongroom
if softhsm; then tool=$root/.build/release/strongroom; fi
export STRONGROOM_PIN=$PIN STRONGROOM_SO_PIN=$SO_PIN
sr() { timeout -k 5 "$LIMIT" "$tool" "$@" --module "$MODULE"; }
# exits CODE PATTERN COMMAND...: ends with this status and says this.
exits() {
  local code=$1 pattern=$2 status=0 text
  shift 2
  text=$("$@" 2>&1 < /dev/null) || status=$?
  printf '%s\n' "$text"
  ((status == code)) && grep -Eq -- "$pattern" <<< "$text"
}
to_file() { "${@:2}" > "$1"; }
uri() { echo "$TOKEN_URI;object=$1;type=$2"; }

refuses "without a token it says what to do" 'strongroom init' sr key generate aes:128 --label x
check "without the officer's PIN or a terminal init says how to give it" exits 2 '--so-pin or STRONGROOM_SO_PIN' \
  env -u STRONGROOM_SO_PIN setsid "$tool" init --label "$TOKEN" --module "$MODULE"
check "init changes nothing when the user PIN is too short" exits 1 'the user PIN has 2 bytes; the token takes 4 to' \
  sr init --label "$TOKEN" --pin 12
refuses "so that there is still no token" 'strongroom init' sr objects
check "init makes a token and its user PIN" sr init --label "$TOKEN"
shows "info tells the state of the token in words" 'the user PIN is set' sr info
check "an initialised token is not erased unasked" exits 1 '--erase' sr init --label again --slot \
  "$(sr info | sed -n 's/^slot \([0-9]*\):.*/\1/p' | head -n 1)"
shows "mechanisms lists the mechanisms" '^CKM_AES_GCM .*encrypt' sr mechanisms

for kind in rsa:2048 ec:p256 ec:p384 ed25519 aes:256 generic:32; do
  shows "key generate makes $kind and prints its URI" "^pkcs11:token=$TOKEN;object=${kind%%:*}" \
    sr key generate "$kind" --label "${kind/:/-}" --token "$TOKEN"
done
if ! softhsm; then
  check "key generate makes x25519" sr key generate x25519 --label x25519
  check "key public writes PEM" sr key public "$(uri rsa-2048 private)" -o public.pem
  check "which OpenSSL reads" openssl pkey -pubin -in public.pem -noout
  head -c 1000 /dev/urandom > data
  check "sign makes an RSA signature" sr sign --key "$(uri rsa-2048 private)" --mechanism sha256-rsa -o signature data
  check "which OpenSSL verifies" openssl dgst -sha256 -verify public.pem -signature signature data
  shows "verify takes it" 'is the signature of data by' sr verify --key "$(uri rsa-2048 public)" --mechanism sha256-rsa \
    --signature signature data
  { cat data; echo; } > other
  check "but not for another file" exits 1 'CKR_SIGNATURE_INVALID' sr verify --key "$(uri rsa-2048 public)" \
    --mechanism sha256-rsa --signature signature other
  head -c 3000000 /dev/urandom > large
  check "sign and digest take a large file piece by piece" \
    sr sign --key "$(uri rsa-2048 private)" --mechanism sha256-rsa -o signature large
  check "OpenSSL verifies it" openssl dgst -sha256 -verify public.pem -signature signature large
  check "so does verify" sr verify --key "$(uri rsa-2048 public)" --mechanism sha256-rsa --signature signature large
  shows "and the digest is right" "^$(sha256sum large | cut -d ' ' -f 1) " sr digest large
  for curve in p256 p384; do
    check "sign --der with $curve" sr sign --der --key "$(uri ec-$curve private)" --mechanism sha384-ecdsa -o signature large
    check "$curve's public key is written" sr key public "$(uri ec-$curve public)" -o ec.pem
    check "OpenSSL verifies $curve's signature" openssl dgst -sha384 -verify ec.pem -signature signature large
    check "so does verify --der" \
      sr verify --der --key "$(uri ec-$curve public)" --mechanism sha384-ecdsa --signature signature large
    check "OpenSSL's signature cannot be mistaken for r and s" exits 1 'CKR_SIGNATURE_(INVALID|LEN_RANGE)' \
      sr verify --key "$(uri ec-$curve public)" --mechanism sha384-ecdsa --signature signature large
  done
  check "--der is for ECDSA alone" exits 2 'goes with ECDSA' \
    sr sign --der --key "$(uri rsa-2048 private)" --mechanism sha256-rsa large
  check "a full disk behind standard output is called that" exits 1 'standard output: No space left' \
    to_file /dev/full sr key public "$(uri rsa-2048 private)"
  from_folder() { "$@" < /; }
  check "a folder as standard input is called that" exits 1 'standard input: Is a directory' \
    from_folder sr sign --key "$(uri rsa-2048 private)" --mechanism sha256-rsa
  head -c 16 /dev/urandom > value
  check "a server wraps a key for the token" openssl pkeyutl -encrypt -pubin -inkey public.pem -in value -out wrapped \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
  check "a key that may not unwrap does not" exits 1 CKR_KEY_FUNCTION_NOT_PERMITTED \
    sr key unwrap wrapped --with "$(uri rsa-2048 private)" --mechanism rsa-oaep-sha256 --label in
  check "key generate makes a key that only unwraps to restricted output" \
    sr key generate rsa:2048 --label unwrapping --unwrap-only-restricted
  check "its public key is written" sr key public "$(uri unwrapping public)" -o unwrapping.pem
  check "a server wraps a key for it" openssl pkeyutl -encrypt -pubin -inkey unwrapping.pem -in value -out wrapped \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
  check "key unwrap brings it in" \
    sr key unwrap wrapped --with "$(uri unwrapping private)" --mechanism rsa-oaep-sha256 --label content
  check "but not as a key that may leave" exits 1 CKR_TEMPLATE_INCONSISTENT sr key unwrap wrapped --extractable \
    --with "$(uri unwrapping private)" --mechanism rsa-oaep-sha256 --label stolen
  check "key probe: nothing gives its value away" sr key probe "$(uri content secret-key)"
  shows "it is of restricted output" 'RESTRICTED_OUTPUT +true' sr objects show "$(uri content secret-key)"
fi

seq 5000 > plain
iv=000102030405060708090a0b
check "encrypt with AES-GCM" sr encrypt --key "$(uri aes-256 secret-key)" --mechanism aes-gcm --iv $iv -o sealed plain
check "decrypt with AES-GCM" sr decrypt --key "$(uri aes-256 secret-key)" --mechanism aes-gcm --iv $iv -o opened sealed
same "gives the plaintext back" plain opened
cp sealed whole
printf 'x' >> sealed
refuses "a changed message is refused" 'CKR_(AEAD_DECRYPT_FAILED|ENCRYPTED_DATA_(INVALID|LEN_RANGE)|GENERAL_ERROR)' \
  sr decrypt --key "$(uri aes-256 secret-key)" --mechanism aes-gcm --iv $iv sealed
shows "digest agrees with sha256sum" "^$(sha256sum plain | cut -d ' ' -f 1) " sr digest plain
shows "random gives as many bytes as asked for" '^[0-9a-f]{64}$' sr random 32

unset STRONGROOM_PIN
check "a PIN in the URI is honoured" sr objects list "$TOKEN_URI?pin-value=$PIN"
printf '%s\n' "$PIN" > pin
check "so is a file of it" sr key generate aes:128 --label by-file --pin-file pin
check "without a PIN or a terminal it says how to give one" exits 2 'STRONGROOM_PIN' \
  setsid "$tool" key generate aes:128 --label x --module "$MODULE"
asked() { timeout -k 5 "$LIMIT" python3 "$root/conformance/clients/pin_prompt.py" "PIN of" "$@" --module "$MODULE"; }
check "a PIN is asked for at the terminal, and not shown" asked "$PIN\n" 0 "$tool" key generate aes:128 --label typed
check "the terminal shows what is typed again when the question is interrupted" \
  asked '12\x03' -2 "$tool" key generate aes:128 --label x
refuses "a wrong PIN is called that" 'the PIN is wrong' sr key generate aes:128 --label x --pin 0000-wrong
refuses "one that is too short is not even tried" 'the PIN has 3 bytes' sr key generate aes:128 --label x --pin 123
if ! softhsm; then
  wrong() { sr objects list --pin 0000-wrong; }
  for _ in 2 3 4 5 6 7 8; do wrong > /dev/null 2>&1 || true; done
  refuses "the last try but one says so" 'one try is left' wrong
  check "the right PIN sets the tries back" sr objects list --pin "$PIN"
  refuses "as the next wrong one shows" 'each wrong try counts\)$' wrong
fi
check "pin change" sr pin change --pin "$PIN" --new-pin 5555-new
refuses "makes the old one wrong" CKR_PIN_INCORRECT sr key generate aes:128 --label x --pin "$PIN"
check "pin unlock sets another" sr pin unlock --new-pin "$PIN"
export STRONGROOM_PIN=$PIN

check "an ambiguous URI deletes nothing" exits 2 'names 2 objects' sr objects delete "$TOKEN_URI;object=ec-p256"
check "objects delete --all" sr objects delete --all "$TOKEN_URI;object=ec-p256"
refuses "what is deleted is gone" 'no such object' sr objects show "$TOKEN_URI;object=ec-p256"

check "bad usage ends with 2" exits 2 'Unknown option' sr info --nonsense
check "a URI that is none ends with 2" exits 2 'not a pkcs11: URI' sr objects show 'pkcs11:object'
check "an unknown kind of key names the kinds" exits 2 'ec:p256' sr key generate des:56 --label x
check "a module that is not there ends with 2" exits 2 'no-module.so' "$tool" info --module "$work/no-module.so"
printf 'colour = blue\n' > bad.conf
check "an unknown key of the configuration is named with its line" exits 2 'bad.conf:1: .*colour' \
  "$tool" config check bad.conf
if ! softhsm; then
  check "and when the module meets it" exits 2 'bad.conf:1: .*colour' env STRONGROOM_CONF="$PWD/bad.conf" "$tool" info
  # with LINE COMMAND...: what the tool says where this is all of the configuration; more than one line is a failure.
  with() {
    printf '%s\n' "$1" > other.conf
    local status=0 text
    text=$(env STRONGROOM_CONF="$PWD/other.conf" "$tool" "${@:2}" 2>&1) || status=$?
    printf '%s\n' "$text"
    [[ $text != *$'\n'* ]] && return "$status"
  }
  check "a service that is not there is named in one line, with what to do" \
    exits 1 "listens on $work/no.sock: start strongroom.service, or take .socket. out of $work/other.conf" \
    with "socket = $work/no.sock" info
  check "the store of a service is the service's" exits 0 'that of the service' with "socket = $work/no.sock" store
  check "a store that cannot be made is named" exits 1 'the store /proc/none/store: cannot make /proc/none' \
    with 'store = /proc/none/store' info
  check "so is a log" exits 1 'cannot open the log /proc/none/log: ' with 'log = /proc/none/log' info
  check "and a secure world that is not there" exits 1 "cannot start $work/none, which .secure-world. names" \
    with "secure-world = $work/none" info
fi
printf 'not a film' > not.mp4
if ! softhsm; then
  check "play of what is no film says so" exits 1 'not.mp4: not an MP4 file' sr play not.mp4
fi

# Protected video of every scheme, with a display; and a film in the clear, whose samples the search must find.
media=$root/conformance/media
waiting() { # waiting FILE OPTIONS...: searches a player that waits at its tenth frame
  local line found=1 file=$1
  shift
  coproc player { exec timeout -k 5 "$LIMIT" "$tool" play "$file" --inspect "${play_key[@]}" --module "$MODULE"; }
  local orders=${player[1]} reports=${player[0]} process=$player_PID
  while IFS= read -r line <&"$reports"; do
    if [[ $line =~ ^'inspect: process '([0-9]+)' waits at frame' ]]; then
      found=0
      timeout "$LIMIT" "$tool" audit --pid "${BASH_REMATCH[1]}" "$@" || found=$?
    fi
    if [[ $line == inspect:* ]]; then echo >&"$orders"; fi
  done
  wait "$process"
  return "$found"
}
if ! softhsm; then
  check "without a display play says how to have one" exits 2 'display-directory' sr play "$media/clear.mp4"
  mkdir frames
  printf 'display-directory = %s\n' "$work/frames" >> "$STRONGROOM_CONF"
  # The secure world reads its configuration when it starts.
  for ((tries = 0; tries < 100; tries++)); do [[ -z $(secure_worlds) ]] && break || sleep 0.2; done
  printf '\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f' > video.key
  check "a content key is wrapped" openssl pkeyutl -encrypt -pubin -inkey unwrapping.pem -in video.key -out video.wrapped \
    -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
  play_key=(--wrapped-key video.wrapped --unwrapping-key "$(uri unwrapping private)")
  for scheme in cenc cens cbc1 cbcs; do
    shows "play shows the 25 frames of $scheme as they are in the clear" 'all 25 frames match' \
      sr play "$media/v_$scheme.mp4" "${play_key[@]}" --expect-md5 "$media/video.md5"
  done
  check "a contact sheet lies in the operator's folder" test -s frames/contact-sheet.png
  check "a frame that differs is found" exits 1 'differ' sr play "$media/v_cenc.mp4" "${play_key[@]}" \
    --expect-md5 <(sed '7s/./x/; 7s/x/0/; 8s/^..../ffff/' "$media/video.md5")
  check "a protected film without its key is refused" exits 2 'is protected with the key a0a1a2' \
    sr play "$media/v_cenc.mp4"
  # The clear parts of a sample may be enough for some picture: not for that of the film.
  check "with the wrong key it is not the film" exits 1 'CKR_STRONGROOM_BITSTREAM_INVALID|25 of 25 frames differ' \
    sr play "$media/v_cenc.mp4" --key "$(uri content secret-key)" --expect-md5 "$media/video.md5"
  check "the clear samples of a film are known" to_file clear.needles \
    "$tool" audit samples --clear "$media/clear.mp4" --protected "$media/v_cenc.mp4"
  check "the player of the protected film holds none of them" waiting "$media/v_cenc.mp4" --needles-from-file clear.needles
  play_key=()
  check "the player of the clear film does, and the search finds them" exits 1 'clear sample bytes was found' \
    waiting "$media/clear.mp4" --needles-from-file clear.needles
  check "buffer probe: its descriptor gives nothing away" sr buffer probe
  check "an exhausted pool is called that" exits 1 CKR_DEVICE_MEMORY sr buffer probe --size 4000000000
  shows "buffer decrypt puts plaintext where the program cannot read it" '23893 bytes of plaintext' \
    sr buffer decrypt --key "$(uri aes-256 secret-key)" --mechanism aes-gcm --iv $iv whole
fi

if ! softhsm; then
  check "a size that the token does not take is called that" exits 1 'strongroom mechanisms' \
    sr key generate rsa:1024 --label x
  check "key generate makes a key for two use-cases" sr key generate aes:128 --label screen --restricted-output \
    --use-case playback --use-case trusted-ui
  shows "which are shown by name" 'USE_CASES +playback trusted-ui$' sr objects show "$(uri screen secret-key)"
  check "objects delete --all deletes all that can be deleted" sr objects delete --all "$TOKEN_URI"
  listed() { sr objects list | cut -d ' ' -f 1 | sort | uniq -c; }
  check "so that the token's profile is left" test "$(listed | tr -s ' ')" = ' 1 profile'
fi

# The search finds what a process holds, and an absent control is a failure.
needle=$(od -An -v -tx1 -N24 /dev/urandom | tr -d ' \n')
holder='import sys; held = bytes.fromhex(sys.stdin.readline().strip()); print("ready", flush=True); sys.stdin.readline()'
fips_key() { printf '\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c' | "$tool" audit key; }
shows "audit key has the first round key of FIPS 197, A.1" '^a0fafe1788542cb123a339392a6c7605 ' fips_key
shows "and the last" '^d014f9a8c9ee2589e13f0cc8b6630ca6 ' fips_key
coproc held { exec python3 -c "$holder"; }
holder_pid=$held_PID
echo "$needle" >&"${held[1]}"
read -r <&"${held[0]}"
audit() { timeout "$LIMIT" "$tool" audit --pid "$holder_pid" "$@"; }
check "audit finds what a process holds" exits 1 'needle .* found [1-9]' audit --needle "$needle"
check "audit finds the control, and not what is not there" exits 0 'control: found [1-9]' \
  audit --needle 8f1e0c77aa5501d3e6b90224c8d7f6a1 --control "$needle"
check "audit without its control has failed" exits 1 'the search itself failed' \
  audit --needle 8f1e0c77aa5501d3e6b90224c8d7f6a1 --control 0123456789abcdeffedcba9876543210aa
exec {held[1]}>&-
wait "$holder_pid" 2> /dev/null || true

finish
