//! Docker in Docker: containers with a bridge of their own inside, which leads nowhere outside.

use crate::each_engine;
use crate::machine::wait_until;
use crate::rig::{Container, Engine, Rig, With};

/// What a daemon needs of the machine that it does not find in the small image. Its layers lie in
/// memory: an overlay cannot lie in an overlay.
const INSIDE: &str = "--privileged --volume /usr:/usr:ro --volume /usr/lib:/lib:ro \
                      --volume /usr/lib64:/lib64:ro --volume /etc/alternatives:/etc/alternatives:ro \
                      --tmpfs /var/lib/docker:exec --tmpfs /run:exec --tmpfs /tmp \
                      --env PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/bin";
/// Answers on a port that the image exposes, and on one that it does not, beside its daemon.
const DAEMON: &str = "sh -c 'dockerd --exec-opt native.cgroupdriver=cgroupfs >/tmp/log 2>&1 & \
                      httpd -p 9999; exec httpd -f -p 3306'";

/// A container that runs a daemon.
fn nested<'r>(rig: &'r Rig, name: &'r str) -> Container<'r> {
    rig.container(name).option(INSIDE.to_owned()).command(DAEMON)
}

/// Waits for the bridge of the daemon in `name`, and returns its address.
fn inner_address(rig: &Rig, name: &str) -> String {
    let show = || rig.exec(name, "ip -4 -o addr show dev docker0 scope global");
    wait_until("bridge of the daemon inside", || {
        let shown = show();
        let log = rig.exec(name, "cat /tmp/log");
        let log = if log.is_ok() { log.ok() } else { String::new() };
        assert!(!log.contains("failed to start daemon"), "{name}: {log}");
        shown.is_ok() && shown.ok().contains("inet ")
    });
    let shown = show().ok();
    let address = shown.split_whitespace().nth(3).and_then(|word| word.split('/').next());
    address.expect("an address").to_owned()
}

each_engine! {
    /// Both daemons choose one address for their bridge. It is not an address of a container.
    fn docker_in_docker_is_linked_by_its_outer_addresses(engine) on [docker_28] {
        let rig = Rig::start(engine, With::Wrapper);
        nested(&rig, "db").run().ok();
        let inside = inner_address(&rig, "db");
        let links = |name| nested(&rig, name).annotate("links", "db:database");
        links("web").run().ok();
        assert_eq!(inner_address(&rig, "web"), inside);
        links("late").run().ok();
        rig.machine.sh("/usr/local/bin/oci-link sync").ok();
        let outer = rig.address("db").to_string();
        for name in ["web", "late"] {
            assert!(rig.environ(name).contains(&format!("DATABASE_PORT_3306_TCP_ADDR={outer}")));
            assert!(rig.hosts(name).contains(&format!("{outer}\tdatabase ")), "{}", rig.hosts(name));
            rig.assert_reaches(name, "database", 3306);
            assert!(!rig.reaches(name, "database", 9999), "{name}: another port");
        }
        let listed = rig.machine.sh("/usr/local/bin/oci-link ls --format json").ok();
        assert!(listed.contains(&outer) && !listed.contains(&inside), "{listed}");
        let check = rig.machine.sh("/usr/local/bin/oci-link sync --check");
        assert!(check.is_ok(), "{check}");
    }
}
