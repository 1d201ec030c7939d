//! The calls of etcd that the courier makes.

use super::failure::{Failure, Outcome};
use super::grpc::Channel;
use super::messages::{
    AlarmRequest, AlarmResponse, Answer, Compare, CompareResult, CompareTarget, DeleteRangeRequest,
    KeyValue, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    Op, Operand, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
};
use super::watch::Watch;
use bytes::Bytes;
use serde::Deserialize;
use std::time::Duration;

/// Bound for an answer with records. A page of 500 usual ones is half a megabyte.
const LARGEST_PAGE: usize = 8 << 20;
/// Bound for any other answer.
const LARGEST_ANSWER: usize = 1 << 20;

/// A member of etcd.
#[derive(Clone)]
pub(crate) struct Client(Channel);

/// A change of one own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Write {
    /// The key has this value, and hangs on the lease.
    Put(String, Bytes),
    /// The key, which hangs on the lease already, has this value.
    Change(String, Bytes),
    /// The key is gone.
    Delete(String),
}

/// The key that says which machine publishes a host name, and the value that is this machine's.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    /// The key.
    pub(crate) key: Bytes,
    /// The value.
    pub(crate) mine: Bytes,
}

impl Client {
    /// A client over `channel`.
    pub(crate) fn new(channel: Channel) -> Self {
        Self(channel)
    }

    /// Returns the version of the member; `None`: it does not tell.
    ///
    /// gRPC's `Status` is for root only in 3.5.28 to 3.5.30 (etcd#21663); this page is for every client.
    pub(crate) async fn version(&self) -> Outcome<Option<String>> {
        #[derive(Deserialize)]
        struct Page {
            etcdserver: String,
        }
        let page = self.0.page("/version").await?;
        let page: Option<Page> = page.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(page.map(|page| page.etcdserver.chars().take(40).collect()))
    }

    /// Returns the first alarm of the cluster, such as a full store.
    pub(crate) async fn alarm(&self) -> Outcome<Option<&'static str>> {
        let path = "/etcdserverpb.Maintenance/Alarm";
        let answer: AlarmResponse =
            self.0.call(path, &AlarmRequest::default(), LARGEST_ANSWER).await?;
        Ok(answer.alarms.first().map(|first| match first.alarm {
            1 => "the store is full (NOSPACE)",
            _ => "the store is corrupt (CORRUPT)",
        }))
    }

    /// Reads keys. With revision 0 the read is linearizable.
    pub(crate) async fn range(&self, request: &RangeRequest) -> Outcome<RangeResponse> {
        self.0.call("/etcdserverpb.KV/Range", request, LARGEST_PAGE).await
    }

    /// Reads one key, linearizable. Returns the revision of the store, and the key if it is there.
    pub(crate) async fn get(&self, key: Bytes) -> Outcome<(i64, Option<KeyValue>)> {
        let request = RangeRequest { key, limit: 1, ..RangeRequest::default() };
        let mut answer = self.range(&request).await?;
        let revision = answer.header.map_or(0, |header| header.revision);
        Ok((revision, answer.kvs.pop()))
    }

    /// Makes a lease of `ttl`.
    pub(crate) async fn grant(&self, ttl: Duration) -> Outcome<i64> {
        let ttl = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let request = LeaseGrantRequest { ttl };
        let answer: LeaseGrantResponse =
            self.0.call("/etcdserverpb.Lease/LeaseGrant", &request, LARGEST_ANSWER).await?;
        match (answer.id, answer.error.as_str()) {
            (id, "") if id != 0 => Ok(id),
            (_, error) => Err(Failure::lost(format!("no lease: {error}"))),
        }
    }

    /// Renews a lease. Returns whether it is still there.
    pub(crate) async fn keep_alive(&self, lease: i64) -> Outcome<bool> {
        let request = LeaseKeepAliveRequest { id: lease };
        let path = "/etcdserverpb.Lease/LeaseKeepAlive";
        let answer: LeaseKeepAliveResponse = self.0.call(path, &request, LARGEST_ANSWER).await?;
        Ok(answer.ttl > 0)
    }

    /// Takes the host name: `create_revision(key) = 0 or value(key) = mine`. Returns whether it is ours.
    pub(crate) async fn claim(&self, fence: &Fence, lease: i64) -> Outcome<bool> {
        let (key, value) = (&fence.key, &fence.mine);
        let put = || {
            let (key, value) = (key.clone(), value.clone());
            op(Op::Put(PutRequest { key, value, lease, ignore_lease: false }))
        };
        let again = TxnRequest {
            compare: vec![fence.is_mine()],
            success: vec![put()],
            failure: Vec::new(),
        };
        let absent = Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Create as i32,
            key: fence.key.clone(),
            operand: Some(Operand::CreateRevision(0)),
        };
        let first = TxnRequest {
            compare: vec![absent],
            success: vec![put()],
            failure: vec![op(Op::Txn(again))],
        };
        let answer = self.txn(&first).await?;
        let is_again = |answer: &Answer| matches!(answer, Answer::Txn(inner) if inner.succeeded);
        let mut inner = answer.responses.iter().filter_map(|response| response.answer.as_ref());
        Ok(answer.succeeded || inner.any(is_again))
    }

    /// Changes keys, all under `lease`, if the host name is ours. Returns whether it is.
    pub(crate) async fn write(&self, fence: &Fence, lease: i64, writes: &[Write]) -> Outcome<bool> {
        let put = |key: &str, value: &Bytes, lease, ignore_lease| {
            let key = Bytes::copy_from_slice(key.as_bytes());
            op(Op::Put(PutRequest { key, value: value.clone(), lease, ignore_lease }))
        };
        let success = writes.iter().map(|write| match write {
            Write::Put(key, value) => put(key, value, lease, false),
            Write::Change(key, value) => put(key, value, 0, true),
            Write::Delete(key) => {
                op(Op::Delete(DeleteRangeRequest { key: Bytes::copy_from_slice(key.as_bytes()) }))
            }
        });
        let request = TxnRequest {
            compare: vec![fence.is_mine()],
            success: success.collect(),
            failure: Vec::new(),
        };
        Ok(self.txn(&request).await?.succeeded)
    }

    /// Asks whether this host could put `key`, and changes nothing: etcd checks the permissions of both
    /// branches of a transaction, and the one that puts is not taken.
    pub(crate) async fn may_write(&self, key: Bytes) -> Outcome<()> {
        let never = Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Version as i32,
            key: key.clone(),
            operand: Some(Operand::Version(-1)),
        };
        let put = PutRequest { key, ..PutRequest::default() };
        let request = TxnRequest {
            compare: vec![never],
            success: vec![op(Op::Put(put))],
            failure: Vec::new(),
        };
        self.txn(&request).await.map(|_| ())
    }

    /// Watches all keys between `key` and `end` from `revision` on.
    pub(crate) async fn watch(&self, key: &[u8], end: &[u8], revision: i64) -> Outcome<Watch> {
        Watch::open(&self.0, key, end, revision).await
    }

    async fn txn(&self, request: &TxnRequest) -> Outcome<TxnResponse> {
        self.0.call("/etcdserverpb.KV/Txn", request, LARGEST_ANSWER).await
    }
}

impl Fence {
    fn is_mine(&self) -> Compare {
        Compare {
            result: CompareResult::Equal as i32,
            target: CompareTarget::Value as i32,
            key: self.key.clone(),
            operand: Some(Operand::Value(self.mine.clone())),
        }
    }
}

fn op(op: Op) -> RequestOp {
    RequestOp { op: Some(op) }
}
