#!/bin/sh
# Stands where systemctl is on a machine that has systemd: systemctl restart|reload ENGINE
set -eu

[ "$1" != enable ] || exit 0 # reboot.sh starts what is started at boot
case $2 in
docker) daemon=dockerd asked='docker version' ;;
containerd) daemon=containerd asked='ctr version' ;;
esac
if [ "$1" = reload ]; then
    kill -HUP "$(pidof $daemon)"
    sleep 1
else
    kill "$(pidof $daemon)"
    while pidof $daemon; do sleep 0.05; done
    setsid $daemon >/root/engine.log 2>&1 </dev/null &
fi >/dev/null
until $asked >/dev/null 2>&1; do sleep 0.05; done
