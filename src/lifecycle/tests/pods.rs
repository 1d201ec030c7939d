//! Links between containers in pods of Kubernetes.

use crate::error::{Error, Kind};
use crate::lifecycle::fakes::{Scene, own};
use crate::lifecycle::privileges::AfterHook::Continue;
use crate::link::hosts::BEGIN;
use crate::model::sample::in_pod;
use crate::model::{Admitted, ContainerName, Missing, Record};
use std::fs;

/// The container `id`, called `name`, in `pod`: `namespace/pod`.
fn container(id: &str, name: &str, pod: &str, host: u8) -> Record {
    let name = ContainerName::new(name).unwrap();
    let address = format!("10.0.0.{host}/24");
    in_pod(Record { name, ..own(id, "80", &[&address]) }, pod)
}

fn from(record: Record, from: &str) -> Record {
    Record { admitted: Admitted::parse(from).unwrap(), ..record }
}

fn source(scene: &Scene, id: &str) -> Option<String> {
    scene.store.record(id).unwrap().links[0].source.as_ref().map(ToString::to_string)
}

fn refusal(scene: &Scene, record: &Record) -> Error {
    let refused = scene.start(record).unwrap_err();
    assert_eq!(refused.kind, Kind::Source, "{refused}");
    assert!(scene.store.record(record.id.as_str()).is_none());
    refused
}

#[test]
fn a_link_stays_in_its_namespace_unless_the_source_admits_it() {
    for (admitted, link, is_linked) in [
        ("none", "vault", false),
        ("evi", "vault", false),
        ("blue, evil", "vault", true),
        ("*", "vault", true),
        ("blue, evil", "vault-1/vault:v", true),
        ("none", "vault-1/vault:v", false),
        ("none", "v0:v", false),
        ("evil", "v0:v", true),
    ] {
        let scene = Scene::new();
        let vault = container("v0", "vault", "prod/vault-1", 2);
        scene.start(&from(vault, admitted)).unwrap();
        let evil = container("evil", "evil", "evil/evil-1", 3).linked(&[link]);
        if is_linked {
            scene.start(&evil).unwrap();
            assert_eq!(source(&scene, "evil").as_deref(), Some("v0"), "{admitted} {link}");
            assert_eq!(scene.permitted().len(), 1);
        } else {
            let error = refusal(&scene, &evil).to_string();
            assert!(error.contains("No such container: v"), "{error}");
        }
    }
}

#[test]
fn the_full_id_and_its_beginning_stay_in_the_namespace_too() {
    let id = "0123456789ab1111111111111111111111111111111111111111111111111111";
    for link in [format!("{id}:v"), format!("{}:v", &id[..12])] {
        let scene = Scene::new();
        scene.start(&container(id, "vault", "prod/vault-1", 2)).unwrap();
        refusal(&scene, &container("evil", "evil", "evil/evil-1", 3).linked(&[&link]));
        scene.start(&container("good", "good", "prod/good-1", 4).linked(&[&link])).unwrap();
        assert_eq!(source(&scene, "good").as_deref(), Some(id));
    }
}

#[test]
fn a_deferred_link_does_not_leave_the_namespace_later() {
    let scene = Scene::new();
    let late = container("late", "late", "evil/late-1", 3).linked(&["vault"]);
    scene.start_with(&late, Missing::Defer, Continue).unwrap();
    scene.start(&container("v0", "vault", "prod/vault-1", 2)).unwrap();
    assert_eq!((source(&scene, "late"), scene.permitted()), (None, vec![]));
    assert!(!scene.hosts_text("late").contains("vault"));
    // One of its own namespace comes.
    scene.start(&container("v1", "vault", "evil/vault-1", 4)).unwrap();
    assert_eq!(source(&scene, "late").as_deref(), Some("v1"));
}

