//! Argument vectors, and what becomes of them. Words are separated by blanks; `·` is a blank in a
//! word. `=` in place of the result: passed on unchanged.

use super::testing::{DOCKER_28, PODMAN, Told};
use super::{Client, rewrite};
use std::ffi::OsString;

pub(super) fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace()
        .map(|word| if word == "''" { String::new() } else { word.replace('·', " ") })
        .map(OsString::from)
        .collect()
}

#[track_caller]
fn assert_rows(client: Client, around: &Told, rows: &[(&str, &str)]) {
    for (line, expected) in rows {
        let given = words(&line.replace("KEY", "org.oci-link.links"));
        let new = rewrite(client, &given, around).unwrap_or_else(|error| panic!("{line}: {error}"));
        let wanted =
            (*expected != "=").then(|| words(&expected.replace("KEY", "org.oci-link.links")));
        assert_eq!(new, wanted, "{line}");
    }
}

/// What stays as it is under both.
const UNCHANGED: [(&str, &str); 32] = [
    ("", "="),
    ("run", "="),
    ("run img", "="),
    ("run --name web img sh", "="),
    ("ps --filter name=--link", "="),
    ("exec web --link a:b", "="),
    ("build --link a:b .", "="),
    ("network connect --link db:x n1 web", "="),
    ("compose run --link a:b", "="),
    ("container ls --link a", "="),
    ("container", "="),
    ("container exec run --link a", "="),
    ("run img --link a:b", "="),
    ("run -it img --link=a:b", "="),
    ("run -- img --link a:b", "="),
    ("run -- --link a:b img", "="),
    ("run '' --link a:b", "="),
    ("run - --link a:b", "="),
    ("run -e --link img", "="),
    ("run --entrypoint --link img", "="),
    ("run --entrypoint --link=x img x --link", "="),
    ("run -ite --link img", "="),
    ("run --link", "="),
    ("run --link=", "="),
    ("run --link '' img", "="),
    ("run --link a:b --link= img", "="),
    ("run --link a:b -e", "="),
    ("run --link a:b ---x img", "="),
    ("run --link a:b --=x img", "="),
    ("run --link a:b -d= img", "="),
    ("run --linked a:b img", "="),
    ("run -link a:b img --link", "="),
];

#[test]
fn what_is_passed_on() {
    assert_rows(Client::Docker, &Told::with_help(DOCKER_28), &UNCHANGED);
    assert_rows(Client::Podman, &Told::with_help(PODMAN), &UNCHANGED);
}

const PODMAN_ROWS: [(&str, &str); 47] = [
    ("run --link a:b img", "run --annotation KEY=a:b img"),
    ("run --link=a:b img", "run --annotation KEY=a:b img"),
    ("create --link a img", "create --annotation KEY=a img"),
    ("container run --link a:b img", "container run --annotation KEY=a:b img"),
    ("container create --link a:b img", "container create --annotation KEY=a:b img"),
    ("run --link a:b --link c:d img", "run --annotation KEY=a:b·c:d img"),
    ("run --link a:b -d --link=c img sh", "run -d --annotation KEY=a:b·c img sh"),
    ("run --link a:b", "run --annotation KEY=a:b"),
    ("run --link a:b --", "run --annotation KEY=a:b --"),
    ("run --link a:b -- img --link x", "run --annotation KEY=a:b -- img --link x"),
    ("run --link a:b img --link c:d", "run --annotation KEY=a:b img --link c:d"),
    ("run -itd --link a:b img", "run -itd --annotation KEY=a:b img"),
    ("run -dp 80:80 --link a:b img", "run -dp 80:80 --annotation KEY=a:b img"),
    ("run -p80:80 --link a:b img", "run -p80:80 --annotation KEY=a:b img"),
    ("run -p=80:80 --link a:b img", "run -p=80:80 --annotation KEY=a:b img"),
    ("run -p= --link a:b img", "run -p= --annotation KEY=a:b img"),
    ("run -d=false --link a:b img", "run -d=false --annotation KEY=a:b img"),
    ("run -itw /w --link a:b img", "run -itw /w --annotation KEY=a:b img"),
    ("run -itw/w --link a:b img", "run -itw/w --annotation KEY=a:b img"),
    ("run -h web --link a:b img", "run -h web --annotation KEY=a:b img"),
    ("run -P --link a:b img", "run -P --annotation KEY=a:b img"),
    ("run -e --link --link a:b img", "run -e --link --annotation KEY=a:b img"),
    ("run --entrypoint --link --link a:b img", "run --entrypoint --link --annotation KEY=a:b img"),
    ("run --name=web --link a:b img", "run --name=web --annotation KEY=a:b img"),
    ("run --rm=false --link a:b img", "run --rm=false --annotation KEY=a:b img"),
    ("run --rm --link a:b img", "run --rm --annotation KEY=a:b img"),
    ("run --link /a:/web/b img", "run --annotation KEY=a:b img"),
    ("run --link /a:/b/c img", "run --annotation KEY=a:c img"),
    ("run --link a:/b/c img", "run --annotation KEY=a:c img"),
    ("run --link /a img", "run --annotation KEY=a img"),
    ("run --link none img", "run --annotation KEY=none:none img"),
    ("run --link a:x --link b:x img", "run --annotation KEY=a:x img"),
    ("run --link a:x --link b:X img", "run --annotation KEY=a:x img"),
    ("run --link a:b --link a:b img", "run --annotation KEY=a:b img"),
    ("run --annotation KEY=x --link a:b img", "run --annotation KEY=x·a:b img"),
    ("run --annotation=KEY=x,y --link a:b img", "run --annotation KEY=x·y·a:b img"),
    ("run --annotation KEY=none --link a:b img", "run --annotation KEY=a:b img"),
    ("run --annotation KEY= --link a:b img", "run --annotation KEY=a:b img"),
    ("run --annotation KEY=x:b --link a:b img", "run --annotation KEY=x:b img"),
    ("run --annotation KEY=x --annotation KEY=y --link a:b img", "run --annotation KEY=y·a:b img"),
    ("run --annotation o=p,q=r --link a img", "run --annotation o=p,q=r --annotation KEY=a img"),
    ("--log-level debug run --link a img", "--log-level debug run --annotation KEY=a img"),
    ("-r --url=unix:///s run --link a img", "-r --url=unix:///s run --annotation KEY=a img"),
    (
        "--remote -c run container run --link a i",
        "--remote -c run container run --annotation KEY=a i",
    ),
    ("run --log-level debug --link a img", "run --log-level debug --annotation KEY=a img"),
    ("run --replace --rootfs --link a /r", "run --replace --rootfs --annotation KEY=a /r"),
    ("run --network n1 --link a:b img", "run --network n1 --annotation KEY=a:b img"),
];

