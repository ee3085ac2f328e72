//! The device's part: from the wish to be bound to what the registrar says of it, once or for as long as it
//! is kept.
//!
//! What the user wants is a [`plan::Plan`], what came of it an [`outcome::Report`]. A
//! [`registration::Registration`] carries a plan out; a [`schedule::Schedule`] says when it is carried out
//! again; a [`device::Device`] answers those who call where it is bound.

mod bindings;
pub mod contact;
pub mod device;
mod failover;
pub mod nat;
pub mod outcome;
pub(super) mod pacing;
pub mod plan;
mod refresh;
pub mod registration;
mod request;
mod response;
pub mod schedule;
mod targets;

pub use refresh::AWAY;
