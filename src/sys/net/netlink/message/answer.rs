//! Parses the kernel's answers.

use crate::sys::net::netlink::uapi::{NLA_TYPE_MASK, NLMSG_ERROR};

const MESSAGE_HEADER: usize = 16;
/// `struct nfgenmsg`: family, version and resource id, after the netlink header.
const NETFILTER_HEADER: usize = 4;
const ATTRIBUTE_HEADER: usize = 4;
const INTERFACE_HEADER: usize = 16;

/// One message of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    /// The message type: subsystem and command, or `NLMSG_ERROR`, or `NLMSG_DONE`.
    pub(crate) kind: u16,
    /// Sequence number of the message that this one answers.
    pub(crate) sequence: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The error code of an `NLMSG_ERROR` or `NLMSG_DONE` message; 0 is success.
    pub(crate) fn code(&self) -> Option<i32> {
        let code = self.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))?;
        Some(code.saturating_neg())
    }

    /// Header (`struct ifaddrmsg`) and attributes of a message about an address (rtnetlink(7)).
    pub(crate) fn address(&self) -> Option<([u8; 8], Attributes<'a>)> {
        let (header, attributes) = self.body.split_first_chunk()?;
        Some((*header, Attributes(attributes)))
    }

    /// The attributes of a message about an interface, after its `struct ifinfomsg`.
    pub(crate) fn interface(&self) -> Option<Attributes<'a>> {
        self.body.get(INTERFACE_HEADER..).map(Attributes)
    }

    /// The index in a message about an interface (`struct ifinfomsg`).
    pub(crate) fn interface_index(&self) -> Option<u32> {
        let bytes = self.body.get(4..8)?.first_chunk::<4>()?;
        Some(u32::from_ne_bytes(*bytes))
    }

    /// The address family of a netfilter message.
    pub(crate) fn family(&self) -> Option<u8> {
        self.body.first().copied()
    }

    /// The attributes of a netfilter message, after its `struct nfgenmsg`.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes(self.body.get(NETFILTER_HEADER..).unwrap_or_default())
    }
}

/// Splits a datagram into its complete messages.
///
/// A truncated error message is accepted, because the message that it repeats may not fit.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let (length, header) = rest.split_first_chunk()?;
        let (kind, header) = header.split_first_chunk()?;
        let (_flags, header) = header.split_first_chunk::<2>()?;
        let sequence = u32::from_ne_bytes(*header.first_chunk()?);
        let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
        let kind = u16::from_ne_bytes(*kind);
        if length < MESSAGE_HEADER || (length > rest.len() && kind != NLMSG_ERROR) {
            return None;
        }
        let body = rest.get(MESSAGE_HEADER..length.min(rest.len()))?;
        rest = rest.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some(Message { kind, sequence, body })
    })
}

/// A list of attributes. It ends at the first attribute that is incomplete.
#[derive(Debug, Clone)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes in `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of the first attribute of that kind.
    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        let mut all = self.clone();
        all.find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes inside the first attribute of that kind; empty if there is none.
    #[must_use]
    pub(crate) fn inside(&self, kind: u16) -> Attributes<'a> {
        Attributes(self.get(kind).unwrap_or_default())
    }

    /// A 32-bit number in network byte order.
    pub(crate) fn number(&self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// A 32-bit number with a sign in network byte order.
    pub(crate) fn signed(&self, kind: u16) -> Option<i32> {
        Some(i32::from_be_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// A 32-bit number in host byte order.
    pub(crate) fn local(&self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.get(kind)?.first_chunk()?))
    }

    /// A text, without its NUL.
    pub(crate) fn text(&self, kind: u16) -> Option<&'a str> {
        self.get(kind).and_then(text)
    }
}

/// The text before the first NUL in `bytes`; `None` if it is not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
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
        Some((u16::from_ne_bytes([c, d]) & NLA_TYPE_MASK, value))
    }
}
