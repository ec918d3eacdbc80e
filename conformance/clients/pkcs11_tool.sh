#!/usr/bin/env bash
# OpenSC's pkcs11-tool: tokens and PINs, every kind of key, every kind of operation, and its own test suites.
# What the token makes is checked with OpenSSL, which knows nothing of the token.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

tool() { timeout -k 5 "$LIMIT" pkcs11-tool --module "$MODULE" "$@"; }
token() { tool --token-label "$TOKEN" "$@"; }
user() { token --login --pin "$PIN" "$@"; }

# ---- the token and its PINs
shows "an uninitialised slot is listed" 'uninitialized' tool --list-slots
check "a token is initialised" tool --slot-index 0 --init-token --label "$TOKEN" --so-pin "$SO_PIN"
check "the security officer sets the user's PIN" \
  token --init-pin --login --login-type so --so-pin "$SO_PIN" --new-pin first-pin
shows "the module introduces itself" '^Cryptoki version +[23]\.' tool --show-info
shows "the token is found by its label" "token label +: $TOKEN" tool --list-token-slots
if ! softhsm; then
  shows "the interfaces of PKCS#11 3.x are listed" 'PKCS 11' tool --list-interfaces
  shows "the vendor interface is listed" 'Vendor Strongroom' tool --list-interfaces
fi
refuses "a wrong PIN is refused" 'CKR_PIN_INCORRECT' token --login --pin wrong-pin --list-objects
refuses "a wrong SO PIN is refused" 'CKR_PIN_INCORRECT' \
  token --init-pin --login --login-type so --so-pin wrong-pin --new-pin another-pin
refuses "a PIN that is too short is refused" 'CKR_PIN_LEN_RANGE' \
  token --login --pin first-pin --change-pin --new-pin 1
check "the user changes the PIN" token --login --pin first-pin --change-pin --new-pin second-pin
refuses "the old PIN is refused from then on" 'CKR_PIN_INCORRECT' token --login --pin first-pin --list-objects
check "the security officer resets it" \
  token --init-pin --login --login-type so --so-pin "$SO_PIN" --new-pin "$PIN"
check "the PIN that was set last opens the token" user --list-objects
check "random bytes can be had" token --generate-random 32 --output-file random.1
check "and again" token --generate-random 32 --output-file random.2
differ "and they are others each time" random.1 random.2

tool --list-mechanisms > mechanisms 2>&1 || true
for mechanism in RSA-PKCS-KEY-PAIR-GEN RSA-PKCS RSA-PKCS-PSS RSA-PKCS-OAEP SHA256-RSA-PKCS SHA256-RSA-PKCS-PSS RSA-X-509 \
  ECDSA-KEY-PAIR-GEN ECDSA ECDSA-SHA1 ECDSA-SHA256 ECDSA-SHA384 ECDSA-SHA512 ECDH1-DERIVE EDDSA AES-KEY-GEN AES-ECB \
  AES-CBC AES-CBC-PAD AES-CTR AES-GCM AES-CMAC AES-KEY-WRAP SHA-1-HMAC SHA256-HMAC SHA3-256 SHA256 SHA512 \
  GENERIC-SECRET-KEY-GEN; do
  check "the mechanism list names $mechanism" grep -q "^ *$mechanism," mechanisms
done
openssl rand 1000 > data
for hash in SHA-1:sha1 SHA224:sha224 SHA256:sha256 SHA384:sha384 SHA512:sha512; do
  openssl dgst -binary "-${hash#*:}" data > digest.expected
  token --hash --mechanism "${hash%:*}" --input-file data --output-file digest > output 2>&1 || true
  same "the digest ${hash%:*} is OpenSSL's" digest.expected digest
  rm -f digest
done

