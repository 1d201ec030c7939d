//! Malformed bytes: what etcd answers, and what its keys are, must not stop the courier or lead it out of
//! its directory. The bytes are made up by a generator with a fixed seed, from good ones.

use super::grpc::split_message;
use super::messages::{KeyValue, RangeResponse, ResponseHeader, WatchResponse};
use super::watch::news;
use crate::names::{Kind, Place};
use bytes::{Bytes, BytesMut};
use prost::Message;
use std::path::{Component, Path};

/// How often each reader is tried.
const ROUNDS: u32 = 20_000;
/// The longest message that is read.
const LIMIT: usize = 1 << 16;

/// Marsaglia's generator of 64 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// `good` with some bytes changed, taken out or put in.
    fn spoilt(&mut self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let byte = match self.below(4) {
                0 => 0xff,
                1 => 0,
                2 => b"/.~\n-a0%"[self.below(8)],
                _ => u8::try_from(self.next() & 0xff).unwrap(),
            };
            match self.below(4) {
                0 if !bytes.is_empty() => drop(bytes.remove(at)),
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at),
                _ if !bytes.is_empty() => bytes[at] = byte,
                _ => {}
            }
        }
        bytes
    }
}

fn answer() -> WatchResponse {
    let kv = |key: &str| KeyValue {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::from_static(br#"{"v":1}"#),
        mod_revision: 7,
        ..KeyValue::default()
    };
    let event =
        super::messages::Event { kv: Some(kv("/oci-link/v1/b/offer/db")), ..Default::default() };
    let header = Some(ResponseHeader { cluster_id: 1, member_id: 2, revision: 7 });
    WatchResponse { header, events: vec![event], ..Default::default() }
}

/// A key or file name that is accepted is written as it was read, and stays in its directory.
#[test]
fn a_key_leads_nowhere_else() {
    let mut random = Random(1);
    let keys: [&[u8]; 3] = [
        b"/oci-link/v1/b/offer/6f00",
        b"/oci-link/v1/host-a.example/want/a~b",
        b"/oci-link/v1/b/self",
    ];
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let key = random.spoilt(keys[usize::try_from(round).unwrap() % keys.len()]);
        let Some(place) = Place::of_key(&key) else { continue };
        accepted += 1;
        assert_eq!(place.key().as_bytes(), key);
        let name = place.spool_name();
        let parts: Vec<Component<'_>> = Path::new(&name).components().collect();
        assert!(matches!(parts[..], [Component::Normal(_)]) && name.len() <= 255, "{name:?}");
        assert!(!name.starts_with('.') && !name.contains(['/', '\n', '\0']), "{name:?}");
        assert_eq!(Place::of_spool(&name).as_ref(), Some(&place));
        if place.kind != Kind::Presence {
            let file = place.offers_name().unwrap();
            // A file that begins with a dot is a temporary one.
            let again = Place::of_offers(&place.host, &file);
            assert!(again.as_ref() == Some(&place) || file.starts_with('.'), "{file:?}");
        }
    }
    assert!(accepted > 100, "{accepted} keys were tried");
}

/// Whatever the member sends is a message, an error, or not there yet; and wherever it is cut, it is the same.
#[test]
fn an_answer_is_read_or_refused() {
    let mut random = Random(2);
    let message = answer().encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(&message);
    let page =
        RangeResponse { kvs: vec![KeyValue::default()], ..Default::default() }.encode_to_vec();
    for _ in 0..ROUNDS {
        let bytes = random.spoilt(&framed);
        let whole = split_message(&mut BytesMut::from(&bytes[..]), LIMIT);
        let mut pieces = BytesMut::new();
        let mut early = None;
        for byte in &bytes {
            pieces.extend_from_slice(&[*byte]);
            match split_message(&mut pieces, LIMIT) {
                Ok(None) => {}
                other => {
                    early = Some(other);
                    break;
                }
            }
        }
        assert_eq!(early.unwrap_or(Ok(None)), whole);
        if let Ok(Some(message)) = whole {
            assert!(message.len() <= LIMIT);
        }
        for bytes in [random.spoilt(&message), random.spoilt(&page)] {
            if let Ok(answer) = WatchResponse::decode(&bytes[..]) {
                let _ = news(answer);
            }
            let _ = RangeResponse::decode(&bytes[..]);
        }
    }
}
