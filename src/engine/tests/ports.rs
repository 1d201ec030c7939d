//! Many exposed ports in the files of engines.

use super::{Recorded, environment, name, ports_of, read};
use crate::engine::{docker, nerdctl, storage};
use crate::model::ContainerId;
use std::ops::RangeInclusive;

/// Docker lists the ports of a range one by one, and again in its network settings.
fn docker_with_ports(ports: impl Iterator<Item = String>) -> String {
    let text = read("docker-28.5", "config.v2.json");
    let mut file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let all: serde_json::Map<_, _> = ports.map(|port| (port, serde_json::json!({}))).collect();
    file["Config"]["ExposedPorts"] = all.clone().into();
    file["NetworkSettings"]["Ports"] = all.into();
    file.to_string()
}

fn one_by_one(numbers: RangeInclusive<u16>, protocol: &str) -> impl Iterator<Item = String> {
    numbers.map(move |number| format!("{number}/{protocol}"))
}

#[test]
fn a_range_of_docker_is_one_range_and_hides_nothing_else() {
    let ports = one_by_one(16384..=32768, "udp").chain(one_by_one(5060..=5061, "tcp"));
    let text = docker_with_ports(ports);
    let id = serde_json::from_str::<serde_json::Value>(&text).unwrap()["ID"].clone();
    let id = ContainerId::new(id.as_str().unwrap()).unwrap();
    let facts = docker::parse(text.as_bytes(), &id).unwrap();
    let before = docker::parse(read("docker-28.5", "config.v2.json").as_bytes(), &id).unwrap();
    assert_eq!(ports_of(&facts), "5060/tcp 5061/tcp 16384-32768/udp");
    assert_eq!((name(&facts), environment(&facts)), (name(&before), environment(&before)));
    assert!(name(&facts).is_some() && !environment(&facts).is_empty());
}

/// Everything that a container can expose.
#[test]
fn all_ports_of_all_protocols() {
    let all = ["tcp", "udp", "sctp"].into_iter().flat_map(|name| one_by_one(1..=65535, name));
    let text = docker_with_ports(all);
    let recorded = read("docker-28.5", "config.v2.json");
    let file: serde_json::Value = serde_json::from_str(&recorded).unwrap();
    let id = file["ID"].as_str().unwrap();
    let place = format!("docker/containers/{id}/config.v2.json");
    let container = Recorded::with_state("docker-28.5").keeps_text(&text, &place);
    let facts = container.facts();
    assert_eq!(ports_of(&facts), "1-65535/tcp 1-65535/udp 1-65535/sctp");
    assert!(name(&facts).is_some() && !environment(&facts).is_empty());
}

/// More than a set has room for: the lowest ones count, and nothing else is lost.
#[test]
fn scattered_ports_beyond_the_bound_are_left_out() {
    let scattered = (1..=20_000_u16).map(|number| format!("{}/tcp", 3 * number));
    let text = docker_with_ports(scattered.chain(["x".to_owned(), "80/icmp".to_owned()]));
    let id = serde_json::from_str::<serde_json::Value>(&text).unwrap()["ID"].clone();
    let id = ContainerId::new(id.as_str().unwrap()).unwrap();
    let facts = docker::parse(text.as_bytes(), &id).unwrap();
    let ports = ports_of(&facts);
    assert!(ports.starts_with("3/tcp 6/tcp ") && ports.ends_with(" 12288/tcp"), "{ports}");
    assert_eq!(ports.split(' ').count(), 4096);
    assert!(name(&facts).is_some() && !environment(&facts).is_empty());
}

#[test]
fn ranges_of_other_engines() {
    let object = |ports: Vec<String>| {
        let all: Vec<String> = ports.iter().map(|port| format!("\"{port}\":{{}}")).collect();
        format!("{{{}}}", all.join(","))
    };
    let each: Vec<String> = one_by_one(10_000..=20_000, "udp").collect();
    let listed = serde_json::json!(each).to_string();
    for text in [object(each.clone()), listed, each.join(","), "10000-20000/udp".to_owned()] {
        assert_eq!(nerdctl::exposed(&text).unwrap().to_string(), "10000-20000/udp");
    }
    let image = format!("{{\"config\":{{\"ExposedPorts\":{},\"Env\":[\"A=1\"]}}}}", object(each));
    let image = storage::parse_image(image.as_bytes()).unwrap();
    assert_eq!((image.ports.to_string().as_str(), image.environment.len()), ("10000-20000/udp", 1));
}
