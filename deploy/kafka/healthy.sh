#!/usr/bin/env bash
# Whether the broker on PORT of this machine serves clients, within SECONDS: healthy.sh PORT [SECONDS]
#
# It sends the first request of every client, Metadata (key 3, version 1, of no topics), and reads how many brokers the
# answer names: none as long as the controller has not let this one serve. It says nothing of partitions, and needs
# what every image of Kafka has: bash and two words of coreutils. Kafka's own scripts start a JVM of a gigabyte each.
set -eu
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf '\0\0\0\016\0\003\0\001\0\0\0\007\377\377\0\0\0\0' >&3
answer=$(timeout "${2:-5}" head -c 12 <&3 | od -An -v -tx1 | tr -d ' \n') # the size, the request's number, brokers
[[ ${#answer} -eq 24 && ${answer:8:8} == 00000007 && ${answer:16} != 00000000 ]]
