# Functions for the lines of shell in the tables. They run as root in a mount namespace of the test, so that
# /run, /etc and /usr/sbin of the host stay as they are. D is the directory of the test.

# Makes /run and /etc private. /run is small, so that a test can fill it. crun 1.8 refuses a host with both
# control group hierarchies, so the second one is taken away.
lay() {
    mkdir "$D/run/netns" "$D/run/upper" "$D/run/work"
    mount --rbind /run/netns "$D/run/netns"
    mount -t tmpfs -o mode=755,size=8m,nr_inodes=1000 tmpfs /run
    mkdir /run/netns
    mount --rbind "$D/run/netns" /run/netns
    mount -t overlay -o "lowerdir=/etc,upperdir=$D/run/upper,workdir=$D/run/work" overlay /etc
    if [ "$RUNTIME" = crun ] && [ -d /sys/fs/cgroup/unified ]; then umount -l /sys/fs/cgroup/unified; fi
    mkdir -m 700 /run/oci-link
    mkdir /run/broken
    healthy
}

# Ends every environment: processes, mounts, what fills a disk, what replaces the state directory.
repair() {
    if [ -f /run/holder ]; then kill "$(cat /run/holder)"; rm /run/holder; fi
    if [ -f /run/replaced ]; then while read -r program; do umount -l "$program"; done </run/replaced; fi
    awk '$2 ~ "^/run/(broken|oci-link)" { print $2 }' /proc/self/mounts |
        while read -r place; do umount -l "$place"; done
    rm -rf /run/fill /run/broken /run/replaced && mkdir /run/broken
    if [ -e /run/kept ]; then rm -rf /run/oci-link && mv /run/kept /run/oci-link; fi
    [ -d /run/oci-link ] || mkdir /run/oci-link
    chown 0:0 /run/oci-link && chmod 700 /run/oci-link
    healthy
}

# Rules of iptables can be made to fail by its programs.
healthy() {
    rm -rf /etc/oci-link && mkdir /etc/oci-link
    config '[firewall]' 'backend = "iptables"'
}

# A config.toml with these lines.
config() {
    printf '%s\n' "$@" '[log]' "file = \"$D/log\"" >/etc/oci-link/config.toml
}

# A config.toml that names this log file.
log() {
    printf '[log]\nfile = "%s"\n' "$1" >/etc/oci-link/config.toml
}

# Moves the state directory away, until `repair`.
hide_state() {
    mv /run/oci-link /run/kept
}

read_only() {
    mount --bind "$1" "$1"
    mount -o remount,bind,ro "$1"
}

# No byte is free in /run.
fill_bytes() {
    mkdir /run/fill
    dd if=/dev/zero of=/run/fill/bytes bs=4k 2>/dev/null || true
}

# No inode is free in /run.
fill_inodes() {
    mkdir /run/fill
    (
        at=0
        while true >"/run/fill/$at"; do at=$((at + 1)); done
    ) 2>/dev/null || true
}

# Another process holds this lock, until `repair`. Its descriptor 9 keeps it.
hold() {
    (
        umask 077
        exec 9>"$1"
        flock 9
        exec sleep 600 >/dev/null 2>&1
    ) &
    echo $! >/run/holder
    until ! flock -n "$1" true; do sleep 0.01; done
}

# Every program of iptables is this file.
replace_iptables() {
    for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
        readlink -f "$(command -v "$name")"
    done | sort -u >/run/replaced
    while read -r program; do mount --bind "$1" "$program"; done </run/replaced
}

# A program that fails in any case.
failing() {
    printf '#!/bin/sh\necho refused >&2\nexit 4\n' >/run/broken/failing
    chmod 755 /run/broken/failing
    echo /run/broken/failing
}

# What is left of containers: files of the state directory, of the runtime, control groups.
left() {
    find /run/oci-link -mindepth 1 ! -type d -printf '%P\n'
    find "$D/run/root" -mindepth 1 -maxdepth 1 -printf 'root/%P\n'
    ls -d /sys/fs/cgroup/"$CGROUP" /sys/fs/cgroup/*/"$CGROUP" 2>/dev/null || true
}

remove_control_groups() {
    rmdir /sys/fs/cgroup/"$CGROUP" /sys/fs/cgroup/*/"$CGROUP" 2>/dev/null || true
}

# The runtime of this test is the only one that is installed.
hide_other_runtimes() {
    mkdir "$D/run/usr-upper" "$D/run/usr-work"
    mount -t overlay -o "lowerdir=/usr,upperdir=$D/run/usr-upper,workdir=$D/run/usr-work" overlay /usr
    for directory in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        for name in runc crun youki; do
            [ "$name" = "$RUNTIME" ] || rm -f "$directory/$name"
        done
    done
}

# A directory of uid 65534, copies of oci-link that every user can execute, and a user namespace. `repair` ends
# the process that keeps the namespace.
user() {
    chmod 711 "$D" "$D/bundles"
    mkdir "$D/own" "$D/own/root"
    chown -R 65534:65534 "$D/own"
    cp "$OCI_LINK" "$D/oci-link"
    chmod 755 "$D/oci-link"
    for name in "$1" runtime; do ln "$D/oci-link" "$D/oci-link-$name"; done
    config '[runtime]' "command = \"$1\""
    chmod 755 /etc/oci-link
    setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user --map-root-user sleep 600 \
        >/dev/null 2>&1 &
    echo $! >/run/holder
    until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
    until grep -q . /proc/$!/uid_map; do sleep 0.01; done
}

# A runtime that counts its calls and then does `$1`. It stops after BOUND calls.
below() {
    : >/run/broken/rounds
    mkdir -p "$D/copy"
    [ -e "$D/copy/oci-link-runtime" ] || cp "$OCI_LINK" "$D/copy/oci-link-runtime"
    {
        printf '#!/bin/sh\nD=%s OCI_LINK=%s\n' "$D" "$OCI_LINK"
        printf 'echo round >>/run/broken/rounds\n'
        printf '[ "$(wc -l </run/broken/rounds)" -lt %s ] || exit 99\n' "$BOUND"
        printf '%s\n' "$1"
    } >/run/broken/below
    chmod 755 /run/broken/below
}
