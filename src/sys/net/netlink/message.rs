//! Netlink messages and their nested attributes as bytes (`linux/netlink.h`).
//!
//! Lengths and headers are in host byte order. Values in network byte order (big endian) are
//! written by functions that say so. The parsers trust nothing: a malformed item ends the list it
//! is in.

mod answer;
mod batch;

pub(crate) use answer::{Attributes, Message, messages, text};
pub(crate) use batch::{Batch, Body};

use super::uapi::{NFPROTO_IPV4, NFPROTO_IPV6};
use crate::model::Family;

/// The number of an address family; `AF_INET` and `AF_INET6` have the same values.
pub(crate) fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => NFPROTO_IPV4,
        Family::V6 => NFPROTO_IPV6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::net::netlink::uapi::NLM_F_ACK;

    fn sample() -> Batch {
        let mut batch = Batch::default();
        batch.message(7, 0, 2, |body| {
            body.text(1, "ab").nest(2, |inner| {
                inner.number(3, 0x0102_0304).byte(4, 5);
            });
        });
        batch.message(8, 0, 2, |_| ());
        batch.with_receipt()
    }

    #[test]
    fn what_is_written_is_read() {
        let batch = sample();
        let all: Vec<_> = messages(batch.bytes()).collect();
        assert_eq!(all.iter().map(|m| (m.kind, m.sequence)).collect::<Vec<_>>(), [(7, 1), (8, 2)]);
        let flags = |of: usize| u16::from_ne_bytes(*batch.bytes()[of + 6..].first_chunk().unwrap());
        let second = u32::from_ne_bytes(*batch.bytes().first_chunk().unwrap());
        assert_eq!(flags(0) & NLM_F_ACK, 0);
        assert_eq!(
            flags(second.try_into().unwrap()) & NLM_F_ACK,
            NLM_F_ACK,
            "the last is the receipt of all"
        );
        let attributes = all[0].attributes();
        assert_eq!(attributes.text(1), Some("ab"));
        assert_eq!(attributes.inside(2).number(3), Some(0x0102_0304));
        assert_eq!(attributes.inside(2).get(4), Some(&[5][..]));
        assert_eq!(attributes.get(9), None);
    }

    /// The length of an attribute has 16 bits and includes the headers of nested attributes.
    #[test]
    fn what_is_longer_than_a_length_can_say_is_not_sent() {
        let written = |length: usize, rest: usize| {
            let mut batch = Batch::default();
            batch.message(7, 0, 2, |body| {
                body.nest(1, |list| {
                    list.nest(2, |item| {
                        item.bytes(3, &vec![0; length]);
                    });
                    (0..rest).for_each(|_| {
                        list.byte(4, 0);
                    });
                });
            });
            batch.message(8, 0, 2, |_| ());
            batch
        };
        let full = 0xffff - 3 * 4 - 3;
        assert!(!written(full, 0).overflowed());
        let whole = written(full, 0);
        let message = messages(whole.bytes()).next().unwrap();
        let value = message.attributes().inside(1).inside(2).get(3).unwrap().len();
        assert_eq!(value, full);
        for (length, rest) in [(full + 1, 0), (full, 1), (0xffff - 4 + 1, 0), (4, 0x2000)] {
            let batch = written(length, rest);
            assert!(batch.overflowed(), "{length} {rest}");
            let refused = crate::sys::net::netlink::Netlink::route().unwrap().exchange(&batch);
            let complaint = refused.expect_err("too long").to_string();
            assert!(complaint.contains("too long for its length"), "{complaint}");
        }
    }

    #[test]
    fn nothing_that_is_cut_short_is_read_past_its_end() {
        let bytes = sample().bytes().to_vec();
        for end in 0..bytes.len() {
            for message in messages(&bytes[..end]) {
                assert!(message.attributes().count() <= 2);
            }
        }
        for byte in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[byte] = 0xff;
            for message in messages(&bent) {
                message.code();
                for (_, value) in message.attributes() {
                    assert!(Attributes::new(value).count() <= bytes.len());
                }
            }
        }
    }
}
