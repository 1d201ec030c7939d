//! The stream on which etcd tells what changes.

use super::failure::{Failure, Outcome, code};
use super::grpc::{Channel, Receiver, Sender};
use super::messages::{
    EventType, KeyValue, WatchCreateRequest, WatchOp, WatchProgressRequest, WatchRequest,
    WatchResponse,
};
use bytes::Bytes;

/// Bound for one message. etcd splits what is larger than its largest request, 1.5 MiB by default.
const LARGEST_MESSAGE: usize = 4 << 20;

/// An open stream: its sender asks for progress, its receiver yields news.
pub(crate) struct Watch {
    /// Asks for progress.
    pub(crate) asker: Asker,
    /// Yields news.
    pub(crate) feed: Feed,
}

/// Asks for progress.
pub(crate) struct Asker(Sender);

/// Yields news.
pub(crate) struct Feed(Receiver);

/// What happened to a key.
pub(crate) enum Change {
    /// It has this value.
    Put(KeyValue),
    /// It is gone.
    Delete(Bytes),
}

/// What etcd says on the stream.
pub(crate) enum News {
    /// Keys changed. The store has this revision.
    Changes(i64, Vec<Change>),
    /// Everything up to this revision has been said.
    Progress(i64),
    /// The revision to begin with is compacted: everything must be read again.
    Compacted,
}

impl Watch {
    /// Opens the stream for all keys between `key` and `end`, from `revision` on.
    pub(super) async fn open(
        channel: &Channel,
        key: &[u8],
        end: &[u8],
        revision: i64,
    ) -> Outcome<Self> {
        let path = "/etcdserverpb.Watch/Watch";
        let (mut sender, receiver) = channel.stream(path, LARGEST_MESSAGE, true).await?;
        let create = WatchCreateRequest {
            key: Bytes::copy_from_slice(key),
            range_end: Bytes::copy_from_slice(end),
            start_revision: revision,
            fragment: true,
        };
        sender.send(&WatchRequest { op: Some(WatchOp::Create(create)) }, false)?;
        Ok(Self { asker: Asker(sender), feed: Feed(receiver) })
    }
}

impl Asker {
    /// Asks how far the stream is. etcd answers when it has said everything.
    pub(crate) fn ask(&mut self) -> Outcome<()> {
        self.0.send(&WatchRequest { op: Some(WatchOp::Progress(WatchProgressRequest {})) }, false)
    }
}

impl Feed {
    /// Waits for news. The end of the stream is an error.
    pub(crate) async fn next(&mut self) -> Outcome<News> {
        loop {
            let Some(answer) = self.0.next::<WatchResponse>().await? else {
                return Err(Failure::lost("etcd ended the watch"));
            };
            if let Some(news) = news(answer)? {
                return Ok(news);
            }
        }
    }
}

pub(super) fn news(answer: WatchResponse) -> Outcome<Option<News>> {
    let revision = answer.header.map_or(0, |header| header.revision);
    if answer.compact_revision != 0 {
        return Ok(Some(News::Compacted));
    }
    if answer.canceled {
        let reason = format!("etcd ended the watch: {}", answer.cancel_reason);
        let is_denied = answer.cancel_reason.contains("permission denied");
        return Err(if is_denied {
            Failure::of_status(code::PERMISSION_DENIED, &reason)
        } else {
            Failure::lost(reason)
        });
    }
    if answer.created {
        return Ok(None);
    }
    if answer.events.is_empty() {
        return Ok(Some(News::Progress(revision)));
    }
    let changes = answer.events.into_iter().filter_map(|event| {
        let is_delete = event.r#type == EventType::Delete as i32;
        event.kv.map(|kv| if is_delete { Change::Delete(kv.key) } else { Change::Put(kv) })
    });
    Ok(Some(News::Changes(revision, changes.collect())))
}
