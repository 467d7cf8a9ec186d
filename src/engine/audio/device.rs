//! Which sound devices there are, and the one that is meant.
//!
//! Every list is made afresh. ALSA's names plug-ins that do not exist: what cannot be opened is left out of it.

use std::ffi::OsString;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{ErrorKind, HostId};
use crossbeam_channel::bounded;

use crate::engine::config::DeviceChoice;
use crate::engine::error::{Error, Result};

/// A sound device as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its place in the list, which also chooses it.
    pub index: usize,
    /// What the system calls it to people.
    pub name: String,
    /// What the system calls it to programs; stays the same when others come and go.
    pub id: String,
    /// The sound system: `pulseaudio`, `alsa`, ….
    pub host_api: String,
    /// Channels it can record; 0 where it cannot.
    pub max_input_channels: u16,
    /// Channels it can play; 0 where it cannot.
    pub max_output_channels: u16,
    /// Its own sample rate in Hz.
    pub default_rate: u32,
    /// Whether it is the one recorded from by default.
    pub is_default_input: bool,
    /// Whether it is the one played to by default.
    pub is_default_output: bool,
}

/// The devices of one sound system; of the first that answers where none is named.
pub fn list_devices(host_api: Option<&str>) -> Result<Vec<DeviceInfo>> {
    let host_api = host_api.map(str::to_owned);
    answer(move || Lease::take(host_api.as_deref()).and_then(|host| list(&host)))?
}

/// The sound systems that answer, the preferred one first.
pub fn host_apis() -> Vec<String> {
    let answers = |id: &HostId| Lease::of(*id).is_ok();
    let names = |ids: Vec<HostId>| ids.iter().map(|id| short_name(*id)).collect();
    answer(move || names(preference().into_iter().filter(answers).collect())).unwrap_or_default()
}

/// Whether `host_api` names a sound system at all; `None` is any.
pub fn check_host_api(host_api: Option<&str>) -> Result<()> {
    host_api.map_or(Ok(()), |name| parse(name).map(|_| ()))
}

/// What `work` says, unless the sound system keeps it waiting for too long.
fn answer<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (tell, told) = bounded(1);
    thread::Builder::new()
        .name("as-devices".into())
        .spawn(move || tell.send(work()))
        .map_err(|e| Error::device(format!("cannot start a thread: {e}")))?;
    told.recv_timeout(LIST_LIMIT).map_err(|_| Error::device("the sound system does not answer"))
}

/// What a device is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Record,
    Play,
}

impl Purpose {
    /// What options call it.
    const fn name(self) -> &'static str {
        match self {
            Self::Record => "input",
            Self::Play => "output",
        }
    }
}

/// The device that `choice` means, on a host that runs its callbacks for nobody else while the lease is held.
pub(super) fn find(
    host_api: Option<&str>,
    choice: &DeviceChoice,
    purpose: Purpose,
) -> Result<(cpal::Device, Option<Lease>)> {
    let host = Lease::take(host_api)?;
    let device = match choice {
        DeviceChoice::Default => Some(openable_default(&host, purpose)?),
        DeviceChoice::Index(index) => {
            let all = list(&host)?;
            let info = all.get(*index).filter(|info| info.can(purpose));
            let info = info.ok_or_else(|| no_such(&index.to_string(), &all, purpose))?;
            by_id(&host, &info.id, purpose)
        }
        DeviceChoice::Name(name) => {
            let all = list(&host)?;
            by_id(&host, &named(name, &all, purpose)?.id, purpose)
        }
    };
    Ok((device.ok_or_else(|| nothing(purpose))?, Some(host)))
}

/// `message: what cpal says`.
pub(super) fn trouble(message: &str, error: &cpal::Error) -> Error {
    Error::device(format!("{message}: {error}"))
}

