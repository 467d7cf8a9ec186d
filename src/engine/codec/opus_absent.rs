//! Stands where a build has no Opus: nothing of it can be made.

use super::encoder::Settings;
use crate::engine::error::{Error, Result};
use crate::engine::format::Format;

pub enum OpusDecoder {}
pub enum OpusEncoder {}
#[derive(Default)]
pub struct OpusSnapshot;

impl OpusDecoder {
    pub fn new(_: Format) -> Result<Self> {
        Err(absent())
    }

    pub fn decode(&mut self, _: &[u8], _: u32, _: &mut Vec<i16>) -> bool {
        match *self {}
    }

    pub fn bridge(&mut self, _: u32, _: &[u8], _: &mut Vec<i16>) -> u32 {
        match *self {}
    }

    pub fn snapshot(&self, _: &mut OpusSnapshot) {
        match *self {}
    }

    pub fn restore(&mut self, _: &OpusSnapshot) {
        match *self {}
    }
}

impl OpusEncoder {
    pub fn new(_: Format, _: Settings) -> Result<Self> {
        Err(absent())
    }

    pub fn encode(&mut self, _: &[i16], _: &mut Vec<u8>) -> Result<()> {
        match *self {}
    }

    pub fn keep_waveform(&mut self) {
        match *self {}
    }

    pub fn adjust(&mut self, _: Settings) -> Result<()> {
        match *self {}
    }
}

fn absent() -> Error {
    Error::config(
        "this build has no Opus: build it with cargo's feature 'opus', as `make setup` and `pip install .` do, which wants cmake",
    )
}
