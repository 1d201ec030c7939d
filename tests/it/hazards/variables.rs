//! Variables that no program of good will would set.

use super::scene::{Scene, after, isolated};
use crate::support::each_runtime;
use std::process::Command;

each_runtime! {
    /// Such a name can be passed on, but neither set nor removed by its name.
    fn a34_a_variable_whose_name_begins_with_an_equals_sign(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let with_variable = |command: Command| after(r#"set -- env =X=1 ==1 LD_PRELOAD= "$@""#, &[], &command);
        scene.accepted_by(with_variable(scene.command()));
        // It reads rules by a library, which is given an empty environment.
        let inspect = host.oci_link(&["inspect", "web", "--format=json"]);
        let inspected = host.run(&mut with_variable(inspect)).ok();
        assert!(inspected.contains("as recorded"), "{inspected}");
    }
}