/// A host that nobody else uses, given back when dropped.
///
/// Given back, not let go: the thread and descriptors of `PulseAudio`'s client outlive a client that is dropped while
/// it idles. So there are as many connections as there were streams at once, however often they come and go.
pub(super) struct Lease {
    surroundings: Surroundings,
    host: Option<cpal::Host>,
}

impl Lease {
    /// The named sound system, or the first that answers.
    fn take(host_api: Option<&str>) -> Result<Self> {
        let wanted = match host_api {
            Some(name) => vec![parse(name)?],
            None => preference(),
        };
        let mut refusal = None;
        for id in wanted {
            match Self::of(id) {
                Ok(lease) => return Ok(lease),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::device("no sound system of this machine is known here")))
    }

    fn of(id: HostId) -> Result<Self> {
        let surroundings = surroundings();
        loop {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = idle.iter().position(|(s, host)| host.id() == id && *s == surroundings);
            let Some(index) = kept else { break };
            let (surroundings, host) = idle.swap_remove(index);
            drop(idle);
            // A server that was started anew meanwhile answers nothing on an old connection.
            if host.devices().is_ok() {
                return Ok(Self { surroundings, host: Some(host) });
            }
        }
        Ok(Self { surroundings, host: Some(open_host(id)?) })
    }
}

impl Deref for Lease {
    type Target = cpal::Host;
    fn deref(&self) -> &cpal::Host {
        self.host.as_ref().expect("there is a host until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // ALSA's configuration is read anew by each host: keeping one would show the devices of yesterday.
        if let Some(host) = self.host.take()
            && host.id() != HostId::Alsa
        {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < MOST_IDLE {
                idle.push((std::mem::take(&mut self.surroundings), host));
            }
        }
    }
}

static IDLE: Mutex<Vec<(Surroundings, cpal::Host)>> = Mutex::new(Vec::new());
/// Connections kept for later at most.
const MOST_IDLE: usize = 16;
/// How long a list may take.
const LIST_LIMIT: Duration = Duration::from_secs(6);

type Surroundings = (u32, [Option<OsString>; 3]);

/// What decides which `PulseAudio` server is meant, and whose connection to it is whose: after a fork the parent's
/// connections have lost their threads.
fn surroundings() -> Surroundings {
    let server = ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "XDG_RUNTIME_DIR"].map(std::env::var_os);
    (std::process::id(), server)
}

/// Every host but the test one, `PulseAudio` first: cpal's own order.
fn preference() -> Vec<HostId> {
    cpal::ALL_HOSTS
        .iter()
        .copied()
        .filter(|id| *id != HostId::Custom && !is_jack(*id))
        .chain(jack())
        .collect()
}

/// JACK answers where it runs; it is used when it is asked for.
fn jack() -> impl Iterator<Item = HostId> {
    cpal::ALL_HOSTS.iter().copied().filter(|id| is_jack(*id))
}

fn short_name(id: HostId) -> String {
    id.name().to_ascii_lowercase()
}

fn is_jack(id: HostId) -> bool {
    id.name().eq_ignore_ascii_case("jack")
}

fn parse(name: &str) -> Result<HostId> {
    HostId::from_str(&name.to_ascii_lowercase()).ok().filter(|id| *id != HostId::Custom).ok_or_else(|| {
        let known: Vec<String> = preference().into_iter().map(short_name).collect();
        Error::config(format!("host_api must be one of {}, not {name:?}", known.join(", ")))
    })
}

fn open_host(id: HostId) -> Result<cpal::Host> {
    #[cfg(target_os = "linux")]
    super::alsa::silence();
    cpal::host_from_id(id).map_err(|e| trouble(&format!("{} does not answer", id.name()), &e))
}

