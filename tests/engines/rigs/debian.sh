#!/bin/sh
# Makes a Debian's root filesystem, once, if it is not there: debian.sh SUITE PACKAGE,… DIR
#
# Nothing in it is ever changed: a test covers it with a file system in memory. Make it anew by
# removing DIR.
set -eu

suite=$1 packages=$2 dir=$3
[ ! -e "$dir/.complete" ] || exit 0
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # tests run side by side: one makes it, the others wait
[ ! -e "$dir/.complete" ] || exit 0

rm -rf "$dir"
mkdir -p "$dir"
debootstrap --variant=minbase --include="$packages" "$suite" "$dir"
touch "$dir/.complete"
