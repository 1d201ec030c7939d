//! The administrator decides before links: chain OCI-LINK-USER, chain `user` of our table, and DOCKER-USER.

use crate::backends::each_backend;
use crate::cast::{end, iptables_host, prepared, recipient, source};
use crate::lifecycle::{by_hand, call, host_with};
use crate::support::{Container, Host, OPEN, Proto, Runtime, SHUT};
use oci_link::testing::BackendName;
use std::process::Command;

/// The rules of the administrator's chain, as its program lists them.
fn rules_of_user(host: &Host, backend: BackendName) -> Option<String> {
    let list = match backend {
        BackendName::Nftables => "nft list chain inet oci-link user",
        _ => "iptables -S OCI-LINK-USER",
    };
    let mut words = list.split(' ');
    let listed = host.run(Command::new(words.next()?).args(words));
    listed.succeeded().then(|| listed.ok())
}

/// The administrator drops what goes from one container to the other, in both families.
fn drop_between(host: &Host, backend: BackendName, chain: &str, from: &Container, to: &Container) {
    let [[from4, from6], [to4, to6]] = [from.addresses(), to.addresses()];
    let lines = match backend {
        BackendName::Nftables => [
            format!("nft add rule inet oci-link user ip saddr {from4} ip daddr {to4} drop"),
            format!("nft add rule inet oci-link user ip6 saddr {from6} ip6 daddr {to6} drop"),
        ],
        _ => [
            format!("iptables -A {chain} -s {from4} -d {to4} -j DROP"),
            format!("ip6tables -A {chain} -s {from6} -d {to6} -j DROP"),
        ],
    };
    by_hand(host, &lines.each_ref().map(String::as_str));
}

each_backend! {
    fn a_drop_of_the_administrator_beats_every_link(backend) {
        let host = host_with(backend);
        let db = source(&host, "db", "3306");
        let web = recipient(&host, "web", "db");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        drop_between(&host, backend, "OCI-LINK-USER", &web, &db);
        let before = rules_of_user(&host, backend).expect("there");
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        // Neither a start, nor a repair of everything, changes it.
        let next = recipient(&host, "next", "db");
        assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN);
        let flush: &[&str] = match backend {
            BackendName::Nftables => &["nft flush chain inet oci-link forward"],
            _ => &["iptables -F OCI-LINK", "ip6tables -F OCI-LINK"],
        };
        by_hand(&host, flush);
        call(&host, "sync").ok();
        assert_eq!(call(&host, "sync --check").ok(), "");
        assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
        for container in [&web, &next, &db] {
            end(container);
        }
        call(&host, "gc --all").ok();
        assert_eq!(rules_of_user(&host, backend).as_ref(), Some(&before), "it is not ours");
        let left = host.rules().into_iter().filter(|rule| rule.contains("OCI-LINK"));
        assert!(left.filter(|rule| !rule.contains("OCI-LINK-USER")).eq([""; 0]));
        // It counts again when links come back.
        let db = source(&host, "db2", "3306");
        let web = host.container("web2").number(web.number()).annotate("links", "db2").hooks().build();
        web.run().ok();
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN, "another destination");
        end(&web);
        end(&db);
        match backend {
            BackendName::Nftables => by_hand(&host, &["nft flush chain inet oci-link user"]),
            _ => by_hand(&host, &["iptables -F OCI-LINK-USER", "ip6tables -F OCI-LINK-USER"]),
        }
        call(&host, "gc --all").ok();
        assert_eq!(rules_of_user(&host, backend), None, "it was empty");
    }
}

#[test]
fn docker_user_decides_before_links() {
    let host = iptables_host(Runtime::Runc.turned());
    let db = source(&host, "db", "3306");
    let web = recipient(&host, "web", "db");
    // dockerd starts. It puts both chains at the head of FORWARD.
    for tool in ["iptables", "ip6tables"] {
        let lines = [
            "-N DOCKER-USER",
            "-N DOCKER-FORWARD",
            "-I FORWARD -j DOCKER-FORWARD",
            "-I FORWARD -j DOCKER-USER",
        ];
        let lines = lines.map(|line| format!("{tool} {line}"));
        by_hand(&host, &lines.each_ref().map(String::as_str));
    }
    drop_between(&host, BackendName::Iptables, "DOCKER-USER", &web, &db);
    let next = prepared(&host, "next", "db");
    next.run().ok();
    let rules = host.rules();
    let forward = rules.iter().filter(|rule| rule.starts_with("-A FORWARD "));
    let expected = ["DOCKER-USER", "OCI-LINK", "DOCKER-FORWARD"];
    let expected = expected.map(|chain| format!("-A FORWARD -j {chain}"));
    assert!(forward.take(3).eq(&expected), "{rules:?}");
    assert_eq!(web.reach(&db, Proto::Tcp, 3306), SHUT);
    assert_eq!(next.reach(&db, Proto::Tcp, 3306), OPEN);
    // A later start and a repair find it in its place.
    assert_eq!(call(&host, "sync --check").ok(), "");
    let last = prepared(&host, "last", "db");
    last.run().ok();
    assert_eq!(host.rules().iter().filter(|rule| *rule == "-A FORWARD -j OCI-LINK").count(), 2);
    // It is put right behind DOCKER-USER from either side.
    by_hand(&host, &["iptables -D FORWARD -j OCI-LINK", "iptables -I FORWARD -j OCI-LINK"]);
    call(&host, "sync").ok();
    let forward: Vec<String> =
        host.rules().into_iter().filter(|rule| rule.starts_with("-A FORWARD ")).take(2).collect();
    assert_eq!(forward, expected[..2]);
}
