#!/bin/sh
# Runs a command that installs packages; the daemons in them are not started on this machine, as
# Debian's policy-rc.d interface lets one ask.
set -eu

policy=/usr/sbin/policy-rc.d
if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
"$@"
