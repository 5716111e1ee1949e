#!/usr/bin/env bash
# Postgres and Apache Kafka for tests and development, on Linux.
#
#   services.sh start            starts both, or checks the ones that the environment names
#   services.sh stop             stops exactly what `start` started here, and removes its data
#   services.sh env              prints DATABASE_URL and KAFKA_BROKERS for a shell:
#                                eval "$(./scripts/services.sh env)"
#   services.sh run COMMAND…     runs the command with both in its environment; what had to be
#                                started for it is stopped at its end, whose exit code is kept
#   services.sh fetch-kafka      fetches Kafka's jars and nothing else
#   services.sh kafka-tool CLASS ARGUMENT…
#                                one of Kafka's own tools, of org.apache.kafka.tools
#
# For fault tests, with servers that `start` started; data and ports stay as they are:
#
#   services.sh postgres-kill    SIGKILL to the server and all its children; returns when all are gone
#   services.sh postgres-start   starts it again, returns when it answers
#   services.sh postgres-stop    SIGSTOP to all of them: connections stay open, and nothing answers
#   services.sh postgres-cont    SIGCONT
#   services.sh kafka-kill       SIGKILL; returns when it is gone
#   services.sh kafka-start      starts it again, returns when it answers
#   services.sh kafka-stop       SIGSTOP: connections stay open, and nothing answers
#   services.sh kafka-cont       SIGCONT
#
# Where each of the two comes from, the first that applies:
#
#   1. DATABASE_URL or KAFKA_BROKERS is set: somebody else runs it; it is only checked.
#   2. TALLY_SERVICES=docker: a container of deploy/compose.yaml.
#   3. Otherwise Debian's Postgres, and Kafka from its own jars; works as root and as anybody else.
#
# State is in .tools/services (`env` there has the two variables), jars are in .tools/kafka. Ports are free ones on loopback, chosen at
# the first start and kept, so that checkouts run side by side. KAFKA_HEAP_OPTS is Kafka's own.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly POSTGRES_MAJOR_MIN=15
readonly JAVA_MAJOR_MIN=17
readonly READY_SECONDS=90
readonly GONE_SECONDS=20

readonly checkout=$PWD
mkdir -p .tools/services .tools/kafka
home=$(cd .tools/services && pwd -P)
jars=$(cd .tools/kafka && pwd -P)
readonly home jars
readonly settings=$home/settings postgres_log=$home/postgres.log kafka_log=$home/kafka.log

say() { echo "services: $*" >&2; }
die() {
  say "$@"
  exit 1
}

fail_with_log() { # log, what, remedy
  say "$2; from the end of $1:"
  # A Kafka that gives up says why, and then at length how it ends.
  {
    tail -n 300 "$1" | grep -E 'ERROR|FATAL|Caused by' | tail -n 10
    echo …
    tail -n 10 "$1"
  } | sed 's/^/  | /' >&2
  die "$3"
}

# Asks until the answer is yes, for so many seconds.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

not() { ! "$@"; }

# -- ports, password, directories -------------------------------------------------------------

free_port() {
  local port
  for _ in $(seq 100); do
    # Below the range from which the kernel gives ports to clients.
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  die "no free port found between 20000 and 32000 on 127.0.0.1"
}

# Sets postgres_port, kafka_port, controller_port, password and data.
settle() {
  if [ ! -s "$settings" ]; then
    (
      umask 077
      cat >"$settings" <<SETTINGS
postgres_port=$(free_port)
kafka_port=$(free_port)
controller_port=$(free_port)
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
SETTINGS
    )
  fi
  postgres_port='' kafka_port='' controller_port='' password='' data=''
  # shellcheck source=/dev/null
  . "$settings"
  [ -n "$data" ] && [ -d "$data" ] && return
  # initdb refuses root, so that root's Postgres runs as another user. That one may not enter a
  # checkout under /root, and the data therefore lies outside.
  if [ "$(id -u)" -eq 0 ]; then
    data=$(mktemp -d /var/tmp/tally-services.XXXXXXXX)
    chmod 711 "$data"
  else
    data=$home/data
    mkdir -p "$data"
  fi
  sed -i '/^data=/d' "$settings"
  printf 'data=%q\n' "$data" >>"$settings"
}

database_url() { echo "${DATABASE_URL:-postgres://tally:$password@127.0.0.1:$postgres_port/postgres}"; }
kafka_brokers() { echo "${KAFKA_BROKERS:-127.0.0.1:$kafka_port}"; }
by_docker() { [ "${TALLY_SERVICES:-}" = docker ] || [ -e "$home/docker" ]; }

# -- processes --------------------------------------------------------------------------------

