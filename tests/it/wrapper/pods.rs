//! Pods of Kubernetes as containerd and CRI-O write them into config.json. Their engines are not run here.

use crate::lifecycle::{in_netns_of, record};
use crate::support::{
    Bundle, Container, Host, OPEN, Proto, Runtime, SHUT, each_runtime, patiently,
};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy)]
enum Cri {
    Containerd,
    Crio,
}

const BOTH: [Cri; 2] = [Cri::Containerd, Cri::Crio];

/// Makes the bundle a container of `pod`: `namespace/pod/container`. An empty container is a sandbox.
fn in_pod<'h>(bundle: Bundle<'h>, cri: Cri, pod: &str) -> Bundle<'h> {
    let parts: Vec<&str> = pod.split('/').collect();
    let [namespace, name, container] = parts[..] else { panic!("{pod}") };
    let kind = if container.is_empty() { "sandbox" } else { "container" };
    let annotations = match cri {
        Cri::Containerd => json!({
            "io.kubernetes.cri.container-type": kind,
            "io.kubernetes.cri.container-name": container,
            "io.kubernetes.cri.sandbox-name": name,
            "io.kubernetes.cri.sandbox-namespace": namespace,
        }),
        Cri::Crio => json!({
            "io.kubernetes.cri-o.ContainerType": kind,
            "io.kubernetes.container.name": container,
            "io.kubernetes.pod.name": name,
            "io.kubernetes.pod.namespace": namespace,
        }),
    };
    bundle.edit(|config| {
        for (key, value) in annotations.as_object().into_iter().flatten() {
            if value != "" {
                config["annotations"][key] = value.clone();
            }
        }
    })
}

/// Kills the process of a container. No hook reports it.
fn end(container: &Container) {
    let pid =
        container.state()["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    let ended = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        let runs = status.is_ok_and(|status| !status.contains("State:\tZ"));
        if runs { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    };
    patiently(ErrorKind::WouldBlock, ended).expect("it ends");
}

/// Takes the host lock, as another process.
fn hold(host: &Host) -> Flock<File> {
    let file = File::create(host.state_dir().join("lock")).expect("the state directory is there");
    Flock::lock(file, FlockArg::LockExclusive).expect("it is free")
}

fn host(runtime: Runtime) -> Host {
    Host::isolated(runtime).wrapped()
}

/// A container that serves port 3306, with these annotations of its pod.
fn serve<'h>(host: &'h Host, cri: Cri, id: &str, pod: &str, from: Option<&str>) -> Container<'h> {
    let bundle = host.container(id).annotate("ports", "3306").env("TOKEN=s3cret");
    let bundle = from.into_iter().fold(bundle, |bundle, from| bundle.annotate("from", from));
    let container = in_pod(bundle, cri, pod).build();
    container.run().ok();
    container
}

fn linked<'h>(host: &'h Host, cri: Cri, id: &str, pod: &str, links: &str) -> Container<'h> {
    in_pod(host.container(id).annotate("links", links), cri, pod).build()
}

/// A file as the kubelet writes one for a pod, and what it writes.
fn kubelet(host: &Host) -> (PathBuf, impl Fn(&Path)) {
    let path = host.path("etc-hosts");
    let write = |path: &Path| {
        let text = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n";
        fs::write(path, text).expect("written");
    };
    write(&path);
    (path, write)
}

