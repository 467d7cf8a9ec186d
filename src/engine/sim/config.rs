//! What a simulated path does to packets, as a value and as text: `loss=5,burst=3,delay=40,jitter=15,seed=1`.

use std::fmt;
use std::time::Duration;

use super::draw::Share;
use super::mahimahi::Trace;
use super::presets;
use crate::engine::error::{Error, Result};

/// A path's settings. The default is a perfect one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkConfig {
    /// What all chance is drawn from.
    pub seed: u64,
    /// Which packets are lost.
    pub loss: Loss,
    /// What every packet needs.
    pub delay: Duration,
    /// The mean of an extra delay, exponentially distributed (so this is its standard deviation, too), drawn for each
    /// packet. A path is one queue: a packet delayed holds back those behind it, none overtakes.
    pub jitter: Duration,
    /// How often the path stalls: the chance at each packet.
    pub spike: Share,
    /// How long a stall lasts. Packets pile up meanwhile and arrive at once.
    pub spike_delay: Duration,
    /// How many packets are held back, out of the queue, so that those behind overtake them.
    pub reorder: Share,
    /// How long they are held.
    pub reorder_delay: Duration,
    /// How many packets arrive twice.
    pub duplicate: Share,
    /// The narrowest part of the path.
    pub bottleneck: Option<Bottleneck>,
    /// The narrowest part of the path, where its rate changes.
    pub trace: Option<Trace>,
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each by itself.
    Independent(Share),
    /// Gilbert and Elliott's two states.
    Burst(Burst),
}

/// Gilbert and Elliott's model: a good and a bad state, each with a loss of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Loss over all.
    pub loss: Share,
    /// The bad state's mean length in thousandths of a packet, 1,000 at least. With [`density`](Self::density) at 100 %
    /// (Gilbert's model) it is the mean length of a burst of losses.
    pub length_thousandths: u32,
    /// Loss in the bad state.
    pub density: Share,
    /// Loss in the good state.
    pub scatter: Share,
}

/// A link of limited rate with a queue before it; what does not fit into the queue is dropped (drop-tail).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// Bits a second.
    pub bits_per_second: u64,
    /// How long a packet may wait in the queue.
    pub queue: Duration,
}

impl Default for Loss {
    fn default() -> Self {
        Self::Independent(Share(0))
    }
}

impl LinkConfig {
    /// From a preset's name, settings, or a name and settings that change it: `wifi`, `loss=5,burst=3`, `wifi,seed=7`.
    ///
    /// Settings: `loss density scatter spike reorder duplicate` in percent; `delay jitter spike_delay reorder_delay
    /// queue` in ms; `burst` in packets; `rate` in bit/s with `k` or `M`; `seed` a whole number; `trace` a file
    /// ([`parse_with`](Self::parse_with)).
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |_: &str| Err(Error::config("network: trace=FILE cannot be used here"));
        Self::parse_with(text, &refuse)
    }

    /// As [`parse`](Self::parse), with `trace=FILE`, a Mahimahi trace that `load` reads.
    pub fn parse_with(text: &str, load: &dyn Fn(&str) -> Result<Trace>) -> Result<Self> {
        let mut fields = Fields::default();
        for (place, item) in text.split(',').map(str::trim).enumerate() {
            match item.split_once('=') {
                Some((key, file)) if key.trim() == "trace" => fields.config.trace = Some(load(file.trim())?),
                Some((key, value)) => fields.set(key.trim(), value.trim())?,
                None if place == 0 => fields = Fields::from(preset(item)?),
                None => {
                    return Err(Error::config(format!(
                        "network: {item:?} must be name=value, as in loss=5 (a preset comes first)"
                    )));
                }
            }
        }
        fields.finish()
    }
}

impl fmt::Display for LinkConfig {
    /// As text that [`LinkConfig::parse`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: Share| share.fraction() * 100.0;
        let ms = |time: Duration| time.as_micros() as f64 / 1e3;
        match self.loss {
            Loss::Independent(loss) => write!(f, "loss={}", percent(loss))?,
            Loss::Burst(b) => {
                write!(f, "loss={},burst={}", percent(b.loss), f64::from(b.length_thousandths) / 1e3)?;
                write!(f, ",density={},scatter={}", percent(b.density), percent(b.scatter))?;
            }
        }
        write!(f, ",delay={},jitter={}", ms(self.delay), ms(self.jitter))?;
        write!(f, ",spike={},spike_delay={}", percent(self.spike), ms(self.spike_delay))?;
        write!(f, ",reorder={},reorder_delay={}", percent(self.reorder), ms(self.reorder_delay))?;
        write!(f, ",duplicate={}", percent(self.duplicate))?;
        if let Some(neck) = self.bottleneck {
            write!(f, ",rate={},queue={}", neck.bits_per_second, ms(neck.queue))?;
        }
        if let Some(trace) = self.trace {
            write!(f, ",trace={},queue={}", trace.name, ms(trace.queue))?;
        }
        write!(f, ",seed={}", self.seed)
    }
}

