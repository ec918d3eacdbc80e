#!/usr/bin/env bash
# OpenSSH: keys of the token for listing, logging in, the agent, certificates and as a host key.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

generate() {
  timeout "$LIMIT" pkcs11-tool --module "$MODULE" --token-label "$TOKEN" --login --pin "$PIN" --keypairgen \
    --key-type "$1" --id "$2" --label "$3" --usage-sign
}
check "an RSA key pair is made" generate rsa:2048 01 user-rsa
check "an EC key pair is made" generate EC:prime256v1 02 user-ec

# The PIN comes from a program, as there is no terminal.
printf '#!/bin/sh\necho %s\n' "$PIN" > askpass
chmod 700 askpass
export SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force DISPLAY=:0
module=$(realpath "$MODULE")

check "ssh-keygen lists the public keys without a PIN" bash -c "ssh-keygen -D '$module' > public.keys"
shows "the RSA key" '^ssh-rsa ' cat public.keys
shows "the EC key" '^ecdsa-sha2-nistp256 ' cat public.keys

ssh-keygen -q -t ed25519 -N '' -f host
port=$(free_port)
cat > sshd_config <<CONFIGURATION
ListenAddress 127.0.0.1
Port $port
HostKey $work/host
AuthorizedKeysFile $work/public.keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
CONFIGURATION
if ((EUID == 0)); then mkdir -p /run/sshd; fi
start /usr/sbin/sshd -D -e -f "$work/sshd_config"
await_port "$port" || true
echo "[127.0.0.1]:$port $(cut -d ' ' -f 1,2 host.pub)" > known_hosts
login() {
  timeout -k 5 60 ssh -F none -p "$port" -o UserKnownHostsFile="$work/known_hosts" -o StrictHostKeyChecking=yes \
    -o PreferredAuthentications=publickey "$@" 127.0.0.1 echo logged in
}
grep '^ssh-rsa' public.keys > rsa.pub || true
grep '^ecdsa' public.keys > ec.pub || true
shows "ssh logs in with the token's keys" '^logged in' login -o IdentityAgent=none -o PKCS11Provider="$module"
for key in rsa ec; do
  shows "ssh logs in with the key $key" '^logged in' \
    login -o IdentityAgent=none -o PKCS11Provider="$module" -o IdentitiesOnly=yes -i "$work/$key.pub"
done

# The agent loads modules of folders that it was told of.
agent=$work/agent
start ssh-agent -D -a "$agent" -P "$(dirname "$module")/*"
await_path "$agent" || true
export SSH_AUTH_SOCK=$agent
check "the agent takes the module" timeout 60 ssh-add -s "$module"
shows "the agent lists the keys" 'nistp256' ssh-add -L
shows "ssh logs in through the agent" '^logged in' login
ssh-keygen -q -t ed25519 -N '' -f user
check "a key of the token signs a user certificate" \
  timeout 60 ssh-keygen -q -s ec.pub -U -I conformance -n "$(id -un)" user.pub
shows "the certificate is valid" 'user certificate' ssh-keygen -L -f user-cert.pub
echo 'a message' > message
check "a key of the token signs a file" timeout 60 ssh-keygen -q -Y sign -n file -f ec.pub message
printf 'me %s\n' "$(cut -d ' ' -f 1,2 ec.pub)" > signers
shows "the signature is good" 'Good "file" signature' \
  bash -c 'ssh-keygen -Y verify -f signers -I me -n file -s message.sig < message'
check "the agent lets the module go" timeout 60 ssh-add -e "$module"

finish
