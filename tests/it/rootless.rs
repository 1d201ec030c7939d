//! Containers of users: the user and network namespaces are those of a rootless podman, the runtimes are
//! real, and there is no engine.

use crate::support::{Host, OCI_LINK, Outcome, Runtime, each_runtime};
use std::process::Command;

const MACHINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/rootless/machine.sh");
const ROOTFS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-bundles/rootfs.sh");

/// Two containers of one user on a bridge.
const TWO: &str = "user 1500 100000; site 1500 rootless-netns-0f
    for number in 2 3; do namespace 1500 n$number; plug 1500 rootless-netns-0f n$number $number; done;";

/// Plays a story in which commands of `machine.sh` are words.
fn play(runtime: Runtime, story: &str) -> Outcome {
    let host = Host::open(runtime);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", MACHINE]);
    command.args([OCI_LINK, runtime.program(), ROOTFS, story]);
    host.run(&mut command)
}

/// What a story prints between `== NAME` and the next `==`.
fn part<'a>(said: &'a str, name: &str) -> &'a str {
    let (_, rest) = said.split_once(&format!("== {name}\n")).unwrap_or_else(|| panic!("{said}"));
    rest.split_once("== ").map_or(rest, |(part, _)| part)
}

each_runtime! {
    fn a_link_of_a_user_is_made_in_the_site(runtime) {
        let story = format!("{TWO}
            start 1500 db '' n2; start 1500 web db:database n3
            echo == hosts; hosts 1500 web
            echo == site; inside 1500 rootless-netns-0f 'ipset list oci-link4-port 2>&1 || nft list ruleset'
            echo == outside; ipset list -n; iptables -S; ls -A /run/oci-link 2>&1 || true
            echo == state; stat -c '%a %u' /run/user/1500/oci-link
            echo == environment; cat /run/user/1500/bundles/web/config.json
            runtime 1500 delete --force web; runtime 1500 delete --force db
            echo == after; hosts 1500 web
            inside 1500 rootless-netns-0f 'ipset list oci-link4-port 2>&1 || nft list ruleset'
            find /run/user/1500/oci-link -name '*.json'");
        let said = play(runtime, &story).ok();
        assert!(part(&said, "hosts").contains("10.89.0.2\tdatabase db db\n"), "{said}");
        assert!(part(&said, "site").contains("10.89.0.2"), "{said}");
        let outside = part(&said, "outside");
        assert!(!outside.contains("oci-link4") && !outside.contains("OCI-LINK"), "{said}");
        assert!(outside.contains("No such file"), "{said}");
        assert_eq!(part(&said, "state"), "700 1500\n", "{said}");
        let environment = part(&said, "environment");
        assert!(environment.contains("DATABASE_PORT_3306_TCP_ADDR=10.89.0.2"), "{said}");
        let after = part(&said, "after");
        assert!(!after.contains("10.89.0") && !after.contains(".json"), "{said}");
    }

    fn no_bridge_means_no_links(runtime) {
        let story = format!("{TWO}
            namespace 1500 slirp; inside 1500 slirp 'ip tuntap add tap0 mode tap; ip addr add 10.0.2.100/24 dev tap0'
            namespace 1500 pasta; inside 1500 pasta 'ip tuntap add eth7 mode tun; ip addr add 192.0.2.10/24 dev eth7'
            namespace 1500 none
            start 1500 db '' n2
            for network in slirp pasta none host; do
                echo == plain $network; status start 1500 plain-$network '' $network
                echo == linked $network; status start 1500 linked-$network db $network
                echo == source $network; status start 1500 web plain-$network n3; runtime 1500 delete --force web
            done 2>&1
            echo == list; shell 1500 oci-link ls --format json");
        let said = play(runtime, &story).ok();
        for (network, on) in [
            ("slirp", "is on slirp4netns, where containers do not reach each other"),
            ("pasta", "is on pasta, where containers do not reach each other"),
            ("none", "is on no network, where containers do not reach each other"),
            ("host", "is on the host's network, where links cannot be made"),
        ] {
            assert_eq!(part(&said, &format!("plain {network}")), "status 0\n", "{said}");
            let end = ": start both with --network bridge, or --network and a network of your own";
            let linked = part(&said, &format!("linked {network}"));
            assert!(linked.contains(&format!("oci-link: linked-{network} {on}{end}\n")), "{said}");
            assert!(linked.ends_with("status 5\n"), "{said}");
            let source = part(&said, &format!("source {network}"));
            assert!(source.contains(&format!("oci-link: plain-{network} {on}{end}\n")), "{said}");
            assert!(source.contains("status 5\n"), "{said}");
        }
        let listed = part(&said, "list");
        for word in ["slirp4netns", "pasta", "none", "host", "own"] {
            assert!(listed.contains(&format!("\"network\": \"{word}\"")), "{word}: {said}");
        }
        assert!(!listed.contains("10.0.2.100") && !listed.contains("192.0.2.10"), "{said}");
    }

    /// Without any site there are no rules, and containers start.
    fn a_user_without_bridges(runtime) {
        let story = "user 1500 100000; namespace 1500 pasta; inside 1500 pasta 'ip tuntap add eth7 mode tun'
            echo == none; shell 1500 oci-link ls --format json; status shell 1500 oci-link gc
            for network in pasta host; do
                echo == plain $network; status start 1500 plain-$network '' $network
            done 2>&1
            echo == delete; status runtime 1500 delete --force plain-pasta
            shell 1500 oci-link ls --format json";
        let said = play(runtime, story).ok();
        assert_eq!(part(&said, "none"), "[]\nstatus 0\n", "{said}");
        for network in ["pasta", "host"] {
            assert_eq!(part(&said, &format!("plain {network}")), "status 0\n", "{said}");
        }
        let after = part(&said, "delete");
        assert!(after.starts_with("status 0\n") && !after.contains("plain-pasta"), "{said}");
        assert!(after.contains("plain-host"), "{said}");
    }

    /// A name means nothing: the kernel says where a container's interface leads. The first file by name is a
    /// namespace of the user without a bridge, another one is root's.
    fn the_site_is_where_the_interface_leads(runtime) {
        let story = format!("{TWO}
            namespace 1500 rootless-netns-00
            engine 1500 sh -c 'cd /run/user/1500/netns; touch rootless-netns-01 && mount --bind /proc/1/ns/net \
                rootless-netns-01 || mount --bind /proc/self/ns/net rootless-netns-01'
            start 1500 db '' n2; start 1500 web db:database n3
            echo == hosts; hosts 1500 web
            echo == other; inside 1500 rootless-netns-00 'ipset list -n; nft list ruleset' 2>&1
            echo == list; shell 1500 oci-link sync --check 2>&1
            runtime 1500 delete --force web
            echo == after; inside 1500 rootless-netns-0f 'ipset list oci-link4-port 2>&1 || nft list ruleset'");
        let said = play(runtime, &story).ok();
        assert!(part(&said, "hosts").contains("10.89.0.2\tdatabase db db\n"), "{said}");
        assert!(!part(&said, "other").contains("oci-link"), "{said}");
        assert!(!part(&said, "after").contains("10.89.0.3"), "{said}");
    }

    fn a_site_that_is_made_again(runtime) {
        let story = format!("{TWO}
            start 1500 db '' n2; start 1500 web db:database n3
            for name in db web; do
                kill -9 $(engine 1500 $runtime $options state $name | sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p')
            done
            engine 1500 sh -c 'cd /run/user/1500/netns; umount rootless-netns-0f n2 n3; rm rootless-netns-0f n2 n3'
            site 1500 rootless-netns-0f
            for number in 4 5; do namespace 1500 n$number; plug 1500 rootless-netns-0f n$number $number; done
            start 1500 db2 '' n4; start 1500 web2 db2:database n5
            echo == hosts; hosts 1500 web2
            echo == gc; shell 1500 oci-link gc
            echo == list; shell 1500 oci-link ls --names");
        let said = play(runtime, &story).ok();
        assert!(part(&said, "hosts").contains("10.89.0.4\tdatabase db2 db2\n"), "{said}");
        assert_eq!(part(&said, "list"), "db2\nweb2\n", "{said}");
    }

    fn users_and_root_stay_apart(runtime) {
        let story = format!("{TWO}
            user 1501 200000
            start 1500 db '' n2; start 1500 web db:database n3
            echo == root; status oci-link --state-dir /run/user/1500/oci-link ls
            status oci-link sync; status oci-link gc --all; oci-link ls --names
            echo == other; status shell 1501 oci-link --state-dir /run/user/1500/oci-link gc
            status engine 1501 oci-link --state-dir /run/user/1500/oci-link gc
            cp /run/user/1500/libpod/tmp/pause.pid /run/user/1501/libpod/tmp/pause.pid
            status shell 1501 oci-link sync
            echo == unmapped; mkdir /run/roots; status engine 1500 oci-link --state-dir /run/roots ls
            mkdir -m 1777 /run/all; mkdir /run/all/roots
            status engine 1500 oci-link --state-dir /run/all/roots/x ls
            status engine 1500 oci-link --state-dir /run/home/1500/a/b ls
            echo == still; shell 1500 oci-link sync --check; shell 1500 oci-link ls --names");
        let said = play(runtime, &story).said();
        let root = part(&said, "root");
        assert_eq!(root.lines().next(), Some("status 7"), "{said}");
        assert!(!root.contains("web"), "{said}");
        let other = part(&said, "other");
        assert!(other.starts_with("status 7\nstatus 7\n"), "{said}");
        assert!(!other.contains("status 0"), "{said}");
        assert_eq!(part(&said, "unmapped"), "status 7\nstatus 7\nID   NAME   ADDRESS   PORTS   LINKS   \
                    LINKED BY   STATE\nstatus 0\n", "{said}");
        assert!(part(&said, "still").starts_with("db\nweb\n"), "{said}");
    }

    fn events_of_a_user(runtime) {
        let story = format!("{TWO}
            shell 1500 oci-link events >/run/told 2>/run/complaints & follower=$!
            until [ -d /run/user/1500/oci-link/notes ]; do sleep 0.05; done; sleep 0.3
            start 1500 db '' n2; start 1500 web db:database n3
            told() {{ for try in $(seq 300); do grep -q \"$1\" /run/told && break; sleep 0.1; done }}
            told 'linked web'; runtime 1500 delete --force web; told 'ended web'
            kill $follower
            echo == told; cut -d' ' -f2- /run/told; echo == complaints; cat /run/complaints");
        let said = play(runtime, &story).ok();
        let told = part(&said, "told");
        for line in ["started db (db)", "linked web db:database", "closed web db:database", "ended web (web)"] {
            assert!(told.lines().any(|it| it == line), "no {line} in {said}");
        }
        assert!(part(&said, "complaints").lines().count() == 1, "{said}");
    }

    /// A file of root's that the user cannot read, or that is about root's own containers, stops nothing.
    fn configuration_of_root_and_of_the_user(runtime) {
        let story = format!("{TWO}
            mkdir -m 0755 /etc/oci-link /run/home/1500/.config /run/home/1500/.config/oci-link
            printf 'state_dir = \"/var/lib/x\"\\n[log]\\nfile = \"/var/log/x\"\\n[firewall]\\nbackend = \"none\"\\n\
                isolate = [\"cni0\"]\\n[env]\\ndialect = \"27\"\\n' >/etc/oci-link/config.toml
            start 1500 db '' n2; start 1500 web db:database n3
            echo == taken; cat $(find /run/user/1500/oci-link -name web.json); runtime 1500 delete --force web
            printf '[firewall]\\nbackend = \"auto\"\\n' >/run/home/1500/.config/oci-link/config.toml
            start 1500 web db:database n3
            echo == own; cat $(find /run/user/1500/oci-link -name web.json); runtime 1500 delete --force web
            chmod 0600 /etc/oci-link/config.toml; rm /run/home/1500/.config/oci-link/config.toml
            echo == unreadable; status start 1500 web db:database n3; status runtime 1500 delete --force web
            chmod 0644 /etc/oci-link/config.toml; echo nonsense >/etc/oci-link/config.toml
            echo == malformed; status start 1500 web db:database n3; status start 1500 plain '' n3
            status runtime 1500 delete --force plain");
        let said = play(runtime, &story).said();
        assert!(part(&said, "taken").contains("\"backend\":\"none\""), "{said}");
        let own = part(&said, "own");
        assert!(own.contains("\"flows\":[{") && !own.contains("\"backend\":\"none\""), "{said}");
        assert_eq!(part(&said, "unreadable"), "status 0\nstatus 0\n", "{said}");
        let malformed = part(&said, "malformed");
        assert!(malformed.starts_with("status 3\n"), "{said}");
        assert!(malformed.contains("status 0\nstatus 0\n"), "{said}");
    }
}