# ---- keys of each type
generate() { user --keypairgen --key-type "$1" --id "$2" --label "$3" "${@:4}"; }
check "an RSA-2048 key pair is made" generate rsa:2048 01 rsa --usage-sign --usage-decrypt --usage-wrap
check "an RSA-3072 key pair is made" generate rsa:3072 02 rsa3072 --usage-sign
check "an EC P-256 key pair is made" generate EC:prime256v1 03 p256 --usage-sign --usage-derive
check "an EC P-384 key pair is made" generate EC:secp384r1 04 p384 --usage-sign --usage-derive
check "an EC P-521 key pair is made" generate EC:secp521r1 05 p521 --usage-sign --usage-derive
check "an Ed25519 key pair is made" generate EC:edwards25519 06 ed25519 --usage-sign
check "an X25519 key pair is made" generate EC:curve25519 07 x25519 --usage-derive
check "an AES-128 key is made" user --keygen --key-type AES:16 --id 10 --label aes128 --private
check "an AES-192 key is made" user --keygen --key-type AES:24 --id 11 --label aes192
check "an AES-256 key is made" user --keygen --key-type AES:32 --id 12 --label aes256 --sensitive
check "an AES-256 key that may leave is made" user --keygen --key-type AES:32 --id 13 --label aes256x --extractable
check "a generic secret is made" user --keygen --key-type GENERIC:32 --id 14 --label generic --usage-sign --extractable
refuses "RSA with 100 bits is refused" 'CKR_(KEY_SIZE_RANGE|ATTRIBUTE_VALUE_INVALID|TEMPLATE_INCONSISTENT)' \
  generate rsa:100 1f tiny --usage-sign
refuses "AES with 15 bytes is refused" 'CKR_(KEY_SIZE_RANGE|ATTRIBUTE_VALUE_INVALID|TEMPLATE_INCONSISTENT)' \
  user --keygen --key-type AES:15 --id 1f --label tiny
refuses "nobody makes a private key without login" 'CKR_(USER_NOT_LOGGED_IN|SESSION_READ_ONLY)' \
  token --keypairgen --key-type rsa:2048 --id 1e --label nobody

user --list-objects > objects 2>&1 || true
for label in rsa rsa3072 p256 p384 p521 ed25519 x25519 aes128 aes192 aes256 aes256x generic; do
  shows "the key $label is listed" "^ +label: +$label\$" cat objects
done
token --list-objects > objects.public 2>&1 || true
shows "without login a public key is listed" 'Public Key Object' cat objects.public
check "and no private key" bash -c '! grep "Private Key Object" objects.public'
check "nor a private secret key" bash -c '! grep -w aes128 objects.public'
shows "private keys are never extractable and were made here" \
  'sensitive, always sensitive, never extractable, local' grep -A 7 'Private Key Object; RSA' objects

# pkcs11-tool's test of threads that initialise at the same time sleeps for half a minute when a thread still runs at its
# end; so five of them go on beside the rest.
for round in 1 2 3 4 5; do
  tool --test-threads ILGISL --test-threads ILGISL --test-threads ILGISL > "threads.$round" 2>&1 &
  rounds[round]=$!
done

# ---- RSA
pubkey() { # pubkey ID FILE: the public key as PEM
  token --read-object --type pubkey --id "$1" --output-file "$2.der" &&
    openssl pkey -pubin -inform DER -in "$2.der" -out "$2"
}
check "the RSA public key can be read" pubkey 01 rsa.pem
check "the RSA-3072 public key can be read" pubkey 02 rsa3072.pem
check "the P-256 public key can be read" pubkey 03 p256.pem

sign() { user --sign --mechanism "$1" --id "$2" --input-file "$3" --output-file "$4" "${@:5}"; }
verify() { user --verify --mechanism "$1" --id "$2" --input-file "$3" --signature-file "$4" "${@:5}"; }
for hash in SHA1 SHA256 SHA384 SHA512; do
  check "$hash-RSA-PKCS signs" sign "$hash-RSA-PKCS" 01 data "$hash.sig"
  check "OpenSSL verifies it" openssl dgst "-${hash,,}" -verify rsa.pem -signature "$hash.sig" data
  shows "the token verifies it" 'Signature is valid' verify "$hash-RSA-PKCS" 01 data "$hash.sig"
