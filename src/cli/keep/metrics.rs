//! The status of the accounts, for Prometheus.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::cli::report::board::AccountStatus;
use crate::proto::Time;

type Labels = Vec<(&'static str, String)>;

/// The metrics of all accounts, as text; `left_out`: events, and texts on stderr, that nobody read.
pub(super) fn text<'a>(
    all: impl Iterator<Item = &'a AccountStatus>,
    left_out: (u64, u64),
    now: Time,
) -> String {
    let mut registry = Registry::with_prefix("sipreg_keep");
    let (bound, left, next) = (Family::<Labels, Gauge>::default(), gauges(), gauges());
    let (tries, failures, calls) = (counters(), counters(), counters());
    for account in all {
        let labels = vec![("aor", account.aor.to_string())];
        let seconds =
            |at: Option<Time>| at.map_or(0, |at| i64::try_from(at.since(now).as_secs()).unwrap_or(i64::MAX));
        bound.get_or_create(&labels).set(i64::from(account.is_bound(now)));
        left.get_or_create(&labels).set(seconds(account.until));
        next.get_or_create(&labels).set(seconds(account.next));
        tries.get_or_create(&labels).inc_by(account.tries.into());
        failures.get_or_create(&labels).inc_by(account.failures.into());
        calls.get_or_create(&labels).inc_by(account.calls.into());
    }
    registry.register("bound", "Whether it is bound", bound);
    registry.register("lease_seconds", "Seconds that it is bound for", left);
    registry.register("next_attempt_seconds", "Seconds until the next try", next);
    registry.register("attempts", "Tries that have ended", tries);
    registry.register("failures", "Tries that failed", failures);
    registry.register("incoming", "Requests of others that were answered", calls);
    let (events, messages) = (Counter::<u64>::default(), Counter::<u64>::default());
    events.inc_by(left_out.0);
    messages.inc_by(left_out.1);
    registry.register("dropped_events", "Events left out because nobody read them", events);
    registry.register("dropped_messages", "Texts on stderr left out because nobody read them", messages);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

fn gauges() -> Family<Labels, Gauge> {
    Family::default()
}

fn counters() -> Family<Labels, Counter> {
    Family::default()
}
