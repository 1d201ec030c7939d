#!/bin/bash
# Two linked containers, step by step: demo/demo.sh OCI-LINK   (`make demo` builds it first)
#
# All of it happens in a network namespace and a /run of its own, which vanish with this script:
# the machine's network, rules and containers are not touched. Every command shown is the very
# command that is run. The exit status is 0 only if every promise was kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1-}" != --inside ]; then
    binary=$(realpath "${1:?want the oci-link to show}")
    "$here/preflight.sh" "$binary"
    exec unshare --net --mount "$0" --inside "$binary"
fi
binary=$2
source "$here/stage.sh"
set_the_stage "$binary" "$here/../test-bundles"

heading "A host whose containers do not reach each other (Docker's icc=false)"
run ip link add br0 type bridge
run ip addr add 10.77.0.1/24 dev br0
run ip link set br0 up
run iptables -A FORWARD -i br0 -o br0 -j DROP
say "Each container gets a network namespace with an address on that bridge, as from an engine:"
plug db 10.77.0.11
plug web 10.77.0.12
plug other 10.77.0.13

heading "db says what it offers, and to whom it shows which variables"
run grep org.oci-link db/config.json
run oci-link prepare db
say "That put our hooks into its config.json. From here on it is plain runc:"
start db

heading "web is linked to db; other is not"
run grep org.oci-link web/config.json
run oci-link prepare web
start web
run oci-link prepare other
start other
run oci-link ls
promise "web is linked to db" grep -Eq '^web +web +[0-9.]+ +- +db +- +ready' "$output"

heading "What web was given: a name"
run runc exec web cat /etc/hosts
promise "db has a line in web's hosts file" grep -Pq '^10\.77\.0\.11\tdb' "$output"

heading "What web was given: variables"
run runc exec web env
promise "DB_PORT says where db is" grep -qx 'DB_PORT=tcp://10.77.0.11:3306' "$output"
promise "db's settings came along" grep -qx 'DB_ENV_MYSQL_DATABASE=shop' "$output"
promise "db's password did not" lacks PASSWORD "$output"

heading "What web was given: a way through the firewall, for one port"
rules
promise "FORWARD enters our chain before it drops" first_rule_of_forward_is -j OCI-LINK
promise "web may reach db" grep -q "10.77.0.12.*3306" "$output"
run oci-link inspect web

heading "web talks to db, by name"
run runc exec web nc -w 3 db 3306
promise "db answered" grep -qx 'oci-link-db: welcome' "$output"

heading "other does not"
fails runc exec other nc -w 1 10.77.0.11 3306
promise "db did not answer" lacks welcome "$output"

heading "web ends, and its link with it"
run runc delete --force web
rules
promise "no rule names web" lacks 10.77.0.12 "$output"
run cat web/rootfs/etc/hosts
promise "the hosts file is byte for byte what it was" cmp "$output" hosts.before

heading "All end"
run runc delete --force other
run runc delete --force db
run oci-link ls
promise "no container is left" lacks 10.77 "$output"
run find /run/oci-link -name '*.json'
promise "no record is left" lacks . "$output"
verdict
