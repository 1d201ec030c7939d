#!/bin/sh
# Makes the image `db` as an archive that every engine loads: image.sh FILE
#
# A static busybox that waits, EXPOSE 3306/tcp 7000/udp, ENV PATH=/bin COLOUR=green DATABASE=shop.
set -eu

file=$1
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
"Env":["PATH=/bin","COLOUR=green","DATABASE=shop"],"Cmd":["sleep","86400"],
"ExposedPorts":{"3306/tcp":{},"7000/udp":{}}},
"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
END
config=$(sha256sum config | cut -d' ' -f1).json
mv config "$config"
cat >manifest.json <<END
[{"Config":"$config","RepoTags":["docker.io/library/db:latest"],"Layers":["layer.tar"]}]
END
tar -cf "$file" manifest.json "$config" layer.tar
rm -r "$dir"
