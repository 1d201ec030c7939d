//! Fuzz target for what a member of etcd answers.

use super::grpc::split_message;
use super::messages::{
    AlarmResponse, LeaseGrantResponse, LeaseKeepAliveResponse, RangeResponse, TxnResponse,
    WatchResponse,
};
use super::watch::{Change, News, news};
use bytes::BytesMut;
use prost::Message;

/// Bytes from the network: a message is split off the same wherever they are cut, and is within `limit`. What is read of
/// it is no larger than it is.
pub(crate) fn answer(bytes: &[u8], limit: usize) {
    let whole = split_message(&mut BytesMut::from(bytes), limit);
    let (mut pieces, mut early) = (BytesMut::new(), None);
    for byte in bytes {
        pieces.extend_from_slice(&[*byte]);
        match split_message(&mut pieces, limit) {
            Ok(None) => {}
            other => {
                early = Some(other);
                break;
            }
        }
    }
    assert_eq!(early.unwrap_or(Ok(None)), whole);
    if let Ok(Some(message)) = &whole {
        assert!(message.len() <= limit);
        decoded(message);
    }
    decoded(bytes);
}

fn decoded(bytes: &[u8]) {
    if let Ok(answer) = WatchResponse::decode(bytes) {
        match news(answer) {
            Ok(Some(News::Changes(_, changes))) => {
                let size = changes.iter().map(|change| match change {
                    Change::Put(kv) => kv.key.len() + kv.value.len(),
                    Change::Delete(key) => key.len(),
                });
                assert!(size.sum::<usize>() <= bytes.len());
            }
            Ok(_) => {}
            Err(failure) => assert!(!failure.to_string().contains(char::is_control)),
        }
    }
    if let Ok(page) = RangeResponse::decode(bytes) {
        let again = RangeResponse::decode(&page.encode_to_vec()[..]);
        assert_eq!(again.ok(), Some(page));
    }
    let _ = TxnResponse::decode(bytes);
    let _ = LeaseGrantResponse::decode(bytes);
    let _ = LeaseKeepAliveResponse::decode(bytes);
    let _ = AlarmResponse::decode(bytes);
}
