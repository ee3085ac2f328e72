//! The location service in memory.

use super::Store;
use crate::proto::Time;
use crate::proto::binding::{Operation, StoreFailure, Stored};

/// Bindings in memory: gone with the process.
#[derive(Debug, Default)]
pub struct Memory {}

impl Store for Memory {
    fn perform(&mut self, _operation: Operation, _now: Time) -> Result<Stored, StoreFailure> {
        Err(StoreFailure::Unavailable)
    }

    fn len(&self) -> usize {
        0
    }
}
