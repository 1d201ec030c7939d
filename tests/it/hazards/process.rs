//! The state in which a careless or hostile parent may start us.

use super::records::assert_private;
use super::scene::{Scene, after};
use crate::{backends::each_backend, lifecycle::host_with};
use oci_link::testing::BackendName;
use std::{fs, os::unix::fs::MetadataExt};

/// A hook that is started behind `script` does what it always does. The hosts file is missing, so
/// that it must be made as well.
#[track_caller]
fn does_the_same(backend: BackendName, script: &str) {
    let host = host_with(backend);
    let scene = Scene::open(&host);
    let hosts = scene.rootfs("etc/hosts");
    fs::remove_file(&hosts).expect("removed");
    let cwd = host.path("cwd");
    fs::create_dir(&cwd).expect("made");
    scene.accepted_by(after(&format!("cwd=$1; shift\n{script}"), &[&cwd], &scene.command()));

    let content = fs::read_to_string(&hosts).expect("made");
    assert!(content.starts_with("127.0.0.1\tlocalhost\n::1\t"), "{script}: {content}");
    assert!(content.ends_with(&scene.block()), "{script}: {content}");
    assert_eq!(fs::metadata(&hosts).expect("made").mode(), 0o10_0644, "{script}");
    scene.assert_permitted();
    assert_private(&host.state_dir());
    scene.end();
    assert!(!hosts.exists(), "{script}");
}

each_backend! {
    fn a36_every_descriptor_is_open(backend) {
        does_the_same(
            backend,
            r#"ulimit -n 1024; for fd in {3..1023}; do [ $fd = 255 ] || eval "exec $fd</dev/null"; done"#,
        );
    }

    fn a36_standard_streams_are_closed(backend) {
        for script in ["exec >&-", "exec 2>&-", "exec >&- 2>&-", "exec >/dev/full 2>&1"] {
            does_the_same(backend, script);
        }
    }

    /// Then it is unknown which container it is.
    fn a36_standard_input_is_closed(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        let closed = || after("exec <&-", &[], &scene.command());
        scene.refused_by(closed(), scene.state().to_string().as_bytes(), 3, "state");
        scene.accepted();
    }

    /// With `env`, as shells cannot.
    fn a36_signals_are_ignored_or_blocked(backend) {
        for options in ["--ignore-signal=CHLD", "--block-signal", "--ignore-signal"] {
            does_the_same(backend, &format!("set -- env {options} \"$@\""));
        }
    }

    fn a36_the_umask_is_odd(backend) {
        for umask in ["0777", "0000"] {
            does_the_same(backend, &format!("umask {umask}"));
        }
    }

    fn a37_the_working_directory_is_gone(backend) {
        does_the_same(backend, r#"cd "$cwd" && rmdir "$cwd""#);
    }
}
