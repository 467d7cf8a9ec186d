use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const LONG: Duration = Duration::from_secs(20);

fn receiver(max_connections: usize) -> TcpReceiver {
    TcpReceiver::bind(Some("127.0.0.1"), 0, Clock::new(), max_connections).unwrap()
}

fn client(receiver: &TcpReceiver) -> TcpStream {
    TcpStream::connect(receiver.local_addr()).unwrap()
}

/// What a receiver told, in words.
#[derive(Debug, Default)]
struct Diary {
    accepted: Vec<(ConnectionId, SocketAddr)>,
    refused: Vec<(SocketAddr, String)>,
    data: Vec<(ConnectionId, Vec<u8>)>,
    closed: Vec<(ConnectionId, Option<io::ErrorKind>)>,
}

impl Diary {
    fn note(&mut self, event: TcpEvent<'_>) {
        match event {
            TcpEvent::Accepted { id, address } => self.accepted.push((id, address)),
            TcpEvent::Refused { address, why } => self.refused.push((address, why.into())),
            TcpEvent::Data { id, bytes, .. } => self.data.push((id, bytes.to_vec())),
            TcpEvent::Closed { id, error } => self.closed.push((id, error.map(|e| e.kind()))),
        }
    }

    fn heard(&self, id: ConnectionId) -> Vec<u8> {
        self.data.iter().filter(|d| d.0 == id).flat_map(|d| d.1.clone()).collect()
    }

    /// Polls until `done`.
    fn follow(&mut self, receiver: &mut TcpReceiver, done: impl Fn(&Self) -> bool) {
        let deadline = Deadline::after(LONG);
        while !done(self) {
            assert!(!deadline.is_over(), "{self:?}");
            receiver.poll(deadline.left(), &mut |event| self.note(event)).unwrap();
        }
    }
}

#[test]
fn frames_to_a_peer_are_whole_however_slowly_it_reads() {
    let mut receiver = receiver(4);
    let mut client = client(&receiver);
    let mut diary = Diary::default();
    diary.follow(&mut receiver, |d| !d.accepted.is_empty());
    let id = diary.accepted[0].0;
    assert!(!receiver.send(ConnectionId(99), b"nobody"));
    let (mut expected, mut refused) = (Vec::new(), 0);
    while refused < 3 {
        let frame = vec![expected.len() as u8; 60_000];
        if receiver.send(id, &frame) {
            expected.extend_from_slice(&frame);
        } else {
            refused += 1;
        }
    }
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
    while heard.len() < expected.len() + 1 {
        match client.read(&mut piece) {
            Ok(count) => heard.extend_from_slice(&piece[..count]),
            // The rest waits for the next frame.
            Err(_) if receiver.send(id, b"!") => expected.push(b'!'),
            Err(_) => {}
        }
        if expected.last() == Some(&b'!') && heard.len() == expected.len() {
            break;
        }
    }
    assert!(heard == expected, "{} of {} bytes", heard.len(), expected.len());
}

