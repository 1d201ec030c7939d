//! The plan: the state to reach for one container's links, as data.

use super::flows::{flows, source_address};
use super::{Candidate, OnMissing, RecipientNames, Refusal, hosts, resolve};
use crate::model::{
    Address, Alias, Family, Flow, HostsEdit, HostsPlace, Link, LinkState, Network, Phase, Record,
    is_reserved,
};
use std::collections::HashSet;
use std::net::IpAddr;

/// The container's present hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostsInput {
    /// Which file it is.
    pub(crate) place: HostsPlace,
    /// The file's content, or `None` if there is no file.
    pub(crate) content: Option<Vec<u8>>,
    /// Whether the container's loopback interface has IPv6.
    pub ipv6: bool,
    /// Hosts blocks of other containers that share the file.
    pub(crate) shared: Vec<String>,
}

/// The input of planning, read beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    /// What was found for each of the recipient's links, in the order of the links.
    pub(crate) candidates: Vec<Candidate>,
    /// The recipient's hosts file, or `None` if it must not be written.
    pub(crate) hosts: Option<HostsInput>,
}

/// The changes for one container. `apply` carries them out and makes no decisions.
#[must_use = "a plan does nothing until it is applied"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The record after all changes.
    pub(crate) record: Record,
    /// The record before the changes. Its rules and lines may still exist.
    pub(crate) before: Record,
    /// The new content of the hosts file, or `None` if it does not change.
    pub(crate) hosts_content: Option<Vec<u8>>,
    /// Hosts blocks of other containers that share the file.
    pub(crate) shared: Vec<String>,
}

impl Plan {
    /// Returns the record to write before the first change.
    ///
    /// It lists everything that may exist during the changes: the old rules and lines as well as
    /// the new ones.
    pub(crate) fn pending(&self) -> Record {
        let mut record = Record { phase: Phase::Pending, ..self.record.clone() };
        record.flows.extend(self.ended());
        if let (Some(edit), Some(before)) = (&mut record.hosts, &self.before.hosts) {
            let blocks = before.blocks().filter(|block| **block != edit.block);
            edit.previous = blocks.map(ToString::to_string).collect();
        }
        record
    }

    /// Returns the flows that were permitted before and no longer are.
    pub(crate) fn ended(&self) -> Vec<Flow> {
        let now: HashSet<&Flow> = self.record.flows.iter().collect();
        self.before.flows.iter().filter(|flow| !now.contains(flow)).copied().collect()
    }
}

/// Plans the links of the container with the record `me`, which is new or describes an earlier
/// state.
///
/// Links that cannot be made are refused or left unconnected, depending on `absent`. Any link on
/// the host's network is refused.
pub(crate) fn plan(me: &Record, world: &World, absent: OnMissing) -> Result<Plan, Refusal> {
    let links: Vec<Link> = me.links.iter().map(|link_state| link_state.link.clone()).collect();
    if !links.is_empty() && me.network == Network::Host {
        return Err(Refusal::HostNetwork);
    }
    let mut sources = resolve(RecipientNames::of(me), &links, &world.candidates, absent)?;
    let flows = flows(me, &mut sources, absent)?;
    let mut record = Record { phase: Phase::Ready, flows, ..me.clone() };
    for (link_state, source) in record.links.iter_mut().zip(&sources) {
        *link_state =
            LinkState { link: link_state.link.clone(), source: source.map(|s| s.id.clone()) };
    }
    let shared = world.hosts.as_ref().map_or_else(Vec::new, |file| file.shared.clone());
    let mut plan = Plan { record, before: me.clone(), hosts_content: None, shared };
    if let Some(file) = &world.hosts {
        plan_hosts(&mut plan, me, file, &sources);
    }
    Ok(plan)
}

