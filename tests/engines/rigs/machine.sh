#!/bin/sh
# Becomes a machine of its own: machine.sh ROOT READY [systemd]
#
# ROOT is the directory of a Debian system (`/` for this one's own). Called inside new network,
# mount, pid, ipc and uts namespaces, it covers ROOT with a file system in memory, goes in by
# pivot_root (after a chroot, an engine's exec would land outside), makes the file READY and waits
# to be killed. Whatever an engine writes, mounts or starts in here is gone with that. With `systemd` the
# first process is systemd, which starts its basic units and none that the administrator enabled.
set -eu

root=$1 ready=$2 first=${3-}
new=/mnt # covered in this mount namespace only

mount --make-rprivate /
mount -t tmpfs -o mode=0755 machine "$new"
mkdir "$new/changes" "$new/work" "$new/root"
mount -t overlay -o "lowerdir=$root,upperdir=$new/changes,workdir=$new/work" machine "$new/root"

cd "$new/root"
mount -t proc proc proc
mount -t sysfs sysfs sys # of the new network namespace: engines set bridges up through it
if [ "$first" = systemd ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup # of a new cgroup namespace
    mount -t tmpfs -o mode=0755 tmpfs dev  # systemd changes nodes of its /dev
    for node in null zero full random urandom tty; do cp -a "/dev/$node" "dev/$node"; done
    ln -s /proc/self/fd dev/fd
    mkdir dev/pts dev/shm
    rm -rf etc/systemd/system/*.wants
    ln -sf /lib/systemd/system/multi-user.target etc/systemd/system/default.target
else
    mount --rbind /sys/fs/cgroup sys/fs/cgroup
    # crun refuses a host with both cgroup hierarchies.
    ! mountpoint -q sys/fs/cgroup/unified || umount sys/fs/cgroup/unified
    mount --rbind /dev dev
fi
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for dir in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$dir"; done
chmod 0755 run
# Images lie in an overlay of the engines' own, which cannot lie in ours.
for engine in docker containerd containers; do
    mkdir -p "var/lib/$engine"
    mount -t tmpfs -o mode=0700 tmpfs "var/lib/$engine"
done

mkdir -p .old
pivot_root . .old
cd /
touch "/.old$ready"
umount -l .old

hostname engines
ip link set lo up
if [ "$first" = systemd ]; then
    exec env -i container=other PATH="$PATH" /lib/systemd/systemd --log-target=null --show-status=no
fi
# As the first process: takes in the orphans.
while :; do
    sleep 3600 &
    wait
done
