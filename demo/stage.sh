# What the demo's story is told with. Sourced inside its namespaces.

bold='' dim='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi
chapter=0 kept=0 broken=0

# set_the_stage OCI-LINK BUNDLES: an empty /run and copies of the bundles, away from everybody.
set_the_stage() {
    mount -t tmpfs -o mode=755 demo /run
    [ ! -d /etc/oci-link ] || mount -t tmpfs demo /etc/oci-link
    mkdir /run/netns /run/bin /run/demo
    cd /run/demo
    output=/run/output
    trap strike EXIT
    trap 'exit 130' INT TERM HUP

    ln -s "$1" /run/bin/oci-link
    PATH=/run/bin:$PATH
    local switch
    for switch in ipv4/ip_forward bridge/bridge-nf-call-iptables; do
        echo 1 > /proc/sys/net/$switch
    done
    cp -r "$2/db" "$2/web" .
    cp -r web other
    # other is web without the link.
    sed -i '/org.oci-link.links/d; s/"org.oci-link.name": "web",/"org.oci-link.name": "other"/' \
        other/config.json
    sed -i 's/"web"/"other"/; s/oci-link-web/oci-link-other/' other/config.json
    # Control groups are the machine's: two demos must not share one.
    sed -i "s|\"cgroupsPath\": \"/|&demo-$$-|" {db,web,other}/config.json
    "$2/rootfs.sh" db web other
    cp web/rootfs/etc/hosts hosts.before
}

# Whatever happened: no container survives. The namespaces go with this shell.
strike() {
    local status=$? name
    trap - EXIT INT TERM HUP
    for name in web other db; do
        runc delete --force $name >/dev/null 2>&1 || true
    done
    [ $status = 0 ] || echo "${red}demo: failed (status $status)$plain" >&2
    exit $status
}

heading() {
    chapter=$((chapter + 1))
    printf '\n%s%d. %s%s\n' "$bold" $chapter "$1" "$plain"
}

say() {
    printf '%s\n' "$1"
}

shown() {
    printf '%s$ %s%s\n' "$dim" "$*" "$plain"
}

# Shows a command, runs it, keeps what it printed in $output. It must succeed.
run() {
    shown "$@"
    if ! "$@" </dev/null >$output 2>&1; then
        cat $output
        return 1
    fi
    cat $output
}

# The same for a command that must fail.
fails() {
    shown "$@"
    if "$@" </dev/null >$output 2>&1; then
        cat $output
        return 1
    fi
    cat $output
}

# plug NAME ADDRESS
plug() {
    run ip netns add oci-link-$1
    run ip link add veth-$1 master br0 up type veth peer name eth0 netns oci-link-$1
    run ip -n oci-link-$1 addr add $2/24 dev eth0
    run ip -n oci-link-$1 link set eth0 up
}

# The rules, and the elements of the set where they match on one.
rules() {
    run iptables -S
    # The set of the first rule has the links: oci-link4-port, or oci-link4 where the kernel has no
    # bridge table.
    local set
    set=$(sed -n 's/.*--match-set \(oci-link4[^ ]*\) src,dst,dst.*/\1/p;T;q' $output)
    if [ -n "$set" ]; then
        cp $output rules
        run ipset save "$set"
        cat rules >> $output
    fi
}

start() {
    run runc run --detach --bundle $1 $1
}

# promise TEXT COMMAND…: one thing that must be true.
promise() {
    local text=$1
    shift
    if "$@" >/dev/null 2>&1; then
        kept=$((kept + 1))
        printf '%s✓ %s%s\n' "$green" "$text" "$plain"
    else
        broken=$((broken + 1))
        printf '%s✗ %s%s\n' "$red" "$text" "$plain"
    fi
}

lacks() {
    ! grep -q -- "$1" "$2"
}

first_rule_of_forward_is() {
    [ "$(grep -m1 '^-A FORWARD' $output)" = "-A FORWARD $*" ]
}

verdict() {
    printf '\n%s%d promises kept, %d broken.%s\n' "$bold" $kept $broken "$plain"
    [ $broken = 0 ]
}
