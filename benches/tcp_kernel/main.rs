//! The model of TCP beside Linux' own, over the same seeded link: sound each 10 ms, and as much as goes.
//!
//! The kernel's connections run in network namespaces of their own, between TUN devices, in real time; the model's in virtual
//! time. `cargo bench --bench tcp_kernel` runs ten seeds for a minute each and prints the table of docs/lab-tcp.md;
//! `cargo test` runs a few for some seconds. Where the system refuses TUN devices or namespaces, it says so and why.

#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod model;
#[cfg(target_os = "linux")]
mod outcome;
#[cfg(target_os = "linux")]
mod tun;
#[cfg(target_os = "linux")]
mod wire;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    compare::main(&std::env::args().skip(1).collect::<Vec<_>>())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("tcp_kernel: left out: it compares with Linux' TCP");
}
