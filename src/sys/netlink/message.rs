//! The bytes of netlink: messages of nested attributes, as linux/netlink.h has them.
//!
//! Lengths and headers are in the host's byte order; what netfilter calls a network value is big
//! endian, and each function that writes one says so. Reading trusts nothing: what does not fit
//! ends the list it is in.

use crate::model::Family;

const MESSAGE_HEADER: usize = 16;
/// Family, version, resource: the header that all of netfilter has behind netlink's own.
const NETFILTER_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
const INTERFACE_HEADER: usize = 16;

/// A message that carries a refusal, or the receipt for a message.
pub const ERROR: u16 = 2;
/// The end of an answer in several parts.
pub const DONE: u16 = 3;

/// A message's flags: a request, as all are; with receipt.
const REQUEST: u16 = 1;
const ACK: u16 = 4;
/// Asks for all there is.
pub const DUMP: u16 = 0x300;
/// Makes what is not there; what is there may be an error, or stay; goes behind the others.
pub const CREATE: u16 = 0x400;
/// See [`CREATE`].
pub const EXCLUSIVE: u16 = 0x200;
/// See [`CREATE`].
pub const APPEND: u16 = 0x800;

/// An attribute's flags: it holds attributes; it is big endian. The rest is its kind.
const NESTED: u16 = 0x8000;
const NET_BYTE_ORDER: u16 = 0x4000;
const KIND: u16 = 0x3fff;

/// What netfilter calls the families: any, both (in nftables), or one.
pub const UNSPECIFIED: u8 = 0;
/// See [`UNSPECIFIED`].
pub const INET: u8 = 1;

/// The number of one family.
pub fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// Messages to be sent together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
    last: usize,
}

impl Batch {
    /// Adds a message for `family` with the body that `write` makes; returns its number.
    pub fn message(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        write: impl FnOnce(&mut Body<'_>),
    ) -> u32 {
        self.push(kind, flags, family, 0, write)
    }

    /// Adds what begins or ends a transaction: a message to netfilter itself, about a subsystem.
    pub fn bracket(&mut self, kind: u16, subsystem: u16) {
        self.push(kind, 0, UNSPECIFIED, subsystem, |_| ());
    }

    fn push(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        write: impl FnOnce(&mut Body<'_>),
    ) -> u32 {
        let start = self.bytes.len();
        self.last = start;
        self.count += 1;
        self.bytes.extend([0; 4]); // The length, below.
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend([0; 4]); // From whom: the kernel knows.
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        write(&mut Body(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.count
    }

    /// Asks for a receipt of the last message, which is the receipt of all.
    #[must_use]
    pub fn with_receipt(mut self) -> Self {
        self.request_receipt();
        self
    }

    /// The same for a batch that goes on: a transaction is received before its closing bracket.
    pub fn request_receipt(&mut self) {
        if let Some(flags) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let asked = u16::from_ne_bytes([flags[0], flags[1]]) | ACK;
            flags.copy_from_slice(&asked.to_ne_bytes());
        }
    }

    /// How many messages there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// As the kernel reads it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes a message's attributes.
#[derive(Debug)]
pub struct Body<'a>(&'a mut Vec<u8>);

impl Body<'_> {
    /// The rest of a header that is longer than netfilter's, in the host's byte order. It comes
    /// before all attributes.
    pub fn header(&mut self, words: &[u32]) -> &mut Self {
        self.0.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        self
    }

    /// An attribute as it is.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute(kind, |bytes| bytes.extend(value))
    }

    /// One byte.
    pub fn byte(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// A number, big endian.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A value that must say that it is big endian.
    pub fn network(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes(kind | NET_BYTE_ORDER, value)
    }

    /// A text and its NUL.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute(kind, |bytes| {
            bytes.extend(value.as_bytes());
            bytes.push(0);
        })
    }

    /// An attribute of attributes. The caller sees to it that they have less than 64 KiB.
    pub fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Body<'_>)) -> &mut Self {
        self.attribute(kind | NESTED, |bytes| write(&mut Body(bytes)))
    }

    /// An attribute of attributes that were read from the kernel.
    pub fn nested(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes(kind | NESTED, value)
    }

    fn attribute(&mut self, kind: u16, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let bytes = &mut *self.0;
        let start = bytes.len();
        bytes.extend([0; 2]);
        bytes.extend(kind.to_ne_bytes());
        write(bytes);
        // A length that is too long is one that the kernel refuses.
        let length = u16::try_from(bytes.len() - start).unwrap_or(u16::MAX);
        bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// One message of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What it is: subsystem and command, or [`ERROR`] or [`DONE`].
    pub kind: u16,
    /// The number of the message that it answers.
    pub sequence: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// What an [`ERROR`] or [`DONE`] says: 0 is success.
    pub fn code(&self) -> Option<i32> {
        let code = self.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))?;
        Some(code.saturating_neg())
    }

    /// Header and attributes of a message about an address (`struct ifaddrmsg`, rtnetlink(7)).
    pub fn address(&self) -> Option<([u8; 8], Attributes<'a>)> {
        let (header, attributes) = self.body.split_first_chunk()?;
        Some((*header, Attributes(attributes)))
    }

    /// The attributes of a message about an interface, behind its `struct ifinfomsg`.
    pub fn interface(&self) -> Option<Attributes<'a>> {
        self.body.get(INTERFACE_HEADER..).map(Attributes)
    }

    /// The attributes of a message of netfilter's.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes(self.body.get(NETFILTER_HEADER..).unwrap_or_default())
    }
}

/// The messages of a datagram, as far as they are whole; of an error, which repeats a message that
/// may not fit, the beginning is enough.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (length, header) = rest.split_first_chunk()?;
        let (kind, header) = header.split_first_chunk()?;
        let (_flags, header) = header.split_first_chunk::<2>()?;
        let sequence = u32::from_ne_bytes(*header.first_chunk()?);
        let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
        let kind = u16::from_ne_bytes(*kind);
        if length < MESSAGE_HEADER || (length > rest.len() && kind != ERROR) {
            return None;
        }
        let body = rest.get(MESSAGE_HEADER..length.min(rest.len()))?;
        rest = rest.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some(Message { kind, sequence, body })
    })
}

/// A list of attributes, as far as they are whole.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Attributes that `bytes` may hold.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of the first attribute of that kind.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        let mut all = self.clone();
        all.find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes inside the first attribute of that kind; none if there is none.
    #[must_use]
    pub fn inside(&self, kind: u16) -> Attributes<'a> {
        Attributes(self.get(kind).unwrap_or_default())
    }

    /// A number, big endian.
    pub fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// A number in the host's byte order.
    pub fn local(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// A text, without its NUL.
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        self.get(kind).and_then(text)
    }
}

/// The text before the NUL in `bytes`.
pub fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).ok()
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d] = *self.0.first_chunk::<ATTRIBUTE_HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = self.0.get(ATTRIBUTE_HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([c, d]) & KIND, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(batch.bytes()[batch.last + 6], (REQUEST | ACK).to_ne_bytes()[0]);
        let attributes = all[0].attributes();
        assert_eq!(attributes.text(1), Some("ab"));
        assert_eq!(attributes.inside(2).number(3), Some(0x0102_0304));
        assert_eq!(attributes.inside(2).get(4), Some(&[5][..]));
        assert_eq!(attributes.get(9), None);
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
