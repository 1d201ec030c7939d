//! The ways in which a runtime is called: without oci-link, behind its wrapper, with its hooks.

use crate::machine::Machine;
use crate::support::OCI_LINK;
use serde_json::{Value, json};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// runc or crun, without oci-link.
    Direct,
    /// `oci-link-runc` or `oci-link-crun`.
    Wrapper,
    /// runc or crun, with `createRuntime` and `poststop` hooks in config.json.
    Hooks,
    /// `oci-link-runtime`, which reads the name of the runtime from config.toml.
    Configured,
}

impl Way {
    /// The program that the engine calls.
    pub(crate) fn program(self, machine: &Machine) -> OsString {
        let runtime = machine.runtime.program();
        let name = match self {
            Self::Direct | Self::Hooks => return installed(runtime),
            Self::Wrapper => format!("oci-link-{runtime}"),
            Self::Configured => "oci-link-runtime".into(),
        };
        ours(machine, &name)
    }

    /// Adds the hooks to `config`, each behind the first hook of another program.
    pub(crate) fn add_hooks(self, machine: &Machine, config: &mut Value) {
        if self != Self::Hooks {
            return;
        }
        let program = ours(machine, "oci-link");
        for stage in ["createRuntime", "poststop"] {
            let path = program.to_string_lossy();
            let hook = json!({ "path": path, "args": ["oci-link", "hook", stage] });
            match config["hooks"][stage].as_array_mut() {
                Some(others) => others.insert(1, hook),
                None => config["hooks"][stage] = json!([hook]),
            }
        }
    }
}

/// The path of a runtime, which crun prints in its messages.
fn installed(runtime: &str) -> OsString {
    let path = env::var_os("PATH").expect("a path");
    let found = env::split_paths(&path).map(|place| place.join(runtime)).find(|path| path.exists());
    found.expect("the runtime is installed").into()
}

/// oci-link under `name` in the machine's directory: a link, unless a test put a copy there.
fn ours(machine: &Machine, name: &str) -> OsString {
    let link = machine.host.path(name);
    if fs::symlink_metadata(&link).is_err() {
        symlink(OCI_LINK, &link).expect("linked");
    }
    link.into()
}
