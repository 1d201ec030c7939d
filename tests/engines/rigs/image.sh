#!/bin/sh
# Makes an image as an archive that every engine loads: image.sh FILE [NAME PORTS COMMAND]
#
# A static busybox: by default `library/db`, which waits, EXPOSE 3306/tcp 7000/udp, ENV PATH=/bin
# COLOUR=green DATABASE=shop. PORTS and COMMAND are what stands between the brackets in JSON.
set -eu

file=$1 name=${2:-library/db:latest} ports=${3-'"3306/tcp":{},"7000/udp":{}'}
command=${4:-'"sleep","86400"'} variables='"PATH=/bin"'
[ $# -gt 1 ] || variables='"PATH=/bin","COLOUR=green","DATABASE=shop"'
dir=$(mktemp -d)
cd "$dir"

mkdir -p root/bin root/etc
cp /bin/busybox root/bin
for applet in sh cat echo env httpd nc sleep; do ln -s busybox root/bin/$applet; done
echo 'hosts: files dns' >root/etc/nsswitch.conf # a static program's own default is the other way
tar -C root -cf layer.tar .

layer=$(sha256sum layer.tar | cut -d' ' -f1)
cat >config <<END
{"architecture":"$(dpkg --print-architecture)","os":"linux","config":{
"Env":[$variables],"Cmd":[$command],
"ExposedPorts":{$ports}},
"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
END
config=$(sha256sum config | cut -d' ' -f1).json
mv config "$config"
cat >manifest.json <<END
[{"Config":"$config","RepoTags":["docker.io/$name"],"Layers":["layer.tar"]}]
END
tar -cf "$file" manifest.json "$config" layer.tar
rm -r "$dir"