impl Burst {
    /// The chances to turn bad and to turn good at a packet.
    pub fn turns(self) -> Result<(f64, f64)> {
        let (loss, density, scatter) =
            (self.loss.fraction(), self.density.fraction(), self.scatter.fraction());
        if loss < scatter || loss > density || density <= scatter {
            return Err(Error::config(
                "network: loss must lie between scatter (loss in the good state) and density (in the bad one)",
            ));
        }
        if self.length_thousandths < 1000 {
            return Err(Error::config("network: burst must be at least 1 packet"));
        }
        let bad = (loss - scatter) / (density - scatter);
        let to_good = 1000.0 / f64::from(self.length_thousandths);
        let to_bad = if bad < 1.0 { bad / (1.0 - bad) * to_good } else { f64::INFINITY };
        if bad < 1.0 && to_bad > 1.0 {
            return Err(Error::config(format!(
                "network: a loss of {} % needs bursts longer than {} packets",
                loss * 100.0,
                f64::from(self.length_thousandths) / 1000.0
            )));
        }
        // All bad: never good.
        Ok(if bad < 1.0 { (to_bad, to_good) } else { (1.0, 0.0) })
    }
}

/// The settings while they are read, in any order.
struct Fields {
    config: LinkConfig,
    loss: Share,
    burst: Option<u32>,
    density: Option<Share>,
    scatter: Option<Share>,
    rate: Option<u64>,
    queue: Option<Duration>,
}

impl Default for Fields {
    fn default() -> Self {
        Self::from(LinkConfig {
            spike_delay: SPIKE_DELAY,
            reorder_delay: REORDER_DELAY,
            ..LinkConfig::default()
        })
    }
}

impl From<LinkConfig> for Fields {
    fn from(config: LinkConfig) -> Self {
        let (loss, burst) = match config.loss {
            Loss::Independent(share) => (share, None),
            Loss::Burst(b) => (b.loss, Some(b)),
        };
        Self {
            config,
            loss,
            burst: burst.map(|b| b.length_thousandths),
            density: burst.map(|b| b.density),
            scatter: burst.map(|b| b.scatter),
            rate: config.bottleneck.map(|b| b.bits_per_second),
            queue: config.bottleneck.map(|b| b.queue).or(config.trace.map(|t| t.queue)),
        }
    }
}

