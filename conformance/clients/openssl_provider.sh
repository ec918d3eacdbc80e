#!/usr/bin/env bash
# OpenSSL with pkcs11-provider: keys made in the token, requests, certificates, signatures, CMS, Ed25519, TLS 1.3 and 1.2.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

provider=$(find /usr/lib -path '*/ossl-modules/pkcs11.so' -print -quit 2> /dev/null)
# A token that shares the application's libcrypto is finalised too late at exit; ours does without the quirk.
quirks=
if softhsm; then quirks='pkcs11-module-quirks = no-deinit'; fi
cat > openssl.cnf <<CONFIGURATION
openssl_conf = init
[init]
providers = providers
[providers]
default = default_section
pkcs11 = pkcs11_section
[default_section]
activate = 1
[pkcs11_section]
module = $provider
pkcs11-module-path = $MODULE
pkcs11-module-token-pin = $PIN
pkcs11-module-encode-provider-uri-to-pem = true
$quirks
activate = 1
[req]
distinguished_name = name
[name]
CONFIGURATION
p11() { OPENSSL_CONF=$work/openssl.cnf timeout -k 5 "$LIMIT" openssl "$@"; }
key() { echo "$TOKEN_URI;object=$1;type=private"; }
generate() { # generate LABEL ID OPTIONS...: a key pair in the token; LABEL.key names it
  p11 genpkey -propquery provider=pkcs11 "${@:3}" -pkeyopt "pkcs11_uri:$TOKEN_URI;object=$1;id=%$2" -out "$1.key"
}

shows "the provider loads the module" 'status: active' p11 list -providers
check "genpkey makes an RSA key in the token" generate rsa 11 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
check "genpkey makes an EC P-256 key in the token" generate ec 12 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
check "genpkey makes an EC P-384 key in the token" generate p384 13 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
check "genpkey makes an Ed25519 key in the token" generate ed 14 -algorithm ED25519
check "genpkey makes the client's key in the token" generate client 15 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
shows "the key file holds a reference and no key" 'PKCS#11 PROVIDER URI' cat rsa.key
shows "storeutl lists the keys" 'Total found: [1-9]' p11 storeutl -keys -text "$TOKEN_URI"
for name in rsa ec p384 ed client; do
  check "the public key of $name can be had" p11 pkey -in "$(key $name)" -pubout -out "$name.pub"
  shows "and is a valid one" 'Key is valid' openssl pkey -pubin -in "$name.pub" -pubcheck -noout
done
check "a key file works as a key" p11 pkey -in ec.key -pubout -out ec.from-file
same "and is the same key" ec.pub ec.from-file

check "a self-signed certificate is made with the RSA key" p11 req -new -x509 -key "$(key rsa)" -days 3 -subj /CN=ca \
  -addext basicConstraints=critical,CA:TRUE -out ca.pem
check "OpenSSL verifies it" openssl verify -CAfile ca.pem ca.pem
printf 'subjectAltName = DNS:localhost, IP:127.0.0.1\n' > extensions
for name in rsa ec p384 ed client; do
  check "a request is made with $name" p11 req -new -key "$(key $name)" -subj "/CN=$name" -out "$name.req"
  shows "OpenSSL verifies the request" 'verify OK' openssl req -in "$name.req" -verify -noout
  check "the authority's key signs the certificate" p11 x509 -req -in "$name.req" -CA ca.pem -CAkey "$(key rsa)" \
    -set_serial "0x$RANDOM" -days 3 -extfile extensions -out "$name.pem"
  check "OpenSSL verifies the chain" openssl verify -CAfile ca.pem "$name.pem"
done

openssl rand 5000 > data
for name in rsa ec p384; do
  for hash in sha256 sha384; do
    check "$name signs $hash" p11 dgst "-$hash" -sign "$(key $name)" -out "$name.sig" data
    check "OpenSSL verifies it" openssl dgst "-$hash" -verify "$name.pub" -signature "$name.sig" data
  done
done
check "RSA-PSS signs" p11 dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -sign "$(key rsa)" \
  -out pss.sig data
