//! Whether the firewall sees packets between two ports of a bridge.

use crate::error::Kind;
use crate::model::Family;
use crate::sys::file::read_text_if_there;
use std::path::Path;

/// Size limit of the value of a switch, in bytes.
const MAX_VALUE: u64 = 64;

/// The name of the switch of `br_netfilter` for a family.
pub(crate) fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "bridge-nf-call-iptables",
        Family::V6 => "bridge-nf-call-ip6tables",
    }
}

/// Why the firewall does not see these packets, and what to do. `None` if it sees them. Nothing is loaded or
/// switched on, because that would concern all bridges of the host.
pub(crate) fn lack(family: Family) -> Option<String> {
    let path = format!("/proc/sys/net/bridge/{}", name(family));
    let value = read_text_if_there(Path::new(&path), MAX_VALUE, Kind::Firewall);
    let value = value.map(|text| text.map(|text| text.trim().to_owned()));
    judge(name(family), value.as_ref().map(Option::as_deref).map_err(ToString::to_string))
}

fn judge(name: &str, value: Result<Option<&str>, String>) -> Option<String> {
    let set = format!("sysctl -w net.bridge.{name}=1");
    match value {
        Ok(Some("1")) => None,
        Ok(Some(_)) => Some(format!("net.bridge.{name} is off: {set}")),
        Ok(None) => Some(format!("br_netfilter is not loaded: modprobe br_netfilter && {set}")),
        Err(error) => Some(format!("net.bridge.{name} is not known: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_says_what_to_do() {
        let judge = |value| judge("bridge-nf-call-iptables", value);
        assert_eq!(judge(Ok(Some("1"))), None);
        let off = judge(Ok(Some("0"))).unwrap();
        assert!(off.ends_with("is off: sysctl -w net.bridge.bridge-nf-call-iptables=1"), "{off}");
        let missing = judge(Ok(None)).unwrap();
        assert!(missing.contains("modprobe br_netfilter && sysctl -w net.bridge."), "{missing}");
        assert!(judge(Err("no".to_owned())).unwrap().ends_with("is not known: no"));
    }
}
