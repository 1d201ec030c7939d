//! More of everything than a container needs.

use super::scene::{Scene, assert_clear, at_once, isolated};
use crate::support::each_runtime;
use serde_json::{Value, json};
use std::fs::{self, File};

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
        scene.accepted();
        assert!(fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable").len() < 1000);
    }

    fn a22_ten_thousand_links(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        refused(&scene, "links", &links(10_000), "longer than 64 KiB");
        refused(&scene, "links", &links(257), "256 links");
        let scattered = |count: u16| -> String {
            let all: Vec<String> = (1..=count).map(|number| (2 * number).to_string()).collect();
            all.join(",")
        };
        refused(&scene, "ports", &scattered(4097), "4096 ports");
        refused(&scene, "ports", &format!("{},1-2/udp", scattered(4096)), "4096 ports");
    }

    fn a22_the_bounds_themselves_are_no_obstacle(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        scene.edit(|config| {
            config["annotations"]["org.oci-link.links"] = links(256).into();
            config["annotations"]["org.oci-link.ports"] = "1-65535, 1-65535/udp".into();
        });
        scene.accepted();
    }

    /// Whether the runtime repeats them in the state or not.
    fn a22_a_hundred_thousand_annotations(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        scene.edit(|config| {
            for number in 0..100_000 {
                config["annotations"][format!("k{number}")] = "".into();
            }
        });
        scene.accepted();
        let mut state = scene.state();
        state["annotations"] = Value::Null;
        host.feed(&mut scene.command(), state.to_string().as_bytes()).ok();
        scene.web.prepare().ok();
    }

    fn a22_a_huge_config(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let state = scene.state().to_string();
        scene.edit(|config| config["process"]["env"] = json!(["X=".to_owned() + &"x".repeat(5 << 20)]));
        scene.web.prepare().ok();
        scene.accepted();
        let path = scene.web.bundle().join("config.json");
        for (large, word) in [(false, "config.json"), (true, "more than 67108864 bytes")] {
            fs::write(&path, "[".repeat(100_000)).expect("written");
            if large {
                File::options().write(true).open(&path).and_then(|file| file.set_len(65 << 20)).expect("longer");
            }
            let mut hook = scene.command();
            let complaint = at_once(&host, &mut hook, state.as_bytes()).refused(3);
            assert_clear(&complaint, word);
            scene.prepare_refused(3, word);
        }
    }

    /// Unknown keys cost no more than their bytes.
    fn a22_a_hundred_thousand_members(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        scene.edit(|config| {
            for number in 0..100_000 {
                config[format!("k{number}")] = 0.into();
            }
        });
        scene.web.prepare().ok();
        scene.accepted();
    }
}
