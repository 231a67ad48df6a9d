//! Numbers of gRPC calls, under the names of go-grpc-prometheus, which etcd's dashboards and alerts ask for.
//!
//! Every method that the descriptors name is there from the start with all codes at zero, as with etcd: a rate over a
//! counter that appears with its first failure would not see that failure. So the table of methods never changes, and
//! counting takes no lock: a search in it, and additions. Times are on the page once a method has been called.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Code;

use super::durations::Durations;
use crate::gateway;

/// Codes of gRPC, from 0 on.
const CODES: usize = 17;

/// All methods.
pub(crate) struct CallMetrics {
    /// In the order of their paths.
    methods: Vec<MethodMetrics>,
}

/// Numbers of one method.
pub(crate) struct MethodMetrics {
    /// As in `/etcdserverpb.KV/Range`.
    path: String,
    service: String,
    name: String,
    kind: &'static str,
    started: AtomicU64,
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    handled: [AtomicU64; CODES],
    seconds: Durations,
}

impl CallMetrics {
    pub(super) fn new() -> CallMetrics {
        let mut methods = Vec::new();
        for descriptors in [gateway::DESCRIPTORS, tonic_health::pb::FILE_DESCRIPTOR_SET] {
            let pool = DescriptorPool::decode(descriptors).expect("made when this was built");
            let found = pool.services().flat_map(|service| {
                let methods: Vec<MethodDescriptor> = service.methods().collect();
                methods
            });
            methods.extend(found.map(|method| MethodMetrics::new(&method)));
        }
        methods.sort_by(|one, other| one.path.cmp(&other.path));
        CallMetrics { methods }
    }

    /// Where the method of this path is in the table; none for a path that nothing serves.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        let found = self
            .methods
            .binary_search_by(|method| method.path.as_str().cmp(path));
        found.ok()
    }

    /// `method` is what [`find`](Self::find) gave.
    pub(crate) fn of(&self, method: usize) -> &MethodMetrics {
        &self.methods[method]
    }

    fn sum(&self, number: fn(&MethodMetrics) -> &AtomicU64) -> u64 {
        let numbers = self.methods.iter().map(number);
        numbers.map(|number| number.load(Ordering::Relaxed)).sum()
    }
}

impl MethodMetrics {
    fn new(method: &MethodDescriptor) -> MethodMetrics {
        let service = method.parent_service().full_name().to_owned();
        let kind = match (method.is_client_streaming(), method.is_server_streaming()) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        };
        MethodMetrics {
            path: format!("/{service}/{}", method.name()),
            service,
            name: method.name().to_owned(),
            kind,
            started: AtomicU64::default(),
            messages_received: AtomicU64::default(),
            messages_sent: AtomicU64::default(),
            bytes_received: AtomicU64::default(),
            bytes_sent: AtomicU64::default(),
            handled: Default::default(),
            seconds: Durations::default(),
        }
    }

    pub(crate) fn start(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    /// A piece of the request, with so many ends of messages in it.
    pub(crate) fn received(&self, bytes: usize, messages: u64) {
        self.bytes_received
            .fetch_add(bytes as u64, Ordering::Relaxed);
        self.messages_received
            .fetch_add(messages, Ordering::Relaxed);
    }

    /// A piece of the answer, with so many ends of messages in it.
    pub(crate) fn sent(&self, bytes: usize, messages: u64) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.messages_sent.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn handle(&self, code: Code, took: Duration) {
        self.handled[code as usize].fetch_add(1, Ordering::Relaxed);
        self.seconds.observe(took);
    }

    fn labels(&self) -> [(&'static str, &str); 3] {
        [
            ("grpc_method", &self.name),
            ("grpc_service", &self.service),
            ("grpc_type", self.kind),
        ]
    }
}

/// How gRPC for Go writes codes.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

/// The table on the page.
#[derive(Clone)]
pub(super) struct CallCollector(pub(super) std::sync::Arc<CallMetrics>);

impl fmt::Debug for CallCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} methods", self.0.methods.len())
    }
}

/// A name, what it says, and the number of a method.
type Named = (&'static str, &'static str, fn(&MethodMetrics) -> &AtomicU64);

const COUNTERS: [Named; 3] = [
    ("grpc_server_started", "Calls started", |of| &of.started),
    (
        "grpc_server_msg_received",
        "Messages of calls that have come, whole",
        |of| &of.messages_received,
    ),
    (
        "grpc_server_msg_sent",
        "Messages of answers handed to the connection",
        |of| &of.messages_sent,
    ),
];

const SUMS: [Named; 2] = [
    (
        "etcd_network_client_grpc_received_bytes",
        "Bytes of calls from clients, five for each message included",
        |of| &of.bytes_received,
    ),
    (
        "etcd_network_client_grpc_sent_bytes",
        "Bytes of answers to clients, five for each message included",
        |of| &of.bytes_sent,
    ),
];

impl Collector for CallCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, number) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for method in &self.0.methods {
                let value = number(method).load(Ordering::Relaxed);
                let labels = method.labels();
                let mut one = family.encode_family(&labels)?;
                one.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
            }
        }
        for (name, help, number) in SUMS {
            let mut sum = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            sum.encode_counter::<NoLabelSet, u64, f64>(&self.0.sum(number), None)?;
        }
        self.encode_handled(&mut encoder)?;
        self.encode_seconds(&mut encoder)
    }
}

impl CallCollector {
    fn encode_handled(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Calls handled, by how they ended";
        let kind = MetricType::Counter;
        let mut family = encoder.encode_descriptor("grpc_server_handled", help, None, kind)?;
        for method in &self.0.methods {
            let [name, service, kind] = method.labels();
            for (code, count) in (0_i32..).zip(&method.handled) {
                let code = ("grpc_code", code_name(Code::from_i32(code)));
                let value = count.load(Ordering::Relaxed);
                let labels = [code, name, service, kind];
                let mut one = family.encode_family(&labels)?;
                one.encode_counter::<NoLabelSet, u64, f64>(&value, None)?;
            }
        }
        Ok(())
    }

    fn encode_seconds(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (name, help) = (
            "grpc_server_handling_seconds",
            "From the start of a call until its answer is handed to the connection",
        );
        let kind = MetricType::Histogram;
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for method in &self.0.methods {
            let (sum, count, buckets) = method.seconds.read();
            if count > 0 {
                let labels = method.labels();
                let mut one = family.encode_family(&labels)?;
                one.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}
