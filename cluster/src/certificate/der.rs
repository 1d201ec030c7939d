//! DER: items of a tag, a length and a content.

/// A sequence of items.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'b> {
    rest: &'b [u8],
}

/// One item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'b> {
    /// The tag.
    pub(super) tag: u8,
    /// The content.
    pub(super) content: &'b [u8],
}

const CUT_OFF: &str = "is cut off";

impl<'b> Der<'b> {
    /// The items in `bytes`.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether no item is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next item.
    pub(super) fn next_item(&mut self) -> Result<Item<'b>, &'static str> {
        let [tag, first, rest @ ..] = self.rest else { return Err(CUT_OFF) };
        let (length, rest) = match first {
            length @ 0..=0x7f => (usize::from(*length), rest),
            // The length follows in one to three bytes.
            count @ 0x81..=0x83 => {
                let (length, rest) =
                    rest.split_at_checked(usize::from(count & 0x7f)).ok_or(CUT_OFF)?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return Err("has a length that is none"),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(Item { tag: *tag, content })
    }

    /// Takes the next item, which must have `tag`.
    pub(super) fn expect_item(&mut self, tag: u8) -> Result<Item<'b>, &'static str> {
        let item = self.next_item()?;
        if item.tag == tag { Ok(item) } else { Err("has an unexpected part") }
    }
}

impl<'b> Item<'b> {
    /// The items in the content.
    pub(super) fn inside(self) -> Der<'b> {
        Der::new(self.content)
    }
}