impl Fields {
    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "loss" => self.loss = percent(key, value)?,
            "burst" => self.burst = Some((number(key, value, 1.0, 10_000.0)? * 1000.0).round() as u32),
            "density" => self.density = Some(percent(key, value)?),
            "scatter" => self.scatter = Some(percent(key, value)?),
            "delay" => self.config.delay = ms(key, value)?,
            "jitter" => self.config.jitter = ms(key, value)?,
            "spike" => self.config.spike = percent(key, value)?,
            "spike_delay" => self.config.spike_delay = ms(key, value)?,
            "reorder" => self.config.reorder = percent(key, value)?,
            "reorder_delay" => self.config.reorder_delay = ms(key, value)?,
            "duplicate" => self.config.duplicate = percent(key, value)?,
            "rate" => self.rate = Some(rate(value)?),
            "queue" => self.queue = Some(ms(key, value)?),
            "seed" => {
                self.config.seed = value.parse().map_err(|_| {
                    Error::config(format!("network: seed must be a whole number, not {value:?}"))
                })?;
            }
            _ => {
                return Err(Error::config(format!("network: no setting {key:?}; there are: {SETTINGS}")));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<LinkConfig> {
        self.config.loss = if let Some(length_thousandths) = self.burst {
            let density = self.density.unwrap_or(Share::ALL);
            let scatter = self.scatter.unwrap_or_default();
            let burst = Burst { loss: self.loss, length_thousandths, density, scatter };
            burst.turns()?;
            Loss::Burst(burst)
        } else if self.density.is_some() || self.scatter.is_some() {
            return Err(Error::config("network: density and scatter describe bursts; give burst, too"));
        } else {
            Loss::Independent(self.loss)
        };
        self.config.bottleneck = match (self.rate, self.queue) {
            (Some(bits_per_second), queue) => {
                Some(Bottleneck { bits_per_second, queue: queue.unwrap_or(QUEUE) })
            }
            (None, Some(_)) if self.config.trace.is_none() => {
                return Err(Error::config("network: a queue needs a rate or a trace"));
            }
            (None, _) => None,
        };
        if let Some(trace) = &mut self.config.trace {
            if self.rate.is_some() {
                return Err(Error::config(
                    "network: rate and trace both say how much goes through: give one",
                ));
            }
            trace.queue = self.queue.unwrap_or(trace.queue);
        }
        Ok(self.config)
    }
}

fn preset(name: &str) -> Result<LinkConfig> {
    presets::find(name).map(|p| p.config).ok_or_else(|| {
        let names: Vec<_> = presets::ALL.iter().map(|p| p.name).collect();
        Error::config(format!(
            "network: no preset {name:?}; there are {}, or give settings as in loss=5,delay=40",
            names.join(", ")
        ))
    })
}

fn number(key: &str, value: &str, least: f64, most: f64) -> Result<f64> {
    match value.parse::<f64>() {
        Ok(x) if (least..=most).contains(&x) => Ok(x),
        _ => Err(Error::config(format!("network: {key} must be {least} to {most}, not {value:?}"))),
    }
}

fn percent(key: &str, value: &str) -> Result<Share> {
    let value = number(key, value.trim_end_matches('%').trim_end(), 0.0, 100.0)?;
    Ok(Share::percent(value).unwrap_or_default())
}

fn ms(key: &str, value: &str) -> Result<Duration> {
    let value = number(key, value.trim_end_matches("ms").trim_end(), 0.0, LONGEST_MS)?;
    Ok(Duration::from_micros((value * 1e3).round() as u64))
}

fn rate(value: &str) -> Result<u64> {
    let (digits, unit) = match value.as_bytes().last() {
        Some(b'k' | b'K') => (&value[..value.len() - 1], 1e3),
        Some(b'm' | b'M') => (&value[..value.len() - 1], 1e6),
        Some(b'g' | b'G') => (&value[..value.len() - 1], 1e9),
        _ => (value, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(x) if (1e3..=1e12).contains(&(x * unit)) => Ok((x * unit).round() as u64),
        _ => Err(Error::config(format!(
            "network: rate must be 1k to 1000G bit/s, as in 256k or 1.5M, not {value:?}"
        ))),
    }
}

const SETTINGS: &str = "loss burst density scatter delay jitter spike spike_delay reorder reorder_delay duplicate \
                        rate trace queue seed";
/// A Wi-Fi client's look at the other channels takes about this long.
const SPIKE_DELAY: Duration = Duration::from_millis(100);
/// Long enough to be overtaken by one packet of 20 ms, or two of 10.
const REORDER_DELAY: Duration = Duration::from_millis(25);
/// What a queue holds where only a rate is given.
const QUEUE: Duration = Duration::from_millis(200);
const LONGEST_MS: f64 = 60_000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::ErrorKind;
    use proptest::prelude::*;

    #[test]
    fn text_says_what_the_fields_hold() {
        let c = LinkConfig::parse(
            "loss=5,burst=3,delay=40,jitter=15,reorder=1,duplicate=0.5,rate=256k,queue=80,seed=1",
        )
        .unwrap();
        assert_eq!(
            c.loss,
            Loss::Burst(Burst {
                loss: Share(50_000),
                length_thousandths: 3000,
                density: Share::ALL,
                scatter: Share(0)
            })
        );
        assert_eq!((c.delay, c.jitter), (Duration::from_millis(40), Duration::from_millis(15)));
        assert_eq!((c.reorder, c.duplicate, c.seed), (Share(10_000), Share(5_000), 1));
        assert_eq!(
            c.bottleneck,
            Some(Bottleneck { bits_per_second: 256_000, queue: Duration::from_millis(80) })
        );
        assert_eq!(LinkConfig::parse("loss = 2.5 %").unwrap().loss, Loss::Independent(Share(25_000)));
    }

    #[test]
    fn a_preset_can_be_changed() {
        let plain = LinkConfig::parse("wifi").unwrap();
        let changed = LinkConfig::parse("wifi,seed=9,delay=1").unwrap();
        assert_eq!(changed, LinkConfig { seed: 9, delay: Duration::from_millis(1), ..plain });
    }

    #[test]
    fn a_trace_has_a_queue_and_can_be_shown() {
        let load = |name: &str| Ok(Trace::new(name.to_owned().leak(), &[1, 2, 3]).unwrap());
        let parse = |text: &str| LinkConfig::parse_with(text, &load);
        let config = parse("loss=1,queue=80,trace=a/lte.up").unwrap();
        let trace = config.trace.unwrap();
        assert_eq!((trace.name, trace.queue), ("a/lte.up", Duration::from_millis(80)));
        assert_eq!(parse(&config.to_string()), Ok(config));
        let error = parse("trace=a,rate=1M").unwrap_err();
        assert!(error.message().contains("give one"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("", "preset"),
            ("wlan", "wifi"),
            ("loss=5,wifi", "name=value"),
            ("lost=5", "no setting"),
            ("loss=101", "0 to 100"),
            ("loss=x", "loss must"),
            ("loss=nan", "loss must"),
            ("delay=-1", "delay must"),
            ("rate=fast", "256k"),
            ("queue=5", "needs a rate"),
            ("trace=lte.up", "cannot be used"),
            ("density=50", "give burst"),
            ("loss=60,burst=1", "longer than 1"),
            ("loss=60,burst=2,density=50", "between"),
            ("seed=-1", "whole number"),
        ] {
            let error = LinkConfig::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_can_be_parsed() {
        let text = "loss=5,burst=2.5,density=80,scatter=0.1,delay=40.5,spike=0.01,rate=256k,seed=18446744073709551615";
        let mut all = vec![LinkConfig::default(), LinkConfig::parse(text).unwrap()];
        all.extend(presets::ALL.map(|p| p.config));
        for config in all {
            assert_eq!(LinkConfig::parse(&config.to_string()), Ok(config), "{config}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z_=,.0-9%kM -]{0,60}") {
            let _ = LinkConfig::parse(&text);
        }
    }
}
