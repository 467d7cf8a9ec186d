use std::net::UdpSocket;
use std::thread;

use super::*;
use crate::engine::time::Micros;

const LONG: Duration = Duration::from_secs(20);

fn receiver() -> UdpReceiver {
    UdpReceiver::bind(Some("127.0.0.1"), None, 0, Clock::new()).unwrap()
}

fn client(receiver: &UdpReceiver) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", receiver.local_addr().port())).unwrap();
    client
}

/// The next `count` datagrams: sender, arrival, bytes, truncated.
fn take(receiver: &mut UdpReceiver, count: usize) -> Vec<(SocketAddr, Micros, Vec<u8>, bool)> {
    let deadline = Deadline::after(LONG);
    let mut all = Vec::new();
    while all.len() < count && !deadline.is_over() {
        receiver
            .receive(deadline.left(), &mut |d| {
                all.push((d.address, d.arrival, d.bytes.to_vec(), d.truncated));
            })
            .unwrap();
    }
    assert_eq!(all.len(), count);
    all
}

#[test]
fn both_families_reach_one_receiver_and_are_shown_as_they_are() {
    let mut receiver = UdpReceiver::bind(None, None, 0, Clock::new()).unwrap();
    let port = receiver.local_addr().port();
    for local in ["127.0.0.1", "::1"] {
        let client = UdpSocket::bind((local, 0)).unwrap();
        client.send_to(local.as_bytes(), (local, port)).unwrap();
        let got = take(&mut receiver, 1);
        assert_eq!(got[0].0, client.local_addr().unwrap());
        assert_eq!(got[0].2, local.as_bytes());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_packet_has_the_time_of_its_coming_not_of_its_reading() {
    let mut receiver = receiver();
    let client = client(&receiver);
    let clock = receiver.clock;
    let mut sent = Vec::new();
    let near = Duration::from_millis(1);
    let mut idle = UdpReceiver::bind(Some("127.0.0.1"), None, 0, clock).unwrap();
    let mut pause = || idle.receive(Duration::from_millis(3), &mut |_| unreachable!()).unwrap();
    // The kernel takes a moment to begin.
    let begun = (0..1000).any(|_| {
        client.send(b"begun?").unwrap();
        let after = clock.now();
        pause();
        take(&mut receiver, 1)[0].1 <= after + near
    });
    assert!(begun);
    for i in 0..20_u8 {
        let before = clock.now();
        client.send(&[i]).unwrap();
        sent.push((before, clock.now()));
        pause();
    }
    let got = take(&mut receiver, sent.len());
    for (i, (_, arrival, bytes, _)) in got.iter().enumerate() {
        let (before, after) = sent[i];
        assert_eq!(bytes, &[i as u8]);
        assert!(before - near <= *arrival && *arrival <= after + near, "{before:?} {arrival:?} {after:?}");
    }
    assert!(got.windows(2).all(|two| two[0].1 <= two[1].1));
}

#[test]
fn the_longest_datagram_comes_whole() {
    let mut receiver = receiver();
    let long: Vec<u8> = (0..65_507_u32).map(|i| i as u8).collect();
    client(&receiver).send(&long).unwrap();
    let got = take(&mut receiver, 1);
    assert!(got[0].2 == long && !got[0].3);
}

#[test]
fn a_truncated_datagram_is_marked() {
    let mut receiver = receiver();
    receiver.ear = Ear::new(receiver.clock, 100);
    let client = client(&receiver);
    client.send(&[7; 101]).unwrap();
    client.send(&[8; 100]).unwrap();
    client.send(&[]).unwrap();
    let got = take(&mut receiver, 3);
    assert_eq!((got[0].2.as_slice(), got[0].3), ([7; 100].as_slice(), true));
    assert_eq!((got[1].2.as_slice(), got[1].3), ([8; 100].as_slice(), false));
    assert_eq!((got[2].2.as_slice(), got[2].3), ([].as_slice(), false));
}

#[test]
fn a_batch_ends_and_the_next_goes_on() {
    let mut receiver = receiver();
    let client = client(&receiver);
    let all = BATCH + BATCH / 2;
    (0..all).for_each(|n| _ = client.send(&n.to_be_bytes()).unwrap());
    let mut order = Vec::new();
    assert_eq!(receiver.receive(LONG, &mut |d| order.push(d.bytes.to_vec())).unwrap(), BATCH);
    assert_eq!(receiver.receive(LONG, &mut |d| order.push(d.bytes.to_vec())).unwrap(), BATCH / 2);
    assert!(order.iter().enumerate().all(|(n, bytes)| bytes[..] == n.to_be_bytes()));
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_drops_is_counted_to_the_last() {
    let mut receiver = receiver();
    receiver.socket.set_recv_buffer_size(16 * 1024).unwrap();
    assert_eq!(receiver.kernel_drops(), 0);
    let client = client(&receiver);
    let mut arrived = 0;
    for round in 1..=3 {
        for _ in 0..200 {
            client.send(&[0; 894]).unwrap();
        }
        while receiver.receive(Duration::ZERO, &mut |_| arrived += 1).unwrap() > 0 {}
        let dropped = receiver.kernel_drops();
        assert!(dropped > 0);
        assert_eq!(arrived + dropped, round * 200);
    }
}

#[test]
fn a_wrapped_drop_counter_goes_on() {
    assert_eq!(extended(5, 5), 5);
    assert_eq!(extended(0x1_ffff_ffff, 10), 0x2_0000_000a);
}

#[test]
fn the_receive_buffer_holds_a_burst_of_a_thousand_senders() {
    let receiver = receiver();
    assert!(receiver.socket.recv_buffer_size().unwrap() >= 256 * 1024);
}

#[test]
fn the_waker_ends_a_wait_at_once() {
    let mut receiver = receiver();
    let waker = receiver.waker();
    let long = Deadline::after(LONG);
    waker.wake();
    waker.wake();
    assert_eq!(receiver.receive(LONG, &mut |_| ()).unwrap(), 0);
    thread::scope(|s| {
        s.spawn(|| waker.wake());
        assert_eq!(receiver.receive(LONG, &mut |_| ()).unwrap(), 0);
    });
    assert!(long.left() > LONG / 2);
    // And the wakes are used up.
    let short = Deadline::after(Duration::from_millis(20));
    assert_eq!(receiver.receive(Duration::from_millis(30), &mut |_| ()).unwrap(), 0);
    assert!(short.is_over());
}

#[test]
fn the_waker_ends_a_rest_too_and_what_comes_meanwhile_is_taken_after_it() {
    let mut receiver = receiver();
    let (client, waker) = (client(&receiver), receiver.waker());
    for _ in 0..3 {
        (0..MANY).for_each(|_| _ = client.send(b"many").unwrap());
        let mut count = 0;
        while count < MANY {
            count += receiver.receive(LONG, &mut |_| ()).unwrap();
        }
        receiver.busy = true;
        client.send(b"one").unwrap();
        waker.wake();
        assert_eq!(receiver.receive(LONG, &mut |_| unreachable!()).unwrap(), 0);
        assert_eq!(receiver.receive(LONG, &mut |_| ()).unwrap(), 1);
        assert!(!receiver.busy, "one is not many");
    }
}

#[test]
fn it_answers_from_the_address_that_was_spoken_to() {
    let mut receiver = UdpReceiver::bind(None, None, 0, Clock::new()).unwrap();
    let port = receiver.local_addr().port();
    // All of 127.0.0.0/8 is this machine, and 127.0.0.1 what the routing table would choose.
    for (own, spoken) in [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "127.0.0.7"), ("::1", "::1")] {
        let client = UdpSocket::bind((own, 0)).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client.connect((spoken, port)).unwrap();
        client.send(b"?").unwrap();
        let mut heard = None;
        receiver.receive(LONG, &mut |d| heard = Some((d.address, d.local, d.beside))).unwrap();
        let (address, local, beside) = heard.unwrap();
        assert!(!beside);
        #[cfg(target_os = "linux")]
        assert_eq!(local, Some(spoken.parse().unwrap()));
        assert!(receiver.send(b"!", address, local, false));
        // A connected socket hears nobody but whom it spoke to.
        assert_eq!(client.recv(&mut [0; 8]).unwrap(), 1);
    }
}

#[test]
fn the_port_beside_is_heard_where_it_is_free() {
    let mut both = (0..100).find_map(|_| {
        let mut receiver = receiver();
        receiver.listen_beside().then_some(receiver)
    });
    let receiver = both.as_mut().unwrap();
    let port = receiver.local_addr().port();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client.send_to(b"beside", ("127.0.0.1", port + 1)).unwrap();
    let mut heard = Vec::new();
    receiver.receive(LONG, &mut |d| heard.push((d.bytes.to_vec(), d.beside, d.address))).unwrap();
    assert_eq!(heard, [(b"beside".to_vec(), true, client.local_addr().unwrap())]);
    assert!(receiver.send(b"!", client.local_addr().unwrap(), None, true));
    assert_eq!(client.recv_from(&mut [0; 8]).unwrap().1.port(), port + 1);
    // A port that is taken is no error.
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let below = taken.local_addr().unwrap().port() - 1;
    if let Ok(mut receiver) = UdpReceiver::bind(Some("127.0.0.1"), None, below, Clock::new()) {
        assert!(!receiver.listen_beside());
    }
}

#[test]
fn a_port_in_use_says_what_to_do() {
    let first = UdpReceiver::bind(None, None, 0, Clock::new()).unwrap();
    let port = first.local_addr().port();
    for bind in [None, Some("127.0.0.1")] {
        let error = UdpReceiver::bind(bind, None, port, Clock::new()).unwrap_err();
        assert_eq!(
            error.message(),
            format!(
                "port {port} is already in use: stop the other program (ss -lunp shows it) or choose another --port"
            )
        );
        assert!(error.errno().is_some());
    }
}

#[test]
fn a_strange_address_says_what_to_do() {
    let error = UdpReceiver::bind(Some("192.0.2.77"), None, 0, Clock::new()).unwrap_err();
    assert!(error.message().contains("192.0.2.77 is not an address of this machine"), "{error}");
    let error = UdpReceiver::bind(Some("no-such-host.invalid"), None, 0, Clock::new()).unwrap_err();
    assert!(error.message().contains("unknown host"), "{error}");
}
