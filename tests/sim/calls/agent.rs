//! A user agent of RFC 3261, as small as one can be: it calls, is called, and hangs up, with all the copies that an
//! unreliable way needs, and no more.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::message::{Msg, host, uri};
use super::scenario::{CallPlan, Manner};
use sipreg::proto::FlowId;

const T1: u64 = 500;
const T2: u64 = 4000;
pub const PATIENCE: u64 = 64 * T1;

/// What an agent wants done.
pub enum Do {
    /// To the proxy: by this connection if it is still there.
    Send(String, Option<FlowId>),
    /// After so many milliseconds.
    After(u64, Tick),
}

/// What an agent has to think of.
#[derive(Clone, Debug)]
pub enum Tick {
    /// The call begins.
    Call,
    /// Timers A and E: a request goes once more.
    Resend { key: (String, String), gap: u64 },
    /// Timers B and F.
    GiveUp { key: (String, String) },
    /// A device says the next it has to say.
    Say { branch: String, at: usize },
    /// Timer G, or a 2xx again.
    Again { branch: String, gap: u64 },
    /// Timer H, or the end of repeating a 2xx.
    Over { branch: String },
    /// The caller gives up.
    HangUp,
    /// Nothing came of a CANCEL.
    Forget,
    /// The dialog with this own tag and that of the other is to end.
    Bye { dialog: (String, String) },
}

/// A request that waits.
struct Client {
    text: String,
    is_heard: bool,
    is_over: bool,
}

/// An INVITE that came to a device.
pub struct Server {
    invite: Msg,
    flow: Option<FlowId>,
    manner: Manner,
    tag: String,
    last: Option<String>,
    pub rang: bool,
    pub status: Option<u16>,
    pub is_acked: bool,
    pub is_cancelled: bool,
    is_over: bool,
}

impl Server {
    /// It takes no heed of a CANCEL, and nobody waits for it any more.
    pub fn is_forgotten(&self) -> bool {
        self.is_cancelled && (self.manner.ignores || self.manner.stubborn)
    }
}

pub struct Dialog {
    call_id: String,
    /// The row of From and that of To of our requests.
    from: String,
    to: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    ack: Option<String>,
    pub is_over: bool,
    /// The BYE of the other has come.
    pub heard_bye: bool,
    /// How ours was answered.
    pub said_bye: Option<u16>,
}

/// The call that an agent makes.
#[derive(Default)]
pub struct Call {
    invite: Option<(Msg, String)>,
    branch: String,
    /// Nobody waits for anything any more.
    pub is_over: bool,
    is_proceeding: bool,
    wants_to_hang_up: bool,
    pub is_cancelled: bool,
    pub accepted: bool,
    /// Final responses that are none of success, each once.
    pub refusals: Vec<String>,
}

pub struct Agent {
    pub name: String,
    pub at: SocketAddr,
    pub is_tcp: bool,
    pub is_dead: bool,
    /// The calls' plans: by Call-ID what a device does; for a caller only its own.
    plans: BTreeMap<String, (CallPlan, usize)>,
    clients: BTreeMap<(String, String), Client>,
    pub servers: BTreeMap<String, Server>,
    pub dialogs: BTreeMap<(String, String), Dialog>,
    pub call: Option<Call>,
    count: u32,
    /// What it wants done next.
    pub wishes: Vec<Do>,
}

impl Agent {
    pub fn new(name: String, at: SocketAddr, is_tcp: bool) -> Agent {
        Agent {
            name,
            at,
            is_tcp,
            is_dead: false,
            plans: BTreeMap::new(),
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            dialogs: BTreeMap::new(),
            call: None,
            count: 0,
            wishes: Vec::new(),
        }
    }

    /// What it does in a call: the number is its own among the devices.
    pub fn plan(&mut self, call_id: String, plan: CallPlan, device: usize) {
        self.plans.insert(call_id, (plan, device));
    }

    pub fn contact(&self) -> String {
        let transport = if self.is_tcp { ";transport=tcp" } else { "" };
        format!("<sip:{}@{}{transport}>", self.name, self.at)
    }

    fn via(&mut self) -> (String, String) {
        self.count += 1;
        let branch = format!("z9hG4bK{}x{}", self.name, self.count);
        let transport = if self.is_tcp { "TCP" } else { "UDP" };
        (format!("SIP/2.0/{transport} {};rport;branch={branch}", self.at), branch)
    }

    fn send(&mut self, text: String) {
        self.wishes.push(Do::Send(text, None));
    }

    fn after(&mut self, wait: u64, tick: Tick) {
        self.wishes.push(Do::After(wait, tick));
    }