done
check "RSA-3072 signs" sign SHA256-RSA-PKCS 02 data rsa3072.sig
check "OpenSSL verifies it" openssl dgst -sha256 -verify rsa3072.pem -signature rsa3072.sig data
head -c 999 data > data.short
shows "a signature of other data is invalid" '(Invalid signature|CKR_SIGNATURE_INVALID)' \
  bash -c "pkcs11-tool --module '$MODULE' --token-label $TOKEN --login --pin $PIN --verify --mechanism SHA256-RSA-PKCS \
    --id 01 --input-file data.short --signature-file SHA256.sig 2>&1 || true"
openssl dgst -sha256 -binary data > digest.sha256
openssl dgst -sha384 -binary data > digest.sha384
check "RSA-PKCS-PSS signs a digest" \
  sign RSA-PKCS-PSS 01 digest.sha256 pss.sig --hash-algorithm SHA256 --mgf MGF1-SHA256
check "OpenSSL verifies it" openssl pkeyutl -verify -pubin -inkey rsa.pem -in digest.sha256 -sigfile pss.sig \
  -pkeyopt rsa_padding_mode:pss -pkeyopt digest:sha256 -pkeyopt rsa_pss_saltlen:32
shows "the token verifies it" 'Signature is valid' \
  verify RSA-PKCS-PSS 01 digest.sha256 pss.sig --hash-algorithm SHA256 --mgf MGF1-SHA256
for hash in SHA1 SHA256 SHA384 SHA512; do
  check "$hash-RSA-PKCS-PSS signs" sign "$hash-RSA-PKCS-PSS" 01 data "pss-$hash.sig" --mgf "MGF1-$hash" --salt-len 20
  check "OpenSSL verifies it" openssl dgst "-${hash,,}" -verify rsa.pem -signature "pss-$hash.sig" \
    -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20 data
done
printf 'a short secret' > secret
openssl pkeyutl -encrypt -pubin -inkey rsa.pem -in secret -out rsa.enc
check "RSA-PKCS decrypts what OpenSSL encrypted" \
  user --decrypt --mechanism RSA-PKCS --id 01 --input-file rsa.enc --output-file rsa.dec
same "to the plaintext" secret rsa.dec
for hash in SHA1 SHA224 SHA256 SHA384 SHA512; do
  name=$hash
  if [[ $hash == SHA1 ]]; then name=SHA-1; fi
  openssl pkeyutl -encrypt -pubin -inkey rsa.pem -in secret -out oaep.enc -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt "rsa_oaep_md:$hash" -pkeyopt "rsa_mgf1_md:$hash"
  rm -f oaep.dec
  check "RSA-PKCS-OAEP with $hash decrypts what OpenSSL encrypted" user --decrypt --mechanism RSA-PKCS-OAEP --id 01 \
    --hash-algorithm "$name" --mgf "MGF1-$hash" --input-file oaep.enc --output-file oaep.dec
  same "to the plaintext" secret oaep.dec
done
dd if=/dev/urandom of=junk bs=256 count=1 2> /dev/null
printf '\0' | dd of=junk conv=notrunc 2> /dev/null
refuses "RSA-PKCS-OAEP refuses junk" 'error: PKCS11 function' \
  user --decrypt --mechanism RSA-PKCS-OAEP --id 01 --hash-algorithm SHA-1 --mgf MGF1-SHA1 --input-file junk --output-file no
refuses "AES mechanisms refuse an RSA key" 'error' \
  user --decrypt --mechanism AES-ECB --id 01 --input-file rsa.enc --output-file no

# ---- elliptic curves
for curve in 03:256 04:384 05:521; do
  id=${curve%:*}
  openssl dgst -sha256 -binary data > digest
  check "ECDSA P-${curve#*:} signs a digest" sign ECDSA "$id" digest "ecdsa-$id.sig"
  shows "the token verifies it" 'Signature is valid' verify ECDSA "$id" digest "ecdsa-$id.sig"
done
check "ECDSA gives OpenSSL's form of a signature too" \
  sign ECDSA 03 digest.sha256 ecdsa.der --signature-format openssl
