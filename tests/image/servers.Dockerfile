# Stand-ins for the servers' official images, where no registry can be reached: Debian's packages, and Apache Kafka
# from its jars. They take the environment variables that our tests and deploy/compose.yaml give the official ones.
ARG BASE
FROM ${BASE} AS packages
RUN apt-get update && apt-get install --yes --no-install-recommends \
    openjdk-17-jre-headless postgresql prometheus prometheus-alertmanager

FROM packages AS postgres
COPY postgres.sh /
ENV PGDATA=/var/lib/postgresql/data
EXPOSE 5432
ENTRYPOINT ["/postgres.sh"]

FROM packages AS kafka
COPY jars /opt/kafka/libs
COPY kafka.sh /
EXPOSE 9092
ENTRYPOINT ["/kafka.sh"]

FROM packages AS prometheus
EXPOSE 9090
ENTRYPOINT ["prometheus"]

FROM packages AS alertmanager
EXPOSE 9093
ENTRYPOINT ["prometheus-alertmanager"]
