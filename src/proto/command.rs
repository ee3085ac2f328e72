//! What a user can ask an endpoint to do.

use std::time::Duration;

use super::RegistrationId;
use super::client::device::Device;
use super::client::plan::Plan;
use super::digest::{Hidden, Users};
use crate::proto::registrar::service::Service;

/// What a user can ask an endpoint to do.
#[derive(Debug)]
pub enum Command {
    /// Carry the plan out once. The answer is one [`Notice::Finished`](super::Notice::Finished) under the same id.
    Register {
        /// Chosen by the caller; must not be in use.
        registration: RegistrationId,
        /// What is wanted.
        plan: Box<Plan>,
    },
    /// Answers [`Notice::PasswordWanted`](super::Notice::PasswordWanted); `None` means that nobody can or wants to tell.
    Password {
        /// Which registration asked.
        registration: RegistrationId,
        /// The password as typed.
        password: Option<Hidden>,
    },
    /// The time for the whole command is over: finish with what is known now.
    GiveUp {
        /// Which registration.
        registration: RegistrationId,
    },
    /// Bind, and keep bound until [`Command::StopKeeping`]. What happens is told by [`Notice::Account`](super::Notice::Account).
    Keep {
        /// As in [`Command::Register`].
        registration: RegistrationId,
        /// As in [`Command::Register`].
        plan: Box<Plan>,
        /// When the first try is due, from now: accounts that start together do better not to ask together.
        delay: Duration,
        /// How often an account that failed for good is tried again; `None`: never.
        probe: Option<Duration>,
    },
    /// Keep it bound by this plan from the next try on: of the same AOR at the same registrar.
    Revise {
        /// Which registration.
        registration: RegistrationId,
        /// What is wanted from now on.
        plan: Box<Plan>,
    },
    /// How those are answered who call.
    Answer(Device),
    /// Register again now what is kept bound, all or one.
    Refresh(Option<RegistrationId>),
    /// Remove what is kept bound within four seconds, all or one.
    StopKeeping(Option<RegistrationId>),
    /// Be a registrar until [`Command::StopServing`]. Once per endpoint.
    Serve(Box<Service>),
    /// The users changed: those of the requests that come from now on.
    Users(Box<Users>),
    /// Answer what has come and no more; [`ServerEvent::Stopped`](crate::proto::registrar::service::ServerEvent::Stopped) tells the end.
    StopServing,
}