/// The default device. ALSA has one on machines without any card, too: one that cannot be opened.
fn openable_default(host: &cpal::Host, purpose: Purpose) -> Result<cpal::Device> {
    if let Some(device) = default_of(host, purpose).filter(|device| reach(device, purpose).0 > 0) {
        return Ok(device);
    }
    let (what, all) = (purpose.name(), list(host)?);
    let able = able(&all, purpose);
    if able.is_empty() {
        return Err(nothing(purpose));
    }
    Err(Error::device(format!(
        "the default {what} device cannot be opened; choose another: {}",
        able.join(", ")
    )))
}

fn default_of(host: &cpal::Host, purpose: Purpose) -> Option<cpal::Device> {
    match purpose {
        Purpose::Record => host.default_input_device(),
        Purpose::Play => host.default_output_device(),
    }
}

fn by_id(host: &cpal::Host, id: &str, purpose: Purpose) -> Option<cpal::Device> {
    let default = default_of(host, purpose);
    host.devices()
        .ok()?
        .chain(default)
        .find(|device| may(device, purpose) && device.id().is_ok_and(|own| own.id() == id))
}

fn list(host: &cpal::Host) -> Result<Vec<DeviceInfo>> {
    let mut devices: Vec<cpal::Device> =
        host.devices().map_err(|e| trouble("cannot list the sound devices", &e))?.collect();
    let id_of = |device: &cpal::Device| device.id().ok().map(|id| id.id().to_owned());
    let defaults = [Purpose::Record, Purpose::Play].map(|purpose| default_of(host, purpose));
    let [default_input, default_output] = [0, 1].map(|side: usize| defaults[side].as_ref().and_then(id_of));
    // ALSA's default may be hidden from its list, and is chosen all the same.
    for device in defaults.into_iter().flatten() {
        if !devices.iter().any(|listed| id_of(listed) == id_of(&device)) {
            devices.push(device);
        }
    }
    let is_alsa = host.id() == HostId::Alsa;
    let mut all: Vec<DeviceInfo> = Vec::new();
    for device in devices {
        let Some(id) = id_of(&device) else { continue };
        if is_alsa && NOT_LISTED.contains(&id.as_str()) {
            continue;
        }
        let (inputs, input_rate) = reach(&device, Purpose::Record);
        let (outputs, output_rate) = reach(&device, Purpose::Play);
        let Some(default_rate) = output_rate.or(input_rate) else { continue };
        all.push(DeviceInfo {
            index: all.len(),
            name: device.description().map_or_else(|_| id.clone(), |d| d.name().to_owned()),
            host_api: short_name(host.id()),
            max_input_channels: inputs,
            max_output_channels: outputs,
            default_rate,
            is_default_input: inputs > 0 && default_input.as_ref() == Some(&id),
            is_default_output: outputs > 0 && default_output.as_ref() == Some(&id),
            id,
        });
    }
    Ok(all)
}

/// ALSA's `null` takes and gives sound without any pace; its `jack` writes to standard error when it is opened.
const NOT_LISTED: [&str; 2] = ["null", "jack"];

/// Whether a device works in one direction, for all that is known without opening it. Of ALSA's default cpal knows no direction.
fn may(device: &cpal::Device, purpose: Purpose) -> bool {
    let (records, plays) = (device.supports_input(), device.supports_output());
    match purpose {
        Purpose::Record => records || !plays,
        Purpose::Play => plays || !records,
    }
}

/// A device's channels and rate in one direction, none where it cannot be opened. A busy one is there all the same.
fn reach(device: &cpal::Device, purpose: Purpose) -> (u16, Option<u32>) {
    if !may(device, purpose) {
        return (0, None);
    }
    let config = match purpose {
        Purpose::Record => device.default_input_config(),
        Purpose::Play => device.default_output_config(),
    };
    match config {
        Ok(config) => (config.channels(), Some(config.sample_rate())),
        Err(error) if error.kind() == ErrorKind::DeviceBusy => (2, Some(cpal::SAMPLE_RATE_48K)),
        Err(_) => (0, None),
    }
}

