//! What the commands that talk to a registrar have in common.

use super::keep::Keep;
use super::{Binding, Identity, List, Network, Output, Register, Removal, Request, Target, Unregister};
use crate::cli::config::locked::Locked;

/// What any of the commands that talk to a registrar was given.
pub struct Typed {
    /// The address of record.
    pub aor: Option<String>,
    /// Where the request goes.
    pub target: Target,
    /// Who asks.
    pub identity: Identity,
    /// What else the request says.
    pub request: Request,
    /// How it gets there.
    pub network: Network,
    /// What is shown of it.
    pub output: Output,
    /// For how long it is tried again.
    pub retry_for: Option<String>,
    /// What is wanted there.
    pub wish: Wish,
    /// The secrets that the configuration file names.
    pub locked: Vec<Locked>,
}

/// What is wanted of the registrar.
pub enum Wish {
    /// To bind.
    Register(Binding),
    /// To know, and perhaps that these are bound.
    List(Vec<String>),
    /// To remove.
    Unregister(Removal),
}

impl From<Register> for Typed {
    fn from(args: Register) -> Typed {
        let Register { aor, target, identity, binding, request, network, retry, output } = args;
        let wish = Wish::Register(binding);
        Typed {
            aor,
            target,
            identity,
            request,
            network,
            output,
            retry_for: retry.retry_for,
            wish,
            locked: Vec::new(),
        }
    }
}

impl Keep {
    /// What is wanted for one of the addresses.
    pub fn typed(&self, aor: &str) -> Typed {
        Typed {
            aor: Some(aor.to_owned()),
            target: self.target.clone(),
            identity: self.identity.clone(),
            request: self.request.clone(),
            network: self.network.clone(),
            output: self.output.clone(),
            retry_for: None,
            wish: Wish::Register(self.binding.clone()),
            locked: Vec::new(),
        }
    }
}

impl From<List> for Typed {
    fn from(args: List) -> Typed {
        let List { aor, contact, target, identity, request, network, retry, output } = args;
        let wish = Wish::List(contact);
        Typed {
            aor,
            target,
            identity,
            request,
            network,
            output,
            retry_for: retry.retry_for,
            wish,
            locked: Vec::new(),
        }
    }
}

impl From<Unregister> for Typed {
    fn from(args: Unregister) -> Typed {
        let Unregister { aor, removal, target, identity, request, network, retry, output } = args;
        let wish = Wish::Unregister(removal);
        Typed {
            aor,
            target,
            identity,
            request,
            network,
            output,
            retry_for: retry.retry_for,
            wish,
            locked: Vec::new(),
        }
    }
}
