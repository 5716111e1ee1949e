//! Records between roles over Apache Kafka.
