//! Sound to payloads, whatever the coding.

use std::time::Duration;

use super::opus::OpusEncoder;
use super::{g711, l16};
use crate::engine::coding::{Coding, Encoding};
use crate::engine::config::ClientConfig;
use crate::engine::error::{Error, Result};

/// How Opus is encoded; the other codings have nothing to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits a second, 6,000 to 510,000.
    pub bitrate: u32,
    /// Whether packets also hold a coarse copy of the one before (in-band FEC).
    pub fec: bool,
    /// The loss that FEC is made for, in percent: the more, the more bits it gets. At 0 there is none.
    pub loss_percent: u8,
    /// Whether silence is sent as packets of 1 or 2 bytes (RFC 7587 §3.1.3).
    pub dtx: bool,
    /// How far back each packet's deep redundancy (DRED) goes: up to 1.04 s. It shares the bitrate, is only sent while a loss is told
    /// of, and helps a receiver that waits for several packets: one that plays at once does better without.
    pub dred: Duration,
    /// Whether all packets are of one length, so that no arithmetic of the codec's decides how many bytes go.
    pub constant: bool,
}

/// Encodes one sender's sound.
pub struct Encoder {
    encoding: Encoding,
    opus: Option<OpusEncoder>,
}

impl Default for Settings {
    /// 64 kbit/s: transparent for a voice in full band. FEC for the 10 % at which a call is still a call.
    fn default() -> Self {
        Self {
            bitrate: 64_000,
            fec: true,
            loss_percent: 10,
            dtx: false,
            dred: Duration::ZERO,
            constant: false,
        }
    }
}

impl Settings {
    /// What a client asks for, before anything is known of the path.
    pub fn of(config: &ClientConfig) -> Self {
        let &ClientConfig { bitrate, fec, dred, .. } = config;
        Self { bitrate, fec, dred, ..Self::default() }
    }

    fn check(self) -> Result<()> {
        let Self { bitrate, .. } = self;
        if !(MIN_BITRATE..=510_000).contains(&bitrate) {
            return Err(Error::config(format!(
                "bitrate must be {MIN_BITRATE} to 510000 bit/s, not {bitrate}"
            )));
        }
        Ok(())
    }
}

impl Encoder {
    /// An encoder of `encoding`; refused for L24, which is received only, and for Opus where this build has none, at another rate than 48 kHz,
    /// or with settings out of range.
    pub fn new(encoding: Encoding, settings: Settings) -> Result<Self> {
        let opus = match encoding.coding {
            Coding::L24 => return Err(Error::config("24-bit sound is received only: send 'l16'")),
            Coding::Opus => {
                settings.check()?;
                Some(OpusEncoder::new(encoding.format, settings)?)
            }
            Coding::L16 | Coding::Pcmu | Coding::Pcma => None,
        };
        Ok(Self { encoding, opus })
    }

    /// What it encodes.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Appends the payload of one packet's `samples`, interleaved whole frames; Opus wants 2.5, 5, 10, 20, 40 or 60 ms of them.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<()> {
        match (self.encoding.coding, &mut self.opus) {
            (_, Some(opus)) => return opus.encode(samples, out),
            (Coding::Pcmu, _) => g711::encode_mu(samples, out),
            (Coding::Pcma, _) => g711::encode_a(samples, out),
            _ => l16::encode(samples, out),
        }
        Ok(())
    }

    /// Before the first packet: keeps the waveform, where a voice alone would be relieved of its lowest tones, which shifts the phase of
    /// those above. For what is put in the place of uncoded sound.
    pub fn keep_waveform(&mut self) {
        if let Some(opus) = &mut self.opus {
            opus.keep_waveform();
        }
    }

    /// From the next packet on Opus is encoded so; refused where settings are out of range.
    pub fn adjust(&mut self, settings: Settings) -> Result<()> {
        settings.check()?;
        self.opus.as_mut().map_or(Ok(()), |opus| opus.adjust(settings))
    }
}

/// The least that Opus can do with, bits a second.
pub const MIN_BITRATE: u32 = 6_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::codec::Decoder;
    use crate::engine::format::Format;

    #[test]
    fn what_is_sent_can_be_received() {
        for coding in [Coding::L16, Coding::Pcmu, Coding::Pcma] {
            let encoding = Encoding { coding, format: Format::new(8_000, 2).unwrap() };
            let mut payload = vec![];
            Encoder::new(encoding, Settings::default())
                .unwrap()
                .encode(&[0, 8, -120, 4_000], &mut payload)
                .unwrap();
            let mut decoder = Decoder::new(encoding).unwrap();
            assert_eq!(decoder.frames(&payload), Some(2), "{coding:?}");
            let mut out = vec![];
            assert!(decoder.decode(&payload, &mut out));
            for (heard, said) in out.into_iter().zip([0, 8, -120, 4_000]) {
                assert!(
                    (i32::from(heard) - said).abs() <= 8.max(said.abs() / 16),
                    "{coding:?}: {said} became {heard}"
                );
            }
        }
    }

    #[test]
    fn sound_of_24_bits_is_not_sent() {
        let encoding = Encoding { coding: Coding::L24, format: Format::DEFAULT };
        assert!(
            Encoder::new(encoding, Settings::default()).err().unwrap().message().contains("received only")
        );
    }
}
