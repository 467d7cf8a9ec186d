//! Which sound devices there are, and the one that is meant.
//!
//! Every list is made afresh. ALSA's names plug-ins that do not exist: what cannot be opened is left out of it.

use std::str::FromStr;
use std::sync::Mutex;

use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{ErrorKind, HostId};

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
    with_host(host_api, list)
}

/// The sound systems that answer, the preferred one first.
pub fn host_apis() -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for id in preference() {
        if with_host(Some(id.name()), |_| Ok(())).is_ok() {
            names.push(id.name().to_ascii_lowercase());
        }
    }
    names
}

/// What a device is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Record,
    Play,
}

/// The device that `choice` means, on a host of its own: one that runs its callbacks for nobody else.
pub(super) fn find(host_api: Option<&str>, choice: &DeviceChoice, purpose: Purpose) -> Result<cpal::Device> {
    // Names and places are looked up on the shared host first, so that a wrong one costs no connection.
    let (host_id, device_id) = with_host(host_api, |host| {
        let device = match choice {
            DeviceChoice::Default => default_of(host, purpose),
            DeviceChoice::Index(index) => {
                let all = list(host)?;
                let info = all.get(*index).ok_or_else(|| no_such(&index.to_string(), &all, purpose))?;
                by_id(host, &info.id, purpose)
            }
            DeviceChoice::Name(name) => {
                let all = list(host)?;
                by_id(host, &named(name, &all, purpose)?.id, purpose)
            }
        };
        let device = device.ok_or_else(|| nothing(purpose))?;
        let id = device.id().map_err(|e| trouble("cannot name the device", &e))?;
        Ok((host.id(), id.id().to_owned()))
    })?;
    let host = open_host(host_id)?;
    let device = match choice {
        DeviceChoice::Default => default_of(&host, purpose),
        _ => by_id(&host, &device_id, purpose),
    };
    device.ok_or_else(|| nothing(purpose))
}

/// `message: what cpal says`.
pub(super) fn trouble(message: &str, error: &cpal::Error) -> Error {
    Error::device(format!("{message}: {error}"))
}

/// Calls `work` with a host that serves lists and look-ups only. One connection is kept from call to call:
/// `PulseAudio`'s client's thread and descriptors outlive a client that is dropped while it idles.
fn with_host<T>(host_api: Option<&str>, work: impl Fn(&cpal::Host) -> Result<T>) -> Result<T> {
    let wanted: Vec<HostId> = match host_api {
        Some(name) => vec![parse(name)?],
        None => preference(),
    };
    let surroundings = surroundings();
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut refusal = None;
    for id in wanted {
        let kept = shared.iter().position(|s| s.id == id && s.surroundings == surroundings);
        if let Some(index) = kept {
            // A server that has been started anew since answers nothing on the old connection.
            if shared[index].host.devices().is_ok() {
                return work(&shared[index].host);
            }
            shared.swap_remove(index);
        }
        match open_host(id) {
            Ok(host) => {
                let result = work(&host);
                if id != HostId::Alsa {
                    shared.retain(|s| s.id != id);
                    shared.push(Shared { id, surroundings, host });
                }
                return result;
            }
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| Error::device("this system has no sound system that is known here")))
}

struct Shared {
    id: HostId,
    surroundings: [Option<std::ffi::OsString>; 3],
    host: cpal::Host,
}

static SHARED: Mutex<Vec<Shared>> = Mutex::new(Vec::new());

/// What decides which `PulseAudio` server is meant.
fn surroundings() -> [Option<std::ffi::OsString>; 3] {
    ["PULSE_SERVER", "PULSE_RUNTIME_PATH", "XDG_RUNTIME_DIR"].map(std::env::var_os)
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

fn is_jack(id: HostId) -> bool {
    id.name().eq_ignore_ascii_case("jack")
}

fn parse(name: &str) -> Result<HostId> {
    HostId::from_str(&name.to_ascii_lowercase()).ok().filter(|id| *id != HostId::Custom).ok_or_else(|| {
        let known: Vec<String> = preference().iter().map(|id| id.name().to_ascii_lowercase()).collect();
        Error::config(format!("host_api must be one of {}, not {name:?}", known.join(", ")))
    })
}

fn open_host(id: HostId) -> Result<cpal::Host> {
    #[cfg(target_os = "linux")]
    super::alsa::silence();
    cpal::host_from_id(id).map_err(|e| trouble(&format!("{} does not answer", id.name()), &e))
}

fn default_of(host: &cpal::Host, purpose: Purpose) -> Option<cpal::Device> {
    match purpose {
        Purpose::Record => host.default_input_device(),
        Purpose::Play => host.default_output_device(),
    }
}

fn by_id(host: &cpal::Host, id: &str, purpose: Purpose) -> Option<cpal::Device> {
    host.devices().ok()?.find(|device| {
        let can = match purpose {
            Purpose::Record => device.supports_input(),
            Purpose::Play => device.supports_output(),
        };
        can && device.id().is_ok_and(|own| own.id() == id)
    })
}

fn list(host: &cpal::Host) -> Result<Vec<DeviceInfo>> {
    let devices = host.devices().map_err(|e| trouble("cannot list the sound devices", &e))?;
    let id_of = |device: Option<cpal::Device>| device.and_then(|d| d.id().ok()).map(|id| id.id().to_owned());
    let default_input = id_of(host.default_input_device());
    let default_output = id_of(host.default_output_device());
    let mut all: Vec<DeviceInfo> = Vec::new();
    for device in devices {
        let Ok(id) = device.id().map(|id| id.id().to_owned()) else { continue };
        // ALSA's `null` takes and gives sound without any pace.
        if id == "null" {
            continue;
        }
        let (inputs, input_rate) = reach(&device, Purpose::Record);
        let (outputs, output_rate) = reach(&device, Purpose::Play);
        let Some(default_rate) = output_rate.or(input_rate) else { continue };
        all.push(DeviceInfo {
            index: all.len(),
            name: device.description().map_or_else(|_| id.clone(), |d| d.name().to_owned()),
            host_api: host.id().name().to_ascii_lowercase(),
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

/// A device's channels and rate in one direction, none where it cannot be opened. A busy one is there all the same.
fn reach(device: &cpal::Device, purpose: Purpose) -> (u16, Option<u32>) {
    let config = match purpose {
        Purpose::Record if device.supports_input() => device.default_input_config(),
        Purpose::Play if device.supports_output() => device.default_output_config(),
        _ => return (0, None),
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

fn no_such(name: &str, all: &[DeviceInfo], purpose: Purpose) -> Error {
    let able: Vec<&str> = all.iter().filter(|d| d.can(purpose)).map(|d| d.name.as_str()).collect();
    if able.is_empty() {
        return nothing(purpose);
    }
    let what = match purpose {
        Purpose::Record => "input",
        Purpose::Play => "output",
    };
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
        assert!(index("out").unwrap_err().message().contains("USB Mic, Mic"));
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