each_runtime! {
    fn a_link_stays_in_its_namespace(runtime) {
        for cri in BOTH {
            let host = host(runtime);
            let vault = serve(&host, cri, "vault0", "prod/vault-1/vault", None);
            for links in ["vault", "vault-1/vault:vault", "vault0"] {
                let evil = linked(&host, cri, "evil", "evil/evil-1/evil", links);
                let said = evil.create().refused(4);
                assert!(said.contains("No such container: vault"), "{said}");
            }
            let late = host.container("late").annotate("links", "vault").annotate("missing", "defer");
            let late = in_pod(late, cri, "evil/late-1/late").build();
            late.run().ok();
            assert!(!late.environ().iter().any(|entry| entry.contains("s3cret")));
            host.run(&mut host.oci_link(&["sync"])).ok();
            assert!(!late.hosts().contains("vault"), "{}", late.hosts());
            assert_eq!(late.reach(&vault, Proto::Tcp, 3306), SHUT);
            let good = linked(&host, cri, "good", "prod/good-1/good", "vault");
            good.run().ok();
            assert_eq!(good.reach(&vault, Proto::Tcp, 3306), OPEN);
            assert!(good.environ().contains(&"VAULT_ENV_TOKEN=s3cret".to_owned()));
        }
    }

    fn from_admits_namespaces_by_their_whole_names(runtime) {
        for (from, links, admits) in [
            ("blue, evil", "vault", true),
            ("*", "vault-1/vault", true),
            ("evi", "vault", false),
            ("e vil", "vault", false),
        ] {
            let host = host(runtime);
            let vault = serve(&host, Cri::Containerd, "vault0", "prod/vault-1/vault", Some(from));
            let evil = linked(&host, Cri::Containerd, "evil", "evil/evil-1/evil", links);
            if admits {
                evil.run().ok();
                assert_eq!(evil.reach(&vault, Proto::Tcp, 3306), OPEN, "{from}");
                assert!(evil.hosts().contains("\tvault"), "{}", evil.hosts());
            } else {
                evil.create().refused(4);
            }
        }
    }

    fn keys_for_one_container_of_a_pod(runtime) {
        for cri in BOTH {
            let host = host(runtime);
            let db = serve(&host, cri, "db0", "shop/db-1/mydb", None);
            let pod = |id: &str, container: &str| {
                let bundle = host.container(id);
                let keys = [("links/web", "mydb:db"), ("links", "nosuch"), ("links/side", "none")];
                let bundle = keys.iter().fold(bundle, |it, (key, value)| it.annotate(key, value));
                in_pod(bundle, cri, &format!("shop/web-1/{container}"))
            };
            let web = pod("web0", "web").build();
            web.run().ok();
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            in_netns_of(&web, pod("side0", "side")).run().ok();
            let other = in_netns_of(&web, pod("other0", "other")).create().refused(4);
            assert!(other.contains("No such container: nosuch"), "{other}");
        }
    }

    fn a_pod_that_is_linked_to_its_own_container(runtime) {
        for cri in BOTH {
            let host = host(runtime);
            let pod = |id: &str| {
                let bundle = host.container(id).annotate("links", "db").annotate("ports", "3306");
                in_pod(bundle, cri, &format!("shop/shop-1/{id}"))
            };
            let db = pod("db").build();
            db.run().ok();
            let web = in_netns_of(&db, pod("web"));
            web.run().ok();
            let [ip, _] = db.addresses();
            assert!(web.environ().contains(&format!("DB_PORT=tcp://{ip}:3306")));
            assert!(web.hosts().contains(&format!("{ip}\tdb")), "{}", web.hosts());
            let shown = host.run(&mut host.oci_link(&["inspect", "web", "--format", "json"])).ok();
            let shown: Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(shown["flows"], json!([]));
        }
    }

    /// Its annotations are those of the pod.
    fn a_sandbox_starts_and_is_not_listed(runtime) {
        for cri in BOTH {
            let host = host(runtime);
            let bundle = || host.container("sandbox0").annotate("links", "db:x#y");
            let sandbox = in_pod(bundle(), cri, "shop/shop-1/").build();
            sandbox.create().ok();
            sandbox.start().ok();
            let web = in_pod(host.container("web0").annotate("links", "db:x#y"), cri, "shop/shop-1/web");
            in_netns_of(&sandbox, web).create().refused(3);
            let plain = in_netns_of(&sandbox, in_pod(host.container("plain0"), cri, "shop/shop-1/plain"));
            plain.run().ok();
            for command in ["ls", "graph"] {
                let listed = host.run(&mut host.oci_link(&[command])).ok();
                assert!(listed.contains("plain") && !listed.contains("sandbox0"), "{listed}");
            }
            let link = linked(&host, cri, "odd", "shop/odd-1/odd", "sandbox0");
            link.create().refused(4);
        }
    }

    /// A container that passes for a sandbox inherits no link of the one that had its address.
    fn a_sandbox_inherits_no_rule(runtime) {
        for cri in BOTH {
            let host = host(runtime);
            let db = serve(&host, cri, "db0", "shop/db-1/db", None);
            let web = linked(&host, cri, "web0", "shop/web-1/web", "db");
            web.run().ok();
            end(&web);
            web.unplug();
            let successor = host.container("successor").number(web.number());
            let successor = in_pod(successor, cri, "evil/successor-1/").build();
            successor.run().ok();
            assert_eq!(successor.reach(&db, Proto::Tcp, 3306), SHUT);
        }
    }

    /// Its start found the lock held and left a note.
    fn a_source_that_left_a_note_is_found(runtime) {
        let host = host(runtime);
        let (db, lock) = (host.container("db").annotate("ports", "3306").build(), hold(&host));
        db.run().ok();
        assert!(!host.state_files().iter().any(|file| file.ends_with("db.json")), "recorded");
        drop(lock);
        let web = host.container("web").annotate("links", "db").build();
        web.run().ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
    }

    fn the_hosts_file_of_a_pod_is_repaired(runtime) {
        let host = host(runtime);
        let (file, write) = kubelet(&host);
        let _db = serve(&host, Cri::Crio, "db0", "shop/db-1/db", None);
        let pod = |id: &str, links: bool| {
            let bundle = host.container(id).bind(&file, "/etc/hosts");
            let bundle = if links { bundle.annotate("links", "db") } else { bundle };
            in_pod(bundle, Cri::Crio, &format!("shop/web-1/{id}"))
        };
        let x = pod("x", true).build();
        x.run().ok();
        let own = x.addresses()[0].to_string();
        let has_names = || {
            let text = fs::read_to_string(&file).expect("there");
            let mut lines = text.lines();
            text.contains("\tdb") && lines.any(|line| line.starts_with(&format!("{own}\t")))
        };
        assert!(has_names());
        for (id, links) in [("y", true), ("z", false)] {
            write(&file);
            let peer = in_netns_of(&x, pod(id, links));
            peer.run().ok();
            assert!(has_names(), "{id} started");
            peer.delete_by_force().ok();
            assert!(has_names(), "{id} ended: {}", fs::read_to_string(&file).expect("there"));
            host.run(&mut host.oci_link(&["sync", "--check"])).ok();
        }
        // Nothing reports the end of the last one.
        write(&file);
        let peer = in_netns_of(&x, pod("y", true));
        peer.run().ok();
        end(&peer);
        host.run(&mut host.oci_link(&["sync"])).ok();
        assert!(has_names(), "{}", fs::read_to_string(&file).expect("there"));
        host.run(&mut host.oci_link(&["sync", "--check"])).ok();
        x.delete_by_force().ok();
        assert!(!has_names());
    }

    /// CRI-O asks for the state when a container has ended, and deletes it when the pod goes.
    fn the_state_of_a_container_that_has_ended_ends_its_links(runtime) also youki {
        let host = host(runtime);
        let db = serve(&host, Cri::Crio, "db0", "shop/db-1/db", None);
        let web = linked(&host, Cri::Crio, "web0", "shop/web-1/web", "db");
        web.run().ok();
        // The state of a container that runs changes nothing.
        db.state();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        end(&db);
        assert!(web.hosts().contains("\tdb"));
        let state = db.state();
        assert_eq!(state["status"], "stopped");
        assert!(!web.hosts().contains("\tdb"), "{}", web.hosts());
        assert!(!host.state_files().iter().any(|file| file.contains("db0.json")));
        // A pod of another runtime is given the address.
        db.unplug();
        let next = host.container("next").number(db.number()).build();
        next.run().ok();
        assert_eq!(web.reach(&next, Proto::Tcp, 3306), SHUT);
        // The late end, and a new container of that name.
        let again = serve(&host, Cri::Crio, "db1", "shop/db-2/db", None);
        assert_eq!(web.reach(&again, Proto::Tcp, 3306), OPEN);
        db.delete().ok();
        assert_eq!(web.reach(&again, Proto::Tcp, 3306), OPEN);
        assert!(record(&host, "db1").exists());
        // An id that is unknown gets the runtime's answer.
        let unknown = host.run(&mut host.runtime(&["state", "nosuch"]));
        assert!(!unknown.succeeded() && !unknown.said().contains("oci-link: "), "not ours");
    }
}
