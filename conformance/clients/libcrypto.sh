#!/usr/bin/env bash
# Which libcrypto serves the secure world: its own beside it, else the system's; and what packaging/libcrypto puts there.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
build=$(dirname "$MODULE")
tool=$build/strongroom

# version FILE: what a libcrypto says that it is: "OpenSSL 3.0.22 25 Aug 2026".
version() {
  python3 -c 'import ctypes, sys; library = ctypes.CDLL(sys.argv[1]); library.OpenSSL_version.restype = ctypes.c_char_p
print(library.OpenSSL_version(0).decode())' "$1"
}
# served_by PROGRAM: the libcrypto that this secure world says that it uses, in a store of its own.
served_by() {
  local folder
  folder=$(mktemp -d "$work/world.XXXXXX")
  printf 'store = %s/store\nsecure-world = %s\nidle-seconds = 3\nlog = %s/log\n' "$folder" "$1" "$folder" > "$folder/conf"
  STRONGROOM_CONF=$folder/conf timeout 30 "$tool" info --module "$MODULE" > "$folder/info"
  local text
  text=$(sed -n 's/^  cryptography *\(.*\), in the secure world$/\1/p' "$folder/info")
  grep -q "serving the store .* with $text\$" "$folder/log" || echo "the log says something else:"
  echo "$text"
}
uses() { [[ $(served_by "$1") == "$2" ]]; }

system=$(version libcrypto.so.3)
expected=$system
if [[ -e $build/lib/libcrypto.so.3 ]]; then expected=$(version "$build/lib/libcrypto.so.3"); fi
echo "# the system has $system, the secure world $expected"
check "the secure world that was built uses what the build chose, and says so to client and log" \
  uses "$build/strongroom-tee" "$expected"
check "another LD_LIBRARY_PATH of its client's does not reach it" \
  env LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu bash -c "$(declare -f served_by uses); work=$work tool=$tool MODULE=$MODULE
    uses '$build/strongroom-tee' '$expected'"

# The script in a tree of its own, which has nothing in its cache.
mkdir -p tree/packaging tree/world offline
cp "$root/packaging/libcrypto" tree/packaging/
cp "$build/strongroom-tee" tree/world/
own=tree/world/lib/libcrypto.so.3
puts() { tree/packaging/libcrypto "$1" "$PWD/tree/world/lib"; }
file=$(python3 -c 'import ctypes; ctypes.CDLL("libcrypto.so.3")
print(next(line.split()[-1] for line in open("/proc/self/maps") if "libcrypto.so.3" in line))')

shows "LIBCRYPTO=FILE puts that file beside the secure world" 'uses its own 3\.' puts "$file"
same "as it is" "$own" "$file"
check "and the secure world uses it" uses "$PWD/tree/world/strongroom-tee" "$system"
# Only root may look: the secure world is not dumpable.
maps_own() {
  local process
  for process in $(secure_worlds); do
    if grep -qF "$PWD/$own" "/proc/$process/maps"; then return 0; fi
  done
  return 1
}
if ((EUID == 0)); then check "from that place" maps_own; fi
shows "LIBCRYPTO=system takes it away" "uses the system's .* as asked" puts system
check "and the secure world uses the system's" uses "$PWD/tree/world/strongroom-tee" "$system"
check "which is not beside it" test ! -e "$own"
refuses "a file that is no libcrypto is refused" 'no OpenSSL 3 that can be loaded' puts /etc/passwd
refuses "and so is a file that is not there" 'LIBCRYPTO is newest, system or a file' puts /nonexistent

# What follows must not depend on what this system has.
system_is() { sed "s/system=\$(version libcrypto.so.3)/system=$1/" "$root/packaging/libcrypto" > tree/packaging/libcrypto; }
system_is 99.0.0
shows "a system that has a newer one than the pinned keeps it" "uses the system's 99.0.0: the pinned .* is not newer" puts newest
system_is 3.0.0
puts "$file" > puts.log
shows "without a network the system's serves, and the build goes on" "uses the system's .* cannot be fetched" \
  env PIP_NO_INDEX=1 PIP_FIND_LINKS="$PWD/offline" tree/packaging/libcrypto newest "$PWD/tree/world/lib"
check "and nothing older stays beside the secure world" test ! -e "$own"
python3 - "$(sed -n "s/^wheel='\([^ ]*\) .*/\1/p" tree/packaging/libcrypto)" "$(sed -n 's/^member=//p' tree/packaging/libcrypto)" <<'EOF'
import sys, zipfile
name, version = sys.argv[1].split("==")
with zipfile.ZipFile(f"offline/{name}-{version}-cp311-cp311-manylinux_2_28_x86_64.whl", "w") as wheel:
    wheel.writestr(sys.argv[2], b"something else")
    wheel.writestr(f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
EOF
refuses "a wheel that is not the pinned one is refused" 'is not what is pinned here' \
  env PIP_NO_INDEX=1 PIP_FIND_LINKS="$PWD/offline" tree/packaging/libcrypto newest "$PWD/tree/world/lib"
check "and nothing of it is used" test ! -e "$own"
finish
