#!/usr/bin/env bash
# NSS: modutil, certutil, pk12util, cmsutil, and TLS between selfserv and tstclnt with keys in the token.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

mkdir db
echo "$TOKEN:$PIN" > passwords
echo "$PIN" > pin
cert() { timeout -k 5 "$LIMIT" certutil -d sql:db -f passwords "$@"; }
openssl rand 2048 > noise
make_ca() {
  printf 'y\n\ny\n' | cert -S -x -h "$TOKEN" -n ca -s CN=ca -t CT,C,C -k rsa -g 2048 -z noise -m 1 -v 12 \
    --keyUsage certSigning,crlSigning -2
}
# Certificates of one subject are one to NSS: it answers the newest for the name of each.
issue() { # issue NAME SERIAL KEY-OPTIONS...
  cert -S -h "$TOKEN" -n "$1" -s "CN=$1" -c "$TOKEN:ca" -t ,, -z noise -m "$2" -v 12 --extSAN dns:localhost "${@:3}"
}
check "a database is made" certutil -N -d sql:db --empty-password
check "modutil takes the module" modutil -force -dbdir sql:db -add conformance -libfile "$MODULE"
shows "modutil lists the token" "$TOKEN" modutil -dbdir sql:db -list
check "certutil makes an authority with an RSA key in the token" make_ca
check "certutil issues an RSA certificate" issue rsa 2 -k rsa -g 2048
check "certutil issues an EC certificate" issue ec 3 -k ec -q nistp256
check "certutil issues a certificate for the client" issue client 4 -k ec -q nistp256
shows "certutil lists the private keys" 'client' cert -K -h "$TOKEN"
shows "certutil lists the certificates" "$TOKEN:rsa" cert -L -h "$TOKEN"
check "certutil makes a request" cert -R -h "$TOKEN" -s CN=request -k rsa -g 2048 -z noise -a -o request.pem
shows "OpenSSL verifies it" 'verify OK' openssl req -in request.pem -verify -noout
for name in ca rsa ec client; do cert -L -h "$TOKEN" -n "$TOKEN:$name" -a -o "$name.pem" > output 2>&1 || true; done
for name in rsa ec client; do check "OpenSSL verifies the certificate $name" openssl verify -CAfile ca.pem "$name.pem"; done

openssl req -x509 -newkey rsa:2048 -nodes -keyout imported.key -subj /CN=imported -days 2 -out imported.pem 2> /dev/null
openssl pkcs12 -export -inkey imported.key -in imported.pem -name imported -passout pass:pw -out imported.p12
check "pk12util imports a key and its certificate" \
  timeout "$LIMIT" pk12util -i imported.p12 -W pw -d sql:db -h "$TOKEN" -k pin
shows "the imported key is listed" 'imported' cert -K -h "$TOKEN"

echo 'a message' > message
check "cmsutil signs" timeout "$LIMIT" cmsutil -S -d sql:db -f passwords -N "$TOKEN:client" -i message -o message.p7
check "OpenSSL verifies it" openssl cms -verify -inform DER -in message.p7 -CAfile ca.pem -purpose any -out message.out
openssl cms -encrypt -aes-256-cbc -outform DER -in message -out message.enc rsa.pem
check "cmsutil decrypts what OpenSSL encrypted for the RSA key" \
  timeout "$LIMIT" cmsutil -D -d sql:db -f passwords -i message.enc -o message.dec
check "to the message" grep -q '^a message' message.dec

printf 'GET / HTTP/1.0\r\n\r\n' > request
# talk CLAIM NAME VERSION: a TLS handshake with client authentication.
talk() {
  local port
  port=$(free_port)
  start selfserv -d sql:db -n "$TOKEN:$2" -p "$port" -f passwords -V "$3:$3" -r -r
  await_port "$port" || true
  shows "$1" '^HTTP/1' bash -c "timeout 30 tstclnt -d sql:db -w $PIN -h localhost -p $port -V $3:$3 -n $TOKEN:client \
    -o -4 < request || { cat server.log; false; }"
  stop "$server"
}
talk "TLS 1.3 with RSA" rsa tls1.3
talk "TLS 1.3 with EC" ec tls1.3
talk "TLS 1.2 with RSA" rsa tls1.2
talk "TLS 1.2 with EC" ec tls1.2
check "certutil deletes a key with its certificate" cert -F -n "$TOKEN:imported"

finish
