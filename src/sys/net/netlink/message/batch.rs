//! Writes messages and their attributes.

use crate::sys::net::netlink::uapi::{
    NFPROTO_UNSPEC, NLA_F_NESTED, NLA_F_NET_BYTEORDER, NLM_F_ACK, NLM_F_REQUEST,
};

/// Messages that are sent together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    count: u32,
    last: usize,
    overflowed: bool,
}

impl Batch {
    /// Adds a message for the address family `family`. `write` adds its attributes.
    ///
    /// Returns the sequence number of the message.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        write: impl FnOnce(&mut Body<'_>),
    ) -> u32 {
        self.push(kind, flags, family, 0, write)
    }

    /// Adds `NFNL_MSG_BATCH_BEGIN` or `NFNL_MSG_BATCH_END` for a transaction of `subsystem`.
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
        self.bytes.extend([0; 4]); // The length, set below.
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend([0; 4]); // The sender's port id; the kernel knows it.
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        write(&mut Body { bytes: &mut self.bytes, overflowed: &mut self.overflowed });
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => self.overflowed = true,
        }
        self.count
    }

    /// Asks for a receipt of the last message, which confirms the whole batch.
    #[must_use]
    pub(crate) fn with_receipt(mut self) -> Self {
        self.request_receipt();
        self
    }

    /// Asks for a receipt of the last message so far.
    ///
    /// For a transaction, this is called before `NFNL_MSG_BATCH_END` is added.
    pub(crate) fn request_receipt(&mut self) {
        if let Some(flags) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let asked = u16::from_ne_bytes([flags[0], flags[1]]) | NLM_F_ACK;
            flags.copy_from_slice(&asked.to_ne_bytes());
        }
    }

    /// The number of messages.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether a message or attribute is longer than its length field can express.
    ///
    /// The kernel would read only the beginning, carry that out, and report success.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The bytes to send.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes the attributes of a message.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    bytes: &'a mut Vec<u8>,
    overflowed: &'a mut bool,
}

impl Body<'_> {
    /// Adds the rest of a header that is longer than `struct nfgenmsg`, in host byte order.
    ///
    /// Must be called before any attribute is added.
    pub(crate) fn header(&mut self, words: &[u32]) -> &mut Self {
        self.bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        self
    }

    /// Adds an attribute with this value.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute(kind, |body| body.bytes.extend(value))
    }

    /// Adds an attribute of one byte.
    pub(crate) fn byte(&mut self, kind: u16, value: u8) -> &mut Self {
        self.bytes(kind, &[value])
    }

    /// Adds a number in network byte order.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a value in network byte order, with the flag `NLA_F_NET_BYTEORDER`.
    pub(crate) fn network(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes(kind | NLA_F_NET_BYTEORDER, value)
    }

    /// Adds a text with its NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute(kind, |body| {
            body.bytes.extend(value.as_bytes());
            body.bytes.push(0);
        })
    }

    /// Adds an attribute that contains attributes, which `write` adds.
    ///
    /// If they exceed 64 KiB, the batch cannot be sent.
    pub(crate) fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Body<'_>)) -> &mut Self {
        self.attribute(kind | NLA_F_NESTED, write)
    }

    /// Adds an attribute that contains the attributes `value`, as read from the kernel.
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
