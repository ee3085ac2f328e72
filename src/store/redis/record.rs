//! How one binding is written in a field of its hash: a JSON object.
//!
//! | member | what |
//! | --- | --- |
//! | `v` | [`VERSION`] of those that can read it |
//! | `contact`, `call_id`, `path` | as [`Binding`] has them; the instance and the reg-id are parameters of the contact |
//! | `q` | the preference in thousandths, if one is given |
//! | `cseq` | CSeq |
//! | `expires`, `refreshed` | when it runs out, and when it was refreshed last: milliseconds of the epoch by the clock of the store |
//! | `received` | where the REGISTER came from: `transport:address:port` |
//! | `way` | requests go there, and not to where the contact says |
//! | `node`, `run`, `flow` | which server took it, which process of that server, by which of its flows |
//!
//! Members that nobody here knows are kept, so that a server of an older version does not erase what a newer one wrote.

use std::borrow::Cow;

use super::node::{Node, Nodes, Offset};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::proto::binding::{Binding, Source, Texts};
use crate::proto::{FlowId, NodeId, Transport};
use crate::sip::Q;

/// The lowest version of this format that can read what is written here, and the highest that can be read.
const VERSION: u32 = 1;

/// Members of an object that have no name here.
pub(super) type Unknown = Map<String, Value>;

/// A binding as a field has it.
#[derive(Debug)]
pub(super) struct Record {
    pub binding: Binding,
    /// This server has taken it.
    pub is_own: bool,
    pub unknown: Option<Box<Unknown>>,
}

#[derive(Serialize, Deserialize)]
struct Object<'a> {
    v: u32,
    #[serde(borrow)]
    contact: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<u16>,
    #[serde(borrow)]
    call_id: Cow<'a, str>,
    cseq: u32,
    expires: u64,
    refreshed: u64,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    path: Cow<'a, str>,
    #[serde(borrow)]
    received: Cow<'a, str>,
    way: bool,
    #[serde(borrow)]
    node: Cow<'a, str>,
    #[serde(borrow)]
    run: Cow<'a, str>,
    flow: u64,
    #[serde(flatten)]
    unknown: Cow<'a, Unknown>,
}

/// A binding that this process has taken, as text.
pub(super) fn write(binding: &Binding, unknown: Option<&Unknown>, node: &Node, offset: Offset) -> String {
    let Source { flow, peer, transport, is_way, node: _ } = binding.source;
    let object = Object {
        v: VERSION,
        contact: binding.contact().into(),
        q: binding.q.map(Q::thousandths),
        call_id: binding.call_id().into(),
        cseq: binding.cseq,
        expires: offset.there(binding.expires),
        refreshed: offset.there(binding.refreshed),
        path: binding.path().into(),
        received: format!("{transport}:{peer}").into(),
        way: is_way,
        node: node.name.as_str().into(),
        run: node.run.as_str().into(),
        flow: flow.0,
        unknown: unknown.map_or_else(|| Cow::Owned(Unknown::new()), Cow::Borrowed),
    };
    // Nothing in it can't be written.
    serde_json::to_string(&object).unwrap_or_default()
}

/// A binding as [`write`] wrote it, here or in another process, whose connections are not those of this one. `None`: this
/// version can't read it.
pub(super) fn read(text: &[u8], nodes: &Nodes, offset: Offset) -> Option<Record> {
    let object: Object<'_> = serde_json::from_slice(text).ok()?;
    if object.v > VERSION {
        return None;
    }
    let (transport, peer) = object.received.split_once(':')?;
    let transport = Transport::parse(transport)?;
    let is_own = object.node == nodes.own().name;
    let node = nodes.id_of(&object.node, &object.run, !transport.is_reliable());
    let flow = if node == NodeId::GONE { FlowId::GONE } else { FlowId(object.flow) };
    let binding = Binding {
        texts: Texts::new(&object.contact, &object.call_id, &object.path),
        q: object.q.map(|q| Q::new(q).ok_or(())).transpose().ok()?,
        cseq: object.cseq,
        expires: offset.here(object.expires),
        refreshed: offset.here(object.refreshed),
        source: Source { flow, peer: peer.parse().ok()?, transport, is_way: object.way, node },
    };
    let unknown = object.unknown.into_owned();
    Some(Record { binding, is_own, unknown: (!unknown.is_empty()).then(|| Box::new(unknown)) })
}
