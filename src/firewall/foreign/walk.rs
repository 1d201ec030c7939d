//! Follows a packet through the rules of a base chain, as the virtual machine of `nf_tables` does.
//!
//! A rule either matches, or does not, or nothing can be said. In the last case a drop counts as not
//! reached, and anything that may lead past the rest of the chain as taken: the result is a drop only if
//! the packet is dropped for sure.

use super::kernel::{Chain, Expression, Field, Hook, Rule, Ruleset, Verdict, Way};
use super::sample::Sample;
use super::text;
use crate::model::{BridgeName, Family};

/// Rules that are followed in one base chain. More count as not understood.
const MAX_RULES: usize = 20_000;
/// Jumps within jumps; the kernel permits 16.
const MAX_DEPTH: usize = 16;
/// Bytes of all registers.
const REGISTERS: usize = 64;
/// `NF_CT_STATE_BIT(IP_CT_NEW)`.
const NEW: u32 = 1 << 3;

/// What becomes of a packet in a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It passes, or nothing certain can be said.
    Passes,
    /// It is dropped. The text says where.
    Dropped(String),
    /// Its source address is replaced. The text says where, and by which rule.
    Translated(String),
}

/// How the way through one chain ends.
enum End {
    Accepted,
    Dropped(String),
    Translated(String),
    /// The rules of the caller follow.
    Returned,
}

/// Whether a rule matches. The order is that of certainty: a rule matches as far as its least part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    No,
    Perhaps,
    Yes,
}

/// Follows `packet` through a base chain at a hook that forwarded packets pass.
pub(super) fn walk(rules: &mut impl Ruleset, chain: &Chain, packet: &Sample) -> Fate {
    let Some(base) = chain.base.as_ref().filter(|base| base.hook != Hook::Other) else {
        return Fate::Passes;
    };
    let mut walk = Walk { rules, chain, packet, left: MAX_RULES, perhaps: false };
    let end = walk.follow(&chain.name, 0);
    match end {
        _ if walk.perhaps => Fate::Passes,
        End::Dropped(why) => Fate::Dropped(why),
        End::Translated(why) => Fate::Translated(why),
        End::Returned if base.drops => {
            Fate::Dropped("its policy drop applies to packets of links".to_owned())
        }
        End::Accepted | End::Returned => Fate::Passes,
    }
}

struct Walk<'a, R> {
    rules: &'a mut R,
    chain: &'a Chain,
    packet: &'a Sample,
    /// Rules that may still be followed.
    left: usize,
    /// Whether a rule that is not understood may have led the packet past the rest.
    perhaps: bool,
}

impl<R: Ruleset> Walk<'_, R> {
    fn follow(&mut self, name: &str, depth: usize) -> End {
        let rules = self.rules.rules(self.chain, name).filter(|_| depth <= MAX_DEPTH);
        let Some(rules) = rules else {
            self.perhaps = true;
            return End::Returned;
        };
        for rule in rules.iter() {
            if self.left == 0 {
                self.perhaps = true;
                return End::Returned;
            }
            self.left -= 1;
            let (matched, verdict) = self.apply(rule);
            let Some(verdict) = verdict.filter(|_| matched != Match::No) else { continue };
            let end = self.act(&verdict, (name, rule), depth);
            match (matched, end) {
                (Match::Yes, Some(end)) => return end,
                // A drop or translation that may not be reached is none.
                (_, None | Some(End::Dropped(_) | End::Translated(_))) => {}
                (_, Some(End::Accepted | End::Returned)) => self.perhaps = true,
            }
        }
        End::Returned
    }

    /// Carries out the verdict of a rule in the chain `name`. `None` means that the next rule follows.
    fn act(&mut self, verdict: &Verdict, (name, rule): (&str, &Rule), depth: usize) -> Option<End> {
        match verdict {
            Verdict::Accept => Some(End::Accepted),
            Verdict::Drop(how) if name == self.chain.name => {
                Some(End::Dropped(format!("it {how} packets of links")))
            }
            Verdict::Drop(how) => {
                Some(End::Dropped(format!("it {how} packets of links, in its chain {name}")))
            }
            Verdict::Translate(_) => {
                let rule = text::of(rule, self.packet.family);
                let place = if name == self.chain.name {
                    "rule".to_owned()
                } else {
                    format!("rule in its chain {name}")
                };
                Some(End::Translated(format!("{place}: {rule}")))
            }
            Verdict::Return => Some(End::Returned),
            Verdict::Continue => None,
            Verdict::Jump(to) => match self.follow(to, depth + 1) {
                End::Returned => None,
                end => Some(end),
            },
            Verdict::Goto(to) => Some(self.follow(to, depth + 1)),
            Verdict::Other => {
                self.perhaps = true;
                None
            }
        }
    }

    /// Whether the rule matches, and its verdict.
    fn apply(&mut self, rule: &Rule) -> (Match, Option<Verdict>) {
        let mut registers = [None; REGISTERS];
        let (mut matched, mut verdict) = (Match::Yes, None);
        for expression in rule {
            let found = match expression {
                Expression::Neutral => Match::Yes,
                Expression::Unknown => Match::Perhaps,
                Expression::Load { to, field, length } => {
                    put(&mut registers, *to, &value(self.packet, self.chain, field, *length));
                    Match::Yes
                }
                Expression::Constant { to, bytes } => {
                    let bytes: Vec<_> = bytes.iter().copied().map(Some).collect();
                    put(&mut registers, *to, &bytes);
                    Match::Yes
                }
                Expression::Mask { from, to, mask, xor } => {
                    let masked = masked(&get(&registers, *from, mask.len()), mask, xor);
                    put(&mut registers, *to, &masked);
                    Match::Yes
                }
                Expression::Compare { from, equal, bytes } => {
                    is_same(&get(&registers, *from, bytes.len()), bytes).when(*equal)
                }
                Expression::Lookup { from, set, inverted, is_map } => {
                    let (found, target) = self.look_up(&registers, *from, set);
                    if *is_map {
                        verdict = target.or(Some(Verdict::Other));
                    }
                    found.when(!inverted)
                }
                Expression::Verdict(end) => {
                    verdict = Some(end.clone());
                    Match::Yes
                }
            };
            matched = matched.min(found);
            if matched == Match::No || matches!(expression, Expression::Verdict(_)) {
                break;
            }
        }
        (matched, verdict)
    }

    /// Whether the set contains the registers, and the verdict of the element.
    fn look_up(
        &mut self,
        registers: &[Option<u8>; REGISTERS],
        from: usize,
        set: &str,
    ) -> (Match, Option<Verdict>) {
        let Some(elements) = self.rules.elements(self.chain, set) else {
            return (Match::Perhaps, None);
        };
        let mut best = (Match::No, None);
        for (key, verdict) in elements.iter() {
            match is_same(&get(registers, from, key.len()), key) {
                Match::Yes => return (Match::Yes, verdict.clone()),
                // One of several may be meant, so its verdict is unknown.
                Match::Perhaps => best = (Match::Perhaps, None),
                Match::No => {}
            }
        }
        best
    }
}

