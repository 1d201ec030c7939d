//! Fuzz targets: functions that pass any bytes to a parser of outside data and check its
//! guarantees. They panic if a guarantee is broken. `make fuzz` runs them with libFuzzer, and the
//! unit tests run them on the files in `fuzz/corpus`. Other builds do not contain this module.

#![allow(clippy::panic)] // A broken guarantee must panic: the fuzzer reports that.

mod cluster;
mod documents;
mod frontend;
mod hosts;
mod iptables;
mod netlink;
mod process;

pub use cluster::cluster;
pub use documents::{
    annotations, command_line, compose, config_json, config_toml, engine_files, exec_process,
    record, runtime_state, state,
};
pub use frontend::frontend;
pub use hosts::hosts;
pub use iptables::iptables;
pub use netlink::netlink;
pub use process::process_stat;

#[cfg(test)]
mod tests {
    use crate::store::format;
    use std::fs;
    use std::path::Path;

    type Target = (&'static str, fn(&[u8]));

    /// All targets. The name of a target is that of its corpus folder.
    const TARGETS: [Target; 16] = [
        ("annotations", super::annotations),
        ("cluster", super::cluster),
        ("command_line", super::command_line),
        ("compose", super::compose),
        ("config_json", super::config_json),
        ("config_toml", super::config_toml),
        ("engine_files", super::engine_files),
        ("exec_process", super::exec_process),
        ("frontend", super::frontend),
        ("hosts", super::hosts),
        ("iptables", super::iptables),
        ("netlink", super::netlink),
        ("process_stat", super::process_stat),
        ("record", super::record),
        ("runtime_state", super::runtime_state),
        ("state", super::state),
    ];

    /// The corpora of the courier's targets, which are in its own crate.
    const OF_THE_COURIER: [&str; 1] = ["courier"];

    #[test]
    fn promises_hold_for_the_corpora() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut folders: Vec<_> = fs::read_dir(&corpora).unwrap().map(Result::unwrap).collect();
        folders.retain(|it| !OF_THE_COURIER.iter().any(|name| it.file_name() == *name));
        folders.sort_by_key(fs::DirEntry::file_name);
        let names: Vec<_> = folders.iter().map(fs::DirEntry::file_name).collect();
        assert_eq!(names, TARGETS.map(|(name, _)| name), "a folder for each target");
        for (folder, (name, target)) in folders.iter().zip(TARGETS) {
            let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
            assert!(!files.is_empty(), "nothing in {name}");
            for file in files {
                println!("{}", file.path().display());
                let bytes = fs::read(file.path()).unwrap();
                target(&bytes);
                // Records of earlier versions are among them.
                let is_record = name == "record" && !bytes.is_empty();
                if is_record {
                    format::decode(&bytes).unwrap();
                }
            }
        }
    }
}