check "OpenSSL verifies it" openssl pkeyutl -verify -pubin -inkey p256.pem -in digest.sha256 -sigfile ecdsa.der
for hash in SHA1 SHA256 SHA384 SHA512; do
  check "ECDSA-$hash signs" sign "ECDSA-$hash" 03 data "ecdsa-$hash.sig" --signature-format openssl
  check "OpenSSL verifies it" openssl dgst "-${hash,,}" -verify p256.pem -signature "ecdsa-$hash.sig" data
done
check "EDDSA signs" sign EDDSA 06 data ed25519.sig
# pkcs11-tool 0.23 cannot write an Edwards public key: SubjectPublicKeyInfo is put together from the listed point.
point=$(grep -A 3 'Public Key Object; EC_EDWARDS' objects | sed -n 's/.*EC_POINT: *\(0420\)\?//p' | tr -d ' \n')
printf '302a300506032b6570032100%s' "$point" | xxd -r -p | openssl pkey -pubin -inform DER -out ed25519.pem 2> /dev/null || true
check "OpenSSL verifies it" openssl pkeyutl -verify -rawin -pubin -inkey ed25519.pem -in data -sigfile ed25519.sig

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem 2> /dev/null
openssl pkey -in peer.pem -pubout -outform DER -out peer.der
openssl pkeyutl -derive -inkey peer.pem -peerkey p256.pem -out shared.expected
check "ECDH with a P-256 key derives" \
  user --derive --mechanism ECDH1-DERIVE --id 03 --input-file peer.der --output-file shared
same "the secret that the other side derives" shared.expected shared
check "ECDH with the point in DER derives" \
  user --derive --derive-pass-der --mechanism ECDH1-DERIVE --id 03 --input-file peer.der --output-file shared.der
same "the same secret" shared.expected shared.der
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out other.pem 2> /dev/null
openssl pkey -in other.pem -pubout -outform DER -out other.der
refuses "ECDH with a point of another curve is refused" 'error' \
  user --derive --mechanism ECDH1-DERIVE --id 03 --input-file other.der --output-file no

# ---- secret keys
key=000102030405060708090a0b0c0d0e0f
iv=0f0e0d0c0b0a09080706050403020100
printf '%s' "$key" | xxd -r -p > aes.raw
check "an AES key can be imported" \
  user --write-object aes.raw --type secrkey --key-type AES:16 --id 20 --label imported --extractable
refuses "the value of a sensitive key cannot be read" '(CKR_ATTRIBUTE_SENSITIVE|reading key value|error|failed)' \
  user --read-object --type secrkey --id 12 --output-file no
head -c 160 data > blocks
openssl enc -aes-128-ecb -nopad -K "$key" -in blocks -out ecb.expected
openssl enc -aes-128-cbc -nopad -K "$key" -iv "$iv" -in blocks -out cbc.expected
openssl enc -aes-128-cbc -K "$key" -iv "$iv" -in data -out pad.expected
for row in AES-ECB:ecb:blocks AES-CBC:cbc:blocks AES-CBC-PAD:pad:data; do
  IFS=: read -r mechanism name input <<< "$row"
  check "$mechanism encrypts" \
    user --encrypt --mechanism "$mechanism" --iv "$iv" --id 20 --input-file "$input" --output-file "$name.enc"
  same "as OpenSSL does" "$name.expected" "$name.enc"
  check "$mechanism decrypts" \
    user --decrypt --mechanism "$mechanism" --iv "$iv" --id 20 --input-file "$name.expected" --output-file "$name.dec"
  same "back to the plaintext" "$input" "$name.dec"
done
refuses "AES-CBC refuses a length that is no multiple of 16" 'CKR_DATA_LEN_RANGE' \
  user --encrypt --mechanism AES-CBC --iv "$iv" --id 20 --input-file secret --output-file no
head -c 1000 pad.expected > pad.cut
refuses "AES-CBC-PAD refuses a cut ciphertext" 'CKR_ENCRYPTED_DATA_(LEN_RANGE|INVALID)' \
  user --decrypt --mechanism AES-CBC-PAD --iv "$iv" --id 20 --input-file pad.cut --output-file no
