#!/bin/sh
# Makes a random password for each ClickHouse user and for Grafana: make-secrets.sh DIRECTORY
# DIRECTORY/NAME-password is for the process, DIRECTORY/passwords.xml (only hashes) for ClickHouse. What exists is kept.
set -eu
directory=${1:?name a directory for the secrets}
umask 077
mkdir -p "$directory"

for user in worker api migrate operator grafana; do
    file="$directory/$user-password"
    [ -s "$file" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$file"
done

{
    echo '<clickhouse>'
    echo '  <users>'
    for user in worker api migrate operator; do
        hash=$(sha256sum < "$directory/$user-password" | cut -d ' ' -f 1)
        echo "    <$user><password_sha256_hex>$hash</password_sha256_hex></$user>"
    done
    echo '  </users>'
    echo '</clickhouse>'
} > "$directory/passwords.xml"

# The directory is the owner's alone; the files are mounted one by one into containers whose users have other numbers.
chmod 444 "$directory"/*-password "$directory/passwords.xml"
