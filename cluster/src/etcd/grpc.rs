//! gRPC over HTTP/2: calls, streams of messages, and the status at their end.

use super::failure::{Failure, Outcome, code};
use crate::error::{one_line, with_causes};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use prost::Message;
use std::time::Duration;
use tokio::time::timeout;

/// How long a single call may take. An election takes about two seconds.
pub(crate) const CALL: Duration = Duration::from_secs(5);
/// Before each message: a flag for compression, and the length in four bytes.
const FRAME_HEADER: usize = 5;
/// Bound for a page that is no gRPC.
const LARGEST_PAGE: usize = 4 << 10;

/// A connection to one member, over which calls are made.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(super) requests: SendRequest<Bytes>,
    pub(super) authority: String,
}

/// The part of a stream that sends.
pub(crate) struct Sender(SendStream<Bytes>);

/// The part of a stream that receives.
pub(crate) struct Receiver {
    state: Receiving,
    buffer: BytesMut,
    limit: usize,
}

enum Receiving {
    Response(ResponseFuture),
    Body(RecvStream),
}

impl Channel {
    /// Makes a call with one request and one answer of at most `limit` bytes.
    pub(crate) async fn call<Q: Message, A: Message + Default>(
        &self,
        path: &'static str,
        request: &Q,
        limit: usize,
    ) -> Outcome<A> {
        let answer = async {
            let (mut sender, mut receiver) = self.stream(path, limit, false).await?;
            sender.send(request, true)?;
            let message = receiver.next::<A>().await?;
            let message = message.ok_or_else(|| Failure::lost(format!("{path}: no answer")))?;
            // The status behind it ends the stream; without reading it the stream would be reset.
            receiver.next::<A>().await?;
            Ok(message)
        };
        let answer = timeout(CALL, answer).await.unwrap_or_else(|_| Err(late()));
        answer.map_err(|failure| failure.of_call(path.rsplit('/').next().unwrap_or(path)))
    }

    /// Reads a small page that etcd serves beside gRPC; `None`: it serves none.
    pub(crate) async fn page(&self, path: &'static str) -> Outcome<Option<Vec<u8>>> {
        let answer = async {
            let uri = format!("https://{}{path}", self.authority);
            let request = Request::get(uri).body(());
            let request = request.map_err(|error| Failure::lost(error.to_string()))?;
            let mut requests = self.requests.clone().ready().await.map_err(lost)?;
            let (response, _) = requests.send_request(request, true).map_err(lost)?;
            let response = response.await.map_err(lost)?;
            if response.status() != StatusCode::OK {
                return Ok(None);
            }
            let mut body = response.into_body();
            let mut page = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.map_err(lost)?;
                body.flow_control().release_capacity(data.len()).map_err(lost)?;
                page.extend_from_slice(&data);
                if page.len() > LARGEST_PAGE {
                    return Err(Failure::TooLarge);
                }
            }
            Ok(Some(page))
        };
        timeout(CALL, answer).await.unwrap_or_else(|_| Err(late()))
    }

    /// Opens a stream of messages of at most `limit` bytes. With `has_leader`, etcd ends it when its
    /// member has lost the leader.
    pub(crate) async fn stream(
        &self,
        path: &'static str,
        limit: usize,
        has_leader: bool,
    ) -> Outcome<(Sender, Receiver)> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("https://{}{path}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", concat!("oci-link-cluster/", env!("CARGO_PKG_VERSION")));
        if has_leader {
            request = request.header("hasleader", "true");
        }
        let request = request.body(()).map_err(|error| Failure::lost(error.to_string()))?;
        let mut requests = self.requests.clone().ready().await.map_err(lost)?;
        let (response, sender) = requests.send_request(request, false).map_err(lost)?;
        let receiver =
            Receiver { state: Receiving::Response(response), buffer: BytesMut::new(), limit };
        Ok((Sender(sender), receiver))
    }
}

impl Sender {
    /// Sends a message; with `last`, nothing follows.
    pub(crate) fn send<M: Message>(&mut self, message: &M, last: bool) -> Outcome<()> {
        let length = message.encoded_len();
        let mut frame = BytesMut::with_capacity(FRAME_HEADER + length);
        frame.put_u8(0);
        frame.put_u32(u32::try_from(length).map_err(|_| Failure::TooLarge)?);
        message.encode(&mut frame).map_err(|error| Failure::lost(error.to_string()))?;
        self.0.send_data(frame.freeze(), last).map_err(lost)
    }
}

