//! Links between containers on two networks of an engine.

use crate::each_engine;
use crate::rig::{Engine, Rig, With};

/// An engine whose containers are on its default network unless a test says otherwise.
fn rig(engine: Engine) -> Rig {
    Rig::start(engine, With::Wrapper)
}

each_engine! {
    /// Docker separates its networks: the refusal names the command that makes the link possible.
    fn a_link_across_two_networks_of_docker_is_refused_with_the_command(engine) on [docker_28] {
        let rig = rig(engine);
        rig.machine.sh("docker network create far").ok();
        rig.container("db").option("--network far".into()).run().ok();
        let web = || rig.container("web").annotate("links", "db:database");
        let complaint = web().run().refused();
        assert!(complaint.contains("web is on 172.17.0.0/16"), "{complaint}");
        assert!(complaint.contains(": docker network connect bridge db"), "{complaint}");
        rig.remove("web");
        let waiting = rig.container("late").annotate("links", "db:database");
        waiting.annotate("missing", "defer").run().ok();
        let listed = rig.machine.sh("/usr/local/bin/oci-link ls").ok();
        assert!(listed.contains("(waiting: the source shares no network)"), "{listed}");
        // db runs on: a start reads its addresses again, and so does `sync` for what waits.
        rig.machine.sh("docker network connect bridge db").ok();
        web().run().ok();
        rig.assert_reaches("web", "database", 3306);
        let variable = "DATABASE_PORT=tcp://172.17.0.";
        let environ = rig.environ("web");
        assert!(environ.iter().any(|entry| entry.starts_with(variable)), "{environ:?}");
        rig.machine.sh("/usr/local/bin/oci-link sync").ok();
        for name in ["web", "late"] {
            rig.assert_reaches(name, "database", 3306);
            assert!(!rig.reaches(name, "database", 9999), "{name}: another port");
        }
        // Docker masquerades what leaves a network, but both are on one.
        let doctor = rig.machine.sh("/usr/local/bin/oci-link doctor || true").ok();
        assert!(doctor.contains("sources see the addresses of their recipients"), "{doctor}");
    }

    /// podman separates only networks with the option `isolate`.
    fn a_link_across_two_networks_of_podman(engine) on [podman_5] {
        let rig = rig(engine);
        for (network, option) in [("far", ""), ("one", "--opt isolate=true"), ("two", "--opt isolate=true")] {
            rig.machine.sh(&format!("podman network create {option} {network}")).ok();
        }
        let on = |name, network: &str| rig.container(name).option(format!("--network {network}"));
        on("db", "far").run().ok();
        let web = rig.container("web").annotate("links", "db:database");
        web.run().ok();
        rig.assert_reaches("web", "database", 3306);
        // netavark masquerades all that leaves a network.
        let doctor = rig.machine.sh("/usr/local/bin/oci-link doctor || true").ok();
        let hidden = "it hides the address of the recipient from the source on the way from 10.88.0.0/16";
        assert!(doctor.contains(hidden), "{doctor}");
        on("both", "far,podman").run().ok();
        let web = rig.container("near").annotate("links", "both:database");
        web.run().ok();
        rig.assert_reaches("near", "database", 3306);
        let variable = "DATABASE_PORT=tcp://10.88.0.";
        let environ = rig.environ("near");
        assert!(environ.iter().any(|entry| entry.starts_with(variable)), "{environ:?}");
        on("apart", "one").run().ok();
        let complaint = on("other", "two").annotate("links", "apart:database").run().refused();
        assert!(complaint.contains(": podman network connect NETWORK apart"), "{complaint}");
    }
}
