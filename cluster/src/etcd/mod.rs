//! A client of etcd 3.5: gRPC over HTTP/2 over mutual TLS. It listens nowhere.

mod client;
mod connect;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod grpc;
#[cfg(test)]
mod hostile;
mod messages;
mod pages;
mod tls;
mod watch;

pub(crate) use client::{Client, Fence, Write};
pub(crate) use connect::Connection;
pub(crate) use failure::{Failure, Outcome, code};
pub(crate) use messages::{KeyValue, RangeRequest};
pub(crate) use pages::Pages;
pub(crate) use tls::Tls;
pub(crate) use watch::{Asker, Change, News, Watch};