/// A container of docker on the same node is in no namespace.
#[test]
fn a_source_in_no_namespace_is_another_ones() {
    let scene = Scene::new();
    scene.start(&own("db", "80", &["10.0.0.2/24"])).unwrap();
    refusal(&scene, &container("web", "web", "blog/web-1", 3).linked(&["db"]));
    let scene = Scene::new();
    scene.start(&from(own("db", "80", &["10.0.0.2/24"]), "blog")).unwrap();
    scene.start(&container("web", "web", "blog/web-1", 3).linked(&["db"])).unwrap();
    // The other way round nothing has changed.
    let scene = Scene::new();
    scene.start(&container("p", "db", "blog/db-1", 2)).unwrap();
    scene.start(&own("web", "80", &["10.0.0.3/24"]).linked(&["db"])).unwrap();
    assert_eq!(source(&scene, "web").as_deref(), Some("p"));
}

#[test]
fn the_own_namespace_comes_first() {
    let scene = Scene::new();
    scene.start(&from(container("s", "app", "shop/shop-1", 2), "*")).unwrap();
    scene.start(&container("b", "app", "blog/blog-1", 3)).unwrap();
    for (pod, expected) in [("blog/x", "b"), ("shop/y", "s"), ("third/z", "s")] {
        let id = pod.replace('/', "-");
        let host = 10 + u8::try_from(scene.store.records().len()).unwrap();
        scene.start(&container(&id, "web", pod, host).linked(&["app"])).unwrap();
        assert_eq!(source(&scene, &id).as_deref(), Some(expected), "{pod}");
    }
    let scene = Scene::new();
    scene.start(&container("s", "app", "shop/shop-1", 2)).unwrap();
    refusal(&scene, &container("w", "web", "third/z", 3).linked(&["app"]));
}

#[test]
fn several_of_one_namespace_are_ambiguous() {
    let scene = Scene::new();
    scene.start(&container("b1", "app", "blog/blog-1", 2)).unwrap();
    scene.start(&container("b2", "app", "blog/blog-2", 3)).unwrap();
    let web = container("web", "web", "blog/web-1", 4);
    let error = refusal(&scene, &web.clone().linked(&["app"])).to_string();
    assert_eq!(
        error,
        "link source \"app\": several containers have this name: blog-1/app, blog-2/app: name one as \
         POD/CONTAINER"
    );
    scene.start(&web.linked(&["blog-2/app:x"])).unwrap();
    assert_eq!(source(&scene, "web").as_deref(), Some("b2"));
    // It waits for its return, and no other takes its place.
    scene.end_process("b2");
    scene.stop("b2").unwrap();
    assert_eq!(source(&scene, "web"), None);
    scene.start(&container("b4", "app", "blog/blog-4", 6)).unwrap();
    assert_eq!(source(&scene, "web"), None);
    scene.start(&container("b3", "app", "blog/blog-2", 5)).unwrap();
    assert_eq!(source(&scene, "web").as_deref(), Some("b3"));
}

#[test]
fn a_name_that_two_containers_of_a_pod_bear_names_neither() {
    let scene = Scene::new();
    for id in ["sidecar", "db"] {
        let mut record = container(id, id, "blog/blog-1", 2);
        record.instance.netns = 5;
        record.engine_name = Some(record.name.clone());
        record.name = ContainerName::new("mydb").unwrap();
        scene.start(&record).unwrap();
    }
    let web = container("web", "web", "blog/web-1", 4);
    let error = refusal(&scene, &web.clone().linked(&["mydb"])).to_string();
    assert!(error.contains("blog-1/db, blog-1/sidecar"), "{error}");
    scene.start(&web.linked(&["db"])).unwrap();
    assert_eq!(source(&scene, "web").as_deref(), Some("db"));
}