    /// Sends a request in a client transaction.
    fn ask(&mut self, branch: String, method: &str, text: String) {
        let key = (branch, method.to_owned());
        self.clients.insert(key.clone(), Client { text: text.clone(), is_heard: false, is_over: false });
        self.send(text);
        if !self.is_tcp {
            self.after(T1, Tick::Resend { key: key.clone(), gap: T1 });
        }
        self.after(PATIENCE, Tick::GiveUp { key });
    }

    pub fn tick(&mut self, tick: Tick) {
        match tick {
            Tick::Call => self.begin(),
            Tick::Resend { key, gap } => {
                let is_invite = key.1 == "INVITE";
                let Some(client) = self.clients.get(&key).filter(|client| !client.is_over) else { return };
                if is_invite && client.is_heard {
                    return;
                }
                let text = client.text.clone();
                self.send(text);
                let gap = if is_invite { 2 * gap } else { (2 * gap).min(T2) };
                self.after(gap, Tick::Resend { key, gap });
            }
            Tick::GiveUp { key } => {
                let (is_invite, is_call) = (key.1 == "INVITE", matches!(&*key.1, "INVITE" | "MESSAGE"));
                let Some(client) = self.clients.get_mut(&key).filter(|client| !client.is_over) else {
                    return;
                };
                if is_invite && client.is_heard {
                    return;
                }
                client.is_over = true;
                if let Some(call) = self.call.as_mut().filter(|_| is_call) {
                    call.is_over = true;
                }
            }
            Tick::Say { branch, at } => self.say(&branch, at),
            Tick::Again { branch, gap } => {
                let Some(server) = self.servers.get(&branch).filter(|one| !one.is_acked && !one.is_over)
                else {
                    return;
                };
                let (last, flow) = (server.last.clone().unwrap_or_default(), server.flow);
                self.wishes.push(Do::Send(last, flow));
                let gap = (2 * gap).min(T2);
                self.after(gap, Tick::Again { branch, gap });
            }
            Tick::Over { branch } => {
                let Some(server) = self.servers.get_mut(&branch).filter(|one| !one.is_acked) else { return };
                server.is_over = true;
                // RFC 3261 §13.3.1.4: without an ACK the session ends.
                let dialog = (server.tag.clone(), server.invite.tag("From").to_owned());
                if self.dialogs.contains_key(&dialog) {
                    self.bye(&dialog);
                }
            }
            Tick::HangUp => {
                let Some(call) = self.call.as_mut().filter(|call| !call.is_over && !call.accepted) else {
                    return;
                };
                call.wants_to_hang_up = true;
                self.cancel();
            }
            Tick::Forget => {
                if let Some(call) = &mut self.call {
                    call.is_over = true;
                }
            }
            Tick::Bye { dialog } => self.bye(&dialog),
        }
    }

    /// Calls Heisenberg.
    fn begin(&mut self) {
        let (via, branch) = self.via();
        let (call_id, (plan, _)) = self.plans.first_key_value().expect("a plan");
        let (call_id, plan) = (call_id.clone(), plan.clone());
        let method = if plan.is_message { "MESSAGE" } else { "INVITE" };
        let breadth = plan.breadth.map(|breadth| format!("Max-Breadth: {breadth}\r\n")).unwrap_or_default();
        let text = format!(
            "{method} sip:heisenberg@munich.de SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n\
             From: <sip:{}@copenhagen.de>;tag=f{call_id}\r\nTo: <sip:heisenberg@munich.de>\r\nCall-ID: {call_id}\r\n\
             CSeq: 1 {method}\r\nContact: {}\r\n{breadth}Content-Length: 0\r\n\r\n",
            self.name,
            self.contact()
        );
        let invite = Some((Msg::parse(text.as_bytes()), via));
        self.call = Some(Call { invite, branch: branch.clone(), ..Call::default() });
        self.ask(branch, method, text);
        if !plan.is_message {
            self.after(plan.hangs_up.unwrap_or(900_000), Tick::HangUp);
        }
    }

    /// The ACK of a refusal, or a CANCEL.
    fn beside(&self, method: &str, to: &str) -> Option<String> {
        let (invite, via) = self.call.as_ref()?.invite.as_ref()?;
        Some(format!(
            "{method} {} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\n\
             CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n",
            invite.uri(),
            invite.row("From"),
            invite.call_id()
        ))
    }

