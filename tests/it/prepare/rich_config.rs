//! A config.json as large and as odd as they come: podman's size, every kind of value, keys that
//! no specification knows, and white space nobody would put there.

use serde_json::Value;
use std::fmt::Write;

/// Its text in the order of its fields; what `prepare` may change are `env` and `hooks`.
pub(super) struct RichConfig {
    head: String,
    pub(super) env: String,
    middle: String,
    /// The value of `hooks`; without it, there is no such key.
    pub(super) hooks: String,
    tail: String,
}

impl RichConfig {
    pub(super) const FOREIGN_HOOKS: &str = r#"{"createRuntime":[ {"path":"/opt/network","args":["n","\u0061"],"env":["A=1"],
        "timeout":5} ],"startContainer":[{"path":"/bin/true"}],"poststop":[]}"#;

    pub(super) fn new(links: &str, hooks: &str) -> Self {
        let head = format!(
            "\n {{ \"ociVersion\" : \"1.0.2\",\n\t\"hostname\":\"web\",\"x-unknown\":{ODD},\n\
             \"annotations\":{{\"org.oci-link.links\":\"{links}\",{}}},\n\
             \"root\":{{\"path\":\"rootfs\",\"x-unknown\":{ODD}}},\n\
             \"process\":{{\"user\":{{\"uid\":0,\"gid\":0,\"x-unknown\":{ODD}}},\"args\":\n\
             [\"sleep\",\"h\\u00e9llo \\\"\\\\ \\/ \u{4e2d}\"],\"cwd\":\"/\",\"env\":",
            annotations()
        );
        let env = "[ \"PATH=/bin\" ,\n      \"\\u0041=\\n\\t\\\"\",\"UNI=h\u{e9}llo-\u{4e2d}\", \"NOTHING\"]";
        let middle = format!(
            ",\"x-unknown\":{ODD},\"capabilities\":{},\"rlimits\":{RLIMITS},\"oomScoreAdj\":-999}},\n\
             \"mounts\":[{}],\"linux\":{}",
            capabilities(),
            mounts(),
            linux()
        );
        let key = if hooks.is_empty() { "" } else { ",\n \"hooks\" :" };
        let middle = middle + key;
        let tail = format!(",\"x-last\": {ODD} }} \n\n");
        Self { head, env: env.into(), middle, hooks: hooks.into(), tail }
    }

    pub(super) fn text(&self) -> String {
        let Self { head, env, middle, hooks, tail } = self;
        [head.as_str(), env, middle, hooks, tail].concat()
    }

    /// The new `env` and `hooks` of `edited`, after making sure that every other byte of it is
    /// where it was.
    #[track_caller]
    pub(super) fn changed_parts(&self, edited: &str) -> (Value, Value) {
        let Self { head, middle, hooks, tail, .. } = self;
        let json = |text: &str| serde_json::from_str(text).expect("what changed is one value");
        let (mut tail, mut new_hooks, mut rest) = (tail.as_str(), None, edited);
        if hooks.is_empty() {
            // The key that was not there goes right behind the last member.
            let (last, close) = tail.split_at(tail.rfind(" }").expect("the last brace"));
            rest = rest.strip_suffix(close).expect("the last brace is where it was");
            let end = rest.find(last).expect("the last member is there") + last.len();
            let member = rest[end..].strip_prefix(',').expect("a comma");
            let value = member.trim_start().strip_prefix("\"hooks\": ").expect("the new key");
            new_hooks = Some(json(value));
            (rest, tail) = (&rest[..end], last);
        }
        let rest = rest.strip_prefix(head.as_str()).expect("all before env is as it was");
        let rest = rest.strip_suffix(tail).expect("all behind hooks is as it was");
        let (env, behind) = rest.split_once(middle.as_str()).expect("all between is as it was");
        match new_hooks {
            Some(hooks) => {
                assert_eq!(behind, "");
                (json(env), hooks)
            }
            None => (json(env), json(behind)),
        }
    }
}

/// What a parser may lose: precision, escapes, order, notation.
const ODD: &str = r#"{"b":1.10,"a":-0.0,"e":1E+2,"f":3.141592653589793238462643,"big":123456789012345678901234567890,"u":18446744073709551615,"s":"\u00e9\ud83d\ude00\u0000\/","n":null,"l":[ [],{} ,"x" ],"ünï":"中"}"#;

const RLIMITS: &str = r#"[{"type":"RLIMIT_NOFILE","hard":18446744073709551615,"soft":18446744073709551615},
    {"type":"RLIMIT_NPROC","hard":4194304,"soft":4194304}]"#;

fn annotations() -> String {
    (0..20).fold(String::from("\"io.container.manager\":\"libpod\""), |mut all, n| {
        let _ = write!(all, ",\"io.podman.annotations.number-{n}\": \"value \\u00e9 {n}\"");
        all
    })
}

fn capabilities() -> String {
    let names: Vec<String> =
        ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE"]
            .map(|name| format!("\"CAP_{name}\""))
            .into();
    let list = names.join(", ");
    format!(
        r#"{{"bounding":[{list}],"effective":[{list}], "permitted":[{list}],"x-unknown":{ODD}}}"#
    )
}

fn mounts() -> String {
    let mut mounts: Vec<String> = vec![
        r#"{"destination":"/proc","type":"proc","source":"proc"}"#.into(),
        format!(
            r#"{{"destination":"/dev", "type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755"],"x-unknown":{ODD}}}"#
        ),
    ];
    mounts.extend((0..24).map(|n| {
        format!(
            r#"{{"destination":"/srv/data-{n}","type":"bind","source":"/var/lib/volumes/v{n}/_data","options":["rw","rprivate","nosuid","nodev","rbind"]}}"#
        )
    }));
    mounts.join(",\n   ")
}

fn linux() -> String {
    let calls: Vec<String> = (0..680).map(|n| format!("\"syscall_{n}\"")).collect();
    let calls = calls.join(",");
    format!(
        r#"{{"resources":{{"pids":{{"limit":2048}},"memory":{{"limit":9223372036854775807}},"x-unknown":{ODD}}},
    "namespaces":[{{"type":"pid"}},{{"type":"network","path":"/run/netns/x","x-unknown":{ODD}}},{{"type":"mount"}}],
    "seccomp":{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64"],
      "syscalls":[{{"names":[{calls}],"action":"SCMP_ACT_ALLOW"}},
        {{"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{{"index":0,"value":4294967295,"op":"SCMP_CMP_EQ"}}]}}]}},
    "maskedPaths":["/proc/kcore"],"x-unknown":{ODD}}}"#
    )
}