check "OpenSSL verifies it" openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify rsa.pub -signature pss.sig data
check "Ed25519 signs" p11 pkeyutl -sign -rawin -inkey "$(key ed)" -in data -out ed.sig
check "OpenSSL verifies it" openssl pkeyutl -verify -rawin -pubin -inkey ed.pub -in data -sigfile ed.sig
printf 'a secret' > secret
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -in secret -out secret.enc
check "RSA decrypts" p11 pkeyutl -decrypt -inkey "$(key rsa)" -in secret.enc -out secret.dec
same "to the plaintext" secret secret.dec
for hash in sha1 sha256; do
  options=(-pkeyopt rsa_padding_mode:oaep -pkeyopt "rsa_oaep_md:$hash" -pkeyopt "rsa_mgf1_md:$hash")
  openssl pkeyutl -encrypt -pubin -inkey rsa.pub "${options[@]}" -in secret -out oaep.enc
  rm -f oaep.dec
  check "RSA-OAEP with $hash decrypts" p11 pkeyutl -decrypt -inkey "$(key rsa)" "${options[@]}" -in oaep.enc -out oaep.dec
  same "to the plaintext" secret oaep.dec
done
# Without the two options version 1.0 passes a mechanism parameter of zeroes: an error is due, not a crash.
refuses "an OAEP parameter of zeroes is refused" '.' \
  p11 pkeyutl -decrypt -inkey "$(key rsa)" -pkeyopt rsa_padding_mode:oaep -in oaep.enc -out no
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem 2> /dev/null
openssl pkey -in peer.pem -pubout -out peer.pub
openssl pkeyutl -derive -inkey peer.pem -peerkey ec.pub -out shared.expected
check "ECDH derives" p11 pkeyutl -derive -inkey "$(key ec)" -peerkey peer.pub -out shared
same "the secret that the other side derives" shared.expected shared

for name in rsa ec; do
  check "CMS is signed with $name" p11 cms -sign -nodetach -inkey "$(key $name)" -signer "$name.pem" -binary -in data \
    -out "$name.cms"
  check "OpenSSL verifies it" openssl cms -verify -binary -in "$name.cms" -CAfile ca.pem -purpose any -out "$name.out"
  same "to the data" data "$name.out"
done
openssl cms -encrypt -aes-256-cbc -binary -in data -out data.cms rsa.pem
check "CMS encrypted for the RSA key is decrypted" \
  p11 cms -decrypt -inkey "$(key rsa)" -recip rsa.pem -binary -in data.cms -out data.out
same "to the data" data data.out
if ! softhsm; then
  # CMS for an EC recipient derives with the X9.63 KDF and shared data.
  openssl cms -encrypt -aes-256-cbc -binary -in data -out ec-data.cms ec.pem
  check "CMS encrypted for the EC key is decrypted" \
    p11 cms -decrypt -inkey "$(key ec)" -recip ec.pem -binary -in ec-data.cms -out ec-data.out
  same "to the data" data ec-data.out
fi

# talk CLAIM NAME OPTIONS...: s_server with the key NAME, s_client with the key 'client', both in the token.
talk() {
  local claim=$1 name=$2 port
  shift 2
  port=$(free_port)
  start env OPENSSL_CONF="$work/openssl.cnf" openssl s_server -key "$(key "$name")" -cert "$name.pem" -CAfile ca.pem \
    -Verify 1 -verify_return_error -accept "$port" -www "$@"
  await_port "$port" || true
  shows "$claim: client and server" 'Verify return code: 0|Verification: OK' bash -c "printf 'GET / HTTP/1.0\r\n\r\n' |
    OPENSSL_CONF='$work/openssl.cnf' timeout 30 openssl s_client -key '$(key client)' -cert client.pem -CAfile ca.pem \
    -verify_return_error -ign_eof -connect localhost:$port $*"
  stop "$server"
}
talk "TLS 1.3 with RSA" rsa -tls1_3
talk "TLS 1.3 with P-256" ec -tls1_3
talk "TLS 1.3 with P-384" p384 -tls1_3
talk "TLS 1.3 with Ed25519" ed -tls1_3
talk "TLS 1.2 with RSA" rsa -tls1_2
talk "TLS 1.2 with P-256" ec -tls1_2

sed 's/^pkcs11-module-token-pin = .*/pkcs11-module-token-pin = wrong-pin/' openssl.cnf > wrong.cnf
refuses "a wrong PIN is refused" '.' env OPENSSL_CONF="$work/wrong.cnf" timeout 60 openssl dgst -sha256 \
  -sign "$(key rsa)" -out no data
refuses "a key that is not there is refused" '.' p11 dgst -sha256 -sign "$(key nobody)" -out no data

finish
