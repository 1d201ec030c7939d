//! One unlinked container of the catalogue, and how the runtime is called for it.

use crate::machine::{Machine, PATIENCE, Ran};
use crate::support::{Container, Runtime};
use crate::way::Way;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Other containers on the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    Alone,
    /// A container with a link: `web`, 10.77.0.12, linked to `db`, 10.77.0.11.
    Linked,
    /// A container with the same id in another `--root`.
    Twin,
}

pub(crate) struct Case {
    pub(crate) runtime: Runtime,
    pub(crate) id: String,
    /// The bundle's directory.
    pub(crate) bundle: String,
    /// The runtime's `--root`, below the machine's directory.
    pub(crate) root: &'static str,
    pub(crate) config: Value,
    /// The last change of config.json, as text.
    pub(crate) text: fn(String) -> String,
    /// Lines of shell before the first command. BUNDLE and NETNS are set.
    pub(crate) shell: &'static str,
    /// Options in front of the command.
    pub(crate) globals: &'static [&'static str],
    /// Options of `create` and `run`, in which `@` is the bundle.
    pub(crate) options: &'static [&'static str],
    pub(crate) company: Company,
    /// What calls the runtime, for example `setpriv`.
    pub(crate) caller: Vec<String>,
    pub(crate) patience: Duration,
    /// The addresses of its network namespace, each with a slash.
    pub(crate) addresses: Vec<String>,
    /// oci-link can change rules at once.
    pub(crate) has_firewall: bool,
}

impl Case {
    /// A container without links that prints a line, and stays if its standard input has a line too.
    pub(crate) fn plain() -> Self {
        Self {
            runtime: Runtime::Runc,
            id: "case".into(),
            bundle: String::new(),
            root: "root",
            config: Value::Null,
            text: |text| text,
            shell: "",
            globals: &[],
            options: &["--bundle", "@"],
            company: Company::Alone,
            caller: Vec::new(),
            patience: PATIENCE,
            addresses: Vec::new(),
            has_firewall: true,
        }
    }

    /// Writes the bundle with what `edit` changes. The container it returns holds bundle and network
    /// namespace.
    pub(crate) fn build<'m>(
        &mut self,
        machine: &'m Machine,
        way: Way,
        edit: impl FnOnce(&mut Self),
    ) -> Container<'m> {
        let script = "echo started; read stay || exit 7; exec sleep 600";
        let container = machine.host.container("case").number(21).script(script).build();
        let path = container.bundle().join("config.json");
        self.runtime = machine.runtime;
        self.bundle = container.bundle().display().to_string();
        self.config = serde_json::from_slice(&fs::read(&path).expect("a bundle")).expect("JSON");
        edit(self);
        way.add_hooks(machine, &mut self.config);
        fs::write(path, (self.text)(self.config.to_string())).expect("written");
        let names = [("BUNDLE", self.bundle.as_str()), ("NETNS", container.netns().name())];
        machine.shell(self.shell, &names);
        let listed =
            "ip -n $NETNS -o addr show scope global | awk '{ sub(/\\/.*/, \"/\", $4); print $4 }'";
        self.addresses = machine.shell(listed, &names).lines().map(String::from).collect();
        container
    }

    /// Sets the annotation `org.oci-link.<key>`.
    pub(crate) fn annotate(&mut self, key: &str, value: &str) {
        self.config["annotations"][format!("org.oci-link.{key}")] = value.into();
    }

    /// The namespaces of config.json without those of type `kind`.
    pub(crate) fn without_namespace(&mut self, kind: &str) {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != kind);
    }

    /// The container has user ids of its own, from `first` on the host.
    pub(crate) fn with_ids(&mut self, first: u32, size: u32) {
        let ids = json!([{ "containerID": 0, "hostID": first, "size": size }]);
        let linux = &mut self.config["linux"];
        linux["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
        linux["uidMappings"] = ids.clone();
        linux["gidMappings"] = ids;
    }

    /// Calls the runtime with `words` in the bundle's directory.
    pub(crate) fn call(
        &self,
        (machine, way): (&Machine, Way),
        words: &[impl AsRef<str>],
        input: &str,
    ) -> Ran {
        let before: Vec<OsString> = self.caller.iter().map(OsString::from).collect();
        let line = [before, vec![way.program(machine)]].concat();
        let (program, before) = line.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(before).arg("--root").arg(machine.host.path(self.root)).args(self.globals);
        command.args(words.iter().map(AsRef::as_ref)).current_dir(&self.bundle);
        machine.run(&mut command, input, self.patience)
    }

    /// The words of `create` or `run`.
    pub(crate) fn creation(&self, command: &[&str]) -> Vec<String> {
        let options = self.options.iter().map(|option| option.replace('@', &self.bundle));
        let command = command.iter().map(ToString::to_string);
        command.chain(options).chain([self.id.clone()]).collect()
    }
}
