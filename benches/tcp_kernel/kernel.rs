//! Linux' own TCP over the link: a sender and a receiver in namespaces of their own, in real time.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use _engine::engine::time::Clock;
use socket2::{Domain, Socket, Type};

use super::outcome::{Job, Outcome, Work};
use super::{tun, wire};

/// Runs all jobs at once. An error says why this machine does not let us.
pub fn run(jobs: &[Job]) -> io::Result<Vec<Outcome>> {
    // This thread moves, and then has seen both namespaces; the sockets stay where they were made.
    let (to_main, results) = mpsc::channel();
    let all = jobs.to_vec();
    std::thread::Builder::new().name("namespaces".into()).spawn(move || {
        let _ = to_main.send(prepare_and_run(&all));
    })?;
    results.recv().map_err(io::Error::other)?
}

fn prepare_and_run(jobs: &[Job]) -> io::Result<Vec<Outcome>> {
    let clock = Clock::new();
    let ends = |n: usize| (address(n, 1), address(n, 2));
    tun::new_namespace()?;
    let mut near = Vec::new();
    for (n, job) in jobs.iter().enumerate() {
        let (here, there) = ends(n);
        let device = tun::device(&format!("up{n}"), here, there)?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_tcp_congestion(job.algorithm.name().as_bytes())?;
        socket.set_tcp_nodelay(true)?;
        near.push((device, socket));
    }
    tun::new_namespace()?;
    let mut waiting = Vec::new();
    for (n, (job, (device, socket))) in jobs.iter().zip(near).enumerate() {
        let (there, here) = ends(n);
        let far = tun::device(&format!("down{n}"), here, there)?;
        let listener = TcpListener::bind(SocketAddr::from((here, PORT)))?;
        wire::lay(clock, &device, &far, job.link())?;
        let (done, outcome) = mpsc::channel::<io::Result<Outcome>>();
        let (starts, start) = mpsc::channel();
        let job = *job;
        wire::spawn("receiver", move || {
            let received = receive(&clock, &listener, &job, &start);
            let _ = done.send(received);
        })?;
        wire::spawn("sender", move || {
            let _keep = device.try_clone();
            // Where it fails, the receiver says so.
            let _ = send(&clock, socket, here, &job, &starts);
        })?;
        waiting.push((outcome, far, job.length * 4 + PATIENCE));
    }
    let outcome = |(outcome, _far, patience): (mpsc::Receiver<_>, File, Duration)| {
        outcome.recv_timeout(patience).map_err(io::Error::other)?
    };
    waiting.into_iter().map(outcome).collect()
}

fn send(
    clock: &Clock,
    socket: Socket,
    to: Ipv4Addr,
    job: &Job,
    starts: &mpsc::Sender<u64>,
) -> io::Result<()> {
    socket.connect_timeout(&SocketAddr::from((to, PORT)).into(), Duration::from_secs(5))?;
    let mut stream = std::net::TcpStream::from(socket);
    let start = clock.now() + Duration::from_millis(200);
    let _ = starts.send(start.0);
    wire::sleep_until(clock, start);
    match job.work {
        Work::Audio => {
            for n in 0..job.frames() {
                wire::sleep_until(clock, start + Job::INTERVAL * n as u32);
                stream.write_all(&[0; Job::FRAME])?;
            }
        }
        Work::Bulk => {
            let end = start + job.length;
            while clock.now() < end {
                stream.write_all(&[0; 16 << 10])?;
            }
        }
    }
    Ok(())
}

fn receive(
    clock: &Clock,
    listener: &TcpListener,
    job: &Job,
    start: &mpsc::Receiver<u64>,
) -> io::Result<Outcome> {
    let (mut stream, _) = listener.accept()?;
    let start = start.recv().map_err(io::Error::other)?;
    let mut outcome = Outcome::default();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = stream.read(&mut buffer)?;
        let at = clock.now().0.saturating_sub(start);
        if length == 0 || !outcome.arrived(job, at, length) {
            return Ok(outcome);
        }
    }
}

fn address(n: usize, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, n as u8, end)
}

const PORT: u16 = 12_345;
/// Longer than that nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
