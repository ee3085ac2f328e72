//! What the parts of a registration cost: reading and writing messages, digest, the transaction, the whole exchange.
//!
//! `cargo bench --bench core` measures time. `tests/bench/instructions` counts instructions instead: it runs this
//! program under callgrind as `core --count <what> <times>`, twice, and takes the difference.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod message;
mod protocol;

use criterion::Criterion;

/// One thing that is measured: its name, and what runs it so many times.
type Case = (&'static str, Box<dyn Fn(usize)>);

fn cases() -> Vec<Case> {
    message::cases().into_iter().chain(protocol::cases()).collect()
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "--count", what, times] => {
            let times = times.parse().unwrap();
            match cases().iter().find(|(name, _)| *name == what) {
                Some((_, run)) => run(times),
                None => message::hostile(what, times),
            }
        }
        [_, "--shapes"] => message::SHAPES.iter().for_each(|(name, ..)| println!("{name}")),
        _ => {
            let mut criterion = Criterion::default().configure_from_args();
            for (name, run) in cases() {
                criterion.bench_function(name, |bench| bench.iter(|| run(1)));
            }
            criterion.final_summary();
        }
    }
}
