//! A rule in the words of `nft`, as far as it is understood.

use super::expression::{Expression, Field, Verdict, Way};
use crate::model::Family;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A field in a register, and the mask that was applied to it.
type Loaded<'a> = (&'a Field, Option<&'a [u8]>);

/// Returns the matches and the verdict of `rule` for a packet of `family`. What is not understood is left
/// out.
pub(super) fn of(rule: &[Expression], family: Family) -> String {
    let mut registers: HashMap<usize, Loaded<'_>> = HashMap::new();
    let mut words = Vec::new();
    for expression in rule {
        match expression {
            Expression::Load { to, field, .. } => {
                registers.insert(*to, (field, None));
            }
            Expression::Mask { from, to, mask, .. } => {
                let loaded = registers.get(from).copied();
                registers.extend(loaded.map(|(field, _)| (*to, (field, Some(mask.as_slice())))));
            }
            Expression::Compare { from, equal, bytes } => {
                let Some(loaded) = registers.get(from) else { continue };
                let not = if *equal { "" } else { "!= " };
                let value = value(*loaded, bytes);
                words.push(format!("{} {not}{value}", name(loaded.0, family)));
            }
            Expression::Lookup { from, set, inverted, .. } => {
                let Some((field, _)) = registers.get(from) else { continue };
                let not = if *inverted { "!= " } else { "" };
                words.push(format!("{} {not}@{set}", name(field, family)));
            }
            Expression::Verdict(Verdict::Translate(how)) => words.push((*how).to_owned()),
            Expression::Neutral
            | Expression::Unknown
            | Expression::Constant { .. }
            | Expression::Verdict(_) => {}
        }
    }
    // nft hides this match of its own too.
    let names_address =
        words.iter().any(|word| word.starts_with("ip ") || word.starts_with("ip6 "));
    words.retain(|word| !(names_address && word.starts_with("meta nfproto ")));
    words.join(" ")
}

fn name(field: &Field, family: Family) -> String {
    let (ip, from, to) = match family {
        Family::V4 => ("ip", 12, 16),
        Family::V6 => ("ip6", 8, 24),
    };
    match field {
        Field::Interface(Way::In) => "iifname".to_owned(),
        Field::Interface(Way::Out) => "oifname".to_owned(),
        Field::Index(Way::In) => "iif".to_owned(),
        Field::Index(Way::Out) => "oif".to_owned(),
        Field::Network { offset } if *offset == from => format!("{ip} saddr"),
        Field::Network { offset } if *offset == to => format!("{ip} daddr"),
        Field::Transport { offset: 0 } => "th sport".to_owned(),
        Field::Transport { offset: 2 } => "th dport".to_owned(),
        Field::Network { offset } => format!("@nh,{offset}"),
        Field::Transport { offset } => format!("@th,{offset}"),
        Field::NfProtocol => "meta nfproto".to_owned(),
        Field::EtherType => "meta protocol".to_owned(),
        Field::L4Protocol => "meta l4proto".to_owned(),
        Field::State => "ct state".to_owned(),
        Field::Status => "ct status".to_owned(),
        Field::Bridge => "meta ibrname".to_owned(),
        Field::Other => "meta".to_owned(),
    }
}

