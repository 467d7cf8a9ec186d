//! libopus, made safe: the only file that talks to it.
//!
//! Its states live in memory of ours. That makes a copy of one a copy of memory, which libopus allows ("the decoder state is always
//! continuous in memory and only a shallow copy is sufficient to copy it", opus.h), and nothing has to be freed by it.

#![allow(unsafe_code, reason = "a C library; each call says why it is sound")]

use std::ffi::c_int;
use std::ptr;

use opusic_sys as sys;

use super::encoder::Settings;
use super::toc::{MAX_FRAME_BYTES, Toc};
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;

/// Decodes Opus packets at 48 kHz, whatever they hold, to one or two channels.
pub struct OpusDecoder {
    channels: usize,
    /// Holds an initialised `OpusDecoder` of `channels`.
    state: State,
    /// Holds an initialised `OpusDREDDecoder`.
    dred_decoder: State,
    /// Holds an `OpusDRED`, which needs no initialisation.
    dred: State,
}

/// A copy of a decoder's state.
#[derive(Default)]
pub struct OpusSnapshot {
    /// Zero while it is empty.
    channels: usize,
    state: State,
}

/// Encodes Opus packets from 48 kHz.
pub struct OpusEncoder {
    channels: usize,
    /// Holds an initialised `OpusEncoder` of `channels`.
    state: State,
}

impl OpusDecoder {
    pub fn new(format: Format) -> Result<Self> {
        let channels = at_48_khz(format)?;
        // SAFETY: these functions only compute.
        let [bytes, dred_decoder_bytes, dred_bytes] = unsafe {
            [
                sys::opus_decoder_get_size(channels as c_int),
                sys::opus_dred_decoder_get_size(),
                sys::opus_dred_get_size(),
            ]
        };
        let mut decoder = Self {
            channels,
            state: State::new(bytes)?,
            dred_decoder: State::new(dred_decoder_bytes)?,
            dred: State::new(dred_bytes)?,
        };
        // SAFETY: both point to as much writable, aligned memory as libopus has asked for.
        unsafe {
            done(sys::opus_decoder_init(decoder.state.as_mut_ptr(), RATE, channels as c_int))?;
            done(sys::opus_dred_decoder_init(decoder.dred_decoder.as_mut_ptr()))?;
            done(sys::opus_decoder_ctl(
                decoder.state.as_mut_ptr(),
                sys::OPUS_SET_COMPLEXITY_REQUEST,
                DECODER_COMPLEXITY,
            ))?;
        }
        Ok(decoder)
    }

    /// Appends the `frames` frames of `packet`, which is well-formed; `false` and nothing where libopus refuses it.
    pub fn decode(&mut self, packet: &[u8], frames: u32, out: &mut Vec<i16>) -> bool {
        self.append(frames, out, |state, sound, frames| {
            // SAFETY: `state` is initialised; `packet` is readable for its length; `sound` has room for `frames` frames of the
            // state's channels, and libopus writes no more than it is told there is room for.
            unsafe { sys::opus_decode(state, packet.as_ptr(), packet.len() as i32, sound, frames, 0) }
        })
    }

    /// Appends exactly `frames` frames that stand for those lost before `next`, a well-formed packet or nothing. Returns how many of the last are repaired.
    pub fn bridge(&mut self, frames: u32, next: &[u8], out: &mut Vec<i16>) -> u32 {
        let fec = Self::fec_frames(frames, next);
        let dred = self.dred_frames(frames, next);
        // libopus makes up multiples of 2.5 ms: what that is too much is taken off the front.
        let excess = frames.next_multiple_of(STEP) - frames;
        let start = out.len();
        let mut left = frames + excess;
        let mut repaired = 0;
        while left > fec {
            let piece = match (left - fec) % PIECE {
                0 => PIECE,
                rest => rest,
            };
            let covered = left <= dred && self.regenerate(left, piece, out);
            if !covered {
                self.extrapolate(piece, out);
            }
            repaired = if covered { repaired + piece } else { 0 };
            left -= piece;
        }
        if fec > 0 && self.decode_fec(next, fec, out) {
            repaired += fec;
        } else if fec > 0 {
            self.extrapolate(fec, out);
            repaired = 0;
        }
        out.drain(start..start + excess as usize * self.channels);
        repaired.min(frames)
    }

    pub fn snapshot(&self, into: &mut OpusSnapshot) {
        into.channels = self.channels;
        into.state.0.clone_from(&self.state.0);
    }

    pub fn restore(&mut self, from: &OpusSnapshot) {
        if from.channels == self.channels {
            self.state.0.clone_from(&from.state.0);
        }
    }