/// Plans the hosts file: link lines in the order of the links, then the container's own lines.
///
/// An own line is added only where the engine wrote none for that address.
fn plan_hosts(plan: &mut Plan, me: &Record, file: &HostsInput, sources: &[Option<&Record>]) {
    let written: Vec<&str> = me.hosts.iter().flat_map(HostsEdit::blocks).collect();
    let base = match &file.content {
        Some(content) => hosts::without(content, &written, &file.shared),
        None => hosts::preamble(file.ipv6).into_bytes(),
    };
    let connected =
        me.links.iter().zip(sources).filter_map(|(link_state, s)| Some((link_state, (*s)?)));
    let mut lines: Vec<String> = connected
        .flat_map(|(link_state, source)| link_lines(me, &link_state.link.alias, source, sources))
        .collect();
    let own = me.network.addresses().iter().map(Address::ip);
    // Without links the hosts file becomes what it was before the container was linked.
    let linked = !me.links.is_empty();
    let own = first_of_each(own).filter(|ip| linked && !hosts::mentions(&base, *ip));
    lines.extend(own.map(|ip| hosts::line(ip, &[me.hostname.as_str()])));

    let block = hosts::block(&base, &lines);
    // An unchanged block stays in place. Containers of one pod share the file and would otherwise
    // keep moving their blocks to its end.
    let says = |block: &str| block.trim_start_matches('\n').to_owned();
    if let ([known], Some(content)) = (written.as_slice(), &file.content) {
        let is_same = !known.is_empty() && says(known) == says(&block);
        if is_same && hosts::contains(content, known) {
            return;
        }
    }
    let content = [&base, block.as_bytes()].concat();
    plan.hosts_content = (file.content.as_ref() != Some(&content)).then_some(content);
    plan.record.hosts = Some(HostsEdit { place: file.place.clone(), block, previous: vec![] });
}

/// Returns the lines of one link, as in Docker: alias, the source's host name, and its name if it
/// is not the alias.
///
/// The IPv4 line comes before the IPv6 line. A source chooses its own host name, so a host name
/// that is the alias of another source is left out. Names that mean the recipient itself are left
/// out too.
fn link_lines(
    me: &Record,
    alias: &Alias,
    source: &Record,
    sources: &[Option<&Record>],
) -> Vec<String> {
    let (hostname, name) = (source.hostname.as_str(), source.name.as_str());
    let mut names = vec![alias.as_str()];
    let mut links = me.links.iter().zip(sources);
    let anothers = links.any(|(link_state, other)| {
        link_state.link.alias.same_host(hostname) && other.is_none_or(|other| other.id != source.id)
    });
    if !anothers && !is_taken(me, hostname) {
        names.push(hostname);
    }
    if name != alias.as_str() && !is_taken(me, name) {
        names.push(name);
    }
    Family::BOTH
        .into_iter()
        .filter_map(|family| source_address(me, source, family))
        .map(|ip| hosts::line(ip, &names))
        .collect()
}

/// Whether `name` means the container itself in its own hosts file.
fn is_taken(me: &Record, name: &str) -> bool {
    is_reserved(name) || me.hostname.as_str().eq_ignore_ascii_case(name)
}

