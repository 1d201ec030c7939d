//! More of everything than anybody needs.

use super::scene::{Scene, assert_clear, at_once, isolated};
use crate::support::each_runtime;
use serde_json::{Value, json};

/// Annotations of this prefix are ours.
const OURS: &str = "org.oci-link.";

/// So many links, each with an alias of its own.
fn links(count: usize) -> String {
    let links: Vec<_> = (0..count).map(|number| format!("db:a{number}")).collect();
    links.join(",")
}

/// Hook and `prepare` refuse web with the annotation `key`.
#[track_caller]
fn refused(scene: &Scene, key: &str, value: &str, word: &str) {
    let old = scene.config();
    scene.edit(|config| config["annotations"][format!("{OURS}{key}")] = value.into());
    scene.refused(3, word);
    scene.prepare_refused(3, word);
    scene.write_config(&old);
}

each_runtime! {
    fn a22_values_of_a_megabyte(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let megabyte = "x".repeat(1_000_000);
        for key in ["links", "name", "ports", "env"] {
            refused(&scene, key, &megabyte, "longer than 64 KiB");
            refused(&scene, key, &"x,".repeat(500_000), "longer than 64 KiB");
        }
        scene.edit(|config| config["hostname"] = megabyte.into());
        scene.refused(3, "too long");
        scene.prepare_refused(3, "too long");
    }

    fn a22_ten_thousand_links(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        refused(&scene, "links", &links(10_000), "longer than 64 KiB");
        refused(&scene, "links", &links(257), "256 links");
        refused(&scene, "ports", "1-65535", "4096 ports");
        refused(&scene, "ports", "1-4096,1/udp", "4096 ports");
    }

    fn a22_the_bounds_themselves_are_no_obstacle(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        scene.edit(|config| {
            config["annotations"]["org.oci-link.links"] = links(256).into();
            config["annotations"]["org.oci-link.ports"] = "1-4096".into();
        });
        scene.accepted();
    }

    /// A runtime that repeats them in the state sends more than a hook takes; another does not.
    fn a22_a_hundred_thousand_annotations(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        scene.edit(|config| {
            for number in 0..100_000 {
                config["annotations"][format!("k{number}")] = "".into();
            }
        });
        scene.refused(3, "4096 annotations");
        let mut state = scene.state();
        state["annotations"] = Value::Null;
        scene.refused_by(scene.command(), state.to_string().as_bytes(), 3, "4096 annotations");
        scene.prepare_refused(3, "4096 annotations");
    }

    fn a22_a_huge_config(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let state = scene.state().to_string();
        scene.edit(|config| config["process"]["env"] = json!(["X=".to_owned() + &"x".repeat(5 << 20)]));
        scene.refused_by(scene.command(), state.as_bytes(), 3, "config.json");
        scene.prepare_refused(3, "config.json");
        let deep = "[".repeat(100_000);
        std::fs::write(scene.web.bundle().join("config.json"), deep).expect("written");
        let mut hook = scene.command();
        let complaint = at_once(&host, &mut hook, state.as_bytes()).refused(3);
        assert_clear(&complaint, "levels");
        scene.prepare_refused(3, "levels");
    }

    /// Keys that mean nothing to anybody cost no more than their bytes.
    fn a22_a_hundred_thousand_members(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        scene.edit(|config| {
            for number in 0..100_000 {
                config[format!("k{number}")] = 0.into();
            }
        });
        scene.prepare_refused(3, "config.json");
    }
}
