#!/bin/sh
# Brings etcd 3.5 of Debian's development release, once, if it is not there: etcd.sh DIR
#
# Debian 12 has etcd 3.4, which is too old. Two packages and the C library that they were built with are
# unpacked into DIR; nothing is installed on this machine. Takes half a minute and 100 MB.
set -eu

dir=$1
[ ! -e "$dir/.complete" ] || exit 0
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9 # of two that need it at the same time one brings it
[ ! -e "$dir/.complete" ] || exit 0

rm -rf "$dir"
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] http://deb.debian.org/debian sid main" >"$dir/apt/sources.list"
# Lists, cache and sources of its own; those of this machine stay as they are.
apt() {
    apt-get -q -o Dir::Etc::SourceList="$dir/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o Dir::State::Lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" \
        -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root "$@"
}
apt update
cd "$dir/apt"
apt download etcd-server etcd-client libc6
for package in *.deb; do dpkg-deb -x "$package" "$dir"; done
cd /
rm -rf "$dir/apt"

# Programs are called by the loader that belongs to their C library.
loader=$(find "$dir/usr/lib" "$dir/lib64" -name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
libraries=$(dirname "$(find "$dir/usr/lib" "$dir/lib" -name libc.so.6 2>/dev/null | head -n 1)")
mkdir -p "$dir/bin"
for program in etcd etcdctl; do
    printf '#!/bin/sh\nexec %s --library-path %s %s "$@"\n' \
        "$loader" "$libraries" "$dir/usr/bin/$program" >"$dir/bin/$program"
    chmod 755 "$dir/bin/$program"
done
"$dir/bin/etcd" --version
touch "$dir/.complete"
