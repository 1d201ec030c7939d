#!/bin/bash
# Can the demo run here? Says what is missing: demo/preflight.sh OCI-LINK
set -euo pipefail

refuse() {
    echo "demo: $1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || refuse "needs root: it makes network namespaces and containers"
[ -x "$1" ] || refuse "$1 is not there: make build"
for program in busybox ip ipset iptables runc; do
    command -v $program >/dev/null || refuse "$program is not installed: make demo-deps"
done

# Without this module a bridge's packets never meet iptables. Each network namespace has its own
# switch; a module that was just loaded is switched off for the machine's own bridges again.
if [ ! -e /proc/sys/net/bridge ]; then
    modprobe br_netfilter || refuse "the kernel has no br_netfilter"
    for switch in /proc/sys/net/bridge/bridge-nf-call-*tables; do
        echo 0 > "$switch"
    done
fi