# The processes of this program that work in this directory. There are no pid files: a number in one
# may be anybody's by now, but only ours work in our data, and a killed server's children are found too.
pids() { # directory, program
  local proc cwd
  { find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -printf '%h\t%l\n' 2>/dev/null || true; } |
    while IFS=$'\t' read -r proc cwd; do
      [ "$cwd" = "$1" ] || continue
      case $(readlink "$proc/exe" || true) in
        */"$2" | */"$2 (deleted)") echo "${proc#/proc/}" ;;
      esac
    done
}

postgres_pids() { pids "$data/postgres" postgres; }
kafka_pids() { pids "$data/kafka" java; }
running() { [ -n "$("$1_pids")" ]; }

signal() { # signal, postgres or kafka
  local found
  found=$("$2_pids")
  # shellcheck disable=SC2086 # one word a process
  [ -z "$found" ] || kill -s "$1" $found 2>/dev/null || true
}

# A server may start another child between the look and the signal.
kill_and_look() {
  signal KILL "$1"
  not running "$1"
}

kill_all() {
  within $GONE_SECONDS kill_and_look "$1" || die "$1 is still there after SIGKILL"
}

# The server outlives this script and its terminal, and holds neither its output nor its lock.
spawn() { # directory, log, command…
  local directory=$1 log=$2
  shift 2
  (cd "$directory" && exec setsid "$@" </dev/null >>"$log" 2>&1 9>&-) &
  disown
}

# Until it answers; no longer when it has ended.
settled() { "$1_ready" || ! running "$1"; }

await() { # postgres or kafka, its log, its name
  # A JVM that has just been asked for is not yet java.
  within 5 running "$1" || true
  within $READY_SECONDS settled "$1" || true
  if ! running "$1" || ! "$1_ready"; then
    kill_all "$1"
    fail_with_log "$2" "$3 did not start" \
      "mend what the log says; if somebody has taken the port: services.sh stop, remove $settings, start again"
  fi
}

# -- Postgres ---------------------------------------------------------------------------------

postgres_bin() {
  local bin major
  bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
  [ -n "$bin" ] || bin=$(dirname "$(command -v initdb || echo /none/initdb)")
  [ -x "$bin/initdb" ] || die "Postgres is missing: ./scripts/setup.sh test installs it;" \
    "or set DATABASE_URL to a server of your own"
  major=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
  [ "$major" -ge $POSTGRES_MAJOR_MIN ] || die "Postgres $major is too old: install" \
    "$POSTGRES_MAJOR_MIN or newer, or set DATABASE_URL to such a server"
  echo "$bin"
}

# What runs a command as the owner of Postgres's data.
owner() {
  local user=nobody
  [ "$(id -u)" -eq 0 ] || return 0
  ! id -u postgres >/dev/null 2>&1 || user=postgres
  echo setpriv "--reuid=$(id -u $user)" "--regid=$(id -g $user)" --clear-groups
}

postgres_init() {
  local dir=$data/postgres password_file=$data/password
  [ ! -e "$data/postgres.ready" ] || return 0
  rm -rf "$dir"
  mkdir -m 700 "$dir"
  (umask 077 && echo "$password" >"$password_file")
  [ "$(id -u)" -ne 0 ] || chown "$("${as_owner[@]}" id -u)" "$dir" "$password_file"
  (
    cd "$dir" && "${as_owner[@]}" "$bin/initdb" --pgdata "$dir" --username tally --pwfile "$password_file" \
      --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-instructions
  ) >"$postgres_log" 2>&1 || fail_with_log "$postgres_log" "initdb failed" \
    "mend that, or set DATABASE_URL to a server of your own"
  rm -f "$password_file"
  # Commits are durable here as everywhere: that is what the tests of commits are about.
  cat >>"$dir/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $postgres_port
unix_socket_directories = ''
max_connections = 300
fsync = on
synchronous_commit = on
log_line_prefix = '%m [%p] '
CONF
  touch "$data/postgres.ready"
}

# The process that the others are children of, if it is alive.
postmaster() {
  local noted
  noted=$(head -n 1 "$data/postgres/postmaster.pid" 2>/dev/null) || return 0
  postgres_pids | grep -x "$noted" || true
}

postgres_ready() { "$bin/pg_isready" --quiet --host 127.0.0.1 --port "$postgres_port" --timeout 2; }

postgres_start() {
  local bin as_owner
  bin=$(postgres_bin)
  read -ra as_owner <<<"$(owner) env"
  if [ -z "$(postmaster)" ]; then
    postgres_init
    # Its children may outlive it for a moment, and hold its memory. When nobody works in the data any
    # more, the note of its process is of no meaning; Postgres would take a zombie's number for alive.
    kill_all postgres
    rm -f "$data/postgres/postmaster.pid"
    say "starting Postgres on 127.0.0.1:$postgres_port"
    spawn "$data/postgres" "$postgres_log" "${as_owner[@]}" "$bin/postgres" -D "$data/postgres"
  fi
  await postgres "$postgres_log" Postgres
}

