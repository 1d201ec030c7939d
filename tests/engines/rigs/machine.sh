#!/bin/sh
# Becomes a machine of its own: machine.sh ROOT READY
#
# ROOT is the directory of a Debian system (`/` for this one's own). Called inside new network,
# mount, pid, ipc and uts namespaces, it covers ROOT with a file system in memory, goes in by
# pivot_root (after a chroot, an engine's exec would land outside), makes the file READY and waits
# to be killed. Whatever an engine writes, mounts or starts in here is gone with that.
set -eu

root=$1 ready=$2
new=/mnt # covered in this mount namespace only

mount --make-rprivate /
mount -t tmpfs -o mode=0755 machine "$new"
mkdir "$new/changes" "$new/work" "$new/root"
mount -t overlay -o "lowerdir=$root,upperdir=$new/changes,workdir=$new/work" machine "$new/root"

cd "$new/root"
mount -t proc proc proc
mount -t sysfs sysfs sys # of the new network namespace: engines set bridges up through it
mount --rbind /sys/fs/cgroup sys/fs/cgroup
# crun refuses a host with both cgroup hierarchies.
! mountpoint -q sys/fs/cgroup/unified || umount sys/fs/cgroup/unified
mount --rbind /dev dev
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
# As the first process: takes in the orphans.
while :; do
    sleep 3600 &
    wait
done
