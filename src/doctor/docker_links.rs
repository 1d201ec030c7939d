//! Docker's own links (`docker run --link`, `links:` of Compose), as its files describe them: containers
//! that get nothing of ours, and links that oci-link leaves out.

use super::HostContext;
use super::check::{Check, Fix, advice};
use crate::configure::DockerVersion;
use crate::configure::docker_containers::{Made, containers, default_runtime, is_ours};
use crate::model::{
    ContainerId, ContainerName, DeclaredBy, Fault, Hostname, LeftOut, Owner, RecordedLink,
    TakesOver, usable,
};
use serde_json::Value;
use std::fs;

/// Checks that are listed.
const SHOWN: usize = 20;

pub(super) fn examine(context: &HostContext) -> Vec<Check> {
    let root = &context.question.root;
    let text = fs::read_to_string(root.join("etc/docker/daemon.json")).unwrap_or_default();
    let daemon: Value = serde_json::from_str(&text).unwrap_or_default();
    let all = containers(root, &daemon);
    let other = |made: &&Made| made.has_docker_links() && !made.replaces_links && !made.is_ours;
    let mut checks = Vec::new();
    if is_ours(&daemon["runtimes"][default_runtime(&daemon)]) {
        checks.extend(all.iter().filter(other).map(|made| {
            let cause = format!("has links, but its runtime is {}, and not oci-link", made.runtime);
            let again = made.again_command().map(Fix::from);
            let fix = again.unwrap_or_else(|| advice(made.again()));
            Check::warning(&format!("container {}", made.name), cause, fix)
        }));
    } else {
        let count = all.iter().filter(other).count();
        let version = (count > 0).then(|| DockerVersion::installed(root)).flatten();
        checks.extend(without_us(count, version.as_ref()));
    }
    let wanted = context.config.docker_links;
    let ours = all.iter().filter(|made| made.is_ours);
    checks.extend(ours.flat_map(|made| left_out(made, &all, wanted)));
    if checks.len() > SHOWN {
        let more = format!("{} more problems with links of docker", checks.len() - SHOWN);
        checks.truncate(SHOWN);
        checks.push(Check::warning(
            "links of docker",
            more,
            advice("docker inspect shows each container"),
        ));
    }
    checks
}

/// Judges a host on which `count` containers have links, and oci-link is not the default runtime.
fn without_us(count: usize, version: Option<&DockerVersion>) -> Option<Check> {
    let version = version.filter(|_| count > 0)?;
    if version.has_variables() {
        return Some(Check::ok("links of docker", version.meaning()));
    }
    let (containers, have) = if count == 1 { ("container", "has") } else { ("containers", "have") };
    let cause = format!("docker {version} makes no variables: {count} {containers} {have} links");
    Some(Check::warning("links of docker", cause, "oci-link configure docker --default"))
}

/// The links that oci-link leaves out of those that it takes over. Docker may still make their hosts lines.
fn left_out(made: &Made, all: &[Made], wanted: TakesOver) -> Vec<Check> {
    let Ok(id) = ContainerId::new(&made.id) else { return Vec::new() };
    let (name, hostname) =
        (ContainerName::new(&made.name).ok(), Hostname::new(&made.hostname).ok());
    let owner = Owner { id: &id, names: [name.as_ref(), None], hostname: hostname.as_ref() };
    let (mut checks, mut aliases) = (Vec::new(), Vec::new());
    let mut links = if made.replaces_links { Vec::new() } else { recorded(made, wanted) };
    links.dedup();
    for link in links {
        let (why, fix) = match usable(&link, owner, |_| None) {
            Err(LeftOut { fault, .. }) => words(fault),
            // Docker takes the first of an alias on the default bridge.
            Ok(taken) if taken.declared_by == DeclaredBy::Docker => {
                let alias = taken.link.alias.as_str().to_ascii_lowercase();
                let source = taken.link.source.as_str();
                let known = all.iter().find(|other| other.name == source);
                if aliases.contains(&alias) || known.is_none_or(Made::is_on_bridge) {
                    aliases.push(alias);
                    continue;
                }
                aliases.push(alias);
                (
                    "its source is not on the default bridge",
                    "connect both to one network, or name the network in both",
                )
            }
            Ok(_) => continue,
        };
        let cause = format!("its link {} is left out: {why}", link.text);
        checks.push(Check::warning(&format!("container {}", made.name), cause, advice(fix)));
    }
    checks
}

