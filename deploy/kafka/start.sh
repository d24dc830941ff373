#!/bin/sh
# Starts the broker of docker-compose.yml with a cluster id of its own: start.sh PROGRAM…, with CLUSTER_ID set for it.
# The image knows one id for all, and progress is stored under the id: the Kafka of another installation, or a new one in
# the place of one that was lost, would pass for the one that was read. A volume that has an id keeps it.
set -eu
formatted=$KAFKA_LOG_DIRS/meta.properties

if [ -f "$formatted" ]; then
    CLUSTER_ID=$(sed -n 's/^cluster\.id=//p' "$formatted")
else
    # 16 random bytes as Kafka writes them; the two signs that differ from base64 become letters.
    CLUSTER_ID=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=')
fi
export CLUSTER_ID
exec "$@"
