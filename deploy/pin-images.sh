#!/bin/sh
# Puts behind the tag of each image the digest that its registry serves: pin-images.sh [DIRECTORY]
# For a new version change the tag, run this (`make pin`), and look at the difference. Needs Docker and the internet.
set -eu
cd "${1:-$(dirname "$0")/..}"
files="docker-compose.yml deploy/cluster/docker-compose.yml deploy/Dockerfile"
pinned='@sha256:[0-9a-f]{64}'

for image in $(sed -En "s/^ *(image:|FROM) ([a-z0-9./-]+:[A-Za-z0-9._-]+)($pinned)?( .*)?\$/\2/p" $files | sort -u); do
    digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
    echo "@$digest" | grep -Eqx "$pinned" || { echo "no digest of $image: $digest" >&2; exit 1; }
    sed -Ei "s#(: |FROM )$image($pinned)?( |\$)#\1$image@$digest\3#" $files
    echo "$image@$digest"
done
