//! Bundles: what a container is to be, said in one line per wish and written as config.json.

use super::{container::Container, host::Host, program::OCI_LINK};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const BUNDLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-bundles");

/// A bundle in the making; `build` writes it.
pub(crate) struct Bundle<'h> {
    host: &'h Host,
    id: String,
    number: Option<u8>,
    config: Value,
}

impl<'h> Bundle<'h> {
    /// A container that waits to be killed, with its id for a host name.
    pub(crate) fn new(host: &'h Host, id: &str) -> Self {
        let config = json!({
            "ociVersion": "1.0.2",
            "hostname": id,
            "annotations": {},
            "root": { "path": "rootfs" },
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "cwd": "/",
                "args": ["sleep", "600"],
                "env": ["PATH=/bin"],
            },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
            ],
            "linux": {
                "namespaces": [
                    { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
                    { "type": "network" },
                ],
            },
        });
        Self { host, id: id.into(), number: None, config }
    }

    /// One of the bundles that come with the project, as it is.
    pub(crate) fn shipped(self, name: &str) -> Self {
        let text = fs::read_to_string(format!("{BUNDLES}/{name}/config.json")).expect(name);
        let config = serde_json::from_str(&text).expect(name);
        Self { config, ..self }
    }

    /// Sets the annotation `org.oci-link.<key>`.
    pub(crate) fn annotate(self, key: &str, value: &str) -> Self {
        self.edit(|config| config["annotations"][format!("org.oci-link.{key}")] = value.into())
    }

    /// Adds `KEY=value` to the environment.
    pub(crate) fn env(self, entry: &str) -> Self {
        self.edit(|config| append(&mut config["process"]["env"], entry.into()))
    }

    /// Runs a shell's `script` instead of waiting.
    pub(crate) fn script(self, script: &str) -> Self {
        self.edit(|config| config["process"]["args"] = json!(["sh", "-c", script]))
    }

    /// Mounts the host's `source` on `destination`, as engines do with hosts files.
    pub(crate) fn bind(self, source: &Path, destination: &str) -> Self {
        let mount = json!({
            "destination": destination,
            "source": source,
            "type": "bind",
            "options": ["rbind", "rprivate"],
        });
        self.edit(|config| append(&mut config["mounts"], mount))
    }

    /// Adds our hooks; the other way is `Container::prepare`.
    pub(crate) fn hooks(self) -> Self {
        let options = self.host.global_options();
        self.edit(|config| {
            for stage in ["createRuntime", "poststop"] {
                let mut args = vec![OCI_LINK.to_owned()];
                args.extend(options.clone());
                args.extend(["hook".into(), stage.into()]);
                config["hooks"][stage] = json!([{ "path": OCI_LINK, "args": args }]);
            }
        })
    }

    /// Takes the number, and so the addresses, of another container instead of the next.
    pub(crate) fn number(self, number: u8) -> Self {
        Self { number: Some(number), ..self }
    }

    /// Whatever else a test wants of config.json.
    pub(crate) fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Writes the bundle and plugs its network namespace into the bridge.
    pub(crate) fn build(mut self) -> Container<'h> {
        let bundle = self.host.path("bundles").join(&self.id);
        let rootfs = format!("{BUNDLES}/rootfs.sh");
        self.host.run(Command::new(rootfs).arg(&bundle)).ok();

        let number = self.number.unwrap_or_else(|| self.host.next_number());
        let netns = self.host.plug(number);
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().into_iter().flatten();
        for network in namespaces.filter(|namespace| namespace["type"] == "network") {
            network["path"] = json!(netns.path());
        }
        // The default is named after the id alone, and other tests have a "db" too.
        self.config["linux"]["cgroupsPath"] = json!(format!("/{}", netns.name()));
        fs::write(bundle.join("config.json"), self.config.to_string()).expect("bundle is written");

        Container::new(self.host, self.id, bundle, number, netns)
    }
}

fn append(list: &mut Value, item: Value) {
    list.as_array_mut().expect("a list").push(item);
}