impl Receiver {
    /// Returns the next message, or `None` at a good end.
    pub(crate) async fn next<M: Message + Default>(&mut self) -> Outcome<Option<M>> {
        let Some(bytes) = self.frame().await? else { return Ok(None) };
        let decoded = M::decode(bytes);
        decoded.map(Some).map_err(|error| Failure::lost(format!("an answer is no answer: {error}")))
    }

    async fn frame(&mut self) -> Outcome<Option<Bytes>> {
        let Self { state, buffer, limit } = self;
        if let Receiving::Response(response) = state {
            let response = response.await.map_err(lost)?;
            if response.status() != StatusCode::OK {
                return Err(Failure::lost(format!("HTTP status {}", response.status())));
            }
            // An answer without a message has its status here.
            status(response.headers())?;
            *state = Receiving::Body(response.into_body());
        }
        let Receiving::Body(body) = state else { return Ok(None) };
        loop {
            if let Some(message) = split_message(buffer, *limit)? {
                return Ok(Some(message));
            }
            match body.data().await {
                Some(Ok(data)) => {
                    body.flow_control().release_capacity(data.len()).map_err(lost)?;
                    buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err(lost(error)),
                None => {
                    let trailers = body.trailers().await.map_err(lost)?;
                    status(&trailers.unwrap_or_default())?;
                    return Ok(None);
                }
            }
        }
    }
}

/// Takes the first message out of `buffer`, if it is there as a whole.
pub(super) fn split_message(buffer: &mut BytesMut, limit: usize) -> Outcome<Option<Bytes>> {
    if buffer.len() < FRAME_HEADER {
        return Ok(None);
    }
    let mut header = &buffer[..FRAME_HEADER];
    if header.get_u8() != 0 {
        return Err(Failure::lost("an answer is compressed"));
    }
    let length = header.get_u32() as usize;
    if length > limit {
        return Err(Failure::TooLarge);
    }
    if buffer.len() < FRAME_HEADER + length {
        return Ok(None);
    }
    buffer.advance(FRAME_HEADER);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// The status of a call, if `headers` contain one.
fn status(headers: &HeaderMap) -> Outcome<()> {
    let Some(value) = headers.get("grpc-status") else { return Ok(()) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(code::UNKNOWN);
    if number == code::OK {
        return Ok(());
    }
    let text = headers.get("grpc-message").map(|text| unescape(text.as_bytes()));
    let text = text.unwrap_or_else(|| format!("gRPC status {number}"));
    Err(Failure::of_status(number, &text))
}

fn late() -> Failure {
    Failure::lost(format!("no answer within {} s", CALL.as_secs()))
}

/// Decodes the `%XX` of a status text.
fn unescape(text: &[u8]) -> String {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *first == b'%' => digit(high).zip(digit(low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                plain.push(high * 16 + low);
                rest = &after[2..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    one_line(&String::from_utf8_lossy(&plain))
}

fn lost(error: impl std::error::Error) -> Failure {
    Failure::Lost(with_causes(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_wherever_the_bytes_are() {
        let bytes = b"\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\x01c";
        let mut buffer = BytesMut::new();
        let mut messages = Vec::new();
        for byte in bytes {
            buffer.put_u8(*byte);
            while let Some(message) = split_message(&mut buffer, 100).unwrap() {
                messages.push(message);
            }
        }
        assert_eq!(messages, [&b"ab"[..], b"", b"c"]);
    }

    #[test]
    fn a_message_is_bounded_before_it_arrives() {
        let mut buffer = BytesMut::from(&b"\0\xff\xff\xff\xff"[..]);
        assert_eq!(split_message(&mut buffer, 1 << 20), Err(Failure::TooLarge));
        let mut buffer = BytesMut::from(&b"\x01\0\0\0\0"[..]);
        assert!(matches!(split_message(&mut buffer, 100), Err(Failure::Lost(_))));
    }

    #[test]
    fn a_status_is_read() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            status(&headers)
        };
        assert_eq!(of(&[]), Ok(()));
        assert_eq!(of(&[("grpc-status", "0")]), Ok(()));
        let denied = of(&[("grpc-status", "7"), ("grpc-message", "etcdserver: no%3A%0Anot%2")]);
        let denied = denied.expect_err("denied");
        assert!(denied.is(code::PERMISSION_DENIED));
        assert_eq!(denied.to_string(), "etcdserver: no:?not%2");
        assert!(matches!(of(&[("grpc-status", "14")]), Err(Failure::Lost(_))));
        assert!(matches!(of(&[("grpc-status", "junk")]), Err(Failure::Lost(_))));
    }
}
