//! The counters of a server, for Prometheus.

use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::net::{Latency, StoreLoad};
use crate::proto::registrar::service::Counters;

/// The counters as text; `store`: which kind of store it is, and what it was asked; `left_out`: events, and texts on stderr, that
/// nobody read.
pub(super) fn text(
    counters: Option<Counters>,
    store: (&'static str, StoreLoad),
    left_out: (u64, u64),
) -> String {
    let mut registry = Registry::with_prefix("sipreg");
    registry.register_collector(Box::new(Counted(counters.unwrap_or_default(), store, left_out)));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

/// The classes of responses, as labels have them.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

#[derive(Debug)]
struct Counted(Counters, (&'static str, StoreLoad), (u64, u64));

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Counted(counted, (kind, store), (events, messages)) = self;
        let counters = [
            ("requests", "Requests received", counted.requests),
            ("retransmissions", "Copies of requests", counted.retransmissions),
            ("auth_failed", "Requests with credentials that were refused", counted.auth_failed),
            ("rate_limited", "Requests and logins beyond what their source may have", counted.rate_limited),
            ("malformed", "Messages that could not be served", counted.malformed),
            ("stray_responses", "Responses that nobody waits for", counted.stray),
            ("connections", "Connections that came in", counted.accepted),
            (
                "handshakes_failed",
                "Connections over TLS or WebSocket that were never usable",
                counted.handshakes_failed,
            ),
            ("connections_dropped", "Connections closed by a limit", counted.dropped),
            ("branches", "Branches that requests were forwarded on", counted.branches),
            ("branches_cancelled", "Branches that were cancelled", counted.cancelled),
            ("overload", "Requests not forwarded because too much was in progress", counted.overload),
            ("handed_over", "Branches that went to other nodes", counted.handed_over),
            ("from_nodes", "Requests that other nodes have sent", counted.from_nodes),
            ("flows_failed", "Requests of other nodes for connections that are gone", counted.flows_failed),
            ("strangers", "What came for nodes and from none", counted.strangers),
            ("dropped_events", "Events left out because nobody read them", *events),
            ("dropped_messages", "Texts on stderr left out because nobody read them", *messages),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        labelled(
            &mut encoder,
            "responses",
            "Responses sent",
            "class",
            CLASSES.iter().zip(counted.responses),
        )?;
        // A call does not end with a provisional response.
        let ended = CLASSES.iter().zip(counted.calls_ended).skip(1);
        labelled(&mut encoder, "calls_ended", "Calls by their final response", "class", ended)?;
        let fates = [
            (&"bound", counted.bound),
            (&"refreshed", counted.refreshed),
            (&"removed", counted.removed),
            (&"expired", counted.expired),
        ];
        labelled(&mut encoder, "binding_changes", "What became of bindings", "change", fates.into_iter())?;
        about_store(&mut encoder, kind, store)?;
        let held = u64::try_from(store.bindings).unwrap_or(u64::MAX);
        let gauges = [
            ("bindings", "Bindings held", held),
            ("calls", "Calls in progress", counted.calls),
            ("nodes", "Other nodes that are there", counted.nodes),
            (
                "forwarding",
                "Requests on their way, those that are answered and kept included",
                counted.forwarding,
            ),
            ("forwarding_octets", "Memory that they take, about", counted.forwarding_octets),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// The store's own, with a label that says which kind it is.
fn about_store(
    encoder: &mut DescriptorEncoder<'_>,
    kind: &str,
    store: &StoreLoad,
) -> Result<(), std::fmt::Error> {
    let label = [("store", kind)];
    let counters = [
        ("store_operations", "Changes and lists that the store was asked for", store.operations),
        ("store_failures", "Those that failed because it was away or overloaded", store.failures),
        ("store_conflicts", "Changes made anew because another server was quicker", store.conflicts),
    ];
    for (name, help, value) in counters {
        let counter = ConstCounter::new(value);
        let mut family = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
        counter.encode(family.encode_family(&label)?)?;
    }
    let waiting = ConstGauge::new(i64::try_from(store.waiting).unwrap_or(i64::MAX));
    let help = "Changes and lists that the store has not answered yet";
    let mut family = encoder.encode_descriptor("store_waiting", help, None, waiting.metric_type())?;
    waiting.encode(family.encode_family(&label)?)?;
    let Latency { counts, total } = store.latency;
    let bounds = Latency::BOUNDS.iter().map(|micros| Duration::from_micros(*micros).as_secs_f64());
    let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
    let help = "How long its answers took";
    let mut family =
        encoder.encode_descriptor("store_latency", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    let mut histogram = family.encode_family(&label)?;
    histogram.encode_histogram::<NoLabelSet>(total.as_secs_f64(), counts.iter().sum(), &buckets, None)
}

/// A family of counters that differ in a label.
fn labelled<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl Iterator<Item = (&'a &'a str, u64)>,
) -> Result<(), std::fmt::Error> {
    let kind = ConstCounter::new(0u64).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (value, count) in values {
        let counter = ConstCounter::new(count);
        counter.encode(family.encode_family(&[(label, *value)])?)?;
    }
    Ok(())
}
