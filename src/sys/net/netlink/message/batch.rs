//! What is asked: messages and their attributes, written one behind the other.

use crate::sys::net::netlink::uapi::{
    NFPROTO_UNSPEC, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NLM_F_ACK, NLM_F_REQUEST,
};

/// Messages to be sent together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    count: u32,
    last: usize,
    overflowed: bool,
}

impl Batch {
    /// Adds a message for `family` with the body that `write` makes; returns its number.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        write: impl FnOnce(&mut Body<'_>),
    ) -> u32 {
        self.push(kind, flags, family, 0, write)
    }

    /// Adds what begins or ends a transaction: a message to netfilter itself, about a subsystem.
    pub(crate) fn bracket(&mut self, kind: u16, subsystem: u16) {
        self.push(kind, 0, NFPROTO_UNSPEC, subsystem, |_| ());
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
        self.bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend([0; 4]); // From whom: the kernel knows.
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        write(&mut Body { bytes: &mut self.bytes, overflowed: &mut self.overflowed });
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.overflowed = true,
        }
        self.count
    }

    /// Asks for a receipt of the last message, which is the receipt of all.
    #[must_use]
    pub(crate) fn with_receipt(mut self) -> Self {
        self.request_receipt();
        self
    }

    /// The same for a batch that goes on: a transaction is received before its closing bracket.
    pub(crate) fn request_receipt(&mut self) {
        if let Some(flags) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let asked = u16::from_ne_bytes([flags[0], flags[1]]) | NLM_F_ACK;
            flags.copy_from_slice(&asked.to_ne_bytes());
        }
    }

    /// How many messages there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether something in it is longer than its length can say. The kernel would read the
    /// beginning, carry that out, and say that all is well.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// As the kernel reads it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes a message's attributes.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    bytes: &'a mut Vec<u8>,
    overflowed: &'a mut bool,
}

impl Body<'_> {
    /// The rest of a header that is longer than netfilter's, in the host's byte order. It comes
    /// before all attributes.
    pub(crate) fn header(&mut self, words: &[u32]) -> &mut Self {
        self.bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        self
    }

    /// An attribute as it is.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute(kind, |body| body.bytes.extend(value))
    }

    /// One byte.
    pub(crate) fn byte(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// A number, big endian.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A value that must say that it is big endian.
    pub(crate) fn network(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes(kind | NLA_F_NET_BYTEORDER, value)
    }

    /// A text and its NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute(kind, |body| {
            body.bytes.extend(value.as_bytes());
            body.bytes.push(0);
        })
    }

    /// An attribute of attributes. With 64 KiB of them the batch cannot be sent any more.
    pub(crate) fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Body<'_>)) -> &mut Self {
        self.attribute(kind | NLA_F_NESTED, write)
    }

    /// An attribute of attributes that were read from the kernel.
    pub(crate) fn nested(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes(kind | NLA_F_NESTED, value)
    }

    fn attribute(&mut self, kind: u16, write: impl FnOnce(&mut Body<'_>)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        write(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => *self.overflowed = true,
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}