    /// §9.1: not before something was heard.
    fn cancel(&mut self) {
        let Some(text) = self.beside("CANCEL", "<sip:heisenberg@munich.de>") else { return };
        let is_impatient = self.plans.values().any(|(plan, _)| plan.is_impatient);
        let Some(call) = &mut self.call else { return };
        if (call.is_proceeding || is_impatient) && !call.is_cancelled && !call.accepted && !call.is_over {
            call.is_cancelled = true;
            let branch = call.branch.clone();
            self.ask(branch, "CANCEL", text);
            self.after(PATIENCE, Tick::Forget);
        }
    }

    pub fn receive(&mut self, msg: &Msg, flow: Option<FlowId>) {
        match (msg.status(), msg.method()) {
            (Some(status), "INVITE") => self.on_invite_response(msg, status),
            (Some(status), "MESSAGE") => self.on_message_response(msg, status),
            (Some(status), _) => self.on_response(msg, status),
            (None, "INVITE") => self.on_invite(msg, flow),
            (None, "MESSAGE") => self.on_message(msg, flow),
            (None, "ACK") => self.on_ack(msg),
            (None, "CANCEL") => self.on_cancel(msg, flow),
            (None, "BYE") => self.on_bye(msg, flow),
            (None, other) => panic!("{other} came to {}", self.name),
        }
    }

    fn on_invite_response(&mut self, msg: &Msg, status: u16) {
        let key = (msg.branch().to_owned(), "INVITE".to_owned());
        assert_eq!(msg.rows("Via").count(), 1, "{}: the proxy's Via is left", self.name);
        let Some(client) = self.clients.get_mut(&key) else { return };
        client.is_heard = true;
        client.is_over |= status >= 200;
        let Some(call) = &mut self.call else { return };
        if status < 200 {
            call.is_proceeding = true;
            if call.wants_to_hang_up {
                self.cancel();
            }
            return;
        }
        if status >= 300 {
            let said = msg.said();
            if !call.refusals.contains(&said) {
                call.refusals.push(said);
            }
            call.is_over = true;
            let ack = self.beside("ACK", msg.row("To"));
            return ack.into_iter().for_each(|ack| self.send(ack));
        }
        let (was_accepted, is_cancelled) = (call.accepted, call.is_cancelled || call.wants_to_hang_up);
        call.accepted = true;
        call.is_over = true;
        self.acknowledge(msg, is_cancelled || was_accepted);
    }

    fn on_message_response(&mut self, msg: &Msg, status: u16) {
        assert_eq!(msg.rows("Via").count(), 1, "{}: the proxy's Via is left", self.name);
        let Some(client) = self.clients.get_mut(&(msg.branch().to_owned(), "MESSAGE".to_owned())) else {
            return;
        };
        let Some(call) = self.call.as_mut().filter(|_| status >= 200) else { return };
        (client.is_over, call.is_over) = (true, true);
        call.accepted |= status < 300;
        let said = msg.said();
        if status >= 300 && !call.refusals.contains(&said) {
            call.refusals.push(said);
        }
    }

    /// A 2xx: a dialog, of which one is wanted.
    fn acknowledge(&mut self, msg: &Msg, is_unwanted: bool) {
        let key = (msg.tag("From").to_owned(), msg.tag("To").to_owned());
        if !self.dialogs.contains_key(&key) {
            let dialog = Dialog {
                call_id: msg.call_id().to_owned(),
                from: msg.row("From").to_owned(),
                to: msg.row("To").to_owned(),
                target: uri(msg.row("Contact")).to_owned(),
                routes: msg.rows("Record-Route").rev().map(str::to_owned).collect(),
                cseq: 1,
                ack: None,
                is_over: false,
                heard_bye: false,
                said_bye: None,
            };
            self.dialogs.insert(key.clone(), dialog);
            let (branch, mut ack) = self.within(&key, "ACK", 1);
            if let Some(call) = self.call.as_ref().filter(|_| self.plans[msg.call_id()].0.is_old) {
                ack = ack.replace(&format!("branch={branch}\r\n"), &format!("branch={}\r\n", call.branch));
            }
            self.dialogs.get_mut(&key).expect("just made").ack = Some(ack);
            let (plan, _) = &self.plans[msg.call_id()];
            let talk = if plan.caller_ends { plan.talk } else { plan.talk + 200_000 };
            self.after(if is_unwanted { 0 } else { talk }, Tick::Bye { dialog: key.clone() });
        }
        let ack = self.dialogs[&key].ack.clone().unwrap_or_default();
        self.send(ack);
    }