fn value((field, mask): Loaded<'_>, bytes: &[u8]) -> String {
    match field {
        Field::Interface(_) | Field::Bridge => {
            let name: Vec<u8> = bytes.iter().copied().take_while(|byte| *byte != 0).collect();
            // Without its end the name of an interface is a prefix.
            let rest = if name.len() == bytes.len() { "*" } else { "" };
            format!("\"{}{rest}\"", name.escape_ascii())
        }
        Field::Network { offset: 12 | 16 } if bytes.len() <= 4 => {
            let ip = Ipv4Addr::from(padded::<4>(bytes));
            format!("{ip}{}", prefix(mask, bytes, 32))
        }
        Field::Network { offset: 8 | 24 } => {
            let ip = Ipv6Addr::from(padded::<16>(bytes));
            format!("{ip}{}", prefix(mask, bytes, 128))
        }
        Field::Transport { .. } | Field::EtherType => {
            bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).to_string()
        }
        Field::NfProtocol if bytes == [2] => "ipv4".to_owned(),
        Field::NfProtocol if bytes == [10] => "ipv6".to_owned(),
        // The kernel's own order of bytes.
        _ => {
            let little = u64::from_le_bytes(padded::<8>(bytes));
            let big = u64::from_be_bytes(padded::<8>(bytes)) >> (64 - 8 * bytes.len().clamp(1, 8));
            (if cfg!(target_endian = "little") { little } else { big }).to_string()
        }
    }
}

/// The length of a prefix of `bits`: of a mask, or of as many whole bytes as are compared.
fn prefix(mask: Option<&[u8]>, bytes: &[u8], bits: usize) -> String {
    let whole = || 8 * bytes.len();
    let length = mask.map_or_else(whole, |mask| {
        mask.iter().map(|byte| usize::try_from(byte.leading_ones()).unwrap_or(8)).sum()
    });
    if length >= bits { String::new() } else { format!("/{length}") }
}

fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(field: Field) -> Expression {
        Expression::Load { to: 0, field, length: 4 }
    }

    fn is(equal: bool, bytes: &[u8]) -> Expression {
        Expression::Compare { from: 0, equal, bytes: bytes.to_vec() }
    }

    #[test]
    fn rules_are_written_as_nft_writes_them() {
        let masked = |mask: &[u8]| Expression::Mask {
            from: 0,
            to: 0,
            mask: mask.to_vec(),
            xor: vec![0; mask.len()],
        };
        let masquerade = || Expression::Verdict(Verdict::Translate("masquerade"));
        let out = || load(Field::Interface(Way::Out));
        let from = |offset| load(Field::Network { offset });
        let mut lan = b"docker0".to_vec();
        lan.resize(16, 0);
        let in_set =
            Expression::Lookup { from: 0, set: "s".to_owned(), inverted: true, is_map: false };
        for (rule, family, expected) in [
            (
                vec![from(12), is(true, &[172, 17]), out(), is(false, &lan), masquerade()],
                Family::V4,
                "ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade",
            ),
            (
                vec![from(16), masked(&[255, 240, 0, 0]), is(true, &[10, 16, 0, 0]), masquerade()],
                Family::V4,
                "ip daddr 10.16.0.0/12 masquerade",
            ),
            (
                vec![from(8), is(true, &[0xfd, 0x77, 0, 0, 0, 0, 0, 0]), masquerade()],
                Family::V6,
                "ip6 saddr fd77::/64 masquerade",
            ),
            (
                vec![from(12), is(false, &[10, 0, 0, 2]), out(), is(true, b"br"), masquerade()],
                Family::V4,
                "ip saddr != 10.0.0.2 oifname \"br*\" masquerade",
            ),
            (
                vec![
                    load(Field::L4Protocol),
                    is(true, &[6]),
                    load(Field::Transport { offset: 2 }),
                    is(true, &[12, 234]),
                    Expression::Neutral,
                    masquerade(),
                ],
                Family::V4,
                "meta l4proto 6 th dport 3306 masquerade",
            ),
            (
                vec![
                    load(Field::NfProtocol),
                    is(true, &[2]),
                    from(16),
                    is(true, &[10]),
                    masquerade(),
                ],
                Family::V4,
                "ip daddr 10.0.0.0/8 masquerade",
            ),
            (
                vec![load(Field::NfProtocol), is(true, &[10]), masquerade()],
                Family::V6,
                "meta nfproto ipv6 masquerade",
            ),
            (vec![from(12), in_set, masquerade()], Family::V4, "ip saddr != @s masquerade"),
        ] {
            assert_eq!(of(&rule, family), expected);
        }
    }
}
