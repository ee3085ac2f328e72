//! The rules that all listeners share, and the location service.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::*;
use crate::proto::binding::{Operation, StoreFailure, Stored};
use crate::proto::{AskId, Cause, Command, RegistrationId, Time};
use crate::store::{Answer, Store, StoreEvent};

#[tokio::test]
async fn a_listener_reports_the_port_that_the_system_chose() {
    for transport in Transport::ALL {
        for ip in [V4, V6] {
            let mut network = network(Config::default());
            let local = listening(&mut network, ONE, to(transport, SocketAddr::new(ip, 0))).await;
            assert_eq!(local.ip(), ip);
            assert_ne!(local.port(), 0);
        }
    }
}

#[tokio::test]
async fn a_wildcard_listener_leaves_the_other_family_alone() {
    for transport in Transport::ALL {
        let mut is_left_alone = false;
        // The port may be somebody else's in the other family.
        for _ in 0..20 {
            let mut network = network(Config::default());
            let any = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
            let v6 = listening(&mut network, ONE, to(transport, any)).await;
            assert_eq!(v6.ip(), any.ip());
            let same = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), v6.port());
            network.perform(Action::Listen { flow: TWO, transport, address: same });
            match event(&mut network).await {
                Event::Opened { flow: TWO, local } => {
                    assert_eq!(local, same);
                    is_left_alone = true;
                    break;
                }
                Event::Failed { flow: TWO, cause: Cause::LocalAddress, .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(is_left_alone, "{transport}");
    }
}

#[tokio::test]
async fn a_listener_that_cannot_be_bound_fails_with_its_cause() {
    for transport in Transport::ALL {
        let mut network = network(Config::default());
        let taken = listening(&mut network, ONE, to(transport, SocketAddr::new(V4, 0))).await;
        let foreign = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 1).into(), 0);
        for address in [taken, foreign] {
            network.perform(Action::Listen { flow: TWO, transport, address });
            match event(&mut network).await {
                Event::Failed { flow: TWO, peer, cause: Cause::LocalAddress } => assert_eq!(peer, address),
                other => panic!("{other:?}"),
            }
        }
        close(&mut network, ONE);
        assert_eq!(listening(&mut network, TWO, to(transport, taken)).await, taken);
    }
}

#[tokio::test]
async fn a_closed_listener_is_silent() {
    let mut network = network(Config::default());
    let any = SocketAddr::new(V4, 0);
    let udp = listening(&mut network, ONE, to(Transport::Udp, any)).await;
    let tcp = listening(&mut network, TWO, to(Transport::Tcp, any)).await;
    let other = FlowId(3);
    let goes_on = listening(&mut network, other, to(Transport::Udp, any)).await;
    let socket = UdpSocket::bind((V4, 0)).await.unwrap();
    socket.send_to(b"one", udp).await.unwrap();
    socket.send_to(b"two", udp).await.unwrap();
    socket.send_to(b"three", goes_on).await.unwrap();
    let _stream = TcpStream::connect(tcp).await.unwrap();
    // With the first datagram, the second and the connection are taken in as well.
    assert_eq!(received(&event(&mut network).await).2, b"one");
    close(&mut network, ONE);
    close(&mut network, TWO);
    assert_eq!(received(&event(&mut network).await), (other, socket.local_addr().unwrap(), &b"three"[..]));
    transmit(&mut network, ONE, socket.local_addr().unwrap(), "never sent");
    network.perform(Action::Listen { flow: FlowId(4), transport: Transport::Tcp, address: any });
    close(&mut network, FlowId(4));
    UdpSocket::bind(udp).await.expect("its port is free");
    socket.send_to(b"next", goes_on).await.unwrap();
    assert_eq!(received(&event(&mut network).await).2, b"next");
}

/// A store that notes the times of its operations and holds nothing.
struct Empty(Vec<Time>);

