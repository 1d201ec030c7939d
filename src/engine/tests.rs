//! Reads files that engines wrote (`test-bundles/recorded`), and malformed ones.
//!
//! The README there says which of the files were written by hand.

mod ports;

use super::{Clues, Facts, crio, describe, docker, nerdctl, podman, storage};
use crate::model::{ContainerId, ContainerName};
use crate::oci::spec::Spec;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-bundles/recorded");
const IMAGE_AND_USER: [&str; 3] = ["COLOUR=green", "DATABASE=shop", "USER_SET=1"];

/// A recorded container. Its engine's files are in a temporary directory instead of `/var/lib`.
struct Recorded {
    id: ContainerId,
    config: String,
    directory: PathBuf,
    source: &'static str,
}

impl Recorded {
    fn new(source: &'static str, config: &str, id: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("oci-link-engine-{}-{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let config =
            read(source, config).replace("\"/var/lib/", &format!("\"{}/", directory.display()));
        Self { id: ContainerId::new(id).unwrap(), config, directory, source }
    }

    /// Uses the id in the recorded state.json.
    fn with_state(source: &'static str) -> Self {
        let state: serde_json::Value = serde_json::from_str(&read(source, "state.json")).unwrap();
        Self::new(source, "config.json", state["id"].as_str().unwrap())
    }

    /// Writes the recorded `file` to the place where the engine keeps it.
    fn keeps(self, file: &str, at: &str) -> Self {
        let text = read(self.source, file);
        self.keeps_text(&text, at)
    }

