#!/bin/sh
# What each user may do in Kafka, and nothing else: acls.sh BOOTSTRAP ADMIN_PROPERTIES
# Needs Kafka's own kafka-acls.sh on the path. Safe to repeat.
set -eu
bootstrap=$1 config=$2
topic=${MSGMETRICS_KAFKA_TOPIC:-message-events}
group=${MSGMETRICS_KAFKA_GROUP:-message-metrics}

allow() {
    user=$1
    shift
    kafka-acls.sh --bootstrap-server "$bootstrap" --command-config "$config" --add --force --allow-principal "User:$user" "$@"
}

# The workers read the topic and commit to their group. They can neither write to it nor make topics.
allow worker --operation Read --operation Describe --topic "$topic"
allow worker --operation Read --group "$group"

# Operators: migrate makes the topic, doctor reads its configuration, status its ends and the group's offsets,
# replay reads it, produce and redrive write to it.
allow operator --operation Create --operation Describe --operation DescribeConfigs --topic "$topic"
allow operator --operation Read --operation Write --topic "$topic"
allow operator --operation Describe --group "$group"

# Producers of events; with transactions they also need Write and Describe on their transactional id.
allow producer --operation Write --operation Describe --topic "$topic"
