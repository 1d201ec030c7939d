//! Unlinked containers that a runtime accepts, although oci-link may not understand them.

use crate::case::{Case, Company};
use serde_json::{Value, json};

pub(crate) type Edit = fn(&mut Case);
/// A name and what makes the container of a plain one.
pub(crate) type Entry = (&'static str, Edit);

pub(crate) const TABLES: [&[Entry]; 8] =
    [HOST_NAMES, IDS, FILES, ANNOTATIONS, ADDRESSES, FIELDS, PLACES, CALLS];

pub(crate) const PLAIN: Entry = ("plain", |_| {});

pub(crate) const HOST_NAMES: &[Entry] = &[
    PLAIN,
    ("host name with a space", |c| c.config["hostname"] = "my host".into()),
    ("host name with another letter", |c| c.config["hostname"] = "büro".into()),
    ("host name that begins with -", |c| c.config["hostname"] = "-x".into()),
    ("host name that begins with a dot", |c| c.config["hostname"] = ".x".into()),
    ("host name with a colon", |c| c.config["hostname"] = "a:b".into()),
    ("host name with #", |c| c.config["hostname"] = "a#b".into()),
    ("host name with a tab", |c| c.config["hostname"] = "a\tb".into()),
    ("host name of 64 letters", |c| c.config["hostname"] = "x".repeat(64).into()),
    ("empty host name", |c| c.config["hostname"] = "".into()),
    ("host name localhost", |c| c.config["hostname"] = "localhost".into()),
    ("no host name", |c| remove(&mut c.config, "hostname")),
];

pub(crate) const IDS: &[Entry] = &[
    ("id with a comma", |c| c.id = "a,b".into()),
    ("id that begins with +", |c| c.id = "+x".into()),
    ("id that begins with a dot", |c| c.id = ".x".into()),
    ("id of 200 characters", |c| c.id = "x".repeat(200)),
    ("id of 254 characters", |c| c.id = "x".repeat(254)),
    ("id with a space", |c| c.id = "a b".into()),
    ("id with @", |c| c.id = "a@b".into()),
    ("id with a colon", |c| c.id = "a:b".into()),
    ("id with another letter", |c| c.id = "büro".into()),
    ("id that is a file of oci-link", |c| c.id = "lock".into()),
    ("id that ends with .json", |c| c.id = "case.json".into()),
];

pub(crate) const FILES: &[Entry] = &[
    ("5,000 annotations", |c| {
        let many = (0..5000).map(|at| (format!("com.example.a{at}"), Value::from("x")));
        c.config["annotations"] = Value::Object(many.collect());
    }),
    ("config.json of 5 MiB", |c| c.config["com.example"] = "x".repeat(5 << 20).into()),
    ("annotation of 3 MiB", |c| {
        c.config["annotations"]["com.example"] = "x".repeat(3 << 20).into();
    }),
    ("100 levels in an unknown member", |c| c.config["com.example"] = nested(100)),
    ("5,000 levels in an unknown member", |c| {
        c.text = |text| {
            let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
            text.replacen('{', &format!("{{\"com.example\":{deep},"), 1)
        }
    }),
    ("doubled key", |c| c.text = |text| text.replacen('{', "{\"hostname\":\"first\",", 1)),
    ("doubled annotation", |c| {
        c.config["annotations"] = json!({ "com.example": "last" });
        c.text =
            |text| text.replace("\"com.example\"", "\"com.example\":\"first\",\"com.example\"");
    }),
    ("null annotation", |c| c.config["annotations"]["com.example"] = Value::Null),
    ("null annotations", |c| c.config["annotations"] = Value::Null),
    ("no annotations", |c| remove(&mut c.config, "annotations")),
    ("annotation that is a number", |c| c.config["annotations"]["com.example"] = 7.into()),
    ("null links", |c| c.config["annotations"]["org.oci-link.links"] = Value::Null),
    ("annotation that is not UTF-8", |c| {
        c.config["annotations"]["com.example"] = "@latin@".into();
        c.shell = "LC_ALL=C sed -i 's/@latin@/b\\xfcro/' $BUNDLE/config.json";
    }),
    ("annotation with an empty key", |c| c.config["annotations"][""] = "x".into()),
    ("config.json with comments in a member", |c| c.config["//"] = "a comment".into()),
    ("config.json with many lines", |c| c.text = |text| text.replace(',', "\r\n\t,\r\n")),
];

pub(crate) const ANNOTATIONS: &[Entry] = &[
    ("name with a space", |c| c.annotate("name", "no name")),
    ("empty name", |c| c.annotate("name", "")),
    ("name of 300 characters", |c| c.annotate("name", &"x".repeat(300))),
    ("ports: words", |c| c.annotate("ports", "many")),
    ("ports: too high", |c| c.annotate("ports", "70000/tcp")),
    ("ports: unknown protocol", |c| c.annotate("ports", "80/dccp")),
    ("ports: all", |c| c.annotate("ports", "1-65535/tcp")),
    ("exposed ports of an image: words", |c| {
        c.config["annotations"]["org.opencontainers.image.exposedPorts"] = "many".into();
    }),
    ("missing: words", |c| c.annotate("missing", "perhaps")),
    ("missing: endless wait", |c| c.annotate("missing", "wait=forever")),
    ("env: a broken glob", |c| c.annotate("env", "[MYSQL_*")),
    ("env: empty", |c| c.annotate("env", ", ,")),
    ("isolate: words", |c| c.annotate("isolate", "maybe")),
    ("isolate: none", |c| c.annotate("isolate", "none")),
    ("unknown key", |c| c.annotate("link", "db")),
    ("unknown key with a slash", |c| c.annotate("ports/app", "80")),
    ("links: none", |c| c.annotate("links", "none")),
];

pub(crate) const ADDRESSES: &[Entry] = &[
    ("address 169.254.7.7", |c| c.shell = "ip -n $NETNS addr add 169.254.7.7/16 dev eth0"),
    ("only 169.254.7.7", |c| {
        c.shell = "ip -n $NETNS addr flush dev eth0; ip -n $NETNS addr add 169.254.7.7/16 dev eth0";
    }),
    ("address 0.1.2.3", |c| c.shell = "ip -n $NETNS addr add 0.1.2.3/8 dev eth0"),
    ("address 127.1.2.3", |c| c.shell = "ip -n $NETNS addr add 127.1.2.3/8 dev eth0"),
    ("address 240.1.2.3", |c| c.shell = "ip -n $NETNS addr add 240.1.2.3/4 dev eth0"),
    ("address 255.1.2.3", |c| c.shell = "ip -n $NETNS addr add 255.1.2.3/32 dev eth0"),
    ("no address", |c| c.shell = "ip -n $NETNS addr flush dev eth0"),
    ("no interface", |c| c.shell = "ip -n $NETNS link del eth0"),
    ("only an interface that is down", |c| c.shell = "ip -n $NETNS link set eth0 down"),
    ("1,000 addresses", |c| {
        c.shell = "for a in 1 2 3 4; do for b in $(seq 1 250); do \
                   echo addr add 10.80.$a.$b/16 dev eth0; done; done | ip -n $NETNS -batch -";
    }),
    ("an address of the host", |c| {
        c.shell = "ip addr add 10.79.0.5/32 dev br0; ip -n $NETNS addr add 10.79.0.5/32 dev eth0";
    }),
    ("only the address of the bridge", |c| {
        c.shell = "ip -n $NETNS addr flush dev eth0; ip -n $NETNS addr add 10.77.0.1/24 dev eth0";
    }),
    ("address of a recipient", |c| {
        c.company = Company::Linked;
        c.shell = "ip -n $NETNS addr flush dev eth0; ip -n $NETNS addr add 10.77.0.12/24 dev eth0; \
                   ip -n $NETNS addr add fd77::c/64 dev eth0 nodad";
    }),
    ("address of a recipient beside its own", |c| {
        c.company = Company::Linked;
        c.shell = "ip -n $NETNS addr add 10.77.0.12/24 dev eth0";
    }),
    ("beside a recipient and its source", |c| c.company = Company::Linked),
    ("inner bridge with the address of a bridge of the host", |c| {
        c.shell = "for netns in '' \"-n $NETNS\"; do ip $netns link add docker0 type bridge; \
                   ip $netns addr add 172.17.0.1/16 dev docker0; ip $netns link set docker0 up; done";
    }),
    ("id of a container in another root", |c| c.company = Company::Twin),
];

/// Members of config.json.
pub(crate) const FIELDS: &[Entry] = &[
    ("no user", |c| remove(&mut c.config["process"], "user")),
    ("unknown capability", |c| {
        c.config["process"]["capabilities"] = json!({
            "bounding": ["CAP_KILL", "CAP_FUTURE"],
            "effective": ["CAP_KILL"],
            "permitted": ["CAP_KILL"],
        });
    }),
    ("scheduler with a flag", |c| {
        c.config["process"]["scheduler"] =
            json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"] });
    }),
    ("pids.limit null", |c| c.config["linux"]["resources"]["pids"] = json!({ "limit": null })),
    ("device rule with an empty type", |c| {
        let rules = json!([{ "allow": true, "type": "", "access": "rwm" }]);
        c.config["linux"]["resources"]["devices"] = rules;
    }),
    ("unknown rlimit", |c| {
        c.config["process"]["rlimits"] = json!([{ "type": "RLIMIT_X", "hard": 1, "soft": 1 }]);
    }),
    ("unknown namespace", |c| {
        let namespaces = c.config["linux"]["namespaces"].as_array_mut();
        namespaces.expect("a list").push(json!({ "type": "future" }));
    }),
    ("unknown members", |c| {
        c.config["process"]["future"] = json!({ "a": [1, null, 1e300] });
        c.config["linux"]["future"] = json!(18_446_744_073_709_551_615_u64);
    }),
    ("version of the future", |c| c.config["ociVersion"] = "1.9.0".into()),
    ("no environment", |c| {
        remove(&mut c.config["process"], "env");
        c.config["process"]["args"][0] = "/bin/sh".into();
    }),
    ("doubled variables", |c| {
        c.config["process"]["env"] = json!(["PATH=/bin", "A=1", "A=2", "B=a\nb"]);
    }),
    ("variables without a name or a value", |c| {
        c.config["process"]["env"] = json!(["PATH=/bin", "NO_VALUE", "=x"]);
    }),
    ("terminal: false", |c| c.config["process"]["terminal"] = false.into()),
    ("readonly root", |c| c.config["root"]["readonly"] = true.into()),
    ("host network", |c| c.without_namespace("network")),
    ("a network namespace of its own", |c| {
        c.without_namespace("network");
        let namespaces = c.config["linux"]["namespaces"].as_array_mut();
        namespaces.expect("a list").push(json!({ "type": "network" }));
    }),
    ("process ids of the host", |c| c.without_namespace("pid")),
    ("host name of the host", |c| {
        c.without_namespace("uts");
        remove(&mut c.config, "hostname");
    }),
    ("user namespace", |c| {
        c.with_ids(100_000, 65_536);
        c.shell = "chmod 711 $D $D/bundles; chown -R 100000:100000 $BUNDLE/rootfs";
    }),
];

/// What lies in the bundle.
pub(crate) const PLACES: &[Entry] = &[
    ("config.json is a link", |c| {
        c.shell = "cd $BUNDLE; mv config.json real.json; ln -s real.json config.json";
    }),
    ("config.json is a link to another directory", |c| {
        c.shell = "mkdir /run/real; cd $BUNDLE; mv config.json /run/real/config.json; \
                   ln -s /run/real/config.json config.json";
    }),
    ("config.json has mode 000", |c| c.shell = "chmod 000 $BUNDLE/config.json"),
    ("config.json of another user", |c| c.shell = "chown 65534 $BUNDLE/config.json"),
    ("config.json is a read-only mount", |c| c.shell = "read_only $BUNDLE/config.json"),
    ("bundle on a read-only mount", |c| c.shell = "read_only $BUNDLE"),
    ("bundle is a link", |c| {
        c.shell = "ln -s $BUNDLE /run/link";
        c.options = &["--bundle", "/run/link"];
    }),
    ("root without /etc", |c| c.shell = "rm -r $BUNDLE/rootfs/etc"),
    ("/etc is a file", |c| c.shell = "rm -r $BUNDLE/rootfs/etc; : >$BUNDLE/rootfs/etc"),
    ("hosts file is a FIFO", |c| {
        c.shell = "rm $BUNDLE/rootfs/etc/hosts; mkfifo $BUNDLE/rootfs/etc/hosts";
    }),
    ("hosts file of 2 MiB", |c| {
        c.shell = "dd if=/dev/zero of=$BUNDLE/rootfs/etc/hosts bs=1M count=2 2>/dev/null";
    }),
    ("absolute root", |c| c.config["root"]["path"] = format!("{}/rootfs", c.bundle).into()),
    ("hooks of others", |c| foreign_hooks(c, "true")),
    ("hooks of others that fail", |c| foreign_hooks(c, "false")),
];

/// Command lines.
pub(crate) const CALLS: &[Entry] = &[
    ("-b", |c| c.options = &["-b", "@"]),
    ("--bundle=", |c| c.options = &["--bundle=@"]),
    ("in the bundle's directory", |c| c.options = &[]),
    ("relative bundle", |c| c.options = &["--bundle", "../case"]),
    ("--pid-file", |c| c.options = &["--bundle", "@", "--pid-file", "@/pid"]),
    ("--no-pivot", |c| c.options = &["--no-pivot", "--bundle", "@"]),
    ("unknown option", |c| c.options = &["--bundle", "@", "--future"]),
    ("bundle that is not there", |c| c.options = &["--bundle", "@/nowhere"]),
    ("--log", |c| c.globals = &["--log", "/run/runtime.log", "--log-format", "json"]),
    ("--log that cannot be written", |c| c.globals = &["--log", "/nowhere/log"]),
    ("--debug", |c| c.globals = &["--debug", "--log", "/run/runtime.log"]),
    ("unknown global option", |c| c.globals = &["--future"]),
    ("no such program", |c| c.config["process"]["args"] = json!(["gone"])),
    ("config.json that is no JSON", |c| c.text = |_| "no JSON".into()),
    ("no config.json", |c| c.shell = "rm $BUNDLE/config.json"),
];

fn remove(object: &mut Value, key: &str) {
    object.as_object_mut().expect("an object").remove(key);
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| json!({ "a": inner }))
}

/// Hooks before and after those of oci-link. Each ends with `last`.
fn foreign_hooks(case: &mut Case, last: &str) {
    for stage in ["createRuntime", "poststart", "poststop"] {
        let hook = |at: u8| {
            let script =
                format!("cat >/dev/null; echo {stage} {at} >>{}/said; {last}", case.bundle);
            json!({ "path": "/bin/sh", "args": ["sh", "-c", script] })
        };
        case.config["hooks"][stage] = json!([hook(1), hook(2)]);
    }
}
