//! All keys below a prefix, in pages at one revision.

use super::client::Client;
use super::failure::{Failure, Outcome};
use super::messages::{KeyValue, RangeRequest};
use bytes::{BufMut, Bytes, BytesMut};

/// Keys of one page.
const PAGE: i64 = 500;

/// A reading of all keys between two.
pub(crate) struct Pages {
    next: Option<Bytes>,
    end: Bytes,
    limit: i64,
    revision: i64,
    cluster: u64,
}

/// One page.
pub(crate) struct Page {
    /// The keys, with their values.
    pub(crate) keys: Vec<KeyValue>,
    /// A key whose value is larger than anything that is read.
    pub(crate) too_large: Option<Bytes>,
}

impl Pages {
    /// Begins to read all keys from `key` to before `end`.
    pub(crate) fn new(key: &[u8], end: &[u8]) -> Self {
        let next = Some(Bytes::copy_from_slice(key));
        Self { next, end: Bytes::copy_from_slice(end), limit: PAGE, revision: 0, cluster: 0 }
    }

    /// The revision of all pages. The first page fixes it.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// The id of the cluster that answered.
    pub(crate) fn cluster(&self) -> u64 {
        self.cluster
    }

    /// Reads the next page; `None` after the last one.
    ///
    /// Values that are too large for one answer are read in smaller pages, at last one by one.
    pub(crate) async fn next(&mut self, client: &Client) -> Outcome<Option<Page>> {
        loop {
            let Some(key) = self.next.clone() else { return Ok(None) };
            match client.range(&self.request(key.clone(), false)).await {
                Err(Failure::TooLarge) if self.limit > 1 => self.limit = (self.limit / 8).max(1),
                Err(Failure::TooLarge) => {
                    self.limit = 1;
                    return self.step_over(client, key).await;
                }
                Err(failure) => return Err(failure),
                Ok(answer) => {
                    if self.revision == 0 {
                        let header = answer.header.unwrap_or_default();
                        (self.revision, self.cluster) = (header.revision, header.cluster_id);
                    }
                    self.limit = (self.limit * 8).min(PAGE);
                    let last = answer.kvs.last().filter(|_| answer.more);
                    self.next = last.map(|last| after(&last.key));
                    return Ok(Some(Page { keys: answer.kvs, too_large: None }));
                }
            }
        }
    }

    /// Passes over the next key, whose value cannot be read.
    async fn step_over(&mut self, client: &Client, key: Bytes) -> Outcome<Option<Page>> {
        let answer = client.range(&self.request(key, true)).await?;
        let Some(large) = answer.kvs.into_iter().next() else {
            self.next = None;
            return Ok(None);
        };
        if self.revision == 0 {
            let header = answer.header.unwrap_or_default();
            (self.revision, self.cluster) = (header.revision, header.cluster_id);
        }
        self.next = Some(after(&large.key));
        Ok(Some(Page { keys: Vec::new(), too_large: Some(large.key) }))
    }

    fn request(&self, key: Bytes, keys_only: bool) -> RangeRequest {
        let (range_end, limit, revision) = (self.end.clone(), self.limit, self.revision);
        RangeRequest { key, range_end, limit, revision, keys_only }
    }
}

/// The first key after `key`.
fn after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.put_u8(0);
    next.freeze()
}