    /// A request within a dialog, with its branch.
    fn within(&mut self, key: &(String, String), method: &str, cseq: u32) -> (String, String) {
        let (via, branch) = self.via();
        let Dialog { call_id, from, to, target, routes, .. } = &self.dialogs[key];
        if let Some(first) = routes.first() {
            assert_eq!(host(uri(first)), super::message::PROXY, "{}: {first} is not the proxy", self.name);
            let is_tcp = first.contains(";transport=tcp");
            assert_eq!(is_tcp, self.is_tcp, "{}: {first} is the other side's", self.name);
        }
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n{routes}From: {from}\r\nTo: {to}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        );
        (branch, text)
    }

    fn bye(&mut self, key: &(String, String)) {
        let Some(dialog) = self.dialogs.get_mut(key).filter(|dialog| !dialog.is_over) else { return };
        dialog.is_over = true;
        dialog.cseq += 1;
        let cseq = dialog.cseq;
        let (branch, text) = self.within(key, "BYE", cseq);
        self.ask(branch, "BYE", text);
    }

    /// The answer to a CANCEL or a BYE.
    fn on_response(&mut self, msg: &Msg, status: u16) {
        assert_eq!(msg.rows("Via").count(), 1, "{}: the proxy's Via is left", self.name);
        let key = (msg.branch().to_owned(), msg.method().to_owned());
        let Some(client) = self.clients.get_mut(&key) else {
            panic!("{}: {msg:?} answers nothing", self.name)
        };
        if status < 200 {
            return;
        }
        client.is_over = true;
        if key.1 == "CANCEL" && status == 481 {
            self.call.as_mut().expect("a caller").is_over = true;
        }
        let dialog = (msg.tag("From").to_owned(), msg.tag("To").to_owned());
        if let Some(dialog) = self.dialogs.get_mut(&dialog).filter(|_| key.1 == "BYE") {
            dialog.said_bye.get_or_insert(status);
        }
    }

    fn on_invite(&mut self, msg: &Msg, flow: Option<FlowId>) {
        let branch = msg.branch().to_owned();
        if let Some(server) = self.servers.get(&branch) {
            let is_invite = msg.method() == "INVITE";
            let is_silent =
                is_invite && (server.is_acked || server.status.is_some_and(|status| status < 300));
            let last = server.last.clone().filter(|_| !is_silent);
            return last.into_iter().for_each(|last| self.wishes.push(Do::Send(last, flow)));
        }
        assert_eq!(host(msg.uri()), self.at.to_string(), "{}: {} is somebody else", self.name, msg.uri());
        let (plan, device) = &self.plans[msg.call_id()];
        let manner = plan.manners[*device].clone();
        let server = Server {
            invite: msg.clone(),
            flow,
            tag: format!("dev{}x{}", self.name, self.servers.len()),
            last: None,
            rang: false,
            status: None,
            is_acked: false,
            is_cancelled: false,
            is_over: false,
            manner,
        };
        if let Some((wait, _)) = server.manner.says.first() {
            let wait = *wait;
            self.after(wait, Tick::Say { branch: branch.clone(), at: 0 });
        }
        self.servers.insert(branch, server);
    }

    /// A MESSAGE: answered once, with what would be the end of a call.
    fn on_message(&mut self, msg: &Msg, flow: Option<FlowId>) {
        let branch = msg.branch().to_owned();
        let is_new = !self.servers.contains_key(&branch);
        self.on_invite(msg, flow);
        if let Some(server) = self.servers.get_mut(&branch).filter(|_| is_new) {
            let says = &mut server.manner.says;
            says.retain(|(_, status)| *status >= 200);
            server.is_acked = true;
            // What was to be said first is the manner of a call.
            self.wishes.clear();
            if let Some((wait, _)) = self.servers[&branch].manner.says.first() {
                let wait = *wait;
                self.after(wait, Tick::Say { branch, at: 0 });
            }
        }
    }

    /// The next in its manner.
    fn say(&mut self, branch: &str, at: usize) {
        let Some(server) = self.servers.get(branch).filter(|server| server.status.is_none()) else { return };
        let status = server.manner.says[at].1;
        if let Some((wait, _)) = server.manner.says.get(at + 1) {
            let wait = *wait;
            self.after(wait, Tick::Say { branch: branch.to_owned(), at: at + 1 });
        }
        self.respond(branch, status);
    }

    fn respond(&mut self, branch: &str, status: u16) {
        let contact = format!("Contact: {}\r\n", self.contact());
        let server = self.servers.get_mut(branch).expect("an INVITE");
        let rest = match status {
            300..=399 => server.manner.moved.clone(),
            401 => "WWW-Authenticate: Digest realm=\"d\", nonce=\"n\"\r\n".to_owned(),
            407 => "Proxy-Authenticate: Digest realm=\"p\", nonce=\"n\"\r\n".to_owned(),
            503 => "Retry-After: 600\r\n".to_owned(),
            ..=299 => contact,
            _ => String::new(),
        };
        let tag = if status == 100 { "" } else { &server.tag };
        let text = server.invite.answer(status, tag, &rest);
        server.last = Some(text.clone());
        server.rang |= status > 100 && status < 200;
        let flow = server.flow;
        if status >= 200 {
            server.status = Some(status);
        }
        let is_message = server.invite.method() == "MESSAGE";
        if is_message {
            return self.wishes.push(Do::Send(text, flow));
        }
        if (200..300).contains(&status) {
            let invite = &server.invite;
            let key = (server.tag.clone(), invite.tag("From").to_owned());
            let dialog = Dialog {
                call_id: invite.call_id().to_owned(),
                from: format!("{};tag={}", invite.row("To"), server.tag),
                to: invite.row("From").to_owned(),
                target: uri(invite.row("Contact")).to_owned(),
                routes: invite.rows("Record-Route").map(str::to_owned).collect(),
                cseq: 0,
                ack: None,
                is_over: false,
                heard_bye: false,
                said_bye: None,
            };
            self.dialogs.insert(key, dialog);
        }
        self.wishes.push(Do::Send(text, flow));
        // A 2xx is repeated over any transport (§13.3.1.4).
        if status >= 300 && !self.is_tcp || (200..300).contains(&status) {
            self.after(T1, Tick::Again { branch: branch.to_owned(), gap: T1 });
        }
        if status >= 200 {
            self.after(PATIENCE, Tick::Over { branch: branch.to_owned() });
        }
    }

    fn on_ack(&mut self, msg: &Msg) {
        let key = (msg.tag("To").to_owned(), msg.tag("From").to_owned());
        let of_refusal = self.servers.get_mut(msg.branch());
        let is_refusal = of_refusal.is_some();
        let server = match of_refusal {
            Some(server) => server,
            None => {
                let of_success = self.servers.values_mut().find(|server| server.tag == key.0);
                of_success.unwrap_or_else(|| panic!("{}: {msg:?} is for nobody", self.name))
            }
        };
        let status = server.status.unwrap_or_default();
        assert_eq!(is_refusal, status >= 300, "{}: ACK of {status}: {msg:?}", self.name);
        let was_acked = std::mem::replace(&mut server.is_acked, true);
        let (plan, _) = &self.plans[msg.call_id()];
        let talk = if plan.caller_ends { plan.talk + 200_000 } else { plan.talk };
        if !was_acked && !is_refusal {
            self.after(talk, Tick::Bye { dialog: key });
        }
    }

    fn on_cancel(&mut self, msg: &Msg, flow: Option<FlowId>) {
        let branch = msg.branch().to_owned();
        let Some(server) = self.servers.get_mut(&branch) else {
            return self.wishes.push(Do::Send(msg.answer(481, "devgone", ""), flow));
        };
        assert_eq!(server.invite.row("Via"), msg.row("Via"), "{}: another Via", self.name);
        server.is_cancelled = true;
        if server.manner.ignores {
            return;
        }
        let text = msg.answer(200, &server.tag, "");
        let stops = server.status.is_none() && !server.manner.stubborn;
        self.wishes.push(Do::Send(text, flow));
        if stops {
            self.respond(&branch, 487);
        }
    }

    fn on_bye(&mut self, msg: &Msg, flow: Option<FlowId>) {
        let key = (msg.tag("To").to_owned(), msg.tag("From").to_owned());
        let status = match self.dialogs.get_mut(&key) {
            Some(dialog) => {
                dialog.is_over = true;
                dialog.heard_bye = true;
                200
            }
            None => 481,
        };
        // Who is called and hears BYE needs no ACK any more.
        for server in self.servers.values_mut().filter(|server| server.tag == key.0) {
            server.is_over = true;
        }
        self.wishes.push(Do::Send(msg.answer(status, "devgone", ""), flow));
    }

    /// Whether nobody waits for the device any more that has this tag in a dialog.
    pub fn is_forgotten(&self, tag: &str) -> bool {
        self.servers.values().any(|server| server.tag == tag && server.is_forgotten())
    }

    /// Whether nothing waits for anything.
    pub fn is_quiet(&self) -> bool {
        self.clients.iter().all(|((_, method), client)| client.is_over || method == "INVITE")
            && self.dialogs.values().all(|dialog| dialog.is_over)
            && self.call.as_ref().is_none_or(|call| call.is_over)
    }
}