    /// How many frames right before `next` its in-band FEC holds; 0 where the hole is shorter.
    fn fec_frames(frames: u32, next: &[u8]) -> u32 {
        let Some(&first) = next.first() else { return 0 };
        // SAFETY: `next` is readable for its length.
        let has_fec = unsafe { sys::opus_packet_has_lbrr(next.as_ptr(), next.len() as i32) } > 0;
        let fec = Toc(first).frame_frames();
        if has_fec && fec <= frames { fec } else { 0 }
    }

    /// How many frames before `next` its deep redundancy reaches back; 0 where it has none.
    fn dred_frames(&mut self, frames: u32, next: &[u8]) -> u32 {
        if next.is_empty() {
            return 0;
        }
        let mut end = 0;
        // SAFETY: both states have the sizes that libopus asked for, the decoder is initialised, the other is only written;
        // `next` is readable for its length, `end` writable.
        let reach = unsafe {
            sys::opus_dred_parse(
                self.dred_decoder.as_mut_ptr(),
                self.dred.as_mut_ptr(),
                next.as_ptr(),
                next.len() as i32,
                (frames + DRED_MARGIN) as i32,
                RATE,
                &raw mut end,
                0,
            )
        };
        reach.max(0) as u32
    }

    /// Appends `frames` frames of the parsed deep redundancy, which begin `before` frames before the packet that held it.
    fn regenerate(&mut self, before: u32, frames: u32, out: &mut Vec<i16>) -> bool {
        let dred = self.dred.as_mut_ptr::<sys::OpusDRED>().cast_const();
        self.append(frames, out, |state, sound, frames| {
            // SAFETY: as in `decode`; `dred` was filled by `opus_dred_parse` just before, and is no part of `state`.
            unsafe { sys::opus_decoder_dred_decode(state, dred, before as i32, sound, frames) }
        })
    }

    /// Appends `frames` frames from the in-band FEC of `packet`.
    fn decode_fec(&mut self, packet: &[u8], frames: u32, out: &mut Vec<i16>) -> bool {
        self.append(frames, out, |state, sound, frames| {
            // SAFETY: as in `decode`.
            unsafe { sys::opus_decode(state, packet.as_ptr(), packet.len() as i32, sound, frames, 1) }
        })
    }

    /// Appends `frames` frames that libopus makes up from what came before; silence should it refuse.
    fn extrapolate(&mut self, frames: u32, out: &mut Vec<i16>) {
        let made = self.append(frames, out, |state, sound, frames| {
            // SAFETY: as in `decode`; no packet at all is what tells of a loss.
            unsafe { sys::opus_decode(state, ptr::null(), 0, sound, frames, 0) }
        });
        if !made {
            out.resize(out.len() + frames as usize * self.channels, 0);
        }
    }

    /// Makes room for `frames` frames at the end of `out` and lets `call` fill it; takes it back unless just these were made.
    fn append(
        &mut self,
        frames: u32,
        out: &mut Vec<i16>,
        call: impl FnOnce(*mut sys::OpusDecoder, *mut i16, c_int) -> c_int,
    ) -> bool {
        let start = out.len();
        out.resize(start + frames as usize * self.channels, 0);
        let made = call(self.state.as_mut_ptr(), out[start..].as_mut_ptr(), frames as c_int);
        let all = made == frames as c_int;
        if !all {
            out.truncate(start);
        }
        all
    }
}

impl OpusEncoder {
    pub fn new(format: Format, settings: Settings) -> Result<Self> {
        let channels = at_48_khz(format)?;
        // SAFETY: it only computes.
        let bytes = unsafe { sys::opus_encoder_get_size(channels as c_int) };
        let mut encoder = Self { channels, state: State::new(bytes)? };
        // SAFETY: the state points to as much writable, aligned memory as libopus has asked for.
        done(unsafe {
            sys::opus_encoder_init(
                encoder.state.as_mut_ptr(),
                RATE,
                channels as c_int,
                sys::OPUS_APPLICATION_VOIP,
            )
        })?;
        encoder.set(sys::OPUS_SET_COMPLEXITY_REQUEST, ENCODER_COMPLEXITY)?;
        encoder.adjust(settings)?;
        Ok(encoder)
    }

