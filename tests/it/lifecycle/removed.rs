//! gc --all: what has to happen before the program is taken from a host.

use super::{call, everything, host_of, knows};
use crate::{
    backends::each_backend,
    cast::{end, ls, recipient, source},
    support::{Host, OPEN, Proto, Runtime, SHUT},
};
use oci_link::testing::BackendName;

/// Everything of ours in the firewall.
fn ours(host: &Host) -> Vec<String> {
    let (rules, _) = everything(host);
    let names = |word: &&str| word.to_lowercase().contains("oci-link");
    rules.split_whitespace().filter(names).map(String::from).collect()
}

each_backend! {
    fn links_end_and_the_firewall_is_as_if_we_had_never_been_there(backend) {
        let host = host_of(backend, Runtime::Runc);
        let db = source(&host, "db", "3306, 53/udp");
        let web = recipient(&host, "web", "db");
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), SHUT);
        assert!(!ours(&host).is_empty() && knows(&web, "db", &db));
        let told = call(&host, "gc --all").ended(0);
        let line =
            |id| format!("removed: links of container {id} ({id}): the container still runs\n");
        let links = line("db") + &line("web");
        assert!(told.starts_with(&links), "{told}");
        let shared = if backend == BackendName::Nftables {
            "removed: firewall: the table of oci-link in nftables\n"
        } else {
            "removed: firewall: the chains and sets of oci-link in iptables\n"
        };
        assert!(told[links.len()..].contains(shared), "{told}");
        assert_eq!(ours(&host), [""; 0]);
        assert_eq!(host.state_files(), [""; 0]);
        assert!(!knows(&web, "db", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3307), OPEN, "we isolated, and do no more");
        assert_eq!(call(&host, "gc --all").ended(0), "", "that was all");

        // Those who start from now on are linked as ever.
        let (cache, api) = (source(&host, "cache", "6379"), recipient(&host, "api", "cache"));
        assert_eq!(api.reach(&cache, Proto::Tcp, 6379), OPEN);
        assert_eq!(api.reach(&cache, Proto::Tcp, 6380), SHUT);
        [&api, &cache, &web, &db].into_iter().for_each(end);
        assert!(ls(&host).is_empty());
        host.assert_nothing_left();
    }
}