/// The links of a container that are taken over.
fn recorded(made: &Made, wanted: TakesOver) -> Vec<RecordedLink> {
    let link = |network: Option<&String>, text: &String| RecordedLink {
        text: text.clone(),
        network: network.cloned(),
    };
    let on_bridge = made.links.iter().map(|text| link(None, text));
    let on_networks = made.network_links.iter().map(|(network, text)| link(Some(network), text));
    match wanted {
        TakesOver::None => Vec::new(),
        TakesOver::DefaultBridge => on_bridge.collect(),
        TakesOver::All => on_bridge.chain(on_networks).collect(),
    }
}

/// Why a link is left out, and the fix.
fn words(fault: Fault) -> (&'static str, &'static str) {
    let other_alias = "create it again with another alias";
    match fault {
        Fault::Form => ("is not source[:alias]", "create it again with another --link"),
        Fault::Alias => ("its alias has a character that a hosts file cannot have", other_alias),
        Fault::ReservedAlias => ("localhost is the container itself", other_alias),
        Fault::OwnHostname => ("its alias is the host name of the container", other_alias),
        Fault::Itself | Fault::Source => {
            ("its source is the container itself, or no name", "remove the link")
        }
        Fault::Network => {
            ("its network has a name that oci-link cannot store", "use another network")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn made(name: &str, links: &[&str]) -> Made {
        let mut made = Made::default();
        made.links.extend(links.iter().map(|link| (*link).to_owned()));
        name.clone_into(&mut made.name);
        "0f".repeat(32).clone_into(&mut made.id);
        "0123456789ab".clone_into(&mut made.hostname);
        made
    }

    fn reasons(recipient: &Made) -> Vec<String> {
        reasons_of(recipient, TakesOver::DefaultBridge)
    }

    fn reasons_of(recipient: &Made, wanted: TakesOver) -> Vec<String> {
        let mut elsewhere = made("outside", &[]);
        "n1".clone_into(&mut elsewhere.network);
        let all = [made("db", &[]), elsewhere];
        left_out(recipient, &all, wanted).into_iter().map(|check| check.detail).collect()
    }

    #[test]
    fn links_that_are_taken_over() {
        let links = ["db:mysql", "db", "/db:/web/x", "db:mysql", "db2:mysql", "1c566:store"];
        assert_eq!(reasons(&made("web", &links)), [""; 0]);
    }

    #[test]
    fn links_that_are_left_out() {
        for (link, why) in [
            ("a:b:c", "source[:alias]"),
            ("", "source[:alias]"),
            (":x", "source[:alias]"),
            ("db:", "source[:alias]"),
            ("db:a b", "character"),
            ("db:localhost", "localhost"),
            ("db:0123456789AB", "host name"),
            ("web:x", "itself"),
            ("outside:posts", "not on the default bridge"),
        ] {
            let said = reasons(&made("web", &[link, "db:ok"]));
            assert_eq!(said.len(), 1, "{link}: {said:?}");
            assert!(said[0].contains(why), "{link}: {said:?}");
        }
        let mut replaced = made("web", &["a:b:c"]);
        replaced.replaces_links = true;
        assert_eq!(reasons(&replaced), [""; 0]);
    }

    /// `doctor` says of each link what the wrapper does with it.
    #[test]
    fn links_on_other_networks_count_if_they_are_taken_over() {
        let mut web = made("web", &[]);
        let on = |text: &str| ("n1".to_owned(), text.to_owned());
        web.network_links = vec![on("db:localhost"), on("outside:x"), on("db:y"), on("db2:y")];
        assert_eq!(reasons_of(&web, TakesOver::DefaultBridge), [""; 0]);
        assert_eq!(reasons_of(&web, TakesOver::None), [""; 0]);
        let said = reasons_of(&web, TakesOver::All);
        assert!(said.len() == 1 && said[0].contains("db:localhost"), "{said:?}");
        let bridge = made("web", &["db:localhost"]);
        assert_eq!(reasons_of(&bridge, TakesOver::None), [""; 0]);
    }

    #[test]
    fn docker_without_us() {
        let version = |text: &str| DockerVersion::parse(&format!("Docker version {text}")).unwrap();
        let [old, new] = ["28.5.2", "29.7.0"].map(version);
        let verdict = |count, version| without_us(count, version).map(|check| check.verdict);
        assert_eq!(verdict(1, Some(&new)), Some(Verdict::Warning));
        assert_eq!(verdict(0, Some(&new)), None);
        assert_eq!(verdict(1, Some(&old)), Some(Verdict::Ok));
        assert_eq!(verdict(1, None), None);
    }
}
