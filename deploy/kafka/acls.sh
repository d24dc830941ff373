#!/bin/sh
# What each user may do in Kafka, and nothing else: acls.sh BOOTSTRAP ADMIN_PROPERTIES
# Needs Kafka's own kafka-acls.sh on the path. Safe to repeat.
set -eu
bootstrap=$1 config=$2
topics=$(echo "${MSGMETRICS_KAFKA_TOPIC:-message-events}" | tr ',' ' ')
group=${MSGMETRICS_KAFKA_GROUP:-message-metrics}

allow() {
    user=$1
    shift
    kafka-acls.sh --bootstrap-server "$bootstrap" --command-config "$config" --add --force --allow-principal "User:$user" "$@"
}

# The workers read the topics and commit to their group. They can neither write to them nor make any.
# Operators: migrate makes topics, doctor reads their configuration, status their ends and the group's offsets, replay
# reads them, produce and redrive write to them.
# Producers of events; with transactions they also need Write and Describe on their transactional id.
for topic in $topics; do
    allow worker --operation Read --operation Describe --topic "$topic"
    allow operator --operation Create --operation Describe --operation DescribeConfigs --topic "$topic"
    allow operator --operation Read --operation Write --topic "$topic"
    allow producer --operation Write --operation Describe --topic "$topic"
done
allow worker --operation Read --group "$group"
allow operator --operation Describe --group "$group"
