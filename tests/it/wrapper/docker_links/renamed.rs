//! `docker rename`, network aliases, and sources without oci-link: what Docker's files say while a container
//! runs. No runtime is called when they change.

use super::*;
use crate::watch::{Watch, soon};

/// What Docker writes about a container that runs under this name.
fn runs_as(host: &Host, name: &str, now: &str, pid: &Value, networks: &Value) {
    let place = directory(host, name);
    let config = json!({
        "ID": id(name),
        "Name": format!("/{now}"),
        "State": { "Running": true, "Pid": pid },
        "Config": { "Hostname": name, "Env": ["COLOUR=green"], "ExposedPorts": { "3306/tcp": {} } },
        "NetworkSettings": { "Networks": networks },
    });
    // As Docker does it.
    fs::write(place.join("new"), config.to_string()).expect("written");
    fs::rename(place.join("new"), place.join("config.v2.json")).expect("renamed");
}

fn renames(host: &Host, name: &str, container: &Container<'_>, now: &str) {
    runs_as(host, name, now, &container.state()["pid"], &json!({ "bridge": {} }));
}

/// Starts a container on the default bridge.
fn recipient<'h>(host: &'h Host, name: &str, link: &str) -> Container<'h> {
    starts(bundle(host, name, &on_bridge(&[link]), "").build())
}

/// The addresses of the sources of a container.
fn leads_to(host: &Host, name: &str) -> Vec<String> {
    let shown = inspect(host, &id(name));
    let flows = shown["flows"].as_array().expect("a list").iter();
    let mut to: Vec<String> =
        flows.map(|flow| flow["to"].as_str().expect("a text").to_owned()).collect();
    to.retain(|address| !address.contains(':'));
    to.sort();
    to.dedup();
    to
}

fn at(container: &Container<'_>) -> Vec<String> {
    vec![container.addresses()[0].to_string()]
}

fn called(host: &Host, words: &[&str]) -> crate::support::Outcome {
    host.run(&mut host.oci_link(words))
}

