//! Pods under containerd's CRI, which this calls as the kubelet does.

mod node;

use crate::each_engine;
use crate::rig::Engine;
use node::Node;

each_engine! {
    fn a_link_stays_in_its_namespace(engine) on [containerd_1, containerd_2] {
        let node = Node::start(engine);
        let vault = node.pod("prod", "vault-1", &[("ports", "3306")]);
        let vault_pid = node.run(&vault, "vault", &["TOKEN=s3cret"]);
        let address = node.address(vault_pid);
        let evil = node.pod("evil", "evil-1", &[("links", "vault")]);
        let said = node.create(&evil, "evil", &[]).refused();
        assert!(said.contains("could not get container for vault: No such container: vault"), "{said}");
        let late = node.pod("evil", "late-1", &[("links", "vault"), ("missing", "defer")]);
        let late_pid = node.run(&late, "late", &[]);
        node.oci_link("sync").ok();
        assert!(!node.environ(late_pid).contains("s3cret") && !node.hosts(late_pid).contains("vault"));
        assert!(!node.gets(late_pid, &address), "closed");
        let good = node.pod("prod", "good-1", &[("links", "vault")]);
        let good_pid = node.run(&good, "good", &[]);
        assert!(node.environ(good_pid).contains("VAULT_ENV_TOKEN=s3cret"));
        assert!(node.gets(good_pid, "vault") && !node.gets_at(good_pid, "vault", 9999));

        let open = node.pod("prod", "open-1", &[("ports", "3306"), ("from", "blue, evil")]);
        node.run(&open, "open", &[]);
        let reader = node.pod("evil", "reader-1", &[("links", "open")]);
        let reader_pid = node.run(&reader, "reader", &[]);
        assert!(node.gets(reader_pid, "open"));
        for pod in [&good, &late, &reader, &open, &vault] {
            node.remove(pod);
        }
        node.remove(&evil);
        assert_eq!(node.rig.remains(), Vec::<String>::new());
    }

    fn names_of_containers_in_pods(engine) on [containerd_1, containerd_2] {
        let node = Node::start(engine);
        let serve = |namespace: &str, name: &str| {
            let pod = node.pod(namespace, name, &[("ports", "3306")]);
            let pid = node.run(&pod, "app", &[]);
            (pod, node.address(pid))
        };
        let (_, shop) = serve("shop", "shop-1");
        let (_, blog) = serve("blog", "blog-1");
        let linked = |namespace: &str, name: &str, links: &str| {
            node.pod(namespace, name, &[("links", links)])
        };
        for (namespace, name, address) in [("blog", "x", &blog), ("shop", "y", &shop)] {
            let pid = node.run(&linked(namespace, name, "app"), "web", &[]);
            assert!(node.hosts(pid).contains(&format!("{address}\tapp ")), "{}", node.hosts(pid));
            assert!(node.gets(pid, "app"));
        }
        node.create(&linked("third", "z", "app"), "web", &[]).refused();
        let (_, second) = serve("blog", "blog-2");
        let said = node.create(&linked("blog", "v", "app"), "web", &[]).refused();
        assert!(said.contains("several containers have this name: blog-1/app, blog-2/app"), "{said}");
        let pid = node.run(&linked("blog", "w", "blog-2/app:x"), "web", &[]);
        assert!(node.hosts(pid).contains(&format!("{second}\tx ")), "{}", node.hosts(pid));
        assert!(node.gets(pid, "x"));
    }

    fn annotations_of_a_pod(engine) on [containerd_1, containerd_2] {
        let node = Node::start(engine);
        // The links of a pod to its own container.
        let own = node.pod("shop", "shop-1", &[("links", "db"), ("ports", "3306")]);
        let db_pid = node.run(&own, "db", &[]);
        let web_pid = node.run(&own, "web", &[]);
        let address = node.address(db_pid);
        assert!(node.environ(web_pid).contains(&format!("DB_PORT=tcp://{address}:3306")));
        assert!(node.hosts(web_pid).contains(&format!("{address}\tdb")), "{}", node.hosts(web_pid));
        // Keys for one container.
        let keys =
            [("links/web", "db:mysql"), ("links", "nosuch"), ("links/side", "none")];
        let pod = node.pod("shop", "web-1", &keys);
        let web_pid = node.run(&pod, "web", &[]);
        assert!(node.gets(web_pid, "mysql"));
        node.run(&pod, "side", &[]);
        let said = node.create(&pod, "other", &[]).refused();
        assert!(said.contains("No such container: nosuch"), "{said}");
        // The sandbox starts, whatever the annotations of the pod are.
        let odd = node.pod("shop", "odd-1", &[("links", "db:x#y")]);
        let said = node.create(&odd, "odd", &[]).refused();
        assert!(said.contains("has a character that is not allowed"), "{said}");
        let listed = node.oci_link("ls").ok();
        assert!(!listed.contains(&own.id[..12]) && listed.contains("side"), "{listed}");
    }

    fn the_kubelet_writes_the_hosts_file_again(engine) on [containerd_1, containerd_2] {
        let node = Node::start(engine);
        let db = node.pod("shop", "db-1", &[("ports", "3306")]);
        node.run(&db, "db", &[]);
        let pod = node.pod("shop", "web-1", &[("links", "db"), ("links/plain", "none")]);
        let file = node.kubelet_file(&pod);
        let has_names = |pid: u32| {
            let hosts = node.hosts(pid);
            hosts.contains("\tdb") && node.gets(pid, "db")
        };
        let x_pid = node.run(&pod, "x", &[]);
        assert!(has_names(x_pid));
        for name in ["y", "plain"] {
            node.write_hosts(&file);
            node.run(&pod, name, &[]);
            assert!(has_names(x_pid), "{name} started");
            node.end(&pod, name);
            assert!(has_names(x_pid), "{name} ended");
        }
        assert_eq!(node.oci_link("sync --check").ok(), "");
    }

    /// As CRI-O, which deletes a container only when the pod goes.
    fn the_state_of_a_container_that_has_ended(engine) on [containerd_1, containerd_2] {
        let node = Node::start(engine);
        let db = node.pod("shop", "db-1", &[("ports", "3306")]);
        let db_pid = node.run(&db, "db", &[]);
        let web = node.pod("shop", "web-1", &[("links", "db")]);
        let web_pid = node.run(&web, "web", &[]);
        assert!(node.gets(web_pid, "db"));
        let id = node.container(&db, "db");
        node.without_its_shim(db_pid, || {
            let state = format!("oci-link-runtime --root /run/containerd/runc/k8s.io state {id}");
            let said = node.rig.machine.sh(&state).ok();
            assert!(said.contains("stopped"), "{said}");
            assert!(!node.hosts(web_pid).contains("\tdb"), "{}", node.hosts(web_pid));
            assert!(!node.rig.machine.sh("ipset save").ok().contains("add oci-link4"), "a rule");
        });
        node.remove(&db);
        let db = node.pod("shop", "db-2", &[("ports", "3306")]);
        node.run(&db, "db", &[]);
        assert!(node.gets(web_pid, "db"), "it is back");
    }
}
