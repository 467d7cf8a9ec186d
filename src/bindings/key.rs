//! Keys as Python makes and checks them: as text.

use pyo3::prelude::*;
use zeroize::Zeroizing;

use super::error::to_python;
use crate::engine::error::Result;
use crate::engine::key::Key;

/// The text of a key of our own, made of bytes that nobody can guess.
#[pyfunction]
pub fn make_key(random: [u8; Key::RANDOM_LEN]) -> String {
    Key::from_random(random).reveal().to_string()
}

/// The name in SDP of what the key is for; an error where it is none.
#[pyfunction]
pub fn key_suite(py: Python<'_>, key: String) -> PyResult<&'static str> {
    let key = Key::parse(&Zeroizing::new(key)).map_err(|error| to_python(py, &error))?;
    Ok(key.form().suite())
}

/// The key that an argument has; its text is overwritten.
pub fn read_key(text: Option<String>) -> Result<Option<Key>> {
    text.map(|text| Key::parse(&Zeroizing::new(text))).transpose()
}
