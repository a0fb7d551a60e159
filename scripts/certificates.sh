#!/usr/bin/env bash
# Makes an authority and what it vouches for: certificates.sh FOLDER [NAMES], names as OpenSSL writes them, built in
# those of the loopback.
#
# ca.pem, server.pem and server-key.pem, client.pem and client-key.pem, and server.keystore.pem,
# which is the key and the certificate in one file, as Kafka wants them. A folder that is complete stays as it is.
set -euo pipefail
folder="$1" names="${2:-DNS:localhost, IP:127.0.0.1, IP:::1}"
[ ! -e "$folder/.complete" ] || exit 0
mkdir -p "$folder"
cd "$folder"

cat >openssl.cnf <<CONF
[req]
distinguished_name = name
prompt = no
[name]
CN = rushgate stack
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = $names
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
CONF

quietly() { openssl "$@" 2>openssl.log || { cat openssl.log >&2; exit 1; }; }

key() { quietly genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# signed <name>: a key and a certificate of 30 days.
signed() {
    key "$1-key.pem"
    quietly req -new -config openssl.cnf -key "$1-key.pem" -subj "/CN=rushgate stack $1" -out "$1.csr"
    quietly x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -sha256 \
        -extfile openssl.cnf -extensions "$1" -out "$1.pem"
}

umask 077
key ca-key.pem
quietly req -x509 -new -config openssl.cnf -extensions authority -key ca-key.pem -days 30 -sha256 -out ca.pem
signed server
signed client
cat server-key.pem server.pem >server.keystore.pem
touch .complete
