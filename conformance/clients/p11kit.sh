#!/usr/bin/env bash
# p11-kit: the module by a module file, through the proxy, and behind p11-kit's server in another process.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

libraries=$(dirname "$(find /usr/lib -name p11-kit-proxy.so -print -quit 2> /dev/null)")
mkdir modules
printf 'module: %s\ncritical: yes\n' "$MODULE" > modules/conformance.module

# registered COMMAND...: runs it where our module file is the only one. Root is never shown the user's configuration, so
# for root the folder is laid over the system's in a mount namespace of its own.
if ((EUID == 0)); then
  if unshare -m true 2> /dev/null; then
    registered() {
      # shellcheck disable=SC2016 # the inner shell expands
      timeout -k 5 "$LIMIT" unshare -m bash -c 'mount --bind "$0" /usr/share/p11-kit/modules && exec "$@"' \
        "$work/modules" "$@"
    }
  else
    mkdir -p /etc/pkcs11/modules
    cp modules/conformance.module /etc/pkcs11/modules/strongroom-conformance.module
    trap 'rm -f /etc/pkcs11/modules/strongroom-conformance.module; leave' EXIT
    registered() { timeout -k 5 "$LIMIT" "$@"; }
  fi
else
  mkdir -p "$XDG_CONFIG_HOME/pkcs11/modules"
  echo 'user-config: only' > "$XDG_CONFIG_HOME/pkcs11/pkcs11.conf"
  cp modules/conformance.module "$XDG_CONFIG_HOME/pkcs11/modules/"
  registered() { timeout -k 5 "$LIMIT" "$@"; }
fi

shows "p11-kit lists the module" '^conformance' registered p11-kit list-modules
shows "with its token" "token: $TOKEN" registered p11-kit list-modules
shows "GnuTLS finds the token through p11-kit's configuration" "token=$TOKEN" registered p11tool --list-tokens

proxy() { registered pkcs11-tool --module "$libraries/p11-kit-proxy.so" --token-label "$TOKEN" --login --pin "$PIN" "$@"; }
echo 'data to sign' > data
check "through the proxy: an RSA key pair is made" proxy --keypairgen --key-type rsa:2048 --id 01 --label rsa --usage-sign
check "through the proxy: an EC key pair is made" \
  proxy --keypairgen --key-type EC:prime256v1 --id 02 --label ec --usage-sign --usage-derive
check "through the proxy: an AES key is made" proxy --keygen --key-type AES:32 --id 03 --label aes
check "through the proxy: it signs" \
  proxy --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file data --output-file rsa.sig
registered pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --read-object --type pubkey --id 01 \
  --output-file rsa.der > output 2>&1 || true
openssl pkey -pubin -inform DER -in rsa.der -out rsa.pem 2> /dev/null || true
check "OpenSSL verifies it" openssl dgst -sha256 -verify rsa.pem -signature rsa.sig data
check "through the proxy: AES encrypts" proxy --encrypt --mechanism AES-CBC-PAD --iv 000102030405060708090a0b0c0d0e0f \
  --id 03 --input-file data --output-file data.enc
check "through the proxy: AES decrypts" proxy --decrypt --mechanism AES-CBC-PAD --iv 000102030405060708090a0b0c0d0e0f \
  --id 03 --input-file data.enc --output-file data.dec
same "to the plaintext" data data.dec
# Beside the rest: pkcs11-tool sleeps for half a minute when a thread of the test still runs at its end.
registered pkcs11-tool --module "$libraries/p11-kit-proxy.so" --test-threads ILGISL --test-threads ILGISL > threads 2>&1 &
threads=$!

start p11-kit server -f -n "$work/socket" -p "$MODULE" "$TOKEN_URI"
await_path "$work/socket" || true
remote() {
  P11_KIT_SERVER_ADDRESS=unix:path=$work/socket timeout -k 5 "$LIMIT" pkcs11-tool \
    --module "$libraries/pkcs11/p11-kit-client.so" --token-label "$TOKEN" "$@"
}
shows "behind p11-kit's server: the token is listed" "$TOKEN" remote --list-token-slots
user() { remote --login --pin "$PIN" "$@"; }
shows "behind the server: objects are listed" 'label: +rsa' user --list-objects
check "behind the server: it signs" \
  user --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file data --output-file remote.sig
check "OpenSSL verifies it" openssl dgst -sha256 -verify rsa.pem -signature remote.sig data
openssl dgst -sha256 -binary data > digest
check "behind the server: PSS signs" user --sign --mechanism RSA-PKCS-PSS --hash-algorithm SHA256 --mgf MGF1-SHA256 \
  --id 01 --input-file digest --output-file pss.sig
check "OpenSSL verifies it" openssl pkeyutl -verify -pubin -inkey rsa.pem -in digest -sigfile pss.sig \
  -pkeyopt rsa_padding_mode:pss -pkeyopt digest:sha256 -pkeyopt rsa_pss_saltlen:32
check "behind the server: ECDSA signs" user --sign --mechanism ECDSA --id 02 --input-file digest --output-file ec.sig
check "behind the server: a key is made" user --keypairgen --key-type EC:prime256v1 --id 04 --label remote --usage-sign
shows "and seen beside it at once" 'label: +remote' registered pkcs11-tool --module "$MODULE" --token-label "$TOKEN" \
  --list-objects
for client in 1 2 3 4; do
  user --sign --mechanism ECDSA --id 02 --input-file digest --output-file "ec.$client" > "output.$client" 2>&1 &
  clients[client]=$!
done
for client in 1 2 3 4; do check "behind the server: client $client of four at once" wait_for "${clients[client]}"; done
refuses "behind the server: a wrong PIN is refused" 'CKR_PIN_INCORRECT' remote --login --pin wrong-pin --list-objects
stop "$server"
check "through the proxy: threads" wait_for "$threads"

finish