postgres_stop() {
  if running postgres; then
    # The server's own: it gives its shared memory back, which SIGKILL does not.
    kill -s INT "$(postmaster)" 2>/dev/null || true
    within $GONE_SECONDS not running postgres || kill_all postgres
    say "Postgres is stopped"
  fi
  rm -rf "$data/postgres" "$data/postgres.ready" "$data/password"
}

postgres_check() {
  command -v psql >/dev/null 2>&1 || die "psql is missing, by which DATABASE_URL is checked:" \
    "apt-get install postgresql-client"
  PGCONNECT_TIMEOUT=5 psql "$DATABASE_URL" --no-psqlrc --quiet --command 'select 1' >/dev/null ||
    die "the server of DATABASE_URL does not answer: start it, or unset DATABASE_URL"
}

# -- Kafka ------------------------------------------------------------------------------------

fetch_kafka() {
  cmp -s deploy/kafka/pom.xml "$jars/pom.xml" && return
  command -v mvn >/dev/null 2>&1 || die "Maven is missing: ./scripts/setup.sh test installs it;" \
    "or set KAFKA_BROKERS to brokers of your own"
  say "fetching Kafka's jars"
  rm -f "$jars"/*.jar
  mvn --quiet --batch-mode --file deploy/kafka/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars" >&2
  cp deploy/kafka/pom.xml "$jars/pom.xml"
}

check_java() {
  local major
  command -v java >/dev/null 2>&1 || die "Java is missing: ./scripts/setup.sh test installs it;" \
    "or set KAFKA_BROKERS to brokers of your own"
  major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  [ "${major:-0}" -ge $JAVA_MAJOR_MIN ] || die "Java ${major:-of unknown version} is too old: install" \
    "$JAVA_MAJOR_MIN or newer, or set KAFKA_BROKERS to brokers of your own"
}

kafka_java() { # heap options, then the rest
  # shellcheck disable=SC2206 # several words, as Kafka's own scripts take it
  java=(java $1 -XX:+ExitOnOutOfMemoryError -cp "$jars/*"
    -Dlog4j2.configurationFile="$checkout/deploy/kafka/log4j2.properties")
}

kafka_init() {
  local dir=$data/kafka java
  [ ! -e "$data/kafka.ready" ] || return 0
  rm -rf "$dir"
  mkdir -m 700 "$dir"
  {
    cat "$checkout/deploy/kafka/server.properties"
    echo "listeners=PLAINTEXT://127.0.0.1:$kafka_port,CONTROLLER://127.0.0.1:$controller_port"
    echo "advertised.listeners=PLAINTEXT://127.0.0.1:$kafka_port"
    echo "controller.quorum.voters=1@127.0.0.1:$controller_port"
    echo "log.dirs=$dir/logs"
  } >"$dir/server.properties"
  kafka_java -Xmx256m
  "${java[@]}" kafka.tools.StorageTool format --config "$dir/server.properties" \
    --cluster-id "tally$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')A" >"$kafka_log" 2>&1 ||
    fail_with_log "$kafka_log" "Kafka's storage could not be formatted" \
      "mend that, or set KAFKA_BROKERS to brokers of your own"
  touch "$data/kafka.ready"
}

# Kafka's answer to who the brokers are: its port is open before it can say so. The request is
# Metadata 1 for no topic; the answer's third word counts brokers.
kafka_ready() {
  local brokers
  brokers=$( {
    exec 3<>"/dev/tcp/127.0.0.1/$kafka_port" || exit
    printf '\0\0\0\x13\0\3\0\1\0\0\0\1\0\5tally\0\0\0\0' >&3
    timeout 2 head -c 12 <&3 | od -An -tx1 -j8 | tr -d ' \n'
  } 2>/dev/null) || true
  [ -n "$brokers" ] && [ "$brokers" != 00000000 ]
}

kafka_start() {
  local java
  if ! running kafka; then
    check_java
    fetch_kafka
    kafka_init
    say "starting Kafka on 127.0.0.1:$kafka_port"
    kafka_java "${KAFKA_HEAP_OPTS:--Xms128m -Xmx512m}"
    spawn "$data/kafka" "$kafka_log" "${java[@]}" kafka.Kafka "$data/kafka/server.properties"
  fi
  await kafka "$kafka_log" Kafka
}

kafka_stop() {
  if running kafka; then
    # Its data goes too: there is nothing to end well.
    kill_all kafka
    say "Kafka is stopped"
  fi
  rm -rf "$data/kafka" "$data/kafka.ready"
}

kafka_check() {
  local broker
  for broker in ${KAFKA_BROKERS//,/ }; do
    timeout 5 bash -c "exec 3<>/dev/tcp/${broker%:*}/${broker##*:}" 2>/dev/null && return
  done
  die "none of KAFKA_BROKERS ($KAFKA_BROKERS) answers: start one, or unset KAFKA_BROKERS"
}

# -- containers -------------------------------------------------------------------------------

check_docker() {
  docker info >/dev/null 2>&1 || die "no Docker engine answers: start one, or unset TALLY_SERVICES"
  docker compose version >/dev/null 2>&1 || die "docker compose is missing: install its plugin, or unset TALLY_SERVICES"
}

compose() {
  check_docker
  TALLY_POSTGRES_PORT=$postgres_port TALLY_KAFKA_PORT=$kafka_port TALLY_POSTGRES_PASSWORD=$password \
    docker compose --file deploy/compose.yaml --project-name "tally-$kafka_port" "$@"
}

docker_running() { [ -n "$(compose ps --quiet --status running "$@" 2>/dev/null)" ]; }

docker_start() {
  # So that `stop` knows, also without the variable.
  touch "$home/docker"
  compose up --detach --wait --wait-timeout $READY_SECONDS "$1" >&2 || {
    compose logs --tail 25 "$1" >&2
    die "the container of $1 did not start"
  }
}

# -- commands ---------------------------------------------------------------------------------

# What this call had to start.
started=()

start_one() { # postgres or kafka, its variable
  if [ -n "${!2:-}" ]; then
    "$1_check"
  elif by_docker; then
    check_docker
    docker_running "$1" || started+=("$1")
    docker_start "$1"
  else
    running "$1" || started+=("$1")
    "$1_start"
  fi
}

start() {
  start_one postgres DATABASE_URL
  start_one kafka KAFKA_BROKERS
  (umask 077 && print_env >"$home/env")
}

stop() { # the ones to stop
  local one
  for one in "$@"; do
    "${one}_stop"
    [ ! -e "$home/docker" ] || compose rm --force --stop --volumes "$one" >&2
  done
  # The other one may be left, and have its data there.
  [ ! -e "$home/docker" ] || docker_running || rm -f "$home/docker"
  rmdir "$data" 2>/dev/null || true
  rm -f "$home/env"
}

print_env() {
  printf 'DATABASE_URL=%q\nKAFKA_BROKERS=%q\n' "$(database_url)" "$(kafka_brokers)"
}

run() {
  local code=0
  [ $# -gt 0 ] || usage
  started=()
  trap '[ ${#started[@]} -eq 0 ] || locked stop "${started[@]}"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  locked start
  DATABASE_URL=$(database_url) KAFKA_BROKERS=$(kafka_brokers) "$@" 9>&- || code=$?
  exit $code
}

# Two starts at once would both find nothing running.
locked() {
  exec 9>"$home/lock"
  flock 9
  "$@"
  exec 9>&-
}

require_running() {
  by_docker || running "$1" || die "$1 was not started from here: make services, without DATABASE_URL and KAFKA_BROKERS"
}

# What a fault test does to one of them.
fault() { # postgres or kafka, kill, start, stop or cont
  case "$2" in
    kill)
      require_running "$1"
      if by_docker; then compose kill "$1" >&2; else kill_all "$1"; fi
      ;;
    start) if by_docker; then docker_start "$1"; else "$1_start"; fi ;;
    stop)
      require_running "$1"
      if by_docker; then compose pause "$1" >&2; else signal STOP "$1"; fi
      ;;
    cont)
      require_running "$1"
      if by_docker; then compose unpause "$1" >&2; else signal CONT "$1"; fi
      ;;
  esac
}

usage() {
  sed -n '/^#   services.sh/,/^# Where/p' "$0" | sed 's/^# \{0,1\}//; /^Where/d' >&2
  exit 2
}

command=${1:-}
[ $# -eq 0 ] || shift
case "$command" in
  fetch-kafka) locked fetch_kafka ;;
  kafka-tool)
    [ $# -gt 0 ] || usage
    check_java
    locked fetch_kafka
    tool=org.apache.kafka.tools.$1
    shift
    kafka_java "${KAFKA_HEAP_OPTS:--Xmx512m}"
    exec "${java[@]}" "$tool" "$@"
    ;;
  stop) [ ! -s "$settings" ] || { settle && locked stop kafka postgres; } ;;
  start | env | run | postgres-kill | postgres-start | postgres-stop | postgres-cont | kafka-kill | kafka-start | kafka-stop | kafka-cont)
    settle
    case "$command" in
      start) locked start && say "both answer; eval \"\$(./scripts/services.sh env)\" sets their variables" ;;
      env) print_env | sed 's/^/export /' ;;
      run) run "$@" ;;
      *-*) locked fault "${command%-*}" "${command#*-}" ;;
    esac
    ;;
  *) usage ;;
esac