impl Match {
    /// The result if equality is wanted, or if it is not.
    fn when(self, wanted: bool) -> Self {
        match (self, wanted) {
            (Self::Yes, false) => Self::No,
            (Self::No, false) => Self::Yes,
            (found, _) => found,
        }
    }
}

/// What `packet` has in `field`, as the chain sees it.
fn value(packet: &Sample, chain: &Chain, field: &Field, length: usize) -> Vec<Option<u8>> {
    let family = chain.family;
    let known = |bytes: &[u8]| bytes.iter().copied().map(Some).collect::<Vec<_>>();
    let named = |name: Option<BridgeName>| {
        let name = name.map(|name| {
            let mut name = name.as_str().as_bytes().to_vec();
            name.resize(16, 0);
            name
        });
        name.map_or_else(|| vec![None; 16], |name| known(&name))
    };
    // br_netfilter shows no input interface at the hook postrouting.
    let is_hidden = chain.is_at(Hook::Postrouting) && packet.bridge().is_some();
    let device = |way: Way| match way {
        Way::In => packet.input.as_ref().filter(|_| !is_hidden),
        Way::Out => packet.output.as_ref().filter(|_| !chain.is_at(Hook::Prerouting)),
    };
    let (number, ethernet): (u8, u16) = match packet.family {
        Family::V4 => (2, 0x0800),
        Family::V6 => (10, 0x86dd),
    };
    match field {
        // In the family bridge these are the ports of the bridge.
        Field::Interface(_) if family == "bridge" => vec![None; 16],
        // Connection tracking of the family bridge may not know the connection.
        Field::Index(_) | Field::State if family == "bridge" => vec![None; 4],
        Field::Index(way) => {
            let index = device(*way).and_then(|device| device.index);
            index.map_or_else(|| vec![None; 4], |at| known(&at.to_ne_bytes()))
        }
        Field::Interface(way) => named(device(*way).map(|device| device.name)),
        Field::Bridge => named(packet.bridge()),
        Field::NfProtocol if family == "bridge" => known(&[7]),
        Field::NfProtocol => known(&[number]),
        Field::EtherType => known(&ethernet.to_be_bytes()),
        Field::L4Protocol => known(&[packet.protocol]),
        Field::State => known(&NEW.to_ne_bytes()),
        // A new connection, whose addresses are not translated.
        Field::Status => known(&[0; 4]),
        Field::Network { offset } => packet.network_header(*offset, length),
        Field::Transport { offset } => packet.transport_header(*offset, length),
        Field::Other => vec![None; length.clamp(4, REGISTERS)],
    }
}

fn put(registers: &mut [Option<u8>; REGISTERS], at: usize, bytes: &[Option<u8>]) {
    // The kernel fills the last 4 bytes with zeros.
    let padding = bytes.len().next_multiple_of(4) - bytes.len();
    let padded = bytes.iter().copied().chain(std::iter::repeat_n(Some(0), padding));
    for (register, byte) in registers.iter_mut().skip(at).zip(padded) {
        *register = byte;
    }
}

fn get(registers: &[Option<u8>; REGISTERS], at: usize, length: usize) -> Vec<Option<u8>> {
    let known = registers.iter().skip(at).copied().chain(std::iter::repeat(None));
    known.take(length.min(REGISTERS)).collect()
}

fn masked(bytes: &[Option<u8>], mask: &[u8], xor: &[u8]) -> Vec<Option<u8>> {
    let xor = xor.iter().copied().chain(std::iter::repeat(0));
    let parts = bytes.iter().zip(mask).zip(xor);
    parts
        .map(|((byte, mask), xor)| match (byte, mask) {
            (_, 0) => Some(xor),
            (Some(byte), mask) => Some(byte & mask ^ xor),
            (None, _) => None,
        })
        .collect()
}

fn is_same(bytes: &[Option<u8>], wanted: &[u8]) -> Match {
    let differs = |(byte, wanted): (&Option<u8>, &u8)| byte.is_some_and(|byte| byte != *wanted);
    if bytes.len() != wanted.len() {
        Match::Perhaps
    } else if bytes.iter().zip(wanted).any(differs) {
        Match::No
    } else if bytes.iter().all(Option::is_some) {
        Match::Yes
    } else {
        Match::Perhaps
    }
}

#[cfg(test)]
mod tests;
