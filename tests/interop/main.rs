//! Registers with a real registrar, Kamailio, in all the situations of the laboratory in `lab/`.
//!
//! A laboratory for plain SIP and one for TLS and WebSocket per test process (see [`lab`]), one table (see [`table`]), five
//! transports over IPv4 and IPv6.
//! A new situation is one line in the table. What takes several processes is in [`memory`] and [`commands`], each with
//! [`device::Device`]s at domains of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends with what it met")]

mod checking;
mod commands;
mod device;
mod keeping;
mod lab;
mod memory;
mod readme;
#[allow(dead_code, reason = "Kamailio answers no STUN, so that nothing shows that a NAT was restarted")]
#[path = "../cli/relay.rs"]
mod relay;
#[allow(dead_code, reason = "what the broken worlds of tests/check use")]
#[path = "../check/report.rs"]
mod report;
mod run;
mod secure;
mod table;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use lab::Lab;
use table::{ROWS, Transport};

/// Rows under way at the same time. Most of them wait: for a slow answer, or for a timer.
const WORKERS: usize = 8;

/// Every row of the table ends as the table says, over each transport, over IPv4 and, where there is any, IPv6.
///
/// Shows REG-001, REG-010, REG-024, REG-029, RSP-006, RSP-007, RSP-017, RSP-021, RSP-023,
/// COD-005, COD-006, COD-009, COD-013, COD-024, TXN-014, TRN-001, TRN-012, AUT-001, AUT-005, AUT-009,
/// AUT-010, AUT-012, AUT-015, AUT-017, AUT-019, AUT-024, AUT-025, AUT-026, AUT-035, AUT-043, DES-030, SEC-001, WSS-003, WSS-007, WSS-009.
#[test]
fn every_situation_of_the_laboratory_ends_as_the_table_says() {
    let (plain, secure) = (Lab::shared(), Lab::secure());
    let ways = || Transport::usable().iter().chain(Transport::usable_secure());
    // A slow answer holds up the laboratory's connections: no time for the rows that are given up soon.
    let (brief, patient): (Vec<_>, Vec<_>) = ROWS
        .iter()
        .flat_map(|row| ways().map(move |transport| (row, *transport)))
        .filter(|(row, transport)| row.is_over(*transport))
        .partition(|(row, transport)| row.is_silent(*transport));
    let failures = Mutex::new(Vec::new());
    for runs in [&brief, &patient] {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some((row, transport)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let lab = if transport.is_plain() { plain } else { secure };
                        if let Err(text) = run::check(lab, row, *transport) {
                            let line = format!("== {} over {}\n{text}\n", row.name(), transport.name());
                            failures.lock().expect("no worker panicked").push(line);
                        }
                    }
                });
            }
        });
    }
    let mut failures = failures.into_inner().expect("no worker panicked");
    failures.sort();
    let runs = brief.len() + patient.len();
    println!("{} rows, {runs} runs, {} failed", ROWS.len(), failures.len());
    assert!(failures.is_empty(), "{} of {runs} runs:\n{}", failures.len(), failures.join("\n"));
}

/// Rows that share a domain and a user over one transport would see each other's bindings.
#[test]
fn no_two_rows_share_a_binding() {
    let mut seen = std::collections::BTreeMap::new();
    let all = || Transport::PLAIN.into_iter().chain(Transport::SECURE);
    for row in ROWS {
        for transport in all().filter(|transport| row.is_over(*transport)) {
            let place = (transport.is_plain(), row.domain(transport), row.person.on(transport).0);
            if let Some(other) = seen.insert(place.clone(), row.name()) {
                panic!("{other} and {} both use {place:?}", row.name());
            }
        }
    }
}
