//! Containers without links: no difference may be visible.

use crate::each_engine;
use crate::rig::{Engine, Rig, With};

/// All that a container can tell of itself, run with us or without.
fn account(engine: Engine, with: With) -> Vec<String> {
    let rig = Rig::start(engine, with);
    rig.container("db").env("USER_SET=1").command("sleep 86400").run().ok();
    let pid = rig.pid("db");
    let mut account = rig.environ("db");
    // podman shuffles both variables and mounts; the layers of `/` differ.
    account.sort();
    let mounts =
        format!("awk '$2 == \"/\" {{ $4 = \"\" }} {{ print $2, $3, $4 }}' /proc/{pid}/mounts");
    let status = format!("grep -E '^(Cap|Seccomp|NoNewPrivs|Groups|Sig[BIC])' /proc/{pid}/status");
    let limits = format!("cat /proc/{pid}/limits /proc/{pid}/oom_score_adj");
    for question in [mounts + " | sort", status, limits] {
        account.push(rig.machine.sh(&question).ok());
    }
    // ctr loses what a program says that ends at once.
    let hosts = "sh -c 'cat /etc/hosts; status=$?; sleep 0.5; exit $status'";
    account.push(rig.exec("db", hosts).to_string());
    account.push(rig.exec("db", "sh -c 'exit 7'").to_string());
    rig.kill("db");
    rig.remove("db");
    assert_eq!(rig.remains(), Vec::<String>::new());
    account.iter().map(|text| without_id(text)).collect()
}

/// Short ids are host names, and differ.
fn without_id(text: &str) -> String {
    let is_id = |word: &&str| word.len() == 12 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(is_id).map_or_else(|| text.to_owned(), |id| text.replace(id, "ID"))
}

each_engine! {
    fn a_container_is_what_it_would_be_without_us(engine)
        on [docker_20, podman_4, containerd_1, docker_28, podman_5, containerd_2] {
        let (with, without) = (account(engine, With::Wrapper), account(engine, With::Nothing));
        assert_eq!(with, without);
    }
}
