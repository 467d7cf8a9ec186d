//! Sockets: datagrams and byte streams in and out, with what the kernel knows of them. Parses no media.
//!
//! Guaranteed: no call blocks longer than its timeout, and a [`waker::Waker`] ends it at once; nothing from a peer
//! panics; memory is bounded. Not guaranteed: anything about what the bytes mean.
//! Linux gives kernel receive times, drop counts and user timeouts; elsewhere the plain fallbacks stand in.

mod address;
mod ancillary;
pub mod failure;
pub mod ports;
pub mod resolve;
pub mod rest;
pub mod sleeper;
mod stamps;
mod sys;
pub mod tcp;
pub mod udp;
mod wait;
pub mod waker;