# pkcs11-tool 0.23 cannot import a generic secret; one that is not sensitive shows its value.
check "the value of a key that is not sensitive can be read" \
  user --read-object --type secrkey --id 14 --output-file generic.raw
check "SHA256-HMAC signs" sign SHA256-HMAC 14 data hmac.sig
openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(xxd -p -c 64 generic.raw)" -binary -out hmac.expected data
same "as OpenSSL does" hmac.expected hmac.sig

# ---- wrapping
check "RSA-PKCS wraps a key that may leave" \
  user --wrap --mechanism RSA-PKCS --id 01 --application-id 13 --output-file wrapped
check "RSA-PKCS unwraps it" user --unwrap --mechanism RSA-PKCS --id 01 --input-file wrapped --key-type AES: \
  --application-id 22 --application-label unwrapped
check "the original encrypts" \
  user --encrypt --mechanism AES-CBC-PAD --iv "$iv" --id 13 --input-file data --output-file original.enc
check "the unwrapped key decrypts" \
  user --decrypt --mechanism AES-CBC-PAD --iv "$iv" --id 22 --input-file original.enc --output-file unwrapped.dec
same "to the plaintext: it is the same key" data unwrapped.dec
refuses "a key that may not leave cannot be wrapped" 'CKR_KEY_(UNEXTRACTABLE|NOT_WRAPPABLE)' \
  user --wrap --mechanism RSA-PKCS --id 01 --application-id 12 --output-file no

# ---- certificates, imported keys, data
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -subj /CN=imported -days 2 -outform DER -out cert.der 2> /dev/null
openssl pkey -in key.pem -outform DER -out key.der
check "a certificate can be stored" user --write-object cert.der --type cert --id 31 --label imported-cert
check "and read without login" token --read-object --type cert --id 31 --output-file cert.out
same "byte for byte" cert.der cert.out
check "an RSA private key can be imported" \
  user --write-object key.der --type privkey --id 31 --label imported-key --usage-sign
check "it signs" sign SHA256-RSA-PKCS 31 data imported.sig
openssl x509 -inform DER -in cert.der -pubkey -noout > imported.pem
check "OpenSSL verifies it" openssl dgst -sha256 -verify imported.pem -signature imported.sig data
openssl pkey -in peer.pem -outform DER -out peer-key.der
check "an EC private key can be imported" \
  user --write-object peer-key.der --type privkey --id 32 --label imported-ec --usage-sign
check "it signs" sign ECDSA 32 digest.sha256 imported-ec.sig --signature-format openssl
openssl pkey -in peer.pem -pubout -out peer.pub
check "OpenSSL verifies it" openssl pkeyutl -verify -pubin -inkey peer.pub -in digest.sha256 -sigfile imported-ec.sig
check "an id can be changed" user --type cert --id 31 --set-id 41
check "the object is found by the new id" token --read-object --type cert --id 41 --output-file cert.41
check "a data object can be stored" user --write-object data --type data --label blob --application-label tests --private
check "and read" user --read-object --type data --label blob --output-file blob
same "byte for byte" data blob
refuses "but not without login" 'error' token --read-object --type data --label blob --output-file no
check "it can be deleted" user --delete-object --type data --label blob
refuses "and is gone" '(not found|error)' user --read-object --type data --label blob --output-file no
check "a key pair can be deleted: private key" user --delete-object --type privkey --id 02
check "a key pair can be deleted: public key" user --delete-object --type pubkey --id 02
user --list-objects > objects.2 2>&1 || true
check "and is gone" bash -c '! grep -w rsa3072 objects.2'

# ---- pkcs11-tool's own suites
shows "pkcs11-tool --test finds no error" '^No errors' user --test
shows "pkcs11-tool --test-ec finds no error" '==> OK' \
  user --session-rw --test-ec --id 99 --key-type EC:prime256v1
for round in 1 2 3 4 5; do
  check "pkcs11-tool --test-threads, process $round of five" wait_for "${rounds[round]}"
done
check "pkcs11-tool --test-fork" tool --test-fork

finish
