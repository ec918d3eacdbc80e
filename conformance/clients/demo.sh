#!/usr/bin/env bash
# `make demo`: each thing that the demo claims to prove, and what it must not accept.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

status=0
BUILD=$(dirname "$MODULE") timeout -k 5 600 "$root/conformance/demo/run" > demo.log 2>&1 < /dev/null || status=$?
while IFS= read -r line; do
  case $line in
    *'NOT PROVED: '*) not_ok "${line#*NOT PROVED: }" ;;
    *'proved: '*) ok "${line#*proved: }" ;;
  esac
done < demo.log
check "the demo has proved what it set out to" test "$passed" -ge 10
if ((status == 0)); then ok "it ends with status 0"; else not_ok "it ends with status 0 (ended with $status)" demo.log; fi
shows "it names the contact sheets" 'contact sheet: .*\.png' cat demo.log
for sheet in $(sed -n 's/^contact sheet: //p' demo.log); do
  shows "$(basename "$(dirname "$sheet")")'s contact sheet is a PNG" '^89504e470d0a1a0a' xxd -p -l 8 "$sheet"
done

demo() { BUILD=$(dirname "$MODULE") timeout -k 5 120 env "$@" "$root/conformance/demo/run"; }
refuses "a file that is not there is refused" 'no such file' demo INPUT=nowhere.mp4 KEY=00112233445566778899aabbccddeeff
refuses "a key that is no key is refused" 'hexadecimal' demo INPUT="$root/conformance/media/v_cenc.mp4" KEY=short
head -c 4000 /dev/urandom > noise.mp4
refuses "a file that is no film is refused" '.' demo INPUT="$work/noise.mp4" KEY=00112233445566778899aabbccddeeff

finish