#[test]
fn a_connection_is_accepted_read_and_closed_in_order() {
    let mut receiver = TcpReceiver::bind(None, 0, Clock::new(), 4).unwrap();
    let port = receiver.local_addr().port();
    for host in ["127.0.0.1", "::1"] {
        let mut diary = Diary::default();
        let mut client = TcpStream::connect((host, port)).unwrap();
        client.write_all(b"sound").unwrap();
        diary.follow(&mut receiver, |d| !d.data.is_empty());
        assert_eq!(diary.accepted[0].1, client.local_addr().unwrap());
        drop(client);
        diary.follow(&mut receiver, |d| !d.closed.is_empty());
        let id = diary.accepted[0].0;
        assert_eq!(diary.heard(id), b"sound");
        assert_eq!(diary.closed, [(id, None)]);
    }
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn a_half_closed_connection_is_heard_to_its_end() {
    let mut receiver = receiver(4);
    let mut diary = Diary::default();
    let mut client = client(&receiver);
    let sound = vec![5; 100_000];
    thread::scope(|s| {
        s.spawn(|| {
            client.write_all(&sound).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        });
        diary.follow(&mut receiver, |d| !d.closed.is_empty());
    });
    assert_eq!(diary.heard(diary.accepted[0].0), sound);
    assert_eq!(diary.closed[0].1, None);
    // The peer sees the end of our side too.
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_reset_connection_is_told_with_its_error() {
    let mut receiver = receiver(4);
    let mut diary = Diary::default();
    let client = client(&receiver);
    diary.follow(&mut receiver, |d| !d.accepted.is_empty());
    let client = Socket::from(client);
    client.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    diary.follow(&mut receiver, |d| !d.closed.is_empty());
    assert_eq!(diary.closed[0].1, Some(io::ErrorKind::ConnectionReset));
}

#[test]
fn one_connection_too_many_is_turned_away_and_the_others_go_on() {
    let mut receiver = receiver(1);
    let mut diary = Diary::default();
    let mut first = client(&receiver);
    diary.follow(&mut receiver, |d| d.accepted.len() == 1);
    let mut second = client(&receiver);
    diary.follow(&mut receiver, |d| d.refused.len() == 1);
    assert_eq!(diary.refused[0].0, second.local_addr().unwrap());
    assert!(diary.refused[0].1.contains("as many connections as allowed"));
    assert_eq!(second.read(&mut [0; 1]).unwrap(), 0);
    first.write_all(b"still here").unwrap();
    diary.follow(&mut receiver, |d| !d.data.is_empty());

    // Once it is gone there is room, and its end is not told.
    receiver.close(diary.accepted[0].0);
    let _third = client(&receiver);
    diary.follow(&mut receiver, |d| d.accepted.len() == 2);
    assert!(diary.closed.is_empty());
    assert_ne!(diary.accepted[0].0, diary.accepted[1].0);
}

#[test]
fn stalled_and_greedy_peers_hold_nobody_up() {
    let mut receiver = receiver(8);
    let mut diary = Diary::default();
    let _silent = client(&receiver);
    diary.follow(&mut receiver, |d| d.accepted.len() == 1);
    let greedy = client(&receiver);
    diary.follow(&mut receiver, |d| d.accepted.len() == 2);
    let mut modest = client(&receiver);
    diary.follow(&mut receiver, |d| d.accepted.len() == 3);
    let id = diary.accepted[2].0;
    modest.set_nodelay(true).unwrap();

    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            let much = vec![0; 65_536];
            let mut going = true;
            while going {
                going = (&greedy).write(&much).is_ok() && !stop.load(Ordering::Relaxed);
            }
        });
        for n in 0..50_u8 {
            modest.write_all(&[n]).unwrap();
            // What the greedy one has sent fills at most a round or two before the modest one's turn.
            let mut rounds = 0;
            while diary.heard(id).len() <= usize::from(n) {
                rounds += 1;
                assert!(rounds <= 3, "byte {n}");
                diary.data.retain(|d| d.0 == id);
                receiver.poll(LONG, &mut |event| diary.note(event)).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        receiver.close(diary.accepted[1].0);
        greedy.shutdown(std::net::Shutdown::Both).unwrap_or_default();
    });
    assert!(diary.heard(id).iter().copied().eq(0..50));
}

#[test]
fn a_server_can_start_again_at_once_but_not_twice() {
    let mut first = receiver(4);
    let port = first.local_addr().port();
    for bind in ["127.0.0.1", "0.0.0.0"] {
        let error = TcpReceiver::bind(Some(bind), port, Clock::new(), 4).unwrap_err();
        let expected = format!(
            "port {port} is already in use: stop the other program (ss -ltnp shows it) or choose another --port"
        );
        assert_eq!(error.message(), expected);
    }
    // The side that closes first keeps the port busy for a minute.
    let mut diary = Diary::default();
    let mut client = client(&first);
    diary.follow(&mut first, |d| !d.accepted.is_empty());
    drop(first);
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    drop(client);
    TcpReceiver::bind(Some("127.0.0.1"), port, Clock::new(), 4).unwrap();
}

#[test]
fn the_waker_ends_a_wait_at_once() {
    let mut receiver = receiver(4);
    let waker = receiver.waker();
    let long = Deadline::after(LONG);
    thread::scope(|s| {
        s.spawn(|| waker.wake());
        assert_eq!(receiver.poll(LONG, &mut |_| ()).unwrap(), 0);
    });
    assert!(long.left() > LONG / 2);
    assert_eq!(receiver.poll(Duration::ZERO, &mut |_| ()).unwrap(), 0);
}

/// Uses up all descriptors, hence in a process of its own.
#[cfg(target_os = "linux")]
#[test]
fn with_no_descriptor_left_a_peer_is_turned_away_and_the_thread_rests() {
    const CHILD: &str = "AUDIOSTREAM_TEST_NO_DESCRIPTORS";
    const NAME: &str = "with_no_descriptor_left_a_peer_is_turned_away_and_the_thread_rests";
    if std::env::var_os(CHILD).is_none() {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let mut receiver = receiver(100);
    let mut diary = Diary::default();
    let mut clients = [client(&receiver), client(&receiver)];
    let mut ballast = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        ballast.push(file);
    }
    diary.follow(&mut receiver, |d| !d.refused.is_empty());
    assert_eq!(diary.refused[0].0, clients[0].local_addr().unwrap());
    assert_eq!(clients[0].read(&mut [0; 1]).unwrap(), 0);
    // The other waits in the backlog, and the listener is not even looked at.
    assert_eq!(receiver.poll(Duration::from_millis(20), &mut |event| diary.note(event)).unwrap(), 0);
    assert!(receiver.accept_again.is_some());
    ballast.truncate(ballast.len() - 10);
    diary.follow(&mut receiver, |d| !d.accepted.is_empty());
    assert_eq!(diary.accepted[0].1, clients[1].local_addr().unwrap());
}
