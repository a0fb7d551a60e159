#!/usr/bin/env bash
# ./x stack: Redis, MariaDB and Kafka of one's own under target/stack, for development and tests.
#
# RUSHGATE_STACK_DIR names another folder, so that tests have a stack beside a developer's.
# Folder: env (ports), pid/, log/, conf/, data/, tls/. The services only listen on the loopback.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

STACK="${RUSHGATE_STACK_DIR:-$TARGET/stack}"
case "$STACK" in /*) ;; *) STACK="$PWD/$STACK" ;; esac
KAFKA_LIB="$TARGET/stack/kafka-lib"
READY_SECONDS=60
STOP_SECONDS=15
# The rights that rushgate needs: docs/CONNECTIONS.md has the same words, and a test compares them.
REDIS_RIGHTS="on >rushgate resetkeys ~rg:* resetchannels -@all +evalsha +script|load +info +ping +select \
+del +exists +get +hdel +hget +hgetall +hincrby +hmget +hset +pexpire +pexpireat +set +time +unlink +xadd +xdel +xlen +xrange"
DATABASE_RIGHTS='SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, CREATE TEMPORARY TABLES'

usage() {
    cat >&2 <<'USAGE'
./x stack up [--brokers 1|3]   start Redis, MariaDB and Kafka; a second call starts what is missing
    --tls                      every service takes encrypted connections of a user with few rights alone; tls/ has the files
    --proxied                  brokers listen on a second port each, and tell clients there to come to a third: a proxy's
    --database-tmpfs SIZE      MariaDB's data on a tmpfs of this size, so that its disk can be filled (needs root)
./x stack down [--wipe]        stop them; with --wipe their data goes too
./x stack status               what runs where; fails unless everything answers
./x stack env                  export lines: eval "$(./x stack env)"
./x stack logs [service]       the last lines of redis, mariadb, kafka-1 …
./x stack kill|freeze|thaw|start|wipe SERVICE   SIGKILL, SIGSTOP, SIGCONT, start without waiting, remove its data
./x stack sql STATEMENT        run it in MariaDB as root
USAGE
}

# ---- what is remembered ----

remember() {
    cat >"$STACK/env" <<ENV
BROKERS=$BROKERS
REDIS_PORT=$REDIS_PORT
MARIADB_PORT=$MARIADB_PORT
KAFKA_PORTS="$KAFKA_PORTS"
CONTROLLER_PORTS="$CONTROLLER_PORTS"
PROXIED_PORTS="$PROXIED_PORTS"
PROXY_PORTS="$PROXY_PORTS"
TLS=$TLS
CLIENT_PORTS="$CLIENT_PORTS"
ENV
}

recall() {
    [ -f "$STACK/env" ] || return 1
    PROXIED_PORTS='' PROXY_PORTS='' TLS='' CLIENT_PORTS=''
    # shellcheck disable=SC1091
    . "$STACK/env"
}

services() { printf 'redis\nmariadb\n'; seq -f 'kafka-%.0f' "$BROKERS"; }

nth() { local n=$1; shift; echo "${!n}"; }

port_of() {
    case "$1" in
        redis) echo "$REDIS_PORT" ;;
        mariadb) echo "$MARIADB_PORT" ;;
        # shellcheck disable=SC2086
        kafka-*) nth "${1#kafka-}" $KAFKA_PORTS ;;
    esac
}

pid_of() { cat "$STACK/pid/$1" 2>/dev/null; }

# A pid file may outlive a reboot: a process counts as ours only when its command line names this folder.
running() {
    local pid
    pid="$(pid_of "$1")" && [ -n "$pid" ] && tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$STACK/"
}

answers() {
    case "$1" in
        redis) [ "$(redis_cli ping 2>/dev/null)" = PONG ] ;;
        mariadb) mysqladmin --no-defaults -h 127.0.0.1 -P "$MARIADB_PORT" -urushgate -prushgate --connect-timeout=2 \
            ${TLS:+"--ssl-ca=$STACK/tls/ca.pem"} ping >/dev/null 2>&1 ;;
        kafka-*) [ "$(perl "$ROOT/scripts/kafka/brokers.pl" "$(port_of "$1")" 2>/dev/null)" = "$BROKERS" ] ;;
    esac
}

# With every right: under --tls the user `default` is off.
redis_cli() {
    local tls=()
    [ -z "$TLS" ] || tls=(--tls --cacert "$STACK/tls/ca.pem" --cert "$STACK/tls/client.pem" --key "$STACK/tls/client-key.pem"
        --user stack --pass stack --no-auth-warning)
    timeout 2 redis-cli -p "$REDIS_PORT" ${tls[@]+"${tls[@]}"} "$@"
}

# ---- starting ----

# launch <service> <command>...: in a session of its own, so that Ctrl-C here does not reach it.
launch() {
    local name="$1"
    shift
    setsid "$@" >>"$STACK/log/$name" 2>&1 </dev/null 9>&- &
    echo $! >"$STACK/pid/$name"
    disown
}

start_redis() {
    local listen=(--port "$REDIS_PORT")
    mkdir -p "$STACK/data/redis"
    if [ -n "$TLS" ]; then
        # Whoever starts the stack has a user of their own, beside the one with few rights.
        printf 'user rushgate %s\nuser stack on >stack ~* &* +@all\nuser default off\n' "$REDIS_RIGHTS" \
            >"$STACK/conf/redis.acl"
        listen=(--port 0 --tls-port "$REDIS_PORT" --tls-ca-cert-file "$STACK/tls/ca.pem" --tls-auth-clients yes
            --tls-cert-file "$STACK/tls/server.pem" --tls-key-file "$STACK/tls/server-key.pem"
            --aclfile "$STACK/conf/redis.acl")
    fi
    launch redis redis-server --bind 127.0.0.1 "${listen[@]}" --dir "$STACK/data/redis" --daemonize no \
        --appendonly yes --appendfsync everysec --save '' --set-proc-title no
}

start_mariadb() {
    local data="$STACK/data/mariadb" user tls=()
    user="$(id -un)"
    if [ ! -d "$data/mysql" ]; then
        say "    mariadb: making a data folder"
        # It may be a mount point.
        mkdir -p "$data" && find "$data" -mindepth 1 -delete
        mariadb-install-db --no-defaults --datadir="$data" --user="$user" --auth-root-authentication-method=normal \
            --skip-test-db >"$STACK/log/mariadb-install" 2>&1 || die "mariadb-install-db failed: $STACK/log/mariadb-install"
    fi
    # Tests make databases of their own beside it, hence the pattern.
    cat >"$STACK/conf/mariadb-init.sql" <<'SQL'
CREATE DATABASE IF NOT EXISTS rushgate CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'rushgate'@'127.0.0.1' IDENTIFIED BY 'rushgate';
GRANT ALL ON `rushgate%`.* TO 'rushgate'@'127.0.0.1';
SQL
    if [ -n "$TLS" ]; then
        cat >"$STACK/conf/mariadb-init.sql" <<SQL
CREATE DATABASE IF NOT EXISTS rushgate CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'rushgate'@'127.0.0.1' IDENTIFIED BY 'rushgate' REQUIRE SSL;
GRANT $DATABASE_RIGHTS ON rushgate.* TO 'rushgate'@'127.0.0.1';
SQL
        tls=(--ssl-ca="$STACK/tls/ca.pem" --ssl-cert="$STACK/tls/server.pem" --ssl-key="$STACK/tls/server-key.pem"
            --require-secure-transport=ON)
    fi
    # The socket is relative to the data folder: a path of more than 107 bytes is refused.
    launch mariadb mariadbd --no-defaults --datadir="$data" --user="$user" --bind-address=127.0.0.1 \
        --port="$MARIADB_PORT" --socket=mariadb.sock --pid-file="$data/mariadbd.pid" --skip-name-resolve \
        --init-file="$STACK/conf/mariadb-init.sql" --character-set-server=utf8mb4 --max-connections=400 \
        --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=512M --innodb-log-file-size=512M \
        ${tls[@]+"${tls[@]}"}
}

fetch_kafka() {
    # All stacks of this checkout share the jars.
    mkdir -p "${KAFKA_LIB%/*}"
    exec 8>"$KAFKA_LIB.lock"
    flock 8
    fetch_kafka_locked
    exec 8>&-
}

fetch_kafka_locked() {
    [ -e "$KAFKA_LIB/.complete" ] && [ "$KAFKA_LIB/.complete" -nt "$ROOT/scripts/kafka/pom.xml" ] && return
    need mvn maven "to fetch Kafka's jars"
    say "    kafka: fetching the broker's jars with Maven (about 45 MB, once)"
    rm -rf "$KAFKA_LIB"
    mvn -q -B -ntp -f "$ROOT/scripts/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$KAFKA_LIB" >&2 || die "Maven could not fetch Kafka"
    touch "$KAFKA_LIB/.complete"
}

# The class path's star is Java's own: the shell must not expand it.
kafka_java() {
    printf '%s\0' java -Xms64m -Xmx384m -XX:+UseSerialGC -XX:ActiveProcessorCount=2 \
        -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$KAFKA_LIB/*"
}

voters() {
    local i=0 port list=''
    for port in $CONTROLLER_PORTS; do i=$((i + 1)) list="${list:+$list,}$((i))@127.0.0.1:$port"; done
    echo "$list"
}

write_kafka_config() {
    local id="$1" isr=1 controller listeners advertised
    # shellcheck disable=SC2086
    controller="$(nth "$id" $CONTROLLER_PORTS)"
    [ "$BROKERS" = 1 ] || isr=2
    advertised="BROKER://127.0.0.1:$(port_of "kafka-$id")"
    listeners="$advertised"
    if [ -n "$PROXIED_PORTS" ]; then
        # shellcheck disable=SC2086
        listeners="$listeners,PROXIED://127.0.0.1:$(nth "$id" $PROXIED_PORTS)"
        # shellcheck disable=SC2086
        advertised="$advertised,PROXIED://127.0.0.1:$(nth "$id" $PROXY_PORTS)"
    fi
    if [ -n "$TLS" ]; then
        # shellcheck disable=SC2086
        listeners="$listeners,CLIENT://127.0.0.1:$(nth "$id" $CLIENT_PORTS)"
        # shellcheck disable=SC2086
        advertised="$advertised,CLIENT://127.0.0.1:$(nth "$id" $CLIENT_PORTS)"
    fi
    cat <<CONF
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$(voters)
listeners=$listeners,CONTROLLER://127.0.0.1:$controller
advertised.listeners=$advertised
listener.security.protocol.map=BROKER:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT,CLIENT:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=BROKER
log.dirs=$STACK/data/kafka-$id
num.network.threads=2
num.io.threads=2
default.replication.factor=$BROKERS
min.insync.replicas=$isr
unclean.leader.election.enable=false
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=$BROKERS
transaction.state.log.replication.factor=$BROKERS
transaction.state.log.min.isr=$isr
share.coordinator.state.topic.replication.factor=$BROKERS
share.coordinator.state.topic.min.isr=$isr
group.initial.rebalance.delay.ms=0
# A killed broker is noticed in seconds, not in nine.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.segment.bytes=134217728
# The default of 128 MiB comes out of the heap.
log.cleaner.dedupe.buffer.size=2097152
CONF
    [ -z "$TLS" ] || cat <<CONF
# Brokers and this script speak among themselves; clients come with SCRAM over TLS, and have the rights that they were given.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
listener.name.client.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.client.ssl.keystore.type=PEM
listener.name.client.ssl.keystore.location=$STACK/tls/server.keystore.pem
listener.name.client.ssl.truststore.type=PEM
listener.name.client.ssl.truststore.location=$STACK/tls/ca.pem
CONF
}

start_kafka() {
    local name="$1" id="${1#kafka-}" conf java=() users=()
    conf="$STACK/conf/$name.properties"
    fetch_kafka
    write_kafka_config "$id" >"$conf"
    mapfile -d '' -t java < <(kafka_java)
    if [ ! -e "$STACK/data/$name/meta.properties" ]; then
        mkdir -p "$STACK/data/$name"
        [ -z "$TLS" ] || users=(--add-scram 'SCRAM-SHA-512=[name=rushgate,password=rushgate]')
        "${java[@]}" kafka.tools.StorageTool format -t rushgateStackClusterAA -c "$conf" --ignore-formatted \
            ${users[@]+"${users[@]}"} >"$STACK/log/$name-format" 2>&1 || die "formatting $name failed: $STACK/log/$name-format"
    fi
    launch "$name" "${java[@]}" kafka.Kafka "$conf"
}

wait_ready() {
    local name="$1" until=$((SECONDS + READY_SECONDS))
    while ! answers "$name"; do
        if ! running "$name"; then
            tail -n 20 "$STACK/log/$name" >&2 || true
            die "$name ended while starting: $STACK/log/$name"
        fi
        [ "$SECONDS" -lt "$until" ] || die "$name did not answer within ${READY_SECONDS} s: $STACK/log/$name"
        sleep 0.1
    done
}

choose_ports() {
    local ports=()
    mapfile -t ports < <(free_ports $((2 + 5 * BROKERS)))
    REDIS_PORT="${ports[0]}" MARIADB_PORT="${ports[1]}"
    KAFKA_PORTS="${ports[*]:2:$BROKERS}" CONTROLLER_PORTS="${ports[*]:2+$BROKERS:$BROKERS}"
    PROXIED_PORTS='' PROXY_PORTS='' CLIENT_PORTS=''
    [ -z "$TLS" ] || CLIENT_PORTS="${ports[*]:2+4*$BROKERS:$BROKERS}"
    if [ -n "$PROXIED" ]; then
        PROXIED_PORTS="${ports[*]:2+2*$BROKERS:$BROKERS}" PROXY_PORTS="${ports[*]:2+3*$BROKERS:$BROKERS}"
    fi
}

# Without the right to mount, the data stays on the disk, and what wants to fill it has to say that it cannot.
mount_database() {
    local data="$STACK/data/mariadb"
    mkdir -p "$data"
    mountpoint -q "$data" && return
    mount -t tmpfs -o "size=$1" rushgate-mariadb "$data" 2>/dev/null || say "    mariadb: no tmpfs may be mounted here"
}

unmount_database() {
    local data="$STACK/data/mariadb"
    if mountpoint -q "$data" 2>/dev/null; then umount "$data"; fi
}

any_running() { local s; for s in $(services); do running "$s" && return 0; done; return 1; }

up() {
    local wanted='' name tmpfs='' tls='' started=()
    PROXIED=''
    while [ $# -gt 0 ]; do
        case "$1" in
            --brokers) wanted="${2:-}"; shift 2 ;;
            --brokers=*) wanted="${1#*=}"; shift ;;
            --proxied) PROXIED=yes; shift ;;
            --tls) tls=yes; shift ;;
            --database-tmpfs) tmpfs="${2:-}"; shift 2 ;;
            *) usage; die "stack up: unknown argument $1" ;;
        esac
    done
    case "$wanted" in '' | 1 | 3) ;; *) die "--brokers takes 1 or 3, not '$wanted'" ;; esac
    need redis-server redis-server "the admission scripts run in it"
    need redis-cli redis-tools "to ask Redis whether it is ready"
    need mariadbd mariadb-server "orders land in it"
    need mysqladmin mariadb-client "to ask MariaDB whether it is ready"
    need_java
    mkdir -p "$STACK"/{pid,log,conf,data}
    exec 9>"$STACK/lock"
    flock 9
    if recall; then
        if [ "${wanted:-$BROKERS}" != "$BROKERS" ] || [ "$tls" != "$TLS" ]; then
            say "    now ${wanted:-$BROKERS} broker(s)${tls:+ with TLS}: the stack starts over with empty data"
            stop_all
            unmount_database
            rm -rf "$STACK/data"
            mkdir -p "$STACK/data"
            BROKERS="${wanted:-$BROKERS}" TLS="$tls"
            choose_ports
        elif ! any_running; then
            choose_ports
        fi
    else
        BROKERS="${wanted:-1}" TLS="$tls"
        choose_ports
    fi
    remember
    if [ -n "$TLS" ]; then
        need openssl openssl "to make certificates"
        "$ROOT/scripts/certificates.sh" "$STACK/tls"
    fi
    [ -z "$tmpfs" ] || mount_database "$tmpfs"
    for name in $(services); do
        running "$name" && continue
        [ ${#started[@]} -gt 0 ] || step "Starting the stack in ${STACK#"$ROOT"/}"
        say "    $name on port $(port_of "$name")"
        "start_${name%%-*}" "$name"
        started+=("$name")
    done
    for name in $(services); do wait_ready "$name"; done
    [ -z "$TLS" ] || perl "$ROOT/scripts/kafka/acls.pl" "$(port_of kafka-1)" rushgate rushgate ||
        die "the rights in Kafka could not be granted"
    [ ${#started[@]} = 0 ] || say "    ready"
}

# ---- stopping, asking ----

stop_all() {
    local name left pid until=$((SECONDS + STOP_SECONDS))
    for name in $(services); do
        if running "$name"; then kill -TERM "$(pid_of "$name")" 2>/dev/null || true; fi
    done
    for name in $(services); do
        while running "$name" && [ "$SECONDS" -lt "$until" ]; do sleep 0.1; done
        if running "$name"; then
            left="$(pid_of "$name")"
            say "    $name did not stop within ${STOP_SECONDS} s: killed"
            kill -KILL "$left" 2>/dev/null || true
            while running "$name"; do sleep 0.05; done
        fi
        rm -f "$STACK/pid/$name"
    done
}

down() {
    local wipe=''
    [ "${1:-}" != --wipe ] || wipe=yes
    if recall; then
        exec 9>"$STACK/lock"
        flock 9
        stop_all
    fi
    if [ -n "$wipe" ]; then
        unmount_database
        rm -rf "$STACK"/{data,log,conf,pid,tls,env,lock}
        say "stack: stopped, its data removed"
    else
        say "stack: stopped"
    fi
}

status() {
    local name state all=0
    recall || { say "stack: never started (./x stack up)"; return 1; }
    for name in $(services); do
        if ! running "$name"; then state='stopped'; all=1
        elif answers "$name"; then state="answers, pid $(pid_of "$name")"
        else state="runs as pid $(pid_of "$name") and does not answer: $STACK/log/$name"; all=1
        fi
        printf '%-10s 127.0.0.1:%-6s %s\n' "$name" "$(port_of "$name")" "$state"
    done
    return $all
}

env_lines() {
    local port brokers=''
    recall || die "the stack was never started: ./x stack up"
    for port in ${CLIENT_PORTS:-$KAFKA_PORTS}; do brokers="${brokers:+$brokers,}127.0.0.1:$port"; done
    if [ -n "$TLS" ]; then
        tls_lines
    else
        printf 'export RUSHGATE_REDIS_URL=%s\n' "redis://127.0.0.1:$REDIS_PORT/0"
        printf 'export RUSHGATE_DATABASE_URL=%s\n' "mysql://rushgate:rushgate@127.0.0.1:$MARIADB_PORT/rushgate"
    fi
    printf 'export RUSHGATE_KAFKA_BROKERS=%s\n' "$brokers"
    printf 'export RUSHGATE_KAFKA_REPLICATION=%s\n' "$BROKERS"
    # Ports of brokers for whoever comes through a proxy, and the ports this proxy has to listen on.
    [ -z "$PROXIED_PORTS" ] || printf 'export RUSHGATE_STACK_PROXIED="%s"\nexport RUSHGATE_STACK_PROXIES="%s"\n' \
        "$PROXIED_PORTS" "$PROXY_PORTS"
}

tls_lines() {
    local tls="$STACK/tls"
    printf "export RUSHGATE_REDIS_URL='%s'\n" "rediss://rushgate:rushgate@127.0.0.1:$REDIS_PORT/0"
    printf "export RUSHGATE_REDIS_CA_FILE='%s'\n" "$tls/ca.pem"
    printf "export RUSHGATE_REDIS_CERTIFICATE_FILE='%s'\n" "$tls/client.pem"
    printf "export RUSHGATE_REDIS_KEY_FILE='%s'\n" "$tls/client-key.pem"
    printf "export RUSHGATE_DATABASE_URL='%s'\n" \
        "mysql://rushgate:rushgate@127.0.0.1:$MARIADB_PORT/rushgate?ssl-mode=verify_identity&ssl-ca=$tls/ca.pem"
    printf "export RUSHGATE_KAFKA_OPTIONS='%s,%s,%s,%s,%s'\n" security.protocol=SASL_SSL sasl.mechanisms=SCRAM-SHA-512 \
        sasl.username=rushgate sasl.password=rushgate "ssl.ca.location=$tls/ca.pem"
    # For whoever listens with a certificate of this stack's authority.
    printf "export RUSHGATE_STACK_TLS='%s'\n" "$tls"
}

# ---- faults ----

# known <service>: one of this stack's.
known() {
    recall || die "the stack was never started: ./x stack up"
    local name
    for name in $(services); do if [ "$name" = "${1:-}" ]; then return; fi; done
    die "no service '${1:-}': $(services | tr '\n' ' ')"
}

signal() {
    known "$2"
    running "$2" || die "$2 does not run"
    kill "-$1" "$(pid_of "$2")"
    [ "$1" != KILL ] || while running "$2"; do sleep 0.02; done
}

# Does not wait: brokers may be too few to answer.
start_one() {
    known "$1"
    if running "$1"; then return; fi
    "start_${1%%-*}" "$1"
}

wipe() {
    known "$1"
    if running "$1"; then die "$1 runs: its data stays"; fi
    find "$STACK/data/$1" -mindepth 1 -delete
}

sql() {
    known mariadb
    # The socket's path may be too long from anywhere else.
    cd "$STACK/data/mariadb"
    timeout 20 mariadb --no-defaults --user=root --socket=mariadb.sock --batch --execute="$1"
}

logs() {
    local name
    recall || die "the stack was never started: ./x stack up"
    for name in ${1:-$(services)}; do
        printf -- '--- %s\n' "$STACK/log/$name"
        tail -n 40 "$STACK/log/$name"
    done
}

command="${1:-}"
[ $# = 0 ] || shift
case "$command" in
    up) up "$@" ;;
    down) down "$@" ;;
    status) status ;;
    env) env_lines ;;
    logs) logs "$@" ;;
    kill) signal KILL "${1:-}" ;;
    freeze) signal STOP "${1:-}" ;;
    thaw) signal CONT "${1:-}" ;;
    start) start_one "${1:-}" ;;
    wipe) wipe "${1:-}" ;;
    sql) sql "${1:-}" ;;
    *) usage; exit 2 ;;
esac
