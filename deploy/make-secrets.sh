#!/bin/sh
# Makes a random password for each ClickHouse user and for Grafana: make-secrets.sh DIRECTORY
# DIRECTORY/NAME-password is for the process; passwords.xml, or passwords.sql, has only hashes and is for ClickHouse. What
# exists is kept.
set -eu
directory=${1:?name a directory for the secrets}
umask 077
mkdir -p "$directory"

for user in worker api migrate operator grafana; do
    file="$directory/$user-password"
    [ -s "$file" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "$file"
done

hash_of() { sha256sum < "$directory/$1-password" | cut -d ' ' -f 1; }

{
    echo '<clickhouse>'
    echo '  <users>'
    for user in worker api migrate operator; do
        echo "    <$user><password_sha256_hex>$(hash_of "$user")</password_sha256_hex></$user>"
    done
    echo '  </users>'
    echo '</clickhouse>'
} > "$directory/passwords.xml"

for user in worker api migrate operator; do
    echo "SET param_${user}_sha256 = '$(hash_of "$user")';"
done > "$directory/passwords.sql"

# The directory is the owner's alone; the files are mounted one by one into containers whose users have other numbers.
chmod 444 "$directory"/*-password "$directory/passwords.xml"
