#!/usr/bin/env bash
# `make install`: what was installed below a prefix works from there, for root and for an ordinary user alike.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

prefix=$work/prefix
# The compiler keeps its caches where the user's are.
install_it() { env -u MAKEFLAGS -u MAKELEVEL -u XDG_CONFIG_HOME HOME="$user_home" make -C "$root" install PREFIX="$prefix"; }
check "make install PREFIX= puts everything below the prefix" install_it
for file in lib/libstrongroom-pkcs11.so libexec/strongroom/strongroom-tee libexec/strongroom/strongroom-peripheral \
  bin/strongroom include/strongroom/pkcs11.h include/strongroom/strongroom.h share/p11-kit/modules/strongroom.module \
  share/doc/strongroom/README.md; do
  check "$file is there" test -s "$prefix/$file"
done
check "the module file names the installed module" \
  grep -qx "module: $prefix/lib/libstrongroom-pkcs11.so" "$prefix/share/p11-kit/modules/strongroom.module"
shows "the installed tool runs" 'USAGE' "$prefix/bin/strongroom" --help

shows "below /usr/local it is put where p11-kit looks" ' > /stage/etc/pkcs11/modules/strongroom.module$' \
  env -u MAKEFLAGS -u MAKELEVEL make -n -C "$root" install DESTDIR=/stage

printf 'store = %s/built\nidle-seconds = 1\n' "$work" > "$work/built.conf"
MODULE=$prefix/lib/libstrongroom-pkcs11.so
shows "the installed module starts its secure world" 'uninitialized' pkcs11-tool --module "$MODULE" --list-slots
initialise_token
check "and makes a key" pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --login --pin "$PIN" --keypairgen \
  --key-type EC:prime256v1 --id 01 --label installed --usage-sign
check "the secure world that runs is the installed one" \
  bash -c "readlink /proc/$(secure_worlds | head -n 1)/exe | grep -qx '$prefix/libexec/strongroom/strongroom-tee'"
cryptography() { "$1/strongroom" info --module "$2" | grep '^  cryptography'; }
check "with the libcrypto of the build" test "$(cryptography "$prefix/bin" "$MODULE")" = \
  "$(STRONGROOM_CONF=$work/built.conf cryptography "$root/.build/release" "$root/.build/release/libstrongroom-pkcs11.so")"

if ((EUID == 0)); then
  # The same for a user who owns nothing but a folder, with the standard place of the store.
  home=$work/nobody
  install -d -o nobody -m 700 "$home"
  chmod 755 "$work"
  nobody() { runuser -u nobody -- env -i HOME="$home" PATH="$PATH" timeout 60 "$@"; }
  check "an ordinary user initialises a token of theirs" nobody pkcs11-tool --module "$MODULE" --slot-index 0 --init-token \
    --label "$TOKEN" --so-pin "$SO_PIN"
  check "sets its PIN" nobody pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --init-pin --login --login-type so \
    --so-pin "$SO_PIN" --new-pin "$PIN"
  check "and makes a key" nobody pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --login --pin "$PIN" --keypairgen \
    --key-type EC:prime256v1 --id 01 --label theirs --usage-sign
  check "in a store that nobody else may open" test "$(stat -c %U:%a "$home/.local/share/strongroom")" = nobody:700
  # It would stay for the standard minute.
  pkill -u nobody -f "^$prefix/libexec/strongroom/strongroom-tee" || true
fi

finish