each_runtime! {
    fn a_renamed_source_is_found_under_its_new_name(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let source = db(&host);
        let web = recipient(&host, "web", "db:mysql");
        renames(&host, "db", &source, "old");
        let api = recipient(&host, "api", "old:x");
        assert_eq!(links(&host, "api"), ["x docker ready"]);
        assert_eq!(with_prefix(&api, "X_").len(), 7);
        assert_eq!(api.reach(&source, Proto::Tcp, 3306), OPEN);
        // The link that stood before stays.
        assert_eq!(links(&host, "web"), ["mysql docker ready"]);
        assert_eq!(web.reach(&source, Proto::Tcp, 3306), OPEN);
        assert_eq!(lines_with(&web.hosts(), "mysql").len(), 2);
        assert_eq!(inspect(&host, "old")["name"], "old");
        let listed: Vec<Value> = crate::cast::ls(&host).iter().map(|it| it["name"].clone()).collect();
        assert_eq!(listed, ["api", "old", "web"]);
        called(&host, &["inspect", "db"]).refused(4);
        assert_eq!(called(&host, &["sync", "--check"]).ok(), "");
        // For annotations, the old name is none now.
        let told = bundle(&host, "told", &on_bridge(&[]), "").annotate("links", "old:y").build();
        let told = starts(told);
        assert_eq!(links(&host, "told"), ["y annotation ready"]);
        let lost = bundle(&host, "lost", &on_bridge(&[]), "").annotate("links", "db:y").build();
        let said = lost.create().refused(4);
        assert!(said.contains("No such container: db"), "{said}");
        // `docker restart` of a recipient: Docker's file keeps the old name, and Docker the container.
        let again = recipient(&host, "again", "db:mysql");
        assert_eq!(links(&host, "again"), ["mysql docker ready"]);
        assert_eq!((with_prefix(&again, "MYSQL_").len(), leads_to(&host, "again")), (7, at(&source)));
        // Its name comes back.
        renames(&host, "db", &source, "db");
        let last = recipient(&host, "last", "db:x");
        assert_eq!(leads_to(&host, "last"), at(&source));
        assert_eq!(inspect(&host, &id("db"))["name"], "db");
        end(&source);
        for name in ["web", "api", "again", "last"] {
            assert!(links(&host, name)[0].ends_with("waiting"), "{name}");
        }
        [&web, &api, &told, &again, &last].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn a_name_means_the_container_that_has_it_now(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let first = db(&host);
        let web = recipient(&host, "web", "db:mysql");
        renames(&host, "db", &first, "old");
        // Another container gets the name.
        let files = on_bridge(&[]);
        let second = bundle(&host, "new", &files, "").build();
        let text = fs::read_to_string(directory(&host, "new").join("config.v2.json")).expect("readable");
        let text = text.replace("\"/new\"", "\"/db\"");
        fs::write(directory(&host, "new").join("config.v2.json"), text).expect("written");
        let second = starts(second);
        // No start has asked for it yet.
        assert_eq!(inspect(&host, "db")["id"], json!(id("new")));
        assert_eq!(inspect(&host, "old")["id"], json!(id("db")));
        let api = recipient(&host, "api", "db:x");
        assert_eq!((leads_to(&host, "api"), leads_to(&host, "web")), (at(&second), at(&first)));
        assert_eq!(web.reach(&first, Proto::Tcp, 3306), OPEN);
        assert_eq!((api.reach(&first, Proto::Tcp, 3306), api.reach(&second, Proto::Tcp, 3306)), (SHUT, OPEN));
        let told = bundle(&host, "told", &on_bridge(&[]), "").annotate("links", "db:y").build();
        let told = starts(told);
        assert_eq!(leads_to(&host, "told"), at(&second));
        assert_eq!(called(&host, &["sync", "--check"]).ok(), "");
        // A link by a name goes to the next container of that name.
        end(&first);
        assert_eq!(leads_to(&host, "web"), at(&second));
        [&web, &api, &told, &second].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn names_that_were_exchanged(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let one = db(&host);
        let two = starts(bundle(&host, "two", &on_bridge(&[]), "").build());
        renames(&host, "db", &one, "two");
        renames(&host, "two", &two, "db");
        let web = recipient(&host, "web", "db:x");
        assert_eq!(leads_to(&host, "web"), at(&two));
        let api = recipient(&host, "api", "two:x");
        assert_eq!(leads_to(&host, "api"), at(&one));
        // `connect` asks the files too.
        renames(&host, "db", &one, "third");
        let plain = starts(bundle(&host, "plain", &on_bridge(&[]), "").build());
        called(&host, &["connect", "plain", "third:x"]).ok();
        assert_eq!(leads_to(&host, "plain"), at(&one));
        assert_eq!(called(&host, &["sync", "--check"]).ok(), "");
        [&web, &api, &plain, &one, &two].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    /// As Compose calls its services.
    fn a_network_alias_names_its_container(runtime) {
        let host = Host::isolated(runtime).wrapped();
        configured(&host, "[docker]\nlinks = \"all\"\nnetwork_env = true");
        let on = |network: &str, alias: &str| Files {
            links: json!([]),
            mode: "n1",
            networks: json!({ network: { "Aliases": [alias, "0123456789ab"], "IPAddress": "" } }),
        };
        let web = |name: &str| starts(bundle(&host, name, &on_n1(&["sql:mysql"]), "").build());
        let early = web("early");
        assert_eq!(links(&host, "early"), ["mysql docker:n1 waiting"]);
        let elsewhere = starts(bundle(&host, "elsewhere", &on("n2", "sql"), "").build());
        assert_eq!(links(&host, "early"), ["mysql docker:n1 waiting"]);
        let source = starts(bundle(&host, "shop-db-1", &on("n1", "sql"), "").build());
        assert_eq!(links(&host, "early"), ["mysql docker:n1 ready"]);
        let next = web("next");
        assert_eq!((leads_to(&host, "next"), leads_to(&host, "early")), (at(&source), at(&source)));
        assert_eq!(with_prefix(&next, "MYSQL_").len(), 7);
        assert_eq!(called(&host, &["sync", "--check"]).ok(), "");
        // Two of them: no link is made, and those that stand stay.
        let before = warnings(&host).len();
        let second = starts(bundle(&host, "shop-db-2", &on("n1", "sql"), "").build());
        let unsure = web("unsure");
        assert_eq!(links(&host, "unsure"), ["mysql docker:n1 waiting"]);
        let listed = crate::cast::ls(&host);
        let unsure_one = listed.iter().find(|it| it["name"] == "unsure").expect("listed");
        assert_eq!(unsure_one["links"][0]["reason"], "several containers have this alias");
        let said = warnings(&host).split_off(before);
        assert!(said.len() == 1 && said[0].contains("several containers have the alias sql"), "{said:?}");
        assert_eq!(leads_to(&host, "next"), at(&source));
        // The first one ends, as it does when Compose creates it again.
        end(&source);
        for name in ["early", "next", "unsure"] {
            assert_eq!(leads_to(&host, name), at(&second), "{name}");
        }
        // A container of that name comes first; `docker network connect --alias` calls no runtime.
        let named = starts(bundle(&host, "sql", &on("n1", "other"), "").build());
        let by_name = web("by-name");
        assert_eq!(leads_to(&host, "by-name"), at(&named));
        let networks = json!({ "n1": { "Aliases": ["tardy"], "IPAddress": named.addresses()[0].to_string() } });
        runs_as(&host, "sql", "sql", &named.state()["pid"], &networks);
        let late = starts(bundle(&host, "late", &on_n1(&["tardy:x"]), "").build());
        assert_eq!(leads_to(&host, "late"), at(&named));
        // A container that is called so is on another network.
        let far = starts(bundle(&host, "far", &on("n2", "other"), "").build());
        let near = starts(bundle(&host, "near", &on("n1", "far"), "").build());
        let both = starts(bundle(&host, "both", &on_n1(&["far:x"]), "").build());
        assert_eq!(leads_to(&host, "both"), at(&near));
        for one in [&far, &near, &both] {
            end(one);
        }
        for one in [&early, &next, &unsure, &by_name, &late, &elsewhere, &second, &named] {
            end(one);
        }
        host.assert_nothing_left();
    }
}

/// Runs a container by runc alone, and writes what Docker would. The id is no other test's: the control group
/// is called by it.
fn without_us<'h>(host: &'h Host, name: &str) -> Container<'h> {
    let container = bundle(host, name, &on_bridge(&[]), "").build();
    let path = container.bundle().join("config.json");
    let mut config: Value =
        serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
    config["linux"]["cgroupsPath"] = json!(format!("/{}", id(name)));
    fs::write(&path, config.to_string()).expect("written");
    runs_plainly(host, name, &container);
    container
}

fn runs_plainly(host: &Host, name: &str, container: &Container<'_>) {
    let mut runc = Command::new("runc");
    runc.arg("--root").arg(host.path("root")).args(["run", "--detach", "--bundle"]);
    host.run(runc.arg(container.bundle()).arg(id(name))).ok();
    let bridge = json!({ "bridge": { "IPAddress": container.addresses()[0].to_string() } });
    runs_as(host, name, name, &container.state()["pid"], &bridge);
}

fn ends_plainly(host: &Host, name: &str) {
    let mut runc = Command::new("runc");
    runc.arg("--root").arg(host.path("root")).args(["delete", "--force"]);
    host.run(runc.arg(id(name))).ok();
    let place = directory(host, name).join("config.v2.json");
    let text = fs::read_to_string(&place)
        .expect("readable")
        .replace("\"Running\":true", "\"Running\":false");
    fs::write(&place, text).expect("written");
}

#[test]
fn sync_finds_a_source_without_oci_link() {
    let host = Host::isolated(Runtime::Runc).wrapped();
    let web = recipient(&host, "web", "sync-source:mysql");
    let told = bundle(&host, "told", &on_bridge(&[]), "");
    let told = told.annotate("links", "sync-source:y").annotate("missing", "defer").build();
    let told = starts(told);
    assert_eq!(called(&host, &["sync", "--check"]).ok(), "");
    let source = without_us(&host, "sync-source");
    let found = called(&host, &["sync", "--check"]).said();
    assert!(
        found.contains("container sync-source") && found.contains("links wait for it"),
        "{found}"
    );
    assert_eq!(links(&host, "web"), ["mysql docker waiting"], "a check changes nothing");
    let done = called(&host, &["sync"]).ok();
    assert!(done.contains("repaired: container sync-source"), "{done}");
    assert_eq!(
        (links(&host, "web"), links(&host, "told")),
        (vec!["mysql docker ready".to_owned()], vec!["y annotation ready".to_owned()])
    );
    assert!(called(&host, &["ls"]).ok().contains("sync-source (by docker)"));
    assert_eq!(called(&host, &["sync", "--check"]).ok(), "");
    // It ends and runs again before anything was noticed.
    ends_plainly(&host, "sync-source");
    runs_plainly(&host, "sync-source", &source);
    called(&host, &["sync"]).ok();
    assert_eq!(links(&host, "web"), ["mysql docker ready"]);
    // A source that was renamed is found too.
    let other = recipient(&host, "other", "next:x");
    let bridge = json!({ "bridge": { "IPAddress": source.addresses()[0].to_string() } });
    runs_as(&host, "sync-source", "next", &source.state()["pid"], &bridge);
    assert_eq!(links(&host, "other"), ["x docker waiting"]);
    called(&host, &["sync"]).ok();
    assert_eq!(
        (links(&host, "other"), links(&host, "web")),
        (vec!["x docker ready".to_owned()], vec!["mysql docker ready".to_owned()])
    );
    ends_plainly(&host, "sync-source");
    called(&host, &["gc"]).ok();
    [&web, &told, &other].into_iter().for_each(end);
    host.assert_nothing_left();
}

#[test]
fn watch_finds_a_source_without_oci_link_each_time_that_it_runs() {
    let host = Host::isolated(Runtime::Runc).wrapped();
    let web = recipient(&host, "web", "watch-source:mysql");
    let _watch = Watch::begin(&host);
    let source = without_us(&host, "watch-source");
    for _ in 0..2 {
        soon("the source is found", || links(&host, "web") == ["mysql docker ready"]);
        soon("its rules are made", || web.reach(&source, Proto::Tcp, 3306) == OPEN);
        ends_plainly(&host, "watch-source");
        soon("its end is noticed", || links(&host, "web") == ["mysql docker waiting"]);
        runs_plainly(&host, "watch-source", &source);
    }
    soon("the source is found", || links(&host, "web") == ["mysql docker ready"]);
    ends_plainly(&host, "watch-source");
    soon("its end is noticed", || links(&host, "web") == ["mysql docker waiting"]);
    end(&web);
}

/// Files of other containers are read only if a source has no record under its present name.
#[test]
fn a_start_reads_the_files_of_its_sources_only() {
    let host = Host::open(Runtime::Runc).wrapped();
    let source = db(&host);
    let _others: Vec<_> = ["one", "two"]
        .map(|name| starts(bundle(&host, name, &on_bridge(&[]), "").build()))
        .into_iter()
        .collect();
    let web =
        |name: &str, link: &str| bundle(&host, name, &on_bridge(&[link, "db:two"]), "").build();
    let of =
        |files: &[String], name: &str| files.iter().filter(|it| it.contains(&id(name))).count();
    let plain = web("web", "db:mysql");
    for command in ["create", "start"] {
        let files = opened(&host, &plain, command);
        assert_eq!((of(&files, "one"), of(&files, "two")), (0, 0), "{command}: {files:#?}");
        // For its name, and for the addresses on the network of the link.
        assert!(of(&files, "db") <= 2, "{command}: {files:#?}");
    }
    assert_eq!(links(&host, "web"), ["mysql docker ready", "two docker ready"]);
    renames(&host, "db", &source, "old");
    let files = opened(&host, &web("api", "old:mysql"), "create");
    assert!(of(&files, "one") > 0 && of(&files, "two") > 0, "{files:#?}");
    assert_eq!(inspect(&host, &id("db"))["name"], "old");
}

/// A recipient that waits looks into the files too.
#[test]
fn a_wait_ends_when_a_source_runs_without_oci_link() {
    let host = Host::isolated(Runtime::Runc).wrapped();
    let web = bundle(&host, "web", &on_bridge(&[]), "").annotate("missing", "wait=25s");
    let web = web.annotate("links", "wait-source:y").build();
    let mut create = host.runtime(&["create", "--bundle"]);
    create.arg(web.bundle()).arg(id("web"));
    let mut waiting = host.spawn(&mut create).expect("it starts");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(waiting.try_wait().expect("our child").is_none(), "it does not wait");
    let _source = without_us(&host, "wait-source");
    let status = crate::support::wait(&mut waiting, &create);
    assert!(status.success(), "{}", fs::read_to_string(host.path("log")).unwrap_or_default());
    web.start().ok();
    assert_eq!(links(&host, "web"), ["y annotation ready"]);
    assert_eq!(with_prefix(&web, "Y_").len(), 7);
    ends_plainly(&host, "wait-source");
    end(&web);
}