    pub fn adjust(&mut self, settings: Settings) -> Result<()> {
        self.set(sys::OPUS_SET_BITRATE_REQUEST, settings.bitrate as c_int)?;
        self.set(sys::OPUS_SET_INBAND_FEC_REQUEST, c_int::from(settings.fec))?;
        self.set(sys::OPUS_SET_DTX_REQUEST, c_int::from(settings.dtx))?;
        self.set(sys::OPUS_SET_VBR_REQUEST, c_int::from(!settings.constant))?;
        let steps = (settings.dred.as_millis() / 10).min(MAX_DRED_STEPS) as c_int;
        self.set(sys::OPUS_SET_DRED_DURATION_REQUEST, steps)?;
        self.set(sys::OPUS_SET_PACKET_LOSS_PERC_REQUEST, c_int::from(settings.loss_percent.min(100)))
    }

    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<()> {
        let frames = samples.len() / self.channels;
        if !samples.len().is_multiple_of(self.channels)
            || ![120, 240, 480, 960, 1_920, 2_880].contains(&frames)
        {
            return Err(Error::config(format!(
                "an Opus packet holds 2.5, 5, 10, 20, 40 or 60 ms, not {frames} frames of 48 kHz"
            )));
        }
        let start = out.len();
        out.resize(start + MAX_FRAME_BYTES, 0);
        // SAFETY: the state is initialised; `samples` holds `frames` frames of its channels; as many bytes are writable as is said.
        let bytes = unsafe {
            sys::opus_encode(
                self.state.as_mut_ptr(),
                samples.as_ptr(),
                frames as c_int,
                out[start..].as_mut_ptr(),
                MAX_FRAME_BYTES as i32,
            )
        };
        out.truncate(start + bytes.max(0) as usize);
        done(bytes.min(sys::OPUS_OK))
    }

    pub fn keep_waveform(&mut self) {
        let set = self.set(sys::OPUS_SET_APPLICATION_REQUEST, sys::OPUS_APPLICATION_AUDIO);
        debug_assert_eq!(set, Ok(()));
    }

    fn set(&mut self, request: c_int, value: c_int) -> Result<()> {
        // SAFETY: the state is initialised, and each request used here takes one int.
        done(unsafe { sys::opus_encoder_ctl(self.state.as_mut_ptr(), request, value) })
    }
}

/// Memory for one of libopus's states.
#[derive(Default)]
struct State(Vec<Line>);

/// Aligned as `malloc` aligns, which is what libopus counts on.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Line([u8; 16]);

impl State {
    /// Zeroes, `bytes` of them at least.
    fn new(bytes: c_int) -> Result<Self> {
        let bytes = usize::try_from(bytes).ok().filter(|&bytes| bytes > 0).ok_or_else(|| refused(bytes))?;
        Ok(Self(vec![Line([0; 16]); bytes.div_ceil(size_of::<Line>())]))
    }

    fn as_mut_ptr<T>(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
}

fn at_48_khz(format: Format) -> Result<usize> {
    if format.rate() != RATE as u32 {
        return Err(Error::config(format!("Opus is at 48000 Hz always, not {}", format.rate())));
    }
    Ok(format.channels())
}

fn done(code: c_int) -> Result<()> {
    if code == sys::OPUS_OK { Ok(()) } else { Err(refused(code)) }
}

fn refused(code: c_int) -> Error {
    Error::config(format!("libopus refuses: its error {code}"))
}

const RATE: i32 = 48_000;
/// The most: it costs a per cent or two of one core.
const ENCODER_COMPLEXITY: c_int = 10;
/// From 5 on losses are concealed by its neural network: 0.1 to 0.3 of PESQ more at 10 and 20 %.
const DECODER_COMPLEXITY: c_int = 5;
/// The most that libopus takes, in 10 ms: `DRED_MAX_FRAMES`.
const MAX_DRED_STEPS: u128 = 104;
/// More than the hole is asked for, since redundancy comes in chunks of 40 ms and begins up to one before its packet.
const DRED_MARGIN: u32 = 3_840;
/// What libopus conceals in: 2.5 ms.
const STEP: u32 = 120;
/// A hole is filled in pieces of 20 ms.
const PIECE: u32 = 960;

/// What libopus itself says of a packet's length, once it has parsed all of it.
#[cfg(test)]
fn frames_by_libopus(packet: &[u8]) -> Option<u32> {
    let mut sizes = [0; 48];
    // SAFETY: `packet` is readable for its length; `sizes` holds the 48 that may be written; null is allowed for the rest.
    let frames = unsafe {
        let (data, len) = (packet.as_ptr(), packet.len() as i32);
        let (toc, payloads, offset) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let count = sys::opus_packet_parse(data, len, toc, payloads, sizes.as_mut_ptr(), offset);
        if count <= 0 { count } else { sys::opus_packet_get_nb_samples(data, len, RATE) }
    };
    u32::try_from(frames).ok().filter(|&frames| frames > 0)
}

#[cfg(test)]
#[path = "opus_tests.rs"]
mod tests;