impl Store for Empty {
    fn submit(&mut self, _: AskId, operation: Operation, now: Time) -> Option<Answer> {
        assert!(self.0.iter().all(|earlier| *earlier <= now));
        self.0.push(now);
        match operation {
            Operation::Expire => {
                let next_expiry = Some(now);
                Some(Ok(Stored { bindings: [].into(), effects: vec![], next_expiry }))
            }
            Operation::Change(_) | Operation::Fetch(_) => Some(Err(StoreFailure::Failed)),
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<StoreEvent> {
        Poll::Pending
    }

    fn len(&self) -> usize {
        0
    }
}

#[tokio::test]
async fn the_answers_of_the_store_come_in_order_before_everything_else() {
    let mut network = network(Config::default());
    let local = listening(&mut network, ONE, to(Transport::Udp, SocketAddr::new(V4, 0))).await;
    let socket = UdpSocket::bind((V4, 0)).await.unwrap();
    socket.send_to(b"one", local).await.unwrap();
    socket.send_to(b"two", local).await.unwrap();
    assert_eq!(received(&event(&mut network).await).2, b"one");
    network.push(Event::Command(Command::GiveUp { registration: RegistrationId(1) }));

    let expire = |n| Action::Store { ask: AskId(n), operation: Operation::Expire };
    network.perform(expire(1));
    network.store_with(Box::new(Empty(vec![])));
    network.perform(expire(2));
    network.perform(expire(3));
    let mut answers = Vec::new();
    for _ in 0..3 {
        match event(&mut network).await {
            Event::Stored { ask, answer } => {
                answers.push((ask.0, answer.map(|stored| stored.next_expiry.is_some())))
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers, [(1, Err(StoreFailure::Unavailable)), (2, Ok(true)), (3, Ok(true))]);
    assert!(matches!(event(&mut network).await, Event::Command(_)));
    assert_eq!(received(&event(&mut network).await).2, b"two");
}

/// A store that answers when its other end does.
struct Remote {
    asked: Arc<Mutex<Vec<AskId>>>,
    events: mpsc::UnboundedReceiver<StoreEvent>,
}

impl Store for Remote {
    fn submit(&mut self, ask: AskId, _: Operation, _: Time) -> Option<Answer> {
        self.asked.lock().unwrap().push(ask);
        None
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StoreEvent> {
        match self.events.poll_recv(context) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn len(&self) -> usize {
        7
    }
}

/// RGR-008: as many operations are under way as may be; one more is answered as if the store were away, and its answers come
/// whenever they come.
#[tokio::test]
async fn a_store_that_answers_later_is_waited_for_and_has_only_so_much_under_way() {
    let mut network = network(Config::default());
    let (tell, events) = mpsc::unbounded_channel();
    let asked = Arc::new(Mutex::new(Vec::new()));
    network.store_with(Box::new(Remote { asked: Arc::clone(&asked), events }));
    let expire = |n| Action::Store { ask: AskId(n), operation: Operation::Expire };
    let most = 8192;
    for n in 1..=most + 1 {
        network.perform(expire(n));
    }
    assert_eq!(asked.lock().unwrap().len(), usize::try_from(most).unwrap());
    let refused = event(&mut network).await;
    assert!(
        matches!(refused, Event::Stored { ask, answer: Err(StoreFailure::Unavailable) } if ask.0 == most + 1)
    );
    for n in [5, 3, 4] {
        let answer = Err(StoreFailure::Failed);
        tell.send(StoreEvent::Answered { ask: AskId(n), answer }).unwrap();
    }
    for n in [5, 3, 4] {
        assert!(matches!(event(&mut network).await, Event::Stored { ask, .. } if ask.0 == n));
    }
    let load = network.store_load();
    assert_eq!((load.operations, load.failures, load.waiting, load.bindings), (most + 1, 4, most - 3, 7));
    // There is room again.
    network.perform(expire(most + 2));
    assert_eq!(asked.lock().unwrap().last(), Some(&AskId(most + 2)));
}
