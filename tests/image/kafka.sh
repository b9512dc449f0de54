#!/bin/sh
# One node of Apache Kafka as its official image starts it: KAFKA_NODE_ID becomes the setting node.id.
set -eu
settings=/tmp/server.properties
env | sed -n 's/^KAFKA_\([A-Z_]*\)=/\1 /p' | while read -r name value; do
    printf '%s=%s\n' "$(printf %s "$name" | tr A-Z_ a-z.)" "$value"
done >$settings
grep -q '^log.dirs=' $settings || echo log.dirs=/tmp/kafka >>$settings
java -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*' kafka.tools.StorageTool format --ignore-formatted \
    --cluster-id="${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" -c $settings
exec java -Xmx512m -XX:+UseSerialGC -cp '/opt/kafka/libs/*' kafka.Kafka $settings
