#!/usr/bin/env bash
# GnuTLS: p11tool, certtool, and TLS between gnutls-serv and gnutls-cli with keys in the token on both sides.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

export GNUTLS_PIN=$PIN
tool() { timeout -k 5 "$LIMIT" p11tool --provider "$MODULE" --batch "$@"; }
user() { tool --login "$@"; }
cert() { timeout -k 5 "$LIMIT" certtool --provider "$MODULE" "$@"; }
private() { echo "$TOKEN_URI;object=$1;type=private"; }

shows "p11tool lists the token" "token=$TOKEN" tool --list-tokens
shows "p11tool lists mechanisms" 'CKM_AES_GCM' tool --list-mechanisms "$TOKEN_URI"
check "p11tool makes an RSA key" \
  user --generate-privkey=rsa --bits=2048 --label=rsa --id=01 --outfile rsa.pub "$TOKEN_URI"
check "p11tool makes an EC P-256 key" \
  user --generate-privkey=ecdsa --curve=secp256r1 --label=p256 --id=02 --outfile p256.pub "$TOKEN_URI"
check "p11tool makes an EC P-384 key" \
  user --generate-privkey=ecdsa --curve=secp384r1 --label=p384 --id=03 --outfile p384.pub "$TOKEN_URI"
shows "its public key is a valid one" 'ASN1 OID: prime256v1' openssl pkey -pubin -in p256.pub -text -noout
shows "p11tool lists the private keys" 'object=p384;type=private' user --list-privkeys "$TOKEN_URI"
shows "with their flags" 'CKA_NEVER_EXTRACTABLE|CKA_SENSITIVE' user --list-privkeys "$TOKEN_URI"
for key in rsa p256 p384; do
  shows "p11tool signs and verifies with $key" 'ok' user --test-sign "$(private $key)"
done
shows "p11tool signs with RSA-PSS" 'ok' user --test-sign --sign-params=rsa-pss --hash=sha256 "$(private rsa)"
refuses "a private key cannot be exported" '(error|Error|denied|cannot)' user --export "$(private rsa)"
refuses "a wrong PIN is refused" '(PIN|error|Error)' env GNUTLS_PIN=wrong-pin timeout 60 \
  p11tool --provider "$MODULE" --batch --login --list-privkeys "$TOKEN_URI"

template() { # template NAME LINES...
  local name=$1
  shift
  printf '%s\n' "cn = \"$name\"" 'expiration_days = 3' "$@" > "$name.template"
}
template ca 'ca' 'cert_signing_key' 'crl_signing_key'
template localhost 'dns_name = "localhost"' 'ip_address = "127.0.0.1"' 'tls_www_server' 'signing_key' 'encryption_key'
template client 'tls_www_client' 'signing_key'
check "certtool makes a self-signed certificate with the RSA key" \
  cert --generate-self-signed --template ca.template --load-privkey "$(private rsa)" --outfile ca.pem
check "OpenSSL verifies it" openssl verify -CAfile ca.pem ca.pem
for key in p256:localhost p384:client rsa:localhost; do
  name=${key#*:}-${key%:*}
  check "certtool makes a request with ${key%:*}" cert --generate-request --template "${key#*:}.template" \
    --load-privkey "$(private "${key%:*}")" --outfile "$name.req"
  check "certtool signs it with the authority's key" cert --generate-certificate --load-request "$name.req" \
    --load-ca-certificate ca.pem --load-ca-privkey "$(private rsa)" --template "${key#*:}.template" --outfile "$name.pem"
  check "OpenSSL verifies the chain" openssl verify -CAfile ca.pem "$name.pem"
done
check "p11tool stores the certificate" \
  user --write --load-certificate localhost-p256.pem --label=p256 --id=02 "$TOKEN_URI"
check "p11tool exports it without login" \
  tool --export --outfile exported.pem "$TOKEN_URI;object=p256;type=cert"
openssl x509 -in exported.pem -outform DER -out exported.der 2> /dev/null || true
openssl x509 -in localhost-p256.pem -outform DER -out stored.der
same "byte for byte" stored.der exported.der
echo 'a message' > message
check "certtool signs a message" cert --p7-sign --load-privkey "$(private rsa)" --load-certificate ca.pem \
  --infile message --outfile message.p7
check "OpenSSL verifies it" openssl cms -verify -inform PEM -in message.p7 -CAfile ca.pem -purpose any -out message.out
check "p11tool stores a secret key" \
  user --write --secret-key 00112233445566778899aabbccddeeff --label=secret "$TOKEN_URI"
check "p11tool deletes it" user --delete "$TOKEN_URI;object=secret;type=secret-key"
check "p11tool asks for random bytes" tool --generate-random=16 --outfile random "$TOKEN_URI"
check "and gets as many as it asked for" test "$(stat -c %s random 2> /dev/null)" = 16
check "p11tool changes a label" user --set-label=renamed "$(private p384)"
shows "and finds the object by it" 'object=renamed;type=private' user --list-privkeys "$TOKEN_URI"
check "p11tool changes it back" user --set-label=p384 "$(private renamed)"

# talk CLAIM SERVER-KEY SERVER-CERTIFICATE PRIORITY: a TLS handshake with keys in the token on both sides.
talk() {
  local port
  port=$(free_port)
  start gnutls-serv --provider "$MODULE" --http --port "$port" --priority "$4" --x509cafile ca.pem --require-client-cert \
    --x509certfile "$3" --x509keyfile "$2"
  await_port "$port" || true
  shows "$1" 'Handshake was completed' bash -c "printf 'GET / HTTP/1.0\r\n\r\n' | timeout 30 gnutls-cli \
    --provider '$MODULE' --priority '$4' --x509cafile ca.pem --x509certfile client-p384.pem \
    --x509keyfile '$(private p384)' --port $port localhost"
  stop "$server"
}
talk "TLS 1.3 with P-256" "$(private p256)" "$TOKEN_URI;object=p256;type=cert" 'NORMAL:-VERS-ALL:+VERS-TLS1.3'
talk "TLS 1.2 with P-256" "$(private p256)" localhost-p256.pem 'NORMAL:-VERS-ALL:+VERS-TLS1.2'
talk "TLS 1.3 with RSA" "$(private rsa)" localhost-rsa.pem 'NORMAL:-VERS-ALL:+VERS-TLS1.3'
talk "TLS 1.2 with RSA signatures" "$(private rsa)" localhost-rsa.pem 'NORMAL:-VERS-ALL:+VERS-TLS1.2:-RSA'
talk "TLS 1.2 with RSA key exchange" "$(private rsa)" localhost-rsa.pem 'NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA'

finish