/// Returns the first IPv4 and the first IPv6 address.
fn first_of_each(mut ips: impl Iterator<Item = IpAddr> + Clone) -> impl Iterator<Item = IpAddr> {
    let v6 = ips.clone().find(IpAddr::is_ipv6);
    ips.find(IpAddr::is_ipv4).into_iter().chain(v6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::record;
    use crate::model::{ContainerName, Hostname, Inode};
    use std::path::PathBuf;

    fn world(sources: &[Record], content: Option<&str>) -> World {
        let place =
            HostsPlace::Mount { path: PathBuf::from("/h"), inode: Inode { device: 1, number: 2 } };
        let content = content.map(|text| text.as_bytes().to_vec());
        World {
            candidates: sources.iter().map(|s| Candidate::Running(Box::new(s.clone()))).collect(),
            hosts: Some(HostsInput { place, content, ipv6: true, shared: vec![] }),
        }
    }

    fn text(plan: &Plan) -> String {
        String::from_utf8(plan.hosts_content.clone().unwrap()).unwrap()
    }

    #[test]
    fn lines_in_the_order_of_the_links_then_our_own() {
        let db = record("mysql", "3306", &["10.0.0.2/24", "fd00::2/64"]);
        let cache = record("cache", "none", &["10.0.0.3/24"]);
        let web = record("web", "none", &["10.0.0.4/24", "fd00::4/64"]);
        let web = web.linked(&["cache", "mysql:db", "mysql:sql"]);
        let world = world(&[cache, db.clone(), db], Some("10.0.0.4\tengine\n"));
        let plan = plan(&web, &world, OnMissing::Refuse).unwrap();
        assert_eq!(
            text(&plan),
            "10.0.0.4\tengine\n# BEGIN oci-link\n10.0.0.3\tcache cache\n\
             10.0.0.2\tdb mysql mysql\nfd00::2\tdb mysql mysql\n\
             10.0.0.2\tsql mysql mysql\nfd00::2\tsql mysql mysql\n\
             fd00::4\tweb\n# END oci-link\n"
        );
        let flows: Vec<_> = plan.record.flows.iter().map(ToString::to_string).collect();
        assert_eq!(flows, ["10.0.0.4 -> 10.0.0.2 3306/tcp", "fd00::4 -> fd00::2 3306/tcp"]);
    }

    #[test]
    fn a_missing_file_is_made_as_docker_makes_it() {
        let db = record("db", "none", &["10.0.0.2/24"]);
        let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
        let plan = plan(&web, &world(&[db], None), OnMissing::Refuse).unwrap();
        assert!(text(&plan).starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost"));
        assert!(text(&plan).ends_with("10.0.0.2\tdb db\n10.0.0.4\tweb\n# END oci-link\n"));
    }

    #[test]
    fn planning_again_changes_nothing() {
        let db = record("db", "80", &["10.0.0.2/24"]);
        let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
        let first =
            plan(&web, &world(std::slice::from_ref(&db), Some("x\n")), OnMissing::Refuse).unwrap();
        let again = world(std::slice::from_ref(&db), Some(&text(&first)));
        let second = plan(&first.record, &again, OnMissing::Refuse).unwrap();
        assert_eq!(second.hosts_content, None);
        assert_eq!(second.record, first.record);
        let neighbours = hosts::block(b"", &["10.0.0.9\tother".to_owned()]);
        let shared = world(&[db], Some(&(text(&first) + &neighbours)));
        let third = plan(&first.record, &shared, OnMissing::Refuse).unwrap();
        assert_eq!(third.hosts_content, None, "nor does a block that came behind ours");
    }

    #[test]
    fn a_source_that_goes_takes_its_rules_and_line_along() {
        let db = record("db", "80", &["10.0.0.2/24"]);
        let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
        let linked = plan(&web, &world(&[db], Some("x\n")), OnMissing::Refuse).unwrap();
        let mut gone = world(&[], Some(&text(&linked)));
        gone.candidates = vec![Candidate::Stopped(ContainerName::new("db").unwrap())];
        let plan = plan(&linked.record, &gone, OnMissing::Leave).unwrap();
        assert!(plan.record.flows.is_empty());
        assert_eq!(text(&plan), "x\n# BEGIN oci-link\n10.0.0.4\tweb\n# END oci-link\n");
        assert_eq!(plan.pending().flows, linked.record.flows, "until it is done");
        assert_eq!((plan.pending().phase, plan.record.phase), (Phase::Pending, Phase::Ready));
        let before = linked.record.hosts.unwrap().block;
        assert_eq!(plan.pending().hosts.unwrap().previous, [before]);
    }

    #[test]
    fn the_own_line_is_removed_with_the_last_link() {
        let db = record("db", "80", &["10.0.0.2/24"]);
        let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db"]);
        let linked = plan(&web, &world(&[db], Some("x\n")), OnMissing::Refuse).unwrap();
        let unlinked = linked.record.clone().linked(&[]);
        let plan = plan(&unlinked, &world(&[], Some(&text(&linked))), OnMissing::Leave).unwrap();
        assert_eq!(text(&plan), "x\n");
    }

    #[test]
    fn of_several_networks_the_shared_one_counts() {
        let db = record("db", "80", &["10.1.0.2/24", "10.0.0.2/24"]);
        let web = record("web", "none", &["10.2.0.4/24", "10.0.0.4/24"]).linked(&["db"]);
        let plan = plan(&web, &world(&[db], Some("")), OnMissing::Refuse).unwrap();
        assert_eq!(plan.record.flows[0].to_string(), "10.0.0.4 -> 10.0.0.2 80/tcp");
        assert!(text(&plan).contains("10.0.0.2\tdb db\n"));
    }

    #[test]
    fn refusals_say_what_docker_says() {
        let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db:sql"]);
        let refused = |candidate: Candidate| {
            let world = World { candidates: vec![candidate], hosts: None };
            plan(&web, &world, OnMissing::Refuse).unwrap_err().to_string()
        };
        assert_eq!(
            refused(Candidate::Missing),
            "could not get container for db: No such container: db"
        );
        assert_eq!(
            refused(Candidate::Stopped(ContainerName::new("db").unwrap())),
            "Cannot link to a non running container: /db AS /web/sql"
        );
        assert_eq!(refused(Candidate::Ambiguous), "multiple IDs found with provided prefix: db");
        let mut on_host = record("db", "80", &[]);
        on_host.network = Network::Host;
        assert!(refused(Candidate::Running(Box::new(on_host))).starts_with("conflicting options"));
    }

    #[test]
    fn on_the_hosts_network_only_links_are_refused() {
        let on_host = Record { network: Network::Host, ..record("web", "none", &[]) };
        let nobody = World { candidates: vec![], hosts: None };
        assert!(plan(&on_host, &nobody, OnMissing::Refuse).is_ok());
        let linked = on_host.linked(&["db"]);
        let db = record("db", "80", &["10.0.0.2/24"]);
        let there = World { hosts: None, ..world(&[db], None) };
        for absent in [OnMissing::Refuse, OnMissing::Leave] {
            assert_eq!(plan(&linked, &there, absent), Err(Refusal::HostNetwork));
        }
    }

    #[test]
    fn a_host_name_takes_nobody_elses_name() {
        let line = |hostname: &str| {
            let mut evil = record("evil", "none", &["10.0.0.2/24"]);
            evil.hostname = Hostname::new(hostname).unwrap();
            let db = record("db", "none", &["10.0.0.3/24"]);
            let web = record("web", "none", &["10.0.0.4/24"]).linked(&["evil:e", "db"]);
            let plan = plan(&web, &world(&[evil, db], Some("")), OnMissing::Refuse).unwrap();
            text(&plan).lines().nth(1).unwrap().to_owned()
        };
        assert_eq!(line("other"), "10.0.0.2\te other evil");
        for taken in ["db", "DB", "localhost", "ip6-loopback", "web"] {
            assert_eq!(line(taken), "10.0.0.2\te evil", "{taken}");
        }
        assert_eq!(line("e"), "10.0.0.2\te e evil", "its alias is its own, as in Docker");
    }

    #[test]
    fn nobody_is_linked_under_his_own_name() {
        let web = record("web", "none", &["10.0.0.4/24"]).linked(&["db:WEB"]);
        let world = World { candidates: vec![Candidate::Missing], hosts: None };
        assert!(matches!(plan(&web, &world, OnMissing::Leave), Err(Refusal::OwnHostname(_))));
    }
}
