//! Configuration of rootless engines: by root for all users, by the user, and files that a user
//! cannot read.

use crate::each_engine;
use crate::rig::Engine;
use crate::user::{Rootless, User, annotation};

/// What the containers of a user say and how they end, on each kind of network.
fn account(user: &User) -> Vec<String> {
    let mut account = Vec::new();
    let fails = ["sh -c 'echo complaint >&2; exit 7'", "/no/such"];
    let runs = ["", "--network bridge", "--network host", "--network none"];
    let runs = runs.map(|network| (network, "echo hello"));
    for (network, command) in runs.into_iter().chain(fails.map(|command| ("", command))) {
        let said = user.engine(&format!("run --rm --name plain {network} db {command}"));
        // podman calls the runtime by its name in messages of its own.
        account.push(said.to_string().replace("oci-link", "crun"));
    }
    assert!(account[0].contains("Some(0)\nhello"), "{account:#?}");
    account
}

#[track_caller]
fn assert_links(user: &User) {
    user.run("db", "--network bridge").ok();
    user.run("web", &format!("--network bridge {}", annotation("links", "db:database"))).ok();
    let hosts = user.hosts("web");
    assert!(hosts.contains(&format!("{}\tdatabase", user.address("db", "-4"))), "{hosts}");
    user.assert_reaches("web", "database", 3306);
    for name in ["web", "db"] {
        user.remove(name);
    }
    assert_eq!(user.recorded(), Vec::<String>::new());
}

each_engine! {
    /// The first thing that must be true of rootless containers.
    fn root_configures_podman_for_all(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let alice = rig.plain("alice");
        let before = account(&alice);
        alice.run("old", "").ok();
        let said = rig.machine.sh("oci-link configure podman --default").ok();
        assert!(said.contains("rootless users of this host get it too"), "{said}");
        assert_eq!(alice.engine("info --format '{{.Host.OCIRuntime.Name}}'").ok(), "oci-link");
        assert_eq!(account(&alice), before);
        assert_links(&alice);
        // A container that was made before runs on, and is removed.
        alice.engine("restart --time 0 old").ok();
        alice.remove("old");
        rig.machine.sh("oci-link configure podman --remove").ok();
        assert_eq!(account(&alice), before);
    }

    /// Files of root that a user cannot read or write are absent; what holds for root's bridges only
    /// does not count.
    fn root_has_files_of_its_own(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let alice = rig.user("alice");
        let before = account(&alice);
        let file = "/etc/oci-link/config.toml";
        rig.write(file, "[firewall]\nisolate = [\"podman0\"]\n[log]\nfile = \"/var/log/links.log\"\n");
        rig.machine.sh("touch /var/log/links.log && chmod 600 /var/log/links.log").ok();
        assert_eq!(account(&alice), before, "a log of root's");
        // The bridge of that name is hers, and not isolated.
        alice.run("db", "--network bridge").ok();
        alice.run("third", "--network bridge").ok();
        alice.assert_reaches("third", alice.address("db", "-4"), 9999);
        for name in ["db", "third"] {
            alice.remove(name);
        }
        assert_links(&alice);
        for damage in [format!("chmod 600 {file}"), format!("chmod 644 {file}; echo x >{file}")] {
            rig.machine.sh(&damage).ok();
            for network in ["", "--network bridge"] {
                let said = alice.engine(&format!("run --rm {network} db echo hello"));
                assert_eq!(said.ok(), "hello", "{damage}");
            }
        }
        // Even with links: the user cannot correct root's file.
        rig.machine.sh(&format!("chmod 600 {file}")).ok();
        assert_links(&alice);
    }

    fn a_user_has_a_config_of_the_own(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let alice = rig.user("alice");
        let log = "[log]\nlevel = \"debug\"\nfile = \"/home/alice/oci-link.log\"\n";
        alice.write(".config/oci-link/config.toml", &format!("[firewall]\nbackend = \"nftables\"\n{log}"));
        assert_links(&alice);
        assert!(!alice.sh("cat oci-link.log").ok().is_empty());
        alice.run("db", "--network bridge").ok();
        alice.run("web", &format!("--network bridge {}", annotation("links", "db:database"))).ok();
        let tables = alice.inside("nft list tables").ok();
        assert!(tables.contains("table inet oci-link"), "{tables}");
        // One that cannot be used stops containers with links only, and no end.
        alice.write(".config/oci-link/config.toml", "nonsense = 1\n");
        assert_eq!(alice.engine("run --rm db echo hello").ok(), "hello");
        let linked = format!("--network bridge {}", annotation("links", "db:other"));
        let complaint = alice.run("more", &linked).refused();
        assert!(complaint.contains("config.toml"), "{complaint}");
        for name in ["web", "db", "more"] {
            alice.remove(name);
        }
        alice.write(".config/oci-link/config.toml", "");
        assert_eq!(alice.recorded(), Vec::<String>::new());
        alice.sh("oci-link configure podman --remove").ok();
        let name = alice.engine("info --format '{{.Host.OCIRuntime.Name}}'").ok();
        assert_eq!(name, "crun");
    }
}
