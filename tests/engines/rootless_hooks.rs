//! hooks.d of rootless podman, without the wrapper.

use crate::each_engine;
use crate::rig::Engine;
use crate::user::{Rootless, annotation};

each_engine! {
    /// Hooks that root registered for all users of the host.
    fn hooks_of_root_link_containers_of_users(engine) on [podman_4, podman_5] {
        let rig = Rootless::start(engine);
        let alice = rig.plain("alice");
        rig.machine.sh("oci-link configure podman --hooks").ok();
        alice.write(".config/oci-link/config.toml", "[firewall]\nisolate = [\"podman1\"]\n");
        alice.engine("network create --disable-dns lan").ok();
        for network in ["", "--network host", "--network none", "--network lan"] {
            let said = alice.engine(&format!("run --rm {network} db echo hello"));
            assert_eq!(said.ok(), "hello", "{network}");
        }
        alice.run_on_lan("db", "").ok();
        alice.run_on_lan("web", "db:database").ok();
        let address = alice.address("db", "-4");
        let environ = alice.environ("web");
        let entry = format!("DATABASE_PORT=tcp://{address}:3306");
        assert!(environ.contains(&entry), "no {entry} in {environ:#?}");
        alice.assert_reaches("web", &address, 3306);
        assert!(!alice.reaches("web", &address, 9999), "another port");
        // Since 4.6 podman writes the hosts file after the hooks.
        let has_line = alice.hosts("web").contains(&format!("{address}\tdatabase"));
        assert_eq!(has_line, engine == Engine::podman_4, "{}", alice.hosts("web"));
        // crun hides the words of a hook.
        let refused = alice.run("more", &annotation("links", "db:database")).refused();
        assert!(refused.contains("exit code: 5"), "{refused}");
        alice.remove("more");
        for name in ["web", "db"] {
            alice.remove(name);
        }
        assert_eq!(alice.recorded(), Vec::<String>::new());
    }
}
