#!/bin/sh
# Plays a story of users with rootless engines: machine.sh OCI_LINK RUNTIME ROOTFS STORY
#
# Called by root in new mount and pid namespaces; what it makes is gone with them. An engine is what rootless
# podman has: a user namespace with further ids, a mount namespace, the network namespace of the host,
# and a second one with a bridge.
set -eu

oci_link=$1 runtime=$2 rootfs=$3 story=$4

mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/etc /run/bin /run/user /run/home
for file in passwd group nsswitch.conf alternatives ld.so.cache ld.so.conf ld.so.conf.d; do
    [ ! -e "/etc/$file" ] || cp -a "/etc/$file" /run/etc
done
mount --bind /run/etc /etc
mknod -m 666 /run/tun c 10 200
mount --bind /run/tun /dev/net/tun
cp "$oci_link" /run/bin/oci-link
ln -s oci-link "/run/bin/oci-link-$runtime"
PATH=/run/bin:/usr/sbin:/usr/bin:/sbin:/bin

case $runtime in
runc) options=--rootless=true ;;
crun) options=--cgroup-manager=disabled ;;
esac

# user UID IDS: a user, with further ids from IDS on, and the namespaces of the user's engine
user() {
    echo "user$1:x:$1:$1::/run/home/$1:/bin/sh" >>/etc/passwd
    mkdir -p "/run/user/$1/libpod/tmp" "/run/user/$1/netns" "/run/home/$1"
    chown -R "$1:$1" "/run/user/$1" "/run/home/$1"
    chmod 0700 "/run/user/$1" "/run/home/$1"
    setpriv --reuid "$1" --regid "$1" --clear-groups unshare --user --mount sleep 600 &
    keeper=$!
    until [ "$(readlink "/proc/$keeper/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; do sleep 0.01; done
    for map in uid_map gid_map; do
        printf '0 %s 1\n1 %s 65536\n' "$1" "$2" >"/proc/$keeper/$map"
    done
    echo "$keeper" >"/run/user/$1/libpod/tmp/pause.pid"
}

# engine UID COMMAND…: as the engine runs its runtime
engine() {
    uid=$1
    shift
    nsenter --target "$(cat "/run/user/$uid/libpod/tmp/pause.pid")" --user --mount \
        env -i PATH="$PATH" XDG_RUNTIME_DIR="/run/user/$uid" "$@"
}

# shell UID COMMAND…: as the user calls it
shell() {
    uid=$1
    shift
    setpriv --reuid "$uid" --regid "$uid" --clear-groups env -i PATH="$PATH" "$@"
}

# namespace UID NAME: mounts a new network namespace of the engine
namespace() {
    engine "$1" sh -c 'touch "$0" && unshare --net mount --bind /proc/self/ns/net "$0" &&
        nsenter --net="$0" ip link set lo up' "/run/user/$1/netns/$2"
}

# site UID NAME: a network namespace with a bridge
site() {
    namespace "$1" "$2"
    inside "$1" "$2" 'ip link add podman1 type bridge; ip addr add 10.89.0.1/24 dev podman1
        ip link set podman1 up'
}

# inside UID NAME SCRIPT: runs it in a network namespace of the engine
inside() {
    engine "$1" nsenter --net="/run/user/$1/netns/$2" sh -euc "$3"
}

# plug UID SITE NAME NUMBER: gives the network namespace NAME an address on the bridge
plug() {
    engine "$1" nsenter --net="/run/user/$1/netns/$3" sleep 600 &
    until engine "$1" pgrep -f 'sleep 600' >/dev/null; do sleep 0.01; done
    net=$(engine "$1" stat -Lc %i "/run/user/$1/netns/$3")
    holder=
    until [ -n "$holder" ]; do
        for pid in $(pgrep -f 'sleep 600'); do
            [ "$(stat -Lc %i "/proc/$pid/ns/net")" != "$net" ] || holder=$pid
        done
    done
    inside "$1" "$2" "ip link add v$4 type veth peer name eth0 netns $holder
        ip link set v$4 master podman1 up"
    inside "$1" "$3" "ip addr add 10.89.0.$4/24 dev eth0; ip link set eth0 up"
}

# bundle UID NAME LINKS [NETWORK]: what the engine writes for a container; `host` has no network namespace
bundle() {
    at=/run/user/$1/bundles/$2 network=${4:-$2}
    [ -d "$at" ] || "$rootfs" "$at" >/dev/null
    net="{ \"type\": \"network\", \"path\": \"/run/user/$1/netns/$network\" },"
    [ "$network" != host ] || net=
    printf '127.0.0.1\tlocalhost\n' >"$at/hosts"
    cat >"$at/config.json" <<END
{ "ociVersion": "1.0.2", "hostname": "$2", "root": { "path": "rootfs" },
  "annotations": { "org.oci-link.ports": "3306"$([ -z "$3" ] || echo ", \"org.oci-link.links\": \"$3\"") },
  "process": { "user": { "uid": 0, "gid": 0 }, "cwd": "/", "args": ["sleep", "600"], "env": ["PATH=/bin"] },
  "mounts": [ { "destination": "/proc", "type": "proc", "source": "proc" },
    { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
    { "destination": "/etc/hosts", "type": "bind", "source": "$at/hosts", "options": ["rbind", "rprivate"] } ],
  "linux": { "namespaces": [ $net
    { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" } ] } }
END
    chown -R "$1:$1" "/run/user/$1/bundles"
}

# runtime UID WORDS…: calls the wrapper
runtime() {
    uid=$1
    shift
    engine "$uid" "oci-link-$runtime" $options "$@" </dev/null
}

# start UID NAME LINKS [NETWORK]: creates a container and starts it
start() {
    bundle "$@"
    runtime "$1" create --bundle "/run/user/$1/bundles/$2" "$2" && runtime "$1" start "$2"
}

hosts() {
    tail -n +2 "/run/user/$1/bundles/$2/hosts"
}

# status COMMAND…: prints the exit status too
status() {
    code=0
    "$@" || code=$?
    echo "status $code"
}

eval "$story"
