#!/usr/bin/env bash
# OpenSSL with the engine of libp11: requests, certificates, signatures, CMS, TLS on both sides, and curl.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

engine=$(find /usr/lib -path '*/engines-3/pkcs11.so' -print -quit 2> /dev/null)
cat > openssl.cnf <<CONFIGURATION
openssl_conf = init
[init]
engines = engines
[engines]
pkcs11 = pkcs11_section
[pkcs11_section]
engine_id = pkcs11
dynamic_path = $engine
MODULE_PATH = $MODULE
PIN = $PIN
init = 0
[req]
distinguished_name = name
[name]
CONFIGURATION
with_engine() { OPENSSL_CONF=$work/openssl.cnf timeout -k 5 "$LIMIT" "$@"; }
key() { echo "$TOKEN_URI;object=$1;type=private"; }
generate() {
  timeout "$LIMIT" pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --login --pin "$PIN" --keypairgen \
    --key-type "$1" --id "$2" --label "$3" "${@:4}"
}
check "an RSA key pair is made" generate rsa:2048 01 rsa --usage-sign --usage-decrypt
check "an EC key pair is made" generate EC:prime256v1 02 ec --usage-sign --usage-derive
check "a second EC key pair is made" generate EC:prime256v1 03 client --usage-sign

shows "the engine loads the module" 'pkcs11' with_engine openssl engine pkcs11 -t
for name in rsa ec client; do
  check "the public key of $name can be had" \
    with_engine openssl pkey -engine pkcs11 -inform engine -in "$(key $name)" -pubout -out "$name.pub"
done
check "a self-signed certificate is made with the RSA key" with_engine openssl req -engine pkcs11 -keyform engine \
  -key "$(key rsa)" -new -x509 -days 3 -subj /CN=ca -addext basicConstraints=critical,CA:TRUE -out ca.pem
check "OpenSSL verifies it" openssl verify -CAfile ca.pem ca.pem
for name in rsa ec client; do
  check "a request is made with $name" with_engine openssl req -engine pkcs11 -keyform engine -key "$(key $name)" -new \
    -subj "/CN=$name" -out "$name.req"
  shows "OpenSSL verifies the request" 'verify OK' openssl req -in "$name.req" -verify -noout
  printf 'subjectAltName = DNS:localhost, IP:127.0.0.1\n' > extensions
  check "the authority's key signs the certificate" with_engine openssl x509 -engine pkcs11 -CAkeyform engine -CA ca.pem \
    -CAkey "$(key rsa)" -req -in "$name.req" -set_serial "0x$RANDOM" -days 3 -extfile extensions -out "$name.pem"
  check "OpenSSL verifies the chain" openssl verify -CAfile ca.pem "$name.pem"
done

openssl rand 5000 > data
for name in rsa ec; do
  for hash in sha256 sha384 sha512; do
    check "$name signs $hash" with_engine openssl dgst -engine pkcs11 -keyform engine -sign "$(key $name)" "-$hash" \
      -out "$name.sig" data
    check "OpenSSL verifies it" openssl dgst -verify "$name.pub" "-$hash" -signature "$name.sig" data
  done
done
check "RSA-PSS signs" with_engine openssl dgst -engine pkcs11 -keyform engine -sign "$(key rsa)" -sha256 \
  -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -out pss.sig data
check "OpenSSL verifies it" openssl dgst -verify rsa.pub -sha256 -sigopt rsa_padding_mode:pss -signature pss.sig data
printf 'a secret' > secret
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -in secret -out secret.enc
check "RSA decrypts" \
  with_engine openssl pkeyutl -engine pkcs11 -keyform engine -decrypt -inkey "$(key rsa)" -in secret.enc -out secret.dec
same "to the plaintext" secret secret.dec
openssl pkeyutl -encrypt -pubin -inkey rsa.pub -pkeyopt rsa_padding_mode:oaep -in secret -out oaep.enc
check "RSA-OAEP decrypts" with_engine openssl pkeyutl -engine pkcs11 -keyform engine -decrypt -inkey "$(key rsa)" \
  -pkeyopt rsa_padding_mode:oaep -in oaep.enc -out oaep.dec
same "to the plaintext" secret oaep.dec
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem 2> /dev/null
openssl pkey -in peer.pem -pubout -out peer.pub
openssl pkeyutl -derive -inkey peer.pem -peerkey ec.pub -out shared.expected
check "ECDH derives" with_engine openssl pkeyutl -engine pkcs11 -keyform engine -derive -inkey "$(key ec)" \
  -peerkey peer.pub -out shared
same "the secret that the other side derives" shared.expected shared

for name in rsa ec; do
  check "CMS is signed with $name" with_engine openssl cms -sign -nodetach -engine pkcs11 -keyform engine \
    -inkey "$(key $name)" -signer "$name.pem" -binary -in data -out "$name.cms"
  check "OpenSSL verifies it" openssl cms -verify -binary -in "$name.cms" -CAfile ca.pem -purpose any -out "$name.out"
  same "to the data" data "$name.out"
done
openssl cms -encrypt -aes-256-cbc -binary -in data -out data.cms rsa.pem
check "CMS encrypted for the RSA key is decrypted" with_engine openssl cms -decrypt -engine pkcs11 -keyform engine \
  -inkey "$(key rsa)" -recip rsa.pem -binary -in data.cms -out data.out
same "to the data" data data.out

# talk CLAIM NAME OPTIONS...: s_server with the key NAME, s_client with the key 'client', both in the token.
talk() {
  local claim=$1 name=$2 port
  shift 2
  port=$(free_port)
  start env OPENSSL_CONF="$work/openssl.cnf" openssl s_server -engine pkcs11 -keyform engine -key "$(key "$name")" \
    -cert "$name.pem" -CAfile ca.pem -Verify 1 -verify_return_error -accept "$port" -www "$@"
  await_port "$port" || true
  shows "$claim: client and server" 'Verify return code: 0|Verification: OK' bash -c "printf 'GET / HTTP/1.0\r\n\r\n' |
    OPENSSL_CONF='$work/openssl.cnf' timeout 30 openssl s_client -engine pkcs11 -keyform engine -key '$(key client)' \
    -cert client.pem -CAfile ca.pem -verify_return_error -ign_eof -connect localhost:$port $*"
  shows "$claim: curl" 'HTTP/1|Ciphers supported|Secure Renegotiation' with_engine curl -sS --engine pkcs11 \
    --key-type ENG --key "$(key client)" --cert client.pem --cacert ca.pem "https://localhost:$port/"
  stop "$server"
}
talk "TLS 1.3 with RSA" rsa -tls1_3
talk "TLS 1.3 with EC" ec -tls1_3
talk "TLS 1.2 with RSA" rsa -tls1_2
talk "TLS 1.2 with EC" ec -tls1_2

sed 's/^PIN = .*/PIN = wrong-pin/' openssl.cnf > wrong.cnf
refuses "a wrong PIN is refused" '.' env OPENSSL_CONF="$work/wrong.cnf" timeout 60 openssl dgst -engine pkcs11 \
  -keyform engine -sign "$(key rsa)" -sha256 -out no data
refuses "a key that is not there is refused" '.' with_engine openssl dgst -engine pkcs11 -keyform engine \
  -sign "$(key nobody)" -sha256 -out no data

finish