#[test]
fn a_link_inside_a_pod_has_a_line_and_no_rule() {
    let scene = Scene::new();
    let db = container("db", "db", "blog/blog-1", 2);
    scene.start(&db).unwrap();
    scene.start(&container("other", "db", "blog/blog-2", 3)).unwrap();
    let mut web = container("web", "web", "blog/blog-1", 2).linked(&["db"]);
    web.instance.netns = db.instance.netns;
    scene.start(&web).unwrap();
    assert_eq!(source(&scene, "web").as_deref(), Some("db"), "its own pod first");
    assert_eq!(scene.permitted(), []);
    assert!(scene.hosts_text("web").contains("10.0.0.2\tdb"), "{}", scene.hosts_text("web"));
}

/// Two recipients `x` and `y` of one pod, with one hosts file, and their source.
fn pod() -> (Scene, Record) {
    let scene = Scene::new();
    scene.start(&container("db", "db", "blog/db-1", 2)).unwrap();
    scene.share_hosts("y", "x");
    scene.share_hosts("z", "x");
    let x = container("x", "x", "blog/web-1", 3).linked(&["db"]);
    scene.start(&x).unwrap();
    (scene, x)
}

/// The kubelet rewrites the file, in place.
fn rewrite(scene: &Scene) {
    fs::write(scene.hosts("x"), "127.0.0.1\tlocalhost\n10.0.0.3\tweb-1\n").unwrap();
}

fn peer(id: &str, of: &Record) -> Record {
    let mut peer = container(id, id, "blog/web-1", 3);
    peer.instance.netns = of.instance.netns;
    peer
}

#[test]
fn the_file_of_a_pod_is_repaired_at_every_start() {
    let (scene, x) = pod();
    for peer in [peer("y", &x).linked(&["db"]), peer("z", &x)] {
        rewrite(&scene);
        scene.start(&peer).unwrap();
        let text = scene.hosts_text("x");
        assert!(text.contains("10.0.0.2\tdb"), "{}: {text}", peer.id);
    }
    assert_eq!(scene.hosts_text("x").matches(BEGIN).count(), 2);
}

#[test]
fn the_end_of_one_leaves_the_names_of_the_others() {
    let (scene, x) = pod();
    scene.start(&peer("y", &x).linked(&["db"])).unwrap();
    // Only the block of y is left.
    let block = scene.store.record("y").unwrap().hosts.unwrap().block;
    fs::write(scene.hosts("x"), format!("127.0.0.1\tlocalhost\n{block}")).unwrap();
    scene.end_process("y");
    scene.stop("y").unwrap();
    let text = scene.hosts_text("x");
    assert!(text.contains("10.0.0.2\tdb") && text.matches(BEGIN).count() == 1, "{text}");
}

#[test]
fn the_own_line_of_a_pod_stays_as_long_as_one_is_there() {
    let (scene, x) = pod();
    scene.start(&peer("y", &x).linked(&["db"])).unwrap();
    let own = |scene: &Scene| {
        scene.hosts_text("x").lines().filter(|line| line.starts_with("10.0.0.3\t")).count()
    };
    assert_eq!(own(&scene), 1);
    scene.end_process("x");
    scene.stop("x").unwrap();
    assert_eq!(own(&scene), 1, "{}", scene.hosts_text("x"));
    scene.end_process("y");
    scene.stop("y").unwrap();
    assert_eq!(own(&scene), 0, "{}", scene.hosts_text("x"));
}

#[test]
fn the_state_of_a_dead_container_ends_its_links() {
    let scene = Scene::new();
    let db = container("db", "db", "blog/db-1", 2);
    scene.start(&db).unwrap();
    scene.start(&container("web", "web", "blog/web-1", 3).linked(&["db"])).unwrap();
    crate::lifecycle::retire(&scene.host, &db.id).unwrap();
    assert_eq!(scene.permitted().len(), 1, "it runs");
    scene.end_process("db");
    crate::lifecycle::retire(&scene.host, &db.id).unwrap();
    assert_eq!((scene.permitted(), source(&scene, "web")), (vec![], None));
    assert!(scene.store.record("db").is_none());
    // The later end finds nothing, and a new container of that id keeps what it has.
    scene.stop("db").unwrap();
    crate::lifecycle::retire(&scene.host, &db.id).unwrap();
}