#[test]
fn podman_never_gets_a_link() {
    let around = Told::with_help(PODMAN);
    assert_rows(Client::Podman, &around, &PODMAN_ROWS);
    assert!(around.asked.borrow().is_empty(), "the tables know these options");
}

const DOCKER_ROWS: [(&str, &str); 30] = [
    ("run --link a:b img", "run --annotation KEY=a:b --runtime oci-link img"),
    ("-D run --link a:b img", "-D run --annotation KEY=a:b --runtime oci-link img"),
    ("-Dl debug run --link a img", "-Dl debug run --annotation KEY=a --runtime oci-link img"),
    ("-- run --link a img", "-- run --annotation KEY=a --runtime oci-link img"),
    ("-l debug run --link a img", "-l debug run --annotation KEY=a --runtime oci-link img"),
    (
        "--log-level=info create --link a i",
        "--log-level=info create --annotation KEY=a --runtime oci-link i",
    ),
    ("container create --link a i", "container create --annotation KEY=a --runtime oci-link i"),
    ("container --help run --link a i", "="),
    ("run --runtime runc --link a img", "run --runtime runc --annotation KEY=a img"),
    ("run --runtime=link --link a img", "run --runtime=link --annotation KEY=a img"),
    (
        "run --network bridge --link a i",
        "run --network bridge --annotation KEY=a --runtime oci-link i",
    ),
    ("run --net=default --link a i", "run --net=default --annotation KEY=a --runtime oci-link i"),
    (
        "run --network n1 --link a:b i",
        "run --network n1 --link a:b --annotation KEY=a:b --runtime oci-link i",
    ),
    (
        "run --link=a:b --net n1 i",
        "run --link=a:b --net n1 --annotation KEY=a:b --runtime oci-link i",
    ),
    (
        "run --network name=n1,alias=w --link a i",
        "run --network name=n1,alias=w --link a --annotation KEY=a --runtime oci-link i",
    ),
    (
        "run --network bridge --network n1 --link a i",
        "run --network bridge --network n1 --link a --annotation KEY=a --runtime oci-link i",
    ),
    ("run --network host --link a img", "="),
    ("run --network none --link a img", "="),
    ("run --net container:x --link a img", "="),
    ("run --link a:b:c img", "="),
    ("run --link a:localhost img", "="),
    ("run --link a:b·c img", "="),
    ("run --link a:b/c img", "="),
    ("run --link a,b img", "="),
    (
        "run --link a:localhost --link b:x img",
        "run --link a:localhost --annotation KEY=b:x --runtime oci-link img",
    ),
    (
        "run --annotation KEY=x -d --link a img",
        "run -d --annotation KEY=x·a --runtime oci-link img",
    ),
    (
        "run --annotation KEY=x --annotation k=v --link a img",
        "run --annotation k=v --annotation KEY=x·a --runtime oci-link img",
    ),
    (
        "run --use-api-socket --link a i",
        "run --use-api-socket --annotation KEY=a --runtime oci-link i",
    ),
    ("run --dns-opt x --link a i", "run --dns-opt x --annotation KEY=a --runtime oci-link i"),
    (
        "run -it --rm --link a i sh -c --link",
        "run -it --rm --annotation KEY=a --runtime oci-link i sh -c --link",
    ),
];

#[test]
fn docker_keeps_links_where_they_are_names() {
    let around = Told::with_help(DOCKER_28);
    assert_rows(Client::Docker, &around, &DOCKER_ROWS);
}