    fn keeps_text(self, text: &str, at: &str) -> Self {
        let path = self.directory.join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// Writes what containers/storage has about the container.
    fn stored(self) -> Self {
        let list: serde_json::Value =
            serde_json::from_str(&read(self.source, "containers.json")).unwrap();
        let image = list[0]["image"].as_str().unwrap().to_owned();
        self.keeps("containers.json", "containers/storage/overlay-containers/containers.json")
            .with_image(&image)
    }

    fn with_image(self, image: &str) -> Self {
        // The file's name is not recorded; it is the base64 of the image id.
        let encoded = storage::base64(format!("sha256:{image}").as_bytes());
        self.keeps("image.json", &format!("containers/storage/overlay-images/{image}/={encoded}"))
    }

    fn facts(&self) -> Facts {
        let bundle = format!("containers/storage/overlay-containers/{}/userdata", self.id);
        let bundle = self.directory.join(bundle);
        let spec = Spec::parse(&bundle, self.config.as_bytes()).unwrap();
        describe(&Clues { id: &self.id, bundle: &bundle, spec: &spec })
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn read(source: &str, file: &str) -> String {
    fs::read_to_string(Path::new(RECORDED).join(source).join(file)).unwrap()
}

fn ports_of(facts: &Facts) -> String {
    let ports = facts.ports.iter().flat_map(crate::model::PortSet::iter);
    ports.map(|port| port.to_string()).collect::<Vec<_>>().join(" ")
}

/// The variables except `PATH`, which no link passes on, sorted.
fn environment(facts: &Facts) -> Vec<String> {
    let shown = facts.environment.iter().flatten().filter(|variable| variable.key != "PATH");
    let mut shown: Vec<_> = shown.map(ToString::to_string).collect();
    shown.sort();
    shown
}

fn name(facts: &Facts) -> Option<&str> {
    facts.name.as_ref().map(ContainerName::as_str)
}

/// A reader whose annotations are not among those that `oci::annotations` keeps recognizes nothing.
#[test]
fn every_engine_recognizes_what_it_recorded() {
    let folders = fs::read_dir(RECORDED).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for folder in folders.filter(|path| path.join("config.json").exists()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let state = folder.join("state.json").exists();
        let name: &'static str = name.leak();
        let id = "f".repeat(64);
        let recorded = if state {
            Recorded::with_state(name)
        } else {
            Recorded::new(name, "config.json", &id)
        };
        found.push(recorded.facts().engine);
    }
    for engine in super::ENGINES.iter().filter(|engine| engine.name() != "bare") {
        assert!(found.contains(&engine.name()), "{}: {found:?}", engine.name());
    }
}

#[test]
fn docker() {
    for version in ["docker-20.10", "docker-28.5"] {
        let recorded = Recorded::with_state(version);
        let at = format!("docker/containers/{}/config.v2.json", recorded.id);
        let facts = recorded.keeps("config.v2.json", &at).facts();
        assert_eq!((facts.engine, name(&facts)), ("docker", Some("db")), "{version}");
        assert_eq!(ports_of(&facts), "3306/tcp 7000/udp 9000/tcp");
        assert_eq!(environment(&facts), IMAGE_AND_USER);
        assert_eq!(facts.hostname.unwrap().as_str(), "dbhost");
    }
}

#[test]
fn a_docker_container_in_anothers_network_has_its_own_notes() {
    let recorded = Recorded::with_state("docker-28.5");
    let (own, other) = (recorded.id.to_string(), "f".repeat(64));
    let at = format!("docker/containers/{own}/config.v2.json");
    let mut recorded = recorded.keeps("config.v2.json", &at);
    recorded.config = recorded.config.replace(&own, &other);
    assert_eq!(name(&recorded.facts()), Some("db"));
}

#[test]
fn a_docker_container_with_the_users_hosts_file() {
    let recorded = Recorded::with_state("docker-28.5");
    let at = format!("docker/containers/{}/config.v2.json", recorded.id);
    let mut recorded = recorded.keeps("config.v2.json", &at);
    let engines = format!("/docker/containers/{}/hosts\"", recorded.id);
    assert!(recorded.config.contains(&engines));
    recorded.config = recorded.config.replace(&engines, "/my/hosts\"");
    assert_eq!(name(&recorded.facts()), Some("db"));
}

#[test]
fn podman() {
    for version in ["podman-4.3", "podman-5.8"] {
        let facts = Recorded::with_state(version).stored().facts();
        assert_eq!((facts.engine, name(&facts)), ("podman", Some("db")), "{version}");
        // Port 9000 of --expose is only in podman's database.
        assert_eq!(ports_of(&facts), "3306/tcp 7000/udp");
        assert_eq!(environment(&facts), IMAGE_AND_USER);
    }
}

#[test]
fn podman_volatile() {
    let recorded = Recorded::with_state("podman-5.8").stored();
    let containers = recorded.directory.join("containers/storage/overlay-containers");
    let (list, volatile) = ("containers.json", "volatile-containers.json");
    fs::rename(containers.join(list), containers.join(volatile)).unwrap();
    assert_eq!(name(&recorded.facts()), Some("db"));
    fs::write(containers.join(list), "[]").unwrap();
    assert_eq!(name(&recorded.facts()), Some("db"));
}

#[test]
fn what_an_image_sets_itself_is_not_podmans() {
    let recorded = Recorded::with_state("podman-4.3").stored();
    assert!(recorded.config.contains("TERM=xterm") && recorded.config.contains("HOSTNAME=dbhost"));
    let images = recorded.directory.join("containers/storage/overlay-images");
    let image = fs::read_dir(images).unwrap().next().unwrap().unwrap().path();
    let blob = fs::read_dir(image).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(&blob).unwrap();
    fs::write(blob, text.replace("COLOUR=green\"", "COLOUR=green\",\"TERM=xterm\"")).unwrap();
    let shown = environment(&recorded.facts());
    assert!(shown.contains(&"TERM=xterm".to_owned()), "{shown:?}");
    assert!(!shown.contains(&"HOSTNAME=dbhost".to_owned()), "{shown:?}");
}

#[test]
fn without_storage_podman_still_has_an_environment() {
    let facts = Recorded::with_state("podman-5.8").facts();
    assert_eq!((facts.engine, name(&facts), facts.ports.as_ref()), ("podman", None, None));
    assert_eq!(environment(&facts), IMAGE_AND_USER);
}

#[test]
fn conmon() {
    for version in ["podman-4.3", "podman-5.8"] {
        let id = Recorded::with_state(version).id.clone();
        let arguments = read(version, "conmon");
        let known = |text: &str| podman::parse_conmon(text.as_bytes(), &id).map(|n| n.to_string());
        assert_eq!(known(&arguments).as_deref(), Some("db"), "{version}");
        assert_eq!(known(&arguments.replace("/conmon\0", "/sh\0")), None);
        assert_eq!(known(&arguments.replace(id.as_str(), "other")), None);
        // The argument of `--runtime-arg` looks like an option of conmon.
        let forged = arguments.replace("\0-c\0", "\0--runtime-arg\0-n\0-c\0");
        assert_eq!(known(&forged).as_deref(), Some("db"));
    }
    let id = ContainerId::new("c1").unwrap();
    for text in
        ["", "\0", "conmon", "conmon\0-c", "conmon\0-c\0c1\0-n\0", "conmon\0-c\0c1\0-n\0a b\0"]
    {
        assert_eq!(podman::parse_conmon(text.as_bytes(), &id), None, "{text:?}");
    }
}

#[test]
fn nerdctl() {
    let facts = Recorded::new("nerdctl", "config.json", "370c").facts();
    assert_eq!((facts.engine, name(&facts)), ("nerdctl", Some("db")));
    assert_eq!(ports_of(&facts), "3306/tcp 7000/udp 9000/tcp");
    assert_eq!(environment(&facts), IMAGE_AND_USER);
}

#[test]
fn nerdctls_ports_in_every_form() {
    let exposed = |text| nerdctl::exposed(text).unwrap().iter().map(|p| p.to_string()).collect();
    let expected = vec!["80/tcp".to_owned(), "81/udp".to_owned()];
    for text in [r#"{"80/tcp":{},"81/udp":{}}"#, r#"["80","81/udp"]"#, "80/tcp,81/udp"] {
        let got: Vec<String> = exposed(text);
        assert_eq!(got, expected, "{text}");
    }
    assert!(nerdctl::exposed("[1]").is_err());
    assert!(nerdctl::published("null").unwrap().is_empty());
    assert!(nerdctl::published(r#"[{"ContainerPort":99999,"Protocol":"tcp"}]"#).is_err());
}

#[test]
fn containerd() {
    let facts = Recorded::new("containerd-cri", "config.json", "db1").facts();
    assert_eq!((facts.engine, name(&facts)), ("containerd CRI", Some("db")));
    assert_eq!(facts.ports, None);
    assert_eq!(environment(&facts), ["COLOUR=green", "KUBERNETES_PORT_OF_CALL=own", "USER_SET=1"]);
    assert_eq!(facts.hostname.unwrap().as_str(), "shop-7d9f");
    assert!(Recorded::new("containerd-cri", "sandbox.json", "pod").facts().is_pod_infra);
}

#[test]
fn crio() {
    let recorded = Recorded::new("crio", "config.json", "c5873420");
    let annotation = recorded.config.split("ImageRef\": \"").nth(1).unwrap();
    let image = annotation[..64].to_owned();
    let recorded = recorded.with_image(&image);
    let facts = recorded.facts();
    assert_eq!((facts.engine, name(&facts)), ("CRI-O", Some("db")));
    assert_eq!(ports_of(&facts), "3306/tcp 7000/udp");
    assert_eq!(environment(&facts), IMAGE_AND_USER);
}

#[test]
fn no_engine() {
    let id = ContainerId::new("db").unwrap();
    let spec = Spec::parse(Path::new("/b"), br#"{"root":{"path":"rootfs"}}"#).unwrap();
    let facts = describe(&Clues { id: &id, bundle: Path::new("/b"), spec: &spec });
    assert_eq!(facts, Facts { engine: "bare", ..Facts::default() });
}

/// A truncated, exchanged or forged file counts as unknown. A valid value beside an invalid one is
/// used.
#[test]
fn what_is_not_understood_is_unknown() {
    let id = ContainerId::new(&"a".repeat(64)).unwrap();
    let text = |name: &str, ports: &str| {
        format!(r#"{{"ID":"{id}","Name":"{name}","Config":{{"ExposedPorts":{ports},"Env":null}}}}"#)
    };
    let facts = docker::parse(text("/a\\nb", r#"{"80/tcp":{},"81/icmp":{}}"#).as_bytes(), &id);
    let facts = facts.unwrap();
    assert_eq!((facts.name.as_ref(), ports_of(&facts)), (None, "80/tcp".to_owned()));
    assert!(docker::parse(text("/db", "[]").as_bytes(), &id).is_err());
    assert!(
        docker::parse(text("/db", "null").as_bytes(), &ContainerId::new("b").unwrap()).is_err()
    );
    let many: Vec<_> = (1..=5000).map(|port| format!("\"{port}/tcp\":{{}}")).collect();
    let many = docker::parse(text("/db", &format!("{{{}}}", many.join(","))).as_bytes(), &id);
    assert_eq!(ports_of(&many.unwrap()), "1-5000/tcp");

    let recorded = Recorded::with_state("docker-28.5");
    let whole = read("docker-28.5", "config.v2.json");
    let at = format!("docker/containers/{}/config.v2.json", recorded.id);
    let recorded = recorded.keeps_text(&whole[..whole.len() / 2], &at);
    assert_eq!(recorded.facts(), Facts { engine: "docker", ..Facts::default() });
}

/// What each parser reads from `text`.
fn every_reading(text: &[u8], id: &ContainerId) -> Vec<Facts> {
    let mut facts: Vec<Facts> = docker::parse(text, id).into_iter().collect();
    let named = |name| Facts { name, ..Facts::default() };
    facts.extend(storage::parse_list(text, id).ok().flatten().map(|entry| named(entry.name)));
    facts.extend(storage::parse_image(text).map(|image| Facts {
        ports: Some(image.ports),
        environment: Some(image.environment),
        ..Facts::default()
    }));
    facts.push(named(podman::parse_conmon(text, id)));
    let text = String::from_utf8_lossy(text);
    let ports = [nerdctl::exposed(&text), nerdctl::published(&text)];
    facts.extend(ports.map(|ports| Facts { ports: ports.ok(), ..Facts::default() }));
    facts.push(named(crio::metadata_name(&text).and_then(|n| ContainerName::new(&n).ok())));
    facts
}

#[test]
fn cut_files_stop_no_start() {
    let id = ContainerId::new("c1").unwrap();
    for (source, file) in [
        ("docker-28.5", "config.v2.json"),
        ("podman-5.8", "containers.json"),
        ("podman-5.8", "conmon"),
    ] {
        let whole = read(source, file).into_bytes();
        let readings = |bytes: &[u8]| every_reading(bytes, &id).len();
        // Truncated Docker and podman files yield nothing. The other four parsers always yield a
        // value.
        assert!((0..whole.len()).step_by(7).all(|end| readings(&whole[..end]) == 4), "{file}");
    }
}
