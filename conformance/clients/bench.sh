#!/usr/bin/env bash
# The benchmark program: it builds, measures every peer in a few quick rows, and writes JSON that can be read.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

rows='session-info,random,sha256,hmac-sha256-64.,hmac-sha256-64 each,hmac-sha256-64 4,aes256-gcm-1,message-gcm-16.,restricted'
rows+=',cenc,ecdsa,get-attributes,create-aes-token,idle,memory-module,find-10.,start.,start-cold.'
# Files of its own: the tables of a run that somebody made are left alone.
bench() { FILES=$work/bench timeout -k 5 "$LIMIT" "$root/conformance/bench/run" --seconds 0.02 "$@"; }
check "the benchmark runs" bench --only "$rows"
cp output table
for row in session-info hmac-sha256-64 aes256-gcm-16k message-gcm-16 'hmac-sha256-64 4 threads' restricted-ctr-16k cenc-60x60k ecdsa-p256-sign create-aes-token start-cold; do
  shows "$row is measured" "^$row +\|" cat table
done
cat > read.py <<'PROGRAM'
import json
import sys

rows = json.load(open(sys.argv[1]))["rows"]
missing = [row["row"] for row in rows if "error" in row["peers"]["strongroom"]]
sys.exit(f"{len(rows)} rows; no time for {missing}" if missing or len(rows) < 20 else 0)
PROGRAM
check "the JSON holds a time of ours for each row" python3 read.py bench.json
refuses "a row that there is not is refused" 'no row is left' bench --only nonsense
refuses "a peer that there is not is refused" 'no peer is left' bench --peers nonsense

finish
