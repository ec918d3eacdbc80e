#!/usr/bin/env bash
# Python: python-pkcs11 and PyKCS11 from PyPI, in a virtual environment of their own.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
initialise_token

environment=$root/.cache/python
make_environment() {
  python3 -m venv "$environment" &&
    "$environment/bin/pip" install --quiet --disable-pip-version-check python-pkcs11==0.10.1 PyKCS11==1.5.20 cryptography
}
if ! "$environment/bin/python" -c 'import pkcs11, PyKCS11, cryptography' 2> /dev/null; then
  rm -rf "$environment"
  check "python-pkcs11 and PyKCS11 can be had from PyPI" make_environment
fi
status=0
timeout -k 5 "$LIMIT" "$environment/bin/python" -B "$root/conformance/clients/python_clients.py" \
  "$MODULE" "$TOKEN" "$PIN" "$SO_PIN" > log 2>&1 || status=$?
cat log
passed=$((passed + $(grep -c '^ok - ' log || true)))
failed=$((failed + $(grep -c '^not ok - ' log || true)))
if ((status > 1)); then not_ok "the Python program runs to its end (ended with $status)"; fi
check "both libraries were driven" grep -q '^# both libraries' log

finish