/// The one device whose name or id is `name`, or else contains it, in any case.
fn named<'a>(name: &str, all: &'a [DeviceInfo], purpose: Purpose) -> Result<&'a DeviceInfo> {
    let wanted = name.to_lowercase();
    let able: Vec<&DeviceInfo> = all.iter().filter(|d| d.can(purpose)).collect();
    let whole = |d: &&&DeviceInfo| d.name.to_lowercase() == wanted || d.id.to_lowercase() == wanted;
    let part =
        |d: &&&DeviceInfo| d.name.to_lowercase().contains(&wanted) || d.id.to_lowercase().contains(&wanted);
    let mut found: Vec<&&DeviceInfo> = able.iter().filter(whole).collect();
    if found.is_empty() {
        found = able.iter().filter(part).collect();
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(no_such(name, all, purpose)),
        _ => {
            let names: Vec<String> = found.iter().map(|d| format!("{} ({})", d.index, d.id)).collect();
            Err(Error::device(format!(
                "{name:?} could be any of {}: give more of the name",
                names.join(", ")
            )))
        }
    }
}

impl DeviceInfo {
    fn can(&self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Record => self.max_input_channels > 0,
            Purpose::Play => self.max_output_channels > 0,
        }
    }
}

/// The devices that can be chosen, for people.
fn able(all: &[DeviceInfo], purpose: Purpose) -> Vec<String> {
    all.iter().filter(|d| d.can(purpose)).map(|d| format!("{} {} ({})", d.index, d.name, d.id)).collect()
}

fn no_such(name: &str, all: &[DeviceInfo], purpose: Purpose) -> Error {
    let able = able(all, purpose);
    if able.is_empty() {
        return nothing(purpose);
    }
    let what = purpose.name();
    Error::device(format!("no {what} device {name:?}; there are: {}", able.join(", ")))
}

/// No device at all: never replaced silently, but the built-in ends are named.
fn nothing(purpose: Purpose) -> Error {
    Error::device(match purpose {
        Purpose::Record => {
            "no input device; without one, input can be 'tone', 'voice', 'silence', '-' or 'file:PATH'"
        }
        Purpose::Play => "no output device; without one, output can be 'null', '-' or 'file:PATH'",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: usize, name: &str, id: &str, inputs: u16) -> DeviceInfo {
        DeviceInfo {
            index,
            name: name.into(),
            id: id.into(),
            host_api: "pulseaudio".into(),
            max_input_channels: inputs,
            max_output_channels: 2 - inputs,
            default_rate: 44_100,
            is_default_input: false,
            is_default_output: false,
        }
    }

    #[test]
    fn a_device_is_chosen_by_name_by_id_or_by_a_part_of_one_name() {
        let all =
            [device(0, "USB Mic", "usb", 2), device(1, "Mic", "built-in", 2), device(2, "Mic out", "out", 0)];
        let index = |name: &str| named(name, &all, Purpose::Record).map(|d| d.index);
        assert_eq!(index("mic").unwrap(), 1);
        assert_eq!(index("usb").unwrap(), 0);
        assert_eq!(index("BUILT").unwrap(), 1);
        assert!(index("i").unwrap_err().message().contains("could be any of 0 (usb), 1 (built-in)"));
        assert!(index("out").unwrap_err().message().contains("0 USB Mic (usb), 1 Mic (built-in)"));
        assert_eq!(named("out", &all, Purpose::Play).unwrap().index, 2);
    }

    #[test]
    fn a_missing_device_is_an_error_that_names_the_built_in_ends() {
        let error = named("mic", &[], Purpose::Record).unwrap_err();
        assert!(error.message().contains("tone"), "{error}");
    }

    #[test]
    fn an_unknown_sound_system_is_an_argument_error() {
        let error = list_devices(Some("oss")).unwrap_err();
        assert_eq!(error.kind(), crate::engine::error::ErrorKind::Config);
        assert!(error.message().contains("pulseaudio, alsa"), "{error}");
    }
}
